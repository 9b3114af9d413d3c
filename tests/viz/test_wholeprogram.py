"""Views of what torch.compile returned: graphs joined into one, each kernel's text once."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.errors import UsageError
from fusekit.viz.collect.places import place_of
from fusekit.viz.collect.wholeprogram import collect_compiled
from fusekit.viz.model.schema import Model, check
from fusekit.viz.picture.folding import Fold, fold


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(function, **options):
    return torch.compile(function, backend="fusekit", **options)


def explored(program, *args):
    """The view, not timed."""
    return collect_compiled(program, args, {}, timing=False)


def reads(model: Model) -> dict[str, list[str]]:
    """Label of each node, numbered where several have it -> the labels of what it reads."""
    names: dict[str, str] = {}
    for node in model["graph"]["nodes"]:
        same = sum(name.partition("#")[0] == node["label"] for name in names.values())
        names[node["id"]] = f"{node['label']}#{same}" if same else node["label"]
    found: dict[str, list[str]] = {name: [] for name in names.values()}
    for edge in model["graph"]["edges"]:
        found[names[edge["target"]]].append(names[edge["source"]])
    return found


def two_graphs(x, w):
    y = torch.relu(x * 2) @ w
    torch._dynamo.graph_break()
    return y.sigmoid() * y + x, {"y": y}


def test_graphs_are_joined_where_one_hands_a_tensor_to_the_next():
    x, w = torch.randn(8, 8), torch.randn(8, 8)
    view = explored(compiled(two_graphs), x, w)
    model = check(view.model)
    assert model["title"] == "two_graphs · 2 graphs"
    assert reads(model) == {
        "x": [],
        "w": [],
        "mul": ["x"],
        "relu": ["mul"],
        "mm": ["relu", "w"],
        "sigmoid": ["mm"],
        "mul#1": ["sigmoid", "mm"],
        "add": ["mul#1", "x"],
        "output[0]": ["add"],
        "output[1]['y']": ["mm"],
    }
    assert [group["name"] for group in model["groups"]] == ["group 1", "group 2"]
    assert model["totals"]["launches"] == 3
    # x, w and the two results, once each: what goes from graph to graph is at neither end
    assert model["ledger"]["floor"] == 4 * 8 * 8 * 4


def test_a_function_in_one_graph_has_its_own_lines_and_names():
    def gelu_of(x, scale):
        return torch.nn.functional.gelu(x * scale)

    model = explored(compiled(gelu_of), torch.randn(16), torch.randn(16)).model
    lines = {node["label"]: node["line"] for node in model["graph"]["nodes"]}
    first = model["user"]["first"]
    assert lines == {"x": None, "scale": None, "mul": first + 1, "gelu": first + 1, "output": None}


def test_what_only_pytorch_can_run_is_a_node_between():
    def positive(x):
        return (x[x > 0] * 2).relu()

    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        model = explored(compiled(positive), torch.randn(64)).model
    assert reads(check(model)) == {
        "x": [],
        "gt": ["x"],
        "index": ["x", "gt"],
        "mul": ["index"],
        "relu": ["mul"],
        "output": ["relu"],
    }
    (index,) = (node for node in model["graph"]["nodes"] if node["label"] == "index")
    assert (index["kind"], index["bytes"]) == ("opaque", 4 * index["shape"][0])


def layered(count: int) -> torch.nn.Module:
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(8, 8)

        def forward(self, x):
            return x + torch.nn.functional.gelu(self.inner(x)) * 0.5

    return torch.nn.Sequential(*(Block() for _ in range(count)))


def test_equal_layers_share_their_kernels_text():
    view = explored(compiled(layered(5)), torch.randn(4, 8))
    model = view.model
    assert len(model["groups"]) == 5
    symbols = {group["symbol"] for group in model["groups"]}
    assert len(symbols) == 1
    languages = [source["language"] for source in model["sources"]]
    assert len(languages) == len(set(languages))
    # Each line of it leads to the values of every layer, and each group finds its text.
    (ir,) = (source for source in model["sources"] if source["language"] == "ir")
    gelus = [node["value"] for node in model["graph"]["nodes"] if node["label"] == "gelu"]
    assert all(ir["lines"][str(value)] == ir["lines"][str(gelus[0])] for value in gelus)
    assert view.source("ir", group="g4") == ir["text"] == view.source("ir", group="g1")


def test_layers_fold_and_are_named_by_their_parameters():
    with torch.no_grad():
        model = explored(compiled(layered(5)), torch.randn(4, 8)).model
    (layers,) = (item for item in fold(model) if isinstance(item, Fold) and item.kind == "repeat")
    assert layers.label == "layer ×5"
    assert [layer.detail for layer in layers.items] == [f"{i}.inner" for i in range(5)]


def test_a_backend_that_is_not_ours_is_refused():
    with pytest.raises(UsageError, match='backend="fusekit"'):
        fusekit.explore(torch.compile(lambda x: x + 1, backend="eager"), torch.randn(3))


def test_aliases_of_one_tensor_are_one_place():
    x = torch.randn(4, 4)
    assert place_of(x) == place_of(x.detach()) == place_of(x[:])
    assert place_of(x) != place_of(x.t())
    assert place_of(x) != place_of(x[1:])
    assert place_of(torch.empty(0)) != place_of(torch.empty(0, 2))
    assert place_of(3) is None

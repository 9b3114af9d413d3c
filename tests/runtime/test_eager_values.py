"""What eager PyTorch made of the elements that one element depends on."""

from __future__ import annotations

from typing import Any

import hypothesis
import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from torch.utils import _pytree as pytree

import fusekit
from fusekit.errors import FusionDeclined
from fusekit.runtime import eager_values
from fusekit.runtime.eager_values import EagerValues
from fusekit.runtime.operators import kept_generators
from fusekit.runtime.tracing import prepared
from tests.agreement import run_quietly
from tests.graph_programs import Program, programs


def values(function: Any, *args: Any, index: tuple[int, ...]) -> dict[str, Any]:
    """Operator -> its element, of the first result."""
    call = prepared(fusekit.fuse(function), args, {})
    found = EagerValues(call, function, args, {}).at(call.program.graph.outputs[0], index)
    graph = call.program.capture.graph
    origins = {node.site: node.origin.split(".")[1] for node in graph.nodes}
    return {origins[site]: value for site, value in found.items()}


def test_views_are_followed_to_where_eager_computed_it() -> None:
    x, y = torch.randn(6, 4), torch.randn(4)

    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        h = F.gelu(x * y)
        return torch.cat([h.t()[1:], h[:3, :].exp().t().repeat(1, 2)[:, :6]]) * 2

    found = values(function, x, y, index=(1, 5))
    h = F.gelu(x * y)
    expected = {"mul": function(x, y)[1, 5], "gelu": h[5, 2], "cat": h[5, 2]}
    for operator, value in expected.items():
        if operator != "mul":  # there are two
            assert found[operator] == value.item()


def test_what_is_written_afterwards_is_known_as_it_was() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        z = y * 3
        y.mul_(100)
        return z.exp()

    found = values(function, torch.zeros(3), index=(1,))
    assert (found["add"], found["mul"]) == (1.0, 3.0)


def test_several_elements_of_one_result_are_left_out() -> None:
    x = torch.randn(3, 3)
    found = values(lambda x: x.exp() + x.exp().t() * 2, x, index=(0, 2))
    assert {"exp", "mul", "add"} == set(found)

    def twice(x: torch.Tensor) -> torch.Tensor:
        h = x.exp()
        return h + h.t()

    assert set(values(twice, x, index=(0, 2))) == {"add"}


def test_large_calls_are_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(eager_values, "_KEPT", 10)
    assert values(lambda x: x + 1, torch.ones(20), index=(0,)) == {}


@hypothesis.settings(
    max_examples=30, suppress_health_check=list(hypothesis.HealthCheck), deadline=None
)
@hypothesis.given(programs(most=12))
def test_random_programs(program: Program) -> None:
    """The result's own element is that of eager's result, bit for bit."""
    function, args = program.function(), program.arguments(0)
    if run_quietly(function, program.arguments(0))[0] != "ok":
        return
    try:
        call = prepared(fusekit.fuse(function, engine="reference"), tuple(args), {})
    except FusionDeclined:
        return
    graph = call.program.graph
    with kept_generators(call.device):
        found = EagerValues(call, function, tuple(args), {})
        made = function(*program.arguments(0))
    tensors = [item for item in pytree.tree_leaves(made) if isinstance(item, torch.Tensor)]
    if len(tensors) != len(call.program.results) or call.program.writes:
        return
    for value, tensor in zip(call.program.results, tensors, strict=True):
        node = graph.producers.get(value)
        if node is None or not tensor.numel() or not node.is_pointwise:
            continue
        index = tuple(extent - 1 for extent in tensor.shape)
        known = found.at(value, index)
        if node.site in known:
            assert repr(known[node.site]) == repr(tensor[index].item())

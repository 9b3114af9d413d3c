"""The byte ledger: one row for one place in memory, with bytes computed by hand."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.viz.collect.fused import collect
from fusekit.viz.collect.places import memory_of
from fusekit.viz.collect.wholeprogram import collect_compiled

SIDE = 8
SQUARE = SIDE * SIDE * 4  # bytes of a float32 matrix


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def rows_of(view):
    ledger = view.model["ledger"]
    assert ledger["eager"] == sum(row["eager"] for row in ledger["rows"])
    assert ledger["fused"] == sum(row["fused"] for row in ledger["rows"])
    assert all(row["removed"] == (row["fused"] == 0) for row in ledger["rows"])
    labels = {node["value"]: node["label"] for node in reversed(view.model["graph"]["nodes"])}
    assert all(labels[row["value"]] == row["name"] for row in ledger["rows"])
    return [(row["name"], row["eager"], row["fused"]) for row in ledger["rows"]], ledger["floor"]


def square():
    return torch.randn(SIDE, SIDE)


def test_a_tensor_of_several_graphs_has_one_row():
    def program(x, w):
        y = torch.relu(x * 2) @ w
        torch._dynamo.graph_break()
        return y.sigmoid() + y * x

    compiled = torch.compile(program, backend="fusekit")
    rows, floor = rows_of(collect_compiled(compiled, (square(), square()), {}, timing=False))
    assert rows == [
        ("x", 2 * SQUARE, 2 * SQUARE),  # read by both products; by a kernel of each graph
        ("w", SQUARE, SQUARE),
        ("mul", 2 * SQUARE, 0),  # written, and read by relu
        ("relu", 2 * SQUARE, 2 * SQUARE),  # for mm it is in memory
        ("mm", 3 * SQUARE, 2 * SQUARE),  # written; read by sigmoid and mul, by one kernel
        ("sigmoid", 2 * SQUARE, 0),
        ("mul", 2 * SQUARE, 0),
        ("add", SQUARE, SQUARE),
    ]
    assert floor == 3 * SQUARE  # x, w and the result


def test_a_tensor_of_several_groups_has_one_row():
    def groups(x, w):
        h = x * 2
        return (h @ w) + x, h + x

    rows, floor = rows_of(collect(fusekit.fuse(groups), (square(), square()), {}, timing=False))
    by_name = {name: (eager, fused) for name, eager, fused in rows if name != "add"}
    assert by_name == {
        "x": (3 * SQUARE, 2 * SQUARE),  # by three operators; by two kernels
        "w": (SQUARE, SQUARE),
        "mul": (3 * SQUARE, 2 * SQUARE),  # written; read by mm and add, of which add is with it
        "mm": (2 * SQUARE, 2 * SQUARE),
    }
    assert [row for row in rows if row[0] == "add"] == [("add", SQUARE, SQUARE)] * 2
    assert floor == 4 * SQUARE


@pytest.mark.parametrize("other", [lambda x: x, torch.t], ids=["itself", "its transpose"])
def test_one_tensor_given_twice_has_one_row(other):
    x = square()
    view = collect(
        fusekit.fuse(lambda a, b: torch.relu(a * 2) + b), (x, other(x)), {}, timing=False
    )
    rows, floor = rows_of(view)
    assert [row[0] for row in rows] == ["a", "mul", "relu", "add"]
    assert rows[0] == ("a", 2 * SQUARE, 2 * SQUARE)
    assert floor == 2 * SQUARE


def test_what_pytorch_runs_between_graphs_is_counted():
    def positive(x):
        return (x[x > 0] * 2).relu()

    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(positive, backend="fusekit")
        rows, floor = rows_of(collect_compiled(compiled, (torch.ones(64),), {}, timing=False))
    assert rows == [
        ("x", 2 * 256, 2 * 256),  # read by gt and by index
        ("gt", 2 * 64, 2 * 64),
        ("index", 2 * 256, 2 * 256),
        ("mul", 2 * 256, 0),
        ("relu", 256, 256),
    ]
    assert floor == 2 * 256


def test_memory_is_the_same_for_all_views_of_all_of_it():
    x = torch.randn(4, 6)
    assert (
        memory_of(x) == memory_of(x.t()) == memory_of(x.view(-1)) == memory_of(x.view(torch.int32))
    )
    assert len({memory_of(x), memory_of(x[1:]), memory_of(x[:, 1:]), memory_of(x[:, :-1])}) == 4
    assert memory_of(x[:, ::2]) != memory_of(x[:, 1::2])
    assert memory_of(x[:1].expand(4, 6)) != memory_of(x)
    assert memory_of(3) is None

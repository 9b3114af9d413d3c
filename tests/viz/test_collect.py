"""What a view of a real call holds."""

from __future__ import annotations

import torch

import fusekit
from fusekit.viz.collect.fused import collect


def shifted(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.relu(x + bias.t()) * 2


def test_a_view_holds_the_text_of_every_engine_wherever_it_is_made() -> None:
    given = (torch.zeros(64, 64), torch.zeros(64, 64))
    model = collect(fusekit.fuse(shifted), given, {}, timing=False).model
    texts = {source["language"]: source for source in model["sources"]}
    assert list(texts) == ["llvm", "asm", "cpp", "cuda", "ir"]
    assert "__shared__" in texts["cuda"]["text"]  # bound as for tensors on a GPU
    assert set(texts["cuda"]["lines"]) == set(texts["cpp"]["lines"])


def test_a_value_that_several_groups_compute_comes_from_within_each() -> None:
    """x + 1 is cheaper to compute on both sides of the product than to store."""

    def across(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        h = x + 1
        return torch.tanh(torch.relu(h) @ w) * h

    given = (torch.zeros(64, 64), torch.zeros(64, 64))
    graph = collect(fusekit.fuse(across), given, {}, timing=False).model["graph"]
    place = {node["id"]: i for i, node in enumerate(graph["nodes"])}
    assert [node["label"] for node in graph["nodes"]].count("add") == 2
    assert all(place[edge["source"]] < place[edge["target"]] for edge in graph["edges"])


def test_nodes_hold_bytes_and_strides() -> None:
    given = (torch.zeros(3, 4), torch.zeros(4, 3))
    nodes = collect(fusekit.fuse(shifted), given, {}, timing=False).model["graph"]["nodes"]
    held = {node["label"]: (node["strides"], node["bytes"]) for node in nodes}
    assert held["bias"] == ([3, 1], 48)
    assert held["relu"][1] == 48

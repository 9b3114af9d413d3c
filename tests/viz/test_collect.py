"""What a view of a real call holds."""

from __future__ import annotations

import torch

import fusekit
from fusekit.viz.collect import collect


def shifted(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.relu(x + bias.t()) * 2


def test_a_view_holds_the_text_of_every_engine_wherever_it_is_made() -> None:
    given = (torch.zeros(64, 64), torch.zeros(64, 64))
    model = collect(fusekit.fuse(shifted), given, {}, timing=False).model
    texts = {source["language"]: source for source in model["sources"]}
    assert list(texts) == ["llvm", "asm", "cpp", "cuda", "ir"]
    assert "__shared__" in texts["cuda"]["text"]  # bound as for tensors on a GPU
    assert set(texts["cuda"]["lines"]) == set(texts["cpp"]["lines"])

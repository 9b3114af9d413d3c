"""The whole stack once, in seconds: what pre-commit runs."""

import pytest
import torch

import fusekit


def chain(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (torch.relu(x * y) + 0.5) * 2


def test_a_chain_is_one_kernel_with_the_values_of_eager() -> None:
    fused = fusekit.fuse(chain)
    x, y = torch.randn(33, 7), torch.randn(7)
    assert torch.equal(fused(x, y), chain(x, y))
    explanation = fused.explain(x, y)
    assert len(explanation.groups) == 1
    assert not explanation.declined


def test_the_kernel_can_be_read() -> None:
    x = torch.randn(8)
    assert fusekit.fuse(chain).source(x, x).strip()
    assert fusekit.fuse(chain).source(x, x, language="ir").strip()


def test_what_eager_rejects_is_rejected() -> None:
    with pytest.raises(RuntimeError):
        fusekit.fuse(chain)(torch.randn(3), torch.randn(4))


def test_what_cannot_be_fused_still_works() -> None:
    def sort(x: torch.Tensor) -> torch.Tensor:
        return torch.sort(x * 2).values + 1

    x = torch.randn(16)
    assert torch.equal(fusekit.fuse(sort)(x), sort(x))

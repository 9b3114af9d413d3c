"""A capture that met trouble is no capture, whatever the function made of it."""

import torch

import fusekit
from fusekit.specs import Reason


class Box:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


def test_an_exception_that_the_function_swallows_declines_the_capture() -> None:
    def careful(x: torch.Tensor) -> torch.Tensor:
        try:
            return x.nonzero() * 2
        except RuntimeError:
            return x * 3

    x = torch.tensor([1.0, 0.0, 2.0])
    fused = fusekit.fuse(careful)
    assert torch.equal(fused(x), x.nonzero() * 2)
    assert fused.explain(x).declined[0].reason is Reason.DATA_DEPENDENT


def test_an_object_that_may_hold_tensors_is_not_returned_from_a_trace() -> None:
    def boxed(x: torch.Tensor) -> tuple[torch.Tensor, Box]:
        return x * 2, Box(x + 1)

    x = torch.ones(3)
    fused = fusekit.fuse(boxed)
    assert type(fused(x)[1].tensor) is torch.Tensor
    assert torch.equal(fused(x)[1].tensor, x + 1)
    assert fused.explain(x).declined[0].reason is Reason.CAPTURE

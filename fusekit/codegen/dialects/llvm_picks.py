"""How an LLVM kernel loads every second, third or fourth element: whole vectors, then shuffles."""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.codegen.dialects.llvm_tensors import Tensor

__all__ = ["picked"]

_REGISTER = 64
"""Bytes of the widest vector register; LLVM divides what is too wide for a machine."""


def picked(tensor: Tensor, place: str) -> Iterator[str]:
    """Fill the tensor's buffer with a vector of the elements from `place` on.

    Nothing beyond the last of them is read, which may be the last of the memory.
    """
    width = min(tensor.lanes, _REGISTER // tensor.dtype.itemsize)
    for part in range(tensor.lanes // width):
        yield from _part(tensor, place, part * width, width)


def _part(tensor: Tensor, place: str, first: int, width: int) -> Iterator[str]:
    """`width` elements by as many loads of that width as the step says; the last ends with them."""
    step, kind = tensor.step, f"<{width} x {tensor.element}>"
    name = f"{place}.{first}"
    starts = [number * width for number in range(step - 1)]
    starts.append(step * (width - 1) + 1 - width)
    for number, start in enumerate(starts):
        at, offset = f"{name}.at{number}", first * step + start
        yield f"  {at} = getelementptr {tensor.element}, ptr {place}, i64 {offset}"
        yield f"  {name}.load{number} = load {kind}, ptr {at}, align {tensor.dtype.itemsize}"
    found = f"{name}.load0"
    for number in range(1, step):
        lanes = (_source(lane, number, starts, step, width) for lane in range(width))
        mask = ", ".join(f"i32 {'poison' if lane is None else lane}" for lane in lanes)
        operands = f"{kind} {found}, {kind} {name}.load{number}"
        found = f"{name}.picked{number}"
        yield f"  {found} = shufflevector {operands}, <{width} x i32> <{mask}>"
    yield f"  {name}.slot = getelementptr {tensor.element}, ptr %{tensor.name}.pack, i64 {first}"
    yield f"  store {kind} {found}, ptr {name}.slot, align {tensor.dtype.itemsize}"


def _source(lane: int, number: int, starts: list[int], step: int, width: int) -> int | None:
    """Which lane of the two operands of shuffle `number` goes to `lane`; None: none yet.

    The first operand holds what the loads before this one gave, in place from shuffle 2 on.
    """
    element = lane * step
    if element < number * width:
        return element if number == 1 else lane
    within = element - starts[number]
    return width + within if within < width else None

"""Shapes and strides of elementwise results, as eager PyTorch chooses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from fusekit.frontends.calls import name_of, qualified, tensors_in
from fusekit.ir.graph import broadcast_shapes, contiguous_strides

__all__ = ["counted", "elementwise_strides", "is_apart", "layout", "twin_of"]

_LIKE = frozenset(
    f"aten.{name}"
    for name in (
        *("_to_copy", "clone", "empty_like", "zeros_like", "ones_like", "full_like", "hardtanh"),
        *("nan_to_num", "huber_loss", "rand_like", "uniform"),
    )
)
"""Operators that keep even those strides of their argument that no element needs."""

_CONTIGUOUS = frozenset(
    f"aten.{name}"
    for name in (
        *("masked_fill.Scalar", "masked_fill.Tensor", "pow.Scalar", "mvlgamma.default"),
        *("bernoulli.default", "bernoulli.p", "bernoulli.Tensor"),
    )
)
"""Operators whose result is contiguous whatever their arguments are."""

_OF_FLOATS = frozenset(
    f"aten.{name}"
    for name in ("atan2", "copysign", "div", "special_xlog1py", "special_zeta", "xlogy")
)
"""Operators of two tensors that take integers as floats."""

_OPERANDS = ("self", "other", "exponent", "tensor1", "tensor2", "min", "max", "target")


def layout(func: Any, given: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Shape and strides of an elementwise result; None where they take more than these rules."""
    wanted = given.get("memory_format")
    known = wanted in (None, torch.contiguous_format, torch.preserve_format)
    if not known or given.get("reduction"):
        return None
    if name_of(func) == "aten.arange":
        numbers = counted(given)
        return None if numbers is None else ((len(numbers),), (1,))
    if "size" in given:
        size = tuple(given["size"])
        return size, contiguous_strides(size)
    tensors = _tensors(name_of(func), given)
    shape = broadcast_shapes([tuple(t.shape) for t in tensors])
    if shape is None:
        return None
    if wanted is torch.contiguous_format or qualified(func) in _CONTIGUOUS:
        return shape, contiguous_strides(shape)
    return shape, _strides(name_of(func), given, tensors, shape)


def counted(given: dict[str, Any]) -> range | None:
    """The numbers of an arange over integers; None for another, or one that eager refuses."""
    start, end, step = given.get("start", 0), given["end"], given.get("step", 1)
    if not all(type(number) is int for number in (start, end, step)) or (end - start) * step < 0:
        return None
    return range(start, end, step) if step else None


def _strides(
    name: str, given: dict[str, Any], tensors: list[torch.Tensor], shape: tuple[int, ...]
) -> tuple[int, ...]:
    is_like = name in _LIKE or (name == "aten.isinf" and not tensors[0].is_floating_point())
    if is_like and (_is_dense(tensors[0]) or not tensors[0].numel()):
        return tensors[0].stride()
    tensors = _tensors(name, _as_read(name, given))
    # eager makes 0-dim tensors of numbers among the operands
    numbers = any(isinstance(given.get(key), bool | int | float) for key in ("self", "other"))
    strides = elementwise_strides(shape, tensors, of_one_shape=not numbers)
    if name == "aten.isinf":  # abs(x) == inf
        like = torch.empty_strided(shape, strides, device="meta")
        strides = elementwise_strides(shape, [like], of_one_shape=False)
    return strides


def _tensors(name: str, given: dict[str, Any]) -> list[torch.Tensor]:
    """In the order in which the loop takes them."""
    found = list(tensors_in(tuple(given.values())))
    return found[::-1] if name == "aten.rsub" else found  # it is sub(other, self)


def _as_read(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the loop reads them: on the CPU, those that it converts are copied first."""
    operands = {key: given[key] for key in _OPERANDS if given.get(key) is not None}
    tensors = {key: x for key, x in operands.items() if isinstance(x, torch.Tensor)}
    if len(operands) < 2 or not _on_cpu(tensors.values()):
        return given
    with torch._C._DisableTorchDispatch():  # noqa: SLF001  twins are for no mode to see
        common = _common_dtype(list(operands.values()))
        if name in _OF_FLOATS and not given.get("rounding_mode") and not common.is_floating_point:
            common = torch.get_default_dtype()
        return given | {
            key: _copied(tensor) for key, tensor in tensors.items() if tensor.dtype != common
        }


def _on_cpu(tensors: Iterable[torch.Tensor]) -> bool:
    return all(tensor.device.type == "cpu" for tensor in tensors)


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """A copy's layout: what is dense keeps its own."""
    if _is_dense(tensor) or not tensor.numel():
        return tensor
    strides = elementwise_strides(tuple(tensor.shape), [tensor])
    return torch.empty_strided(tensor.shape, strides, device="meta")


def _common_dtype(operands: Sequence[Any]) -> torch.dtype:
    common, *others = (twin_of(x) if isinstance(x, torch.Tensor) else x for x in operands)
    for other in others:
        dtype = torch.result_type(common, other)
        common = torch.empty(1, dtype=dtype, device="meta")
    return dtype


def elementwise_strides(
    shape: tuple[int, ...], tensors: Sequence[torch.Tensor], *, of_one_shape: bool = True
) -> tuple[int, ...]:
    """What eager PyTorch gives a new result: aten/src/ATen/TensorIterator.cpp, reorder_dimensions.

    The dimensions are sorted by the operands' strides, an earlier operand deciding first; operands
    `of_one_shape`, to which numbers do not belong, take a short cut.
    """
    if of_one_shape and all(tuple(t.shape) == shape for t in tensors):
        common = _common_strides(shape, tensors)
        if common is not None:
            return common
    strides = [_expanded_strides(tensor, shape) for tensor in tensors]
    order = list(range(len(shape)))[::-1]
    for start in range(1, len(order)):
        moving = start
        for other in range(start - 1, -1, -1):
            verdict = _compare(order[other], order[moving], shape, strides)
            if verdict > 0:
                order[other], order[moving] = order[moving], order[other]
                moving = other
            elif verdict < 0:
                break
    if order == list(range(len(shape)))[::-1]:
        return contiguous_strides(shape)
    found, step = [0] * len(shape), 1
    for dim in order:
        found[dim] = step
        step *= shape[dim]
    return tuple(found)


def _common_strides(
    shape: tuple[int, ...], tensors: Sequence[torch.Tensor]
) -> tuple[int, ...] | None:
    if all(t.is_contiguous() for t in tensors):
        return contiguous_strides(shape)
    if all(_is_channels_last(t) for t in tensors):
        _, channels, height, width = shape
        return (channels * height * width, 1, channels * width, channels)
    same = len({t.stride() for t in tensors}) == 1 and _is_dense(tensors[0])
    return tensors[0].stride() if same else None


def _expanded_strides(tensor: torch.Tensor, shape: tuple[int, ...]) -> list[int]:
    """The tensor's strides in the result's dimensions, 0 where it is broadcast."""
    missing = len(shape) - tensor.dim()
    dims = zip(tensor.shape, tensor.stride(), shape[missing:], strict=True)
    return [0] * missing + [0 if own == 1 != full else stride for own, stride, full in dims]


def _compare(
    first: int, second: int, shape: tuple[int, ...], strides: Sequence[Sequence[int]]
) -> int:
    """1 if `first` varies more slowly in memory than `second`, -1 if faster, 0 if undecided."""
    for operand in strides:
        one, two = operand[first], operand[second]
        if 0 in (one, two):
            continue
        if one != two:
            return 1 if one > two else -1
        if shape[first] > shape[second]:
            return 1
    return 0


def _is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def _is_dense(tensor: torch.Tensor) -> bool:
    """True if no two elements overlap and none of the memory between them is unused."""
    expected = 1
    for stride, extent in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True


def twin_of(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor without data, on the meta device, laid out the same."""
    size, stride = tuple(tensor.shape), tensor.stride()
    return torch.empty_strided(size, stride, dtype=tensor.dtype, device="meta")


def is_apart(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """True if no two elements share memory, as far as can be told dimension by dimension.

    Of tensors whose elements do, eager PyTorch's result depends on its loops.
    """
    end = 0  # the furthest element that the smaller strides reach
    for stride, extent in sorted(zip(strides, shape, strict=True)):
        if extent > 1:
            if stride <= end:
                return False
            end += (extent - 1) * stride
    return True

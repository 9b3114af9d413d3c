"""Fake tensors, mostly without `FakeTensorMode`.

An operator through the mode costs 0.1 ms, and the first one imports torch.compile and sympy, which
takes a second.

For the operators that the table lowers, dtypes come from running the real operator once on tensors
of one element (which also tells whether eager has it for these dtypes at all), shapes and strides
from the broadcasting rules. Views run on a fake tensor's *twin* on torch's meta device. Whatever
else there is goes through the mode.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from fusekit.frontends.aten import RULES
from fusekit.frontends.calls import (
    bind,
    is_view,
    map_leaves,
    map_tensors,
    name_of,
    qualified,
    tensors_in,
)
from fusekit.ir.graph import broadcast_shapes, contiguous_strides

__all__ = ["Fakes", "elementwise_strides", "is_supported", "result_dtype"]

_PACKAGE = "torch._dynamo"
_lock = threading.Lock()

_PRODUCTS = {"aten.mm": 0, "aten.bmm": 0, "aten.addmm": 1, "aten.baddbmm": 1}
"""Matrix products, and how many arguments come before the two factors."""


class _Mode(FakeTensorMode):  # type: ignore[no-untyped-call]
    """The mode with its handler unwrapped: the wrapper would import the package as well."""

    __torch_dispatch__ = inspect.unwrap(FakeTensorMode.__torch_dispatch__)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Fakes:
    """The fake tensors of one trace.

    Attributes:
        mode: to be active while the function runs: its factories must not make real tensors.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.mode = _new_mode()
        self._twins: dict[int, torch.Tensor] = {}
        self._alive: list[torch.Tensor] = []

    def like(self, real: torch.Tensor) -> FakeTensor:
        """The fake version of a real tensor."""
        if real.layout is not torch.strided or real.is_quantized or real.is_neg() or real.is_conj():
            return self.mode.from_tensor(real, static_shapes=True)
        with torch._C._DisableTorchDispatch():  # noqa: SLF001  the twin is for no mode to see
            twin = _twin(real)
            offset = real.storage_offset()
            if offset:
                count = real.untyped_storage().nbytes() // real.itemsize
                whole = torch.empty(count, dtype=real.dtype, device="meta")
                twin = whole.as_strided(real.shape, real.stride(), offset)
            fake = FakeTensor(self.mode, twin, real.device)
        self._remember(fake, twin)
        if isinstance(real, torch.nn.Parameter):
            fake._is_param = True  # noqa: SLF001  as the mode does
        fake.requires_grad_(real.requires_grad)
        return fake

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The fake result of an operator on fake tensors."""
        if name_of(func) == "aten.log_sigmoid_forward":
            made = func(*args, **kwargs)
            with torch._C._DisableTorchDispatch():  # noqa: SLF001  the twins are for no mode to see
                return tuple(self._wrap(x.device, _dense_twin(x)) for x in made)
        if name_of(func) in RULES or name_of(func) in _ITERATED:
            made = self._elementwise(func, args, kwargs)
            return func(*args, **kwargs) if made is None else made
        if not _is_plain(func):
            return self._product(func, args, kwargs)
        devices: set[torch.device] = set()

        def twin_of(fake: torch.Tensor) -> torch.Tensor:
            devices.add(fake.device)
            if id(fake) not in self._twins:
                self._remember(fake, _twin(fake))
            return self._twins[id(fake)]

        with torch._C._DisableTorchDispatch():  # noqa: SLF001  the twins are for no mode to see
            twins = map_tensors(twin_of, (args, kwargs))
            if len(devices) == 1:
                made = func(*twins[0], **twins[1])
                return map_tensors(functools.partial(self._wrap, devices.pop()), made)
        return func(*args, **kwargs)

    def _elementwise(self, func: Any, args: Any, kwargs: Any) -> FakeTensor | None:
        """The fake result of an operator of the table, if its layout follows from a simple rule."""
        given = bind(func, args, kwargs)
        layout = _layout(func, given)
        if layout is None:
            return None
        dtype = result_dtype(func, args, kwargs)
        if dtype is None:
            return None
        tensors = sorted(tensors_in(tuple(given.values())), key=lambda tensor: not tensor.dim())
        device = given.get("device") or (tensors[0].device if tensors else torch.device("cpu"))
        with torch._C._DisableTorchDispatch():  # noqa: SLF001  the twin is for no mode to see
            twin = torch.empty_strided(*layout, dtype=dtype, device="meta")
            return self._wrap(torch.device(device), twin)

    def _product(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A matrix product of plain operands without the mode; anything else through the mode."""
        operands = args[_PRODUCTS.get(name_of(func), 0) :]
        if name_of(func) not in _PRODUCTS or kwargs or not _is_product(operands):
            return func(*args, **kwargs)
        left, right = operands
        shape = (*left.shape[:-1], right.shape[-1])
        with torch._C._DisableTorchDispatch():  # noqa: SLF001  the twin is for no mode to see
            return self._wrap(left.device, torch.empty(shape, dtype=left.dtype, device="meta"))

    def _wrap(self, device: torch.device, twin: torch.Tensor) -> FakeTensor:
        fake = FakeTensor(self.mode, twin, device)
        self._remember(fake, twin)
        return fake

    def _remember(self, fake: torch.Tensor, twin: torch.Tensor) -> None:
        self._twins[id(fake)] = twin
        self._alive.append(fake)


@functools.cache
def _is_plain(func: Any) -> bool:
    """True when the meta kernel decides alone."""
    return is_view(func)


def _is_product(operands: Sequence[Any]) -> bool:
    """True for two factors that fit."""
    if len(operands) != 2:
        return False
    left, right = operands
    fits = left.shape[-1] == right.shape[-2] and left.shape[:-2] == right.shape[:-2]
    return bool(fits and left.dtype == right.dtype and left.device == right.device)


_dtypes: dict[Any, torch.dtype | None] = {}


def result_dtype(func: Any, args: Any, kwargs: Any) -> torch.dtype | None:
    """What eager PyTorch returns for arguments of these dtypes; None if it refuses them."""
    key = (func, _signature((args, kwargs)), torch.get_default_dtype())
    if key not in _dtypes:
        _dtypes[key] = _ask(func, args, kwargs)
    return _dtypes[key]


def is_supported(func: Any, args: Any, kwargs: Any) -> bool:
    """True if eager PyTorch has the operator for arguments of these dtypes."""
    return result_dtype(func, args, kwargs) is not None


def _ask(func: Any, args: Any, kwargs: Any) -> torch.dtype | None:
    """Run the real operator on tensors of one element."""

    def shrink(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.ones((1,) * min(value.dim(), 1), dtype=value.dtype, device=value.device)
        return value

    given = bind(func, args, kwargs)
    short = {"size": [1]} if "size" in given else {}
    with torch._C._DisableTorchDispatch():  # noqa: SLF001  likewise
        named = {**map_leaves(shrink, given), **short}
    order = [a.name for a in func._schema.arguments if not a.kwarg_only]  # noqa: SLF001
    positional = [named.pop(name) for name in order if name in named]
    try:
        with torch.no_grad(), torch._C._DisableTorchDispatch():  # noqa: SLF001  no mode may see it
            made = func(*positional, **named)
    except (RuntimeError, TypeError, ValueError, ArithmeticError):
        return None
    dtype: torch.dtype = next(tensors_in(made)).dtype
    return dtype


def _signature(tree: Any) -> Any:
    """What eager's verdict depends on: dtypes, 0-dim or not, kinds of scalars."""
    if isinstance(tree, torch.Tensor):
        return tree.dtype, tree.dim() == 0, tree.device.type
    if isinstance(tree, list | tuple):
        return tuple(_signature(item) for item in tree)
    if isinstance(tree, dict):
        return tuple((key, _signature(item)) for key, item in tree.items())
    if type(tree) is int:  # which may be a power that needs no kernel, or too large for the dtype
        return int, tree if tree in (0, 1) else tree.bit_length(), tree < 0
    return float if type(tree) is float else str(tree)


_LIKE = frozenset(
    f"aten.{name}"
    for name in (
        *("_to_copy", "clone", "empty_like", "zeros_like", "ones_like", "full_like", "hardtanh"),
        *("nan_to_num", "huber_loss"),
    )
)
"""Operators that keep even those strides of their argument that no element needs."""

_ITERATED = frozenset(
    f"aten.{name}"
    for name in (
        *("logit", "sinc", "hardshrink", "softshrink", "heaviside", "nan_to_num"),
        *("mse_loss", "smooth_l1_loss", "huber_loss"),
    )
)
"""Operators without a rule whose results are laid out like those of the others."""

_CONTIGUOUS = frozenset({"aten.masked_fill.Scalar", "aten.masked_fill.Tensor", "aten.pow.Scalar"})
"""Operators whose result is contiguous whatever their arguments are."""


def _layout(func: Any, given: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Shape and strides of an elementwise result; None where they take more than these rules."""
    wanted = given.get("memory_format")
    known = wanted in (None, torch.contiguous_format, torch.preserve_format)
    if not known or given.get("reduction"):
        return None
    if "size" in given:
        size = tuple(given["size"])
        return size, contiguous_strides(size)
    tensors = list(tensors_in(tuple(given.values())))
    if name_of(func) == "aten.rsub":  # sub(other, self)
        tensors.reverse()
    shape = broadcast_shapes([tuple(t.shape) for t in tensors])
    if shape is None:
        return None
    if wanted is torch.contiguous_format or qualified(func) in _CONTIGUOUS:
        return shape, contiguous_strides(shape)
    return shape, _strides(name_of(func), given, tensors, shape)


def _strides(
    name: str, given: dict[str, Any], tensors: list[torch.Tensor], shape: tuple[int, ...]
) -> tuple[int, ...]:
    is_like = name in _LIKE or (name == "aten.isinf" and not tensors[0].is_floating_point())
    if is_like and (_is_dense(tensors[0]) or not tensors[0].numel()):
        return tensors[0].stride()
    tensors = _as_read(given, tensors)
    # eager makes 0-dim tensors of numbers among the operands
    numbers = any(isinstance(given.get(key), bool | int | float) for key in ("self", "other"))
    strides = elementwise_strides(shape, tensors, of_one_shape=not numbers)
    if name == "aten.isinf":  # abs(x) == inf
        like = torch.empty_strided(shape, strides, device="meta")
        strides = elementwise_strides(shape, [like], of_one_shape=False)
    return strides


def _as_read(given: dict[str, Any], tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The operands as the loop reads them: on the CPU, those that it converts are copied first."""
    operands = [given[name] for name in ("self", "other", "exponent") if name in given]
    if len(operands) != 2 or None in operands or tensors[0].device.type != "cpu":
        return tensors
    with torch._C._DisableTorchDispatch():  # noqa: SLF001  twins are for no mode to see
        common = torch.result_type(
            *(_twin(x) if isinstance(x, torch.Tensor) else x for x in operands)
        )
        return [
            tensor
            if tensor.dtype in (common, torch.bool) or _is_dense(tensor) or not tensor.numel()
            else torch.empty_strided(
                tensor.shape, elementwise_strides(tuple(tensor.shape), [tensor]), device="meta"
            )
            for tensor in tensors
        ]


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


def _twin(tensor: torch.Tensor) -> torch.Tensor:
    size, stride = tuple(tensor.shape), tensor.stride()
    return torch.empty_strided(size, stride, dtype=tensor.dtype, device="meta")


def _dense_twin(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device="meta")


def _new_mode() -> FakeTensorMode:
    with _lock, _config_alone():
        return _Mode(allow_non_fake_inputs=True)


@contextlib.contextmanager
def _config_alone() -> Iterator[None]:
    """Let the mode import its two settings from `torch._dynamo.config` without the package."""
    found = None if _PACKAGE in sys.modules else importlib.util.find_spec(_PACKAGE)
    if found is None or found.submodule_search_locations is None:
        yield
        return
    stand_in = types.ModuleType(_PACKAGE)
    stand_in.__path__ = list(found.submodule_search_locations)
    sys.modules[_PACKAGE] = torch._dynamo = stand_in  # noqa: SLF001  for a moment
    try:
        stand_in.config = importlib.import_module(_PACKAGE + ".config")  # type: ignore[attr-defined]
        yield
    finally:
        sys.modules.pop(_PACKAGE)
        del torch._dynamo  # noqa: SLF001  torch imports the real one when asked

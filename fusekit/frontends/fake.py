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
    tensors_in,
)
from fusekit.frontends.strides import layout, twin_of
from fusekit.locks import lock

__all__ = ["Fakes", "is_supported", "result_dtype"]

_PACKAGE = "torch._dynamo"
_lock = lock()

_PRODUCTS = {"aten.mm": 0, "aten.bmm": 0, "aten.addmm": 1, "aten.baddbmm": 1}
"""Matrix products, and how many arguments come before the two factors."""


_MISSTATED = {
    "aten._native_batch_norm_legit_functional": {3: "running_mean", 4: "running_var"},
}
"""Operators whose fake results have another dtype than real ones (float32 instead of a half):
result -> the argument that has its dtype."""


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
            twin = twin_of(real)
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
        if name_of(func) in _MISSTATED:
            return self._restated(func, args, kwargs)
        if not _is_plain(func):
            return self._product(func, args, kwargs)
        devices: set[torch.device] = set()

        def remembered(fake: torch.Tensor) -> torch.Tensor:
            devices.add(fake.device)
            if id(fake) not in self._twins:
                self._remember(fake, twin_of(fake))
            return self._twins[id(fake)]

        with torch._C._DisableTorchDispatch():  # noqa: SLF001  the twins are for no mode to see
            twins = map_tensors(remembered, (args, kwargs))
            if len(devices) == 1:
                made = func(*twins[0], **twins[1])
                return map_tensors(functools.partial(self._wrap, devices.pop()), made)
        return func(*args, **kwargs)

    def like_of(
        self, fake: torch.Tensor, dtype: torch.dtype, strides: tuple[int, ...] | None = None
    ) -> FakeTensor:
        """Another fake tensor, laid out like one (or under these strides) and on its device."""
        strides = fake.stride() if strides is None else strides
        return self._strided(tuple(fake.shape), strides, dtype, fake.device)

    def _strided(
        self,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device,
    ) -> FakeTensor:
        with torch._C._DisableTorchDispatch():  # noqa: SLF001  the twin is for no mode to see
            twin = torch.empty_strided(shape, strides, dtype=dtype, device="meta")
            return self._wrap(device, twin)

    def drawn(self, func: Any, given: dict[str, Any], dtype: torch.dtype) -> FakeTensor | None:
        """The fake result of a random operator, which nobody may try out: that would draw."""
        found = layout(func, given)
        return None if found is None else self._new(found, given, dtype)

    def _elementwise(self, func: Any, args: Any, kwargs: Any) -> FakeTensor | None:
        """The fake result of an operator of the table, if its layout follows from a simple rule."""
        given = bind(func, args, kwargs)
        found = layout(func, given) if len(func._schema.returns) == 1 else None  # noqa: SLF001
        if found is None:
            return None
        dtype = result_dtype(func, args, kwargs)
        if dtype is None:
            return None
        return self._new(found, given, dtype)

    def _new(
        self,
        laid_out: tuple[tuple[int, ...], tuple[int, ...]],
        given: dict[str, Any],
        dtype: torch.dtype,
    ) -> FakeTensor:
        """A fake tensor on the device that the arguments name, or are on."""
        tensors = sorted(tensors_in(tuple(given.values())), key=lambda tensor: not tensor.dim())
        device = given.get("device") or (tensors[0].device if tensors else torch.device("cpu"))
        return self._strided(*laid_out, dtype, torch.device(device))

    def _restated(self, func: Any, args: Any, kwargs: Any) -> tuple[torch.Tensor, ...]:
        """What the mode says, with the dtypes that eager gives."""
        made, given = list(func(*args, **kwargs)), bind(func, args, kwargs)
        for index, name in _MISSTATED[name_of(func)].items():
            made[index] = self.like_of(made[index], given[name].dtype)
        return tuple(made)

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

    def forget(self, fake: torch.Tensor) -> None:
        """The fake tensor has another shape now."""
        self._twins.pop(id(fake), None)

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
    short: dict[str, Any] = {"size": [1]} if "size" in given else {}
    if name_of(func) == "aten.arange":
        short["end"] = given.get("start", 0) + given.get("step", 1)
    given.pop("memory_format", None)  # which has a say in the strides alone
    with torch._C._DisableTorchDispatch():  # noqa: SLF001  likewise
        named = {**map_leaves(shrink, given), **short}
    order = [a.name for a in func._schema.arguments if not a.kwarg_only]  # noqa: SLF001
    positional = [named.pop(name) for name in order if name in named]
    try:
        with torch.no_grad(), torch._C._DisableTorchDispatch():  # noqa: SLF001  no mode may see it
            made = func(*positional, **named)
    except RecursionError:  # no verdict of the operator's: it must not be remembered
        raise
    except (RuntimeError, TypeError, ValueError, ArithmeticError, IndexError):
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


_ITERATED = frozenset(
    f"aten.{name}"
    for name in (
        *("logit", "sinc", "hardshrink", "softshrink", "heaviside", "nan_to_num"),
        *("mse_loss", "smooth_l1_loss", "huber_loss", "special_xlog1py"),
    )
)
"""Operators without a rule whose results are laid out like those of the others."""


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

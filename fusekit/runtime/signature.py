"""Signatures: what a call is looked up by, beside the form of its arguments."""

from __future__ import annotations

import types
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch.utils._device import DeviceContext

from fusekit.config import current
from fusekit.frontends.free import Free
from fusekit.runtime.engines import switches
from fusekit.specs import Decline, Reason

__all__ = [
    "CONTEXT",
    "TENSOR",
    "context_key",
    "default_device",
    "foreign_context",
    "is_still",
    "is_tensor_key",
    "leaf_key",
    "n_function_modes",
    "spread",
    "unidentifiable",
    "without_sizes",
]

_DEVICES = ("cpu", "cuda")

_CPU = torch.device("cpu")

n_function_modes = torch._C._len_torch_function_stack  # noqa: SLF001  no public spelling

_function_mode = torch._C._get_function_stack_at  # noqa: SLF001  likewise

_FIXED = (torch.Tensor, type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
"""Types whose values are checked by the plan, or are not changed by sane programs."""


CONTEXT = (
    *("grad mode", "inference mode", "default dtype", "default device"),
    *(f"autocast on {device}" for device in _DEVICES),
    *("option engine", "option fast", "option max_arguments", "switches"),
)
"""What the items of a `context_key` are, in order."""

TENSOR = ("type", "dtype", "shape", "strides", "device", "requires_grad", "layout")
"""What the items of a tensor's `leaf_key` are, in order."""


def context_key() -> tuple[Hashable, ...]:
    """What around a call changes how it runs: torch's modes, options, switches."""
    options = current()
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device() if n_function_modes() else _CPU,  # a default is such a mode
        *[torch.is_autocast_enabled(d) and torch.get_autocast_dtype(d) for d in _DEVICES],
        options.engine,
        options.fast,
        options.max_arguments,
        tuple(vars(switches).values()),
    )


def leaf_key(leaf: Any) -> Any:
    """What a plan depends on of one argument."""
    if isinstance(leaf, torch.Tensor):
        return (
            type(leaf),
            leaf.dtype,
            leaf.shape,
            leaf.stride() if leaf.layout is torch.strided else None,
            leaf.device,
            leaf.requires_grad,
            leaf.layout,
        )
    if type(leaf) in (int, float):
        return type(leaf)
    if type(leaf) is slice:  # hashable from Python 3.12 on
        return (slice, leaf.start, leaf.stop, leaf.step)
    return (type(leaf), leaf)


def is_tensor_key(key: Any) -> bool:
    """True for the `leaf_key` of a tensor."""
    return isinstance(key, tuple) and len(key) == len(TENSOR)


def without_sizes(key: Any) -> Any:
    """What a size-generic program depends on of one argument, whose `leaf_key` this is."""
    return (*key[:2], len(key[2]), None, *key[4:]) if is_tensor_key(key) else key


def is_still(free: Free, key: Hashable) -> bool:
    """True if a tensor that the function closes over has the `leaf_key` it had."""
    try:
        return bool(leaf_key(free.fetch()) == key)
    except (LookupError, AttributeError, ValueError):
        return False


def spread(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Hashable, list[Any]]:
    """The form of a call, and its leaves if lists and tuples hold nothing but leaves."""
    form: list[Hashable] = [len(args), *kwargs]
    leaves: list[Any] = []
    for item in (*args, *kwargs.values()):
        if type(item) is list or type(item) is tuple:
            form.append((type(item), len(item)))
            leaves += item
        else:
            form.append(None)
            leaves.append(item)
    return tuple(form), leaves


def unidentifiable(leaves: Sequence[Any]) -> Decline | None:
    """Why these arguments cannot be told from others, or from what they will be later."""
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor) and leaf.is_nested:
            return Decline(Reason.LAYOUT, "an argument is a nested tensor, which has no shape")
        if _is_mutable(leaf):
            detail = f"an argument of type {type(leaf).__name__} may change between calls"
            advice = "pass tensors, numbers, strings, and lists, tuples or dicts of them"
            return Decline(Reason.CAPTURE, detail, advice=advice)
    return None


def _is_mutable(leaf: Any) -> bool:
    """True for what has no hash, and for objects with attributes that are equal only to themselves.

    Modules too: what they hold is looked at each time only where the function is theirs, or closes
    over them.
    """
    if type(leaf) is slice or isinstance(leaf, _FIXED):
        return False
    hashes: Any = type(leaf).__hash__
    return hashes is None or (hashes is object.__hash__ and hasattr(leaf, "__dict__"))


def default_device() -> torch.device | None:
    """What `torch.set_default_device` or `with torch.device(...)` set, if no other mode is on."""
    if n_function_modes() != 1:
        return None
    mode = _function_mode(0)
    return mode.device if type(mode) is DeviceContext else None


def foreign_context() -> Decline | None:
    """Why a call may not be captured where it stands: another mode or transform is at work."""
    if torch._C._len_torch_dispatch_stack():  # noqa: SLF001  no public spelling
        return Decline(Reason.TRANSFORM, "a torch dispatch mode is active")
    if any(type(_function_mode(i)) is not DeviceContext for i in range(n_function_modes())):
        return Decline(Reason.TRANSFORM, "a torch function mode is active")
    if torch._C._functorch.peek_interpreter_stack() is not None:  # noqa: SLF001  likewise
        return Decline(Reason.TRANSFORM, "inside vmap, grad or another torch.func transform")
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:  # noqa: SLF001  likewise
        return Decline(Reason.TRANSFORM, "inside torch.compile or torch.jit.trace")
    return None

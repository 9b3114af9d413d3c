"""Why an operator becomes a call: told while its tensors are at hand, with what they are."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from fusekit.errors import FusionDeclined
from fusekit.frontends.aten import RULES
from fusekit.frontends.calls import UnknownTensorError, bind, encode, name_of, tensors_in
from fusekit.frontends.draws import DRAWS
from fusekit.frontends.dtypes import FROM_TORCH
from fusekit.ir import Loc
from fusekit.specs import Decline, Reason

__all__ = ["described", "encoded_call", "obstacle", "translated", "unwritable"]


def encoded_call(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    identify: Callable[[torch.Tensor], int],
    why: Decline,
) -> tuple[Any, Any]:
    """The arguments of a call as attributes of its node.

    Raises:
        UnknownTensorError: one of them cannot be one.
        FusionDeclined: it is a generator of random numbers, or a complex number.
    """
    try:
        return encode(args, identify), encode(tuple(kwargs.items()), identify)
    except UnknownTensorError:
        if why.reason not in (Reason.RANDOM, Reason.UNSUPPORTED_DTYPE):
            raise
        raise FusionDeclined(why) from None


_Why = tuple[Reason, str, str]
"""The reason, the operands, and what to change."""


def obstacle(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any, device: torch.device | None
) -> Decline:
    """Why PyTorch is to run an operator, which returns `made`; the user's line is not known."""
    reason, detail, advice = _why(func, args, kwargs, made, device)
    return Decline(reason, detail, str(func), advice=advice)


def unwritable(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], loc: Loc | None, outside: str
) -> Decline:
    """Why a write of an operator cannot be traced.

    `outside` is the name of the closed-over tensor that is written, or "".
    """
    on = _operands(func, args, kwargs)
    if _draws(func):
        return Decline(Reason.RANDOM, f"on {on}, in place", str(func), loc, _draw_outside(func))
    if name_of(func) in _RESHAPING:
        detail = f"an argument, {on}, is given another shape or other memory"
        return Decline(Reason.MUTATION, detail, "", None, "bind the new shape to a new name")
    twin = func._opname.removesuffix("_")  # noqa: SLF001  no public spelling
    if outside:
        advice = f"pass {outside} as an argument, or use {twin}, which returns a new tensor"
        detail = f"on {on}; the first is {outside}, which the function closes over"
        return Decline(Reason.MUTATION, detail, str(func), loc, advice)
    detail = f"on {on}; the first is seen under another name as well"
    return Decline(Reason.MUTATION, detail, str(func), loc, f"use {twin}: it returns a new tensor")


_RESHAPING = frozenset(
    f"aten.{name}_"
    for name in (
        "as_strided",
        "resize",
        "set",
        "squeeze",
        "unsqueeze",
        "t",
        "transpose",
        "swapdims",
    )
)
"""Operators that leave the elements and change what they belong to."""


def translated(
    error: Exception, loc: Loc | None, first_write: tuple[Any, Loc | None] | None
) -> Decline:
    """Why a function that raised while it was traced is not captured.

    `first_write` is the operator that made it be traced again under functionalisation, if it was.
    """
    text = str(error).splitlines()[0] if str(error) else ""
    operator = re.search(r"aten::(\w+)\(.*alias annotation", text)
    packet = getattr(torch.ops.aten, operator[1], None) if operator else None
    if "mutating a non-functional tensor" in text:
        detail = "a tensor that the function closes over is written in place"
        advice = "pass that tensor as an argument, or compute a new one"
        return Decline(Reason.MUTATION, detail, "", loc, advice)
    if first_write is not None and "does not require grad" in text:
        func, where = first_write
        twin = func._opname.removesuffix("_")  # noqa: SLF001  no public spelling
        advice = f"use {twin}, which returns a new tensor; writes that nobody else sees are fused"
        detail = "in place, to a tensor with other names, while gradients are recorded"
        return Decline(Reason.MUTATION, detail, str(func), where, advice)
    if text.endswith("in the TorchScript interpreter."):
        detail = "TorchScript code that it calls; fusekit.fuse takes that directly"
        return Decline(Reason.CAPTURE, detail, "", loc)
    if packet is not None:
        func = getattr(packet, packet.overloads()[0])
        reason = Reason.RANDOM if _draws(func) else Reason.MUTATION
        advice = _draw_outside(func) if _draws(func) else "use the operator out of place"
        return Decline(reason, "in place", str(func), loc, advice)
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return Decline(Reason.CAPTURE, f"{type(error).__name__}: {shown}", "", loc)


_LONGEST = 240
"""Characters of an error's message that are shown."""


def _why(func: Any, args: Any, kwargs: Any, made: Any, device: torch.device | None) -> _Why:
    given = list(tensors_in((args, kwargs)))
    found = next(_rules(func, bind(func, args, kwargs), given, made, device), None)
    if found is not None:
        return found
    on = _operands(func, args, kwargs)
    if name_of(func) in RULES or torch.Tag.pointwise in func.tags:
        return Reason.OPAQUE_OP, f"no kernel takes these arguments: {on}", _PLAIN_ARGUMENTS
    return Reason.OPAQUE_OP, f"on {on}" if on else "", _advice(func)


def described(tensor: torch.Tensor) -> str:
    """Its dtype and shape, `f32[4, 8]`, and whatever else is out of the ordinary."""
    known = FROM_TORCH.get(tensor.dtype)
    name = repr(known) if known else str(tensor.dtype).removeprefix("torch.")
    layout = "" if tensor.layout is torch.strided else f"{tensor.layout} ".removeprefix("torch.")
    return f"{layout}{name}{list(tensor.shape)}"


def _rules(
    func: Any,
    given: dict[str, Any],
    tensors: list[torch.Tensor],
    made: Any,
    device: torch.device | None,
) -> Iterator[_Why]:
    """What is wrong with the operands, the most telling first."""
    if _draws(func):
        yield _drawing(func, tensors or list(tensors_in(made)), given.get("generator") is not None)
    everything = [*tensors, *tensors_in(made)]
    for rule in (functools.partial(_place, device), _layout, _dtype, _sign):
        yield from filter(None, map(rule, everything))


def _drawing(func: Any, tensors: list[torch.Tensor], own: bool) -> _Why:  # noqa: FBT001  has or not
    on = ", ".join(map(described, tensors))
    if not own:
        return Reason.RANDOM, f"on {on}", _draw_outside(func)
    advice = _draw_outside(func)
    if name_of(func).removesuffix("_") in DRAWS:
        advice = "leave generator= out and call torch.manual_seed, or pass what it draws in"
    return Reason.RANDOM, f"on {on}, with a generator of its own", advice


def _place(device: torch.device | None, tensor: torch.Tensor) -> _Why | None:
    if device is None or tensor.device == device:
        return None
    where = f"{described(tensor)} is on {tensor.device}, the kernels are on {device}"
    return Reason.DEVICE, where, f'pass it in after .to("{device}")'


def _layout(tensor: torch.Tensor) -> _Why | None:
    if tensor.layout is not torch.strided:
        return Reason.LAYOUT, described(tensor), "pass it in after .to_dense()"
    if tensor.is_quantized:
        return Reason.LAYOUT, described(tensor), "pass it in after .dequantize()"
    return None


def _dtype(tensor: torch.Tensor) -> _Why | None:
    dtype = tensor.dtype
    if dtype in FROM_TORCH:
        return None
    if dtype.is_complex:
        advice = "compute with real and imaginary parts: pass x.real and x.imag in"
    elif dtype.is_floating_point:
        advice = "convert outside: x.to(torch.float16)"
    else:
        advice = "convert to a floating point, integer or bool dtype outside"
    return Reason.UNSUPPORTED_DTYPE, described(tensor), advice


def _sign(tensor: torch.Tensor) -> _Why | None:
    if not tensor.is_neg():
        return None
    detail = f"{described(tensor)}, whose sign is a bit beside the memory"
    return Reason.LAYOUT, detail, "pass it in after .resolve_neg()"


def _operands(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The tensors, and along which dimension the operator goes."""
    parts = [described(tensor) for tensor in tensors_in((args, kwargs))]
    for name, value in bind(func, args, kwargs).items():
        if name in ("dim", "dims") and value is not None and value != []:
            parts.append(f"{name}={value}")
    return ", ".join(parts)


def _draws(func: Any) -> bool:
    is_tagged = torch.Tag.nondeterministic_seeded in func.tags
    return is_tagged or name_of(func).removesuffix("_") in DRAWS


def _draw_outside(func: Any) -> str:
    name = func._opname.removesuffix("_")  # noqa: SLF001  no public spelling
    return f"call {name} outside, and pass what it draws in as an argument"


_PLAIN_ARGUMENTS = "kernels compute this operator, but not for these dtypes or options"

_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "it needs all elements at once: let it read an argument rather than a computed value, "
    "where the formula allows": (
        *("sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "norm", "var"),
        *("std", "logsumexp", "linalg_vector_norm", "all", "any", "var_mean", "aminmax", "median"),
        *("_softmax", "_log_softmax", "native_layer_norm", "native_group_norm", "std_mean"),
        *("count_nonzero", "nansum", "nanmedian", "mode", "kthvalue", "topk"),
    ),
    "each element needs those before it: no kernel computes it, so do as much as possible on "
    "one side of it": ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "sort", "unique2"),
    "in evaluation it is pointwise when written out: "
    "(x - mean) * torch.rsqrt(var + eps) * weight + bias": (
        *("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
        *("_native_batch_norm_legit", "batch_norm_with_update", "miopen_batch_norm"),
    ),
    "PyTorch's library computes products; do as much as possible on one side of it": (
        *("mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot", "convolution", "addbmm"),
        *("_scaled_dot_product_flash_attention_for_cpu", "linalg_solve_ex", "addr"),
    ),
    "it picks elements by values that only the call knows: pick before the function, or after": (
        *("index", "index_select", "gather", "embedding", "scatter", "index_put", "masked_select"),
        *("take", "nonzero", "scatter_add", "index_add", "bucketize", "searchsorted"),
    ),
    "it puts elements in another order than memory has: apply it to an argument, outside": (
        *("flip", "roll", "repeat", "tril", "triu", "diag_embed", "constant_pad_nd"),
        *("reflection_pad1d", "reflection_pad2d", "replication_pad2d", "upsample_nearest2d"),
    ),
}
"""Advice -> aten operators that it is good for."""

_ADVICE = {f"aten.{name}": advice for advice, names in _FAMILIES.items() for name in names}


def _advice(func: Any) -> str:
    return _ADVICE.get(name_of(func).removesuffix("_"), "")

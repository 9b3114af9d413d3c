"""The rows of the matrix: what is called, on which values, in which layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  the usual name

__all__ = ["ARITIES", "DTYPES", "LAYOUTS", "divisible", "on", "representable", "values"]

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
DTYPES = (
    *FLOATS,
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)

Case = Callable[..., Any]

_UNARY_TORCH = """abs neg sigmoid relu exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos
atan sinh cosh tanh asinh acosh atanh sqrt rsqrt erf erfc lgamma floor ceil trunc round frac
reciprocal square sign sgn isnan isinf isfinite isposinf isneginf signbit logical_not bitwise_not
positive clone zeros_like ones_like sinc logit deg2rad rad2deg nan_to_num"""

_UNARY_NN = """gelu silu mish softplus elu selu celu leaky_relu hardtanh hardsigmoid hardswish relu6
logsigmoid softsign tanhshrink hardshrink softshrink"""

UNARY: dict[str, Case] = {
    **{name: getattr(torch, name) for name in _UNARY_TORCH.split()},
    **{name: getattr(F, name) for name in _UNARY_NN.split()},
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "invert": lambda x: ~x,
    "threshold": lambda x: F.threshold(x, 0.5, 3),
    "leaky_relu_1.5": lambda x: F.leaky_relu(x, 1.5),
    "elu_2": lambda x: F.elu(x, 2.0),
    "celu_0.5": lambda x: F.celu(x, 0.5),
    "softplus_2_1": lambda x: F.softplus(x, 2.0, 1.0),
    "hardtanh_int": lambda x: F.hardtanh(x, 0, 3),
    "log_softmax_free": lambda x: x.masked_fill(x > 1, 0),
    "round_decimals_0": lambda x: torch.round(x, decimals=0),
    "full_like": lambda x: torch.full_like(x, 3),
    "dropout_off": lambda x: F.dropout(x, 0.5, training=False) + 0,
}
"""One tensor."""

SCALAR: dict[str, Case] = {
    **{f"pow_{e}": (lambda x, e=e: x**e) for e in (0, 1, 2, 3, 4, 0.5, -0.5, -1, -2, 2.5, 1.0)},
    **{f"rpow_{b}": (lambda x, b=b: b**x) for b in (2, 0.5, -1.5)},
    **{f"clamp_{lo}_{hi}": (lambda x, lo=lo, hi=hi: torch.clamp(x, lo, hi))
       for lo, hi in ((-1, 2), (0.5, None), (None, 1), (2, -1), (1.5, 1.5), (0, 100))},
    **{f"{name}_{s}": (lambda x, name=name, s=s: getattr(torch, name)(x, s))
       for name in ("eq", "ne", "lt", "le", "gt", "ge") for s in (1, 0.1, 300)},
    "add_0.1": lambda x: x + 0.1,
    "add_3": lambda x: x + 3,
    "add_true": lambda x: x + True,
    "add_alpha": lambda x: torch.add(x, 2, alpha=3),
    "sub_2": lambda x: x - 2,
    "rsub_2": lambda x: 2 - x,
    "mul_0.1": lambda x: x * 0.1,
    "mul_3": lambda x: x * 3,
    "div_3": lambda x: x / 3,
    "rdiv_3": lambda x: 3 / x,
    "floordiv_3": lambda x: x // 3,
    "floordiv_-0.7": lambda x: x // -0.7,
    "remainder_3": lambda x: x % 3,
    "remainder_-3": lambda x: torch.remainder(x, -3),
    "remainder_0.7": lambda x: x % 0.7,
    "fmod_3": lambda x: torch.fmod(x, 3),
    "fmod_-0.7": lambda x: torch.fmod(x, -0.7),
    "div_trunc": lambda x: torch.div(x, 3, rounding_mode="trunc"),
    "div_floor": lambda x: torch.div(x, -3, rounding_mode="floor"),
    "and_5": lambda x: x & 5,
    "or_5": lambda x: x | 5,
    "xor_5": lambda x: x ^ 5,
    "shl_2": lambda x: x << 2,
    "shr_1": lambda x: x >> 1,
    "copysign_-1": lambda x: torch.copysign(x, -1.0),
    "where_scalar": lambda x: torch.where(x > 0, x, 0.5),
    "where_int": lambda x: torch.where(x > 0, 1, x),
    "masked_fill": lambda x: x.masked_fill(x > 0, 2),
    "xlogy_2": lambda x: torch.xlogy(x, 2),
    "lerp_0.3": lambda x: torch.lerp(x, x, 0.3),
    "add_300": lambda x: x + 300,
    "sub_-1": lambda x: x - -1,
    "mul_-1": lambda x: x * -1,
    "fill_300": lambda x: torch.full_like(x, 300),
    "fill_-1": lambda x: torch.full_like(x, -1),
    "masked_fill_300": lambda x: x.masked_fill(x > 0, 300),
    "masked_fill_0.5": lambda x: x.masked_fill(x > 0, 0.5),
    "where_300": lambda x: torch.where(x > 0, x, 300),
    "clamp_300": lambda x: torch.clamp(x, 300),
    "and_300": lambda x: x & 300,
    "floordiv_-1": lambda x: x.clamp(min=-100) // -1,
    "remainder_-1": lambda x: x.clamp(min=-100) % -1,
    "fmod_-1": lambda x: torch.fmod(x.clamp(min=-100), -1),
    "div_trunc_-1": lambda x: torch.div(x.clamp(min=-100), -1, rounding_mode="trunc"),
    "floordiv_0": lambda x: x // 0,
    "fmod_0": lambda x: torch.fmod(x, 0),
    "add_big": lambda x: x + (1 if x.is_floating_point() else 2**40),
}  # fmt: skip
"""A tensor and literals."""

_BINARY_TORCH = """add sub mul maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 copysign
eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor xlogy rsub
pow clamp"""

BINARY: dict[str, Case] = {
    **{name: getattr(torch, name) for name in _BINARY_TORCH.split()},
    "add_alpha": lambda x, y: torch.add(x, y, alpha=3),
    "sub_alpha": lambda x, y: torch.sub(x, y, alpha=2),
    "add_alpha_float": lambda x, y: torch.add(x, y, alpha=0.3),
    "where": lambda x, y: torch.where(x > y, x, y),
    "where_cast": lambda x, y: torch.where(x != 0, x, y.float()),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, 1),
    "clamp_max": lambda x, y: torch.clamp(x, max=y),
    "lerp_0.3": lambda x, y: torch.lerp(x, y, 0.3),
    "type_as": lambda x, y: (x > 0).type_as(y),
    "mse": lambda x, y: F.mse_loss(x, y, reduction="none"),
    "smooth_l1": lambda x, y: F.smooth_l1_loss(x, y, reduction="none"),
    "huber": lambda x, y: F.huber_loss(x, y, reduction="none"),
    "prelu": lambda x, y: F.prelu(x, y.reshape(-1)[:1]),
    "shl": lambda x, y: x << y,
    "shr": lambda x, y: x >> y,
    "promote": lambda x, y: x + y.double(),
    "zero_dim": lambda x, y: x * y.reshape(-1)[0],
}
"""Two tensors of one dtype."""

DIVISION: dict[str, Case] = {
    "div": lambda x, y: x / y,
    "floor_divide": lambda x, y: x // y,
    "remainder": lambda x, y: x % y,
    "fmod": torch.fmod,
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "div_floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
}
"""Two tensors, the second without a zero where the dtype is integral."""

TERNARY: dict[str, Case] = {
    "addcmul": torch.addcmul,
    "addcmul_0.5": lambda x, y, z: torch.addcmul(x, y, z, value=0.5),
    "addcdiv": torch.addcdiv,
    "addcdiv_2": lambda x, y, z: torch.addcdiv(x, y, z, value=2),
    "lerp": torch.lerp,
    "clamp": torch.clamp,
    "where": lambda x, y, z: torch.where(x > 0, y, z),
}
"""Three tensors of one dtype."""

ARITIES: dict[str, tuple[int, dict[str, Case]]] = {
    "unary": (1, UNARY),
    "scalar": (1, SCALAR),
    "binary": (2, BINARY),
    "division": (2, DIVISION),
    "ternary": (3, TERNARY),
    "cast": (1, {}),
}
"""Family -> how many tensors its cases take, and the cases."""

CASTS: dict[str, Case] = {
    **{f"to_{str(d).removeprefix('torch.')}": (lambda x, d=d: x.to(d)) for d in DTYPES},
    "float": lambda x: x.float(),
    "half": lambda x: x.half(),
    "long": lambda x: x.long(),
    "back": lambda x: x.to(torch.int8).to(torch.float32),
    "twice": lambda x: x.to(torch.bfloat16).to(torch.float16),
}
"""One tensor; conversions that C++ leaves undefined are kept out by `representable`."""

ARITIES["cast"] = (1, CASTS)

_FLOAT_SPECIALS = (
    0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 3.0, -3.0, 0.1, 100.0, -7.25, 1e-4, 20.5,
    float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
_INT_SPECIALS = (0, 1, -1, 2, 3, -3, 5, 7, -8, 31, 63, 100, -128, 127)


def values(dtype: torch.dtype, arity: int) -> list[torch.Tensor]:
    """Every combination of special values, then random ones; an odd number of elements."""
    if dtype == torch.bool:
        special = torch.tensor([False, True])
    elif dtype.is_floating_point:
        info = torch.finfo(dtype)
        limits = (info.max, info.tiny, -info.tiny, info.eps, info.max / 4, info.tiny / 4)
        special = torch.tensor([*_FLOAT_SPECIALS, *limits], dtype=torch.float64).to(dtype)
        if arity > 2:
            special = special[::2]
    else:
        info = torch.iinfo(dtype)
        fitting = [x for x in _INT_SPECIALS if info.min <= x <= info.max]
        special = torch.tensor([*fitting, info.max, info.min], dtype=dtype)
        special = special[: 7 if arity > 2 else None]
    grids = torch.meshgrid(*[special] * arity, indexing="ij")
    generator = torch.Generator().manual_seed(arity)
    made = []
    for grid in grids:
        if dtype == torch.bool:
            more = torch.rand(301, generator=generator) > 0.5
        elif dtype.is_floating_point:
            more = torch.randn(301, generator=generator, dtype=torch.float64) * 3
        else:
            low = 0 if info.min == 0 else -60
            more = torch.randint(low, 120, (301,), generator=generator)
        made.append(torch.cat([grid.reshape(-1), more.to(dtype)]))
    return made


def divisible(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """Operands of a division: where eager would raise, or die (the least integer by -1), others."""
    if x.dtype == torch.bool:
        return [x, y]
    if x.dtype.is_floating_point:  # eager's fmod by a denormal is NaN
        return [x, torch.where(y.abs() < torch.finfo(y.dtype).tiny, y * 0, y)]
    least = torch.iinfo(x.dtype).min
    # as lists, because not every version of torch has where() for every integer
    pairs = list(zip(x.tolist(), y.tolist(), strict=True))
    dividends = [1 if a == least and b != 2 else a for a, b in pairs]
    return [torch.tensor(part, dtype=x.dtype) for part in (dividends, [b or 1 for _, b in pairs])]


def representable(tensor: torch.Tensor) -> torch.Tensor:
    """Floats that every integer dtype can hold: elsewhere a cast has no defined result."""
    if not tensor.dtype.is_floating_point:
        return tensor
    return tensor.nan_to_num(1.0, 1.0, 1.0).clamp(0, 100)


def on(device: str, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in memory that is laid out alike, on another device."""
    count = tensor.untyped_storage().nbytes() // tensor.itemsize
    whole = tensor.as_strided((count,), (1,), 0).to(device)
    return whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


LAYOUTS: dict[str, Callable[[torch.dtype], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = {
    "plain": lambda d: (_new(d, 4, 5), _new(d, 4, 5), _new(d, 4, 5)),
    "transposed": lambda d: (_new(d, 5, 4).t(), _new(d, 5, 4).t(), _new(d, 5, 4).t()),
    "mixed": lambda d: (_new(d, 5, 4).t(), _new(d, 4, 5), _new(d, 4, 10)[:, ::2]),
    "broadcast": lambda d: (_new(d, 3, 1, 5), _new(d, 4, 1), _new(d, 5)),
    "expanded": lambda d: (_new(d, 4, 1).expand(4, 5), _new(d, 1, 5).expand(4, 5), _new(d, 4, 5)),
    "zero_dim": lambda d: (_new(d), _new(d), _new(d)),
    "with_zero_dim": lambda d: (_new(d, 4, 5).t(), _new(d), _new(d)),
    "empty": lambda d: (_new(d, 0, 5), _new(d, 1, 5), _new(d, 0, 1)),
    "channels_last": lambda d: tuple(  # type: ignore[return-value]
        _new(d, 2, 3, 4, 5).to(memory_format=torch.channels_last) for _ in range(3)
    ),
    "offset": lambda d: (_new(d, 6, 5)[2:], _new(d, 4, 7)[:, 2:], _new(d, 4, 5)),
    "permuted": lambda d: (
        _new(d, 3, 4, 5).permute(2, 0, 1), _new(d, 5, 4, 3).permute(0, 2, 1), _new(d, 3, 1),
    ),
    "single": lambda d: (_new(d, 5, 3).as_strided((5, 1, 3, 1), (3, 3, 1, 3)),) * 3,
}  # fmt: skip
"""Three tensors that broadcast with each other."""


def _new(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return (torch.arange(torch.Size(shape).numel()) % 5 + 1).to(dtype).reshape(shape)

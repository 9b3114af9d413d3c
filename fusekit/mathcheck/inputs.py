"""What the functions are tried on: all numbers of a format, or random ones of several kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from fusekit.mathcheck.formats import Floats
from fusekit.mathcheck.functions import Function

__all__ = ["BitPatterns", "all_halves", "bit_patterns", "stratified"]

_SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 5e-324, 1e308, 0.5, 2.0, 3.0)


class BitPatterns:
    """Every n-th float32 by its bits, a chunk at a time."""

    def __init__(self, size: int, stride: int, device: str) -> None:
        """A chunk has up to `size` numbers, `stride` bit patterns apart, on a torch device."""
        self.size, self._stride = size, stride
        steps = torch.arange(size, device=device) * stride
        self._steps = steps.to(torch.int32)  # modulo 2**32

    def chunk(self, first: int, count: int) -> torch.Tensor:
        """`count` numbers, of which the first is number `first` of all."""
        start = (first * self._stride) & 0xFFFFFFFF
        signed = start - (1 << 32) if start >> 31 else start
        return (self._steps[:count] + signed).view(torch.float32)


def bit_patterns(indices: np.ndarray[Any, Any], stride: int) -> Floats:
    """The float32 numbers of some places in the order of `BitPatterns`."""
    bits = (indices.astype(np.uint64) * np.uint64(stride)).astype(np.uint32)
    with np.errstate(invalid="ignore"):  # signalling NaN among the bits
        return bits.view(np.float32).astype(np.float64)


def all_halves(dtype: torch.dtype) -> torch.Tensor:
    """All 65,536 numbers of a format of 16 bits."""
    return torch.arange(1 << 16).to(torch.int16).view(dtype)


def stratified(function: Function, count: int, seed: int) -> list[Floats]:
    """Random arguments: of random bits, in the interesting domain, near special points, and round.

    Args:
        function: its row of the table says where it is interesting.
        count: how many.
        seed: of this part; part 0 of a function of two arguments begins with special values, but
            not of polynomials: for a NaN, PyTorch returns what it finds in memory.
    """
    random = np.random.default_rng((seed, len(function.name), *function.name.encode()))
    if function.arity == 1:
        return [_unary(function, count, random)]
    if function.name not in _PAIRS:
        return list(_polynomial(function, count, random))
    x, y = _PAIRS[function.name](function, count, random)
    if seed == 0:
        x[: len(_SPECIAL) ** 2] = np.repeat(_SPECIAL, len(_SPECIAL))[:count]
        y[: len(_SPECIAL) ** 2] = np.tile(_SPECIAL, len(_SPECIAL))[:count]
    return [x, y]


def _unary(function: Function, count: int, random: np.random.Generator) -> Floats:
    low, high = function.low, function.high
    part, tail = count // 4, count // 8
    rest = count - 3 * part - tail
    near = random.choice(function.near, part)
    return np.concatenate(
        [
            _bits(part, random),
            random.uniform(low, high, part),
            near + _signs(part, random) * _scales(-60, 1, part, random) * np.fmax(abs(near), 1),
            random.integers(int(2 * low), int(2 * high) + 1, tail) / 2,
            _signs(rest, random) * _scales(-60, 12, rest, random),
        ]
    )


def _bits(count: int, random: np.random.Generator) -> Floats:
    """Of random bits, half of them in the range of float32."""
    bits = random.integers(0, 1 << 64, count, dtype=np.uint64).view(np.float64)
    with np.errstate(invalid="ignore"):
        single = random.integers(0, 1 << 32, count, dtype=np.uint32).view(np.float32)
        return np.where(np.arange(count) % 2 == 0, bits, single.astype(np.float64))


def _signs(count: int, random: np.random.Generator) -> Floats:
    return random.choice((-1.0, 1.0), count)


def _scales(low: float, high: float, count: int, random: np.random.Generator) -> Floats:
    """Positive numbers with a uniform logarithm to base 2."""
    return np.exp2(random.uniform(low, high, count))


Pair = tuple[Floats, Floats]


def _plane(_function: Function, count: int, random: np.random.Generator) -> Pair:
    """Points all over, and points whose coordinates are comparable."""
    x, y = _bits(count, random), _bits(count, random)
    half = count // 2
    ratio = _scales(-30, 30, count - half, random)
    with np.errstate(all="ignore"):
        y[half:] = np.copysign(x[half:] * ratio, y[half:])
    return x, y


def _power(_function: Function, count: int, random: np.random.Generator) -> Pair:
    """Pairs all over, and pairs with a result in range, with many bases near 1."""
    x, y = _bits(count, random), _bits(count, random)
    half = count // 2
    with np.errstate(all="ignore"):
        x[half:] = np.abs(x[half:])
        x[half::2] = random.uniform(0.4, 2.5, len(x[half::2]))
        near_one = x[half + 1 :: 4]
        near_one[:] = 1 + _signs(len(near_one), random) * _scales(-40, -1, len(near_one), random)
        y[half:] = random.uniform(-1080, 1030, count - half) / np.log2(x[half:])
        y[half::3] /= 8  # in range for float32, too
    x[: count // 8] = np.rint(random.normal(0, 20, count // 8))
    y[: count // 8] = np.rint(random.normal(0, 20, count // 8))
    return x, y


def _hurwitz(_function: Function, count: int, random: np.random.Generator) -> Pair:
    """Orders from next to the pole at 1 to where the first term is all."""
    s = 1 + _scales(-30, 7, count, random)
    s[::4] = random.integers(2, 30, len(s[::4]))
    return s, _scales(-12, 20, count, random)


def _gamma(_function: Function, count: int, random: np.random.Generator) -> Pair:
    """Half beside x = a, where the function changes from 0 to 1."""
    a = _scales(-10, 12, count, random)
    x = a * _scales(-8, 6, count, random)
    beside = slice(0, count // 2)
    x[beside] = a[beside] + random.normal(0, 3, count // 2) * np.sqrt(a[beside])
    return a, np.abs(x)


def _polynomial(function: Function, count: int, random: np.random.Generator) -> Pair:
    """Degrees up to 20, arguments in the interval of orthogonality and a little around it."""
    x = random.uniform(function.low, function.high, count)
    middle = (function.low + function.high) / 2
    x[::4] = middle + (x[::4] - middle) * _scales(-20, 4, len(x[::4]), random)
    return x, random.integers(0, 21, count).astype(np.float64)


_PAIRS: Mapping[str, Callable[[Function, int, np.random.Generator], Pair]] = {
    "atan2": _plane,
    "hypot": _plane,
    "pow": _power,
    "zeta": _hurwitz,
    "igamma": _gamma,
    "igammac": _gamma,
}

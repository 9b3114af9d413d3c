"""Random operators as IR: counter-based, so that a kernel needs no generator but one seed.

Each element of each draw follows from the seed by its position alone: whatever the layout, the
threads or the device, and however often it is computed. The numbers are as good as PyTorch's, but
not the same ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fusekit.frontends.calls import bind, name_of
from fusekit.frontends.dtypes import FROM_TORCH, TO_TORCH, compute_dtype
from fusekit.frontends.fake import Fakes
from fusekit.frontends.lowering import Lowering, valid
from fusekit.frontends.scalars import ScalarNode, ScalarTrace, concrete_tree
from fusekit.frontends.seeds import call_seed, given_seed
from fusekit.ir import DType, GraphBuilder
from fusekit.vecmath.expression import Expr, where

__all__ = ["DRAWS", "Draws"]


class Draws:
    """The random operators of one trace: each draw has a number of its own under one seed."""

    def __init__(
        self,
        builder: GraphBuilder,
        fakes: Fakes,
        identify: Callable[[torch.Tensor], int],
        symbol: Callable[[ScalarNode], int],
        first: int = 0,
    ) -> None:
        """None yet; `first` is the number of the next, the rest is as in `Lowering`."""
        self.builder = builder
        self.fakes = fakes
        self.identify = identify
        self.symbol = symbol
        self._first = first
        self._seed: int | None = None
        self._drawn: list[int] = []

    def lower(self, func: Any, args: Any, kwargs: Any) -> list[tuple[torch.Tensor, Expr]] | None:
        """The fake results of a random operator and what they are; None if PyTorch is to draw."""
        given = bind(func, args, kwargs)
        fake = self._fake(func, concrete_tree(given))
        if fake is None or fake.dtype not in FROM_TORCH or given.get("generator") is not None:
            return None
        op = Draw(
            builder=self.builder,
            arguments=given,
            result=FROM_TORCH[fake.dtype],
            identify=self.identify,
            symbol=self.symbol,
            shape=tuple(fake.shape),
            device=fake.device,
            draws=self,
        )
        made = DRAWS[name_of(func).removesuffix("_")](op)
        if made is None:
            return None
        fakes = [fake, *(self.fakes.like_of(fake, TO_TORCH[each.dtype]) for each in made[1:])]
        return [
            (one, each.cast(FROM_TORCH[one.dtype])) for one, each in zip(fakes, made, strict=True)
        ]

    def bits(self, shape: tuple[int, ...], device: torch.device, width: int) -> Expr:
        """New random bits for each element of `shape`: 32 or 64 of them, in a u64.

        Neighbours share the 128 bits that one evaluation makes. On a GPU, where one thread computes
        neighbours, that is as much less work.
        """
        if self._seed is None:
            seed = given_seed()
            self._seed = call_seed(self.builder, device) if seed is None else self.identify(seed)
        # a scalar input, because a literal would make another kernel of each dropout of a model
        count = self._first + len(self._drawn)
        number = self.symbol(ScalarNode(ScalarTrace(), str(count), count, frozenset()))
        index = Expr(self.builder, self.builder.index(shape))
        pair = index if width == 64 else index >> 1
        operands = (self._seed, (pair >> 1).id, number, (pair & 1).id)
        made = self.builder.apply("philox", *operands)
        self._drawn.append(made)
        bits = Expr(self.builder, made).bits(DType.U64)
        if width == 64:
            return bits
        return bits.apply("shr", ((index & 1) << 5).bits(DType.U64)) & 0xFFFFFFFF

    def forget(self, first: int) -> None:
        """Values from `first` on were rolled back."""
        while self._drawn and self._drawn[-1] >= first:
            self._drawn.pop()
        if self._seed is not None and self._seed >= first:
            self._seed = None

    def _fake(self, func: Any, given: dict[str, Any]) -> torch.Tensor | None:
        if given.get("layout") not in (None, torch.strided) or given.get("pin_memory"):
            return None
        source = given.get("self", given.get("input"))
        stated = torch.get_default_dtype() if source is None else source.dtype
        return self.fakes.drawn(func, given, given.get("dtype") or stated)


@dataclasses.dataclass
class Draw(Lowering):
    """A call of a random operator.

    Attributes:
        shape: of what is drawn.
        device: where it is drawn.
        draws: gives the random bits.
    """

    shape: tuple[int, ...]
    device: torch.device
    draws: Draws

    def uniform(self, dtype: DType) -> Expr:
        """Numbers in [0, 1), each exact in `dtype`, in its compute dtype.

        As many of the highest bits as the mantissa holds, so that none is rounded up to 1.
        """
        digits = _DIGITS[dtype]
        width = 64 if digits > 32 else 32
        whole = self.draws.bits(self.shape, self.device, width) >> (width - digits)
        signed = whole.cast(DType.I64 if digits > 31 else DType.I32)
        return signed.cast(compute_dtype(dtype)) * 2.0**-digits

    def below(self, probability: float) -> Expr:
        """True with a probability: an integer is less than so many of 2**32."""
        return self.draws.bits(self.shape, self.device, 32) < int(probability * 2.0**32)


_DIGITS = {DType.F16: 11, DType.BF16: 8, DType.F32: 24, DType.F64: 53}
"""Bits of precision, the hidden one among them."""

Rule = Callable[[Draw], tuple[Expr, ...] | None]
"""The results; None if PyTorch is to draw (or to say what is wrong)."""


def _rand(op: Draw) -> tuple[Expr, ...] | None:
    return (op.uniform(op.result),) if op.result.is_float else None


def _uniform(op: Draw) -> tuple[Expr, ...] | None:
    """As at::uniform_real_distribution: x * (to - from) + from."""
    low, high = float(op.number("from")), float(op.number("to"))
    if not op.result.is_float or not _is_range(low, high, op.result):
        return None
    made = op.uniform(op.result)
    if (low, high) == (0, 1):
        return (made,)
    start, end = op.const(low), op.const(high, op.result).cast(op.compute)
    made = (made * (op.const(high) - start) + start).cast(op.result).cast(op.compute)
    # the sum may be rounded to the bound that is not among the numbers
    return (where(made >= end, start, made),)


def _is_range(low: float, high: float, dtype: DType) -> bool:
    """True for bounds that eager takes."""
    limits: Any = torch.finfo(TO_TORCH[dtype])
    return bool(limits.min <= low <= high <= limits.max and high - low <= limits.max)


def _bernoulli(op: Draw) -> tuple[Expr, ...] | None:
    probability = op.get("p")
    if isinstance(probability, torch.Tensor):
        return _below_each(op, op.raw(probability))
    if "p" not in op.arguments:
        return _below_each(op, op.tensor("self", op.result))
    number = float(op.number("p"))
    return (op.below(number),) if 0 <= number <= 1 else None


def _below_each(op: Draw, p: Expr) -> tuple[Expr, ...] | None:
    if not p.dtype.is_float:
        return None
    dtype = compute_dtype(p.dtype)
    chance = p.cast(dtype)
    made = op.uniform(dtype) < chance
    if op.device.type != "cpu":
        return (made,)
    return (valid((chance >= 0.0) & (chance <= 1.0), made),)


def _native_dropout(op: Draw) -> tuple[Expr, ...] | None:
    p, train = float(op.number("p")), op["train"]
    if not 0 < p < 1 or train is False:
        return None
    mask = op.below(1 - p)
    x = op.tensor("input")
    return x * mask.cast(x.dtype) * (1 / (1 - p)), mask


DRAWS: Mapping[str, Rule] = {
    "aten.rand": _rand,
    "aten.rand_like": _rand,
    "aten.uniform": _uniform,
    "aten.bernoulli": _bernoulli,
    "aten.native_dropout": _native_dropout,
}
"""Random operators that kernels compute."""

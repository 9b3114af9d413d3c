"""Philox4x32-10: a counter scrambled under a key until its bits pass for random.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11). There is no
state: any element's numbers can be computed alone, in any order, again and again.

Words of 32 bits are kept in 64: the product of two is one instruction on vectors (vpmuludq), while
taking words out of products and putting them into narrower vectors would cost as much again.
"""

from __future__ import annotations

from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, where

__all__ = ["philox"]

_ROUNDS = 10

_LOW = 0xFFFFFFFF

_FACTORS = (0xD2511F53, 0xCD9E8D57)
"""What the counter's words 0 and 2 are multiplied by."""

_WEYL = (0x9E3779B9, 0xBB67AE85)
"""What the key's words grow by in each round: the golden ratio, and the square root of 3 less 1."""


def philox(seed: Expr, block: Expr, draw: Expr, half: Expr) -> Expr:
    """Words 0 and 1, or 2 and 3, of the counter (block, draw), scrambled under the key `seed`."""
    words = [*_halves(block), *_halves(draw)]
    key = _halves(seed)
    for number in range(_ROUNDS):
        if number:
            key = [(word + step) & _LOW for word, step in zip(key, _WEYL, strict=True)]
        words = _round(words, key)
    first, second = (low | (high << 32) for low, high in (words[:2], words[2:]))
    return where(half.equals(0), first, second).bits(DType.I64)


def _round(words: list[Expr], key: list[Expr]) -> list[Expr]:
    first, second = words[0] * _FACTORS[0], words[2] * _FACTORS[1]
    return [
        (second >> 32) ^ words[1] ^ key[0],
        second & _LOW,
        (first >> 32) ^ words[3] ^ key[1],
        first & _LOW,
    ]


def _halves(value: Expr) -> list[Expr]:
    """The low and the high 32 bits."""
    whole = value.bits(DType.U64)
    return [whole & _LOW, whole >> 32]

"""What the functions are tried on."""

from __future__ import annotations

import numpy as np


def strided(start: int, count: int, stride: int) -> np.ndarray:
    """`count` floats, by their bits: start, start + stride, ..."""
    bits = np.uint64(start) + np.arange(count, dtype=np.uint64) * np.uint64(stride)
    return bits.astype(np.uint32).view(np.float32)


def pairs(op: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of random bits, half of operands with a result in range (pow: many bases near 1)."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 1 << 32, (2, count), dtype=np.uint32)
    x, y = bits.view(np.float32)
    half = count // 2
    if op == "pow":
        with np.errstate(all="ignore"):
            x[half:] = np.abs(x[half:])
            x[half::2] = random.uniform(0.4, 2.5, len(x[half::2]))
            near_one = x[half + 1 :: 4]
            near_one[:] = 1 + random.choice((-1, 1), len(near_one)) * np.exp2(
                random.uniform(-23, -1, len(near_one))
            )
            logarithm = np.log2(x[half:].astype(np.float64))
            y[half:] = (random.uniform(-152, 130, len(logarithm)) / logarithm).astype(np.float32)
    else:
        ratio = np.exp2(random.uniform(-30, 30, count - half)).astype(np.float32)
        with np.errstate(all="ignore"):
            y[half:] = np.copysign(x[half:] * ratio, y[half:])
    return x.copy(), y.copy()

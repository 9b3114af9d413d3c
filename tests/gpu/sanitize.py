"""Kernels of every schedule over odd sizes, once each, to be run under a sanitizer:

    compute-sanitizer --tool memcheck --report-api-errors no python3 tests/gpu/sanitize.py
    compute-sanitizer --tool racecheck python3 tests/gpu/sanitize.py

(API errors are left out: cuda.core asks the driver for functions that it may not have.)

A line for each case; the exit status is 1 if a value is wrong. torch's allocator is told to give
each tensor memory of its own, so that memcheck sees what lies beyond the end of one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("PYTORCH_NO_CUDA_MEMORY_CACHING", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

import fusekit
from tests.gpu.harness import ENGINE, assert_equal, filled, mix

DTYPES = (torch.bool, torch.uint8, torch.bfloat16, torch.float32, torch.float64)

Case = tuple[str, Callable[..., object], tuple[torch.Tensor, ...]]


def vectors() -> Iterator[Case]:
    for dtype in DTYPES:
        for n in (1, 7, 16, 17, 1029):
            yield f"vectorised {dtype} [{n}]", mix, (filled((n,), dtype), filled((n,), dtype))


def rows() -> Iterator[Case]:
    for dtype in DTYPES:
        for shape in ((3, 16), (5, 24), (70, 4), (5, 17), (9, 1)):
            args = filled(shape, dtype), filled(shape[1:], dtype)
            yield f"rows {dtype} {list(shape)}", mix, args


def pixels() -> Iterator[Case]:
    for dtype in DTYPES:
        for shape in ((16, 3), (336, 3), (1040, 3), (1025, 3), (272, 2), (144, 4)):
            args = filled(shape, dtype), filled(shape[1:], dtype)
            yield f"pixels {dtype} {list(shape)}", mix, args


def unaligned() -> Iterator[Case]:
    for dtype in DTYPES:
        for start in (1, 3, 8):
            x = filled((77 + start,), dtype)[start:]
            yield f"unaligned {dtype} [{start}:]", mix, (x, filled((77,), dtype))


def spread() -> Iterator[Case]:
    for dtype in DTYPES:
        for shape in ((3, 17), (65, 33), (1, 5)):
            x = filled((shape[0], 2 * shape[1]), dtype)[:, ::2]
            yield f"spread {dtype} {list(shape)}", mix, (x, filled((shape[0], 1), dtype))


def tiled() -> Iterator[Case]:
    for dtype in DTYPES:
        for rows, columns in ((32, 32), (33, 65), (1, 40), (7, 3), (70, 100)):
            x, y = filled((columns, rows), dtype).t(), filled((rows, columns), dtype)
            yield f"tiled {dtype} [{rows}, {columns}]", mix, (y, x)
        x, y = filled((3, 40, 33), dtype).transpose(1, 2), filled((3, 33, 40), dtype)
        yield f"tiled {dtype} [3, 33, 40]", mix, (y, x)


def joined() -> Iterator[Case]:
    def join(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.cat([x * 2, y + 1], 1)

    for width in (1, 5, 16):
        yield f"joined [{width}]", join, (filled((7, width)), filled((7, 16)))


def several() -> Iterator[Case]:
    def outputs(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x * 2, x > y, (x - y).half(), x.double()

    for shape in ((101,), (9, 31)):
        yield f"several outputs {list(shape)}", outputs, (filled(shape), filled(shape[-1:]))
    yield "several outputs, tiled", outputs, (filled((33, 47)), filled((47, 33)).t())


def single() -> Iterator[Case]:
    yield "a single element", mix, (filled(()), filled((1,)))


def batches() -> Iterator[Case]:
    def each(*xs: torch.Tensor) -> list[torch.Tensor]:
        return [mix(x, x * 2) for x in xs]

    def updated(*given: torch.Tensor) -> list[torch.Tensor]:
        made = [x.clone() for x in given]
        for x in made:
            x.mul_(0.5).add_(1)
        return made

    for dtype in DTYPES:
        yield f"a batch {dtype}", each, tuple(filled((n,), dtype) for n in (2, 17, 1029, 4096, 5))
    for shape in ((7, 33), (65, 4)):
        xs = tuple(filled((n, *shape)).transpose(1, 2) for n in (2, 3, 9))
        yield f"a batch of transposed {list(shape)}", each, xs
    yield "a batch in place", updated, tuple(filled((n,)) for n in (2, 17, 1029, 70_000))
    xs = tuple(filled((n + 1,))[1:] for n in (2, 17, 1029))
    yield "an unaligned batch", each, xs


CASES = (vectors, rows, pixels, unaligned, spread, tiled, joined, several, single, batches)


def draws() -> Iterator[tuple[str, bool]]:
    """Random kernels have no expected values, but limits."""
    zeros = [filled(shape) * 0 for shape in ((1,), (17,), (1029,), (33, 65))]
    for x in (*zeros, zeros[-1].t()):
        made = fusekit.fuse(lambda x: torch.rand_like(x) + x, engine=ENGINE)(x)
        is_right = bool(((made >= 0) & (made < 1)).all())
        yield f"random {list(x.shape)} {x.stride()}", is_right


def main() -> int:
    wrong = 0
    for cases in CASES:
        fused: dict[object, fusekit.FusedFunction] = {}
        for name, function, args in cases():
            run = fused.setdefault(function, fusekit.fuse(function, engine=ENGINE))
            before = fusekit.stats()
            verdict = "ok"
            try:
                assert_equal(run(*args), function(*args))
            except AssertionError as error:
                verdict = f"WRONG {error}"
            if fusekit.stats().fallbacks != before.fallbacks:
                verdict = "WRONG: it fell back"
            wrong += verdict != "ok"
            print(f"{name}: {verdict}", flush=True)
    for name, is_right in draws():
        wrong += not is_right
        print(f"{name}: {'ok' if is_right else 'WRONG'}", flush=True)
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

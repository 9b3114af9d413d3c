"""Every float32 input of the vecmath functions against float64, and torch eager beside it.

    python -m tests.vecmath.sweep                     # all functions, all 2**32 inputs: hours
    python -m tests.vecmath.sweep --stride 61 log sin

Prints a row of the table in docs/accuracy.md per function: worst error in ulp, the input where it
occurs, and the worst error of torch eager over the same inputs. A function of two operands is
tried on pairs: random bits, and pairs whose result is neither zero nor infinite.
Needs a C++ compiler.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from fusekit import vecmath
from fusekit.ir import OPS, DType
from tests.vecmath.inputs import pairs, strided
from tests.vecmath.native import Native, compile_function

if TYPE_CHECKING:
    import numpy as np

_BLOCK = 1 << 18


@dataclasses.dataclass
class Worst:
    """The largest error so far and the operands that gave it."""

    error: float = 0.0
    operands: tuple[float, ...] = ()

    def update(self, native: Native, got: np.ndarray, want: np.ndarray, *inputs: np.ndarray):
        error, index = native.worst(got, want)
        if error > self.error:
            self.error = error
            self.operands = tuple(float(x[index]) for x in inputs)


def blocks(op: str, stride: int) -> Iterator[tuple[np.ndarray, ...]]:
    """The operands of a function, a block at a time."""
    count = (1 << 32) // stride
    for start in range(0, count, _BLOCK):
        length = min(_BLOCK, count - start)
        if OPS[op].arity == 1:
            yield (strided(start * stride, length, stride),)
        else:
            yield pairs(op, length, seed=start)


def sweep(op: str, stride: int) -> str:
    """A row of the table."""
    graph = vecmath.function(op, DType.F32)
    assert graph is not None
    native, ours, eager = compile_function(graph), Worst(), Worst()
    seconds, count = 0.0, 0
    for operands in blocks(op, stride):
        pair = (operands[0], operands[-1])
        want = native.reference(*pair)
        began = time.perf_counter()
        got = native.run(*pair)
        seconds += time.perf_counter() - began
        ours.update(native, got, want, *operands)
        theirs = getattr(torch, op)(*map(torch.from_numpy, operands)).numpy()
        eager.update(native, theirs, want, *operands)
        count += len(got)
    where = ", ".join(f"{x:.9g}" for x in ours.operands)
    nodes = sum(node.op != "const" for node in graph.nodes)
    speed = f"{seconds / count * 1e9:.2f}"
    cells = (op, f"{ours.error:.3f}", where, f"{eager.error:.3f}", count, nodes, speed)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ops", nargs="*", default=vecmath.functions())
    parser.add_argument("--stride", type=int, default=1, help="take every n-th float")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| function | max ulp | at | torch eager | inputs | nodes | ns |")
    for op in options.ops or vecmath.functions():
        print(sweep(op, options.stride), flush=True)


if __name__ == "__main__":
    main()

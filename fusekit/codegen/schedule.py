"""Schedule: how a kernel walks its elements, chosen in one place, apart from what it computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from fusekit import routines
from fusekit.codegen.cpu_walks import BLOCK, transposed
from fusekit.codegen.gpu_schedule import GpuSchedule, choose_gpu
from fusekit.ir import Graph
from fusekit.specs import ArgSpec, KernelSpec, Stride

__all__ = ["Schedule", "Target", "choose"]


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What a schedule must know of the machine.

    Attributes:
        name: the compiler's name for it: "znver4", "sm_90".
        features: the compiler's feature string.
        vector_bytes: width of a vector register; 0 on a GPU.
    """

    name: str = "generic"
    features: str = ""
    vector_bytes: int = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """How the elements are walked on a CPU.

    Attributes:
        lanes: elements that one step of the inner loop computes together.
        grain: elements from which it is worth waking another thread, by the cost of one.
        streams_from: elements from which results go past the caches; 0 for never.
        block: rows and columns that are walked before the next ones, where an input is transposed;
            (0, 0) for row by row.
        masked: what is left of a row is moved as a vector, of which some lanes are left out.
    """

    lanes: int = 16
    grain: int = 32768
    streams_from: int = 0
    block: tuple[int, int] = (0, 0)
    masked: bool = False


_GRAIN_FLOPS = 1_200_000
"""Additions of float32, in vectors of 64 bytes, that take one core some 12 us. With a second thread
that is awake, as in a loop of calls, 7 us or more got faster; after a pause of 2 ms, with the other
thread asleep, 45 us."""

_BYTE_FLOPS = 0.75
"""Additions that take as long as moving a byte between core and second cache."""

_SCALAR_FLOPS = 16
"""What one addition counts that is made for one element at a time."""

_STREAM_BYTES = 48 << 20
"""One and a half times a last cache of 32 MB: of calls that move more, little is left in there that
a next one could use. At 48 and 64 MB streaming took 22 to 33 % off, and the call and a reader of
its result together were faster by as many microseconds.
"""

_MASKS = frozenset({"+avx512bw", "+avx512vl"})
"""CPU features that move any lanes of a vector of any type. Others take a branch for each lane."""

_WIDE = 64
"""Bytes of the vector registers that come in a set of 32."""

_LONG = 16
"""A chain of so many additions is bound by latency, not by memory."""


def choose(spec: KernelSpec, args: ArgSpec, target: Target) -> Schedule | GpuSchedule:
    """The schedule for `spec` with arguments like `args` on `target`."""
    return _CHOICES[args.device](spec, args, target)


def _choose_cpu(spec: KernelSpec, args: ArgSpec, target: Target) -> Schedule:
    """Lanes fill some registers of float32, or of the widest type if no float32 takes part.

    Independent chains hide the latency of one.
    """
    widths = [spec.graph.dtype(value.id).itemsize for value in spec.graph.values if value.dtype]
    width = 4 if 4 in widths else max(widths, default=4)
    lanes = max(_registers(spec.graph, args, target) * target.vector_bytes // width, 4)
    moved = sum(
        tensor.dtype.itemsize for tensor in args.tensors if Stride.BROADCAST not in tensor.strides
    )
    return Schedule(
        lanes=lanes,
        grain=max(int(_GRAIN_FLOPS / _work(spec.graph, width / target.vector_bytes, moved)), 1024),
        streams_from=max(_STREAM_BYTES // max(moved, 1), 1),
        block=BLOCK if transposed(args) else (0, 0),
        masked=_has_masks(target),
    )


def _registers(graph: Graph, args: ArgSpec, target: Target) -> int:
    """How many registers one value fills: two, or four where long chains would leave units idle.

    That takes a graph that is mostly one chain (17% for Black-Scholes; none where several chains
    are there already, as in an LSTM cell), registers to spare (AVX-512 has 32), and a loop that is
    not cut into rows, which may be shorter than a step, or masks for what is left of them.
    """
    if target.vector_bytes < _WIDE or (args.ndim > 1 and not _has_masks(target)):
        return 2
    depth: dict[int, int] = {}
    for node in graph.nodes:
        longest = max((depth.get(value, 0) for value in node.inputs), default=0) + node.row.flops
        depth.update(dict.fromkeys(node.outputs, longest))
    longest = max(depth.values(), default=0)
    return 4 if longest >= _LONG and 2 * longest > element_cost(graph) else 2


def _has_masks(target: Target) -> bool:
    return _MASKS.issubset(target.features.split(","))


def _work(graph: Graph, share: float, moved: int) -> float:
    """Rough time of one element, in additions, where it fills a share of a vector register."""
    vector = share * _WIDE / 4
    flops = sum(
        node.row.flops * (_SCALAR_FLOPS if routines.routine(node.op) else vector)
        for node in graph.nodes
    )
    return max(flops + _BYTE_FLOPS * moved, 1)


def element_cost(graph: Graph) -> int:
    """Rough cost of one element, in additions."""
    return sum(node.row.flops for node in graph.nodes)


_CHOICES: Mapping[str, Callable[[KernelSpec, ArgSpec, Target], Schedule | GpuSchedule]] = {
    "cpu": _choose_cpu,
    "cuda": lambda _spec, args, _target: choose_gpu(args),
}

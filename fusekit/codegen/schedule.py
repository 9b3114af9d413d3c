"""Schedule: how a kernel walks its elements, chosen in one place, apart from what it computes."""

from __future__ import annotations

import dataclasses

from fusekit.ir import Graph
from fusekit.specs import ArgSpec, KernelSpec

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
    """How the elements are walked.

    Attributes:
        lanes: elements that one step of the inner loop computes together.
        grain: elements that make it worth waking another thread; scaled by the cost of one.
    """

    lanes: int = 16
    grain: int = 32768


_GRAIN_FLOPS = 150_000
"""Additions that cost about what waking an OpenMP team does (some 10 us on two cores)."""

_TRAFFIC_FLOPS = 2
"""Additions that cost about what moving one element of one tensor does."""


def choose(spec: KernelSpec, args: ArgSpec, target: Target) -> Schedule:
    """The schedule for `spec` with arguments like `args` on `target`.

    Lanes fill two registers of float32, or of the widest type if no float32 takes part: two
    independent chains hide the latency of one.
    """
    widths = [spec.graph.dtype(value.id).itemsize for value in spec.graph.values if value.dtype]
    width = 4 if 4 in widths else max(widths, default=4)
    lanes = max(2 * target.vector_bytes // width, 4)
    cost = element_cost(spec.graph) + _TRAFFIC_FLOPS * len(args.tensors)
    return Schedule(lanes=lanes, grain=max(_GRAIN_FLOPS // cost, 1024))


def element_cost(graph: Graph) -> int:
    """Rough cost of one element, in additions."""
    return sum(node.row.flops for node in graph.nodes)

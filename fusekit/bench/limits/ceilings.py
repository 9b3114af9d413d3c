"""What this machine can do at most: bytes by copying, operations by multiply-adds in registers.

Both are measured, once for each device and number of threads in a process, when they are first
asked for. They are what a kernel of ours could reach, so the second is measured by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch

from fusekit.bench.gpu.stopwatch import DeviceClock, measure_device
from fusekit.bench.limits.operations import operations_of
from fusekit.bench.measuring.timing import Settings, Timing, measure
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType, Graph, GraphBuilder
from fusekit.runtime.binding import bind
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.kernels import kernel_for, specs
from fusekit.runtime.operand import Operand

__all__ = ["Ceilings", "ceilings", "known_ceilings", "measured_alone"]

_COPIED = {"cpu": 1 << 26, "cuda": 1 << 29}
"""Bytes of each of two buffers: more than caches hold."""

_COMPUTED = {"cpu": 1 << 18, "cuda": 1 << 24}
"""Elements of the arithmetic: few enough to stay in caches, enough for all threads."""

_CHAINS, _STEPS = 8, 32
"""Independent chains hide the latency of multiply-adds; steps hide the load and the store."""

_ENGINES = {"cpu": "llvm", "cuda": "cuda"}


@dataclasses.dataclass(frozen=True, slots=True)
class Ceilings:
    """What one device can do at most.

    Attributes:
        device: "cpu" or "cuda".
        bandwidth: bytes a second, read and written, while copying.
        arithmetic: float32 operations a second in multiply-adds, which are two each.
        how: how that was measured, in a sentence.
    """

    device: str
    bandwidth: float
    arithmetic: float
    how: str

    def seconds(self, nbytes: float, operations: float) -> float:
        """The least time for so many bytes and operations."""
        return max(nbytes / self.bandwidth, operations / self.arithmetic)

    @property
    def ridge(self) -> float:
        """Operations a byte from which arithmetic is the limit."""
        return self.arithmetic / self.bandwidth


_found: dict[tuple[str, int], Ceilings] = {}


def ceilings(device: str = "cpu") -> Ceilings:
    """Those of a device, measured at the first request; a second on a CPU."""
    key = device, torch.get_num_threads()
    if key not in _found:
        _found[key] = _measure(device)
    return _found[key]


def known_ceilings(device: str) -> Ceilings | None:
    """Those of a device, if they have been measured in this process; nothing is run."""
    return _found.get((device, torch.get_num_threads()))


def measured_alone(
    calls: Mapping[str, Callable[[], object]],
    device: str,
    *,
    seconds: float,
    tell: Callable[[int, int, str], object] | None = None,
) -> dict[str, Timing]:
    """Calls in turns with cold caches, on the device's own clock where it has one."""
    if device == "cuda":
        return measure_device(calls, 15, DeviceClock())[0]
    how = Settings(runs=15, seconds=seconds, flush=True)
    return measure(calls, how, firsts=dict.fromkeys(calls, 0.0), tell=tell)


def _measure(device: str) -> Ceilings:
    count = _COPIED[device] // 4
    source = torch.rand(count, device=device)
    target = torch.empty_like(source)
    negate, _ = _kernel(_negation(), source, target)
    elements = _COMPUTED[device]
    compute, cost = _kernel(_chains(), source[:elements], target[:elements])
    calls = {"copy": lambda: target.copy_(source), "negate": negate, "compute": compute}
    for call in calls.values():
        call()
    times = {name: min(timing.samples) for name, timing in _best(calls, device).items()}
    threads = f" on {torch.get_num_threads()} threads" if device == "cpu" else ""
    return Ceilings(
        device=device,
        bandwidth=2 * 4 * count / min(times["copy"], times["negate"]),
        arithmetic=cost * elements / times["compute"],
        how=(
            f"Ceilings measured{threads}: {_COPIED[device] >> 20} MiB copied, by PyTorch or by a "
            f"kernel of ours, the faster; {_CHAINS} chains of {_STEPS} float32 multiply-adds for "
            f"each of {elements:,} elements"
        ),
    )


def _best(calls: Mapping[str, Callable[[], object]], device: str) -> dict[str, Timing]:
    """Many samples, for the quickest of each counts: a ceiling is what was reached once."""
    if device == "cuda":
        return measure_device(calls, 30, DeviceClock())[0]
    how = Settings(runs=200, seconds=1.0, sample=0.0)
    return measure(calls, how, firsts=dict.fromkeys(calls, 0.0))


def _negation() -> Graph:
    builder = GraphBuilder("negation")
    return builder.finish([builder.apply("neg", builder.input(DType.F32))])


def _chains() -> Graph:
    """Sums that no compiler can shorten: each step rounds."""
    builder = GraphBuilder("chains")
    start = builder.input(DType.F32)
    slope, offset = builder.const(0.5, DType.F32), builder.const(0.25, DType.F32)
    ends = []
    for chain in range(_CHAINS):
        value = builder.apply("add", start, builder.const(float(chain), DType.F32))
        for _ in range(_STEPS):
            value = builder.apply("fma", value, slope, offset)
        ends.append(value)
    total = ends[0]
    for end in ends[1:]:
        total = builder.apply("add", total, end)
    return builder.finish([total])


def _kernel(
    graph: Graph, source: torch.Tensor, target: torch.Tensor
) -> tuple[Callable[[], object], int]:
    """A call of the graph's kernel from one buffer to another, and its operations an element."""
    device = source.device.type
    spec = specs.intern(graph, graph.name)
    operand = Operand(DType.F32, (1,))
    assert TO_TORCH[operand.dtype] is source.dtype
    binding = bind((source.numel(),), [operand], [operand], device)
    launcher = kernel_for(ENGINES[_ENGINES[device]], spec, binding.args).launcher
    layout = launcher.layout(binding, source.device.index or 0)

    def call() -> object:
        return launcher.function(layout, source.data_ptr(), target.data_ptr())

    return call, operations_of(graph)

"""The table of kinds of devices: what differs between them for binding and for plans."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence

import torch

from fusekit.ir import Graph
from fusekit.runtime import cpu_binding, gpu_binding
from fusekit.runtime.memory import LARGE
from fusekit.runtime.operand import Dim, Operands, Walked
from fusekit.specs import ArgSpec, KernelSpec, Reason

__all__ = ["DEVICES", "DeviceKind", "kind_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceKind:
    """One row.

    Attributes:
        walk: collapsed dimensions and operands -> how its kernels walk them.
        max_tensors: how many tensors the arguments of one kernel have room for.
        failure: what it means that a launch returns something.
        may_always_fail: any launch may; otherwise only that of a kernel that traps.
        current: index of the device in use; None where there is but one.
        args_of_batch: what the kernel is specialised on that runs so many calls of a kernel as one,
            given what it is for each of them.
        batch_key: equal for kernel calls that one launch may run, given what they share with others
            of the same kernel, and the map shape; None for those that are launched alone.
        large: bytes from which results are allocated with care (`memory`, `pool`).
    """

    walk: Callable[[list[Dim], Operands], Walked]
    max_tensors: Callable[[Graph], int]
    failure: Reason
    may_always_fail: bool
    current: Callable[[], int] | None
    batch_key: Callable[[tuple[KernelSpec, ArgSpec], Sequence[int]], Hashable | None]
    args_of_batch: Callable[[KernelSpec, Sequence[ArgSpec], int], ArgSpec]
    large: int


DEVICES: Mapping[str, DeviceKind] = {
    "cpu": DeviceKind(
        walk=cpu_binding.walk_on_cpu,
        max_tensors=lambda _: sys.maxsize,
        failure=Reason.TRAP,
        may_always_fail=False,
        current=None,
        batch_key=cpu_binding.batch_key,
        args_of_batch=cpu_binding.args_of_batch,
        large=LARGE,
    ),
    "cuda": DeviceKind(
        walk=gpu_binding.walk_on_gpu,
        max_tensors=gpu_binding.max_tensors,
        failure=Reason.LAUNCH_FAILED,
        may_always_fail=True,
        # a tenth of the public one's price; absent from builds without CUDA
        current=getattr(torch._C, "_cuda_getDevice", None),  # noqa: SLF001
        batch_key=gpu_binding.batch_key,
        args_of_batch=gpu_binding.args_of_batch,
        large=sys.maxsize,
    ),
}
"""Every kind that an engine serves, by torch's name for it."""


def kind_of(device: str) -> DeviceKind:
    """The row of a device type; one that no engine serves is walked like the CPU."""
    return DEVICES.get(device, DEVICES["cpu"])

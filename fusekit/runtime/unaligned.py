"""Launching with inputs that are less aligned than the plan assumed.

A tensor such as `x[1:]` starts where no vector load may. The plan sees that in the address; the
kernel that is launched then reads that input element by element, and the others as before.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from fusekit.errors import FusionDeclined, LaunchError
from fusekit.runtime.engines import Engine
from fusekit.runtime.gpu_binding import realigned
from fusekit.runtime.kernels import kernel_for
from fusekit.runtime.program import KernelCall
from fusekit.specs import ArgSpec

__all__ = ["OneByOne", "Unaligned"]


class Unaligned:
    """The launches of one kernel call for other alignments, compiled when they are met."""

    def __init__(self, engine: Engine, call: KernelCall, device: int) -> None:
        """Nothing is compiled yet."""
        self.engine = engine
        self.call = call
        self.device = device
        self._known: dict[ArgSpec, tuple[Callable[..., Any], Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Launch with scalars and addresses.

        Returns:
            What the launcher does; a decline if the kernel for this alignment did not compile.
        """
        addresses = arguments[len(self.call.scalars) :]
        args = realigned(self.call.binding.args, addresses)
        found = self._known.get(args)
        if found is None:
            try:
                found = self._known[args] = self._prepared(args)
            except FusionDeclined as error:
                return error.decline
        function, layout = found
        return function(layout, *arguments)

    def _prepared(self, args: ArgSpec) -> tuple[Callable[..., Any], Any]:
        kernel = kernel_for(self.engine, self.call.spec, args)
        binding = dataclasses.replace(self.call.binding, args=args)
        return kernel.launcher.function, kernel.launcher.layout(binding, self.device)


class OneByOne:
    """The calls of a batch, each in a launch of its own that fits its alignment."""

    def __init__(self, calls: Sequence[Unaligned], *, stores: bool) -> None:
        """`stores` says that they store into arguments."""
        self.calls = calls
        self.stores = stores
        counts = [len(each.call.scalars) + len(each.call.binding.args.tensors) for each in calls]
        ends = list(itertools.accumulate(counts))
        self.slots = [slice(end - n, end) for end, n in zip(ends, counts, strict=True)]

    def __call__(self, *arguments: Any) -> Any:
        """Launch with the scalars and addresses of one call after the other.

        Returns:
            What the first launch that fails does; nothing if none does.

        Raises:
            LaunchError: one failed after another that stored into arguments.
        """
        for number, (call, slots) in enumerate(zip(self.calls, self.slots, strict=True)):
            error = call(*arguments[slots])
            if error and number and self.stores:
                raise LaunchError(f"after {number} of {len(self.calls)} launches: {error}")
            if error:
                return error
        return ""

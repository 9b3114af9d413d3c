"""Launching with inputs that are less aligned than the plan assumed.

A tensor such as `x[1:]` starts where no vector load may. The plan sees that in the address; the
kernel that is launched then reads that input element by element, and the others as before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from fusekit.errors import FusionDeclined
from fusekit.runtime.engines import Engine
from fusekit.runtime.gpu_binding import realigned
from fusekit.runtime.kernels import kernel_for
from fusekit.runtime.program import KernelCall
from fusekit.specs import ArgSpec

__all__ = ["Unaligned"]


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

"""The lines of a plan that launch kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType
from fusekit.runtime.cpu_batches import CpuBatch
from fusekit.runtime.devices import kind_of
from fusekit.runtime.engines import Engine
from fusekit.runtime.kernels import Kernel
from fusekit.runtime.memory import with_huge_pages
from fusekit.runtime.place import Place
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.reasons import failure_of
from fusekit.runtime.unaligned import Unaligned
from fusekit.specs import Decline

__all__ = ["Fallback", "LaunchWriter"]

Fallback = Callable[[Sequence[Any], Decline], Any]
"""Runs the original function on argument leaves, for the reason given."""


class LaunchWriter:
    """Writes launches, and the lines before them that they need.

    Attributes:
        lines: of the generated function.
        names: its globals.
        tensor: value that is a tensor of its own -> the variable that holds it.
        pointer: likewise, the one that holds its address.
    """

    def __init__(
        self, program: Program, engine: Engine, kernels: Sequence[Kernel], fallback: Fallback
    ) -> None:
        self.program = program
        self.graph = program.graph
        self.engine = engine
        self.kernels = {(kernel.spec.key, kernel.args): kernel for kernel in kernels}
        self.fallback = fallback
        self.device = program.capture.device
        self.kind = kind_of(self.device.type)
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.tensor: dict[int, str] = {}
        self.pointer: dict[int, str] = {}
        self._arguments = set(program.graph.inputs)
        self._scalars: dict[str, str] = {}
        self._position = {value: i for i, value in enumerate(self.graph.scalar_inputs)}

    def write_launch(self, launch: Sequence[KernelCall]) -> None:
        """One call, or a batch of them."""
        batch = None
        if len(launch) > 1 and self.engine.compiler:
            kernel = self.kernels[launch[0].spec.key, launch[0].binding.args]
            batch = kernel.launcher.batch(kernel.spec, [call.binding for call in launch])
        if batch is None:
            for call in launch:
                self._write_call_of(call)
        else:
            self._write_batch(launch, batch)

    def _write_batch(self, launch: Sequence[KernelCall], batch: CpuBatch) -> None:
        index = launch[0].group.index
        self.names |= {
            f"batch{index}": batch.function,
            f"pack{index}": batch.pack,
            f"entry{index}": batch.kernel,
            f"pieces{index}": batch.pieces,
            f"kept{index}": batch.keepalive,
        }
        slots = []
        for call in launch:
            self._allocate_results(call)
            slots += [self._named(self._scalar(i)) for i in call.scalars]
            places = (*call.reads, *call.writes)
            for place, desc in zip(places, call.binding.args.tensors, strict=True):
                slots.append(self._address(place, desc.dtype))
        table = f"pack{index}({', '.join(slots)})"
        given = f"entry{index}, {table}, pieces{index}, {batch.count}, {batch.threads}"
        text = f"batch{index}({given})"
        self._write_checked(launch[0], text)

    def _named(self, text: str) -> str:
        """A variable for what several calls are given."""
        if text.isidentifier():
            return text
        if text not in self._scalars:
            self._scalars[text] = f"scalar{len(self._scalars)}"
            self.lines.append(f"{self._scalars[text]} = {text}")
        return self._scalars[text]

    def _allocate_results(self, call: KernelCall) -> None:
        for place in call.writes:
            self._allocate(place.base)

    def _write_call_of(self, call: KernelCall) -> None:
        self._allocate_results(call)
        index = call.group.index
        scalars = [self._scalar(i) for i in call.scalars]
        places = (*call.reads, *call.writes)
        if not self.engine.compiler:
            launch = self.engine.load_launcher()(call.spec, call.group.shape, call.counts)
            self.names[f"k{index}"] = launch
            arguments = ["None", *scalars, *(self._strided(place) for place in places)]
            self._write_checked(call, f"k{index}({', '.join(arguments)})")
            return
        launcher = self.kernels[call.spec.key, call.binding.args].launcher
        self.names[f"k{index}"] = launcher.function
        self.names[f"l{index}"] = launcher.layout(call.binding, self.device.index or 0)
        dtypes = [desc.dtype for desc in call.binding.args.tensors]
        addresses = [
            self._address(place, dtype) for place, dtype in zip(places, dtypes, strict=True)
        ]
        launch = f"k{index}({', '.join([f'l{index}', *scalars, *addresses])})"
        self._write_checked(call, self._aligned(call, addresses, [*scalars, *addresses], launch))

    def _write_checked(self, call: KernelCall, launch: str) -> None:
        """The launch; what it returns, if anything, means that PyTorch has to run the call."""
        if call.spec.traps or self.kind.may_always_fail:
            failed = f"failed{call.group.index}"
            self.names[failed] = functools.partial(self._failed, call)
            self.lines += [f"error = {launch}", "if error:", f"    return {failed}(error, a)"]
        else:
            self.lines.append(launch)

    def _aligned(
        self, call: KernelCall, addresses: Sequence[str], arguments: Sequence[str], launch: str
    ) -> str:
        """The launch of the kernel that fits the alignment of this call's arguments."""
        index, args = call.group.index, call.binding.args
        loose: dict[int, dict[str, None]] = {}
        # results that are allocated here are aligned
        given = [*(True for _ in call.reads), *(p.base in self._arguments for p in call.writes)]
        for desc, address, is_given in zip(args.tensors, addresses, given, strict=True):
            if desc.alignment > desc.dtype.itemsize and is_given:
                loose.setdefault(desc.alignment, {})[address] = None
        if not loose:
            return launch
        self.names[f"u{index}"] = Unaligned(self.engine, call, self.device.index or 0)
        tests = [f"({' | '.join(each)}) & {alignment - 1}" for alignment, each in loose.items()]
        other = f"u{index}({', '.join(arguments)})"
        return f"{other} if {' or '.join(tests)} else {launch}"

    def _failed(self, call: KernelCall, error: Any, leaves: Sequence[Any]) -> Any:
        if not isinstance(error, Decline):
            detail = error if isinstance(error, str) else ""
            error = failure_of(self.kind.failure, call.group.nodes, detail)
        return self._give_up(error, leaves)

    def _give_up(self, decline: Decline, leaves: Sequence[Any]) -> Any:
        return self.fallback(leaves, decline)

    def _allocate(self, value_id: int) -> None:
        if value_id in self.tensor:
            return
        value = self.graph.values[value_id]
        assert value.shape is not None
        self.names[f"h{value_id}"] = value.shape
        self.names[f"s{value_id}"] = value.dense_strides
        self.names[f"d{value_id}"] = TO_TORCH[self.graph.dtype(value_id)]
        self.tensor[value_id] = f"v{value_id}"
        new = "new"
        if value.nbytes >= self.kind.large:
            new = "new_large"
            self.names[new] = with_huge_pages(self.names["new"])
        self.lines.append(f"v{value_id} = {new}(h{value_id}, s{value_id}, d{value_id})")

    def _address(self, place: Place, dtype: DType) -> str:
        base = place.base
        if base not in self.pointer:
            self.pointer[base] = f"p{base}"
            self.lines.append(f"p{base} = {self.tensor[base]}.data_ptr()")
        offset = place.offset * dtype.itemsize
        return f"p{base} + {offset}" if offset else f"p{base}"

    def _strided(self, place: Place) -> str:
        tensor = self.tensor[place.base]
        offset = f"{tensor}.storage_offset() + {place.offset}"
        return f"{tensor}.as_strided({place.shape}, {place.strides}, {offset})"

    def _scalar(self, value_id: int) -> str:
        return self.program.capture.scalars[self._position[value_id]]

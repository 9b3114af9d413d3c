"""The lines of a plan that launch kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusekit.errors import LaunchError
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.runtime.devices import kind_of
from fusekit.runtime.engines import Engine
from fusekit.runtime.kernels import Kernel
from fusekit.runtime.memory import with_huge_pages
from fusekit.runtime.place import Place
from fusekit.runtime.pool import pooled
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.reasons import failure_of
from fusekit.runtime.recipe import Find, Sized, is_large
from fusekit.runtime.unaligned import OneByOne, Unaligned
from fusekit.specs import Decline

__all__ = ["Fallback", "LaunchWriter"]

Fallback = Callable[[Sequence[Any], Decline], Any]
"""Runs the original function on argument leaves, for the reason given."""


class LaunchWriter:
    """Writes launches, and the lines before them that they need.

    Attributes:
        lines: of the generated function.
        names: its globals that are the same whatever the sizes.
        sized: those that are not, and how to find them.
        allocated: values that the lines allocate, and whether with care because they are large.
        tensor: value that is a tensor of its own -> the variable that holds it.
        pointer: likewise, the one that holds its address.
    """

    def __init__(
        self, program: Program, engine: Engine, kernels: Mapping[int, Kernel], fallback: Fallback
    ) -> None:
        """`kernels` has each group's."""
        self.program = program
        self.graph = program.graph
        self.engine = engine
        self.kernels = kernels
        self.fallback = fallback
        self.device = program.capture.device
        self.kind = kind_of(self.device.type)
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.sized: dict[str, Find] = {}
        self.allocated: dict[int, bool] = {}
        self.tensor: dict[int, str] = {}
        self.pointer: dict[int, str] = {}
        self._arguments = set(program.graph.inputs)
        self._scalars: dict[str, str] = {}
        self._has_stored = False
        self._position = {value: i for i, value in enumerate(self.graph.scalar_inputs)}

    def write_launch(self, launch: Sequence[KernelCall]) -> None:
        """One call, or a batch of them."""
        batch = None
        stores = any(self._stores(call) for call in launch)
        if len(launch) > 1 and self.engine.compiler:
            kernel = self.kernels[launch[0].group.index]
            bindings = [call.binding for call in launch]
            device = self.device.index or 0
            batch = kernel.launcher.batch(kernel.spec, bindings, device, stores=stores)
        if batch is None:
            for call in launch:
                self._write_call_of(call)
        else:
            self._write_batch(launch, batch)
        self._has_stored |= stores

    def _stores(self, call: KernelCall) -> bool:
        """True if a call writes into an argument."""
        return any(place.base in self._arguments for place in call.writes)

    def _write_batch(self, launch: Sequence[KernelCall], batch: Callable[..., Any]) -> None:
        index = launch[0].group.index
        self.names[f"batch{index}"] = batch
        slots, addresses = [], []
        for call in launch:
            self._allocate_results(call)
            slots += [self._named(self._scalar(i)) for i in call.scalars]
            addresses.append(self._addresses(call))
            slots += addresses[-1]
        text = f"batch{index}({', '.join(slots)})"
        self._write_checked(launch[0], self._aligned(launch, addresses, slots, text))

    def _addresses(self, call: KernelCall) -> list[str]:
        return [self._address(call, position) for position in range(len(call.places))]

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
        if not self.engine.compiler:
            launch = self.engine.load_launcher()(call.spec, call.group.shape, call.counts)
            self.names[f"k{index}"] = launch
            arguments = ["None", *scalars, *(self._strided(place) for place in call.places)]
            self._write_checked(call, f"k{index}({', '.join(arguments)})")
            return
        launcher = self.kernels[index].launcher
        device = self.device.index or 0
        self.names[f"k{index}"] = launcher.function
        self.sized[f"l{index}"] = lambda at: launcher.layout(at.calls[index].binding, device)
        addresses = self._addresses(call)
        given = [*scalars, *addresses]
        launch = f"k{index}({', '.join([f'l{index}', *given])})"
        self._write_checked(call, self._aligned([call], [addresses], given, launch))

    def _write_checked(self, call: KernelCall, launch: str) -> None:
        """The launch; what it returns, if anything, means that PyTorch has to run the call."""
        if call.spec.traps or self.kind.may_always_fail:
            failed = f"failed{call.group.index}"
            self.names[failed] = functools.partial(
                self._lost if self._has_stored else self._failed, call
            )
            self.lines += [f"error = {launch}", "if error:", f"    return {failed}(error, a)"]
        else:
            self.lines.append(launch)

    def _aligned(
        self,
        calls: Sequence[KernelCall],
        addresses: Sequence[Sequence[str]],
        arguments: Sequence[str],
        launch: str,
    ) -> str:
        """The launch of the kernel that fits the alignment of these calls' arguments."""
        index = calls[0].group.index
        loose: dict[int, dict[str, None]] = {}
        for call, each in zip(calls, addresses, strict=True):
            # results that are allocated here are aligned
            given = [*(True for _ in call.reads), *(p.base in self._arguments for p in call.writes)]
            for desc, address, is_given in zip(call.binding.args.tensors, each, given, strict=True):
                if desc.alignment > desc.dtype.itemsize and is_given:
                    loose.setdefault(desc.alignment, {})[address] = None
        if not loose:
            return launch
        indices = [call.group.index for call in calls]
        stores = any(self._stores(call) for call in calls)

        def unaligned(at: Sized) -> Unaligned | OneByOne:
            device = self.device.index or 0
            others = [Unaligned(self.engine, at.calls[i], device) for i in indices]
            return OneByOne(others, stores=stores) if others[1:] else others[0]

        self.sized[f"u{index}"] = unaligned
        tests = [f"({' | '.join(each)}) & {alignment - 1}" for alignment, each in loose.items()]
        other = f"u{index}({', '.join(arguments)})"
        return f"{other} if {' or '.join(tests)} else {launch}"

    def _failed(self, call: KernelCall, error: Any, leaves: Sequence[Any]) -> Any:
        if not isinstance(error, Decline):
            detail = error if isinstance(error, str) else ""
            error = failure_of(self.kind.failure, call.group.nodes, detail)
        return self._give_up(error, leaves)

    def _lost(self, call: KernelCall, error: Any, leaves: Sequence[Any]) -> Any:
        del leaves  # not what they were
        raise LaunchError(f"{call.spec.symbol}, after others had stored into arguments: {error}")

    def _give_up(self, decline: Decline, leaves: Sequence[Any]) -> Any:
        return self.fallback(leaves, decline)

    def _allocate(self, value_id: int) -> None:
        if value_id in self.tensor:
            return
        self.tensor[value_id] = f"v{value_id}"
        given = self.layout_of(value_id)
        self.allocated[value_id] = is_large(self.program, value_id)
        if self.allocated[value_id]:
            self.names["new_large"] = pooled(with_huge_pages(self.names["new"]))
            self.sized[f"n{value_id}"] = lambda at: at.program.graph.values[value_id].nbytes
            self.lines.append(f"v{value_id} = new_large({given}, n{value_id})")
        else:
            self.lines.append(f"v{value_id} = new({given})")

    def layout_of(self, value_id: int) -> str:
        """The names of a value's shape, strides and dtype."""
        self.sized[f"h{value_id}"] = lambda at: at.program.graph.values[value_id].shape
        self.sized[f"s{value_id}"] = lambda at: at.program.graph.values[value_id].dense_strides
        self.names[f"d{value_id}"] = TO_TORCH[self.graph.dtype(value_id)]
        return f"h{value_id}, s{value_id}, d{value_id}"

    def _address(self, call: KernelCall, position: int) -> str:
        """Where a call's tensor begins: the `position`-th of those it reads, then writes."""
        index, place = call.group.index, call.places[position]
        base = place.base
        if base not in self.pointer:
            self.pointer[base] = f"p{base}"
            self.lines.append(f"p{base} = {self.tensor[base]}.data_ptr()")
        if not place.offset:
            return f"p{base}"
        size = call.binding.args.tensors[position].dtype.itemsize
        name = f"o{index}_{position}"
        self.sized[name] = lambda at: at.calls[index].places[position].offset * size
        return f"p{base} + {name}"

    def _strided(self, place: Place) -> str:
        tensor = self.tensor[place.base]
        offset = f"{tensor}.storage_offset() + {place.offset}"
        return f"{tensor}.as_strided({place.shape}, {place.strides}, {offset})"

    def _scalar(self, value_id: int) -> str:
        return self.program.capture.scalars[self._position[value_id]]

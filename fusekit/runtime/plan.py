"""Plans: the Python function that serves one signature, generated for it.

A plan checks that the arguments still fit, allocates, launches and calls, with nothing left to
decide. For `relu(x * s)` on float32[8] it reads:

    def run(a):
        a0, a1 = a
        if not (type(a1) is float and check(a0)):
            return MISS
        tick()
        v2 = new(h2, s2, d2)
        p0 = a0.data_ptr()
        p2 = v2.data_ptr()
        k0(l0, a1, p0, p2)
        return v2
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.frontends.calls import decode, resolve, returns_list, tensors_in
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.fusion import Group
from fusekit.ir import DType, Node, Ref
from fusekit.ir.graph import Attr
from fusekit.runtime.devices import kind_of
from fusekit.runtime.engines import Engine
from fusekit.runtime.guard import alias_checks, first_shared, overlap, unpack, write_guard
from fusekit.runtime.kernels import Kernel, kernel_for
from fusekit.runtime.memory import with_huge_pages
from fusekit.runtime.program import KernelCall, Place, Program
from fusekit.runtime.reasons import failure_of
from fusekit.runtime.stats import CallCounter, counters
from fusekit.runtime.unaligned import Unaligned
from fusekit.specs import Decline, Reason

__all__ = ["MISS", "Plan", "make_plan"]

MISS = object()
"""What a plan returns for arguments that are not its own."""

Fallback = Callable[[Sequence[Any], Decline], Any]
"""Runs the original function on argument leaves, for the reason given."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A signature's executable form.

    Attributes:
        program: what it carries out.
        engine: whose kernels it launches.
        kernels: compiled, in order.
        text: the generated Python.
        run: called with the argument leaves; MISS if they are not of this signature.
        counter: its calls.
    """

    program: Program
    engine: Engine
    kernels: tuple[Kernel, ...]
    text: str
    run: Callable[[Sequence[Any]], Any]
    counter: CallCounter


def make_plan(program: Program, engine: Engine, leaves: Sequence[Any], fallback: Fallback) -> Plan:
    """Compile the program's kernels and generate its function.

    Raises:
        FusionDeclined: a kernel did not compile.
    """
    live = [call for call in program.kernels if call.binding.numel] if engine.compiler else []
    kernels = tuple(kernel_for(engine, call.spec, call.binding.args) for call in live)
    return _Writer(program, engine, kernels, leaves, fallback).plan()


class _Writer:
    """Writes one plan; `names` are the globals of the generated function."""

    def __init__(
        self,
        program: Program,
        engine: Engine,
        kernels: tuple[Kernel, ...],
        leaves: Sequence[Any],
        fallback: Fallback,
    ) -> None:
        self.program = program
        self.graph = program.graph
        self.engine = engine
        self.kernels = kernels
        self.leaves = leaves
        self.fallback = fallback
        self.device = program.capture.device
        self.kind = kind_of(self.device.type)
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"MISS": MISS, "new": _allocator(program.capture.device)}
        self.tensor: dict[int, str] = {}
        self.pointer: dict[int, str] = {}
        self.calls = dict(
            zip((k.group.index for k in program.kernels), program.kernels, strict=True)
        )
        self.needed = _needed_on_host(program)

    def plan(self) -> Plan:
        launches = sum(1 for call in self.program.kernels if call.binding.numel)
        opaque = sum(1 for node in self.graph.nodes if node.op == "call")
        counter = CallCounter(launches, opaque)
        counters.add_plan(counter)
        self.names["tick"] = counter.tick
        self._write_guard()
        self._write_device()
        self.lines.append("tick()")
        last = self._last_steps()
        for index, step in enumerate(self.program.partition.steps):
            if isinstance(step, Group):
                self._write_kernel(self.calls[step.index])
            else:
                self._write_node(step)
            dead = [self.tensor[v] for v, at in last.items() if at == index and v in self.tensor]
            if dead:
                self.lines.append(f"del {', '.join(dead)}")
        self._write_writes()
        self._write_return()
        text = "def run(a):\n" + "".join(f"    {line}\n" for line in self.lines)
        run = types.FunctionType(_compiled(text), self.names, "run")
        if "elsewhere" in self.names:
            self.names["run"] = run
        return Plan(self.program, self.engine, self.kernels, text, run, counter)

    # arguments

    def _write_guard(self) -> None:
        guard = write_guard(self.program, self.leaves)
        self.lines += guard.lines
        self.names |= guard.names
        self.tensor |= guard.variables
        self._write_alias_check(guard.tensors)

    def _write_alias_check(self, tensors: Sequence[str]) -> None:
        """A tensor that is written must share memory with no other argument."""
        written = {self.tensor[target] for target, _ in self.program.writes}
        for count, names in alias_checks(written, tensors):
            self.names["first_shared"] = first_shared
            self.names[f"overlap_{names[0]}"] = functools.partial(self._overlap, names)
            self.lines += [
                f"shared = first_shared({count}, {', '.join(names)})",
                "if shared is not None:",
                f"    return overlap_{names[0]}(shared, a)",
            ]

    def _overlap(self, written: Sequence[str], shared: int, leaves: Sequence[Any]) -> Any:
        return self._give_up(overlap(written[shared], leaves), leaves)

    def _write_device(self) -> None:
        """On a device that is not the current one, the plan calls itself where it is."""
        if self.kind.current is None:
            return
        self.names["current_device"] = self.kind.current
        self.names["elsewhere"] = self._run_elsewhere
        self.lines += [
            f"if current_device() != {self.device.index or 0}:",
            "    return elsewhere(run, a)",
        ]

    def _run_elsewhere(self, run: Callable[[Sequence[Any]], Any], leaves: Sequence[Any]) -> Any:
        with torch.get_device_module(self.device).device(self.device):
            return run(leaves)

    def _give_up(self, decline: Decline, leaves: Sequence[Any]) -> Any:
        return self.fallback(leaves, decline)

    # steps

    def _write_kernel(self, call: KernelCall) -> None:
        for value_id in call.group.outputs:
            self._allocate(self.program.places[value_id].base)
        if not call.binding.numel:
            return
        index = call.group.index
        scalars = [self._scalar(i) for i in call.scalars]
        places = (*call.reads, *call.writes)
        if not self.engine.compiler:
            launch = self.engine.load_launcher()(call.spec, call.group.shape, call.counts)
            self.names[f"k{index}"] = launch
            arguments = ["None", *scalars, *(self._strided(place) for place in places)]
            self._write_launch(call, f"k{index}({', '.join(arguments)})")
            return
        launcher = next(
            k.launcher for k in self.kernels if (k.spec, k.args) == (call.spec, call.binding.args)
        )
        self.names[f"k{index}"] = launcher.function
        self.names[f"l{index}"] = launcher.layout(call.binding, self.device.index or 0)
        dtypes = [desc.dtype for desc in call.binding.args.tensors]
        addresses = [
            self._address(place, dtype) for place, dtype in zip(places, dtypes, strict=True)
        ]
        launch = f"k{index}({', '.join([f'l{index}', *scalars, *addresses])})"
        self._write_launch(call, self._aligned(call, addresses, [*scalars, *addresses], launch))

    def _write_launch(self, call: KernelCall, launch: str) -> None:
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
        """The launch of the kernel that fits the alignment of this call's inputs."""
        index, args = call.group.index, call.binding.args
        loose: dict[int, list[str]] = {}
        for desc, address in zip(args.inputs, addresses, strict=False):
            if desc.alignment > desc.dtype.itemsize:
                loose.setdefault(desc.alignment, []).append(address)
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
        position = self.graph.scalar_inputs.index(value_id)
        return self.program.capture.scalars[position]

    def _write_node(self, node: Node) -> None:
        if node.op == "cat":
            self._allocate(node.output)
        elif node.op == "call" or self.needed.intersection(node.outputs):
            self._write_call(node)

    def _write_call(self, node: Node) -> None:
        number = node.outputs[0] if node.outputs else len(self.names)
        self.names[f"op{number}"] = resolve(str(node.attr("target")))
        args, kwargs = node.attr("args"), node.attr("kwargs")
        assert isinstance(args, tuple)
        assert isinstance(kwargs, tuple)
        parts = [self._argument(item) for item in args]
        parts += [f"{item[0]}={self._argument(item[1])}" for item in kwargs]  # type: ignore[index]
        call = f"op{number}({', '.join(parts)})"
        results = [f"v{i}" for i in node.outputs]
        self.tensor.update(zip(node.outputs, results, strict=True))
        if len(results) == 1 and not returns_list(str(node.attr("target"))):
            self.lines.append(f"{results[0]} = {call}")
        elif results:
            self.names["tensors_in"] = tensors_in
            self.lines.append(f"{unpack(results)} = tensors_in({call})")
        else:
            self.lines.append(call)
        if node.op == "call":
            self._write_stride_checks(node)

    def _write_stride_checks(self, node: Node) -> None:
        """Kernels rely on the layout that the trace foretold for what PyTorch returns."""
        read = {place.base for call in self.program.kernels for place in call.reads}
        for value_id in node.outputs:
            if value_id in read:
                value = self.graph.values[value_id]
                self.names[f"h{value_id}"] = value.shape
                self.names[f"s{value_id}"] = value.dense_strides
                self.names[f"d{value_id}"] = TO_TORCH[self.graph.dtype(value_id)]
                detail = f"{node.origin} returned another layout or dtype than its fake tensor"
                self.names["surprise"] = functools.partial(
                    self._give_up, Decline(Reason.LAYOUT, detail, node.origin, node.loc)
                )
                name = self.tensor[value_id]
                self.lines += [
                    f"found = {name}.stride(), {name}.shape, {name}.dtype",
                    f"if found != (s{value_id}, h{value_id}, d{value_id}):",
                    "    return surprise(a)",
                ]

    def _argument(self, value: Attr) -> str:
        if isinstance(value, Ref):
            return self.tensor[value.id]
        if isinstance(value, tuple) and any(isinstance(item, Ref | tuple) for item in value):
            return f"[{', '.join(self._argument(item) for item in value)}]"
        name = f"x{len(self.names)}"
        self.names[name] = decode(value, lambda _: None)
        return name

    # results

    def _write_writes(self) -> None:
        for target, value in self.program.writes:
            self.lines.append(f"{self.tensor[target]}.copy_({self.tensor[value]})")

    def _write_return(self) -> None:
        values = iter(self.program.results)
        parts = []
        for index, result in enumerate(self.program.capture.results):
            if result.value is not None:
                parts.append(self.tensor[next(values)])
            elif result.leaf is not None:
                parts.append(f"a{result.leaf}")
            else:
                self.names[f"r{index}"] = result.constant
                parts.append(f"r{index}")
        spec = self.program.capture.out_spec
        if spec == _structure(0):
            self.lines.append(f"return {parts[0]}")
        elif spec == _structure((0,) * len(parts)):
            self.lines.append(f"return ({', '.join(parts)},)" if parts else "return ()")
        else:
            self.names["unflatten"], self.names["spec"] = pytree.tree_unflatten, spec
            self.lines.append(f"return unflatten([{', '.join(parts)}], spec)")

    def _last_steps(self) -> dict[int, int]:
        """Tensor -> the last step that reads it, for tensors that are not results."""
        last: dict[int, int] = {}
        places = self.program.places
        for index, step in enumerate(self.program.partition.steps):
            if isinstance(step, Group):
                read = [place.base for place in self.calls[step.index].reads]
                read += [place.base for place in self.calls[step.index].writes]
            else:
                read = [places[i].base if i in places else i for i in step.inputs]
                read += [*step.inputs, *step.outputs]
            last.update(dict.fromkeys(read, index))
        kept = set(self.graph.outputs) | set(self.graph.inputs)
        kept |= {places[i].base for i in self.graph.outputs if i in places}
        return {value: step for value, step in last.items() if value not in kept}


@functools.lru_cache(maxsize=1024)
def _compiled(text: str) -> types.CodeType:
    """The code of the one function in `text`, which holds nothing but names made here."""
    module = compile(text, "<fusekit plan>", "exec")
    return next(item for item in module.co_consts if isinstance(item, types.CodeType))


def _structure(value: Any) -> pytree.TreeSpec:
    return pytree.tree_flatten(value)[1]


def _needed_on_host(program: Program) -> set[int]:
    """Views that PyTorch must make, because something other than a kernel looks at them."""
    needed = set(program.graph.outputs)
    for node in reversed(program.graph.nodes):
        if node.op == "call" or (node.op == "view" and needed.intersection(node.outputs)):
            needed.update(node.inputs)
    return needed


def _allocator(device: torch.device) -> Callable[..., torch.Tensor]:
    """`new(shape, strides, dtype)` on the device, which is the current one."""
    quick = getattr(torch._C._dynamo.guards, f"_empty_strided_{device.type}", None)  # noqa: SLF001  half the price
    if quick is not None:
        return quick  # type: ignore[no-any-return]
    return lambda shape, strides, dtype: torch.empty_strided(
        shape, strides, dtype=dtype, device=device
    )

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

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.frontends.calls import decode, resolve, returns_list, tensors_in
from fusekit.fusion import Group
from fusekit.ir import Node, Ref
from fusekit.ir.graph import Attr
from fusekit.runtime.devices import kind_of
from fusekit.runtime.engines import Engine
from fusekit.runtime.guard import Guard, overlap, shares_memory, unpack, write_guard
from fusekit.runtime.kernels import Kernel, kernel_for
from fusekit.runtime.plan_launches import Fallback, LaunchWriter
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.reasons import text_of
from fusekit.runtime.recipe import MISS, Plan, Recipe, function_of
from fusekit.specs import ArgSpec, Decline, Reason

__all__ = ["MISS", "Plan", "args_of", "make_plan", "recording"]

_MOST_RECIPES = 8
"""Texts kept of one program: small and large results, rows that are short, alignments."""


def make_plan(
    program: Program,
    engine: Engine,
    leaves: Sequence[Any],
    fallback: Fallback,
    known: list[Recipe] | None = None,
) -> Plan:
    """Compile the program's kernels and generate its function.

    Args:
        program: what to carry out.
        engine: whose kernels to launch.
        leaves: arguments to serve, and all that are like them.
        fallback: what runs a call that a kernel gives up.
        known: recipes of this program at other sizes, made for leaves and a fallback that differ
            in nothing else; a new one is added.

    Raises:
        FusionDeclined: a kernel did not compile.
    """
    for recipe in known or ():
        if recipe.is_of(program, engine, leaves):
            return recipe.plan(program, leaves)
    compiled: dict[int, Kernel] = {}
    for launch in program.launches if engine.compiler else ():
        kernel = kernel_for(engine, launch[0].spec, args_of(launch, program.device))
        compiled.update((call.group.index, kernel) for call in launch)
    recipe = _Writer(program, engine, compiled, fallback).recipe(leaves)
    if known is not None and recipe.may_serve_others:
        known.append(recipe)
        del known[:-_MOST_RECIPES]
    return recipe.plan(program, leaves)


def args_of(launch: Sequence[KernelCall], device: str) -> ArgSpec:
    """What the kernel of a launch is specialised on."""
    each = [call.binding.args for call in launch]
    if len(launch) == 1:
        return each[0]
    return kind_of(device).args_of_batch(launch[0].spec, each, len(launch))


def recording(
    program: Program, leaves: Sequence[Any], attached: Callable[[Sequence[Any]], list[Any]]
) -> Callable[[Sequence[Any]], Any]:
    """What serves calls while gradients are recorded: `attached` gives the leaves of the result.

    It returns MISS for arguments that are not like these.
    """
    guard = write_guard(program, leaves, recording=True)
    spec = program.capture.out_spec
    names = {"MISS": MISS, "attached": attached, "unflatten": pytree.tree_unflatten, "spec": spec}
    names["check"] = guard.check(leaves)
    last = "attached(a)[0]" if spec == _structure(0) else "unflatten(attached(a), spec)"
    return function_of(_text([*guard.lines, f"return {last}"]), guard.names | names)


class _Writer(LaunchWriter):
    """Writes one plan."""

    def __init__(
        self,
        program: Program,
        engine: Engine,
        kernels: Mapping[int, Kernel],
        fallback: Fallback,
    ) -> None:
        super().__init__(program, engine, kernels, fallback)
        self.names |= {"MISS": MISS, "new": _allocator(program.capture.device)}
        self.calls = {call.group.index: call for call in program.kernels}
        self.launches = {launch[0].group.index: launch for launch in program.launches}
        self.needed = _needed_on_host(program)

    def recipe(self, leaves: Sequence[Any]) -> Recipe:
        guard = write_guard(self.program, leaves)
        self._write_guard(guard)
        self._write_device()
        self.lines.append("tick()")
        self._write_steps()
        self._write_writes()
        self._write_return()
        return Recipe(
            self.program,
            self.engine,
            self.kernels,
            _text(self.lines),
            self.names,
            self.sized,
            guard,
            self.allocated,
        )

    def _write_steps(self) -> None:
        last = self._last_steps()
        for index, step in enumerate(self.program.partition.steps):
            if isinstance(step, Group):
                self._write_group(self.calls[step.index])
            else:
                self._write_node(step)
            dead = [self.tensor[v] for v, at in last.items() if at == index and v in self.tensor]
            if dead:
                self.lines.append(f"del {', '.join(dead)}")

    # arguments

    def _write_guard(self, guard: Guard) -> None:
        self.lines += guard.lines
        self.names |= guard.names
        self.tensor |= guard.variables
        self._write_alias_check(list(guard.tensors))

    def _write_alias_check(self, tensors: Sequence[str]) -> None:
        """A tensor that is written must share memory with no other argument."""
        written = [self.tensor[target] for target, _ in self.program.writes]
        if written and len(tensors) > 1:
            given = [*written, *(name for name in tensors if name not in set(written))]
            self.names["shares"] = functools.partial(shares_memory, len(written))
            self.names["overlap"] = functools.partial(self._overlap, written)
            self.lines += [f"if shares({', '.join(given)}):", "    return overlap(a)"]

    def _overlap(self, written: Sequence[str], leaves: Sequence[Any]) -> Any:
        return self._give_up(overlap(written, leaves), leaves)

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

    # steps

    def _write_group(self, call: KernelCall) -> None:
        """The launch that begins with the group; what has no elements needs memory at most."""
        launch = self.launches.get(call.group.index)
        if launch is not None:
            self.write_launch(launch)
        elif not call.binding.numel:
            self._allocate_results(call)

    def _write_node(self, node: Node) -> None:
        if node.op == "cat":
            self._allocate(node.output)
        elif node.op == "call" or self.needed.intersection(node.outputs):
            self._write_call(node)

    def _write_call(self, node: Node) -> None:
        name = f"op{node.outputs[0]}" if node.outputs else f"check{len(self.names)}"
        self.names[name] = resolve(str(node.attr("target")))
        args, kwargs = node.attr("args"), node.attr("kwargs")
        assert isinstance(args, tuple)
        assert isinstance(kwargs, tuple)
        parts = [self._argument(item) for item in args]
        parts += [f"{item[0]}={self._argument(item[1])}" for item in kwargs]  # type: ignore[index]
        call = f"{name}({', '.join(parts)})"
        start = len(self.lines)
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
            if self.program.writes:
                self._guard_arguments(start)
            self._write_stride_checks(node)

    def _guard_arguments(self, start: int) -> None:
        """Have PyTorch run the call if an operator raises in these lines.

        Nothing is written yet, where PyTorch may have written half of it by then.
        """
        self.names["text_of"], self.names["raised"] = text_of, self._raised
        self.lines[start:] = [
            *("failure = ''", "try:", *(f"    {line}" for line in self.lines[start:])),
            *("except Exception as exception:", "    failure = text_of(exception)"),
            *("if failure:", "    return raised(failure, a)"),  # here, no error has a context
        ]

    def _raised(self, failure: str, leaves: Sequence[Any]) -> Any:
        return self._give_up(Decline(Reason.RAISED, failure), leaves)

    def _write_stride_checks(self, node: Node) -> None:
        """Kernels rely on the layout that the trace foretold for what PyTorch returns."""
        read = {place.base for call in self.program.kernels for place in call.reads}
        for value_id in node.outputs:
            if value_id in read:
                self.layout_of(value_id)
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
            if not self.program.is_in_place(value):
                self.lines.append(f"{self.tensor[target]}.copy_({self.tensor[value]})")
        stored = [self.tensor[t] for t, v in self.program.writes if self.program.is_in_place(v)]
        if stored:  # autograd has to notice, as it does by itself where PyTorch writes
            self.names["written"] = torch.autograd.graph.increment_version
            self.lines.append(f"written(({', '.join(stored)},))")

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
        if len(self.program.partition.steps) == 1:  # what it leaves goes when the plan returns
            return last
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


def _text(lines: Sequence[str]) -> str:
    """A function of the argument leaves."""
    return "def run(a):\n" + "".join(f"    {line}\n" for line in lines)


def _structure(value: Any) -> pytree.TreeSpec:
    return pytree.tree_flatten(value)[1]


def _needed_on_host(program: Program) -> set[int]:
    """Views that PyTorch must make, because something other than a kernel looks at them."""
    needed = set(program.results)
    needed.update(value for _, value in program.writes if not program.is_in_place(value))
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

"""Recipes: the text of a plan, apart from what differs between the sizes that it may serve.

A plan for other sizes has the same text over other globals: extents, strides, layouts, and the
check of the arguments. So it is written once, and a new size takes a new dictionary.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fusekit.runtime import kernels as compiled
from fusekit.runtime.devices import kind_of
from fusekit.runtime.engines import Engine
from fusekit.runtime.guard import Guard
from fusekit.runtime.kernels import Kernel
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.stats import CallCounter, counters

__all__ = ["MISS", "Find", "Plan", "Recipe", "Sized", "function_of", "is_large"]

MISS = object()
"""What a plan returns for arguments that are not its own."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A signature's executable form.

    Attributes:
        program: what it carries out.
        engine: whose kernels it launches.
        kernels: compiled, in order; what runs many groups at once, once for each.
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


class Sized(NamedTuple):
    """What the names that depend on sizes are found in.

    Attributes:
        program: at these sizes.
        calls: its kernel calls, by the index of the group.
    """

    program: Program
    calls: Mapping[int, KernelCall]


Find = Callable[[Sized], Any]
"""What a name stands for at some sizes."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What plans for a program at several sizes share.

    Attributes:
        program: at the sizes that the text was written for.
        engine: whose kernels are launched.
        kernels: of each group.
        text: the generated Python.
        names: its globals that are the same at all sizes.
        sized: those that are not.
        guard: the head of the text.
        allocated: values that the text allocates, and whether with care because they are large.
        forgotten: `kernels.n_forgotten` when it was written.
    """

    program: Program
    engine: Engine
    kernels: Mapping[int, Kernel]
    text: str
    names: Mapping[str, Any]
    sized: Mapping[str, Find]
    guard: Guard
    allocated: Mapping[int, bool]
    forgotten: int = dataclasses.field(default_factory=compiled.n_forgotten)

    def plan(self, program: Program, leaves: Sequence[Any]) -> Plan:
        """The plan for a program of which this is the text, and arguments like these."""
        counter = CallCounter(len(program.launches), self._n_opaque)
        counters.add_plan(counter)
        at = Sized(program, {call.group.index: call for call in program.kernels})
        names = {name: find(at) for name, find in self.sized.items()}
        names |= self.names
        names["check"], names["tick"] = self.guard.check(leaves), counter.tick
        run = function_of(self.text, names)
        if "elsewhere" in names:
            names["run"] = run
        return Plan(program, self.engine, self._in_order, self.text, run, counter)

    @property
    def may_serve_others(self) -> bool:
        """False where sizes are in the text, or in the table of a batch."""
        return bool(self.engine.compiler) and all(len(each) == 1 for each in self.program.launches)

    def is_of(self, program: Program, engine: Engine, leaves: Sequence[Any]) -> bool:
        """True if the text is what would be written for the program at hand.

        That is this program at other sizes, or another of its like, and so are the leaves: what
        does not depend on extents is not looked at.
        """
        return (
            engine is self.engine
            and self.forgotten == compiled.n_forgotten()
            and _lines_of(program) == self._lines
            and all(map(operator.is_, program.graph.nodes, self.program.graph.nodes))
            and all(is_large(program, i) == large for i, large in self.allocated.items())
            and self.guard.is_like(leaves)
        )

    @functools.cached_property
    def _lines(self) -> list[object]:
        return _lines_of(self.program)

    @functools.cached_property
    def _n_opaque(self) -> int:
        return sum(node.op == "call" for node in self.program.graph.nodes)

    @functools.cached_property
    def _in_order(self) -> tuple[Kernel, ...]:
        return tuple(self.kernels[index] for index in sorted(self.kernels))


def _lines_of(program: Program) -> list[object]:
    """What the lines about launches depend on, of launches with one call each.

    That is which call it is, of which kernel, and which tensors begin where their memory does not;
    and which results are stored in which arguments.
    """
    calls = [launch[0] for launch in program.launches if len(launch) == 1]
    found: list[object] = [
        (call.group.index, call.binding.args, [place.offset != 0 for place in call.places])
        for call in calls
    ]
    stored = [(value, place.base) for value, place in program.moved.items()]
    return [len(program.launches), *found, *stored]


def is_large(program: Program, value_id: int) -> bool:
    """True for a result that is allocated with care."""
    kind = kind_of(program.capture.device.type)
    return program.graph.values[value_id].nbytes >= kind.large


def function_of(text: str, names: dict[str, Any]) -> Callable[..., Any]:
    """The function in `text`, over these globals."""
    return types.FunctionType(_code_of(text), names, "run")


@functools.lru_cache(maxsize=1024)
def _code_of(text: str) -> types.CodeType:
    """The code of the one function in `text`, which holds nothing but names made here."""
    module = compile(text, "<fusekit plan>", "exec")
    return next(item for item in module.co_consts if isinstance(item, types.CodeType))

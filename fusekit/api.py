"""What users call: `fuse`, and the `FusedFunction` it returns; `explain`, `explore`, `stats`."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from fusekit.errors import UsageError
from fusekit.frontends.lines import writable
from fusekit.frontends.scripted import readable
from fusekit.fusion import Plan, as_plan
from fusekit.runtime.engines import ENGINES, Engine
from fusekit.runtime.history import History
from fusekit.runtime.planned import Planned
from fusekit.runtime.stats import Stats, counters
from fusekit.runtime.texts import texts

if TYPE_CHECKING:
    from fusekit.bench.editing.editor import KernelEditor
    from fusekit.runtime.cached import FunctionCache
    from fusekit.runtime.compiled import ProgramExplanation
    from fusekit.runtime.elementtrace import ElementTrace
    from fusekit.runtime.explanation import Explanation
    from fusekit.runtime.rounding import Rounding

__all__ = [
    "FusedFunction",
    "explain",
    "explore",
    "fuse",
    "stats",
]

_EXPLORE = "fusekit.viz.collect.fused"
_WHOLE_PROGRAM = "fusekit.viz.collect.wholeprogram"
"""Imported when asked for: everything below the notebook layer works without them."""

_WHAT_IF = "fusekit.bench.trying.trials"
"""Likewise: it measures."""

_EDIT = "fusekit.bench.editing.editor"
"""Likewise: measuring is above this."""

_CACHED = "fusekit.runtime.cached"
_COMPILED = "fusekit.runtime.compiled"
_EXPLANATION = "fusekit.runtime.explanation"
_MICROSCOPE = "fusekit.runtime.microscope"
_TRACING = "fusekit.runtime.tracing"
"""Likewise: a program that only calls functions need not wait for what explains them."""

PlanLike = Plan | Mapping[str, Any] | str | Path


class FusedFunction(Planned):
    """A function whose pointwise operations run as generated kernels.

    Calling it gives the values, dtypes, shapes, strides and errors of the original, and is
    differentiable; what cannot be fused runs in PyTorch.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        engine: str,
        name: str | None,
        dynamic: bool,
        plan: Plan | None = None,
    ) -> None:
        """See `fuse`."""
        if engine != "auto" and engine not in ENGINES:
            raise UsageError(f"no engine {engine!r}; there are auto, {', '.join(ENGINES)}")
        function = readable(function)
        label = name or getattr(function, "__name__", type(function).__name__)
        super().__init__(function, engine, writable(str(label)), dynamic=dynamic, plan=plan)
        functools.update_wrapper(self, function, updated=())
        self._bound: weakref.WeakKeyDictionary[Any, FusedFunction] = weakref.WeakKeyDictionary()

    def __get__(self, instance: Any, owner: type | None = None) -> FusedFunction:
        """A fused method: bound to its instance, whose tensors it reads at each call."""
        if instance is None:
            return self
        if instance not in self._bound:
            method = types.MethodType(self.function, instance)
            self._bound[instance] = FusedFunction(
                method,
                engine=self.engine,
                name=self.name,
                dynamic=self.dynamic,
                plan=self.planned,
            )
        return self._bound[instance]

    def __repr__(self) -> str:
        """`<fused NAME, engine ENGINE>`."""
        return f"<fused {self.name}, engine {self.engine}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """For pickle: its name where a module has it under one, else what it was made of.

        A notebook's names are unknown elsewhere. What was compiled stays in its process.
        """
        with contextlib.suppress(AttributeError, KeyError):
            home, name = self.function.__module__, self.function.__qualname__
            if home != "__main__" and attrgetter(name)(sys.modules[home]) is self:
                return name
        how = {"engine": self.engine, "name": self.name, "dynamic": self.dynamic}
        make = functools.partial(fuse, plan=self.planned, **how)
        return make, (self.function,)

    def source(self, *args: Any, language: str | None = None, **kwargs: Any) -> str:
        """The text of the kernels that a call with these arguments runs.

        Args:
            *args: as for the call, which is not made.
            language: "cpp", "cuda", "llvm", "asm", "ptx", "sass" or "ir"; None for what runs.
            **kwargs: as for the call.

        Raises:
            FusionDeclined: the call would not be fused; the decline says why.
            EngineUnavailableError: this machine lacks what the language takes.
            UsageError: there is no such language.
        """
        program, plan = self.entry(args, kwargs).fused()
        return "\n".join(texts(program, plan.engine, language))

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """What a call with these arguments fuses, what it leaves to PyTorch, and why.

        With the bytes that each kernel moves and that its operators would, what to change, and
        what made earlier calls fall back. Prints itself; `to_dict()` is for JSON.

        Args:
            *args: as for the call, which is not made.
            **kwargs: as for the call.

        Raises:
            EngineUnavailableError: the engine asked for by name cannot run here.
        """
        module = importlib.import_module(_EXPLANATION)
        found: Explanation = module.explanation_of(
            self.name, self.entry(args, kwargs), self.history()
        )
        return found

    def history(self) -> History:
        """What happened at run time: calls that fell back, and what each new capture was for.

        Calls of the function's gradients count, too. Kept are the first 64 kinds of fallbacks and
        the latest 64 specialisations.
        """
        return self.recorder.snapshot()

    def cache(self) -> FunctionCache:
        """What is held for this function: entries with their guards, kernels, and what would serve.

        `f.cache().would_serve("f32[8,128], 2.0")` looks a call up that is not made.
        """
        found: FunctionCache = importlib.import_module(_CACHED).FunctionCache(self)
        return found

    def explore(self, *args: Any, **kwargs: Any) -> Any:
        """A `FusionView` of a call with these arguments: graph, source, bytes, timing."""
        return importlib.import_module(_EXPLORE).explore(self, *args, **kwargs)

    def what_if(self, *args: Any, change: str = "", **kwargs: Any) -> Any:
        """One variant of a call: another plan, engine, dtype ..., compiled, checked and timed.

        Args:
            *args: as for the call.
            change: what to change of the plan in force, as `Plan.but` reads it: "mul_3 + g2".
            **kwargs: as for the call, and the options of `fusekit.bench.what_if`, which have
                precedence: plan, engine, threads, fast, dtype, shape, layout, target, settings.

        Returns:
            A `fusekit.bench.Variant`.

        Raises:
            PlanRefused: the plan is illegal; the decline names the rule and the operators.
            UsageError: an option makes no sense.
        """
        return importlib.import_module(_WHAT_IF).called(self, args, kwargs, change)

    def edit(
        self, *args: Any, language: str | None = None, group: int = 0, **kwargs: Any
    ) -> KernelEditor:
        """A kernel of a call with these arguments, to be written otherwise and tried.

        `f.edit(x).compile(text)` says whether a text compiles, what it computes, and how fast it
        is; no call is ever served by it.

        Args:
            *args: as for the call; the edited kernel is tried on copies of them.
            language: "llvm", "cpp" or "cuda"; None for what runs.
            group: which of the call's kernels, from 0.
            **kwargs: as for the call.

        Raises:
            FusionDeclined: the call would not be fused; the decline says why.
            UsageError: there is no such kernel or language, or it cannot be compiled here.
        """
        made: KernelEditor = importlib.import_module(_EDIT).editor(
            self, args, kwargs, language, group
        )
        return made

    def trace(
        self,
        *args: Any,
        index: int | Sequence[int] | None = None,
        output: int = 0,
        **kwargs: Any,
    ) -> ElementTrace:
        """Every value that leads to one element of the result, in several arithmetics.

        One call is made, without its writes into arguments and without recording gradients; what
        it draws is what the next call would have drawn. The element is then computed again from
        the elements it depends on: by each engine that works on this machine, by the reference,
        and in float64. What PyTorch runs between kernels is taken as it came out, and not looked
        into. Kernels are compiled for it: with a C++ compiler there, seconds at the first trace.
        Under the option `fast`, where compilers may contract, bits may differ from the call's.

        Args:
            *args: as for the call.
            index: which element: as many integers as the result has dimensions, negative ones
                counted from the end; None for the first one.
            output: which tensor: those that the function returns, in order, then the arguments it
                writes, as they are after the call; negative ones are counted from the end.
            **kwargs: as for the call.

        Raises:
            FusionDeclined: the call would not be fused, or met a fault; the decline says why.
            IndexError: there is no such element or output.
            TypeError: an index is no integer.
            EngineUnavailableError: the engine asked for by name cannot run here.
        """
        found: ElementTrace = importlib.import_module(_TRACING).trace(
            self, args, kwargs, index, output
        )
        return found

    def rounding(
        self,
        *args: Any,
        limit: int | None = None,
        step: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
        **kwargs: Any,
    ) -> Rounding:
        """How far every intermediate is from float64: the fused kernels' values and eager's.

        Three runs are compared: kernels of the same engine that store what the call's kernels
        keep in registers, PyTorch's operators one by one (with the same random numbers), and the
        whole computation in float64. The call's writes into arguments are not made, and PyTorch's
        generators are afterwards as they were. Kernels are compiled for it.

        Args:
            *args: as for the call.
            limit: how many elements of a value to compare, evenly spaced, at most; less where
                there are very many values. None for 65536.
            step: told how far it is (done, of how many, what comes); it may raise to stop.
            **kwargs: as for the call.

        Raises:
            FusionDeclined: the call would not be fused, or met a fault; the decline says why.
            EngineUnavailableError: the engine asked for by name cannot run here.
        """
        found: Rounding = importlib.import_module(_MICROSCOPE).round_off(
            self, args, kwargs, limit, step
        )
        return found

    def engines(self, *args: Any, **kwargs: Any) -> dict[str, str | None]:
        """Engine name -> None if it can run a call with these arguments here, else why not."""
        entry = self.entry(args, kwargs)
        if entry.program is None:
            reason = str(entry.decline)
            return dict.fromkeys(ENGINES, reason)
        device = entry.program.capture.device.type
        return {name: _obstacle(engine, device) for name, engine in ENGINES.items()}


def _obstacle(engine: Engine, device: str) -> str | None:
    if engine.device not in (device, "any"):
        return f"serves {engine.device}, the tensors are on {device}"
    return engine.unavailable()


@overload
def fuse(
    fn: Callable[..., Any],
    *,
    engine: str = "auto",
    name: str | None = None,
    dynamic: bool = True,
    plan: PlanLike | None = None,
) -> FusedFunction: ...


@overload
def fuse(
    fn: None = None,
    *,
    engine: str = "auto",
    name: str | None = None,
    dynamic: bool = True,
    plan: PlanLike | None = None,
) -> Callable[[Callable[..., Any]], FusedFunction]: ...


def fuse(
    fn: Callable[..., Any] | None = None,
    *,
    engine: str = "auto",
    name: str | None = None,
    dynamic: bool = True,
    plan: PlanLike | None = None,
) -> FusedFunction | Callable[[Callable[..., Any]], FusedFunction]:
    """Fuse a function over tensors; also a decorator, with or without arguments.

    Args:
        fn: any function, method or module that works on tensors.
        engine: "auto", or the name of the engine that must serve: "llvm", "cpp", "cuda",
            "reference".
        name: what to call it in displays; its own name if not given.
        dynamic: Python numbers among the arguments stay arguments of the kernel; False compiles
            their values in.
        plan: how to divide it into kernels: a `Plan`, a dict of one, or the path of a file that
            holds one. It is for calls as they run without recording gradients; a backward, and
            functions that draw random numbers while gradients are recorded, are divided freely.

    Returns:
        A `FusedFunction`. Nothing is captured or compiled before its first call. A call whose
        operators are not the plan's raises UsageError, one that cannot be divided as the plan
        demands `PlanRefused`.

    Raises:
        UsageError: there is no such engine, `fn` is not callable, or `plan` is none.
    """
    made = as_plan(plan)
    if fn is None:
        return functools.partial(fuse, engine=engine, name=name, dynamic=dynamic, plan=made)
    if not callable(fn):
        raise UsageError(f"fuse takes a function, got {type(fn).__name__}")
    if isinstance(fn, FusedFunction):
        fn = fn.function
    return FusedFunction(fn, engine=engine, name=name, dynamic=dynamic, plan=made)


def explain(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation | ProgramExplanation:
    """`fuse(fn).explain(*args, **kwargs)`; of what torch.compile returned, graph by graph.

    The latter is called, because only a call says which graphs run; it tells of those that the
    backend `fusekit` serves. For a backward, or a whole training step, see `fusekit.dynamo`.
    """
    found: ProgramExplanation | None = importlib.import_module(_COMPILED).explain_compiled(
        fn, args, kwargs
    )
    return found or _as_fused(fn).explain(*args, **kwargs)


def explore(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`fuse(fn).explore(*args, **kwargs)`; of what torch.compile returned, the whole program.

    The latter is called, and the view shows all graphs that the backend `fusekit` served in this
    call as one; then it is timed against what torch.compile was given, unless it writes into its
    arguments or its buffers.
    """
    if importlib.import_module(_COMPILED).original_of(fn) is not None:
        return importlib.import_module(_WHOLE_PROGRAM).explore_compiled(fn, args, kwargs)
    return _as_fused(fn).explore(*args, **kwargs)


def _as_fused(fn: Callable[..., Any]) -> FusedFunction:
    return fn if isinstance(fn, FusedFunction) else fuse(fn)


def stats() -> Stats:
    """The process's counters as they are now."""
    return counters.snapshot()

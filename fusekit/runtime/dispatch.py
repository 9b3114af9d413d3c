"""Dispatch: from a call's arguments to the plan that serves them.

A plan checks for itself whether it fits, so the common call is one dictionary look-up by the form
of the call and one call of generated code. Calls that fit no recent plan are looked up by their
whole signature; those seen for the first time are captured.
"""

from __future__ import annotations

import dataclasses
import operator
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from fusekit import events
from fusekit.config import Options, current
from fusekit.errors import FusionDeclined
from fusekit.frontends.free import free_variables
from fusekit.frontends.fx import Capture, capture
from fusekit.frontends.seeds import is_seed
from fusekit.frontends.torchstate import TorchState
from fusekit.fusion import Plan as FusionPlan
from fusekit.locks import rlock
from fusekit.runtime.bounded import Bounded
from fusekit.runtime.differences import form_of, signature_of
from fusekit.runtime.engines import Engine, choose, switches
from fusekit.runtime.entry import Entry, Generic, conditions
from fusekit.runtime.gradient import Differentiable, check_differentiable, frees_of, requires_grad
from fusekit.runtime.history import Recorder
from fusekit.runtime.leaf_names import leaf_names
from fusekit.runtime.plan import MISS, Plan, make_plan
from fusekit.runtime.program import Program, build
from fusekit.runtime.reasons import exhausted
from fusekit.runtime.resize import extents_of, is_generic, pattern_of, resize
from fusekit.runtime.seeded import Drawing, Seeded
from fusekit.runtime.signature import (
    context_key,
    foreign_context,
    leaf_key,
    mutable_among,
    spread,
)
from fusekit.runtime.stats import counters
from fusekit.specs import Decline, Reason

__all__ = ["Dispatcher", "switch"]

default_dtype = torch.get_default_dtype

being_compiled = torch.compiler.is_dynamo_compiling
"""torch.compile takes the original apart, not this."""

n_modes = torch._C._len_torch_dispatch_stack  # noqa: SLF001  the plans' own checks miss make_fx
n_function_modes = torch._C._len_torch_function_stack  # noqa: SLF001  and torch.device as a context

_HOT = 6
"""Plans tried in turn before the signature is computed."""

_MAX_ENTRIES = 4096
"""Signatures remembered for one function; the oldest are forgotten."""

Capturer = Callable[[tuple[Any, ...], dict[str, Any]], Capture]
"""Positional and named arguments -> the graph they run."""

_MAX_VARIANTS = 64
"""Entries of one signature, which differ in pinned numbers or in what the function closes over."""


class _Hot(NamedTuple):
    """Recent plans by form of the call, and what they took for granted but do not check."""

    dtype: torch.dtype
    options: Options
    runs: dict[Hashable, tuple[Callable[[Sequence[Any]], Any], ...]]


class Dispatcher:
    """Everything prepared for one function.

    Attributes:
        prepared: its entries, by what calls are looked up by.
        generic: programs that serve other sizes, by the same without extents.
        planned: how the function is to be divided, if that was said.
    """

    planned: FusionPlan | None = None

    def __init__(
        self,
        function: Callable[..., Any],
        engine: str,
        name: str,
        *,
        dynamic: bool,
        capture: Capturer | None = None,
        original: Callable[..., Any] | None = None,
        recorder: Recorder | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Prepare nothing yet.

        `capture` replaces the tracing of `function`; `original` is what `function` calls, whose
        closure counts. What happens is noted in `recorder`; `labels` are names for the first
        argument leaves, where the function's own parameters say nothing.
        """
        self.function = function
        self.original = original or function
        self._capture = capture or self._trace
        self.engine = engine
        self.name = name
        self.dynamic = dynamic
        self.recorder = recorder or Recorder(name)
        self._labels = labels
        self._hot = _Hot(torch.get_default_dtype(), current(), {})
        self._takes_lists = False
        self._pinned: tuple[Entry, ...] = ()
        self.prepared = Bounded[Entry](_MAX_ENTRIES, _MAX_VARIANTS, self.is_pinned)
        self.generic = Bounded[Generic](
            _MAX_ENTRIES, _MAX_VARIANTS, lambda held: self.is_pinned(held.entry)
        )
        self._lock = rlock()
        _dispatchers.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result."""
        if being_compiled():
            return self.function(*args, **kwargs)
        if kwargs:
            form: Hashable = (len(args), *kwargs)
            leaves: Sequence[Any] = (*args, *kwargs.values())
        else:
            form, leaves = len(args), args
        dtype, options, runs = self._hot
        if (
            dtype is default_dtype()
            and options is current()
            and not n_modes()
            and not n_function_modes()
        ):
            for run in runs.get(form, ()):
                result = run(leaves)
                if result is not MISS:
                    return result
            if self._takes_lists:
                lists, leaves = spread(args, kwargs)
                for run in runs.get(lists, ()):
                    result = run(leaves)
                    if result is not MISS:
                        return result
        return self._slow(form, args, kwargs)

    def entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """What serves a call, prepared if need be.

        Raises:
            EngineUnavailableError: the engine asked for by name cannot run here.
        """
        leaves, spec = pytree.tree_flatten((args, kwargs))
        mutable = mutable_among(leaves)
        if mutable is not None:
            return Entry(None, mutable, None)
        key = self._key(leaves, spec)
        for known in self.prepared.get(key):
            if known.fits(leaves):
                return known
        with self._lock:
            for known in self.prepared.get(key):
                if known.fits(leaves):
                    return known
            counters.missed()
            state = TorchState()
            try:
                made = self._prepare(args, kwargs, leaves, spec)
            except BaseException:
                state.restore()
                raise
            self.prepared.add(key, made)
            return made

    def eager(self, args: tuple[Any, ...], kwargs: dict[str, Any], decline: Decline) -> Any:
        """Run the original, counted."""
        counters.fell_back(self.name, decline)
        self.recorder.fell_back(self.name, decline)
        return self.function(*args, **kwargs)

    # what is kept

    def evict(self, entry: Entry) -> None:
        """Forget an entry, and the capture it was made by: the next such call is a new one."""
        with self._lock:
            self.pin(entry, pinned=False)
            self.prepared.remove(lambda held: held is entry)
            self.generic.remove(lambda held: held.entry.shares_capture(entry))
            self.forget_recent()

    def pin(self, entry: Entry, *, pinned: bool) -> None:
        """Never forget an entry for want of room, or again as any other."""
        with self._lock:
            others = tuple(held for held in self._pinned if held is not entry)
            self._pinned = (*others, entry) if pinned else others

    def is_pinned(self, entry: Entry) -> bool:
        """True if the entry, or one by the same capture, is never forgotten for want of room."""
        return any(held is entry or held.shares_capture(entry) for held in self._pinned)

    # the slow way

    def _slow(self, form: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        decline = foreign_context()
        if decline is not None:
            return self.eager(args, kwargs, decline)
        try:
            entry = self.entry(args, kwargs)
        except (MemoryError, RecursionError, OSError) as error:
            return self.eager(args, kwargs, exhausted(error))
        if entry.decline is not None or entry.plan is None:
            return self.eager(args, kwargs, entry.decline or Decline(Reason.CAPTURE))
        leaves = pytree.tree_leaves((args, kwargs))
        if entry.differentiable is not None:
            made = entry.differentiable(leaves)
            return pytree.tree_unflatten(made, entry.plan.program.capture.out_spec)
        lists, found = spread(args, kwargs)
        if len(found) == len(leaves) and all(map(operator.is_, found, leaves)):
            if any(type(item) in (list, tuple) for item in (*args, *kwargs.values())):
                form, self._takes_lists = lists, True
            self._remember(form, entry.plan.run)
        result = entry.plan.run(leaves)
        if result is MISS:
            # the guard is stricter than the key (a mode, a subclass): PyTorch knows what to do
            detail = "an argument's dispatch keys are not those that it was prepared for"
            return self.eager(args, kwargs, Decline(Reason.TRANSFORM, detail))
        return result

    def forget_recent(self) -> None:
        """Look the next call up by its whole signature, which includes the switches."""
        with self._lock:
            self._hot = self._hot._replace(runs={})

    def _remember(self, form: Hashable, run: Callable[[Sequence[Any]], Any]) -> None:
        with self._lock:
            dtype, options, runs = self._hot
            if dtype is not default_dtype() or options is not current():
                runs = {}
            others = [known for known in runs.get(form, ()) if known is not run]
            runs = {**runs, form: (run, *others[: _HOT - 1])}
            self._hot = _Hot(default_dtype(), current(), runs)

    def _key(
        self, leaves: Sequence[Any], spec: pytree.TreeSpec, *, shapes: bool = True
    ) -> tuple[Hashable, ...]:
        tensors = [id(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)]
        aliases = tuple(map(tensors.index, tensors)) if len(set(tensors)) < len(tensors) else None
        return (str(spec), context_key(), aliases, *(leaf_key(leaf, shapes) for leaf in leaves))

    def _prepare(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        leaves: Sequence[Any],
        spec: pytree.TreeSpec,
    ) -> Entry:
        start = time.perf_counter()
        program, captured = None, True
        try:
            program, captured = self._program(args, kwargs, leaves, spec)
            entry = self._entry(program, leaves, spec)
        except FusionDeclined as declined:
            pinned = tuple((i, x) for i, x in enumerate(leaves) if isinstance(x, int | float))
            entry = Entry(None, declined.decline, program, pinned)
        else:
            seconds = time.perf_counter() - start
            calls = sum(node.op == "call" for node in program.graph.nodes)
            events.emit(events.Traced(self.name, len(program.kernels), calls, seconds))
        signature = signature_of(
            self._labelled(leaves, spec),
            leaves,
            [i for i, _ in entry.pinned],
            program.capture if program else None,
            form_of(spec),
        )
        made = self.recorder.specialised(
            *(self.name, signature),
            captured=captured,
            groups=len(program.kernels) if program else 0,
            decline=entry.decline,
        )
        return dataclasses.replace(entry, made=made, signature=signature)

    def _labelled(self, leaves: Sequence[Any], spec: pytree.TreeSpec) -> Sequence[str]:
        """What to call the argument leaves."""
        if self._labels is None:
            args, kwargs = pytree.tree_unflatten(list(leaves), spec)
            return leaf_names(self.original, args, kwargs)
        more = len(leaves) - len(self._labels)
        return [*self._labels[: len(leaves)], *(f"gradient[{i}]" for i in range(more))]

    def _program(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        leaves: Sequence[Any],
        spec: pytree.TreeSpec,
    ) -> tuple[Program, bool]:
        """Captured now (True), or for other sizes earlier (False)."""
        pattern = pattern_of(leaves)
        key = (pattern, *self._key(leaves, spec, shapes=False))
        extents = extents_of(leaves)
        for known in self.generic.get(key):
            if known.entry.fits(leaves):
                sizes = dict(zip(known.extents, extents, strict=True))
                return resize(known.program, sizes), False
        program = build(self._capture(args, kwargs), current().max_arguments, self.planned)
        if pattern is not None and is_generic(program, leaves):
            pinned, guards, outside = conditions(program, leaves)
            held = Entry(None, None, program, pinned, guards, outside=outside)
            self.generic.add(key, Generic(held, extents))
        return program, True

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Capture:
        return capture(self.function, args, kwargs, name=self.name, dynamic=self.dynamic)

    def _entry(self, program: Program, leaves: Sequence[Any], spec: pytree.TreeSpec) -> Entry:
        found = program.capture
        engine = self._engine(found)
        pinned, guards, outside = conditions(program, leaves)
        if not program.kernels:
            raise FusionDeclined(Decline(Reason.NOTHING_TO_FUSE))

        def fallback(given: Sequence[Any], decline: Decline) -> Any:
            args, kwargs = pytree.tree_unflatten(list(given), spec)
            return self.eager(args, kwargs, decline)

        records = torch.is_grad_enabled() and requires_grad(program, leaves)
        if records:
            check_differentiable(program)
        plan = make_plan(program, engine, leaves, fallback)
        if not records:
            wrapped: Callable[[Sequence[Any]], list[Any]] | None = None
        elif any(is_seed(node) for node in program.graph.nodes):
            wrapped = Drawing(self._seeded(self._labelled(leaves, spec)), found.device, spec)
        else:
            wrapped = self._differentiable(plan, program, leaves, spec)
        return Entry(plan, None, program, pinned, guards, wrapped, outside)

    def _engine(self, found: Capture) -> Engine:
        engine = choose(self.engine, found.device.type)
        if isinstance(engine, Decline):
            raise FusionDeclined(engine)
        return engine

    def _seeded(self, labels: Sequence[str]) -> Dispatcher:
        """The function fused anew, as one of its seed as well."""
        return self._variant(Seeded(self.function), self.name, ("seed", *labels))

    def _differentiable(
        self, plan: Plan, program: Program, leaves: Sequence[Any], spec: pytree.TreeSpec
    ) -> Differentiable:
        def function(*given: Any) -> Any:
            args, kwargs = pytree.tree_unflatten(list(given), spec)
            return self.function(*args, **kwargs)

        def forward(given: Sequence[Any]) -> list[Any]:
            made = plan.run(given)
            if made is MISS:
                made = function(*given)
            return pytree.tree_leaves(made)

        def fuse(backward: Callable[..., Any]) -> Dispatcher:
            return self._variant(backward, f"{self.name}_backward", self._labelled(leaves, spec))

        return Differentiable(function, forward, leaves, frees_of(program), fuse)

    def _variant(
        self, function: Callable[..., Any], name: str, labels: Sequence[str] | None = None
    ) -> Dispatcher:
        """Another function fused, that calls the original and closes over what that does."""

        def trace(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Capture:
            return capture(
                *(function, args, kwargs),
                name=name,
                dynamic=self.dynamic,
                frees=free_variables(self.original),
            )

        return Dispatcher(
            *(function, self.engine, name),
            dynamic=self.dynamic,
            capture=trace,
            original=self.original,
            recorder=self.recorder,
            labels=labels,
        )


_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def switch(name: str, *, value: bool) -> None:
    """Set one of the `switches`; recent plans do not look at them, so they are forgotten."""
    setattr(switches, name, value)
    for dispatcher in list(_dispatchers):
        dispatcher.forget_recent()

"""Dispatch: from a call's arguments to the plan that serves them.

A plan checks for itself whether it fits, so the common call is one dictionary look-up by the form
of the call and one call of generated code. Calls that fit no recent plan are looked up by their
whole signature; those seen for the first time are captured.
"""

from __future__ import annotations

import contextlib
import operator
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit import events
from fusekit.config import current
from fusekit.errors import FusionDeclined
from fusekit.frontends.free import free_variables
from fusekit.frontends.fx import Capture, capture
from fusekit.frontends.seeds import is_seed
from fusekit.frontends.torchstate import TorchState
from fusekit.fusion import Plan as FusionPlan
from fusekit.locks import rlock
from fusekit.runtime import gradient
from fusekit.runtime.bounded import Bounded
from fusekit.runtime.call import Call, Key, call_of, generic_key
from fusekit.runtime.differences import Described
from fusekit.runtime.engines import choose, switches
from fusekit.runtime.entry import Entry, Generic, conditions
from fusekit.runtime.history import Recorder
from fusekit.runtime.labels import Labels
from fusekit.runtime.plan import MISS, Plan, make_plan, recording
from fusekit.runtime.program import Program, build
from fusekit.runtime.reasons import EXHAUSTION, exhausted, refusal
from fusekit.runtime.recent import Recent, Run
from fusekit.runtime.renewed import renewed
from fusekit.runtime.resize import layouts_of, pattern_of, template_of
from fusekit.runtime.seeded import Drawing, Seeded
from fusekit.runtime.signature import (
    default_device,
    foreign_context,
    n_function_modes,
    spread,
    unidentifiable,
)
from fusekit.runtime.sizes import Layout, MisfitError
from fusekit.runtime.stats import counters
from fusekit.specs import Decline, Reason

__all__ = ["Dispatcher", "switch"]

default_dtype = torch.get_default_dtype

being_compiled = torch.compiler.is_dynamo_compiling
"""torch.compile takes the original apart, not this."""

n_modes = torch._C._len_torch_dispatch_stack  # noqa: SLF001  the plans' own checks miss make_fx

_MAX_ENTRIES = 4096
"""Signatures remembered for one function; the oldest are forgotten."""

Capturer = Callable[[tuple[Any, ...], dict[str, Any]], Capture]
"""Positional and named arguments -> the graph they run."""

_MAX_VARIANTS = 64
"""Entries of one signature, which differ in pinned numbers or in what the function closes over."""

_MOST_TRIED = 4
"""Size-generic programs of one pattern of extents that are held against new sizes."""


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
        self._labels = Labels(self.original, labels)
        self._recent = Recent()
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
        hot = self._recent.hot
        dtype, options, device, latest, _ = hot
        if (
            dtype is default_dtype()
            and options is current()
            and not n_modes()
            and (not n_function_modes() if device is None else device == default_device())
        ):
            for run in latest.get(form, ()):
                result = run(leaves)
                if result is not MISS:
                    return result
            if self._takes_lists:
                form, leaves = spread(args, kwargs)
                for run in latest.get(form, ()):
                    result = run(leaves)
                    if result is not MISS:
                        return result
            result = self._recent.by_shapes(hot, form, leaves)
            if result is not MISS:
                return result
        return self._slow(args, kwargs)

    def entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """What serves a call, prepared if need be.

        Raises:
            EngineUnavailableError: the engine asked for by name cannot run here.
        """
        return self._found(call_of(args, kwargs))

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

    def _slow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        decline = foreign_context()
        if decline is not None:
            return self.eager(args, kwargs, decline)
        call = call_of(args, kwargs)
        try:
            entry = self._found(call)
        except EXHAUSTION as error:
            return self.eager(args, kwargs, exhausted(error))
        if entry.decline is not None or entry.run is None:
            return self.eager(args, kwargs, entry.decline or Decline(Reason.CAPTURE))
        self._remember(call, entry.run)
        result = entry.run(call.leaves)
        if result is MISS:
            # the guard is stricter than the key (a mode, a subclass): PyTorch knows what to do
            detail = "an argument's dispatch keys are not those that it was prepared for"
            return self.eager(args, kwargs, Decline(Reason.TRANSFORM, detail))
        return result

    def forget_recent(self) -> None:
        """Look the next call up by its whole signature, which includes the switches."""
        self._recent.forget()

    def _remember(self, call: Call, run: Run) -> None:
        """Have calls like this one tried on `run`, if their leaves are found without a pytree."""
        args, kwargs, leaves = call.args, call.kwargs, call.leaves
        form: Hashable = (len(args), *kwargs) if kwargs else len(args)
        if not _are_same((*args, *kwargs.values()), leaves):
            form, found = spread(args, kwargs)
            if not _are_same(found, leaves):
                return
            self._takes_lists = True
        self._recent.remember(form, leaves, run)

    def _found(self, call: Call) -> Entry:
        """What serves a call, prepared if need be."""
        leaves = call.leaves
        unidentified = unidentifiable(leaves)
        if unidentified is not None:
            return Entry(None, unidentified, None)
        key = call.key()
        for known in self.prepared.get(key):
            if known.fits(leaves):
                return known
        with self._lock:
            for known in self.prepared.get(key):
                if known.fits(leaves):
                    return known
            counters.missed()
            with TorchState():
                made = self._prepare(call, key)
            self.prepared.add(key, made)
            return made

    def _prepare(self, call: Call, key: Key) -> Entry:
        start = time.perf_counter()
        program, captured = None, True
        leaves = call.leaves
        try:
            program, captured, held = self._program(call, key)
            entry = self._entry(program, call, held)
        except Exception as error:  # noqa: BLE001  no fault of ours fails a program
            pinned = tuple((i, x) for i, x in enumerate(leaves) if isinstance(x, int | float))
            entry = Entry(None, refusal(error, self.name), program, pinned)
            guards, outside = conditions(program, leaves)[1:] if program else ((), ())
        else:
            guards, outside = entry.guards, entry.outside
            if events.are_heard():
                seconds = time.perf_counter() - start
                calls = sum(node.op == "call" for node in program.graph.nodes)
                events.emit(events.Traced(self.name, len(program.kernels), calls, seconds))
        names, form = self._labels.of(call)
        described = Described(
            *(names, leaves, key),
            pinned=[i for i, _ in entry.pinned],
            guards=guards,
            outside=outside,
            form=form,
        )
        made = self.recorder.specialised(
            *(self.name, described),
            captured=captured,
            groups=len(program.kernels) if program else 0,
            decline=entry.decline,
        )
        return renewed(entry, made=made, described=described)

    def _program(self, call: Call, sized: Key) -> tuple[Program, bool, Generic | None]:
        """Captured now (True), or for other sizes earlier (False); and as one for any sizes."""
        leaves = call.leaves
        layouts = layouts_of(leaves)
        found = None if layouts is None else self.resized(sized, layouts, leaves)
        if found is not None:
            return found[1], False, found[0]
        captured = self._capture(call.args, call.kwargs)
        program = build(captured, current().max_arguments, self.planned)
        template = template_of(program, leaves)
        if template is not None:
            pinned, guards, outside = conditions(program, leaves)
            held = Generic(Entry(None, None, program, pinned, guards, outside=outside), template)
            key = generic_key(sized, pattern_of(template.layouts))
            self.generic.add(key, held)
            return program, True, held
        return program, True, None

    def resized(
        self, sized: Key, layouts: Sequence[Layout], leaves: Sequence[Any]
    ) -> tuple[Generic, Program] | None:
        """The size-generic program that serves a call, and what it is at the call's sizes."""
        known = self.generic.get(generic_key(sized, pattern_of(layouts)))
        for held in reversed(known[-_MOST_TRIED:]):
            if held.entry.fits(leaves):
                with contextlib.suppress(MisfitError):
                    return held, held.template.at(layouts)
        return None

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Capture:
        named = {"name": self.name, "dynamic": self.dynamic}
        return gradient.captured(self.function, args, kwargs, **named)

    def _entry(self, program: Program, call: Call, held: Generic | None) -> Entry:
        found, leaves, spec = program.capture, call.leaves, call.spec
        engine = choose(self.engine, found.device.type)
        if isinstance(engine, Decline):
            raise FusionDeclined(engine)
        if held is None:
            pinned, guards, outside = conditions(program, leaves)
        else:
            pinned, guards, outside = held.entry.pinned, held.entry.guards, held.entry.outside
        if not program.kernels:
            raise FusionDeclined(Decline(Reason.NOTHING_TO_FUSE))

        def fallback(given: Sequence[Any], decline: Decline) -> Any:
            args, kwargs = pytree.tree_unflatten(list(given), spec)
            return self.eager(args, kwargs, decline)

        records = torch.is_grad_enabled() and gradient.requires_grad(program, leaves)
        if records:
            gradient.check_differentiable(program)
        plan = make_plan(program, engine, leaves, fallback, held.recipes if held else None)
        if not records:
            wrapped: Callable[[Sequence[Any]], list[Any]] | None = None
        elif any(is_seed(node) for node in program.graph.nodes):
            wrapped = Drawing(self._seeded(self._labels.of(call)[0]), found.device, spec)
        else:
            wrapped = self._differentiable(plan, program, call)
        run = plan.run if wrapped is None else recording(program, leaves, wrapped)
        return Entry(plan, None, program, pinned, guards, wrapped, outside, run=run)

    def _seeded(self, labels: Sequence[str]) -> Dispatcher:
        """The function fused anew, as one of its seed as well."""
        return self._variant(Seeded(self.function), self.name, ("seed", *labels))

    def _differentiable(self, plan: Plan, program: Program, call: Call) -> gradient.Differentiable:
        leaves, spec, names = call.leaves, call.spec, self._labels.of(call)[0]

        def function(*given: Any) -> Any:
            args, kwargs = pytree.tree_unflatten(list(given), spec)
            return self.function(*args, **kwargs)

        def forward(given: Sequence[Any]) -> list[Any]:
            made = plan.run(given)
            if made is MISS:
                made = function(*given)
            return pytree.tree_leaves(made)

        def fuse(backward: Callable[..., Any]) -> Dispatcher:
            return self._variant(backward, f"{self.name}_backward", names)

        frees, attached = gradient.frees_of(program), program.capture.attached
        given = function, forward, leaves, frees, fuse
        return gradient.Differentiable(*given, attached=attached)

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


def _are_same(found: Sequence[Any], leaves: Sequence[Any]) -> bool:
    return len(found) == len(leaves) and all(map(operator.is_, found, leaves))


_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def switch(name: str, *, value: bool) -> None:
    """Set one of the `switches`; recent plans do not look at them, so they are forgotten."""
    setattr(switches, name, value)
    for dispatcher in list(_dispatchers):
        dispatcher.forget_recent()

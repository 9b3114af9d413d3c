"""`FusionView`: what `%%fuse`, `f.explore()` and `fusekit.load()` return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from fusekit.errors import UsageError
from fusekit.viz.code.section import LANGUAGES, label
from fusekit.viz.measured.timed import Timed, asked, timed
from fusekit.viz.model.schema import Model, Source, Timing, load_model
from fusekit.viz.need import need
from fusekit.viz.page import SECTIONS
from fusekit.viz.recorded import Recorded
from fusekit.viz.takeaway import files as takeaway

if TYPE_CHECKING:
    from fusekit.bench import Crossover, Roofline, Sweep
    from fusekit.bench import Variant as Tried
    from fusekit.fusion import Plan
    from fusekit.runtime.cached import FunctionCache
    from fusekit.runtime.elementtrace import ElementTrace
    from fusekit.runtime.plans import Verdict
    from fusekit.runtime.program_cache import ProgramCache
    from fusekit.runtime.rounding import Rounding
    from fusekit.viz.code.diff import SourceDiff, Variant
    from fusekit.viz.decisions.steps import MeasuredStep
    from fusekit.viz.live.widget import LiveView
    from fusekit.viz.numbers.duet import Duet
    from fusekit.viz.panels.panel import Fields, Progress, Shown

__all__ = ["FusionView", "Session", "load"]


class Session(Protocol):
    """What a live view asks for: the adapter to a function that can run again."""

    def sizes(self) -> list[int]:
        """The sizes to choose from, in increasing order."""

    def size(self) -> int:
        """The one of the call, where it starts."""

    def engines(self) -> list[str]:
        """The engines to choose from; the first is where it starts."""

    def call(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The function, fused, and the arguments it was given; UsageError if it is not one."""

    def kernels(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
        """The same, or None if there is no one function whose kernels could be run alone."""

    def timing(self, against: Sequence[str], seconds: float, *, flush: bool) -> Timing:
        """The call, measured now by the stopwatch."""

    def roofline(self, seconds: float) -> Roofline:
        """Each kernel against what this machine can do."""

    def cache(self) -> FunctionCache | ProgramCache:
        """What is held for what is called."""

    def rerun(self, size: int, engine: str) -> Model:
        """Run and time once more, and say what happened."""

    def bandwidth(self) -> float | None:
        """Bytes a second of the device while copying, if that has been measured here."""

    def sources(self, languages: Sequence[str]) -> list[Source]:
        """The texts in these languages, as far as they can be made here."""

    def other(self, source: Source, variant: Variant) -> Source:
        """`source` as it would be made for `variant`."""

    def panels(self) -> list[dict[str, str]]:
        """What else can be asked: the name, title and note of each panel."""

    def panel(self, name: str, fields: Fields, shown: Shown, progress: Progress) -> str:
        """The new content of a panel's form, as HTML; see `fusekit.viz.panels`."""


class FusionView(Recorded):
    """A fusion to look at: it displays itself in a notebook, prints itself elsewhere.

    The model in it never changes; `live()` gives a view that runs again.
    """

    def __init__(
        self,
        model: Model,
        live: Session | Callable[[], Session] | None = None,
        *,
        sections: Sequence[str] = SECTIONS,
    ) -> None:
        """Check and copy `model`.

        Args:
            model: see `fusekit.viz.model.schema`.
            live: what can run it again, or a function that makes that when it is asked for.
            sections: what to display; see `only`.
        """
        super().__init__(model, sections)
        self._live = live

    def session(self) -> Session:
        """What runs the call again; UsageError if this view is a recording."""
        if self._live is None:
            raise UsageError(
                "this view is a recording: nothing can run again; "
                "f.explore(*args) gives a view with a live one"
            )
        return self._live() if callable(self._live) else self._live

    def live(self) -> LiveView:
        """A widget with a size slider and an engine menu, which runs and times again."""
        session = self.session()
        need("anywidget", "a live view")
        live = need("fusekit.viz.live.widget", "a live view")
        return cast("LiveView", live.LiveView(self._model, session))

    def only(self, *sections: str, languages: Sequence[str] = ()) -> FusionView:
        """The same view, displaying less.

        Args:
            *sections: of "graph", "source", "why", "ladder", "bytes", "timing"; none means all.
            languages: of the generated sources to keep, first to last: "llvm", "cpp", "cuda",
                "asm", "ptx", "sass" and "ir"; none means all that the view holds. Unless it is a
                recording, what it does not hold yet is made.

        Raises:
            UsageError: there is no such section, or no such source can be had.
        """
        model = self.model
        if languages:
            model["sources"] = found = self._sources(languages)
            held = sorted({item["language"] for item in found})
            unknown = [name for name in languages if name not in held]
            if unknown and held:
                raise UsageError(f"no {unknown[0]} source in this view; it holds {', '.join(held)}")
            kept = [item for item in model["sources"] if item["language"] in languages]
            order = {group["id"]: index for index, group in enumerate(model["groups"])}
            kept.sort(
                key=lambda s: (order.get(s["group"] or "", -1), languages.index(s["language"]))
            )
            model["sources"] = kept
        return FusionView(model, self._live, sections=sections or self._sections)

    def source(self, language: str | None = None, *, group: str | None = None) -> str:
        """Generated source: of one language, of one group, or all that the view holds.

        Args:
            language: as for `only`.
            group: "g1", "g2", ...

        Raises:
            UsageError: there is none, and it cannot be made.
        """
        symbols = {item["symbol"] for item in self._model["groups"] if group in (None, item["id"])}
        found = [
            item["text"]
            for item in self._sources([language] if language else [])
            if language in (None, item["language"]) and (group is None or item["symbol"] in symbols)
        ]
        if not found:
            held = sorted({item["language"] for item in self._model["sources"]})
            raise UsageError(f"no such source in this view; it holds: {', '.join(held) or 'none'}")
        return "\n".join(found)

    def diff(
        self,
        a: str | tuple[str, str],
        b: str | tuple[str, str] | None = None,
        *,
        engine: str = "",
        target: str = "",
        fast: bool | None = None,
    ) -> SourceDiff:
        """What differs between two generated texts, or between one and what it would be otherwise.

        Args:
            a: the first, as its tab is called: "group 1 llvm", or ("g1", "llvm").
            b: the second; None compares `a` with itself as made for what follows.
            engine: another engine: "llvm", "cpp".
            target: another machine: "x86-64-v3", "x86-64-v4", "sm_80", "sm_90".
            fast: as the option of that name.

        Raises:
            CompileError: the compiler does not accept the text.
            EngineUnavailableError: this machine lacks what the other text takes.
            UsageError: there is no such text, engine or target, or the view is a recording.
        """
        from fusekit.viz.code import diff as diffs  # noqa: PLC0415  the class is of every view

        first = diffs.find(self._model, a)
        name = label(self._model, first)
        if b is not None:
            second = diffs.find(self._model, b)
            return diffs.diff(name, first, label(self._model, second), second)
        variant = diffs.Variant(engine, target, fast)
        second = self.session().other(first, variant)
        return diffs.diff(name, first, f"{name}, {variant}" if str(variant) else name, second)

    def plan(self) -> Plan:
        """How the call is divided into kernels: see `FusedFunction.plan`."""
        fused, args, kwargs = self.session().call()
        return cast("Plan", fused.plan(*args, **kwargs))

    def what_if(self, change: str = "", **options: Any) -> Tried:
        """One variant of the call, compiled, checked and timed: see `fusekit.bench.what_if`."""
        fused, args, kwargs = self.session().call()
        tried = need("fusekit.bench", "a variant").what_if
        return cast("Tried", tried(fused, args, kwargs, change=change, **options))

    def measure_step(self, step: int, **options: Any) -> MeasuredStep:
        """The plan after so many steps of the ladder, compiled and timed against the plan in force.

        Options are those of `fusekit.bench.what_if`. UsageError if this view is a recording.
        """
        fused, args, kwargs = self.session().call()
        steps = need("fusekit.viz.decisions.steps", "a measured step")
        measured = steps.measure_step(fused, args, kwargs, self._model, step, **options)
        return cast("MeasuredStep", measured)

    def legality(self, change: str) -> Verdict:
        """Whether a change of the plan is legal, by which rule not, and what follows from it.

        Raises:
            UsageError: the change cannot be read, or this view is a recording.
        """
        fused, args, kwargs = self.session().call()
        return cast("Verdict", fused.legality(*args, change=change, **kwargs))

    def export(self, directory: str | Path) -> list[Path]:
        """Write all of it into a directory: page, picture, card, data, and the kernels.

        A kernel is a directory with its source, a program that runs it on tensors like the call's,
        and `make run`; of a view that was loaded from a file, only its source.

        Returns:
            The files that were written.
        """
        return takeaway.export(
            self, directory, None if self._live is None else self.session().kernels()
        )

    def cache(self) -> FunctionCache | ProgramCache:
        """What is held for the function: `f.cache()`; of a program, graph by graph."""
        return self.session().cache()

    def element(self, index: int | Sequence[int] | None = None, *, output: int = 0) -> ElementTrace:
        """How one element of the result came about: see `FusedFunction.trace`."""
        fused, args, kwargs = self.session().call()
        return cast("ElementTrace", fused.trace(*args, index=index, output=output, **kwargs))

    def rounding(self, **options: Any) -> Rounding:
        """Every intermediate beside eager's and float64: see `FusedFunction.rounding`."""
        fused, args, kwargs = self.session().call()
        return cast("Rounding", fused.rounding(*args, **options, **kwargs))

    def duet(self) -> Duet:
        """Eager's operators as they run, and what became of each in the kernels."""
        fused, args, kwargs = self.session().call()
        return cast("Duet", need("fusekit.viz.numbers.duet", "a duet").duet(fused, args, kwargs))

    def time(
        self,
        *,
        against: Sequence[str] | None = None,
        seconds: float | None = None,
        flush: bool | None = None,
    ) -> Timed:
        """The stopwatch: what this view holds, or measured anew if anything is chosen.

        Args:
            against: of "eager" and "inductor"; the first is the baseline.
            seconds: the most time for each device, 3 if not given; it stops when it is certain.
            flush: write over the caches before each sample (the default), or leave them warm.
        """
        return timed(self, against=against, seconds=seconds, flush=flush)

    def sweep(self, *sizes: int, **choices: Any) -> Sweep:
        """The call at these sizes; none means powers of two up to its own.

        `choices` are dtype, layout, against and seconds: see `fusekit.viz.measured.asked.sweep`.
        """
        return asked().sweep(self.session().call(), sizes, **choices)  # type: ignore[no-any-return]

    def roofline(self, *, seconds: float = 5.0) -> Roofline:
        """Each kernel of the call against what this machine can do: see `fusekit.roofline`."""
        return self.session().roofline(seconds)

    def crossover(self, **choices: Any) -> Crossover:
        """From which size on fusing the call pays; the choices are `fusekit.crossover`'s."""
        return asked().crossover(self.session().call(), **choices)  # type: ignore[no-any-return]

    def _sources(self, languages: Sequence[str]) -> list[Source]:
        """What the view holds; what it lacks of these languages is made, if it can be."""
        held = self.model["sources"]
        known = [name for name in languages if name in LANGUAGES]
        if self._live is None or not known or not self._model["groups"]:
            return held
        kept = {(item["group"], item["engine"], item["language"]) for item in held}
        made = self.session().sources(known)
        return held + [x for x in made if (x["group"], x["engine"], x["language"]) not in kept]


def load(path: str | Path) -> FusionView:
    """Read a view that `FusionView.save` wrote, or that a card (`x.md`) carries.

    Raises:
        UsageError: it is neither, or what the card carries was changed.
    """
    return FusionView(load_model(path))

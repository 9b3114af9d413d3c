"""What a live view runs: the same call at another size, on another engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fusekit.api import FusedFunction, fuse
from fusekit.bench.limits.ceilings import known_ceilings
from fusekit.bench.limits.roofs import Roofline, roofline_of
from fusekit.bench.measuring.contenders import device_of
from fusekit.bench.trying.alteration import Alterable
from fusekit.errors import UsageError
from fusekit.runtime.cached import FunctionCache
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.entry import Entry
from fusekit.viz.code.diff import Variant
from fusekit.viz.collect.sources import Texts, sources
from fusekit.viz.collect.stopwatch import measured
from fusekit.viz.model.schema import Model, Source, Timing
from fusekit.viz.panels import PANELS, Call, Fields, Progress, Shown

__all__ = ["CallSession"]

_Called = tuple[FusedFunction, tuple[Any, ...], dict[str, Any]]
ModelOf = Callable[[FusedFunction, tuple[Any, ...], dict[str, Any]], Model]


class CallSession:
    """One call whose arguments can be made larger and smaller along one extent.

    The extent is that of the first tensor's first dimension; every dimension of any argument that
    has it changes along.
    """

    def __init__(
        self, fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any], model: ModelOf
    ) -> None:
        """Remember the call."""
        self._fused = fused
        self._given = Alterable(args, kwargs)
        self._model = model
        self._kept: dict[str, dict[str, Any]] = {}
        self._current: tuple[tuple[int, str], _Called] | None = None

    def sizes(self) -> list[int]:
        """Powers of two up to four times the extent, and the extent."""
        extent = self._given.extent
        limit = min(4 * extent, self._given.largest)
        powers = [1 << k for k in range(limit.bit_length()) if 1 << k <= limit]
        return sorted({*powers, extent} - {0})

    def size(self) -> int:
        """The extent."""
        return self._given.extent

    def engines(self) -> list[str]:
        """The engines that can run it here, the default first."""
        device = self._device()
        return [
            name
            for name, engine in ENGINES.items()
            if engine.device in (device, "any") and engine.unavailable() is None
        ]

    def rerun(self, size: int, engine: str) -> Model:
        """Run and time the call at that size."""
        return self._model(*self._call(size, engine))

    def call(self) -> _Called:
        """The call as it was given."""
        return self._fused, self._given.args, dict(self._given.kwargs)

    def kernels(self) -> _Called:
        """The same."""
        return self.call()

    def timing(self, against: Sequence[str], seconds: float, *, flush: bool) -> Timing:
        """The call, measured now by the stopwatch."""
        return measured(*self.call(), against=against, seconds=seconds, flush=flush)

    def roofline(self, seconds: float) -> Roofline:
        """Each kernel against what this machine can do."""
        return roofline_of(*self.call(), seconds=seconds)

    def bandwidth(self) -> float | None:
        """Bytes a second of the device while copying, if that has been measured here."""
        found = known_ceilings(self._device())
        return found.bandwidth if found else None

    def _device(self) -> str:
        return device_of((self._given.args, self._given.kwargs))

    def cache(self) -> FunctionCache:
        """What is held for the function."""
        return self._fused.cache()

    def sources(self, languages: Sequence[str]) -> list[Source]:
        """The texts in these languages, as far as they can be made here."""
        entry = self._entry()
        engine = entry.plan.engine if entry.plan else None
        return sources(entry.program, engine, languages) if entry.program else []

    def other(self, source: Source, variant: Variant) -> Source:
        """`source` as it would be made for `variant`."""
        program = self._entry().program
        if program is None:
            raise UsageError("nothing of this call is fused")
        return Texts(program).other(source, variant)

    def _entry(self) -> Entry:
        function, args, kwargs = self.call()
        return function.entry(args, kwargs)

    def panels(self) -> list[dict[str, str]]:
        """All of them."""
        return [{"name": p.name, "title": p.title, "note": p.note} for p in PANELS]

    def panel(self, name: str, fields: Fields, shown: Shown, progress: Progress) -> str:
        """What a panel answers about the call at that size."""
        found = next((panel for panel in PANELS if panel.name == name), None)
        if found is None:
            raise UsageError(f"no panel {name!r}")
        kept = self._kept.setdefault(name, {})
        call = Call(*self._call(shown.size, shown.engine), shown.model, kept, self._fused)
        return found.draw(call, fields, progress)

    def _call(
        self, size: int, engine: str
    ) -> tuple[FusedFunction, tuple[Any, ...], dict[str, Any]]:
        """Made once for each choice: a panel may ask for it at every key."""
        if self._current is None or self._current[0] != (size, engine):
            args, kwargs = self._given.make(size)
            function = fuse(
                self._fused.function, engine=engine, name=self._fused.name, plan=self._fused.planned
            )
            self._current = (size, engine), (function, args, kwargs)
        return self._current[1]

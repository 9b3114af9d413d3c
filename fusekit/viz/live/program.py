"""What a live view of a whole program runs: what torch.compile returned, on one engine or another.

The size stays: torch.compile keeps a few variants of a function and then gives up on it, so trying
sizes here would change how the user's own program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch.utils import _pytree as pytree

from fusekit.bench.limits.ceilings import known_ceilings
from fusekit.bench.limits.roofs import Roofline
from fusekit.errors import UsageError
from fusekit.runtime.cached import FunctionCache
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.program_cache import ProgramCache
from fusekit.viz.code.diff import Variant
from fusekit.viz.collect.joined import Looked, add_sources
from fusekit.viz.collect.programtime import measured_program, roofline_of_program
from fusekit.viz.collect.sources import sources
from fusekit.viz.model.schema import Model, Source, Timing
from fusekit.viz.panels.panel import Fields, Progress, Shown
from fusekit.viz.panels.program import PROGRAM_PANELS, ProgramCall

__all__ = ["ProgramSession"]

Look = Callable[[Callable[..., Any]], Looked]
"""What torch.compile returned -> one call of it."""


class ProgramSession:
    """One call of a program.

    It holds the tensors of the latest call that was watched, because panels ask about them.
    """

    def __init__(
        self,
        program: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        look: Look,
        looked: Looked,
    ) -> None:
        """Remember the call; `look` makes it once more, `looked` is how it went."""
        self._program = program
        self._call = args, kwargs
        self._look = look
        self._kept: dict[str, dict[str, Any]] = {}
        self._engine = looked.engine
        self._devices = looked.devices
        self._original = looked.original
        self._compiled = {self._engine: program}
        self._latest: tuple[str, Looked] | None = None
        # a panel's thread has a grad mode of its own, and another mode is another graph
        self._records = torch.is_grad_enabled()

    def sizes(self) -> list[int]:
        """The one that the call has: the first tensor's first extent."""
        tensors = (x for x in pytree.tree_leaves(self._call) if isinstance(x, torch.Tensor))
        return [next((tensor.shape[0] for tensor in tensors if tensor.dim()), 1) or 1]

    def size(self) -> int:
        """The same."""
        return self.sizes()[0]

    def engines(self) -> list[str]:
        """The engines that can run it here, the one it was compiled for first."""
        others = [
            name
            for name, engine in ENGINES.items()
            if engine.device in (*self._devices, "any") and engine.unavailable() is None
        ]
        return list(dict.fromkeys(filter(None, [self._engine, *others])))

    def call(self) -> NoReturn:
        """There is no one function behind a program."""
        raise UsageError(
            "this asks about one function, and the view is of a program that torch.compile took "
            "apart into graphs; fusekit.fuse the function in question, and explore that"
        )

    def kernels(self) -> None:
        """Likewise."""
        return

    def rerun(self, size: int, engine: str) -> Model:
        """Run and time it on that engine."""
        del size
        return self._looked(engine, anew=True).model

    def timing(self, against: Sequence[str], seconds: float, *, flush: bool) -> Timing:
        """The call, measured now by the stopwatch."""
        looked = self._looked(self._engine)
        with torch.set_grad_enabled(self._records):
            return measured_program(
                looked, *self._call, against=against, seconds=seconds, flush=flush
            )

    def roofline(self, seconds: float) -> Roofline:
        """The kernels of all graphs against what this machine can do."""
        return roofline_of_program(self._looked(self._engine), seconds=seconds)

    def bandwidth(self) -> float | None:
        """Bytes a second of the device while copying, if that has been measured here."""
        found = known_ceilings(next(iter(self._devices), "cpu"))
        return found.bandwidth if found else None

    def cache(self) -> ProgramCache:
        """What is held for its graphs."""
        looked = self._looked(self._engine)
        graphs = [FunctionCache(run.dispatcher) for run in looked.served if run.dispatcher]
        return ProgramCache(looked.model["name"], tuple(graphs))

    def sources(self, languages: Sequence[str]) -> list[Source]:
        """The texts in these languages, as far as they can be made here."""
        found: list[Source] = []
        for part in self._looked(self._engine).parts:
            made = sources(part.program, part.engine, languages)
            add_sources(found, map(part.placed, made))
        return found

    def other(self, source: Source, variant: Variant) -> Source:
        """`source` as it would be made for `variant`."""
        return self._looked(self._engine).other(source, variant)

    def panels(self) -> list[dict[str, str]]:
        """Those that make sense of a program."""
        return [{"name": p.name, "title": p.title, "note": p.note} for p in PROGRAM_PANELS]

    def panel(self, name: str, fields: Fields, shown: Shown, progress: Progress) -> str:
        """What a panel answers about the call on that engine."""
        found = next((panel for panel in PROGRAM_PANELS if panel.name == name), None)
        if found is None:
            raise UsageError(f"no panel {name!r}")
        looked = self._looked(shown.engine)
        kept = self._kept.setdefault(name, {})
        with torch.set_grad_enabled(self._records):
            return found.draw(ProgramCall(looked, *self._call, shown, kept), fields, progress)

    def _looked(self, engine: str, *, anew: bool = False) -> Looked:
        """The latest call on an engine, made if it is not the latest of all."""
        if anew or self._latest is None or self._latest[0] != engine:
            self._latest = None  # its tensors may go before others come
            with torch.set_grad_enabled(self._records):
                self._latest = engine, self._look(self._on(engine))
        return self._latest[1]

    def _on(self, engine: str) -> Callable[..., Any]:
        if engine not in self._compiled:
            self._compiled[engine] = torch.compile(
                self._original, backend="fusekit", options={"engine": engine}
            )
        return self._compiled[engine]

"""Programs that torch.compile took apart: their graphs, and what is told about them."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from fusekit.frontends.aot import capture_aot, obstacle, split
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.entry import Entry
from fusekit.runtime.explanation import (
    Explanation,
    GroupInfo,
    SeamInfo,
    decline_lines,
    explanation_of,
)
from fusekit.specs import Decline

__all__ = [
    "GraphRun",
    "ProgramExplanation",
    "compile_graph",
    "explain_compiled",
    "original_of",
    "runs",
    "watching",
]


@dataclasses.dataclass(frozen=True)
class GraphRun:
    """One run of one graph.

    Attributes:
        name: of the graph.
        explanation: what it runs as.
        entry: what was prepared for these arguments; None for a part that PyTorch runs.
        args: what it was called with.
        results: what it returned, in order.
        dispatcher: what holds its entries; None for a part that PyTorch runs.
        ended: why TorchDynamo ended the graph with this; None if its function returned, or if the
            graph goes on.
    """

    name: str
    explanation: Explanation
    entry: Entry | None
    args: tuple[Any, ...]
    results: tuple[Any, ...]
    dispatcher: Dispatcher | None = None
    ended: Decline | None = None


_WATCHER: contextvars.ContextVar[Callable[[GraphRun], None] | None] = contextvars.ContextVar(
    "watcher", default=None
)


def compile_graph(
    module: torch.fx.GraphModule, engine: str, name: str, ended: Decline | None = None
) -> Callable[[list[Any]], Any]:
    """The graph as AOTAutograd calls it: with one list of arguments, which it empties.

    What cannot be captured is a part of its own, which PyTorch runs between the others. `ended`
    says why the graph is no longer, if it might be.
    """
    whole = split(module)
    if whole is None:
        return _boxed(_Graph(module, engine, name, ended))
    parts = list(whole.named_children())
    for part_name, part in parts:
        assert isinstance(part, torch.fx.GraphModule)
        found = [decline for node in part.graph.nodes if (decline := obstacle(node))]
        end = ended if part is parts[-1][1] else None
        made = _Opaque(part, name, found, end) if found else _Graph(part, engine, name, end)
        setattr(whole, part_name, _Part(made))

    def run(given: list[Any]) -> Any:
        args = tuple(given)
        given.clear()
        return whole(*args)

    return _boxed(run)


def _boxed(graph: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """A function, because torch wraps it and keeps the mark."""

    def run(given: list[Any]) -> Any:
        return graph(given)

    run._boxed_call = True  # type: ignore[attr-defined]  # noqa: SLF001  its mark
    return run


class _Part(torch.nn.Module):
    """A graph as a submodule."""

    def __init__(self, graph: Callable[[list[Any]], Any]) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, *args: Any) -> Any:
        return self.graph(list(args))


class _Graph:
    """A graph of aten operators, captured at its first call."""

    def __init__(
        self, module: torch.fx.GraphModule, engine: str, name: str, ended: Decline | None
    ) -> None:
        self.name = name
        self.ended = ended
        self.is_new = True

        def capture(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
            return capture_aot(module, args, name)

        self.dispatcher = Dispatcher(module.forward, engine, name, dynamic=True, capture=capture)

    def __call__(self, given: list[Any]) -> Any:
        args = tuple(given)
        given.clear()
        watcher = _WATCHER.get()
        if not self.is_new and watcher is None and not torch.is_grad_enabled():
            return self.dispatcher(*args)
        # torch looks for aliases in the first call, by a mode; gradients it computes itself
        with _disable_current_modes() if self.is_new else contextlib.nullcontext(), torch.no_grad():
            entry = self.dispatcher.entry(args, {}) if watcher is not None else None
            made = self.dispatcher(*args)
        self.is_new = False
        if watcher is not None and entry is not None:
            explained = explanation_of(self.name, entry)
            results = _several(made)
            watcher(
                GraphRun(self.name, explained, entry, args, results, self.dispatcher, self.ended)
            )
        return made


class _Opaque:
    """A part that PyTorch runs."""

    def __init__(
        self,
        module: torch.fx.GraphModule,
        name: str,
        found: Sequence[Decline],
        ended: Decline | None,
    ) -> None:
        self.name = name
        self.ended = ended
        self.module = module
        self.explanation = Explanation(name, (), tuple(found), (), fused=False)

    def __call__(self, given: list[Any]) -> Any:
        made = self.module(*given)
        watcher = _WATCHER.get()
        if watcher is not None:
            run = GraphRun(self.name, self.explanation, None, tuple(given), _several(made))
            watcher(dataclasses.replace(run, ended=self.ended))
        return made


def _several(made: Any) -> tuple[Any, ...]:
    """A part of a graph that makes one tensor returns it bare."""
    return tuple(made) if isinstance(made, (list, tuple)) else (made,)


@contextlib.contextmanager
def watching() -> Iterator[list[Explanation]]:
    """Collect the explanation of every graph that runs, in order."""
    found: list[Explanation] = []
    with _told(lambda run: found.append(run.explanation)):
        yield found


@contextlib.contextmanager
def runs() -> Iterator[list[GraphRun]]:
    """Collect every run of a graph, with its arguments and results, in order."""
    found: list[GraphRun] = []
    with _told(found.append):
        yield found


@contextlib.contextmanager
def _told(watcher: Callable[[GraphRun], None]) -> Iterator[None]:
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


@dataclasses.dataclass(frozen=True)
class ProgramExplanation:
    """What one call of a compiled program runs as.

    Attributes:
        name: of the program.
        graphs: the explanation of each graph that ran, in order; the same one again for each time.
        breaks: why TorchDynamo ended graphs before their functions returned, in order, each once.
    """

    name: str
    graphs: tuple[Explanation, ...]
    breaks: tuple[Decline, ...] = ()

    @property
    def groups(self) -> tuple[GroupInfo, ...]:
        """The kernels of all graphs, in order."""
        return tuple(group for graph in self.graphs for group in graph.groups)

    @property
    def declined(self) -> tuple[Decline, ...]:
        """What PyTorch runs in all graphs, in order."""
        return tuple(decline for graph in self.graphs for decline in graph.declined)

    @property
    def seams(self) -> tuple[SeamInfo, ...]:
        """The tensors between kernels and the rest, in all graphs."""
        return tuple(seam for graph in self.graphs for seam in graph.seams)

    @property
    def fused(self) -> bool:
        """True if the call runs kernels at all."""
        return any(graph.fused for graph in self.graphs)

    def __str__(self) -> str:
        """The whole story in plain text, graph by graph."""
        head = f"{self.name}: {len(self.graphs)} graph{'' if len(self.graphs) == 1 else 's'}"
        ends = [line for each in self.breaks for line in decline_lines(each)]
        return "\n".join(
            [head, *map(str, self.graphs), *(["graph breaks:"] if ends else []), *ends]
        )

    def __rich__(self) -> str:
        """For rich.print; markup is escaped."""
        return str(self).replace("[", "\\[")


def explain_compiled(
    program: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ProgramExplanation | None:
    """Call what torch.compile returned, and explain the graphs that ran.

    None if torch.compile did not return it.
    """
    original = original_of(program)
    if original is None:
        return None
    with runs() as graphs:
        program(*args, **kwargs)
    name = getattr(original, "__name__", type(original).__name__)
    explained = tuple(run.explanation for run in graphs)
    breaks = dict.fromkeys(run.ended for run in graphs if run.ended is not None)
    return ProgramExplanation(str(name), explained, tuple(breaks))


def original_of(program: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function or module that torch.compile took; None if it did not return `program`."""
    found = getattr(program, "_orig_mod", getattr(program, "_torchdynamo_orig_callable", None))
    return found if callable(found) else None

"""One graph of a program that torch.compile took apart."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from fusekit.frontends.aot import capture_aot
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.explanation import Explanation, explanation_of

__all__ = ["CompiledGraph", "boxed", "watching"]

_WATCHED: contextvars.ContextVar[list[Explanation] | None] = contextvars.ContextVar(
    "watched", default=None
)


class CompiledGraph:
    """A graph of aten operators, captured at its first call.

    It is called with one list of arguments, which it empties.
    """

    def __init__(self, module: torch.fx.GraphModule, engine: str, name: str) -> None:
        """Prepare nothing yet."""
        self.name = name
        self.is_new = True

        def capture(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
            return capture_aot(module, args, name)

        self.dispatcher = Dispatcher(module.forward, engine, name, dynamic=True, capture=capture)

    def __call__(self, given: list[Any]) -> Any:
        """The graph's results."""
        args = tuple(given)
        given.clear()
        watched = _WATCHED.get()
        if not self.is_new and watched is None and not torch.is_grad_enabled():
            return self.dispatcher(*args)
        # torch looks for aliases in the first call, by a mode; gradients it computes itself
        with _disable_current_modes() if self.is_new else contextlib.nullcontext(), torch.no_grad():
            if watched is not None:
                watched.append(explanation_of(self.name, self.dispatcher.entry(args, {})))
            made = self.dispatcher(*args)
        self.is_new = False
        return made


def boxed(graph: CompiledGraph) -> Callable[[list[Any]], Any]:
    """The graph as AOTAutograd calls it; a function, because torch wraps it and keeps the mark."""

    def run(given: list[Any]) -> Any:
        return graph(given)

    run._boxed_call = True  # type: ignore[attr-defined]  # noqa: SLF001  its mark
    return run


@contextlib.contextmanager
def watching() -> Iterator[list[Explanation]]:
    """Collect the explanation of every graph that runs, in order."""
    found: list[Explanation] = []
    token = _WATCHED.set(found)
    try:
        yield found
    finally:
        _WATCHED.reset(token)

"""Labels: what the argument leaves of one function are called, for whoever is told about a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fusekit.runtime.call import Call
from fusekit.runtime.differences import form_of
from fusekit.runtime.leaf_names import leaf_names

__all__ = ["Labels"]


class Labels:
    """Found once for each way to put arguments together."""

    def __init__(self, function: Callable[..., Any], first: Sequence[str] | None) -> None:
        """`first` are labels for the first leaves, where the function's parameters say nothing.

        Such a function is a backward: the leaves after these are gradients.
        """
        self._function = function
        self._first = first
        self._known: dict[str, tuple[Sequence[str], str]] = {}

    def of(self, call: Call) -> tuple[Sequence[str], str]:
        """What to call the leaves, and how they are put together."""
        known = self._known.get(call.structure)
        if known is None:
            known = self._known[call.structure] = self._names(call), form_of(call.spec)
        return known

    def _names(self, call: Call) -> Sequence[str]:
        if self._first is None:
            return leaf_names(self._function, call.args, call.kwargs)
        more = len(call.leaves) - len(self._first)
        names = [*self._first, *(f"gradient[{i}]" for i in range(more))]
        return names[: len(call.leaves)]

"""What to call the arguments of a call, one name for each leaf."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils import _pytree as pytree

__all__ = ["leaf_names", "parameters_of"]


def leaf_names(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[str]:
    """A name for each leaf of the arguments, as the user would say it: "x", "gates[0]"."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    starred = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "arg")
    names = []
    for index, value in enumerate(args):
        known = index < len(positional)
        names += _names_in(positional[index] if known else f"{starred}[{index}]", value)
    for key, value in kwargs.items():
        names += _names_in(key, value)
    return names


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """The names of the parameters that may be given by position; none where nobody knows."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _names_in(name: str, value: Any) -> list[str]:
    paths, _ = pytree.tree_flatten_with_path(value)
    return [name + pytree.keystr(path) for path, _ in paths]

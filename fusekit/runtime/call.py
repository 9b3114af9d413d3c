"""Calls: the argument leaves of a call, and what it is looked up by."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from fusekit.runtime.signature import context_key, leaf_key, without_sizes

__all__ = ["Call", "Key", "call_of", "generic_key"]

_BARE = frozenset({torch.Tensor, torch.nn.Parameter, int, float, bool})
"""Types of arguments that are leaves: calls with nothing else need not be taken apart."""


class Key(NamedTuple):
    """What a call is looked up by.

    Attributes:
        structure: how the arguments are put together.
        context: the `context_key` of the call.
        aliases: of the tensors, in order, the position of the first that is the same; None where
            all are different.
        leaves: their `leaf_key`.
    """

    structure: str
    context: tuple[Hashable, ...]
    aliases: tuple[int, ...] | None
    leaves: tuple[Any, ...]


class Call(NamedTuple):
    """The arguments of a call.

    Attributes:
        args: by position.
        kwargs: by name.
        leaves: what they hold.
        spec: how the leaves make up (args, kwargs).
        structure: the same as text.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    leaves: Sequence[Any]
    spec: pytree.TreeSpec
    structure: str

    def key(self) -> Key:
        """What it is looked up by, here and now."""
        leaves = self.leaves
        tensors = [id(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)]
        aliases = tuple(map(tensors.index, tensors)) if len(set(tensors)) < len(tensors) else None
        keys = tuple([leaf_key(leaf) for leaf in leaves])
        return Key(self.structure, context_key(), aliases, keys)


def generic_key(key: Key, pattern: Hashable) -> Hashable:
    """What a size-generic program is looked up by, for a call whose extents have this pattern."""
    return (pattern, *key[:3], *map(without_sizes, key.leaves))


def call_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """A call with these arguments."""
    leaves = [*args, *kwargs.values()]
    if _BARE.issuperset(map(type, leaves)):
        return Call(args, kwargs, leaves, *_bare(len(args), *kwargs))
    leaves, spec = pytree.tree_flatten((args, kwargs))
    return Call(args, kwargs, leaves, spec, str(spec))


@functools.lru_cache(maxsize=256)
def _bare(n_positional: int, *names: str) -> tuple[pytree.TreeSpec, str]:
    """The structure of a call whose arguments are leaves."""
    spec = pytree.tree_structure(((0,) * n_positional, dict.fromkeys(names, 0)))
    return spec, str(spec)

"""In what two calls of a function differ, as far as one capture does not serve both."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.frontends.free import Free
from fusekit.frontends.scalars import is_same_value
from fusekit.ir.graph import contiguous_strides
from fusekit.runtime.call import Key
from fusekit.runtime.signature import CONTEXT, TENSOR, is_tensor_key

__all__ = ["Described", "Signature", "differences", "form_of", "value_text"]

_SHAPE, _STRIDES = TENSOR.index("shape"), TENSOR.index("strides")

_LONGEST = 40
"""Characters of a value that are shown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """What one capture was made for. It holds no argument tensors.

    Attributes:
        leaves: name -> `leaf_key` of each argument leaf.
        numbers: name -> value of those that are int or float.
        pinned: names of the numbers whose values the capture depends on.
        aliases: names of the tensor arguments, by the first one that is the same tensor.
        outside: name -> what the function closes over; a tensor by its `leaf_key`.
        context: modes, options and switches around the call.
        form: how the arguments are put together, each as a star: "(*, [*, *], b=*)".
    """

    leaves: Mapping[str, Any]
    numbers: Mapping[str, int | float]
    pinned: frozenset[str]
    aliases: Mapping[str, str]
    outside: Mapping[str, Any]
    context: tuple[Hashable, ...]
    form: str = ""


def form_of(spec: pytree.TreeSpec) -> str:
    """How the arguments of a call, (args, kwargs), are put together."""
    args, kwargs = pytree.tree_unflatten(["*"] * spec.num_leaves, spec)
    items = [*map(str, args), *(f"{name}={item}" for name, item in kwargs.items())]
    return f"({', '.join(items)})".replace("'*'", "*")


class Described:
    """The signature of a call, put together when somebody looks: sizes come by the thousand."""

    def __init__(
        self,
        names: Sequence[str],
        leaves: Sequence[Any],
        key: Key,
        *,
        pinned: Sequence[int],
        guards: Sequence[Free],
        outside: Sequence[tuple[Free, Hashable]],
        form: str,
    ) -> None:
        """Of a call with that key; the rest is what an entry for it has."""
        self._names, self._key, self._form = names, key, form
        self._numbers = [x if type(x) in (int, float) else None for x in leaves]
        self._pinned, self._guards, self._outside = pinned, guards, outside

    @functools.cached_property
    def signature(self) -> Signature:
        """For people."""
        names, keys = self._names, self._key.leaves
        tensors = [name for name, key in zip(names, keys, strict=True) if is_tensor_key(key)]
        firsts = self._key.aliases or range(len(tensors))
        outside = {guard.name: guard.value for guard in self._guards}
        numbers = zip(names, self._numbers, strict=True)
        return Signature(
            leaves=dict(zip(names, keys, strict=True)),
            numbers={name: number for name, number in numbers if number is not None},
            pinned=frozenset(names[i] for i in self._pinned if i < len(names)),
            aliases={name: tensors[i] for name, i in zip(tensors, firsts, strict=True)},
            outside=outside | {free.name: key for free, key in self._outside},
            context=self._key.context,
            form=self._form,
        )


def differences(old: Signature, new: Signature) -> tuple[str, ...]:
    """Sentences such as `x: dtype float32 -> float16`, in the order of the arguments."""
    return (
        *_in_form(old, new),
        *_in_arguments(old, new),
        *_in_aliases(old, new),
        *_in_closure(old.outside, new.outside),
        *_in_context(old.context, new.context),
    )


def _in_form(old: Signature, new: Signature) -> Iterator[str]:
    """The same arguments, but in another list, or by name and not by position."""
    if old.form != new.form and old.leaves.keys() == new.leaves.keys():
        yield f"arguments: {old.form} -> {new.form}"


def _in_arguments(old: Signature, new: Signature) -> Iterator[str]:
    for name in dict.fromkeys((*old.leaves, *new.leaves)):
        if name not in new.leaves:
            yield f"{name}: no longer given"
        elif name not in old.leaves:
            yield f"{name}: newly given"
        elif old.leaves[name] != new.leaves[name]:
            yield from _in_leaf(name, old.leaves[name], new.leaves[name])
        elif name in old.pinned | new.pinned and name in old.numbers:
            before, after = old.numbers[name], new.numbers[name]
            if not is_same_value(before, after):
                yield f"{name}: {before!r} -> {after!r}, a number that the capture depends on"


def _in_leaf(name: str, old: Any, new: Any) -> Iterator[str]:
    if not (is_tensor_key(old) and is_tensor_key(new)):
        yield f"{name}: {_leaf_text(old)} -> {_leaf_text(new)}"
        return
    for index, (fact, before, after) in enumerate(zip(TENSOR, old, new, strict=True)):
        if before == after:
            continue
        if index != _STRIDES:
            yield f"{name}: {fact} {value_text(before)} -> {value_text(after)}"
        elif old[_SHAPE] == new[_SHAPE] or _is_dense(old) != _is_dense(new):
            yield f"{name}: strides {value_text(before)} -> {value_text(after)}"


def _in_aliases(old: Signature, new: Signature) -> Iterator[str]:
    for name in old.aliases:
        before, after = old.aliases[name], new.aliases.get(name, name)
        if before != after:
            other, verb = (after, "is now") if after != name else (before, "is no longer")
            yield f"{name}: {verb} the same tensor as {other}"


def _in_closure(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in old:
        if name not in new or _is_same(old[name], new[name]):
            continue
        kind = "training flag" if name.endswith(".training") else "closed-over"
        if is_tensor_key(old[name]) and is_tensor_key(new[name]):
            yield from _in_leaf(f"{kind} {name}", old[name], new[name])
        else:
            before, after = value_text(old[name]), value_text(new[name])
            change = f"{before} -> {after}" if before != after else f"another {before}"
            yield f"{kind} {name}: {change}"


def _in_context(old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    for fact, before, after in zip(CONTEXT, old, new, strict=True):
        if before != after:
            yield f"{fact}: {value_text(before)} -> {value_text(after)}"


def _is_same(old: Any, new: Any) -> bool:
    if is_tensor_key(old) or isinstance(old, bool | int | float | str | bytes):
        return is_same_value(old, new)
    return old is new


def _is_dense(key: Any) -> bool:
    return bool(key[_STRIDES] == contiguous_strides(tuple(key[_SHAPE])))


def _leaf_text(key: Any) -> str:
    """A tensor by dtype and shape, a number by its type, anything else by its value."""
    if is_tensor_key(key):
        return f"{value_text(key[1])}{value_text(key[_SHAPE])}"
    return value_text(key[1]) if isinstance(key, tuple) and len(key) == 2 else value_text(key)


def value_text(value: Any) -> str:
    """A value in a few words that are the same in every process."""
    if isinstance(value, torch.Size | tuple):
        return str(list(value))
    if isinstance(value, type):
        return value.__name__
    if callable(value):
        return f"function {getattr(value, '__name__', type(value).__name__)}"
    if isinstance(value, bool | int | float | str | bytes | type(None)):
        shown = repr(value)
        return (
            shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
        )
    if isinstance(value, torch.dtype | torch.device | torch.layout):
        return str(value).removeprefix("torch.")
    return type(value).__name__

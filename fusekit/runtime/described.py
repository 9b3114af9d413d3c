"""Signatures that somebody describes: what a call would be looked up by, without its tensors.

    f32[8,128], f32[128] requires_grad, 2.0, mask=bool[8,128]:transposed

An item is a tensor or a Python value; `name=` makes it a keyword argument, brackets and parentheses
make lists and tuples. A tensor is a dtype, extents, and words behind them: `contiguous` (if nothing
is said), `transposed` (the last two dimensions), `channels_last`, `strides(1,8)`, `requires_grad`,
`parameter`, `cpu`, `cuda:1`. `same as x` is the tensor that the argument x is.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import UsageError
from fusekit.frontends.dtypes import FROM_TORCH, TO_TORCH
from fusekit.ir.graph import contiguous_strides
from fusekit.runtime.call import Key
from fusekit.runtime.differences import Signature, form_of
from fusekit.runtime.leaf_names import leaf_names
from fusekit.runtime.signature import context_key, is_tensor_key, leaf_key

__all__ = ["Asked", "asked_of", "described", "text_of"]

_DTYPES: Mapping[str, torch.dtype] = {
    **{ours.value: theirs for ours, theirs in TO_TORCH.items()},
    **{str(theirs).removeprefix("torch."): theirs for theirs in TO_TORCH.values()},
    **{str(theirs): theirs for theirs in TO_TORCH.values()},
}

_TENSOR = re.compile(r"([A-Za-z][\w.]*)\s*\[([\d\s,]*)\]")
_KEYWORD = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)\s*")
_WORD = re.compile(r"[\s:]*([a-z_]+(?::\d+)?)\s*(?:\(([\d\s,]*)\))?")
_SAME = re.compile(r"same\s+as\s+([A-Za-z_]\w*(?:\[[^\]]*\])*)")
_QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
_VALUE = re.compile(rf"""(?:{_QUOTED}|[^,()\[\]{{}}'"])+""")
_KEY = re.compile(rf"({_QUOTED}|-?\d+)\s*:")
_NOT_LITERAL = {text: float(text) for text in ("nan", "inf", "-inf")}


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What a call is looked up by.

    Attributes:
        form: how the arguments are put together.
        spec: the same as the pytree's text, which is part of the key.
        names: of the argument leaves.
        keys: their `leaf_key`, in the same order.
        values: the leaves that are no tensors; None for those that are.
        firsts: of the tensors among them, in order, the position of the first that is the same.
    """

    form: str
    spec: str
    names: tuple[str, ...]
    keys: tuple[Any, ...]
    values: tuple[Any, ...]
    firsts: tuple[int, ...]

    def key(self) -> Key:
        """The dispatcher's key, here and now."""
        distinct = self.firsts == tuple(range(len(self.firsts)))
        return Key(self.spec, context_key(), None if distinct else self.firsts, self.keys)

    def signature(self, outside: Mapping[str, Any]) -> Signature:
        """The same for people; `outside` is what the function would read now."""
        tensors = [n for n, key in zip(self.names, self.keys, strict=True) if is_tensor_key(key)]
        return Signature(
            leaves=dict(zip(self.names, self.keys, strict=True)),
            numbers={
                name: value
                for name, value in zip(self.names, self.values, strict=True)
                if type(value) in (int, float)
            },
            pinned=frozenset(),
            aliases={n: tensors[first] for n, first in zip(tensors, self.firsts, strict=True)},
            outside=outside,
            context=context_key(),
            form=self.form,
        )

    @property
    def layouts(self) -> list[tuple[tuple[int, ...], tuple[int, ...] | None]]:
        """Shape and strides (None: not strided) of every tensor, in order."""
        return [(tuple(key[2]), key[3]) for key in self.keys if is_tensor_key(key)]


def asked_of(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Asked:
    """The signature of real arguments."""
    leaves, spec = pytree.tree_flatten((tuple(args), dict(kwargs)))
    tensors = [id(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)]
    return Asked(
        form=form_of(spec),
        spec=str(spec),
        names=tuple(leaf_names(function, args, kwargs)),
        keys=tuple(leaf_key(leaf) for leaf in leaves),
        values=tuple(None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves),
        firsts=tuple(map(tensors.index, tensors)),
    )


def described(
    function: Callable[..., Any], signature: str | Mapping[str, Any], names: Sequence[str] = ()
) -> Asked:
    """The signature that a text or a dict describes; nothing is allocated.

    Args:
        function: whose arguments they are.
        signature: see above; or argument name -> such an item, a dict with the keys "dtype",
            "shape", "strides", "device" and "requires_grad", or a value.
        names: of the function's parameters, in order: those a dict gives go by position as long as
            none is left out, the rest by keyword.

    Raises:
        UsageError: it cannot be read.
    """
    if isinstance(signature, str):
        args, kwargs = _Parser(signature).call()
    else:
        args, kwargs = [], {name: _item(value, name) for name, value in signature.items()}
        for name in names:
            if name not in kwargs:
                break
            args.append(kwargs.pop(name))
    leaves, spec = pytree.tree_flatten((tuple(args), kwargs))
    named = leaf_names(function, args, kwargs)
    keys, firsts = _resolved(leaves, named)
    return Asked(
        form=form_of(spec),
        spec=str(spec),
        names=tuple(named),
        keys=keys,
        values=tuple(None if isinstance(leaf, _Tensor | _Same) else leaf for leaf in leaves),
        firsts=firsts,
    )


def text_of(signature: Signature) -> str:
    """A text that describes a signature; `described` reads it."""
    texts = iter([_leaf_text(signature, name) for name in signature.leaves])
    return re.sub(r"\*", lambda _: next(texts), signature.form).removeprefix("(").removesuffix(")")


@dataclasses.dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor that is not there."""

    key: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Same:
    """The tensor that another argument is."""

    name: str


class _Parser:
    """Reads the text of a call's arguments."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        while self.rest():
            found = _KEYWORD.match(self.text, self.at)
            if found is not None:
                self.at = found.end()
                kwargs[found[1]] = self.item()
            elif kwargs:
                raise self.fault("an argument without a name follows one with a name")
            else:
                args.append(self.item())
            if self.rest() and not self.take(","):
                raise self.fault("a comma is missing")
        return args, kwargs

    def rest(self) -> str:
        """What is left, without the spaces before it."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at :]

    def take(self, mark: str) -> bool:
        if not self.rest().startswith(mark):
            return False
        self.at += len(mark)
        return True

    def item(self) -> Any:
        for opening, closing, make in (("[", "]", list), ("(", ")", tuple)):
            if self.take(opening):
                items = []
                while not self.take(closing):
                    if not self.rest():
                        raise self.fault(f"a {closing} is missing")
                    items.append(self.item())
                    self.take(",")
                return make(items)
        if self.take("{"):
            return self.mapping()
        same = _SAME.match(self.text, self.at)
        if same is not None:
            self.at = same.end()
            return _Same(same[1])
        found = _TENSOR.match(self.text, self.at)
        return self.value() if found is None else self.tensor(found)

    def mapping(self) -> dict[Any, Any]:
        """What is between braces; the first one is taken."""
        items = {}
        while not self.take("}"):
            self.rest()
            key = _KEY.match(self.text, self.at)
            if key is None:
                raise self.fault("a key and a colon are missing")
            self.at = key.end()
            items[_value(key[1])] = self.item()
            self.take(",")
        return items

    def tensor(self, found: re.Match[str]) -> _Tensor:
        self.at = found.end()
        facts: dict[str, Any] = {"dtype": found[1], "shape": _numbers(found[2])}
        while (word := _WORD.match(self.text, self.at)) is not None:
            self.at = word.end()
            if word[1] in ("transposed", "channels_last", "contiguous"):
                facts["layout"] = word[1]
            elif word[1] == "strides":
                facts["strides"] = _numbers(word[2] or "")
            elif word[1] in ("requires_grad", "parameter"):
                facts[word[1]] = True
            else:
                facts["device"] = word[1]
        return _tensor(facts, self.text)

    def value(self) -> Any:
        """A Python value, up to the next comma or bracket outside quotes."""
        found = _VALUE.match(self.text, self.at)
        if found is None:
            raise self.fault("nothing stands where an argument should")
        self.at = found.end()
        return _value(found[0].strip())

    def fault(self, what: str) -> UsageError:
        return UsageError(f"{what} at character {self.at + 1} of {self.text!r}")


def _value(text: str) -> Any:
    if text in _NOT_LITERAL:
        return _NOT_LITERAL[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise UsageError(
            f"{text!r} describes no argument: write a tensor as f32[8,128], or a Python value"
        ) from error


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.replace(",", " ").split())


def _item(value: Any, name: str) -> Any:
    """One argument of a described dict."""
    if isinstance(value, str):
        parser = _Parser(value)
        found = parser.item()
        if parser.rest():
            raise UsageError(f"{name}: {parser.rest()!r} is left over in {value!r}")
        return found
    if isinstance(value, Mapping):
        if "shape" in value:
            return _tensor(dict(value), name)
        return {key: _item(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_item(item, name) for item in value)
    return value


def _tensor(facts: dict[str, Any], where: str) -> _Tensor:
    known = ("dtype", "shape", "strides", "layout", "device", "requires_grad", "parameter")
    unknown = [key for key in facts if key not in known]
    if unknown:
        raise UsageError(f"{where}: a tensor has no {unknown[0]!r}; it has {', '.join(known)}")
    name = facts.get("dtype", "f32")
    dtype = name if isinstance(name, torch.dtype) else _DTYPES.get(str(name))
    if dtype is None:
        raise UsageError(f"{where}: no dtype {name!r}; there are {', '.join(_DTYPES)}")
    shape = tuple(facts["shape"])
    strides = facts.get("strides")
    strides = _strides(shape, facts.get("layout"), where) if strides is None else tuple(strides)
    if len(strides) != len(shape):
        raise UsageError(f"{where}: {len(strides)} strides for {len(shape)} dimensions")
    is_parameter = bool(facts.get("parameter"))
    kind = torch.nn.Parameter if is_parameter else torch.Tensor
    wants = bool(facts.get("requires_grad", is_parameter))
    size, device = torch.Size(shape), _device(facts.get("device"), where)
    return _Tensor((kind, dtype, size, strides, device, wants, torch.strided))


def _strides(shape: tuple[int, ...], layout: str | None, where: str) -> tuple[int, ...]:
    """Of a dense tensor whose dimensions lie in memory in the order that the word says."""
    rank = len(shape)
    order = list(range(rank))
    if layout == "channels_last":
        if rank != 4:
            raise UsageError(f"{where}: channels_last takes four dimensions, not {rank}")
        order = [0, 2, 3, 1]
    elif layout == "transposed" and rank > 1:
        order[-2:] = [rank - 1, rank - 2]
    dense = contiguous_strides(tuple(shape[dim] for dim in order))
    strides = [0] * rank
    for dim, stride in zip(order, dense, strict=True):
        strides[dim] = stride
    return tuple(strides)


def _device(name: Any, where: str) -> torch.device:
    if name is None:
        return torch.get_default_device()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"{where}: no word {name!r} for a tensor, and no such device") from error
    is_any = str(device) == "cuda"  # what a tensor's device never is
    return torch.device("cuda", 0) if is_any else device


def _resolved(
    leaves: Sequence[Any], names: Sequence[str]
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The keys, and which tensors are the same."""
    known = {n: x for n, x in zip(names, leaves, strict=True) if isinstance(x, _Tensor)}
    order = [n for n, x in zip(names, leaves, strict=True) if isinstance(x, _Tensor | _Same)]
    keys: list[Any] = []
    firsts = []
    for name, leaf in zip(names, leaves, strict=True):
        if isinstance(leaf, _Same) and leaf.name not in known:
            raise UsageError(f"{name}: no tensor {leaf.name!r} among {', '.join(known) or 'none'}")
        if isinstance(leaf, _Tensor | _Same):
            source = leaf.name if isinstance(leaf, _Same) else name
            keys.append(known[source].key)
            firsts.append(order.index(source))
        else:
            keys.append(leaf_key(leaf))
    # the first of equal tensors may be described by its second mention
    return tuple(keys), tuple(
        min(i for i, f in enumerate(firsts) if f == first) for first in firsts
    )


def _leaf_text(signature: Signature, name: str) -> str:
    key = signature.leaves[name]
    if not is_tensor_key(key):
        value = signature.numbers.get(name, key[1] if isinstance(key, tuple) else key)
        return repr(value)
    other = signature.aliases.get(name, name)
    if other != name:
        return f"same as {other}"
    kind, dtype, shape, strides, device, wants, _layout = key
    ours = FROM_TORCH[dtype].value if dtype in FROM_TORCH else str(dtype).removeprefix("torch.")
    words = [f"{ours}[{','.join(map(str, shape))}]"]
    if strides is not None and tuple(strides) != contiguous_strides(tuple(shape)):
        words.append(f"strides({','.join(map(str, strides))})")
    if device != torch.get_default_device():
        words.append(str(device))
    if issubclass(kind, torch.nn.Parameter):
        words.append("parameter")
    elif wants:
        words.append("requires_grad")
    return " ".join(words)

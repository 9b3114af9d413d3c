"""Calls: torch operators and their arguments as attributes of nodes, and back."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from fusekit.errors import FusekitError
from fusekit.ir import GraphBuilder, Node, Ref, Token
from fusekit.ir.graph import Attr, with_ref

__all__ = [
    "UnknownTensorError",
    "bind",
    "call_arguments",
    "encode",
    "is_view",
    "map_leaves",
    "map_tensors",
    "name_of",
    "only_checks",
    "out_of_place",
    "qualified",
    "repeat_view",
    "resolve",
    "returns_list",
    "tensors_in",
    "view_geometry",
    "writes",
]

Geometry = tuple[tuple[int, ...], tuple[int, ...], int]
"""Shape, strides and storage offset, in elements."""

_SAME_MEMORY = frozenset({"aten._unsafe_view", "aten._reshape_alias"})
"""Views whose schema does not say so."""

_NOT_STRIDES = frozenset(
    f"aten.{name}"
    for name in ("as_strided", "view_as_real", "view_as_complex", "_conj", "_neg_view")
)
"""Views that depend on more than their argument's strides, or change what its bits mean."""


_is_alias_of: Callable[[torch.Tensor, torch.Tensor], bool] = torch._C._is_alias_of  # type: ignore[attr-defined]  # noqa: SLF001  no public spelling

_MAY_COPY = frozenset({"aten.flatten.using_ints", "aten.reshape.default"})
"""Operators that are views where strides allow it."""


class UnknownTensorError(FusekitError):
    """The trace met something it cannot replay: a stranger among tensors or arguments."""


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Nested lists, tuples and dicts with `function` applied to what they hold."""
    if isinstance(tree, list | tuple):
        mapped = [map_leaves(function, item) for item in tree]
        return mapped if isinstance(tree, list) else tuple(mapped)
    if isinstance(tree, dict):
        return {key: map_leaves(function, item) for key, item in tree.items()}
    return function(tree)


def map_tensors(function: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """Nested lists, tuples and dicts with `function` applied to the tensors in them."""
    return map_leaves(lambda x: function(x) if isinstance(x, torch.Tensor) else x, tree)


def name_of(func: Any) -> str:
    """The operator without its overload: aten.add for aten.add.Tensor."""
    return f"{func.namespace}.{func._opname}"  # noqa: SLF001  the only way to the packet's name


def qualified(func: Any) -> str:
    """The operator with its overload: aten.add.Tensor."""
    return f"{name_of(func)}.{func._overloadname}"  # noqa: SLF001  likewise


def writes(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """True when an argument changes."""
    if name_of(func) == "aten.rrelu_with_noise":  # its noise is written in training only
        return bool(bind(func, args, kwargs)["training"])
    return bool(func._schema.is_mutable)  # noqa: SLF001  likewise


def is_view(func: Any) -> bool:
    """True when the result is its argument's memory under other strides."""
    name = name_of(func)
    if name in _NOT_STRIDES or (name == "aten.view" and func._overloadname == "dtype"):  # noqa: SLF001
        return False
    return func.is_view or name in _SAME_MEMORY


def only_checks(func: Any) -> bool:
    """True for what returns nothing, because all it does is raise if the values are not right."""
    # of dtypes and devices there is no doubt: a plan has its guard
    return not func._schema.returns and name_of(func) != "aten._assert_tensor_metadata"  # noqa: SLF001  likewise


@functools.cache
def out_of_place(func: Any) -> Any:
    """aten.add.Tensor for aten.add_.Tensor; None for what is not such an operator."""
    if qualified(func) == "aten.bernoulli_.float":
        return torch.ops.aten.bernoulli.p
    name = func._opname  # noqa: SLF001  likewise
    if func.namespace != "aten" or not name.endswith("_") or name.endswith("__"):
        return None
    packet = getattr(torch.ops.aten, name[:-1], None)
    overload = func._overloadname  # noqa: SLF001  likewise
    return getattr(packet, overload) if packet and overload in packet.overloads() else None


def bind(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by schema name, defaults filled in."""
    bound = {}
    for index, argument in enumerate(func._schema.arguments):  # noqa: SLF001
        if index < len(args) and not argument.kwarg_only:
            bound[argument.name] = args[index]
        elif argument.name in kwargs:
            bound[argument.name] = kwargs[argument.name]
        elif argument.has_default_value():
            bound[argument.name] = argument.default_value
    return bound


def tensors_in(tree: Any) -> Iterator[Any]:
    """The tensors in nested lists, tuples and dicts, in order."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from tensors_in(item)
    elif isinstance(tree, dict):
        yield from tensors_in(tuple(tree.values()))


def encode(value: Any, identify: Callable[[torch.Tensor], int]) -> Any:
    """A call's argument as an attribute of its node."""
    if isinstance(value, torch.Tensor):
        return Ref(identify(value))
    if isinstance(value, list | tuple):
        return tuple(encode(item, identify) for item in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    for kind, type_ in _TOKENS.items():
        if isinstance(value, type_):
            return Token(kind, str(value).removeprefix("torch."))
    raise UnknownTensorError(f"an argument of type {type(value).__name__} cannot be replayed")


_TOKENS: dict[str, type] = {
    "torch_dtype": torch.dtype,
    "device": torch.device,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
}


def decode(value: Attr, tensors: Callable[[int], Any]) -> Any:
    """The inverse of the encoding: an attribute as the argument torch takes."""
    if isinstance(value, Ref):
        return tensors(value.id)
    if isinstance(value, tuple):
        return [decode(item, tensors) for item in value]
    if isinstance(value, Token):
        return torch.device(value.name) if value.kind == "device" else getattr(torch, value.name)
    return value


def resolve(target: str) -> Any:
    """The operator that a call names: "aten.mm.default"."""
    namespace, name, overload = target.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), name), overload)


def returns_list(target: str) -> bool:
    """True for an operator like chunk, whose result may be a list of one tensor."""
    returned = resolve(target)._schema.returns  # noqa: SLF001  no public spelling
    return len(returned) == 1 and isinstance(returned[0].type, torch.ListType)


def call_arguments(
    args: Attr, kwargs: Attr, tensors: Callable[[int], Any]
) -> tuple[Sequence[Any], dict[str, Any]]:
    """The positional and named arguments of a call node, with `tensors` in place of values."""
    assert isinstance(args, tuple)
    assert isinstance(kwargs, tuple)
    named = {str(item[0]): decode(item[1], tensors) for item in kwargs}  # type: ignore[index]
    return [decode(item, tensors) for item in args], named


def view_geometry(node: Node, geometry: Geometry) -> list[Geometry]:
    """What each output of a view node looks like on an argument of this geometry.

    Raises:
        RuntimeError: torch cannot view it that way without a copy.
    """
    return _viewed(tuple([with_ref(item, node.inputs[0], -1) for _, item in node.attrs]), geometry)


@functools.lru_cache(maxsize=4096)
def _viewed(attrs: tuple[Attr, ...], geometry: Geometry) -> list[Geometry]:
    """The same, for the attributes of a view node in the order of their names."""
    shape, strides, offset = geometry
    base = torch.empty(0, device="meta").as_strided(shape, strides, offset)
    args, kwargs, target = attrs
    positional, named = call_arguments(args, kwargs, lambda _: base)
    made = resolve(str(target))(*positional, **named)
    views = made if isinstance(made, list | tuple) else (made,)
    if str(target) in _MAY_COPY and not _is_alias_of(base, made):
        raise RuntimeError(f"{target} copies a tensor of {shape} with strides {strides}")
    return [(tuple(v.shape), v.stride(), v.storage_offset()) for v in views]


def repeat_view(builder: GraphBuilder, node: Node, value_id: int) -> tuple[int, ...]:
    """The results of a view node like `node`, of another value.

    Raises:
        UnknownTensorError: torch cannot view that value so without a copy.
    """
    base, old = builder.values[value_id], node.inputs[0]
    assert base.shape is not None
    try:
        found = view_geometry(node, (base.shape, base.dense_strides, 0))
    except RuntimeError as error:
        raise UnknownTensorError(str(error)) from error
    outputs = tuple(builder.value(base.dtype, shape, strides) for shape, strides, _ in found)
    attrs = tuple((key, with_ref(item, old, value_id)) for key, item in node.attrs)
    builder.add(dataclasses.replace(node, inputs=(value_id,), outputs=outputs, attrs=attrs))
    return outputs

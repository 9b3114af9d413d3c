"""What a node of a TorchScript graph does, as a Python function of its operands.

Operators on tensors are torch's own. What works on numbers, lists and dicts is Python's, where that
keeps numbers symbolic under a trace and lists what they are; TorchScript's own else.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

# no public spelling
from torch._jit_internal import _create_named_tuple

from fusekit.errors import GraphError
from fusekit.frontends.scalars import pinned_tree

__all__ = ["STRUCTURE", "dtype_code", "function_of", "runner"]


def function_of(node: Any) -> Any:
    """The overload that a node's schema names.

    Raises:
        GraphError: it cannot be carried out from Python.
    """
    try:
        schema = torch._C.parse_schema(node.schema())  # noqa: SLF001  TorchScript is not public
        namespace, _, name = schema.name.partition("::")
        packet = getattr(getattr(torch.ops, namespace), name)
        function = getattr(packet, schema.overload_name or "default")
    except (RuntimeError, AttributeError) as error:
        raise GraphError(_refusal(node)) from error
    if _plain_function(function) is None:
        if "..." in node.schema():  # which prints or makes a text of what it is given
            raise GraphError(_refusal(node))
        for argument in function._schema.arguments:  # noqa: SLF001  likewise
            is_written = argument.alias_info is not None and argument.alias_info.is_write
            # an operator gets a copy of a Python list: what it writes there would be lost
            kind = str(argument.type)
            if "List[t]" in kind or (is_written and ("List" in kind or "Dict" in kind)):
                raise GraphError(_refusal(node))
    return function


def _refusal(node: Any) -> str:
    return f"{node.kind()} cannot be carried out by Python"


def runner(function: Any, n_results: int) -> Callable[..., Sequence[Any]]:
    """`function` with operands in the order of its schema, and a sequence of results."""
    arguments = function._schema.arguments  # noqa: SLF001  likewise
    named = [argument.name if argument.kwarg_only else "" for argument in arguments]
    plain = _plain_function(function)
    on_numbers = not _holds(function, "Tensor")

    def call(*operands: Any) -> Any:
        if plain is not None:
            return plain(*operands)
        pairs = list(zip(named, pinned_tree(operands) if on_numbers else operands, strict=True))
        args = [value for name, value in pairs if not name]
        return function(*args, **{name: value for name, value in pairs if name})

    def run(*operands: Any) -> Sequence[Any]:
        made = call(*operands)
        if n_results == 1:
            return (made,)
        return tuple(made) if n_results else ()

    return run


def _holds(function: Any, kind: str) -> bool:
    """True if an argument or a result has such a type."""
    schema = function._schema  # noqa: SLF001  likewise
    return any(kind in str(item.type) for item in (*schema.arguments, *schema.returns))


def _plain_function(function: Any) -> Callable[..., Any] | None:
    """What Python has for it, if no operand is a tensor in its own right."""
    name = function._schema.name  # noqa: SLF001  likewise
    if name in _MAKERS:
        return _MAKERS[name]
    return None if _holds(function, "Tensor") else _PLAIN.get(name)


def _chosen(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    """A comparison, answered now: what follows depends on it."""
    return lambda one, other: bool(compare(one, other))


def _pop(items: Any, key: Any = -1, *default: Any) -> Any:
    return items.pop(key, *default)


def _set(items: Any, key: Any, value: Any) -> Any:
    items[key] = value
    return items


def _inserted(items: list[Any], index: int, item: Any) -> None:
    items.insert(index, item)


def _slice(items: Any, start: Any, end: Any, step: int = 1) -> Any:
    return items[start:end:step]


def _extended(items: list[Any], more: list[Any]) -> None:
    items.extend(more)


def _appended(items: list[Any], item: Any) -> list[Any]:
    items.append(item)
    return items


_PLAIN: Mapping[str, Callable[..., Any]] = {
    "aten::add": operator.add,
    "aten::sub": operator.sub,
    "aten::mul": operator.mul,
    "aten::div": operator.truediv,
    "aten::neg": operator.neg,
    "aten::floordiv": operator.floordiv,
    "aten::remainder": operator.mod,
    "aten::Float": torch.sym_float,
    "aten::eq": _chosen(operator.eq),
    "aten::ne": _chosen(operator.ne),
    "aten::lt": _chosen(operator.lt),
    "aten::le": _chosen(operator.le),
    "aten::gt": _chosen(operator.gt),
    "aten::ge": _chosen(operator.ge),
    "aten::__not__": operator.not_,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::Bool": bool,
    "aten::str": lambda value: str(pinned_tree(value)),
    "aten::format": lambda text, *values: text.format(*pinned_tree(values)),
    "aten::percentFormat": lambda text, *values: text % tuple(pinned_tree(values)),
    "aten::__getitem__": operator.getitem,
    "aten::__contains__": operator.contains,
    "aten::len": len,
    "aten::slice": _slice,
    "aten::list": list,
    "aten::copy": lambda items: items.copy(),
    "aten::keys": list,
    "aten::values": lambda items: list(items.values()),
    "aten::items": lambda items: list(items.items()),
    "aten::get": lambda items, key, default=None: items.get(key, default),
    "aten::append": _appended,
    "aten::extend": _extended,
    "aten::insert": _inserted,
    "aten::pop": _pop,
    "aten::_set_item": _set,
    "aten::add_": operator.iadd,
    "aten::reverse": lambda items: items.reverse(),
    "aten::clear": lambda items: items.clear(),
    "aten::Delete": operator.delitem,
    "aten::update": lambda items, more: items.update(more),
}
"""Schema name -> function; it serves the overloads that take no tensor."""


@functools.cache
def _dtype(code: int) -> torch.dtype:
    """The dtype behind TorchScript's number."""
    with torch._C._DisableTorchDispatch():  # noqa: SLF001  real even under a trace
        found: torch.dtype = torch.ops.aten.empty.memory_format([0], dtype=code).dtype
    return found


@functools.cache
def dtype_code(dtype: torch.dtype) -> int:
    """TorchScript's number for a dtype."""
    with torch._C._DisableTorchDispatch():  # noqa: SLF001  real even under a trace
        return int(torch.ops.prim.dtype(torch.empty(0, dtype=dtype)))


def _tensor_of(
    data: Any, dtype: int | None = None, device: Any = None, requires_grad: Any = None
) -> torch.Tensor:
    """`torch.tensor` as TorchScript spells it."""
    kind = None if dtype is None else _dtype(dtype)
    return torch.tensor(
        pinned_tree(data), dtype=kind, device=device, requires_grad=bool(requires_grad)
    )


def _as_tensor(data: Any, dtype: int | None = None, device: Any = None) -> torch.Tensor:
    if isinstance(data, torch.Tensor):
        return data.to(device=device, dtype=None if dtype is None else _dtype(dtype))
    return _tensor_of(data, dtype, device)


_MAKERS: Mapping[str, Callable[..., Any]] = {
    "aten::tensor": _tensor_of,
    "aten::as_tensor": _as_tensor,
}
"""Schema name -> function; numbers and lists of any depth in, a tensor out."""


# what moves values about

_Structure = Callable[[Any], tuple[str, Callable[..., Sequence[Any]]]]


def _chunk(node: Any) -> tuple[str, Callable[..., Sequence[Any]]]:
    chunks, dim = node.i("chunks"), node.i("dim")

    def run(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        pieces = torch.ops.aten.chunk.default(tensor, chunks, dim)
        if len(pieces) != chunks:
            raise RuntimeError(f"expected {chunks} chunks of the tensor, got {len(pieces)}")
        return tuple(pieces)

    return f"chunk {chunks} {dim}", run


def _concat(node: Any) -> tuple[str, Callable[..., Sequence[Any]]]:
    dim = node.i("dim")
    return f"cat {dim}", lambda *pieces: (torch.ops.aten.cat.default(list(pieces), dim),)


def _broadcast_sizes(*shapes: Any) -> Sequence[Any]:
    return (list(torch.broadcast_shapes(*shapes)),)  # type: ignore[no-untyped-call]


def _chunk_sizes(node: Any) -> tuple[str, Callable[..., Sequence[Any]]]:
    """The shape of the pieces of a chunk, and of the last one."""
    chunks, dim = node.i("chunks"), node.i("dim")

    def run(shape: Sequence[int]) -> Sequence[Any]:
        regular, last = list(shape), list(shape)
        regular[dim] = -(-shape[dim] // chunks)
        last[dim] = shape[dim] - regular[dim] * (chunks - 1)
        return regular, last

    return f"chunk_sizes {chunks} {dim}", run


def _tuple(node: Any) -> tuple[str, Callable[..., Sequence[Any]]]:
    kind = node.output().type()
    names = _field_names(kind)
    if not names:
        return "tuple", lambda *items: (items,)
    label = kind.annotation_str.rpartition(".")[2]
    made = _create_named_tuple((None,) * len(names), label, names, ())
    return "tuple", lambda *items: (type(made)(*items),)


def _field_names(kind: Any) -> list[str]:
    """Of a named tuple's type, which prints as `NamedTuple(a : Tensor, b : int)`."""
    text = kind.str()
    if not text.startswith("NamedTuple("):
        return []
    names = []
    rest = text.removeprefix("NamedTuple(")
    for item in kind.containedTypes():
        name, _, rest = rest.partition(" : ")
        names.append(name)
        rest = rest.removeprefix(item.str()).removeprefix(", ")
    return names


def _dict(*items: Any) -> Sequence[Any]:
    return (dict(zip(items[::2], items[1::2], strict=True)),)


_PYTHON: Mapping[str, tuple[type, ...]] = {
    "IntType": (int, torch.SymInt),
    "FloatType": (float, torch.SymFloat),
    "BoolType": (bool,),
    "StringType": (str,),
    "NoneType": (type(None),),
    "TensorType": (torch.Tensor,),
}
"""Kind of a TorchScript type -> classes of its values, for what isinstance can tell apart."""


def _isinstance(node: Any) -> tuple[str, Callable[..., Sequence[Any]]]:
    kinds = [kind.kind() for kind in node.tys("types")]
    if not set(kinds) <= _PYTHON.keys():
        raise GraphError(_refusal(node))

    def is_one(value: Any, kind: str) -> bool:
        is_bool_as_int = isinstance(value, bool) and kind == "IntType"
        return isinstance(value, _PYTHON[kind]) and not is_bool_as_int

    def run(value: Any) -> Sequence[Any]:
        return (any(is_one(value, kind) for kind in kinds),)

    return f"isinstance {kinds}", run


def _tensor(number: Any) -> torch.Tensor:
    """A number as TorchScript makes a tensor of it: floats are double."""
    if isinstance(number, torch.SymFloat | float):
        return torch.tensor(float(number), dtype=torch.float64)
    return torch.tensor(int(number) if isinstance(number, torch.SymInt) else number)


def _present(value: Any) -> Sequence[Any]:
    if value is None:
        raise RuntimeError("unwrapping None")
    return (value,)


def _plain(text: str, run: Callable[..., Sequence[Any]]) -> _Structure:
    return lambda _node: (text, run)


STRUCTURE: Mapping[str, _Structure] = {
    "prim::ConstantChunk": _chunk,
    "prim::FusedConcat": _concat,
    "prim::ListConstruct": _plain("list", lambda *items: (list(items),)),
    "prim::ListUnpack": _plain("unlist", tuple),
    "prim::TupleConstruct": _tuple,
    "prim::TupleUnpack": _plain("untuple", tuple),
    "prim::TupleIndex": _plain("item", lambda items, index: (items[index],)),
    "prim::DictConstruct": _plain("dict", _dict),
    "prim::NumToTensor": _plain("tensor", lambda number: (_tensor(number),)),
    "prim::BroadcastSizes": _plain("broadcast_sizes", _broadcast_sizes),
    "prim::ChunkSizes": _chunk_sizes,
    "prim::device": _plain("device", lambda tensor: (tensor.device,)),
    "prim::isinstance": _isinstance,
    "prim::unchecked_cast": _plain("cast", lambda value: (value,)),
    "prim::unchecked_unwrap_optional": _plain("unwrap", lambda value: (value,)),
    "aten::_unwrap_optional": _plain("present", _present),
    "prim::Uninitialized": _plain("nothing", lambda: (None,)),
    "prim::min": _plain("min", lambda *items: (min(*items),)),
    "prim::max": _plain("max", lambda *items: (max(*items),)),
}
"""Node kind -> its text and function."""

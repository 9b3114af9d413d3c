"""Scripted and traced functions, methods and modules as functions that can be captured.

Run by TorchScript's own interpreter under a trace, they would hide their lines, turn numbers into
constants, wrap exceptions and be optimised for fake tensors. So a trace carries out their graph.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from fusekit.errors import FusionDeclined
from fusekit.frontends.torchscript import CALL_SITE, FunctionReader, Program
from fusekit.frontends.torchscript_ops import dtype_code
from fusekit.specs import Decline, Reason

__all__ = ["SCRIPTS", "Scripted", "optimising", "readable"]

SCRIPTS = (torch.jit.ScriptFunction, torch.jit.ScriptModule, torch._C.ScriptMethod)  # noqa: SLF001
"""What TorchScript makes of functions, modules, and their methods."""


def readable(function: Any) -> Any:
    """A `Scripted` of what TorchScript made, and anything else as it is."""
    return Scripted(function) if isinstance(function, SCRIPTS) else function


class Scripted:
    """The original; under a trace, its graph is carried out operator by operator.

    Attributes:
        original: what TorchScript made.
        owner: the module whose attributes it reads, or None.
    """

    def __init__(self, original: Any) -> None:
        """Read nothing yet."""
        self.original = original
        is_module = isinstance(original, torch.jit.ScriptModule)
        self._code = original.forward if is_module else original
        if is_module:
            self.owner = original._c  # noqa: SLF001  TorchScript has no public classes
        else:
            self.owner = getattr(original, "owner", None)
        name = getattr(original, "original_name", None) or getattr(original, "name", "script")
        self.__name__ = str(name)
        self.__doc__ = getattr(original, "__doc__", None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result."""
        if not _is_traced():
            return self.original(*args, **kwargs)
        self._check_hooks()
        own = () if self.owner is None else (self.owner,)
        (made,) = self.program(*own, *_bound(self._parameters, args, kwargs))
        return made

    @functools.cached_property
    def program(self) -> Program:
        """Its graph, with everything inlined that it calls."""
        return FunctionReader(self._graph).program()

    @functools.cached_property
    def attributes(self) -> Sequence[tuple[str, ...]]:
        """Paths from the owner to what it reads of it, each once."""
        if self.owner is None:
            return ()
        paths: dict[int, tuple[str, ...]] = {next(self._graph.inputs()).unique(): ()}
        return tuple(dict.fromkeys(_attributes(self._graph, paths)))

    @functools.cached_property
    def _graph(self) -> Any:
        graph = self._code.graph.copy()
        for call in [*graph.findAllNodes("prim::CallFunction"), *_method_calls(graph)]:
            _mark(graph, call)
        with optimising(value=True):  # without, what is called in what is called stays a call
            torch._C._jit_pass_inline(graph)  # noqa: SLF001  likewise
        return graph

    @property
    def _parameters(self) -> Sequence[Any]:
        arguments: Sequence[Any] = self._code.schema.arguments
        return arguments if self.owner is None else arguments[1:]

    def _check_hooks(self) -> None:
        names = ("_forward_hooks", "_forward_pre_hooks")
        if any(getattr(self.original, name, None) for name in names):
            raise FusionDeclined(Decline(Reason.CAPTURE, "a TorchScript module with hooks"))


def _method_calls(graph: Any) -> Sequence[Any]:
    found: Sequence[Any] = graph.findAllNodes("prim::CallMethod")
    return found


def _mark(graph: Any, call: Any) -> None:
    """Say where the call is, in front of and behind what it will be inlined to."""
    for text, place in ((call.sourceRange(), "insertBefore"), ("", "insertAfter")):
        mark = graph.create(CALL_SITE, [], 0)
        mark.s_("site", text)
        getattr(mark, place)(call)


def _attributes(block: Any, paths: dict[int, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """What the nodes of a graph or block read; `paths` grows by the modules that they reach."""
    for node in block.nodes():
        if node.kind() == "prim::GetAttr" and node.input().unique() in paths:
            path = (*paths[node.input().unique()], node.s("name"))
            if node.output().type().kind() == "ClassType":
                paths[node.output().unique()] = path
            else:
                yield path
        for inner in node.blocks():
            yield from _attributes(inner, paths)


@contextlib.contextmanager
def optimising(*, value: bool) -> Iterator[None]:
    """Whether TorchScript optimises the code that it runs or inlines, in this thread.

    It does so for what the first calls look like; fake tensors must not count.
    """
    before = torch._C._get_graph_executor_optimize()  # noqa: SLF001  likewise
    torch._C._set_graph_executor_optimize(value)  # noqa: SLF001  likewise
    try:
        yield
    finally:
        torch._C._set_graph_executor_optimize(before)  # noqa: SLF001  likewise


def _is_traced() -> bool:
    """True under a mode that wants to see each operator."""
    modes = _get_current_dispatch_mode_stack()
    return any(getattr(mode, "carries_scripts_out", False) for mode in modes)


# arguments, as TorchScript takes them


def _bound(parameters: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """A value for each parameter.

    Raises:
        TypeError: they do not fit; TorchScript says it better.
    """
    names = [parameter.name for parameter in parameters]
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names) or given.keys() & kwargs.keys() or kwargs.keys() - set(names):
        raise TypeError("the arguments do not fit the TorchScript function")
    given |= kwargs
    return [_value(parameter, given) for parameter in parameters]


def _value(parameter: Any, given: Mapping[str, Any]) -> Any:
    if parameter.name in given:
        return _converted(parameter.type, given[parameter.name])
    if not parameter.has_default_value():
        raise TypeError(f"no argument {parameter.name}")
    return parameter.default_value


def _converted(kind: Any, value: Any) -> Any:
    """`value` as a value of a TorchScript type; lists and dicts are copies."""
    name = kind.kind()
    if name == "OptionalType":
        return None if value is None else _converted(kind.containedTypes()[0], value)
    for classes, convert in _CONVERTED.get(name, ()):
        if isinstance(value, classes):
            return convert(kind.containedTypes(), value)
    raise TypeError(f"a {type(value).__name__} for the TorchScript type {kind}")


def _list(inner: Sequence[Any], value: Sequence[Any]) -> list[Any]:
    return [_converted(inner[0], item) for item in value]


def _tuple(inner: Sequence[Any], value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(value) != len(inner):
        raise TypeError(f"a tuple of {len(value)} where TorchScript takes {len(inner)}")
    return tuple(itertools.starmap(_converted, zip(inner, value, strict=True)))


def _dict(inner: Sequence[Any], value: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: _converted(inner[1], item) for key, item in value.items()}


def _float(_inner: Sequence[Any], value: Any) -> Any:
    return torch.sym_float(value)  # type: ignore[no-untyped-call]


def _as_it_is(_inner: Sequence[Any], value: Any) -> Any:
    return value


_ANY = (bool, int, float, str, torch.Tensor, type(None))

_CONVERTED: Mapping[str, Sequence[tuple[tuple[type, ...], Callable[[Sequence[Any], Any], Any]]]] = {
    "ListType": (((list, tuple), _list),),
    "TupleType": (((tuple,), _tuple),),
    "DictType": (((dict,), _dict),),
    "TensorType": (((torch.Tensor,), _as_it_is),),
    "FloatType": (((float, torch.SymFloat), _as_it_is), ((int, torch.SymInt), _float)),
    "IntType": (
        ((bool,), lambda _inner, value: int(value)),
        ((int, torch.SymInt), _as_it_is),
        ((torch.dtype,), lambda _inner, value: dtype_code(value)),
    ),
    "BoolType": (((bool,), _as_it_is),),
    "NumberType": (((int, float, complex, torch.SymInt, torch.SymFloat), _as_it_is),),
    "ComplexType": (((complex,), _as_it_is),),
    "StringType": (((str,), _as_it_is),),
    "DeviceObjType": (((torch.device,), _as_it_is),),
    "NoneType": (((type(None),), _as_it_is),),
    "UnionType": ((_ANY, _as_it_is),),
    "AnyType": ((_ANY, _as_it_is),),
}
"""Kind of a TorchScript type -> what it takes, and what that becomes; the first that fits."""

"""What a function reads besides its arguments: globals, closure cells, module attributes.

Eager PyTorch reads them at every call, so a captured function must too: tensors become further
inputs, fetched anew each time; numbers, strings and functions are guards that must still hold.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import inspect
import operator
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from fusekit.frontends.scalars import is_same_value
from fusekit.frontends.scripted import SCRIPTS, Scripted

__all__ = ["Free", "free_variables"]

_SIMPLE = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)
_FOREIGN = ("torch", "numpy", "fusekit", "math", "builtins", "typing", "functools")
_DEPTH = 4


@dataclasses.dataclass(frozen=True)
class Free:
    """One thing read from outside.

    Attributes:
        name: how the user would call it: "scale", "self.weight".
        fetch: reads it again.
        value: what it was at the trace.
    """

    name: str
    fetch: Callable[[], Any]
    value: Any

    @property
    def is_tensor(self) -> bool:
        """True for a tensor, which becomes an input; else it is a guard."""
        return isinstance(self.value, torch.Tensor)

    def holds(self) -> bool:
        """True while the thing read is still what it was."""
        try:
            now = self.fetch()
        except (LookupError, AttributeError, ValueError):
            return False
        if isinstance(self.value, _SIMPLE):
            return is_same_value(now, self.value)
        return now is self.value

    def root(self) -> Free:
        """The variable through which it is reached, with its value now; itself if it is one."""
        fetch = self.fetch
        while isinstance(fetch, functools.partial) and fetch.func in (_item, _attribute):
            fetch = fetch.args[0]
        return self if fetch is self.fetch else Free(self.name, fetch, fetch())

    def put(self, value: Any) -> None:
        """Write what `fetch` reads.

        Raises:
            TypeError, AttributeError, LookupError: it cannot be written.
        """
        if not isinstance(self.fetch, functools.partial):
            raise TypeError(f"{self.name} cannot be set")
        owner, key = self.fetch.args
        _WRITERS[self.fetch.func](owner, key, value)


def free_variables(function: Callable[..., Any]) -> tuple[Free, ...]:
    """Everything of that kind, each thing once, in the order in which it is found."""
    found: dict[tuple[str, int], Free] = {}
    for free in _Walk().function(function):
        found.setdefault((free.name, id(free.value)), free)
    return tuple(found.values())


class _Walk:
    """One search; remembers functions and objects it has been to."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.held: list[Any] = []

    def function(self, value: Any) -> Iterator[Free]:
        """What a callable reads."""
        if id(value) in self.seen:
            return
        self.seen.add(id(value))
        if isinstance(value, functools.partial):
            yield from self.function(value.func)
            yield from self.object("partial", (value.args, value.keywords), lambda: None, 0)
        elif isinstance(value, types.MethodType):
            yield from self.object("self", value.__self__, lambda: value.__self__, 0)
            yield from self.function(value.__func__)
        elif isinstance(value, types.FunctionType) and not _is_foreign(value):
            yield from self._plain(value)
        elif isinstance(value, (Scripted, *SCRIPTS)):
            yield from self._scripted("self", value)
        elif isinstance(value, torch.nn.Module):
            yield from self._module("self", value)

    def _plain(self, function: types.FunctionType) -> Iterator[Free]:
        inner = inspect.unwrap(function)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            if _is_filled(cell):
                fetch = functools.partial(getattr, cell, "cell_contents")
                yield from self.object(name, cell.cell_contents, fetch, 0)
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                fetch = functools.partial(operator.getitem, function.__globals__, name)
                yield from self.object(name, function.__globals__[name], fetch, 0)
        if inner is not function and isinstance(inner, types.FunctionType):
            yield from self.function(inner)

    def object(self, name: str, value: Any, fetch: Callable[[], Any], depth: int) -> Iterator[Free]:
        """What is reachable from a variable."""
        if isinstance(value, (torch.Tensor, *_SIMPLE)):
            yield Free(name, fetch, value)
        elif isinstance(value, SCRIPTS):
            yield from self._script(name, value, fetch)
        elif isinstance(value, types.ModuleType | type) or id(value) in self.seen:
            return
        elif isinstance(value, torch.nn.Module):
            yield from self._module(name, value)
        elif callable(value) and not _is_instance(value):
            if isinstance(value, types.FunctionType | types.MethodType):
                yield Free(name, fetch, value)
            yield from self.function(value)
        elif depth < _DEPTH:
            self.seen.add(id(value))
            if isinstance(value, list | tuple | dict):
                yield Free(f"len({name})", functools.partial(_length, fetch), _length(fetch))
            for key, item, get in _children(value, fetch):
                yield from self.object(f"{name}{key}", item, get, depth + 1)

    def _module(self, name: str, module: torch.nn.Module) -> Iterator[Free]:
        """Parameters, buffers, and the plain attributes of every submodule."""
        self.seen.add(id(module))
        if isinstance(module, torch.jit.ScriptModule):
            yield from self._scripted(name, module)
            return
        yield from self.function(type(module).forward)
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for attribute, value in (*module.__dict__.items(), *tensors):
            if isinstance(value, (torch.Tensor, bool, int, float, str)):
                fetch = functools.partial(getattr, module, attribute)
                yield Free(f"{name}.{attribute}", fetch, value)
            elif isinstance(value, list | tuple | dict) and not attribute.startswith("_"):
                fetch = functools.partial(getattr, module, attribute)
                yield from self.object(f"{name}.{attribute}", value, fetch, 0)
        for attribute, child in module.named_children():
            if id(child) not in self.seen:
                yield from self._module(f"{name}.{attribute}", child)

    def _script(self, name: str, script: Any, fetch: Callable[[], Any]) -> Iterator[Free]:
        """A variable that holds something of TorchScript's."""
        if not isinstance(script, torch.jit.ScriptModule):
            yield Free(name, fetch, script)
        yield from self._scripted(name, script)

    def _scripted(self, name: str, script: Any) -> Iterator[Free]:
        """What TorchScript code reads of its module."""
        scripted = script if isinstance(script, Scripted) else Scripted(script)
        for path in scripted.attributes:
            fetch: Callable[[], Any] = functools.partial(_owner, scripted)
            for attribute in path:
                fetch = functools.partial(_script_attribute, fetch, attribute)
            value = fetch()
            label = ".".join((name, *path))
            self.held.append(value)  # may be a copy, whose address must not be another's
            yield from self.object(label, value, fetch, 0)


def _is_foreign(function: types.FunctionType) -> bool:
    module = function.__module__ or ""
    return module.split(".")[0] in _FOREIGN and not module.startswith("fusekit.bench")


def _is_instance(value: Any) -> bool:
    """An object of the user's that happens to be callable."""
    return hasattr(value, "__dict__") and not isinstance(
        value, types.FunctionType | types.MethodType | types.BuiltinFunctionType | functools.partial
    )


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> frozenset[str]:
    """Global names that a function and the functions inside it mention; attributes are none."""
    names = {
        str(instruction.argval)
        for instruction in dis.get_instructions(code)
        if "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME"
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return frozenset(names)


def _children(value: Any, fetch: Callable[[], Any]) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """(suffix, item, how to read it again) for each item of a container or object."""
    if isinstance(value, dict):
        for key, item in list(value.items()):
            if isinstance(key, _SIMPLE):
                yield f"[{key!r}]", item, functools.partial(_item, fetch, key)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield f"[{index}]", item, functools.partial(_item, fetch, index)
    elif hasattr(value, "__dict__") and type(value).__module__.split(".")[0] not in _FOREIGN:
        for key, item in list(vars(value).items()):
            yield f".{key}", item, functools.partial(_attribute, fetch, key)


def _item(fetch: Callable[[], Any], key: Any) -> Any:
    return fetch()[key]


def _attribute(fetch: Callable[[], Any], name: str) -> Any:
    return getattr(fetch(), name)


def _owner(scripted: Scripted) -> Any:
    return scripted.owner


def _script_attribute(fetch: Callable[[], Any], name: str) -> Any:
    return fetch().getattr(name)


def _length(fetch: Callable[[], Any]) -> str:
    """As a text, because equal ones are one object, as two reads of a variable are."""
    return sys.intern(str(len(fetch())))


_WRITERS: Mapping[Callable[..., Any], Callable[[Any, Any, Any], None]] = {
    getattr: setattr,
    operator.getitem: operator.setitem,
    _item: lambda fetch, key, value: operator.setitem(fetch(), key, value),
    _attribute: lambda fetch, name, value: setattr(fetch(), name, value),
    _script_attribute: lambda fetch, name, value: fetch().setattr(name, value),
}
"""How to read -> how to write the same place."""

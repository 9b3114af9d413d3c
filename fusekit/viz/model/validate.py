"""Checks plain data against TypedDicts, and says where it does not fit."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

from fusekit.errors import UsageError

__all__ = ["validate"]


def validate(data: Any, form: Any, where: str) -> Any:
    """Return `data` if it has the type `form`; UsageError names the first place that has not.

    `form` is built from TypedDict, list, dict, Literal, unions, str, int, float, bool and None.
    """
    if is_typeddict(form):
        return _typed_dict(data, form, where)
    origin = get_origin(form)
    if origin is None:
        return _plain(data, form, where)
    return _CHECKS[origin](data, get_args(form), where)


def _fail(where: str, expected: str, data: object) -> UsageError:
    shown = repr(data)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return UsageError(f"{where}: expected {expected}, found {shown}")


def _typed_dict(data: Any, form: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise _fail(where, f"an object ({form.__name__})", data)
    hints = get_type_hints(form)
    if missing := sorted(hints.keys() - data.keys()):
        raise UsageError(f"{where}: {', '.join(missing)} missing")
    if unknown := sorted(map(str, data.keys() - hints.keys())):
        raise UsageError(f"{where}: unknown: {', '.join(unknown)}")
    for key, hint in hints.items():
        validate(data[key], hint, f"{where}.{key}")
    return data


def _list(data: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if not isinstance(data, list):
        raise _fail(where, "a list", data)
    for index, item in enumerate(data):
        validate(item, arguments[0], f"{where}[{index}]")
    return data


def _dict(data: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise _fail(where, "an object with string keys", data)
    for key, item in data.items():
        validate(item, arguments[1], f"{where}[{key!r}]")
    return data


def _literal(data: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if not isinstance(data, str) or data not in arguments:
        raise _fail(where, "one of " + ", ".join(map(repr, arguments)), data)
    return data


def _union(data: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if data is None and type(None) in arguments:
        return data
    (form,) = (argument for argument in arguments if argument is not type(None))
    return validate(data, form, where)


def _plain(data: Any, form: Any, where: str) -> Any:
    # bool is an int to Python; here it is not.
    if form is float and type(data) in (int, float):
        if not math.isfinite(data):
            raise _fail(where, "a finite number", data)
        return data
    if type(data) is not form:
        raise _fail(where, _NAMES[form], data)
    return data


_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}

_CHECKS: dict[Any, Callable[[Any, tuple[Any, ...], str], Any]] = {
    list: _list,
    dict: _dict,
    Literal: _literal,
    types.UnionType: _union,
}

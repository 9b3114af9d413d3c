"""Functions of vecmath as functions of vectors.

One that ends in `rarely` is two: what is usual becomes part of the loop, and what is not a function
that is called when any lane needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fusekit.codegen.dialects import llvm_types as types
from fusekit.ir import DType, Graph
from fusekit.vecmath import rare

__all__ = ["definitions"]

Body = Callable[[Graph], tuple[Sequence[str], Sequence[str]]]
"""The instructions that compute a graph's outputs, whose inputs are called %n<id>, and these."""

_ENDING = """\
  %any = call i1 @llvm.vector.reduce.or.{m}({b} {condition})
  br i1 %any, label %rarely, label %done
rarely:
  %rare = call {t} @{rare}({given})
  %mixed = select {b} {condition}, {t} %rare, {t} {usual}
  br label %done
done:
  %result = phi {t} [ {usual}, %entry ], [ %mixed, %rarely ]
  ret {t} %result
}}"""


def definitions(function: Graph, lanes: int, body: Body) -> Mapping[str, list[str]]:
    """The functions that a function takes, by name; those that another calls stand before it."""
    apart = rare.parts(function)
    if apart is None:
        return {function.name: _plain(function, lanes, body, "alwaysinline")}
    lines, (condition, usual) = body(apart.usual)
    ending = _ENDING.format(
        t=_result(function, lanes),
        b=types.vector(DType.BOOL, lanes),
        m=types.suffix(DType.BOOL, lanes),
        condition=condition,
        usual=usual,
        rare=apart.rare.name,
        given=_given(function, lanes),
    )
    return {
        apart.rare.name: _plain(apart.rare, lanes, body, "noinline cold"),
        function.name: [*_head(function, lanes, "alwaysinline"), *lines, *ending.splitlines()],
    }


def _plain(function: Graph, lanes: int, body: Body, attributes: str) -> list[str]:
    lines, (value,) = body(function)
    returned = f"  ret {_result(function, lanes)} {value}"
    return [*_head(function, lanes, attributes), *lines, returned, "}"]


def _head(function: Graph, lanes: int, attributes: str) -> Sequence[str]:
    result, given = _result(function, lanes), _given(function, lanes)
    return (f"define internal {result} @{function.name}({given}) {attributes} {{", "entry:")


def _result(function: Graph, lanes: int) -> str:
    return types.vector(function.dtype(function.outputs[-1]), lanes)


def _given(function: Graph, lanes: int) -> str:
    """The parameters, which are also what a function with the same ones is called with."""
    return ", ".join(f"{types.vector(function.dtype(i), lanes)} %n{i}" for i in function.inputs)

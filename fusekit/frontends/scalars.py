"""Python scalar arguments that stay symbolic through torch's tracing.

A float or int argument of the user's function is traced as a `torch.SymFloat` or `torch.SymInt`
around a `ScalarNode`. It reaches the operators unchanged, so that it becomes an argument of the
kernel and a new value never recompiles. Arithmetic on it makes a new node that remembers the
expression. Whatever needs the number itself (a branch, a range, a size) specialises the trace on
it: the argument's name lands in `ScalarTrace.pinned`, and the call is traced again for each value.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from fusekit.frontends.calls import map_leaves

__all__ = [
    "ScalarNode",
    "ScalarTrace",
    "concrete",
    "concrete_tree",
    "is_same_value",
    "pinned_tree",
]


def is_same_value(one: Any, other: Any) -> bool:
    """True for values of one type that a trace cannot tell apart: 0.0 is not -0.0, NaN is NaN."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if one == other:
        return not isinstance(one, float | complex) or one != 0 or repr(one) == repr(other)
    return isinstance(one, float) and math.isnan(one) and math.isnan(other)


@dataclasses.dataclass
class ScalarTrace:
    """What one trace learned of its scalar arguments.

    Attributes:
        pinned: names of the arguments whose value the trace depends on.
    """

    pinned: set[str] = dataclasses.field(default_factory=set)

    def symbol(self, name: str, value: float) -> torch.SymFloat | torch.SymInt:
        """A symbolic argument called `name`, which must be a Python identifier."""
        node = ScalarNode(self, name, value, frozenset({name}))
        kind: Any = torch.SymInt if node.is_int() else torch.SymFloat
        made: torch.SymFloat | torch.SymInt = kind(node)
        return made


class ScalarNode:
    """The node protocol of torch's symbolic scalars, as far as a trace of ours needs it.

    Attributes:
        expression: Python text over argument names that computes the value at a call.
        value: its value in this trace.
    """

    def __init__(
        self, trace: ScalarTrace, expression: str, value: float, names: frozenset[str]
    ) -> None:
        """An expression over `names` that is worth `value` now."""
        self.trace = trace
        self.expression = expression
        self.value = value
        self.names = names

    def pin(self) -> float:
        """The value, at the price of specialising on it."""
        self.trace.pinned |= self.names
        return self.value

    # what torch asks about the kind of node
    def is_int(self) -> bool:
        return isinstance(self.value, int) and not self.is_bool()

    def is_float(self) -> bool:
        return isinstance(self.value, float)

    def is_bool(self) -> bool:
        return isinstance(self.value, bool)

    def is_symbolic(self) -> bool:
        return True

    def is_nested_int(self) -> bool:
        return False

    def is_constant(self) -> bool:
        return False

    def nested_int(self) -> None:
        return None

    def maybe_as_int(self) -> None:
        return None

    def maybe_as_float(self) -> None:
        return None

    def maybe_as_bool(self) -> None:
        return None

    def has_hint(self) -> bool:
        return True

    def _graph_repr(self) -> str:
        return repr(self.pin())  # what a function that prints the number gets

    def __str__(self) -> str:
        return self.expression

    # what makes it a number
    def wrap_int(self, number: int) -> ScalarNode:
        return ScalarNode(self.trace, repr(number), number, frozenset())

    def wrap_float(self, number: float) -> ScalarNode:
        return ScalarNode(self.trace, f"float({str(number)!r})", number, frozenset())

    def wrap_bool(self, number: bool) -> ScalarNode:  # noqa: FBT001  torch's protocol
        return ScalarNode(self.trace, repr(number), number, frozenset())

    def int_(self) -> int:
        return int(self.pin())

    def bool_(self) -> bool:
        return bool(self.pin())

    def guard_int(self, _file: str, _line: int) -> int:
        return int(self.pin())

    def guard_float(self, _file: str, _line: int) -> float:
        return float(self.pin())

    def guard_bool(self, _file: str, _line: int) -> bool:
        return bool(self.pin())

    expect_true = guard_bool
    guard_size_oblivious = guard_bool
    guard_or_false = guard_bool
    guard_or_true = guard_bool

    def _derive(self, expression: str, value: float, *others: ScalarNode) -> ScalarNode:
        names = self.names.union(*(other.names for other in others))
        return ScalarNode(self.trace, expression, value, names)

    def neg(self) -> ScalarNode:
        return self._derive(f"(-{self.expression})", -self.value)

    def pos(self) -> ScalarNode:
        return self

    def abs(self) -> ScalarNode:
        return self._derive(f"abs({self.expression})", abs(self.value))

    def sym_float(self) -> ScalarNode:
        return self._derive(f"float({self.expression})", float(self.value))

    # what has no spelling of its own works on the number
    def _number(self, value: float) -> ScalarNode:
        self.pin()
        return ScalarNode(self.trace, f"{type(value).__name__}({str(value)!r})", value, frozenset())

    def round(self, ndigits: int | None = None) -> ScalarNode:
        return self._number(round(self.value, ndigits))

    def sym_max(self, other: ScalarNode) -> ScalarNode:
        other.pin()
        return self._number(max(self.value, other.value))

    def sym_min(self, other: ScalarNode) -> ScalarNode:
        other.pin()
        return self._number(min(self.value, other.value))

    def sym_not(self) -> ScalarNode:
        return self._number(not self.value)

    def trunc(self) -> ScalarNode:
        return self._number(int(self.value))

    def is_integer(self) -> ScalarNode:
        return self._number(float(self.value).is_integer())


def _binary(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[..., ScalarNode]:
    def method(self: ScalarNode, other: ScalarNode) -> ScalarNode:
        text = f"({self.expression} {symbol} {other.expression})"
        return self._derive(text, compute(self.value, other.value), other)

    return method


def _comparison(compute: Callable[[Any, Any], bool]) -> Callable[..., ScalarNode]:
    def method(self: ScalarNode, other: ScalarNode) -> ScalarNode:
        answer = compute(self.pin(), other.pin())
        return ScalarNode(self.trace, repr(answer), answer, frozenset())

    return method


for _name, _symbol, _compute in (
    ("add", "+", operator.add),
    ("sub", "-", operator.sub),
    ("mul", "*", operator.mul),
    ("truediv", "/", operator.truediv),
    ("float_truediv", "/", operator.truediv),
    ("int_truediv", "/", operator.truediv),
    ("floordiv", "//", operator.floordiv),
    ("int_floordiv", "//", operator.floordiv),
    ("mod", "%", operator.mod),
    ("pow", "**", operator.pow),
    ("float_pow", "**", operator.pow),
    ("pow_by_natural", "**", operator.pow),
):
    setattr(ScalarNode, _name, _binary(_symbol, _compute))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_"):
    setattr(ScalarNode, _name, _comparison(getattr(operator, _name)))


def concrete(value: Any) -> Any:
    """`value`, or the number behind a symbolic scalar, without pinning it."""
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        node = value.node
        return node.value if isinstance(node, ScalarNode) else value
    return value


def concrete_tree(tree: Any) -> Any:
    """`tree` with numbers in place of symbolic scalars."""
    return map_leaves(concrete, tree)


def pinned_tree(tree: Any) -> Any:
    """`tree` with numbers in place of symbolic scalars, which the trace then depends on."""

    def pin(value: Any) -> Any:
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            return value.node.pin()
        return value

    return map_leaves(pin, tree)

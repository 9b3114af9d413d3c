"""Python scalar arguments that stay symbolic through torch's tracing.

A float or int argument of the user's function is traced as a `torch.SymFloat` or `torch.SymInt`
around a `ScalarNode`. It reaches the operators unchanged, so that it becomes an argument of the
kernel and a new value never recompiles. Arithmetic on it makes a new node that remembers the
expression. Whatever needs the number itself (a branch, a range, a size) specialises the trace on
it: the argument's name lands in `ScalarTrace.pinned`, and the call is traced again for each value.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["ScalarNode", "ScalarTrace", "concrete"]


@dataclasses.dataclass
class ScalarTrace:
    """What one trace learned of its scalar arguments.

    Attributes:
        pinned: names of the arguments whose value the trace depends on.
    """

    pinned: set[str] = dataclasses.field(default_factory=set)

    def symbol(self, name: str, value: float) -> torch.SymFloat | torch.SymInt:
        """A symbolic argument called `name`."""
        return _wrap(ScalarNode(self, name, value, frozenset({name})))


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
        return isinstance(self.value, int)

    def is_float(self) -> bool:
        return isinstance(self.value, float)

    def is_bool(self) -> bool:
        return False

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

    def has_hint(self) -> bool:
        return True

    def _graph_repr(self) -> str:
        return self.expression

    def __str__(self) -> str:
        return self.expression

    # what makes it a number
    def wrap_int(self, number: int) -> ScalarNode:
        return ScalarNode(self.trace, repr(number), number, frozenset())

    def wrap_float(self, number: float) -> ScalarNode:
        return ScalarNode(self.trace, f"float({number!r})", number, frozenset())

    def wrap_bool(self, number: bool) -> ScalarNode:  # noqa: FBT001  torch's protocol
        return ScalarNode(self.trace, repr(number), number, frozenset())

    def guard_int(self, _file: str, _line: int) -> int:
        return int(self.pin())

    def guard_float(self, _file: str, _line: int) -> float:
        return float(self.pin())

    def guard_bool(self, _file: str, _line: int) -> bool:
        return bool(self.pin())

    int_ = guard_int
    bool_ = guard_bool

    def _derive(self, expression: str, value: float, *others: ScalarNode) -> ScalarNode:
        names = self.names.union(*(other.names for other in others))
        return ScalarNode(self.trace, expression, value, names)

    def neg(self) -> ScalarNode:
        return self._derive(f"(-{self.expression})", -self.value)

    def sym_float(self) -> ScalarNode:
        return self._derive(f"float({self.expression})", float(self.value))


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
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ScalarNode, _name, _comparison(getattr(operator, _name)))


def _wrap(node: ScalarNode) -> torch.SymFloat | torch.SymInt:
    made: torch.SymFloat | torch.SymInt = (
        torch.SymInt(node) if node.is_int() else torch.SymFloat(node)
    )
    return made


def concrete(value: Any) -> Any:
    """`value`, or the number behind a symbolic scalar, without pinning it."""
    if isinstance(value, torch.SymInt | torch.SymFloat):
        node = value.node
        return node.value if isinstance(node, ScalarNode) else value
    return value

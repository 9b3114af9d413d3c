"""The statements of a cell: which of them compute on tensors, what they read and what they bind.

Plain `ast`, no IPython and no torch: a cell becomes a head that runs as it is, a body that can be
one function, and a tail that runs as it is.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterable

__all__ = ["Names", "Parts", "names_of", "split"]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_EFFECTS = frozenset(
    (
        *("breakpoint", "compile", "delattr", "display", "eval", "exec", "globals"),
        *("input", "locals", "open", "print", "setattr", "vars"),
    )
)
"""Functions whose call is more than its value."""

_EFFECT_METHODS = frozenset(
    ("backward", "item", "manual_seed", "numpy", "save", "step", "tolist", "zero_grad")
)
"""Methods that are more than their value, or that take it out of the tensors."""

_WORDS: dict[type[ast.AST], str] = {
    ast.Delete: "`del`",
    ast.Global: "`global`",
    ast.Nonlocal: "`nonlocal`",
    ast.Match: "`match`",
    ast.Raise: "`raise`",
    ast.Try: "`try`, which would see the errors of tracing,",
    ast.TryStar: "`try`, which would see the errors of tracing,",
    ast.Import: "an import inside another statement",
    ast.ImportFrom: "an import inside another statement",
}
_PLAIN = (
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Assert, ast.Pass),
    *(ast.If, ast.For, ast.While, ast.With, ast.Break, ast.Continue),
)
"""Statements that may be part of a fused function."""


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Why a statement is not part of the fused function."""

    line: int
    what: str


@dataclasses.dataclass(frozen=True)
class Parts:
    """A cell in the order in which it runs.

    Attributes:
        head: what runs first, as it is; imports of the body are among it.
        body: what becomes the fused function.
        tail: what runs last, as it is.
        why_head: why the head is not part of the body; None if it is imports only.
        why_tail: the same for the tail; None if there is none.
    """

    head: tuple[ast.stmt, ...]
    body: tuple[ast.stmt, ...]
    tail: tuple[ast.stmt, ...]
    why_head: Foreign | None = None
    why_tail: Foreign | None = None


def split(
    statements: Iterable[ast.stmt],
    is_tensor: Callable[[str], bool],
    is_function: Callable[[ast.expr], bool],
) -> Parts:
    """The longest run of statements that can be fused, without the imports in it.

    Args:
        statements: of the cell, none of them a definition.
        is_tensor: True for the name of a tensor in the notebook.
        is_function: True for an expression that names a function to call for its value. At the
            end of a cell such a call is its value; elsewhere, nobody takes the value.
    """
    head: list[ast.stmt] = []
    body: list[ast.stmt] = []
    why: Foreign | None = None
    bound: set[str] = set()
    rest = list(statements)

    def is_local(name: str) -> bool:
        return name in bound or is_tensor(name)

    for index, statement in enumerate(rest):
        reason = foreign(statement, is_local)
        if reason is not None and statement is rest[-1]:
            reason = final(statement, is_local, is_function)
        if isinstance(statement, _IMPORTS):
            head.append(statement)
        elif reason is None:
            body.append(statement)
            bound |= set(names_of([statement]).bound)
        elif body:
            return Parts(tuple(head), tuple(body), tuple(rest[index:]), why, reason)
        else:
            head.append(statement)
            why = why or reason
    return Parts(tuple(head), tuple(body), (), why)


def foreign(statement: ast.stmt, is_local: Callable[[str], bool]) -> Foreign | None:
    """Why `statement` does more than to compute tensors, or None."""
    return _first(ast.walk(statement), is_local, statement.lineno)


def final(
    statement: ast.stmt, is_local: Callable[[str], bool], is_function: Callable[[ast.expr], bool]
) -> Foreign | None:
    """The same for the last statement of a cell: an expression there is the cell's value."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        function: ast.AST = statement.value.func
        root = function
        while isinstance(root, ast.Attribute):
            root = root.value
        computed = not isinstance(root, ast.Name) or is_local(root.id)
        if computed or is_function(statement.value.func):
            return _first(ast.walk(statement.value), is_local, statement.lineno)
    return foreign(statement, is_local)


def _first(nodes: Iterable[ast.AST], is_local: Callable[[str], bool], line: int) -> Foreign | None:
    for node in nodes:
        what = _effect(node, is_local)
        if what:
            return Foreign(getattr(node, "lineno", line), what)
    return None


def _effect(node: ast.AST, is_local: Callable[[str], bool]) -> str:
    """What `node` by itself does outside the tensors, in words, or ""."""
    if isinstance(node, _DEFINITIONS):
        return f"`{node.name}` is defined inside another statement"
    if isinstance(node, ast.stmt) and not isinstance(node, _PLAIN):
        return f"{_WORDS.get(type(node), type(node).__name__)} is not fused"
    if isinstance(node, ast.Expr):
        return _discarded(node.value)
    if isinstance(node, ast.Call):
        return _called(node.func)
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
        return _stored(node, is_local)
    return ""


def _stored(node: ast.Attribute | ast.Subscript, is_local: Callable[[str], bool]) -> str:
    if isinstance(node, ast.Attribute):
        return f"`{ast.unparse(node)}` is an attribute, which only plain Python sets"
    root = node.value
    if isinstance(root, ast.Name) and is_local(root.id):
        return ""
    return f"`{ast.unparse(root)}` is changed, and is not a tensor"


def _called(function: ast.expr) -> str:
    name = function.id if isinstance(function, ast.Name) else ""
    if isinstance(function, ast.Attribute):
        name = function.attr if function.attr in _EFFECT_METHODS else ""
    elif name not in _EFFECTS:
        name = ""
    return f"`{ast.unparse(function)}(...)` acts outside the tensors" if name else ""


def _discarded(value: ast.expr) -> str:
    """A call whose result nobody takes is there for its effect; in place on a tensor is fine."""
    if not isinstance(value, ast.Call) or any(word.arg == "out" for word in value.keywords):
        return ""
    name = ast.unparse(value.func)
    in_place = name.endswith("_") and not name.endswith("__")
    return "" if in_place else f"`{name}(...)` is called for its effect"


@dataclasses.dataclass(frozen=True)
class Names:
    """What statements read before they bind it, and what they bind; each once, in order."""

    free: tuple[str, ...]
    bound: tuple[str, ...]


def names_of(statements: Iterable[ast.stmt]) -> Names:
    """The names of statements that run one after the other."""
    flow = _Flow()
    flow.block(statements)
    return Names(tuple(flow.free), tuple(flow.bound))


class _Flow:
    """One pass; `sure` holds what is bound on every way that leads here."""

    def __init__(self) -> None:
        self.free: dict[str, None] = {}
        self.bound: dict[str, None] = {}
        self.sure: set[str] = set()

    def block(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If):
            self.expression(node.test)
            self.sure |= self.branch(node.body) & self.branch(node.orelse)
        elif isinstance(node, ast.While):
            self.expression(node.test)
            self.branch(node.body)
            self.branch(node.orelse)
        elif isinstance(node, ast.For):
            self.expression(node.iter)
            self.branch(node.body, node.target)
            self.branch(node.orelse)
        elif isinstance(node, ast.With):
            for item in node.items:
                self.expression(item.context_expr)
                self.target(item.optional_vars)
            self.block(node.body)
        elif isinstance(node, ast.AugAssign):
            self.read_target(node.target)
            self.expression(node.value)
            self.target(node.target)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            self.expression(node.value)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self.target(target)
        else:
            self.expression(node)

    def branch(self, statements: list[ast.stmt], target: ast.expr | None = None) -> set[str]:
        """What is bound at the end of a block that may not run."""
        before = set(self.sure)
        self.target(target)
        self.block(statements)
        after, self.sure = self.sure, before
        return after

    def target(self, node: ast.expr | None) -> None:
        if isinstance(node, ast.Name):
            self.bound[node.id] = None
            self.sure.add(node.id)
        elif isinstance(node, ast.Tuple | ast.List):
            for item in node.elts:
                self.target(item)
        elif isinstance(node, ast.Starred):
            self.target(node.value)
        elif node is not None:
            self.expression(node)

    def read_target(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name):
            self.read(node.id, frozenset())

    def read(self, name: str, local: frozenset[str]) -> None:
        if name not in local and name not in self.sure:
            self.free[name] = None

    def expression(self, node: ast.AST | None, local: frozenset[str] = frozenset()) -> None:
        """Names in an expression; `local` are those of lambdas and comprehensions around it."""
        if node is None:
            return
        if isinstance(node, ast.Name):
            self.read(node.id, local)
        elif isinstance(node, ast.NamedExpr):
            self.expression(node.value, local)
            self.target(node.target)
        elif isinstance(node, ast.Lambda):
            arguments = {item.arg for item in ast.walk(node.args) if isinstance(item, ast.arg)}
            self.expression(node.args, local)
            self.expression(node.body, local | arguments)
        elif isinstance(node, _COMPREHENSIONS):
            self.comprehension(node, local)
        else:
            for child in ast.iter_child_nodes(node):
                self.expression(child, local)

    def comprehension(self, node: ast.expr, local: frozenset[str]) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self.expression(generators[0].iter, local)
        stored = {
            item.id
            for generator in generators
            for item in ast.walk(generator.target)
            if isinstance(item, ast.Name)
        }
        for child in ast.iter_child_nodes(node):
            parts = generators[0].ifs if child is generators[0] else [child]
            for part in parts:
                self.expression(part, local | stored)

"""Running a cell fused: its functions under their names, or its statements as one function.

Nothing here needs IPython: a cell is a text, a namespace is a dict. `fusekit.magics` is the part
that talks to the notebook.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.api import FusedFunction, fuse
from fusekit.errors import UsageError
from fusekit.viz.cell.function import VALUE_KEY, end_line, function_of
from fusekit.viz.cell.statements import Foreign, split
from fusekit.viz.cell.userline import UserText, expression, set_user_text

__all__ = ["NOTHING", "Call", "Outcome", "Wishes", "run", "run_expression"]

NOTHING = object()
"""The value of a cell that has none."""

_VALUE = "__fusekit_value__"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_CARRIED = (
    *(torch.Tensor, bool, int, float, complex, str, bytes, type(None), range, slice, type),
    *(torch.dtype, torch.device, torch.Size, types.ModuleType, types.BuiltinFunctionType),
)
"""What a traced function can hand over as a constant, without holding a stand-in of a tensor."""


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What the flags of the cell ask for.

    Attributes:
        engine: see `fusekit.fuse`.
        device: where the tensors are moved first; "" leaves them where they are.
        name: what to call the function in displays.
        out: the names that statements hand over; empty means all that they bind.
        call: an expression, a call of a function of the cell.
    """

    engine: str = "auto"
    device: str = ""
    name: str = ""
    out: tuple[str, ...] = ()
    call: str = ""


@dataclasses.dataclass(frozen=True)
class Call:
    """A call to look at."""

    fused: FusedFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclasses.dataclass
class Outcome:
    """What running a cell came to.

    Attributes:
        fused: the functions that are now fused, by name.
        call: the call to show, if there is one.
        value: of the cell's last expression, or NOTHING.
        notes: sentences for the user: what was not fused, and why.
    """

    fused: dict[str, FusedFunction] = dataclasses.field(default_factory=dict)
    call: Call | None = None
    value: Any = NOTHING
    notes: list[str] = dataclasses.field(default_factory=list)


def run(
    statements: Sequence[ast.stmt],
    namespace: dict[str, Any],
    text: str,
    file: str,
    wishes: Wishes,
    *,
    flags: int = 0,
) -> Outcome:
    """Run a parsed cell in `namespace`; exceptions of the user's code come out as they are."""
    run_ = _Run(namespace, text, file, wishes, flags)
    if any(isinstance(statement, _DEFINITIONS) for statement in statements):
        return run_.definitions(statements)
    if wishes.call:
        raise UsageError(
            "--call and --on are for a cell that defines a function; this one does not"
        )
    return run_.statements(statements)


def run_expression(
    node: ast.expr, namespace: dict[str, Any], text: str, file: str, wishes: Wishes
) -> Outcome:
    """Run one expression fused."""
    return _Run(namespace, text, file, wishes, 0).statements(
        [ast.copy_location(ast.Expr(node), node)]
    )


class _Run:
    """One run of one cell."""

    def __init__(
        self, namespace: dict[str, Any], text: str, file: str, wishes: Wishes, flags: int
    ) -> None:
        self.namespace = namespace
        self.text = text
        self.file = file
        self.wishes = wishes
        self.flags = flags
        self.outcome = Outcome()

    # plain Python

    def execute(
        self, statements: Iterable[ast.stmt], extra: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run statements as they are; with `extra`, in a scope of their own, which is returned."""
        body = list(statements)
        for statement in body:
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                for alias in statement.names:
                    feature = getattr(importlib.import_module("__future__"), alias.name)
                    self.flags |= feature.compiler_flag
        module = ast.fix_missing_locations(ast.Module(body, []))
        code = compile(module, self.file, "exec", self.flags, dont_inherit=True)
        local = self.namespace if extra is None else extra
        exec(code, self.namespace, local)  # noqa: S102  the user's own cell
        return local

    def evaluate(self, node: ast.expr, extra: dict[str, Any] | None = None) -> Any:
        expression = ast.fix_missing_locations(ast.Expression(node))
        code = compile(expression, self.file, "eval", self.flags, dont_inherit=True)
        local = self.namespace if extra is None else extra
        return eval(code, self.namespace, local)  # noqa: S307  the user's own cell

    def plain(self, statements: Sequence[ast.stmt], *, last: bool) -> None:
        """Run statements as they are; the `last` ones of a cell may end in its value."""
        rest = list(statements)
        if last and rest and isinstance(rest[-1], ast.Expr):
            self.execute(rest[:-1])
            self.evaluate_last(rest[-1])
        else:
            self.execute(rest)

    def evaluate_last(self, statement: ast.Expr) -> None:
        """The value of the cell; None, as `print` returns it, is none."""
        value = self.evaluate(statement.value)
        self.outcome.value = NOTHING if value is None else value

    # a cell with definitions

    def definitions(self, statements: Sequence[ast.stmt]) -> Outcome:
        """Run everything in order; each function is fused as soon as it is there."""
        if self.wishes.out:
            raise UsageError("--out is for a cell of statements; this one defines functions")
        if self.wishes.name and sum(isinstance(s, _FUNCTIONS) for s in statements) != 1:
            raise UsageError("--name is for one function; this cell defines several, or none")
        rest = list(statements)
        final = None if self.wishes.call else rest[-1]
        shown = isinstance(final, ast.Expr | ast.Assign) and isinstance(final.value, ast.Call)
        for statement in rest[:-1]:
            self.define(statement)
        if shown and isinstance(self.callee(final.value), FusedFunction):  # type: ignore[union-attr]
            self.show(final)  # type: ignore[arg-type]
        elif isinstance(rest[-1], ast.Expr):
            self.evaluate_last(rest[-1])
        else:
            self.define(rest[-1])
        if self.wishes.call:
            self.show(ast.Expr(self.wished_call()))
        return self.outcome

    def define(self, statement: ast.stmt) -> None:
        self.execute([statement])
        if not isinstance(statement, _DEFINITIONS):
            return
        name, value = statement.name, self.namespace[statement.name]
        reason = _unfusible(statement, value)
        if reason:
            note = f"line {statement.lineno}: `{name}` stays as it is: {reason}"
            self.outcome.notes.append(note)
        else:
            self.namespace[name] = self.outcome.fused[name] = self.fused(value)

    def fused(self, function: Callable[..., Any]) -> FusedFunction:
        if isinstance(function, FusedFunction):
            mine = function in self.outcome.fused.values()
            same = self.wishes.engine in ("auto", function.engine) and not self.wishes.name
            if mine or same:
                return function
        return fuse(function, engine=self.wishes.engine, name=self.wishes.name or None)

    def wished_call(self) -> ast.expr:
        """The call that the flags ask for."""
        wish = self.wishes.call
        if wish.startswith("("):
            if not self.outcome.fused:
                raise UsageError("--on: the cell defines no function that could be called")
            wish = f"{list(self.outcome.fused)[-1]}{wish}"
        node = expression(wish, "--call")
        if not isinstance(node, ast.Call) or not isinstance(self.callee(node), FusedFunction):
            known = ", ".join(self.outcome.fused) or "none"
            raise UsageError(
                f"--call {wish!r}: expected a call of a fused function, such as f(x); "
                f"this cell defines {known}"
            )
        return node

    # calls

    def callee(self, node: ast.expr) -> Any:
        """The function that a call names, or None if that takes more than looking it up."""
        function = node.func if isinstance(node, ast.Call) else node
        root = function
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or root.id not in self.namespace:
            return None
        try:
            return self.evaluate(function)
        except AttributeError:
            return None

    def show(self, statement: ast.Expr | ast.Assign) -> None:
        """Make the call in `statement`, bind its result, remember it as the one to show."""
        node = statement.value
        assert isinstance(node, ast.Call)
        fused = self.fused(self.callee(node))
        taken = ast.Call(ast.Name("__fusekit_take__", ast.Load()), node.args, node.keywords)
        args, kwargs = self.evaluate(
            ast.copy_location(taken, node), {"__fusekit_take__": lambda *a, **k: (a, k)}
        )
        result = self.call(fused, *self.moved((args, kwargs)))
        if isinstance(statement, ast.Assign):
            value = ast.copy_location(ast.Name(_VALUE, ast.Load()), node)
            assign = ast.copy_location(ast.Assign(statement.targets, value), statement)
            bound = self.execute([assign], {_VALUE: result})
            self.namespace.update({k: v for k, v in bound.items() if k != _VALUE})

    def call(self, fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.outcome.call = Call(fused, args, kwargs)
        return fused(*args, **kwargs)

    def moved(self, tree: Any) -> Any:
        """`tree` with its tensors on the device that was asked for."""
        if not self.wishes.device:
            return tree
        device = _device(self.wishes.device)
        return pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), tree)

    # a cell of statements

    def statements(self, statements: Sequence[ast.stmt]) -> Outcome:
        """Run a head as it is, a body as one fused function, a tail as it is."""
        parts = split(statements, self.is_tensor, self.is_function)
        self.explain(parts.head, parts.why_head)
        self.plain(parts.head, last=not parts.body)
        if parts.body:
            self.body(list(parts.body), last=not parts.tail)
        self.explain(parts.tail, parts.why_tail)
        self.plain(parts.tail, last=bool(parts.tail))
        return self.outcome

    def is_tensor(self, name: str) -> bool:
        return isinstance(self.namespace.get(name), torch.Tensor)

    def is_function(self, node: ast.expr) -> bool:
        function = self.callee(node)
        module = getattr(function, "__module__", None) or ""
        return callable(function) and (module.startswith("torch") or _is_users(function))

    def is_users_call(self, statement: ast.stmt) -> bool:
        if not isinstance(statement, ast.Expr | ast.Assign):
            return False
        node = statement.value
        return isinstance(node, ast.Call) and _is_users(self.callee(node))

    def is_argument(self, name: str) -> bool:
        """True for a tensor, a number or a container of tensors; others are read as globals."""
        value = self.namespace.get(name)
        if type(value) in (int, float):
            return True
        if not isinstance(value, torch.Tensor | list | tuple | dict):
            return False
        return any(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(value))

    def explain(self, statements: Sequence[ast.stmt], why: Foreign | None) -> None:
        """Say which lines were not fused, and why."""
        if why is not None:
            plain = [s for s in statements if not isinstance(s, ast.Import | ast.ImportFrom)]
            first, last = plain[0].lineno, end_line(plain)
            lines = f"line {first}" if first == last else f"lines {first} to {last}"
            self.outcome.notes.append(f"{lines} ran as plain Python: {why.what}")

    def body(self, statements: list[ast.stmt], *, last: bool) -> None:
        """Run statements as one fused function."""
        wishes, only = self.wishes, statements[0]
        if len(statements) == 1 and self.is_users_call(only):
            self.show(only)  # type: ignore[arg-type]
            return
        made = function_of(
            statements, set(self.namespace), self.is_argument, wishes.out, value=last
        )
        function = self.execute([made.definition], {})[made.definition.name]
        # Tracebacks show these lines as they show any cell's: the user wrote no function.
        function.__code__ = function.__code__.replace(co_name="<module>", co_qualname="<module>")
        lines = self.text.splitlines()[only.lineno - 1 : end_line(statements)]
        set_user_text(function, UserText("\n".join(lines), only.lineno))
        args = tuple(self.namespace[name] for name in made.parameters)
        fused = fuse(function, engine=wishes.engine, name=wishes.name or made.definition.name)
        (args,) = self.moved((args,))
        kind = _not_carried(fused, args)
        if kind:
            note = f"the cell ran as plain Python: it makes a {kind}, which only Python can hold"
            self.outcome.notes.append(note)
            self.plain(statements, last=last)
            return
        found = self.call(fused, args, {})
        self.outcome.value = found.pop(VALUE_KEY, NOTHING)
        self.namespace.update(found)


def _unfusible(statement: ast.stmt, value: Any) -> str:
    """Why a definition is not fused, or ""."""
    if isinstance(statement, ast.ClassDef):
        return "a class; fuse an instance of it, or a method"
    target = inspect.unwrap(value) if callable(value) else value
    if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
        return "it is async"
    if inspect.isgeneratorfunction(target):
        return "it is a generator"
    return "" if callable(value) else f"its decorators make a {type(value).__name__} of it"


def _is_users(function: Any) -> bool:
    """A function whose own lines are worth showing, rather than the line that calls it."""
    if isinstance(function, types.FunctionType):
        return not (function.__module__ or "").startswith(("torch", "numpy"))
    return isinstance(function, FusedFunction | torch.nn.Module)


def _not_carried(fused: FusedFunction, args: tuple[Any, ...]) -> str:
    """The kind of object that the function makes and that must not come out of a trace."""
    program = fused.entry(args, {}).program
    results = program.capture.results if program is not None else ()
    for result in results:
        value = result.constant
        outside = isinstance(value, types.FunctionType) and value.__closure__ is None
        traced = result.value is not None or result.leaf is not None
        if not (traced or outside or isinstance(value, _CARRIED)):
            return type(value).__name__
    return ""


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name!r}: expected cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: torch finds no CUDA device here; `%fusekit doctor` says more"
        )
    return device

"""A program that shows a view's fusion again: the user's function, and arguments like its own."""

from __future__ import annotations

import ast
import re
import textwrap

from fusekit.viz.model.schema import Model, Node

__all__ = ["reproducer"]

_FLOATS = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
_INTEGERS = {f"{kind}{n}": f"{word}{n}" for kind, word in (("i", "int"), ("u", "uint"))
             for n in (8, 16, 32, 64)}  # fmt: skip
_SCALARS = {"f64": "1.0", "i64": "1", "bool": "True"}
_HELPERS = {"F": "import torch.nn.functional as F", "math": "import math"}


def reproducer(model: Model) -> str:
    """The program; "" where the function's text, or its arguments, are not to be had.

    Tensors are random and contiguous, and numbers are 1, where the function has no default: a view
    holds extents, not values.
    """
    found = _function(model)
    if found is None:
        return ""
    text, function = found
    inputs = {n["label"]: n for n in model["graph"]["nodes"] if n["kind"] in ("input", "scalar")}
    parameters = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    if function.args.vararg or function.args.kwarg or parameters[:1] in (["self"], ["cls"]):
        return ""
    required = len(parameters) - len(function.args.defaults)
    lines: list[str] = []
    given: list[str] = []
    for index, name in enumerate(parameters):
        value = _value(name, inputs)
        if value is None and index < required:
            return ""
        if value is not None:
            lines.append(f"{name} = {value}")
            given.append(name if len(given) == index else f"{name}={name}")
    outside = [label for label in inputs if re.split(r"\W", label)[0] not in parameters]
    if any(not label.isidentifier() for label in outside):
        return ""
    globals_ = [f"{label} = {_tensor(inputs[label])}" for label in outside]
    used = [line for name, line in _HELPERS.items() if re.search(rf"\b{name}\.", text)]
    parts = [
        "\n".join([*used[1:], "import torch", *used[:1], "", "import fusekit"]),
        "\n".join(globals_),
        text,
        "\n".join(lines),
        f"print(fusekit.explain({', '.join([function.name, *given])}))",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _function(model: Model) -> tuple[str, ast.FunctionDef] | None:
    """The user's function, without decorators."""
    text = textwrap.dedent(model["user"]["text"].expandtabs()).strip("\n")
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        return None
    return "\n".join(text.splitlines()[body[0].lineno - 1 :]), body[0]


def _value(name: str, inputs: dict[str, Node]) -> str | None:
    """An argument as Python text: a tensor, a number, or a list of tensors."""
    if name in inputs:
        return _tensor(inputs[name])
    pieces = [node for label, node in inputs.items() if re.fullmatch(rf"{name}\[\d+\]", label)]
    return f"[{', '.join(map(_tensor, pieces))}]" if pieces else None


def _tensor(node: Node) -> str:
    dtype, shape = node["dtype"], tuple(node["shape"])
    if node["kind"] == "scalar":
        return _SCALARS.get(dtype, "1.0")
    if dtype == "bool":
        return f"torch.rand({shape}) > 0.5"
    if dtype in _INTEGERS:
        return f"torch.randint(1, 8, {shape}, dtype=torch.{_INTEGERS[dtype]})"
    kind = "" if dtype == "f32" else f", dtype=torch.{_FLOATS.get(dtype, 'float32')}"
    return f"torch.randn({shape}{kind})"

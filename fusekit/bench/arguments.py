"""Arguments from a text such as `float32[4,1024], f32[1024], 2.0, approximate="tanh"`."""

from __future__ import annotations

import ast
import math
import re
from typing import Any

import torch

from fusekit.errors import UsageError
from fusekit.frontends.dtypes import TO_TORCH

__all__ = ["parse_arguments"]

_TENSOR = re.compile(r"(?:torch\.)?(\w+)\[([\d,\s]*)\]$")
_NAMED = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)\s*")

_DTYPES = {
    **{str(dtype).removeprefix("torch."): dtype for dtype in TO_TORCH.values()},
    **{dtype.value: torch_dtype for dtype, torch_dtype in TO_TORCH.items()},
    "float": torch.float32,
    "double": torch.float64,
    "half": torch.float16,
}

_MAX_BYTES = 1 << 33


def parse_arguments(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments; tensors are random, the same each time.

    Raises:
        UsageError: the text is not a list of arguments; the message says which part is not.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    generator = torch.Generator().manual_seed(0)
    for part in _parts(text):
        named = _NAMED.match(part)
        value = _value(part[named.end() :] if named else part, generator)
        if named:
            kwargs[named[1]] = value
        elif kwargs:
            raise UsageError(f"--args: {part!r} has no name, but stands behind arguments that do")
        else:
            args.append(value)
    return tuple(args), kwargs


def _parts(text: str) -> list[str]:
    """Split at commas outside brackets and quotes."""
    parts, start, depth, quote = [], 0, 0, ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[(":
            depth += 1
        elif char in "])":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    stripped = [part.strip() for part in parts]
    if stripped and not stripped[-1]:
        stripped.pop()
    return stripped


def _value(part: str, generator: torch.Generator) -> Any:
    tensor = _TENSOR.match(part)
    if tensor:
        return _tensor(part, tensor[1], tensor[2], generator)
    try:
        return ast.literal_eval(part)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise UsageError(
            f"--args: {part!r} is no argument: write a tensor as float32[4,1024], "
            "or a Python number, True, None, or a string in quotes"
        ) from error


def _tensor(part: str, name: str, dims: str, generator: torch.Generator) -> torch.Tensor:
    dtype = _DTYPES.get(name)
    if dtype is None:
        known = ", ".join(sorted(n for n in _DTYPES if n[-1].isdigit() and len(n) > 4))
        raise UsageError(f"--args: no dtype {name!r}; there are {known}, bool")
    try:
        shape = [int(dim) for dim in dims.split(",")] if dims.strip() else []
    except ValueError as error:
        raise UsageError(f"--args: the shape of {part!r} has an empty place") from error
    if math.prod(shape) * dtype.itemsize > _MAX_BYTES:
        raise UsageError(f"--args: {part!r} would take more than {_MAX_BYTES >> 30} GiB")
    if dtype.is_floating_point:
        wide = torch.float64 if dtype is torch.float64 else torch.float32
        return torch.randn(shape, generator=generator, dtype=wide).to(dtype)
    high = 2 if dtype is torch.bool else 100
    return torch.randint(0, high, shape, generator=generator, dtype=torch.int64).to(dtype)

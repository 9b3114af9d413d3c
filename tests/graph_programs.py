"""Random programs over torch: inputs and a list of Python statements, drawn by hypothesis.

A program is run while it is drawn, so that every statement is one that eager PyTorch takes (but for
the last, now and then). It is text: what shrinks to a failure can be pasted into an interpreter.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from tests import graph_statements
from tests.graph_statements import Statement
from tests.matrix_cases import on

__all__ = ["Input", "Program", "programs"]

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
DTYPES = (*FLOATS, torch.bool, *INTS)
_DTYPE_WEIGHTS = (torch.float32,) * 6 + DTYPES
_EXTENTS = (2, 3, 1, 4, 5, 8, 17, 33, 0)
_LAYOUTS = ("plain", "plain", "plain", "transposed", "step", "offset", "expanded", "last", "order")
_MOST_ELEMENTS = 2000


@dataclasses.dataclass(frozen=True)
class Input:
    """A tensor argument: what it looks like in memory, and what fills it.

    Attributes:
        dtype: of its elements.
        shape: its extents.
        layout: how it lies in memory.
        values: "normal", "special" (NaN, infinities, halves, zeros) or "small" integers.
        of: an earlier input that this one is ("same") or shares memory with ("view"), or None.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    layout: str = "plain"
    values: str = "normal"
    of: tuple[str, int] | None = None

    def make(self, seed: int, earlier: list[torch.Tensor], device: str = "cpu") -> torch.Tensor:
        """The tensor; other seeds give other values in the same layout."""
        if self.of is not None:
            kind, index = self.of
            base = earlier[index]
            return base if kind == "same" or not base.dim() else base[base.shape[0] // 2 :]
        generator = torch.Generator().manual_seed(seed)
        tensor = _laid_out(self.shape, self.layout, self.dtype)
        with torch.no_grad():
            _fill(tensor, self.values, generator)
        return tensor if device == "cpu" else on(device, tensor)


def _laid_out(shape: tuple[int, ...], layout: str, dtype: torch.dtype) -> torch.Tensor:
    if not shape or layout == "plain":
        return torch.zeros(shape, dtype=dtype)
    if layout == "transposed":
        return (
            torch.zeros((*shape[:-2], *shape[-2:][::-1]), dtype=dtype).transpose(-1, -2)
            if (len(shape) > 1)
            else torch.zeros((*shape, 3), dtype=dtype)[..., 1]
        )
    if layout == "step":
        return torch.zeros((*shape[:-1], shape[-1] * 2 + 1), dtype=dtype)[..., 1::2]
    if layout == "offset":
        return torch.zeros((shape[0] + 2, *shape[1:]), dtype=dtype)[2:]
    if layout == "expanded":
        return torch.zeros((1, *shape[1:]), dtype=dtype).expand(shape)
    if layout == "last" and len(shape) == 4:
        return torch.zeros(shape, dtype=dtype).to(memory_format=torch.channels_last)
    order = list(range(len(shape)))[::-1]
    return torch.zeros([shape[d] for d in order], dtype=dtype).permute(order)


_SPECIAL = (0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0, 3.0, 1e-30, 1e30, 7.0, 100.0)


def _fill(tensor: torch.Tensor, values: str, generator: torch.Generator) -> None:
    # an expanded tensor is filled through the one element behind each repeated one
    real = tensor.as_strided(
        [1 if not s else n for n, s in zip(tensor.shape, tensor.stride(), strict=True)],
        tensor.stride(),
        tensor.storage_offset(),
    )
    if tensor.dtype == torch.bool:
        drawn: torch.Tensor = torch.rand(real.shape, generator=generator) > 0.5
    elif not tensor.is_floating_point():
        low, high = {"normal": (-100, 100), "special": (-128, 128), "small": (-4, 5)}[values]
        drawn = torch.randint(low, high, real.shape, generator=generator)
    elif values == "small":
        drawn = torch.randint(-6, 7, real.shape, generator=generator) / 2
    else:
        drawn = torch.randn(real.shape, generator=generator, dtype=torch.float64) * 2
        if values == "special":
            table = torch.tensor([*_SPECIAL, float("inf"), float("-inf"), float("nan")])
            pick = torch.randint(0, len(table), real.shape, generator=generator)
            use = torch.rand(real.shape, generator=generator) < 0.4
            drawn = torch.where(use, table[pick].double(), drawn)
    real.copy_(drawn)


@dataclasses.dataclass(frozen=True)
class Program:
    """Inputs, scalars, statements and what is returned.

    Attributes:
        inputs: the tensor arguments, a0, a1, ...
        scalars: the Python numbers, s0, s1, ...
        statements: in order.
        returned: a Python expression.
    """

    inputs: tuple[Input, ...]
    scalars: tuple[float, ...]
    statements: tuple[Statement, ...]
    returned: str

    @property
    def text(self) -> str:
        """The program as one function."""
        names = [f"a{i}" for i in range(len(self.inputs))]
        names += [f"s{i}" for i in range(len(self.scalars))]
        lines = [f"    {statement.text}" for statement in self.statements]
        return "\n".join([f"def f({', '.join(names)}):", *lines, f"    return {self.returned}", ""])

    def __repr__(self) -> str:
        """The text, and what goes in."""
        rows = [f"# a{i} = {given}" for i, given in enumerate(self.inputs)]
        rows += [f"# s{i} = {value!r}" for i, value in enumerate(self.scalars)]
        return "\n".join(["", *rows, self.text])

    @property
    def is_exact(self) -> bool:
        """True if every operation is correctly rounded in eager PyTorch and in kernels."""
        return all(statement.is_exact for statement in self.statements)

    def function(self) -> Callable[..., Any]:
        """The program as a function of tensors and numbers."""
        return compiled(self.text)

    def arguments(self, seed: int, device: str = "cpu") -> list[Any]:
        """Fresh arguments; another seed changes the numbers in them too."""
        tensors: list[torch.Tensor] = []
        for index, given in enumerate(self.inputs):
            tensors.append(given.make(seed * 101 + index, tensors, device))
        return [*tensors, *(value + seed if seed else value for value in self.scalars)]

    def resized(self) -> Program:
        """The same for other extents: equal ones stay equal, 0 and 1 stay what they are."""
        inputs = [
            dataclasses.replace(given, shape=tuple(n if n < 2 else n * 3 + 1 for n in given.shape))
            for given in self.inputs
        ]
        return dataclasses.replace(self, inputs=tuple(inputs))


def compiled(text: str) -> Callable[..., Any]:
    """The function `f` that a text defines."""
    names: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
    exec(compile(text, "<program>", "exec"), names)
    return names["f"]


_NOT_ON_A_GPU = re.compile(
    r"torch\.(tensor|arange|zeros|ones|linspace)\("  # makes a tensor of the CPU
    r"|\w\[\w+\d+\]"  # an index beyond the end ends the process's use of the GPU
    r"| / -?[\dsT]"  # eager multiplies by the reciprocal of a number: not exact
    r"|//|%|fmod|torch\.div\("  # of integers by zero, eager's results are undefined
    r"|hardswish|hardsigmoid|addcmul|addcdiv"  # eager's kernels round otherwise (test_matrix.py)
    r"|pow\(\w+, 0\.5\)|\*\* [s0]"  # eager's roots of -0.0 in float16
)


@st.composite
def programs(draw: Any, most: int = 30, device: str = "cpu") -> Program:
    """A program of 1 to `most` statements, to be run on tensors of a kind of device."""
    shape = _shape(draw)
    inputs = _inputs(draw, shape)
    scalars = tuple(draw(st.lists(_SCALARS, max_size=2)))
    tensors: list[torch.Tensor] = []
    for index, given in enumerate(inputs):
        tensors.append(given.make(index, tensors))
    env: dict[str, Any] = {f"a{i}": tensor for i, tensor in enumerate(tensors)}
    env |= {f"s{i}": value for i, value in enumerate(scalars)}
    names = {"torch": torch, "F": torch.nn.functional, **env}
    statements: list[Statement] = []
    for number in range(draw(st.integers(1, most))):
        statement = graph_statements.draw_statement(draw, names, number)
        if statement is None or (device != "cpu" and _NOT_ON_A_GPU.search(statement.text)):
            continue
        outcome = _run(statement, names)
        if outcome == "ok":
            statements.append(statement)
        elif outcome == "error" and draw(st.integers(0, 39)) == 39:
            return Program(inputs, scalars, (*statements, statement), "None")
    made = [name for name, value in names.items() if isinstance(value, torch.Tensor)]
    return Program(inputs, scalars, tuple(statements), _returned(draw, made, statements))


_SCALARS = st.one_of(
    st.sampled_from([0.5, 2.0, -1.5, 0.0, 3.25]),
    st.integers(-3, 5),
)


def _returned(draw: Any, made: list[str], statements: list[Statement]) -> str:
    """A few of the last values, or one, or all that no statement reads."""
    kind = draw(st.sampled_from(["some", "one", "unread"]))
    if kind == "one":
        return made[-1]
    if kind == "unread":
        text = " ".join(
            statement.text.partition(" = ")[2] or statement.text for statement in statements
        )
        read = set(re.findall(r"\w+", text))
        chosen = [name for name in made if name not in read][:12] or made[-1:]
    else:
        recent = st.integers(0, min(len(made) - 1, 7))
        chosen = [made[-1], *(made[-1 - i] for i in draw(st.lists(recent, max_size=3)))]
    return f"({', '.join(chosen)},)"


def _run(statement: Statement, names: dict[str, Any]) -> str:
    before = set(names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(statement.text, names)
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        return "error"
    names.pop("__builtins__", None)
    new = [names[name] for name in names if name not in before]
    large = any(isinstance(x, torch.Tensor) and x.numel() > _MOST_ELEMENTS * 2 for x in new)
    if large:
        for name in set(names) - before:
            del names[name]
        return "large"
    return "ok"


def _shape(draw: Any) -> tuple[int, ...]:
    shape: list[int] = []
    for _ in range(draw(st.integers(0, 4))):
        extent = draw(st.sampled_from(_EXTENTS))
        if extent * torch.Size(shape).numel() <= _MOST_ELEMENTS:
            shape.append(extent)
    return tuple(shape)


def _inputs(draw: Any, shape: tuple[int, ...]) -> tuple[Input, ...]:
    inputs: list[Input] = []
    for index in range(draw(st.integers(1, 4))):
        if index and draw(st.integers(0, 14)) == 14:
            of = (draw(st.sampled_from(["same", "view"])), draw(st.integers(0, index - 1)))
            inputs.append(Input(torch.float32, (), of=of))
            continue
        own = [1 if draw(st.integers(0, 7)) == 7 else extent for extent in shape]
        dropped = draw(st.integers(0, len(own))) if draw(st.integers(0, 3)) == 3 else 0
        inputs.append(
            Input(
                draw(st.sampled_from(_DTYPE_WEIGHTS)),
                tuple(own[dropped:]),
                draw(st.sampled_from(_LAYOUTS)),
                draw(st.sampled_from(["normal", "special", "small"])),
            )
        )
    return tuple(inputs)

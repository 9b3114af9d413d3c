"""Does a fused result agree with eager PyTorch's? The rules of the design, section 5.1.

Where every operation is correctly rounded, results are equal bit for bit (NaN is NaN). Elsewhere
they may differ by what a few units in the last place of each such operation do to the rest of the
program, which is measured: the program is run again with its rounding errors nudged.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tests.graph_programs import Program

__all__ = ["assert_same_bits", "check_program"]

_NUDGES: tuple[tuple[int | None, bool], ...] = (
    *((1, False), (-1, False), (None, False), (None, False)),
    *((1, True), (-1, True), (None, True)),
)
"""All up, all down, or each element at random; what rough operations return, or what those read
that subtract roundings. Never both at once: the two could cancel."""

_NUDGE_ULPS = 3
_SLACK = 3


class _Nudged:
    """Runs a program statement by statement, nudging what rough operations return."""

    def __init__(
        self, program: Program, sign: int | None, seed: int, *, of_operands: bool = False
    ) -> None:
        self.program = program
        self.of_operands = of_operands
        self.sign = sign
        self.generator = torch.Generator().manual_seed(seed)

    def run(self, arguments: Sequence[Any]) -> list[Any]:
        """The leaves of the result, then the arguments."""
        names: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
        count = len(self.program.inputs)
        names |= {f"a{i}": value for i, value in enumerate(arguments[:count])}
        names |= {f"s{i}": value for i, value in enumerate(arguments[count:])}
        for statement in self.program.statements:
            if statement.cancels and self.of_operands:
                operands = set(re.findall(r"\w+", statement.text)) & set(names)
                nudged = {key: self.nudged(names[key]) for key in operands}
                scope = {**names, **nudged, "F": self}
                exec(statement.text, scope)
                names[statement.target] = scope[statement.target]
            else:
                exec(statement.text, names)
            if not statement.is_exact and not self.of_operands:
                self.nudge(names[statement.target])
        made = eval(self.program.returned, names)
        return [*pytree.tree_leaves(made), *arguments]

    def tanhshrink(self, x: torch.Tensor) -> torch.Tensor:
        """What F.tanhshrink returns, whose own steps cancel."""
        return x - self.nudged(torch.tanh(x))

    def nudged(self, value: Any) -> Any:
        """A copy of a tensor, nudged; anything else as it is."""
        if not isinstance(value, torch.Tensor):
            return value
        copy = value.clone()
        self.nudge(copy)
        return copy

    def nudge(self, tensor: torch.Tensor) -> None:
        if not tensor.is_floating_point():
            return
        sign: Any = self.sign
        if sign is None:
            drawn = torch.randint(0, 2, tensor.shape, generator=self.generator)
            sign = drawn.to(tensor.device) * 2 - 1
        wide = tensor.double()
        step = torch.finfo(tensor.dtype).eps * _NUDGE_ULPS
        tensor.copy_(torch.where(wide.isfinite(), wide * (1 + step * sign), wide))


def run_quietly(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Any]:
    """ "ok" and the leaves of the result, or the name of the exception's type and the exception."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "ok", pytree.tree_leaves(function(*arguments))
    except Exception as error:  # noqa: BLE001  whatever eager raises
        return type(error).__name__, error


def check_program(
    program: Program, fused: Callable[..., Any], seed: int, device: str = "cpu"
) -> None:
    """AssertionError unless `fused` does what the program does in eager PyTorch there."""
    eager_args, fused_args = (program.arguments(seed, device) for _ in range(2))
    eager, expected = run_quietly(program.function(), eager_args)
    status, found = run_quietly(fused, fused_args)
    if status != eager:
        outcomes = [x if isinstance(x, Exception) else "a result" for x in (expected, found)]
        raise AssertionError("eager: {!r}; fused: {!r}".format(*outcomes))
    if eager != "ok":
        return
    _same_identity(found, fused_args, expected, eager_args)
    others = []
    if not program.is_exact:
        for number, (sign, of_operands) in enumerate(_NUDGES):
            nudged = _Nudged(program, sign, number, of_operands=of_operands)
            arguments = program.arguments(seed, device)
            status, made = run_quietly(lambda *a, n=nudged: n.run(a), arguments)
            # a program that raises when it is nudged cannot be judged
            if status != "ok":
                return
            others.append(made)
    for index, (ours, theirs) in enumerate(
        zip([*found, *fused_args], [*expected, *eager_args], strict=True)
    ):
        what = f"result {index}" if index < len(found) else f"argument {index - len(found)}"
        nearby = [made[index] for made in others]
        if isinstance(theirs, torch.Tensor):
            assert_agrees(ours, theirs, nearby, what)
        else:
            same = ours == theirs or (ours != ours and theirs != theirs)
            assert type(ours) is type(theirs), what
            assert same, f"{what}: {ours!r} for {theirs!r}"


def _same_identity(
    found: Sequence[Any],
    fused_args: Sequence[Any],
    expected: Sequence[Any],
    eager_args: Sequence[Any],
) -> None:
    """What is an argument, or a view of one, stays that."""
    assert len(found) == len(expected)
    for index, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if not isinstance(theirs, torch.Tensor):
            continue
        for mine, yours in zip(fused_args, eager_args, strict=True):
            if isinstance(yours, torch.Tensor):
                assert (ours is mine) == (theirs is yours), f"result {index}: identity"
                assert _share(ours, mine) == _share(theirs, yours), f"result {index}: memory"


def _share(one: torch.Tensor, other: torch.Tensor) -> bool:
    if not one.numel() or not other.numel():
        return False
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def assert_agrees(
    ours: Any,
    theirs: torch.Tensor,
    nearby: Sequence[torch.Tensor],
    what: str,
) -> None:
    """AssertionError unless dtype, shape and strides are equal and values agree."""
    assert isinstance(ours, torch.Tensor), what
    assert ours.dtype == theirs.dtype, f"{what}: {ours.dtype}, eager has {theirs.dtype}"
    assert ours.shape == theirs.shape, f"{what}: {ours.shape}, eager has {theirs.shape}"
    assert has_same_strides(ours, theirs), (
        f"{what}: strides {ours.stride()}, eager has {theirs.stride()} for {theirs.shape}"
    )
    if not nearby:
        assert_same_bits(ours, theirs, what)
        return
    centre = _wide(theirs)
    spread = torch.zeros_like(centre)
    for other in nearby:
        off = (_wide(other) - centre).abs()
        off = torch.where(_equal(_wide(other), centre), 0.0, off)
        spread = torch.maximum(spread, off.nan_to_num(math.inf, math.inf))
    scale = centre.abs().nan_to_num(0.0, 0.0, 0.0)
    eps = torch.finfo(theirs.dtype).eps if theirs.is_floating_point() else 0.0
    # eager's vectorised exp flushes denormals
    tiny = torch.finfo(theirs.dtype).tiny if theirs.is_floating_point() else 0.0
    allowed = _SLACK * spread + 2 * eps * scale + tiny
    if not theirs.is_floating_point():  # wrapped or cut off: next to nothing may be far away
        allowed = torch.where(spread > 0, math.inf, 0.0)
    mine = _wide(ours)
    good = _equal(mine, centre) | ((mine - centre).abs() <= allowed) | allowed.isinf()
    _report(good, ours, theirs, what)


def has_same_strides(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Equal strides where they matter: in dimensions of several elements.

    What eager gives single elements depends on the strides that an in-place write left behind and
    on copies made for promotion; the matrix compares all strides of all operators one by one.
    """
    steps = zip(theirs.shape, ours.stride(), theirs.stride(), strict=True)
    return not theirs.numel() or all(one == other for n, one, other in steps if n > 1)


def assert_same_bits(ours: torch.Tensor, theirs: torch.Tensor, what: str) -> None:
    """AssertionError unless all values are equal; a NaN equals a NaN."""
    good = (ours == theirs) | ((ours != ours) & (theirs != theirs))
    if theirs.is_floating_point():
        good &= (ours.signbit() == theirs.signbit()) | (theirs != 0)
    _report(good, ours, theirs, what)


def _report(good: torch.Tensor, ours: torch.Tensor, theirs: torch.Tensor, what: str) -> None:
    if not bool(good.all()):
        where = [int(i) for i in (~good).nonzero()[0]]
        mine, yours = ours[tuple(where)].item(), theirs[tuple(where)].item()
        count = int((~good).sum())
        raise AssertionError(
            f"{what}{where}: {mine!r}, eager has {yours!r} ({count} of {good.numel()} differ, "
            f"{theirs.dtype})"
        )


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().double()


def _equal(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one == other) | (one.isnan() & other.isnan())

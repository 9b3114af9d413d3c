"""One random statement at a time, over the values that a program has so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

__all__ = ["Statement", "draw_statement"]


@dataclasses.dataclass(frozen=True)
class Statement:
    """A line of a program.

    Attributes:
        text: Python.
        target: what it assigns or writes, if its result may be off in the last places.
        is_exact: True if eager PyTorch and kernels agree in every bit.
        cancels: True if it subtracts what it has rounded before: its error is that of operands.
    """

    text: str
    target: str
    is_exact: bool = True
    cancels: bool = False


_DTYPE_NAMES = [
    f"torch.{name}"
    for name in (
        *("float32", "float64", "float16", "bfloat16", "bool"),
        *("int64", "int32", "int16", "int8", "uint8"),
    )
]

_UNARY = """-{x}|torch.abs({x})|torch.floor({x})|torch.ceil({x})|torch.trunc({x})|torch.round({x})
torch.frac({x})|torch.sign({x})|torch.square({x})|~{x}|torch.logical_not({x})|torch.isnan({x})
torch.isinf({x})|torch.isfinite({x})|{x}.clone()|{x}.contiguous()|{x}.float()|{x}.double()|{x}.bool()
{x}.half()|1 / {x}|torch.signbit({x}.nan_to_num())|torch.reciprocal({x})|torch.zeros_like({x})
torch.ones_like({x})|torch.full_like({x}, 2.5)|{x}.long()|{x} * {x}|1 - {x}|{x}.detach()
torch.positive({x})|torch.nan_to_num({x})|{x}.new_zeros({x}.shape)|torch.isposinf({x})"""

_UNARY_ZERO = """torch.relu({x})|torch.clamp({x}, -1, 2)|torch.clamp({x}, min=0.5)
F.hardtanh({x})|F.relu6({x})|F.leaky_relu({x}, 0.25)|F.threshold({x}, 0.5, 2.0)
torch.clamp({x}, max=1)|F.hardshrink({x})|F.softshrink({x})"""

_UNARY_ROUGH = """torch.exp({x})|torch.log({x})|torch.sin({x})|torch.cos({x})|torch.tanh({x})
torch.sigmoid({x})|F.silu({x})|F.softplus({x})
torch.erf({x})|torch.expm1({x})|torch.log1p({x})|torch.sqrt({x})|torch.rsqrt({x})|F.elu({x})
F.mish({x})|F.selu({x})|torch.atan({x})|F.hardswish({x})|F.hardsigmoid({x})|torch.exp2({x})
torch.pow({x}, 2.5)|torch.asinh({x})|F.logsigmoid({x})|torch.pow({x}, 0.5)|torch.log2({x})
F.celu({x}, 1.5)|F.softsign({x})|torch.sinc({x})"""

_BINARY = """{x} + {y}|{x} - {y}|{x} * {y}|{x} / {y}
{x} < {y}|{x} <= {y}|{x} == {y}|{x} != {y}|{x} > {y}|{x} >= {y}
torch.logical_and({x}, {y})|torch.logical_or({x}, {y})|torch.logical_xor({x}, {y})
{x} & {y}|{x} ^ {y}|{x} | {y}|{x} << {y}|{x} >> {y}|torch.copysign({x}, {y}.nan_to_num())
torch.where({x} > 0, {x}, {y})|torch.heaviside({x}, {y})
torch.masked_fill({x}, {y} > 0, 1.0)|torch.where({y} != 0, {x}, 0)|{x}.type_as({y})
torch.eq({x}, {y}).to({x}.dtype)|torch.rsub({x}, {y})"""

_BINARY_ZERO = """torch.maximum({x}, {y})|torch.minimum({x}, {y})|torch.fmax({x}, {y})
torch.clamp({x}, {y})|torch.fmin({x}, {y})"""

_BINARY_ROUGH = """torch.atan2({x}, {y})|torch.hypot({x}, {y})|torch.pow({x}, {y})
torch.logaddexp({x}, {y})|{x} // {y}|{x} % {y}|torch.fmod({x}, {y})|torch.xlogy({x}, {y})
torch.div({x}, {y}, rounding_mode='trunc')|torch.div({x}, {y}, rounding_mode='floor')
F.mse_loss({x}, {y}, reduction='none')|F.smooth_l1_loss({x}, {y}, reduction='none')"""

_CANCELLING = """torch.sub({x}, {y}, alpha=3)|torch.add({x}, {y}, alpha=2)|torch.lerp({x}, {y}, 0.3)
torch.addcmul({x}, {y}, {x})|torch.addcdiv({x}, {y}, {x})|torch.addcmul({x}, {x}, {y}, value=0.5)
torch.lerp({x}, {y}, {x})|torch.sub({x}, {x}, alpha={s})|torch.add({x}, {x}, alpha={s})
torch.lerp({x}, {x}, {s})|torch.addcmul({x}, {x}, {x}, value={s})
F.tanhshrink({x})|torch.logit({x}, 0.1)"""

_SCALAR = """{x} + {s}|{x} * {s}|{x} - {s}|{s} - {x}|{x} / {s}|{x} < {s}|{x} == {s}|{x} >= {s}
torch.where({x} > {s}, {x}, {s})|torch.masked_fill({x}, {x} > 1, {s})
{x} + {s} * 2|{x} * ({s} + 1)|{x} + abs({s})|torch.full_like({x}, {s})|{x} * float({s})
{x} + int({s})|{x} if {s} > 1 else -{x}"""

_SCALAR_ROUGH = """{x} ** {s}|{x} // {s}|{x} % {s}|torch.clamp({x}, {s})|{x} ** 2|{x} ** 3|{x} ** -1
torch.fmod({x}, {s})|{s} ** {x}|torch.clamp({x}, max={s})|F.elu({x}, {s})|F.leaky_relu({x}, {s})
F.softplus({x}, {s})"""

_VIEW = """{x}.transpose({d}, {e})|{x}.unsqueeze({d})|{x}.squeeze()|{x}.squeeze({d})|{x}.flatten()
{x}.reshape(-1)|{x}.select({d}, 0)|{x}.narrow({d}, 0, 1)|{x}[1:]|{x}[..., ::2]|{x}[..., 1:]
{x}.expand(2, *{x}.shape)|{x}.chunk(2, {d})[0]|{x}.chunk(2, {d})[-1]|{x}.split(2, {d})[0]
{x}.movedim({d}, {e})|{x}.unbind({d})[-1]|{x}.view(-1)|{x}.view({x}.shape)|{x}.mT|{x}[None]
{x}.diagonal()|{x}.flatten({d})|{x}.permute(*range({x}.dim())[::-1])|{x}[..., -1:]|{x}[0]
{x}.expand_as({y})|{x}.view_as({x})|{x}.unflatten({d}, (-1, 2))|{x}.swapaxes({d}, {e})|{x}[:, :2]
{x}.tensor_split(3, {d})[1]|torch.broadcast_to({x}, {y}.shape)|{x}.real|{x}.unfold({d}, 2, 1)
torch.atleast_2d({x})|torch.broadcast_tensors({x}, {y})[0]|{x}[:0]|{x}.ravel()"""

_OPAQUE = """{x}.sum({d}, keepdim=True)|{x}.sum()|{x}.amax({d})|{x} @ {y}|{x}.cumsum({d})
{x}.flip({d})|{x}.roll(1, {d})|{x}.any({d}, keepdim=True)|{x}.argmax({d})|{x}.tril()
{x}.repeat(2, *[1] * ({x}.dim() - 1))|{x}.sort({d})[0]|{x}.mean({d}, keepdim=True)|{x}[{y}]
{x}.softmax({d})|torch.arange({x}.numel()).view({x}.shape)|{x}.as_strided((2,), (1,))
{x}.index_select({d}, torch.tensor([0, 0]))|torch.tensor([1.0, 2.0]) * 2|torch.tensor(3)
torch.empty_like({x}).fill_(3)|{x}.view(torch.int32)|torch.zeros({x}.shape)|torch.ones(3, 1)
torch.linspace(0, 1, 3)"""

_JOIN = """torch.cat([{x}, {y}], {d})|torch.stack([{x}, {y}], {d})|torch.cat([{x}, {x}], {d})
torch.cat([{x}, {y}, {x}], {d})|torch.stack([{x}, -{x}])|torch.hstack([{x}, {y}])
torch.cat({x}.chunk(2, {d})[::-1], {d})|torch.cat([{x} * 2, {y} + 1], {d})
torch.stack([{x}] * 3, -1)"""

_WRITE = """{x}.add_({y})|{x}.mul_(2)|{x}.copy_({y})|{x}.zero_()|{x}.fill_(3)|{x}.neg_()
{x}[0] = {y}[0]|{x}[1:] += 1|{x}.sub_({y})|{x}[..., 0] = 2|{x} += {y}|{x}[1:] *= {y}[1:]
{x}.masked_fill_({x} > 0, 1)|{x}.abs_()|torch.add({x}, {y}, out={x})|{x}[..., ::2].mul_(2)
{x}.clamp_(min=1)|{x}.transpose({d}, {e}).add_(1)|{x}.logical_not_()|{x}.unsqueeze(0).mul_(3)
{x}[{x} > 0] = 0|{x}.add_({x})|{x}.t_()|{x}.unsqueeze_(0)|{x}.squeeze_()"""


def _lines(text: str) -> list[str]:
    # a `|` between blanks is the operator
    return [part for line in text.split("\n") for part in _split(line)]


def _split(line: str) -> list[str]:
    marked = line.replace(" | ", " \0 ")
    return [part.replace("\0", "|") for part in marked.split("|")]


@dataclasses.dataclass(frozen=True)
class _Family:
    """Templates of one kind.

    Attributes:
        templates: expressions over {x}, {y}, {s} (a number), {d} and {e} (dimensions).
        weight: how often it is drawn.
        is_exact, cancels: of the statements.
        has_either_zero: eager itself gives 0.0 or -0.0, depending on its loop.
        writes: the template is a statement by itself.
    """

    templates: list[str]
    weight: int
    is_exact: bool = True
    has_either_zero: bool = False
    writes: bool = False
    cancels: bool = False


_FAMILIES = (
    _Family(_lines(_UNARY), 6),
    _Family(_lines(_BINARY), 9),
    _Family(_lines(_SCALAR), 4),
    _Family(_lines(_VIEW), 6),
    _Family(_lines(_UNARY_ZERO), 1, has_either_zero=True),
    _Family(_lines(_BINARY_ZERO), 1, has_either_zero=True),
    _Family(_lines(_JOIN), 2),
    _Family(_lines(_OPAQUE), 1),
    _Family(_lines(_UNARY_ROUGH), 1, is_exact=False),
    _Family(_lines(_BINARY_ROUGH), 1, is_exact=False),
    _Family(_lines(_SCALAR_ROUGH), 1, is_exact=False),
    _Family(_lines(_CANCELLING), 1, is_exact=False, cancels=True),
    _Family(_lines(_WRITE), 1, writes=True),
)
_DRAWN = [family for family in _FAMILIES for _ in range(family.weight)]


def draw_statement(
    draw: Callable[[Any], Any], names: dict[str, Any], number: int
) -> Statement | None:
    """A statement that defines v<number> or writes into something; None if nothing fits."""
    tensors = [name for name, value in names.items() if isinstance(value, torch.Tensor)]
    family = draw(st.sampled_from(_DRAWN))
    template = draw(st.sampled_from(family.templates))
    x = _recent(draw, tensors)
    fields: dict[str, str] = {"x": x}
    rank = names[x].dim()
    if "{y}" in template:
        partners = [name for name in tensors if _fits(names[x], names[name])]
        fields["y"] = _recent(draw, partners)
    if "{s}" in template:
        numbers = [name for name in names if name[0] == "s" and name[1:].isdigit()]
        numbers += ["2", "0.5", "-1", "True"]
        fields["s"] = draw(st.sampled_from(numbers))
    for letter in "de":
        if f"{{{letter}}}" in template:
            fields[letter] = str(draw(st.integers(-1, max(rank - 1, 0))))
    if family.has_either_zero:  # whose sign is up to eager's loop: vectorised or not
        template = f"{template} + 0"
    if draw(st.integers(0, 11)) == 11 and family.is_exact and not family.writes:
        template = f"({template}).to({draw(st.sampled_from(_DTYPE_NAMES))})"
    expression = template.format(**fields)
    if family.writes:
        return Statement(expression, x, is_exact=True)
    target = f"v{number}"
    return Statement(f"{target} = {expression}", target, family.is_exact, family.cancels)


def _recent(draw: Callable[[Any], Any], names: list[str]) -> str:
    """One of the names, the last ones more often; it shrinks to the first."""
    index = max(draw(st.integers(0, len(names) - 1)), draw(st.integers(0, len(names) - 1)))
    return names[index]


def _fits(x: torch.Tensor, y: torch.Tensor) -> bool:
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return all(one == other or 1 in (one, other) for one, other in pairs)

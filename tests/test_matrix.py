"""Every operator, dtype, layout and engine against eager PyTorch and against float64.

All operators of a family that eager has for a dtype go into one function, so into one kernel.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

import fusekit
from tests.matrix_cases import ARITIES, DTYPES, LAYOUTS, divisible, on, representable, values

ENGINES = ("llvm", "cpp", pytest.param("cuda", marks=pytest.mark.gpu))

EITHER_ZERO = frozenset({
    "maximum", "minimum", "fmax", "fmin", "relu", "relu6", "hardtanh", "hardtanh_int", "clamp",
    "clamp_max", "hardswish", "hardsigmoid", "hardshrink", "softshrink", "prelu", "huber",
})  # fmt: skip
"""Eager's vectorised and scalar loops disagree about the sign of a zero here."""


NAN_IN_EAGER = frozenset({"fmod", "remainder", "gelu", "floor_divide", "floordiv", "div_floor"})
"""Eager's vectorised loops give NaN for quotients beyond their precision, and for gelu(inf)."""


CANCELLING = frozenset({"tanhshrink", "logaddexp", "logaddexp2"})
"""Differences of what is close to each other: off by what their operands are."""


IN_FEWER_STEPS = frozenset({"addcmul", "addcdiv"})
"""Eager's CUDA kernels round these once less; what that does to infinities shows in NaNs."""

ROUGH_IN_EAGER = frozenset({"hardsigmoid", "hardswish"})
"""Eager's CUDA kernels multiply float64 by a sixth in float32."""

NOT_ON_GPU = frozenset({"pow_0.5", "pow_-0.5"})
"""Roots of -0.0 and -inf in float16, which eager on a GPU gives as sqrt does, on a CPU as pow."""


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def together(cases: Sequence[Callable[..., Any]]) -> Callable[..., tuple[Any, ...]]:
    """One function with the results of all of them."""

    def everything(*tensors: torch.Tensor) -> tuple[Any, ...]:
        return tuple(case(*tensors) for case in cases)

    return everything


def attempt(case: Callable[..., Any], tensors: Sequence[torch.Tensor]) -> Any:
    """What eager returns, or the exception that it raises."""
    try:
        return case(*tensors)
    except Exception as error:  # noqa: BLE001  whatever eager raises
        return error


@functools.cache
def arguments(family: str, dtype: torch.dtype) -> list[torch.Tensor]:
    tensors = values(dtype, ARITIES[family][0])
    if family == "division":
        return divisible(*tensors)
    return [representable(x) for x in tensors] if family == "cast" else tensors


@functools.cache
def sorted_out(
    family: str, dtype: torch.dtype, device: str = "cpu"
) -> tuple[dict[str, Any], dict[str, Exception]]:
    """Name -> what eager returns; name -> what it raises."""
    given = [x.to(device) for x in arguments(family, dtype)]
    made = {name: attempt(case, given) for name, case in ARITIES[family][1].items()}
    accepted = {name: x for name, x in made.items() if not isinstance(x, Exception)}
    return accepted, {name: x for name, x in made.items() if isinstance(x, Exception)}


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("family", ARITIES)
@pytest.mark.parametrize("engine", ENGINES)
def test_values(engine: str, family: str, dtype: torch.dtype) -> None:
    device = "cuda" if engine == "cuda" else "cpu"
    expected, _ = sorted_out(family, dtype, device)
    if not expected:
        pytest.skip(f"eager has no {family} operator for {name_of(dtype)}")
    cases = ARITIES[family][1]
    given = [x.to(device) for x in arguments(family, dtype)]
    fused = fusekit.fuse(together([cases[name] for name in expected]), engine=engine)
    found = fused(*given)
    explained = fused.explain(*given)
    assert explained.fused
    declined = [str(decline) for decline in explained.declined]
    assert not declined
    wrong = [
        complaint
        for (name, theirs), ours in zip(expected.items(), found, strict=True)
        if (complaint := disagreement(name, cases[name], given, ours, theirs))
    ]
    assert not wrong, "\n".join(wrong)


def disagreement(
    name: str,
    case: Callable[..., Any],
    given: Sequence[torch.Tensor],
    ours: torch.Tensor,
    theirs: torch.Tensor,
) -> str:
    """What is wrong with a result, or nothing."""
    on_gpu = ours.is_cuda
    given, ours, theirs = [x.cpu() for x in given], ours.cpu(), theirs.cpu()
    if (ours.dtype, ours.shape, ours.stride()) != (theirs.dtype, theirs.shape, theirs.stride()):
        return (
            f"{name}: {ours.dtype} {ours.shape} {ours.stride()}, eager has {theirs.dtype} "
            + str((theirs.shape, theirs.stride()))
        )
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    names = {name, name.partition("_")[0]}
    if theirs.is_floating_point():
        zeros = (theirs == 0) & (ours == 0)
        if not names & EITHER_ZERO:
            same &= ~zeros | (ours.signbit() == theirs.signbit())
        same |= _is_close(case, given, ours, theirs) & ~zeros
        if names & NAN_IN_EAGER:
            beyond = given[0].double().abs() > 1e6
            same |= (theirs.isnan() | beyond) & ~ours.isnan() & ~given[0].isnan()
        if name in CANCELLING or (theirs.dtype == torch.float64 and name.startswith("gelu")):
            scale = torch.stack([x.double().abs().nan_to_num(0.0, 0.0) for x in given]).amax(0)
            same |= (ours.double() - theirs.double()).abs() <= scale * 2 * torch.finfo(
                theirs.dtype
            ).eps
    if on_gpu and theirs.is_floating_point():
        same |= _is_excused_on_gpu(names, given, ours, theirs)
    if bool(same.all()):
        return ""
    at = int((~same).nonzero()[0])
    operands = ", ".join(repr(tensor[at].item()) for tensor in given)
    return (
        f"{name}({operands}) is {ours[at].item()!r}, eager has {theirs[at].item()!r} "
        f"({int((~same).sum())} of {same.numel()})"
    )


def _is_excused_on_gpu(
    names: set[str], given: Sequence[torch.Tensor], ours: torch.Tensor, theirs: torch.Tensor
) -> torch.Tensor:
    """Where eager's CUDA kernels are known not to compute what its operators say."""
    if names & IN_FEWER_STEPS:
        scale = torch.stack([x.double().abs() for x in given]).amax(0) ** 2
        near = (ours.double() - theirs.double()).abs() <= scale * torch.finfo(theirs.dtype).eps
        return near | ~given[0].isfinite()
    if names & ROUGH_IN_EAGER and theirs.dtype == torch.float64:
        return (ours - theirs).abs() <= 1e-7 * theirs.abs().clamp(min=1.0)
    if names & NOT_ON_GPU and theirs.dtype == torch.float16:
        return (given[0] == 0) | given[0].isinf()
    return torch.zeros_like(ours, dtype=torch.bool)


def _is_close(
    case: Callable[..., Any],
    given: Sequence[torch.Tensor],
    ours: torch.Tensor,
    theirs: torch.Tensor,
) -> torch.Tensor:
    """Within 2 ulp, or 1.5 times eager's worst error, of the result in float64."""
    if theirs.dtype == torch.float64:
        exact, slack = theirs, 4.0  # two results within 2 ulp of the truth
    else:
        wide = [x.double() for x in given]
        exact, slack = attempt(case, wide), 2.0
        if isinstance(exact, Exception) or exact.dtype != torch.float64:
            exact = theirs.double()
    # what overflows the dtype is an infinity for both
    limit = torch.finfo(theirs.dtype).max
    exact = torch.where(
        exact.abs() > limit, torch.copysign(torch.tensor(math.inf).double(), exact), exact
    )
    unit = _ulp(exact, theirs.dtype)
    their_error = ((theirs.double() - exact).abs() / unit).nan_to_num(0.0, 0.0)
    # eager's worst element excuses others, but no nonsense
    worst = min(1.5 * float(their_error.max()), 64.0)
    allowed = (1.5 * their_error).clamp(min=max(slack, worst))
    return (ours.double() - exact).abs() <= allowed * unit


def _ulp(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    info = torch.finfo(dtype)
    _, exponent = torch.frexp(x.abs().nan_to_num(1.0, 1.0))
    power = torch.ldexp(torch.ones_like(x), exponent - 1)
    return (power * info.eps).clamp(min=info.tiny * info.eps if dtype != torch.float64 else 5e-324)


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_what_eager_rejects_is_rejected_alike(dtype: torch.dtype) -> None:
    wrong = []
    for family, (_, cases) in ARITIES.items():
        for name, error in sorted_out(family, dtype)[1].items():
            given = arguments(family, dtype)
            outcome = attempt(fusekit.fuse(cases[name]), given)
            if type(outcome) is not type(error) or str(outcome) != str(error):
                found = repr(outcome) if isinstance(outcome, Exception) else "a result"
                wrong.append(f"{name}: {found} for {error!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.int32, torch.bool], ids=name_of
)
def test_layouts(dtype: torch.dtype, layout: str) -> None:
    """Shapes and strides of every operator; the reference engine compiles nothing."""
    tensors = LAYOUTS[layout](dtype)
    for arity, cases in ARITIES.values():
        given = tensors[:arity]
        made = {name: attempt(case, given) for name, case in cases.items()}
        expected = {name: x for name, x in made.items() if not isinstance(x, Exception)}
        fused = fusekit.fuse(together([cases[name] for name in expected]), engine="reference")
        found = fused(*given)
        wrong = [
            f"{name}: {ours.shape} {ours.stride()}, eager has {theirs.shape} {theirs.stride()}"
            for (name, theirs), ours in zip(expected.items(), found, strict=True)
            if (ours.shape, ours.stride()) != (theirs.shape, theirs.stride())
        ]
        assert not wrong, "\n".join(wrong)


MIXED = ("float32", "float16", "float64", "int32", "uint8", "bool")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_loops_over_layouts(layout: str, engine: str) -> None:
    """Values through every kind of loop, with tensors of different element sizes."""
    kinds = [getattr(torch, name) for name in MIXED]
    device = "cuda" if engine == "cuda" else "cpu"
    given = [on(device, LAYOUTS[layout](dtype)[i % 3]) for i, dtype in enumerate(kinds)]

    def function(*x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x[0] * x[1] + x[3], (x[4] + x[3]) * 2, x[2] - x[0], x[5] & (x[0] > x[4]), x[1] / x[4]

    fused = fusekit.fuse(function, engine=engine)
    for ours, theirs in zip(fused(*given), function(*given), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
    assert fused.explain(*given).fused

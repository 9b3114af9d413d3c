"""PyTorch's own operator database: which of its entries are elementwise, and what they do.

An entry is an operator with sample inputs for each dtype that it takes. What counts here is what
each result element computes from the elements at its own position: the universal functions, and of
the rest what `ELEMENTWISE` names.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

import fusekit
from tests.matrix_cases import DTYPES, values

__all__ = [
    "DTYPES",
    "EXCLUDED",
    "Outcome",
    "attempt",
    "elementwise",
    "entries",
    "name_of",
    "outcome",
    "samples",
    "special_sample",
]

_REST = """addcdiv addcmul alias_copy clamp clone fill full_like lerp logaddexp2 masked_fill
    masked_logaddexp native_dropout_backward new_full new_ones new_zeros ones_like to where zero_
    zeros_like nn_functional_binary_cross_entropy nn_functional_binary_cross_entropy_with_logits
    nn_functional_gaussian_nll_loss nn_functional_gelu nn_functional_glu nn_functional_hardswish
    nn_functional_hinge_embedding_loss nn_functional_huber_loss nn_functional_kl_div
    nn_functional_l1_loss nn_functional_leaky_relu nn_functional_margin_ranking_loss
    nn_functional_mse_loss nn_functional_multilabel_soft_margin_loss
    nn_functional_poisson_nll_loss nn_functional_prelu nn_functional_smooth_l1_loss
    nn_functional_soft_margin_loss bucketize"""

ELEMENTWISE = frozenset(_REST.split())
"""Entries of the database that are elementwise (but for a loss's reduction) and not universal
functions by class."""

_SELF = "gives its argument back, for real numbers: there is nothing to compute"
_COMPLEX = "its results are complex numbers"
_OWN_CODE = "runs CUDA code that the caller writes"

EXCLUDED = {
    **dict.fromkeys(("positive", "conj", "conj_physical", "real"), _SELF),
    **dict.fromkeys(("cdouble", "cfloat", "chalf", "complex", "polar"), _COMPLEX),
    **dict.fromkeys(("jiterator_unary", "jiterator_binary"), _OWN_CODE),
    "jiterator_binary_return_by_ref": _OWN_CODE,
    "imag": "takes complex numbers only",
}
"""Universal functions that no kernel could serve, and why."""

_NOT_SPECIAL = frozenset(
    {"nn_functional_prelu", "nn_functional_rrelu", "fill", "igamma", "igammac"}
)
"""What takes a tensor that is no operand, or draws; and two functions that eager computes so badly
there, even in float64, that tests/routines judges them by ball arithmetic."""

_NOT_SPECIAL_INTEGERS = (
    *("floor_divide", "div_", "remainder", "fmod", "__rmod__", "lcm", "true_divide", "__rdiv__"),
    *(
        "special_chebyshev",
        "special_shifted",
        "special_hermite",
        "special_laguerre",
        "special_legendre",
        "special_zeta",
    ),
)
"""Beginnings of the names of what eager cannot do with extreme integers: some stop the process,
others take as many steps."""

_DEGREE = 60
"""Of polynomials: they take as many steps."""

_INTEGER_CASTS = frozenset({"byte", "char", "short", "int", "long"})
"""What C++ leaves undefined out of range."""

_REDUCTIONS = frozenset({"aten.mean.default", "aten.sum.default", "aten.sum.dim_IntList"})
"""What may stand outside the kernel of a loss: it is asked for by a loss's `reduction`."""


def name_of(op: Any) -> str:
    """An entry's name, variant included."""
    return str(op.formatted_name)


@functools.cache
def entries() -> tuple[Any, ...]:
    """All of the database."""
    pytest.importorskip("expecttest", reason="torch's operator database needs expecttest")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what else the database imports
        from torch.testing._internal.common_methods_invocations import op_db
    return tuple(op_db)


@functools.cache
def _database() -> tuple[Any, ...]:
    found = entries()
    from torch.testing._internal.opinfo.core import BinaryUfuncInfo, UnaryUfuncInfo

    universal = (UnaryUfuncInfo, BinaryUfuncInfo)
    return tuple(op for op in found if isinstance(op, universal) or name_of(op) in ELEMENTWISE)


def elementwise(dtype: torch.dtype | None = None, device: str = "cpu") -> list[Any]:
    """The elementwise entries that take the dtype there; all of them without a dtype."""
    return [
        op
        for op in _database()
        if name_of(op) not in EXCLUDED and (dtype is None or dtype in op.supported_dtypes(device))
    ]


def samples(op: Any, dtype: torch.dtype, device: str = "cpu") -> list[Any]:
    """All that the database makes; the same numbers each time."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eager's own, about what samples do
        return list(op.sample_inputs(device, dtype, requires_grad=False))


def special_sample(op: Any, dtype: torch.dtype, device: str = "cpu") -> Any:
    """All combinations of special values, for universal functions; None where eager dies of them.

    The database has none: halves, infinities, NaN, denormals, the extremes of each dtype.
    """
    from torch.testing._internal.opinfo.core import BinaryUfuncInfo, SampleInput, UnaryUfuncInfo

    if not isinstance(op, UnaryUfuncInfo | BinaryUfuncInfo) or name_of(op) in _NOT_SPECIAL:
        return None
    if not dtype.is_floating_point and name_of(op).startswith(_NOT_SPECIAL_INTEGERS):
        return None
    if dtype.is_floating_point and name_of(op) in _INTEGER_CASTS:
        return None
    first = next(x for x in samples(op, dtype, device) if isinstance(x.input, torch.Tensor))
    arity = 1 + sum(isinstance(x, torch.Tensor) for x in first.args)
    given = iter([x.to(device) for x in values(dtype, arity)])
    made = next(given)
    args = tuple(next(given) if isinstance(x, torch.Tensor) else x for x in first.args)
    if "polynomial" in name_of(op):
        args = tuple(degree.clamp(max=_DEGREE) for degree in args)
    return SampleInput(made, args=args, kwargs=first.kwargs)


def attempt(function: Any, sample: Any) -> Any:
    """What a call gives, or the exception that it raises; the sample stays as it is."""
    torch.manual_seed(0)
    given = pytree.tree_map(_copied, (sample.input, sample.args, sample.kwargs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(given[0], *given[1], **given[2])
        except Exception as error:  # noqa: BLE001  whatever eager raises
            return error


def _numel(leaf: Any) -> int:
    return leaf.numel() if isinstance(leaf, torch.Tensor) else 0


def _copied(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, torch.Tensor) else leaf


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an entry's samples in a dtype.

    Attributes:
        fused: how many run in kernels (and a loss's reduction).
        trivial: how many compute nothing: they have no elements, or give their argument back.
        left: code and operator of what kept the others from it.
    """

    fused: int
    trivial: int
    left: tuple[str, ...]

    @property
    def is_fused(self) -> bool:
        """True if every sample that computes anything runs in kernels."""
        return bool(self.fused) and not self.left


def outcome(op: Any, dtype: torch.dtype, engine: str = "llvm") -> Outcome:
    """How an entry's samples run."""
    fused_op = fusekit.fuse(op.op, engine=engine)
    fused, trivial, left = 0, 0, []
    for sample in samples(op, dtype):
        expected = attempt(op.op, sample)
        leaves = pytree.tree_leaves(expected)
        if isinstance(expected, Exception) or not any(map(_numel, leaves)):
            trivial += 1
            continue
        explained = attempt(fused_op.explain, sample)
        outside = [x for x in explained.declined if x.op not in _REDUCTIONS]
        if any(x.op for x in outside) or (outside and outside[0].code != "FK0204"):
            left += [f"{x.code} {x.op}".strip() for x in outside if x.code != "FK0204"]
        elif explained.fused:
            fused += 1
        else:
            trivial += 1
    return Outcome(fused, trivial, tuple(sorted(set(left))))

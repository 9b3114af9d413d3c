"""What is measured on the CPU: the named workloads and a few more, each at its sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everyone's name for it
from torch.utils import _pytree as pytree

from fusekit.bench.workloads import WORKLOADS, Workload

__all__ = ["CPU_WORKLOADS", "TINY", "CpuWorkload", "planned_on_cpu"]

Tensor = torch.Tensor
Args = tuple[Any, ...]

_MILLION = 1 << 20
"""Elements whose float32 tensors, 4 MiB each, stay in a last cache; four times as many do not."""


@dataclasses.dataclass(frozen=True)
class CpuWorkload:
    """One race.

    Attributes:
        row: of the table of goals.
        work: what runs.
        size: what its arguments are made for.
        is_quick: a quick run has it, too.
    """

    row: str
    work: Workload
    size: int
    is_quick: bool = False

    @property
    def name(self) -> str:
        """`relu_tanh 4M`."""
        many = f"{self.size >> 20}M" if self.size >= _MILLION else str(self.size)
        return f"{self.work.name} {many}"

    def nbytes(self, args: Args, result: Any) -> int:
        """Each element read once and written once; one that is broadcast counts once, too."""
        tensors = [x for x in pytree.tree_leaves((args, result)) if isinstance(x, Tensor)]
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def mish(x: Tensor) -> Tensor:
    """An activation of vision networks."""
    return x * torch.tanh(F.softplus(x))


def polar(radius: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Polar coordinates to Cartesian ones."""
    return radius * torch.cos(angle), radius * torch.sin(angle)


def logistic_loss(x: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy of logits, as it is written to be stable, element by element."""
    return x.clamp(min=0) - x * y + torch.log1p(torch.exp(-x.abs()))


def _normal(size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def _unit(size: int, seed: int = 0) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


_MISH = Workload("mish", "x * tanh(softplus(x))", mish, lambda size: (_normal(size),))

_POLAR = Workload(
    "polar",
    "polar to Cartesian coordinates",
    polar,
    lambda size: (_unit(size), 6.2831853 * _unit(size, 1)),
)

_LOSS = Workload(
    "logistic_loss",
    "binary cross entropy of logits",
    logistic_loss,
    lambda size: (_normal(size), _unit(size, 1)),
)


def tiny(x: Tensor, y: Tensor) -> Tensor:
    """Four operations."""
    return torch.tanh(x * y + 0.5).relu()


TINY = CpuWorkload(
    "call",
    Workload(
        "tiny", "4 operations on 8 elements", tiny, lambda size: (_normal(size), _normal(size, 1))
    ),
    8,
    is_quick=True,
)
"""What a call costs is measured on this."""

_CHAINS = (
    *(WORKLOADS[name] for name in ("relu_tanh", "bias_gelu", "black_scholes", "lstm_cell")),
    WORKLOADS["scaled_residual"],
    _MISH,
    _POLAR,
    _LOSS,
)

_QUICK_CHAINS = ("relu_tanh", "black_scholes", "bias_gelu")

_MEMORY = tuple(WORKLOADS[name] for name in ("saxpy", "transpose_add", "normalize_image"))

CPU_WORKLOADS: Sequence[CpuWorkload] = (
    *(
        CpuWorkload("chains", work, size, size == _MILLION and work.name in _QUICK_CHAINS)
        for size in (_MILLION, 4 * _MILLION)
        for work in _CHAINS
    ),
    *(CpuWorkload("memory", work, 4 * _MILLION, is_quick=True) for work in _MEMORY),
    *(
        CpuWorkload("large", work, 16 * _MILLION, is_quick=work.name == "saxpy")
        for work in (*_MEMORY, WORKLOADS["relu_tanh"])
    ),
    CpuWorkload("others", WORKLOADS["rotary"], 4 * _MILLION),
)
"""Every race of functions on the CPU, in the order of the report."""


def planned_on_cpu(*, quick: bool) -> list[CpuWorkload]:
    """Those that a run has."""
    return [each for each in CPU_WORKLOADS if each.is_quick or not quick]

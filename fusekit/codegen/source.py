"""What code generation hands to a compiler."""

from __future__ import annotations

import dataclasses

from fusekit.codegen.geometry import Geometry
from fusekit.ir import DType

__all__ = ["KernelSource", "Parameter", "Spans"]

Spans = tuple[tuple[int, int], ...]
"""Runs of lines: first and last of each, counted from 1, in increasing order."""


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the kernel's entry point.

    Attributes:
        kind: "layout" (a pointer to int64 sizes and strides), "scalar", "input", "output", or
            "word" (one of `Geometry.words`).
        name: its name in the text.
        dtype: element type; f64, i64 or bool for a scalar; i64 for the layout.
    """

    kind: str
    name: str
    dtype: DType


@dataclasses.dataclass(frozen=True, slots=True)
class KernelSource:
    """Generated text, and what is needed to compile, call and explain it.

    Attributes:
        language: "cpp", "cuda", "llvm" or "ir".
        text: the whole translation unit.
        symbol: the entry point.
        parameters: in order: the layout, scalars, inputs, outputs; on a GPU, words at the end.
        lines: value id -> the lines of `text` that load, compute or store it.
        includes_target: the text depends on this host (vector width, CPU features).
        geometry: how a GPU kernel is launched; None for one that runs on the CPU.
    """

    language: str
    text: str
    symbol: str
    parameters: tuple[Parameter, ...]
    lines: tuple[tuple[int, Spans], ...] = ()
    includes_target: bool = False
    geometry: Geometry | None = None

    def lines_of(self, value_id: int) -> Spans:
        """The lines of a value; none where it has no line of its own, as constants."""
        return dict(self.lines).get(value_id, ())

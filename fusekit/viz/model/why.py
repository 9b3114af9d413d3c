"""The part of the model that says why not, and what the partition decided when."""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = ["Pair", "Pairs", "Remedy", "Rung", "Seam", "SeamCheck"]


class SeamCheck(TypedDict):
    """One question about the two ends of a seam; the first that fails is its reason."""

    code: str  # what it means if it fails
    sentence: str
    holds: bool
    operands: str  # what was compared


class Remedy(TypedDict):
    """A change that saves a seam: it was made to the graph, which was divided again."""

    text: str
    before: int  # kernels and operators left to PyTorch
    after: int
    saved: int  # bytes


class Seam(TypedDict):
    """A border that data crosses through memory, and what that costs."""

    source: str  # Node.id or Group.id
    target: str  # Node.id or Group.id
    code: str
    sentence: str
    bytes: int
    launches: int
    hint: str  # what is done about its reason in general; "" if nothing is
    value: int | None  # the tensor that crosses
    nodes: list[str]  # Node.id of who makes it and of who reads it
    checks: list[SeamCheck]
    remedy: Remedy | None  # the smallest change found
    tried: int | None  # how many changes were; None if none was looked for
    line: int | None  # the user's, where known


class Pair(TypedDict):
    """Steps that stay two for one reason."""

    code: str  # "" if they may join, but would save nothing
    sentence: str
    detail: str
    count: int  # of such pairs
    examples: list[str]


class Pairs(TypedDict):
    """All pairs of steps of which one is a kernel; the rows count no more than `total`."""

    rows: list[Pair]
    total: int


class Rung(TypedDict):
    """One step from eager to the final plan."""

    kind: Literal["eager", "capture", "join", "recompute", "bind", "batch"]
    text: str
    joins: list[list[str]]  # pairs of Node.id that are in one kernel from here on
    launches: int  # from here on
    bytes: int  # through memory

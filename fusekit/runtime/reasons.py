"""Why the operators left outside were left outside, as values."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from fusekit import events
from fusekit.errors import (
    CompileError,
    EngineUnavailableError,
    FusionDeclined,
    PlanRefused,
    UsageError,
)
from fusekit.frontends.lines import user_line
from fusekit.frontends.seeds import is_seed
from fusekit.ir import Node
from fusekit.runtime.program import Program
from fusekit.specs import Decline, Reason

__all__ = ["EXHAUSTION", "decline_of", "declines", "exhausted", "failure_of", "refusal", "text_of"]


_SEED = "one seed a call, by PyTorch's generator; kernels draw from it"


def declines(program: Program) -> tuple[Decline, ...]:
    """One for each operator that PyTorch runs between the kernels, in order."""
    obstacles = program.capture.obstacles
    return tuple(decline_of(obstacles, node) for node in program.graph.nodes if node.op == "call")


def decline_of(obstacles: Mapping[int, Decline], node: Node) -> Decline:
    """Why a call node is one, by what its capture noted."""
    if is_seed(node):
        advice = "nothing to do: torch.manual_seed decides it"
        return Decline(Reason.RANDOM, _SEED, node.origin, node.loc, advice)
    return obstacles.get(node.site) or Decline(Reason.OPAQUE_OP, "", node.origin, node.loc)


def exhausted(error: BaseException) -> Decline:
    """What it means that preparing kernels ended in this error, which is none of the function's."""
    return Decline(Reason.EXHAUSTED, text_of(error))


EXHAUSTION = (MemoryError, RecursionError, OSError, torch.OutOfMemoryError)
"""What says that the machine had not enough of something; another call may be spared."""

_RAISED = (*EXHAUSTION, UsageError, EngineUnavailableError, PlanRefused, CompileError)
"""What preparing a call raises on purpose."""


def refusal(error: Exception, name: str) -> Decline:
    """Why PyTorch serves the calls of `name` whose preparation ended in this error.

    Any but those below is a fault of fusekit's, of which the caller is warned.

    Raises:
        the error: it is for the caller, or another call may be spared of it.
        RuntimeWarning: where warnings are errors.
    """
    if isinstance(error, FusionDeclined):
        declined: Decline = error.decline
        return declined
    if isinstance(error, _RAISED):
        raise error
    frames = traceback.extract_tb(error.__traceback__)
    if any(frame.filename == events.__file__ for frame in frames):
        raise error  # a listener's
    frame = frames[-1]
    detail = f"{text_of(error)}, in {frame.name} of {Path(frame.filename).name}"
    message = f"a fault in fusekit, so PyTorch runs {name}: {detail}. Please report it"
    caller = user_line()
    file, line = (caller.file, caller.line) if caller else ("<unknown>", 1)
    warnings.warn_explicit(message, RuntimeWarning, file, line)
    return Decline(Reason.FAULT, detail)


def text_of(error: BaseException) -> str:
    """An error in a line, for a decline's detail."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def failure_of(reason: Reason, nodes: Iterable[Node], detail: str) -> Decline:
    """What it means that the kernel of these nodes reported a fault."""
    if reason is not Reason.TRAP:
        return Decline(reason, detail)
    node = next((node for node in nodes if node.row.traps), None)
    if node is None:
        return Decline(reason, detail)
    advice = "keep the divisor from being 0: torch.where(b == 0, 1, b)"
    if "bernoulli" in node.origin or "dropout" in node.origin:
        advice = "keep the probability within 0 and 1: p.clamp(0, 1)"
    return Decline(reason, detail, node.origin, node.loc, advice)

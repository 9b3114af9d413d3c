"""Functions as divided programs, without running them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fusekit.frontends.fx import capture
from fusekit.runtime.program import Program, build


def program(function: Callable[..., Any], *args: Any, max_arguments: int = 128) -> Program:
    """What a call runs as."""
    with torch.no_grad():
        return build(capture(function, args, {}, name="test"), max_arguments)


def steps(divided: Program) -> list[str]:
    """Each step in a word: a group's ops joined by +, or the operator that PyTorch runs."""
    found = []
    for step in divided.partition.steps:
        nodes = getattr(step, "nodes", None)
        if nodes is None:
            found.append(str(step.attr("target")).split(".")[1] if step.op != "cat" else "cat")
        else:
            found.append("+".join(node.op for node in nodes if node.op != "const"))
    return found


def n_groups(function: Callable[..., Any], *args: Any, **options: Any) -> int:
    """How many kernels a call launches."""
    return len(program(function, *args, **options).kernels)

"""Where TorchDynamo ended a graph, and why: what it tells its backends, as a value of ours."""

from __future__ import annotations

import re
import traceback
from typing import Any

from fusekit.frontends.lines import line_of_trace
from fusekit.specs import Decline, Reason

__all__ = ["break_of"]

_BRANCH = re.compile(r"generic_jump|Data-dependent branching", re.IGNORECASE)
"""How it calls an `if` or a `while` over the value of a tensor."""

_EXPLANATION = re.compile(r"^\s*Explanation: (.*)$", re.MULTILINE)

_HINT = re.compile(r"^\s*Hint: (.*)$", re.MULTILINE)
"""The first is the nearest at hand; later ones are about reports and forks."""

_LONG = 160


def break_of(reason: Any) -> Decline | None:
    """Why a graph ended before its function returned; None if that is where it ended.

    Args:
        reason: the attribute `compile_subgraph_reason` of the graph that a backend is given (torch
            sets it, and documents it nowhere); None if it has none.
    """
    if reason is None or not reason.graph_break:
        return None
    loc = line_of_trace("".join(traceback.format_list(list(reason.user_stack))))
    said = str(reason.reason).strip()
    if _BRANCH.match(said):
        detail = "a branch on the value of a tensor"
        advice = (
            "compute both branches and choose with torch.where, or branch on a size or an option"
        )
        return Decline(Reason.GRAPH_BREAK, detail, "", loc, advice)
    hint = _HINT.search(said)
    return Decline(Reason.GRAPH_BREAK, _detail(said), "", loc, _plain(hint[1]) if hint else "")


def _detail(said: str) -> str:
    """Its headline, and its explanation where that alone has names."""
    title = said.partition("\n")[0]
    explained = _EXPLANATION.search(said)
    if explained is None or "`" in title or "`" not in explained[1]:
        return _plain(title)
    text = f"{_plain(title)}: {_plain(explained[1])}"
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _plain(text: str) -> str:
    return text.strip().rstrip(".").replace("`", "")

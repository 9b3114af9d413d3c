"""Who takes part on the CPU, each after its first call and a look at what it computes."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from fusekit.bench.gpu.checks import close
from fusekit.bench.ready import COMMON, Make, Ready, Work, differs, prepared
from fusekit.bench.suite.jax_forms import jax_fused
from fusekit.bench.suite.numexpr_forms import numexpr_fused
from fusekit.bench.suite.workloads import CPU_WORKLOADS, TINY
from fusekit.runtime.engines import ENGINES

__all__ = ["ALL", "Field", "field", "probe_legacy", "why_no_legacy"]

_PROBE_SECONDS = 120
"""After which a legacy fuser that is still compiling is taken to hang."""

_PROBED = 1 << 10
"""Elements of a probe: the legacy fuser's code is the same for any number."""


def _numexpr(work: Work, args: tuple[Any, ...]) -> Ready | str:
    made = numexpr_fused(work.name, args)
    return made if isinstance(made, str) else Ready(made)


def _jax(work: Work, args: tuple[Any, ...]) -> Ready | str:
    made = jax_fused(work.name, args)
    return made if isinstance(made, str) else Ready(made)


_MAKERS: Mapping[str, Make] = {**COMMON, "numexpr": _numexpr, "jax": _jax}

ALL = ("fused", "inductor", "autotuned", "legacy", "numexpr", "jax", "eager")
"""Everyone, in the order in which they get ready."""

_FOR_C = ("inductor", "autotuned", "legacy")


@dataclasses.dataclass(frozen=True)
class Field:
    """The contenders of one race.

    Attributes:
        calls: who is ready, and computes what eager does.
        firsts: seconds of their first calls.
        notes: who is not, and why; what to know of the others.
    """

    calls: Mapping[str, Callable[[], object]]
    firsts: Mapping[str, float]
    notes: Mapping[str, str]


def field(
    work: Work,
    args: tuple[Any, ...],
    names: Sequence[str],
    refused: Mapping[str, str] | None = None,
) -> Field:
    """Everyone of `names` who can run `work`, but for those who are refused for a reason."""
    expected = work.function(*args)
    calls: dict[str, Callable[[], object]] = {}
    firsts: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name in names:
        why = (refused or {}).get(name, "") or _why_not(name)
        made = why or prepared(_MAKERS[name], work, args)
        if isinstance(made, str):
            notes[name] = made
            continue
        wrong = "" if name == "eager" else differs(close, args, made.call, expected)
        if wrong:
            notes[name] = f"not eager's result: {wrong}"
            continue
        calls[name], firsts[name] = made.call, made.first
        if made.note:
            notes[name] = made.note
    return Field(calls, firsts, notes)


def _why_not(name: str) -> str:
    missing = ENGINES["cpp"].unavailable() if name in _FOR_C else None
    return f"needs a C++ compiler: {missing}" if missing else ""


# the legacy fuser


@functools.cache
def why_no_legacy(names: tuple[str, ...]) -> Mapping[str, str]:
    """Those of these workloads that the legacy fuser must not be tried on here, each with why.

    It compiles with switches that are long out of use, and a crash would end the run; so each
    workload goes through it in a process of its own first, as long as it goes well all in one.
    """
    left = [] if ENGINES["cpp"].unavailable() else list(dict.fromkeys(names))
    found: dict[str, str] = {}
    while left:
        done, code = _probe(left)
        found |= done
        left = [name for name in left if name not in done]
        if left:  # the process ended in the midst of this one
            found[left[0]] = f"ends its process (code {code})"
            left = left[1:]
    return {name: why for name, why in found.items() if why}


def _probe(names: Sequence[str]) -> tuple[dict[str, str], int]:
    """What a process says of these workloads as far as it gets, and how it ends."""
    command = [sys.executable, "-W", "ignore", "-m", "fusekit.bench.suite.legacy_probe", *names]
    try:
        ended = subprocess.run(  # noqa: S603  a vector, no shell, names of our table
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
        out, code = ended.stdout, ended.returncode
    except subprocess.TimeoutExpired as error:
        out, code = _decoded(error.stdout), -1
    lines = [line for line in out.splitlines() if line.startswith("{")]
    found: dict[str, str] = {}
    for line in lines:
        found |= json.loads(line)
    return {name: why for name, why in found.items() if name in names}, code


def _decoded(out: bytes | str | None) -> str:
    return out.decode(errors="replace") if isinstance(out, bytes) else out or ""


def probe_legacy(names: Sequence[str], say: Callable[[str], object]) -> None:
    """Try workloads here, and say of each as a line of JSON what is wrong with it."""
    works = {each.work.name: each.work for each in (TINY, *CPU_WORKLOADS)}
    for name in names:
        args = works[name].make_args(_PROBED)
        with torch.no_grad():
            made = prepared(COMMON["legacy"], works[name], args)
            why = made if isinstance(made, str) else ""
            if isinstance(made, Ready):
                wrong = differs(close, args, made.call, works[name].function(*args))
                why = f"not eager's result: {wrong}" if wrong else ""
        say(json.dumps({name: why}))

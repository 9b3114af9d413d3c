"""docs/operators.md: every elementwise operator of torch's database, and what becomes of it.

python -m tests.opdb.page > docs/operators.md
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tests.opdb.database import DTYPES, EXCLUDED, Outcome, elementwise, name_of, outcome

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operators.md"
ACCURACY = ROOT / "docs" / "figures" / "accuracy.json"

_HEAD = """\
# Operators

Every elementwise, real-valued entry of PyTorch's own operator database
(`torch.testing._internal.common_methods_invocations.op_db`, torch {version}): {fused} of {total}
run in kernels, in every dtype that PyTorch has for them, on `llvm`, `cpp` and `cuda` alike.
`pytest tests/opdb` runs all samples of the database and compares each result with PyTorch's; this
page is made by `python -m tests.opdb.page`, and a test keeps it true.

**Fused**: f in all floating point dtypes (float16, bfloat16, float32, float64), s in the last two
of these, b in bool, i in the integers uint8 to int64, u in the unsigned ones above uint8: every
sample that computes something runs in kernels. A reduction at the end of a loss stays PyTorch's.

**ulp**: the largest error in float32 that `fusekit verify-math` found on the engine `llvm`, and
eager PyTorch's on the same inputs, where the operator is a function that is measured there
([accuracy.md](accuracy.md)). What has none is arithmetic in the order of PyTorch's own kernels.

| operator | fused | ulp (eager's) | left to PyTorch |
|---|---|---|---|"""

_GROUPS = (
    ("f", (torch.float32, torch.float64, torch.float16, torch.bfloat16)),
    ("s", (torch.float32, torch.float64)),
    ("b", (torch.bool,)),
    ("i", (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)),
    ("u", (torch.uint16, torch.uint32, torch.uint64)),
)

_FUNCTIONS = {
    "modified_bessel_i0": "i0",
    "modified_bessel_i1": "i1",
    "modified_bessel_k0": "k0",
    "modified_bessel_k1": "k1",
    "scaled_modified_bessel_k0": "k0e",
    "scaled_modified_bessel_k1": "k1e",
    "polygamma_polygamma_n_0": "digamma",
    "polygamma_polygamma_n_1": "trigamma",
    "polygamma_special_polygamma_n_0": "digamma",
}
"""Entries whose function has another name in the table of accuracies."""


def outcomes(op: Any, dtypes: Any = DTYPES) -> dict[torch.dtype, Outcome]:
    """What becomes of an entry in each dtype that it takes."""
    taken = [dtype for dtype in dtypes if dtype in op.supported_dtypes("cpu")]
    return {dtype: outcome(op, dtype) for dtype in taken}


def row(op: Any, found: dict[torch.dtype, Outcome], ulps: dict[str, str]) -> str:
    """One line of the table."""
    fused = [dtype for dtype, each in found.items() if each.is_fused]
    reasons = {
        f"{reason} ({short([dtype])})" if each.fused else reason
        for dtype, each in found.items()
        for reason in each.left
    }
    name = name_of(op).removeprefix("special_")
    ulp = ulps.get(_FUNCTIONS.get(name, name), "")
    return f"| {name_of(op)} | {short(fused)} | {ulp} | {'; '.join(sorted(reasons))} |"


def short(dtypes: list[torch.dtype]) -> str:
    """The letters of whole groups, and the names of what is left."""
    rest, letters = list(dtypes), []
    for letter, members in _GROUPS:
        if all(member in rest for member in members):
            letters.append(letter)
            rest = [dtype for dtype in rest if dtype not in members]
    return " ".join([*letters, *(str(dtype).removeprefix("torch.") for dtype in rest)])


def accuracies() -> dict[str, str]:
    """Function -> the largest errors of llvm and of eager in float32, in ulp."""
    if not ACCURACY.exists():
        return {}
    rows = json.loads(ACCURACY.read_text())["rows"]
    return {
        each["function"]: f"{_ulp(each, 'llvm')} ({_ulp(each, 'eager')})"
        for each in rows
        if each["dtype"] == "float32" and "llvm" in each["tallies"]
    }


def _ulp(row: dict[str, Any], contender: str) -> str:
    value = row["tallies"][contender]["ulp"]
    number = float(value)
    return f"{number:.2f}" if number < 1000 else f"{number:.0e}"


def page() -> Iterator[str]:
    """The page, line by line."""
    entries = sorted(elementwise(), key=name_of)
    found = [outcomes(op) for op in entries]
    fused = sum(all(each.is_fused for each in of_one.values()) for of_one in found)
    yield _HEAD.format(version=torch.__version__.split("+")[0], fused=fused, total=len(entries))
    ulps = accuracies()
    for op, of_one in zip(entries, found, strict=True):
        yield row(op, of_one, ulps)
    yield ""
    yield "**Not counted**, because there is nothing that a kernel could compute:"
    yield ""
    for name, reason in sorted(EXCLUDED.items()):
        yield f"- {name}: {reason}."


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eager's own, about what samples do
        print("\n".join(page()))

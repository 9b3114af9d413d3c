"""docs/features.md: each "yes" names a test, and the test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/features.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [^-]", line) and "**fusekit**" not in line
]


def test_every_feature_has_a_row() -> None:
    assert len(ROWS) == 63
    assert len({row[0] for row in ROWS}) == 63
    assert {row[1] for row in ROWS} <= {"**y**", "**p**", "**–**"}


def test_each_yes_names_a_test_that_is_there() -> None:
    for name, grade, shown, *_ in ROWS:
        assert bool(shown) == (grade != "**–**"), name
        path, _, test = shown.strip("`").partition("::")
        if not shown:
            continue
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in names if test else any(n.startswith("test_") for n in names), shown

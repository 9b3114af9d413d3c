"""Random programs through every engine of the CPU, against eager PyTorch.

20,000 of them by hand: FUSEKIT_TEST_EXAMPLES=20000 pytest tests/test_random_graphs.py -k llvm
"""

from __future__ import annotations

import os

import hypothesis
import pytest

import fusekit
from tests.agreement import check_program
from tests.graph_programs import Program, programs

EXAMPLES = int(os.environ.get("FUSEKIT_TEST_EXAMPLES", "300"))
SHARES = {"llvm": 1.0, "reference": 0.5, "cpp": 0.2}
"""A kernel takes g++ a third of a second, llvm a thirtieth."""


@pytest.mark.parametrize("engine", SHARES)
def test_random_programs_do_what_eager_does(engine: str) -> None:
    count = max(int(EXAMPLES * SHARES[engine]), 1)

    @hypothesis.settings(max_examples=count)
    @hypothesis.given(programs())
    def run(program: Program) -> None:
        fused = fusekit.fuse(program.function(), engine=engine)
        check_program(program, fused, 0)
        check_program(program, fused, 1)  # served by what the first call prepared
        check_program(program.resized(), fused, 2)

    run()

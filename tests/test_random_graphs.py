"""Random programs through every engine of the CPU, against eager PyTorch.

By hand, as many as there is time for:

    FUSEKIT_TEST_EXAMPLES=20000 pytest tests/test_random_graphs.py -k llvm

HYPOTHESIS_PROFILE=dev (the default at a desk) draws other programs in every run.
"""

from __future__ import annotations

import os

import hypothesis
import pytest

import fusekit
from tests.agreement import check_program
from tests.graph_programs import Program, programs

EXAMPLES = int(os.environ.get("FUSEKIT_TEST_EXAMPLES", "300"))

SHARES = {"llvm": 1.0, "reference": 0.6, "cpp": 0.1}
"""A kernel takes g++ a third of a second, llvm a thirtieth."""

NO_SHRINKING = tuple(phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.shrink)
"""Of a failure on g++ the first example has to do: a smaller one takes minutes of compiling."""


@pytest.mark.parametrize("engine", SHARES)
def test_random_programs_do_what_eager_does(engine: str) -> None:
    @hypothesis.settings(
        max_examples=max(int(EXAMPLES * SHARES[engine]), 1),
        phases=NO_SHRINKING if engine == "cpp" else tuple(hypothesis.Phase),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(programs())
    def run(program: Program) -> None:
        fused = fusekit.fuse(program.function(), engine=engine)
        check_program(program, fused, 0)
        check_program(program, fused, 1)  # served by what the first call prepared
        check_program(program.resized(), fused, 2)

    run()

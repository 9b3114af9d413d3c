"""Random programs through every engine, against eager PyTorch on the same device.

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

SHARES = {"llvm": 1.0, "reference": 0.6, "cpp": 0.1, "cuda": 0.7}
"""A kernel takes g++ a third of a second, llvm and NVRTC a thirtieth."""

NO_SHRINKING = tuple(phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.shrink)
"""Of a failure on g++ the first example has to do: a smaller one takes minutes of compiling. On a
GPU, minutes are dear."""

ENGINES = [pytest.param(name, marks=pytest.mark.gpu if name == "cuda" else ()) for name in SHARES]


@pytest.mark.parametrize("engine", ENGINES)
def test_random_programs_do_what_eager_does(engine: str) -> None:
    device = "cuda" if engine == "cuda" else "cpu"

    @hypothesis.settings(
        max_examples=max(int(EXAMPLES * SHARES[engine]), 1),
        phases=NO_SHRINKING if engine in ("cpp", "cuda") else tuple(hypothesis.Phase),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(programs(device=device))
    def run(program: Program) -> None:
        fused = fusekit.fuse(program.function(), engine=engine)
        check_program(program, fused, 0, device)
        check_program(program, fused, 1, device)  # served by what the first call prepared
        check_program(program.resized(), fused, 2, device)

    run()

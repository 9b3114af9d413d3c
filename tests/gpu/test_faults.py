"""What goes wrong falls back to eager CUDA, is counted, and spoils nothing that follows."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import fusekit
from fusekit.compilers import nvrtc
from fusekit.runtime import gpu_launch
from tests.gpu.harness import ENGINE, assert_equal, check, cold, counted, filled, mix

pytestmark = pytest.mark.gpu


def fallbacks(code):
    return fusekit.stats().fallbacks.get(code, 0)


@pytest.fixture
def broken(monkeypatch):
    """NVRTC is given text that is no C++; the list of what it was given."""
    seen = []
    compiled = nvrtc.build

    def compile_(source, arch):
        seen.append(source)
        return compiled(dataclasses.replace(source, text=f"{source.text}\n#error no good\n"), arch)

    monkeypatch.setattr(nvrtc, "build", compile_)
    return seen


def test_a_kernel_that_does_not_compile_falls_back_and_is_remembered(broken, monkeypatch):
    fused = cold()
    x = filled((500,))
    before = fallbacks("FK0303")
    for _ in range(3):
        assert_equal(fused(x), fused.function(x))
    assert_equal(fused(x[:7]), fused.function(x[:7]))
    assert len(broken) == 1
    assert fallbacks("FK0303") == before + 4
    explanation = fused.explain(x)
    assert not explanation.fused
    assert "no good" in str(explanation)
    with pytest.raises(fusekit.FusionDeclined, match="FK0303"):
        fused.source(x)
    monkeypatch.undo()
    again = fusekit.fuse(fused.function, engine=ENGINE)
    assert_equal(again(x), fused.function(x))
    assert not again.explain(x).fused  # remembered for this kernel ...
    check(cold(), x)  # ... and for no other


def test_a_kernel_for_unaligned_inputs_that_does_not_compile(monkeypatch, request):
    fused = cold()
    x = filled((503,))
    fused(x[:500])
    seen = request.getfixturevalue("broken")
    before = fallbacks("FK0303")
    for _ in range(3):
        assert_equal(fused(x[3:]), fused.function(x[3:]))
    assert fallbacks("FK0303") == before + 3
    assert len(seen) == 1
    with counted(launches=1):
        assert_equal(fused(x[:500]), fused.function(x[:500]))  # the plan itself is fine


@pytest.fixture
def refused(monkeypatch):
    """A function whose kernel the driver refuses: no block may have so many threads."""
    monkeypatch.setattr(gpu_launch, "_threads", lambda source: 2048)
    fused = cold()
    assert fused.explain(filled((500,))).fused
    monkeypatch.undo()
    return fused


def test_a_launch_that_the_driver_refuses_falls_back_and_leaves_no_error_behind(refused):
    x = filled((500,))
    before = fallbacks("FK0308")
    for number in range(1, 4):
        assert_equal(refused(x), refused.function(x))
        assert fallbacks("FK0308") == before + number
        torch.cuda.synchronize()
        check(cold(), x)
    assert_equal(x * 2, x + x)


def test_the_decline_of_a_refused_launch_has_the_drivers_error(refused):
    with fusekit.events.listening() as heard:
        refused(filled((500,)))
    (decline,) = [event for event in heard if isinstance(event, fusekit.events.Declined)]
    assert decline.reason == "FK0308"
    assert "invalid" in decline.detail.lower()


def test_integer_division_by_zero_raises_nothing_as_in_eager():
    x = filled((100,), torch.int64)
    y = torch.zeros_like(x)
    y[::2] = 3
    fused = fusekit.fuse(lambda x, y: x // y + 1, engine=ENGINE)
    assert_equal(fused(x, y)[::2], (x // y + 1)[::2])
    torch.cuda.synchronize()


def test_the_option_cuda_arch_changes_what_is_shown_and_not_what_runs():
    fused = fusekit.fuse(mix, engine=ENGINE)
    x, y = filled((500,)), filled((500,))
    check(fused, x, y)
    major, minor = torch.cuda.get_device_capability()
    assert f".target sm_{major}{minor}" in fused.source(x, y, language="ptx")
    with fusekit.options(cuda_arch="sm_80"), counted(new_kernels=0):
        assert ".target sm_80" in fused.source(x, y, language="ptx")
        check(fused, x, y)
        check(fusekit.fuse(mix, engine=ENGINE), x[:9], y[:9])


def test_machine_code_comes_from_the_disk_cache_in_another_process(tmp_path):
    import os
    import subprocess
    import sys
    from pathlib import Path

    code = """
import torch, fusekit
from fusekit import events
x = torch.randn(1000, device="cuda")
f = fusekit.fuse(lambda x: torch.relu(x * 1.375) - 0.0625)
with events.listening() as heard:
    assert torch.equal(f(x), torch.relu(x * 1.375) - 0.0625)
(made,) = [event for event in heard if isinstance(event, events.Compiled)]
print("cached" if made.cached else "compiled", made.engine)
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "FUSEKIT_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert said == [["compiled", ENGINE], ["cached", ENGINE]]

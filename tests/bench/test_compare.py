"""compare and sweep: rows, skips with a reason, plain data, executors."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys

import pytest
import torch

import fusekit
from fusekit.bench import Settings
from fusekit.bench.measuring import contenders
from fusekit.errors import UsageError

QUICK = Settings(runs=5, seconds=0.2, sample=1e-5, warmup=0)


def scaled(x, y, *, by=2.0):
    return torch.relu(x * by + y)


@pytest.fixture
def pair():
    return torch.randn(4, 64), torch.randn(64)


def test_rows_verdict_and_plain_data(pair):
    found = fusekit.compare(scaled, *pair, by=3.0, settings=QUICK)
    assert [(row.name, row.device) for row in found.rows] == [("eager", "cpu"), ("fused", "cpu")]
    eager, fused = found.rows
    assert (eager.outcome, eager.ratio) == ("baseline", None)
    assert fused.engine
    assert fused.ratio > 0
    assert (fused.outcome, fused.cause) == ("cannot tell", "too short")  # five rounds bound nothing
    assert found.verdict.startswith(found.outcome)
    data = found.as_timing()
    assert set(data) == {"rows", "method", "verdict"}
    assert len(data["rows"][1]["samples"]) == fused.timing.runs
    assert data["rows"][1]["seconds"] == fused.seconds


def test_the_timing_section_of_a_view_takes_it(pair):
    from fusekit.viz.model.schema import check, new_model

    model = new_model("scaled")
    model["timing"] = fusekit.compare(scaled, *pair, settings=QUICK).as_timing()
    check(model)


def test_text_and_rich_text(pair):
    rich_console = pytest.importorskip("rich.console")
    found = fusekit.compare(scaled, *pair, settings=QUICK)
    assert "median" in str(found)
    assert "scaled" in str(found)
    console = rich_console.Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(found)
    console.file.close()
    assert "baseline" in console.export_text()


def test_several_engines(pair):
    found = fusekit.compare(scaled, *pair, engines=["llvm", "reference"], settings=QUICK)
    assert [row.name for row in found.rows] == ["eager", "fused llvm", "fused reference"]
    assert [row.engine for row in found.rows[1:]] == ["llvm", "reference"]


def test_a_fused_function_is_measured_as_it_is(pair):
    fused = fusekit.fuse(scaled, engine="reference")
    assert fusekit.compare(fused, *pair, settings=QUICK).row("fused").engine == "reference"


def test_arguments_are_not_written_to():
    x = torch.ones(8)
    fusekit.compare(lambda x: x.add_(1.0).mul_(2.0), x, settings=QUICK)
    assert torch.equal(x, torch.ones(8))


def test_arguments_whose_elements_share_memory_are_copied_as_they_are():
    for x in (
        torch.arange(3.0)[:, None].expand(3, 4),
        torch.arange(9.0)[1::2],
        torch.ones(0, 3),
        torch.arange(6.0).as_strided((3, 2), (1, 1), 2),
    ):
        (made,), _ = contenders.move(((x,), {}), "cpu")
        assert (made.stride(), made.shape) == (x.stride(), x.shape)
        assert torch.equal(made, x)
        assert made.data_ptr() != x.data_ptr() or not x.numel()
    assert fusekit.compare(lambda x: x * 2 + 1, torch.ones(3, 1).expand(3, 4), settings=QUICK).rows


def test_what_is_not_fused_says_so():
    found = fusekit.compare(lambda x: x + 1 if x.sum() > 0 else x, torch.ones(4), settings=QUICK)
    assert "not fused" in found.verdict
    assert found.row("fused").declined


def test_what_cannot_run_is_skipped_with_its_reason(pair, monkeypatch):
    monkeypatch.setattr(contenders, "why_no_inductor", lambda device: "no compiler here")
    found = fusekit.compare(scaled, *pair, against=("eager", "inductor"), settings=QUICK)
    assert [row.name for row in found.rows] == ["eager", "fused"]
    assert str(found.skipped[0]) == "inductor on cpu: skipped, no compiler here"
    assert "no compiler here" in found.as_timing()["method"]


def test_a_gpu_that_is_not_there_is_skipped(pair):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    found = fusekit.compare(scaled, *pair, devices=["cpu", "cuda"], settings=QUICK)
    assert any(item.device == "cuda" for item in found.skipped)


@pytest.mark.parametrize(
    "wrong",
    [
        {"against": ("jax",)},
        {"against": ()},
        {"engines": ["cuda9"]},
        {"engines": "llvm"},
        {"devices": ["tpu"]},
    ],
)
def test_wrong_requests(pair, wrong):
    with pytest.raises(UsageError):
        fusekit.compare(scaled, *pair, settings=QUICK, **wrong)


def make_pair(size):
    return torch.zeros(size), torch.ones(size)


def test_sweep():
    found = fusekit.sweep(scaled, make_pair, [8, 64], settings=QUICK)
    assert [point.size for point in found.points] == [8, 64]
    assert [size for size, _ in found.rows] == [8, 8, 64, 64]
    assert [row["size"] for row in found.as_rows()] == [8, 64]
    assert "size" in str(found)
    assert found.faster_from in (None, 8, 64)


def test_sweep_runs_where_the_executor_does():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        found = fusekit.sweep(
            fusekit.fuse(scaled), make_pair, range(8, 11), executor=pool, settings=QUICK
        )
    assert [point.size for point in found.points] == [8, 9, 10]


def test_a_sweep_needs_sizes():
    with pytest.raises(UsageError, match="at least one size"):
        fusekit.sweep(scaled, make_pair, [])


def test_bench_brings_no_notebook_along():
    code = "import sys, fusekit.bench, fusekit.bench.command; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("IPython", "graphviz", "rich", "pygments", "distributed", "fusekit.viz"):
        assert name not in done.stdout.split()

"""The run itself: on the CPU by the wall clock, so that all but the events can be tested here."""

from __future__ import annotations

import json
import time

import pytest
import torch

from fusekit import cli
from fusekit.bench.gpu import contenders, race
from fusekit.bench.gpu.contenders import CONTENDERS, Ready
from fusekit.bench.gpu.race import QUICK, GpuSettings, measure_gpu
from fusekit.bench.gpu.stopwatch import measure_device, measure_host

FEW = GpuSettings(runs=3, bursts=2, contenders=("fused", "cupy", "eager"))


class WallClock:
    """`lost` is raised by whatever waits for the device."""

    lost = ""

    def sample(self, call):
        start = time.perf_counter()
        call()
        taken = time.perf_counter() - start
        return lambda: taken

    def synchronize(self):
        if self.lost:
            raise RuntimeError(self.lost)


def measured(settings=FEW, only=("chain_f32", "int64"), clock=None, **more):
    clock = clock or WallClock()
    return measure_gpu(32, settings, only, device="cpu", clock=clock, **more)


def with_contender(monkeypatch, name, make):
    monkeypatch.setattr(contenders, "CONTENDERS", {**CONTENDERS, name: make})


def test_every_row_has_every_contender_and_is_told_at_once():
    told = []
    found = measured(say=lambda so_far: told.append(len(so_far.rows)))
    assert told == [0, 0, 1, 2]
    assert [row.name for row in found.rows] == ["chain_f32", "int64"]
    for row in found.rows:
        assert {"copy", "fused", "eager"} <= set(row.timings)
        assert row.timings["fused"].runs == 3
        assert row.kernels
        assert "fused" not in row.notes
        assert not row.wrong
    assert {"fused", "eager"} <= set(found.host)
    assert found.copy.runs == 3


def test_a_contender_that_fails_is_a_note(monkeypatch):
    def fail(work, args):
        raise ValueError("no\nsuch luck")

    with_contender(monkeypatch, "cupy", fail)
    found = measured()
    assert found.rows[0].notes["cupy"] == "failed: ValueError: no"
    assert found.rows[0].over("eager")


def test_a_contender_that_fails_only_later_is_a_note():
    calls = []

    def tire():
        calls.append(0)
        if len(calls) > 4:
            raise ValueError("tired")

    timings, failed = measure_device({"a": tire, "b": list}, 5, WallClock())
    assert set(timings) == {"b"}
    assert failed == {"a": "ValueError: tired"}


def test_a_wrong_result_is_a_note_and_no_ratio(monkeypatch):
    with_contender(monkeypatch, "cupy", lambda work, args: Ready(lambda: torch.zeros(32, 32)))
    row = measured(only=["chain_f32"]).rows[0]
    assert row.notes["cupy"].startswith("not eager's result: off by")
    assert row.over("cupy") is None
    assert row.over("eager")


def test_a_workload_that_fails_is_a_row_with_a_note(monkeypatch):
    def fail(self, work):
        raise torch.OutOfMemoryError("too large")

    monkeypatch.setattr(race._Race, "_row", fail)
    found = measured()
    assert [row.notes for row in found.rows] == [{"row": "OutOfMemoryError: too large"}] * 2


def test_a_lost_device_says_who_lost_it(monkeypatch):
    clock = WallClock()

    def shoot(work, args):
        if work.name == "slices":
            clock.lost = "illegal"
        return Ready(lambda: work.function(*args))

    with_contender(monkeypatch, "fused", shoot)
    found = measured(only=["chain_f32", "slices", "int64"], clock=clock)
    assert found.rows[0].share
    note = found.rows[1].notes["row"]
    assert note.endswith("the device was lost: fused failed: RuntimeError: illegal")
    assert "--only" in found.rows[2].notes["row"]


def test_who_compiles_for_seconds_stays_out_when_time_is_up():
    settings = GpuSettings(runs=3, bursts=2, contenders=("fused", "inductor"), seconds=0.0)
    row = measured(settings, ["chain_f32"]).rows[0]
    assert row.notes["inductor"] == "left out, time was used up"
    assert "fused" in row.timings


def test_host_time_is_of_one_call():
    calls = {"a": lambda: time.sleep(1e-4), "b": lambda: 1 // 0}
    found, failed = measure_host(calls, 2, WallClock())
    assert list(found) == ["a"]
    assert 1e-4 <= found["a"].median < 1e-2
    assert "ZeroDivisionError" in failed["b"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_command_says_that_there_is_no_gpu(capsys):
    assert cli.main(["bench", "--device", "cuda"]) == 2
    assert capsys.readouterr().err.startswith("fusekit: no GPU that torch can use (torch ")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--device", "cuda", "--only", "softmax"], "no GPU workload 'softmax'"),
        (["--size", "64"], "--size is for --device cuda"),
    ],
)
def test_what_the_command_cannot_do_is_said(argv, said, capsys):
    assert cli.main(["bench", *argv]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [(["--size", "0"], "number of elements"), (["--json", "/nowhere/x"], "cannot write")],
)
def test_arguments_are_checked_first(argv, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["bench", *argv])
    assert said in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.slow
def test_the_quick_table_on_a_gpu(tmp_path, capsys):
    argv = ["bench", "--device", "cuda", "--quick", "--size", str(512 * 512)]
    files = ["--json", str(tmp_path / "a.json"), "--markdown", str(tmp_path / "a.md")]
    assert cli.main([*argv, *files]) == 0
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert len(rows) == 12
    for row in rows:
        assert {"copy", "fused", "eager"} <= set(row["timings"]), row["notes"]
        assert len(row["timings"]["fused"]["samples"]) == QUICK.runs
        assert "fused" not in row["wrong"], row["notes"]
    assert "| chain_f32 |" in (tmp_path / "a.md").read_text()

"""Real runs of the suite, tiny ones: their structure, never their times."""

from __future__ import annotations

import importlib.util
import io
import json
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from fusekit import cli
from fusekit.bench.gpu import GpuRow, GpuSettings, measure_gpu
from fusekit.bench.gpu.checks import close
from fusekit.bench.gpu.traffic import Traffic
from fusekit.bench.legacy import legacy_fused
from fusekit.bench.ready import Ready, differs
from fusekit.bench.suite import command, contenders, processes, steps
from fusekit.bench.suite.contenders import field, why_no_legacy
from fusekit.bench.suite.goals import GOALS, ROWS
from fusekit.bench.suite.jax_forms import JAX_FORMS, jax_fused
from fusekit.bench.suite.machine import this_machine
from fusekit.bench.suite.numexpr_forms import NUMEXPR_FORMS, numexpr_fused
from fusekit.bench.suite.page import filled, marks
from fusekit.bench.suite.processes import ProcessError, compile_races, startup_races
from fusekit.bench.suite.report import SuiteReport
from fusekit.bench.suite.results import load_run
from fusekit.bench.suite.rounds import Rounds, take_rounds
from fusekit.bench.suite.run import Interrupted, measure_suite
from fusekit.bench.suite.sizes import sizes_race
from fusekit.bench.suite.steps import Effort
from fusekit.bench.suite.workloads import CPU_WORKLOADS, TINY
from fusekit.errors import UsageError
from tests.bench.suite_cases import good_run

TRIAL = Effort(
    quick=True,
    rounds=Rounds(most=3, least=2, seconds=0.5),
    largest=1 << 10,
    who=("fused", "numexpr", "eager"),
)

WORKS = {each.work.name: each.work for each in (TINY, *CPU_WORKLOADS)}

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.fixture
def trial(monkeypatch):
    """The command measures as little as it can."""
    monkeypatch.setattr(command, "QUICK", TRIAL)


def test_two_rows_and_their_files(trial, tmp_path, capsys):
    names = ("a.json", "a.md", "plots")
    files = dict(
        zip(("--json", "--markdown", "--plots"), (tmp_path / n for n in names), strict=True)
    )
    argv = [word for flag, path in files.items() for word in (flag, str(path))]
    assert cli.main(["bench", "--all", "--quick", "--only", "call,saxpy 4M", *argv]) == 0
    run = load_run((tmp_path / "a.json").read_text())
    assert {(race.row, race.name) for race in run.races} == {
        ("call", "call"),
        ("memory", "saxpy 4M"),
    }
    for race in run.races:
        assert {"fused", "eager"} <= set(race.samples)
        assert len({len(samples) for samples in race.samples.values()}) == 1
    assert run.missing["import: import"] == "not asked for: --only"
    assert run.ceilings["cpu"] > 0
    assert {"cpu-goals", "cpu-workloads"} <= set(marks((tmp_path / "a.md").read_text()))
    charts = sorted((tmp_path / "plots").glob("*.svg"))
    assert [chart.stem for chart in charts] == ["call", "goals", "memory"]
    assert all(ET.parse(chart).getroot().tag.endswith("svg") for chart in charts)
    said = capsys.readouterr().out
    assert "a call with tiny tensors on the CPU: call" in said
    assert "[2/2, " in said


def test_a_new_run_is_compared_with_an_old_one(trial, tmp_path, capsys):
    old = tmp_path / "old.json"
    argv = ["--quick", "--only", "sizes", "--json"]
    assert cli.main(["bench", "--all", *argv, str(old)]) == 0
    data = json.loads(old.read_text())
    data["races"][0]["counts"]["kernels"] = 0.0  # whatever is measured now is more
    old.write_text(json.dumps(data))
    new = tmp_path / "new.json"
    assert cli.main(["bench", "--compare", str(old), *argv, str(new)]) == 1
    assert "1,000 batch sizes of one function: kernels" in capsys.readouterr().out
    assert load_run(new.read_text()).race("sizes", "sizes")


def test_what_fails_is_named_and_the_rest_goes_on(monkeypatch):
    def fail(*, quick):
        raise ValueError("no\nsuch luck")

    monkeypatch.setattr(steps, "sizes_race", fail)
    run = measure_suite(TRIAL, only=["sizes", "call"])
    assert run.missing["sizes: sizes"] == "failed: ValueError: no"
    assert [race.row for race in run.races] == ["call"]
    assert "not measured, failed: ValueError: no: sizes" in str(SuiteReport(run))


def stop(*, quick):
    raise KeyboardInterrupt


def test_ctrl_c_keeps_what_was_measured(monkeypatch, trial, tmp_path, capsys):
    monkeypatch.setattr(steps, "sizes_race", stop)
    with pytest.raises(Interrupted) as stopped:
        measure_suite(TRIAL, only=["call", "sizes", "saxpy"])
    run = stopped.value.run
    assert [race.row for race in run.races] == ["call"]
    lacking = {name for name, why in run.missing.items() if why == "interrupted"}
    assert lacking == {"sizes: sizes", "memory: saxpy 4M", "large: saxpy 16M"}
    path = tmp_path / "a.json"
    argv = ["bench", "--all", "--quick", "--only", "call,sizes", "--json", str(path)]
    assert cli.main(argv) == 130
    assert load_run(path.read_text()).missing["sizes: sizes"] == "interrupted"
    assert "interrupted: what follows" in capsys.readouterr().out


def test_only_takes_rows_races_and_workloads():
    with pytest.raises(UsageError, match="nothing is called 'softmax'; there are gpu, chains"):
        measure_suite(TRIAL, only=["softmax"])
    every = steps.steps(Effort())
    for name in (*ROWS, "relu_tanh", "relu_tanh 1M", "cpp cached", "int64"):
        assert any(step.is_asked([name]) for step in every), name
    asked = [step for step in every if step.is_asked(["relu_tanh"])]
    assert [name for step in asked for names in step.names.values() for name in names] == [
        "relu_tanh 1M",
        "relu_tanh 4M",
        "relu_tanh 16M",
    ]


def test_a_device_that_was_not_asked_for_is_named():
    run = measure_suite(TRIAL, device="cuda", only=["call"])
    assert run.races == ()
    assert run.missing["call: call"] == "not asked for: --device cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_asked_for_must_be_there(capsys):
    assert cli.main(["bench", "--all", "--device", "cuda"]) == 2
    assert capsys.readouterr().err.startswith("fusekit: no GPU that torch can use")


class WallClock:
    """Stands for the device's events."""

    def sample(self, call):
        start = time.perf_counter()
        call()
        taken = time.perf_counter() - start
        return lambda: taken

    def synchronize(self):
        pass


def test_the_gpu_table_becomes_races(monkeypatch):
    few = GpuSettings(runs=3, bursts=2, contenders=("fused", "cupy", "eager"))

    def on_the_cpu(_side, _settings, *, say):
        measure_gpu(32, few, ["slices", "swiglu"], say=say, device="cpu", clock=WallClock())

    monkeypatch.setattr(steps, "measure_gpu", on_the_cpu)
    told = []
    gpu = next(step for step in steps.steps(TRIAL) if "gpu" in step.names)
    gpu.run(told.append)
    assert [(race.row, race.name) for race in told] == [
        ("launch", "launch"),
        ("gpu", "swiglu"),
        ("gpu", "slices"),
    ]
    assert {"fused", "eager"} <= set(told[0].samples)
    assert told[1].notes["cupy"] == "not expressible"
    assert told[2].over("fused", "copy")
    assert told[2].nbytes > 0
    if importlib.util.find_spec("cupy") is None:
        assert told[0].notes["cupy"] == "not installed"


# who takes part


def test_every_workload_has_a_form_or_none_can_be_written():
    assert set(WORKS) == JAX_FORMS
    assert set(WORKS) - set(NUMEXPR_FORMS) == {"bias_gelu", "black_scholes", "rotary"}


@pytest.mark.parametrize("name", sorted(WORKS))
@pytest.mark.parametrize(
    ("package", "make"), [("numexpr", numexpr_fused), ("jax", jax_fused)], ids=["numexpr", "jax"]
)
def test_other_forms_compute_what_eager_does(name, package, make):
    work = WORKS[name]
    args = work.make_args(1 << 10)
    made = make(name, args)
    if isinstance(made, str):
        forms = NUMEXPR_FORMS if package == "numexpr" else JAX_FORMS
        assert made == ("not installed" if name in forms else "not expressible")
        assert name not in forms or importlib.util.find_spec(package) is None
        return
    assert differs(close, args, made, work.function(*args)) == ""


def test_a_wrong_result_takes_no_part(monkeypatch):
    work = WORKS["saxpy"]
    args = work.make_args(64)
    zero = Ready(lambda: torch.zeros(64))
    makers = {**contenders._MAKERS, "jax": lambda _work, _args: zero}
    monkeypatch.setattr(contenders, "_MAKERS", makers)
    found = field(work, args, ("fused", "jax", "legacy"), {"legacy": "ends its process"})
    assert set(found.calls) == {"fused"}
    assert found.notes["jax"].startswith("not eager's result: off by")
    assert found.notes["legacy"] == "ends its process"


@pytest.mark.cxx
def test_the_legacy_fuser_serves_the_cpu_and_leaves_no_switch_behind():
    read = ("_jit_can_fuse_on_cpu", "_jit_can_fuse_on_cpu_legacy", "_jit_texpr_fuser_enabled")
    before = [getattr(torch._C, name)() for name in read]
    work = WORKS["relu_tanh"]
    args = work.make_args(1 << 10)
    call = legacy_fused(work.function, args)
    assert differs(close, args, call, work.function(*args)) == ""
    assert [getattr(torch._C, name)() for name in read] == before


@pytest.mark.cxx
@pytest.mark.slow
def test_the_legacy_fuser_is_tried_apart_first():
    assert why_no_legacy(("relu_tanh", "transpose_add")) == {"transpose_add": "does not fuse"}


@pytest.mark.cxx
def test_a_crash_of_the_legacy_fuser_is_a_reason(monkeypatch):
    def crash(names):
        if "mish" not in names:
            return dict.fromkeys(names, ""), 0
        return dict.fromkeys(names[: names.index("mish")], ""), -11

    monkeypatch.setattr(contenders, "_probe", crash)
    names = ("saxpy", "mish", "polar")
    assert why_no_legacy.__wrapped__(names) == {"mish": "ends its process (code -11)"}


# what takes part


def test_rounds_have_a_sample_of_everyone():
    taken = take_rounds({"a": list, "b": dict}, Rounds(most=4, least=2, seconds=5.0))
    assert len(taken.samples["a"]) == len(taken.samples["b"]) >= 4
    assert all(seconds > 0 for samples in taken.samples.values() for seconds in samples)


def test_rounds_end_in_time():
    calls = {"slow": lambda: time.sleep(0.02)}
    taken = take_rounds(calls, Rounds(most=10**6, least=2, seconds=0.1))
    assert 2 <= len(taken.samples["slow"]) < 100


def test_all_sizes_of_a_batch_take_one_kernel():
    sizes_race(quick=True)
    race = sizes_race(quick=True)  # what was compiled before does not count
    assert race.counts == {"kernels": 1.0, "sizes": 200.0}
    assert len(race.samples["fused"]) == 199
    assert race.notes == {"inductor": "left out of a quick run"}


def test_so_many_kernels_are_compiled_as_were_asked_for():
    seconds = processes._data(["-m", "fusekit.bench.suite.compiling", "llvm", "3"])
    assert len(seconds) == 3
    assert all(taken > 0 for taken in seconds)


@pytest.mark.slow
def test_processes_of_their_own():
    startup = {race.name: race for race in startup_races(quick=True)}
    assert {name: len(race.samples["fused"]) for name, race in startup.items()} == {
        "import": 6,
        "first": 6,
        "later": 24,
    }
    found = list(compile_races("llvm", quick=True))
    assert [(race.name, len(race.samples["fused"])) for race in found] == [
        ("llvm", 8),
        ("llvm cached", 8),
    ]


def test_an_engine_that_is_not_here_is_a_reason(monkeypatch):
    monkeypatch.setattr(processes, "_engine", lambda name: ("no compiler", ""))
    with pytest.raises(ProcessError, match="no compiler"):
        next(compile_races("cpp", quick=True))
    with pytest.raises(ProcessError, match="no such luck"):
        processes._data(["-c", "raise SystemExit('no such luck')"])


def test_the_machine_is_described_without_its_paths():
    machine = this_machine()
    assert {"processor", "cores", "threads", "last cache", "huge pages", "governor", "GPU"} <= set(
        machine.hardware
    )
    assert machine.software["torch"] == torch.__version__
    assert all(value and "\n" not in value for value in machine.hardware.values())
    assert machine == this_machine() or machine.conditions != this_machine().conditions


# the page


def test_sections_go_between_their_marks_and_nowhere_else():
    page = "# A\n\n<!-- measured: x -->\n\nold\n\n<!-- /measured -->\n\nprose \\1\n"
    made = filled(page, {"x": "new \\g<0>", "y": "no place"})
    assert made == page.replace("old", "new \\g<0>")
    assert filled(made, {"x": "new \\g<0>"}) == made
    with pytest.raises(UsageError, match=r"no mark .* for any of y"):
        filled(page, {"y": "no place"})


def test_an_empty_page_becomes_one_of_all_sections():
    sections = SuiteReport(good_run()).sections()
    page = filled("", sections)
    assert marks(page) == list(sections)
    assert filled(page, sections) == page


def test_the_documentation_has_a_place_for_every_section():
    assert set(marks(PAGE.read_text(encoding="utf-8"))) == set(SuiteReport(good_run()).sections())


def test_the_report_for_rich_has_every_goal():
    console = pytest.importorskip("rich.console").Console(width=160, file=io.StringIO())
    report = SuiteReport(good_run())
    console.print(report)
    for goal in GOALS:
        assert f" {goal.key} " in console.file.getvalue()
        assert f"\n{goal.key} " in str(report)


def test_a_step_without_a_result_and_a_row_that_failed_are_named(monkeypatch):
    monkeypatch.setattr(steps, "compile_races", lambda _engine, *, quick: iter(()))
    run = measure_suite(TRIAL, only=["llvm"])
    assert run.missing["compile: llvm"] == "it gave no result"
    row = GpuRow("int64", "", Traffic(0, 0), {}, {}, (), {"row": "OutOfMemoryError"})
    assert steps._gpu_race(row).notes == {"fused": "OutOfMemoryError"}

"""Two runs compared: what counts as slower, and what does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit import cli
from fusekit.bench.suite.goals import GOALS, estimate, verdict
from fusekit.bench.suite.regress import changes
from fusekit.bench.suite.report import SuiteReport
from fusekit.bench.suite.results import Race, load_run
from fusekit.errors import UsageError
from tests.bench.suite_cases import MACHINE, changed, good_run, without

RECORDED = Path(__file__).parent / "recorded" / "suite.json"
"""A real run, quick, on a machine with other work."""

RUN = good_run()

TWIN = good_run()


def kinds(old, new, **more):
    return {each.name: each.kind for each in changes(old, new, **more).found}


def different(found):
    return {name: kind for name, kind in found.items() if kind != "same"}


def test_the_same_run_again_is_the_same():
    assert different(kinds(RUN, TWIN)) == {}
    assert len(kinds(RUN, TWIN)) >= len(RUN.races)


@pytest.mark.parametrize(("factor", "kind"), [(1.3, "regression"), (0.7, "gain")])
@pytest.mark.parametrize(
    ("row", "name", "told"),
    [
        ("chains", "mish 4M", "CPU, float32 transcendental chains: mish 4M"),
        ("gpu", "int64", "GPU, memory-bound pointwise functions: int64"),
        ("call", "call", "a call with tiny tensors on the CPU: call"),
        ("compile", "cpp", "compiling one new kernel: cpp, median"),
        ("import", "import", "`import fusekit` where torch is imported: over `import torch`"),
    ],
)
def test_what_moved_is_named(row, name, told, factor, kind):
    assert different(kinds(RUN, changed(RUN, row, name, fused=factor))) == {told: kind}


def test_a_change_within_noise_or_of_a_few_percent_is_none():
    assert different(kinds(RUN, changed(RUN, "chains", "mish 4M", fused=1.04))) == {}
    race = RUN.race("chains", "mish 4M")
    wide = tuple(1e-3 * (1 + 0.1 * (i % 7)) for i in range(25))
    noisy = dataclasses.replace(race, samples={**race.samples, "fused": wide})
    runs = [
        dataclasses.replace(RUN, races=tuple(noisy if r is race else r for r in RUN.races))
        for _ in range(2)
    ]
    assert different(kinds(runs[0], changed(runs[1], "chains", "mish 4M", fused=1.1))) == {}


def test_a_machine_that_is_slower_as_a_whole_is_no_regression():
    slower = dict.fromkeys(("fused", "eager", "inductor", "copy"), 1.5)
    assert different(kinds(RUN, changed(RUN, "memory", "saxpy 4M", **slower))) == {}


def test_an_eager_that_is_faster_is_no_regression():
    assert different(kinds(RUN, changed(RUN, "memory", "saxpy 4M", eager=0.5))) == {}


def test_one_kernel_more_is_a_regression():
    race = RUN.race("sizes", "sizes")
    more = dataclasses.replace(race, counts={"kernels": 2.0})
    new = dataclasses.replace(RUN, races=tuple(more if r is race else r for r in RUN.races))
    assert different(kinds(RUN, new)) == {
        "1,000 batch sizes of one function: kernels": "regression"
    }


def test_what_is_no_longer_fused_or_right_is_a_regression():
    gone = changed(RUN, "chains", "polar 1M", fused=None)
    gone.race("chains", "polar 1M").notes["fused"] = "not eager's result: off by 1"
    found = changes(RUN, gone).regressions
    assert [(each.name[-8:], each.note) for each in found] == [
        ("polar 1M", "not eager's result: off by 1")
    ]
    race = RUN.race("chains", "polar 1M")
    noted = dataclasses.replace(race, notes={"fused": "not fused, PyTorch ran it: FK0101"})
    new = dataclasses.replace(RUN, races=tuple(noted if r is race else r for r in RUN.races))
    assert [each.note for each in changes(RUN, new).regressions] == [noted.notes["fused"]]


def test_what_was_not_measured_is_not_compared():
    assert set(kinds(RUN, TWIN)) - set(kinds(RUN, without(RUN, "chains", "polar 1M"))) == {
        "CPU, float32 transcendental chains: polar 1M"
    }


def test_a_busy_machine_gives_no_verdict():
    races = tuple(dataclasses.replace(race, load=0.8) for race in RUN.races)
    new = changed(dataclasses.replace(RUN, races=races), "chains", "mish 4M", fused=2.0)
    assert set(different(kinds(RUN, new)).values()) == {"cannot tell"}


def test_other_machines_are_refused_unless_forced():
    other = dataclasses.replace(
        MACHINE, hardware={**MACHINE.hardware, "cores": "64"}, software={"torch": "2.14"}
    )
    new = dataclasses.replace(RUN, machine=other)
    with pytest.raises(UsageError, match=r"not the same machine \(cores 2 → 64\): --force"):
        changes(RUN, new)
    forced = changes(RUN, new, force=True)
    assert "different machines: cores 2 → 64" in str(forced)
    assert "versions: torch 2.13 → 2.14" in str(forced)


def test_other_versions_are_said_but_not_refused():
    new = dataclasses.replace(RUN, machine=dataclasses.replace(MACHINE, software={"torch": "3"}))
    assert changes(RUN, new).versions == ("torch 2.13 → 3",)


def test_runs_without_anything_in_common_are_refused():
    with pytest.raises(UsageError, match="nothing in common"):
        changes(RUN, dataclasses.replace(RUN, races=()))


# files


def test_a_run_comes_back_from_its_json():
    assert load_run(SuiteReport(RUN).json()).data() == RUN.data()


@given(
    st.builds(
        Race,
        row=st.sampled_from(["chains", "others"]),
        name=st.text(max_size=5),
        title=st.text(max_size=5),
        samples=st.dictionaries(
            st.sampled_from(["fused", "eager", "jax"]),
            st.lists(st.floats(0, 1e6), max_size=5).map(tuple),
        ),
        paired=st.booleans(),
        notes=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
        load=st.none() | st.floats(0, 1),
    )
)
def test_any_race_comes_back_to_five_digits(race):
    run = dataclasses.replace(RUN, races=(race,))
    back = load_run(json.dumps(run.data()))
    assert back.data() == run.data()
    for who, samples in race.samples.items():
        assert back.races[0].samples[who] == pytest.approx(samples, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no result of"),
        ("[]", "no result of"),
        ('{"figures": []}', "has schema None, this fusekit reads 1"),
        ('{"schema": 99}', "has schema 99"),
        ('{"schema": 1}', "no result of"),
    ],
)
def test_what_is_no_run_is_said_to_be_none(text, said):
    with pytest.raises(UsageError, match=said):
        load_run(text, "x.json")


def test_samples_that_are_no_numbers_are_refused():
    data = RUN.data()
    data["races"][0]["samples"]["fused"] = ["fast"]
    with pytest.raises(UsageError, match="no result of"):
        load_run(json.dumps(data))


def test_a_recorded_run_is_still_read():
    """The schema may change, but not without its number: then this run is recorded anew."""
    run = load_run(RECORDED.read_text(encoding="utf-8"))
    kept = json.loads(RECORDED.read_text(encoding="utf-8"))["goals"]
    for goal, old in zip(GOALS, kept, strict=True):
        found = estimate(goal, run)
        assert (goal.key, verdict(goal, found) or "not measured") == (old["key"], old["verdict"])
        assert (found.value is None) is (old["value"] is None)
        assert found.value is None or found.value == pytest.approx(old["value"], rel=1e-3)
    assert different(kinds(run, run)) == {}


def test_the_command_compares_files(tmp_path, capsys):
    old, slow = tmp_path / "old.json", tmp_path / "slow.json"
    old.write_text(SuiteReport(RUN).json())
    slow.write_text(SuiteReport(changed(RUN, "first", "first", fused=2.0)).json())
    assert cli.main(["bench", "--compare", str(old), str(old)]) == 0
    assert "0 slower, 0 faster" in capsys.readouterr().out
    assert cli.main(["bench", "--compare", str(old), str(slow)]) == 1
    assert "first fuse call, trace included" in capsys.readouterr().out
    assert cli.main(["bench", "--compare", str(slow), str(old)]) == 0
    assert "1 faster" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--compare", "a", "b", "c"], "one file, or two"),
        (["--compare", "/nowhere/x.json"], "cannot read '/nowhere/x.json'"),
        (["--force"], "--force is for --compare"),
        (["--device", "cuda", "--plots", "x"], "--plots is for --all"),
    ],
)
def test_what_the_command_cannot_do_is_said(argv, said, capsys):
    assert cli.main(["bench", *argv]) == 2
    assert said in capsys.readouterr().err

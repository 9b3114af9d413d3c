"""`fusekit bench --models`: what it says, from made-up numbers, and one model really measured."""

import dataclasses
import importlib.util
import json

import pytest
import torch

from fusekit.bench.command import add_arguments, run
from fusekit.bench.models import BENCH, TINY, ZOO, ModelsReport, measure_models, missing
from fusekit.bench.models.report import row_text
from fusekit.bench.models.results import ModelRow, ModelsRun, Task, Time
from fusekit.errors import UsageError

NEEDS_TRANSFORMERS = [name for name, entry in ZOO.items() if entry.package]


def task(ours=0.5, *, inductor=True, **changes):
    times = {"fusekit": Time(3.0, ours, 0.02, 15), "eager": Time(1.2, 1.0, 0.04, 15)}
    if inductor:
        times["inductor"] = Time(20.0, 0.4, 0.02, 15)
    made = Task(times, 2, 7, 3, 30, {"aten.mm.default": 10}, {"FK0101": 10}, {}, 1e-7)
    return dataclasses.replace(made, **changes)


def report(*rows):
    return ModelsReport(ModelsRun("a processor", "2026-01-31", 4, "fusekit bench", rows, 90.0))


ROW = ModelRow("lstm", "An LSTM", 10, {"forward": task(), "step": task(2.0)}, {}, "", 30.0)


def test_ratios_shares_and_compile_times():
    found = ROW.tasks["forward"]
    assert found.over("eager") == 0.5
    assert found.over("inductor") == pytest.approx(1.25)
    assert found.over("nobody") is None
    assert found.share == 0.75
    assert found.times["fusekit"].compile == 2.5


def test_a_row_survives_json():
    data = json.loads(json.dumps(dataclasses.asdict(ROW)))
    assert ModelRow.from_data(data) == ROW


def test_the_page_has_both_tasks_and_says_where_and_when():
    page = report(ROW).markdown()
    assert "| An LSTM | 500 ms ±10 ms | 1 s ±20 ms | 400 ms ±10 ms | 0.50 | 1.25 | 2.5 s |" in page
    assert "## Training step" in page
    assert "75% of 40" in page
    assert "a processor" in page
    assert "2026-01-31" in page
    assert "0.50 of eager's time and 1.25 of Inductor's time" in page
    assert max(map(len, page.splitlines())) < 200


def test_what_is_missing_or_wrong_is_said():
    skipped = ModelRow("t5", "T5", skipped="transformers is not installed")
    wrong = dataclasses.replace(
        ROW,
        tasks={"forward": task(difference=float("nan")), "step": task(inductor=False)},
        notes={"inductor": "needs a C++ compiler"},
    )
    said = str(report(skipped, wrong))
    assert "T5: skipped, transformers is not installed" in said
    assert "the forward is WRONG" in said
    assert "the step is WRONG" not in said
    assert "inductor needs a C++ compiler" in said
    assert row_text(skipped) in said
    assert report(skipped).markdown()


def test_json_has_what_follows_from_the_numbers():
    row = json.loads(report(ROW).json())["rows"][0]
    assert row["tasks"]["forward"]["share"] == 0.75
    assert row["tasks"]["forward"]["over"] == {"eager": 0.5, "inductor": pytest.approx(1.25)}


def test_every_model_builds_in_both_sizes_or_says_why_not():
    for entry in ZOO.values():
        if missing(entry) is None:
            for size in (TINY, BENCH):
                built = entry.build(entry.measured(size))
                assert all(isinstance(p, torch.Tensor) for p in built.module.parameters())
                assert len({len(x) for x in built.inputs(3).values()}) == 1


def test_without_transformers_rows_say_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = []
    found = measure_models(NEEDS_TRANSFORMERS[:2], said.append)
    assert [row.name for row in said] == NEEDS_TRANSFORMERS[:2]
    assert all("transformers is not installed" in row.skipped for row in found.rows)


def test_arguments_that_do_not_fit_are_refused():
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for arguments in (["--only", "nothing"], ["--device", "cuda"], ["--size", "3"]):
        with pytest.raises(UsageError):
            run(parser.parse_args(["--models", *arguments]), print)


def test_one_model_in_a_process_of_its_own():
    (row,) = measure_models(["vae"], lambda _: None, quick=True).rows
    assert row.skipped == ""
    for found in row.tasks.values():
        assert found.groups > 0
        assert found.kernels > 0
        assert found.whole == {}
        assert found.difference < 1e-5
        assert set(found.times) == {"eager", "fusekit"}
    assert row.tasks["step"].opaque["aten.addmm.default"] == 4

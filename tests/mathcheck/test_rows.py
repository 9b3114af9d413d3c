"""Measuring finds what is wrong, names it, and can be interrupted."""

import dataclasses

import pytest
import torch

from fusekit.mathcheck import rows as rows_module
from fusekit.mathcheck.contenders import Contender, Field, field
from fusekit.mathcheck.exact import Oracle
from fusekit.mathcheck.functions import FUNCTIONS
from fusekit.mathcheck.report import verdict
from fusekit.mathcheck.rows import Job, measure
from fusekit.mathcheck.screening import Screen
from fusekit.mathcheck.state import State
from fusekit.mathcheck.tally import Tally

STRIDE = 100_003


@pytest.fixture(scope="module")
def oracle():
    with Oracle() as made:
        yield made


def finish(job, oracle, saved=lambda key: None):
    *_, row = measure(job, oracle, saved)
    return row


def job(name, dtype, **more):
    return Job(FUNCTIONS[name], dtype, ("llvm",), **more)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_keeps_to_its_bound(name, oracle):
    row = finish(job(name, "float32", stride=STRIDE, samples=2000), oracle)
    assert verdict(row) == "ok", row
    assert row.inputs == row.total


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_all_halves_are_rounded_float32_results(name, dtype, oracle):
    row = finish(job(name, dtype), oracle)
    tally = row.tallies["llvm"]
    assert row.inputs == 1 << 16
    assert tally.rounded_twice == 0
    assert tally.ulp < 0.51
    assert 0 <= tally.not_nearest < 20
    assert verdict(row) == "ok"


def test_float64_is_tried_at_random(oracle):
    row = finish(job("sin", "float64", samples=20_000), oracle)
    assert 0.4 < row.tallies["llvm"].ulp < 1
    assert verdict(row) == "ok"


def wrong_at(monkeypatch, bits, change):
    """Replace the engine llvm by eager with one wrong result, at the float32 of these bits."""

    def call(x):
        y = torch.exp(x)
        if x.dtype is torch.float32:
            y = torch.where(x.view(torch.int32) == bits, change(y), y)
        return y

    monkeypatch.setattr(
        rows_module,
        "field",
        lambda *_: Field(
            (Contender("eager", "cpu", torch.exp), Contender("llvm", "cpu", call, "llvm")), {}
        ),
    )
    return float(torch.tensor(bits, dtype=torch.int32).view(torch.float32))


def test_one_wrong_result_is_found_and_named(monkeypatch, oracle):
    where = wrong_at(monkeypatch, 10_000 * STRIDE, lambda y: y * (1 + 3e-7))
    row = finish(job("exp", "float32", stride=STRIDE), oracle)
    assert row.tallies["llvm"].ulp > 2
    assert [float(text) for text in row.tallies["llvm"].at] == [where]
    assert verdict(row) == "exceeds"


@pytest.mark.parametrize("special", [torch.nan, torch.inf])
def test_one_wrong_special_value_is_found_and_named(monkeypatch, oracle, special):
    where = wrong_at(monkeypatch, 10_000 * STRIDE, lambda y: torch.full_like(y, special))
    row = finish(job("exp", "float32", stride=STRIDE), oracle)
    tally = row.tallies["llvm"]
    assert (tally.special, tally.special_result) == (1, repr(special))
    assert [float(text) for text in tally.special_at] == [where]
    assert verdict(row) == "exceeds"


def test_where_eager_is_wrong_in_float64_nobody_is_blamed_for_it(oracle):
    """bessel_j0 of large arguments: eager's float64 has no right digit."""
    row = finish(job("bessel_j0", "float32", stride=STRIDE), oracle)
    assert row.tallies["eager"].ulp > 1000
    assert row.tallies["llvm"].ulp <= 0.51
    assert row.tallies["llvm"].unjudged == 0


@pytest.mark.parametrize(("dtype", "name"), [("float32", "erf"), ("float64", "log")])
def test_an_interrupted_row_ends_as_if_it_had_not_been(dtype, name, oracle, tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "_PART", 1000)
    wanted = job(name, dtype, stride=STRIDE, samples=5000)
    whole = finish(wanted, oracle)
    state = State(tmp_path / "state.json")
    for count, row in enumerate(measure(wanted, oracle, state.row)):
        state.keep(row)
        if count == 2:
            break
    again = State(tmp_path / "state.json")
    assert 0 < again.row(whole.key).inputs < whole.inputs
    resumed = finish(wanted, oracle, again.row)
    without_time = [{**dataclasses.asdict(row), "seconds": 0} for row in (whole, resumed)]
    assert without_time[0] == without_time[1]


def test_a_finished_row_is_not_measured_again(oracle, tmp_path):
    state = State(tmp_path / "state.json")
    wanted = job("exp", "float32", stride=STRIDE * 10)
    done = finish(wanted, oracle)
    state.keep(done)
    assert len(list(measure(wanted, oracle, state.row))) == 1
    assert State(tmp_path / "state.json", fresh=True).row(done.key) is None


def test_what_pytorch_runs_is_not_measured(monkeypatch):
    from fusekit.mathcheck import contenders

    monkeypatch.setattr(contenders, "public", lambda _: lambda x: torch.cumsum(x, 0))
    found = field(FUNCTIONS["exp"], torch.float32, ["llvm"])
    assert not found.contenders
    assert "no pointwise operator" in found.left["llvm"]
    absent = field(FUNCTIONS["exp"], torch.float32, [])
    assert absent == Field((), {})


def test_a_nan_that_eager_shares_is_found_by_the_audit():
    def broken(x):
        return torch.where((x > 1) & (x < 2), torch.nan, x.exp())

    tallies = {name: Tally() for name in ("eager", "llvm")}
    screen = Screen("exp", [Contender(name, "cpu", broken) for name in tallies])
    numbers = torch.linspace(0, 3, 301)
    screen.audit([numbers], tallies)
    assert tallies["llvm"].special == int(((numbers > 1) & (numbers < 2)).sum())

"""The stopwatch: rounds, when it stops, what it says; with injected times, then with real ones."""

from __future__ import annotations

import gc
import itertools

import pytest
import torch

from fusekit.bench.measuring import observer, stopwatch, timing
from fusekit.bench.measuring.comparing import race
from fusekit.bench.measuring.ratio import LOOKS
from fusekit.bench.measuring.stopwatch import take, told
from fusekit.bench.measuring.timing import Settings

HOW = Settings(seconds=30.0, sample=0.0)


@pytest.fixture
def times(monkeypatch):
    """Give the samples of the contenders, over and over: name -> seconds."""
    table: dict[str, list[float]] = {}
    sources: dict[str, itertools.cycle] = {}

    def seconds(watch):
        source = sources.setdefault(watch.name, itertools.cycle(table[watch.name]))
        return next(source)

    monkeypatch.setattr(timing.Watch, "_time", seconds)
    monkeypatch.setattr(timing.Watch, "start", lambda self, first: None)
    monkeypatch.setattr(stopwatch, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(observer, "_busy_seconds", lambda: None)
    monkeypatch.setattr(observer, "_drift", lambda spins: 0.0)
    return table


def nothing():
    return None


def both(how=HOW, **more):
    return take({"eager": nothing, "fused": nothing}, how, **more)


def test_it_stops_at_the_first_look_that_is_clear(times):
    times.update(eager=[2e-3, 2.02e-3], fused=[1e-3, 1.01e-3])
    taken = both()
    assert len(taken.samples["fused"]) == LOOKS[0]
    found = told(taken, "eager", "fused")
    assert (found.outcome, found.ratio.median) == ("faster", pytest.approx(2.0))
    assert found.cause.kind == ""
    assert found.sentence.startswith("2× as fast as eager (")


@pytest.mark.parametrize(
    ("fused", "outcome"), [([3e-3], "slower"), ([2.01e-3, 1.99e-3], "tie"), ([1e-4], "faster")]
)
def test_outcomes(times, fused, outcome):
    times.update(eager=[2e-3], fused=fused)
    assert told(both(), "eager", "fused").outcome == outcome


def test_what_stays_unclear_is_measured_to_the_end_and_named(times):
    times.update(eager=[2e-3], fused=[1.0e-3, 1.5e-3, 2.5e-3, 3.0e-3])
    taken = both()
    assert len(taken.samples["fused"]) == LOOKS[-1]
    found = told(taken, "eager", "fused")
    assert (found.outcome, found.cause.kind) == ("cannot tell", "noise")


def test_the_time_that_is_given_is_kept(times):
    times.update(eager=[2e-3], fused=[1e-3, 3e-3])
    found = told(both(Settings(seconds=0.0, sample=0.0)), "eager", "fused")
    assert (found.outcome, found.cause.kind) == ("cannot tell", "too short")


def test_a_disturbed_sample_takes_its_whole_round_along(times, monkeypatch):
    monkeypatch.setattr(timing, "_REST", 0.0)
    times.update(eager=[2e-3, 2e-3, 2.1e-3], fused=[1e-3, 9e-3, 1.1e-3])
    taken = both()
    assert 9e-3 not in taken.samples["fused"]
    assert len(taken.samples["fused"]) == len(taken.samples["eager"])
    assert taken.around["fused"].lost > 0


def test_where_no_round_is_undisturbed_nothing_follows(times, monkeypatch):
    monkeypatch.setattr(timing, "_REST", 0.0)
    monkeypatch.setattr(timing, "_switches", itertools.count().__next__)
    times.update(eager=[16e-3], fused=[8e-3])
    taken = both(Settings(runs=12, sample=0.0))
    assert not taken.timings["fused"].reliable
    found = told(taken, "eager", "fused")
    assert (found.outcome, found.cause.kind) == ("cannot tell", "other load")


def test_any_pair_is_told_from_the_same_rounds(times):
    times.update(current=[3e-3], eager=[2e-3], variant=[1e-3, 1.5e-3, 2.5e-3, 3e-3])
    pairs = [("current", "variant"), ("eager", "variant")]
    taken = take(dict.fromkeys(times, nothing), HOW, pairs=pairs)
    assert len(taken.samples["variant"]) == LOOKS[-1]  # the second pair stays unclear
    assert told(taken, "eager", "variant").outcome == "cannot tell"
    assert told(taken, "eager", "current").outcome == "slower"
    few = take(dict.fromkeys(times, nothing), HOW, pairs=[("eager", "current")])
    assert len(few.samples["variant"]) == LOOKS[0]  # nobody asks for it


def test_no_more_rounds_count_than_are_asked_for(times):
    times.update(eager=[2e-3], fused=[1e-3, 3e-3])
    taken = both(Settings(runs=12, seconds=30.0, sample=0.0))
    assert len(taken.samples["fused"]) == 12


def test_on_a_machine_that_others_use_no_verdict_is_given(times, monkeypatch):
    times.update(eager=[2e-3], fused=[1e-3])
    monkeypatch.setattr(observer.Observer, "_others", lambda self: 0.3)
    found = told(both(), "eager", "fused")
    assert (found.outcome, found.cause.kind) == ("faster", "")
    assert "30% of the processor" in found.caveat
    monkeypatch.setattr(observer.Observer, "_others", lambda self: 0.7)
    found = told(both(), "eager", "fused")
    assert (found.outcome, found.cause.kind) == ("cannot tell", "other load")


def test_progress_is_told_and_stops_it(times):
    times.update(eager=[2e-3], fused=[1e-3, 3e-3])
    heard = []

    def tell(done, total, said):
        heard.append((done, total, said))
        if len(heard) == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        both(tell=tell)
    assert all(0 <= done <= total for done, total, _ in heard)
    assert "fused 0.667× to 2×" in heard[-1][2]
    assert gc.isenabled()


def test_the_machine_is_observed(monkeypatch):
    watching = observer.Observer()
    for _ in range(9):
        watching.spin()
    found = watching.surroundings(rounds=9, lost=1)
    assert (found.rounds, found.lost, found.compiles) == (9, 1, 0)
    assert 0 < found.step < 1e-3
    assert found.others is None or 0 <= found.others <= 1
    assert observer._drift([1.0] * 4 + [1.1] * 4) == pytest.approx(0.1)
    assert observer._drift([1.0, 2.0]) == 0.0


def test_the_load_of_others_is_what_is_busy_without_us(monkeypatch):
    busy = iter([100.0, 100.0 + 1e6] * 2)
    monkeypatch.setattr(observer, "_busy_seconds", lambda: next(busy))
    assert observer.Observer().surroundings(1, 0).others is None  # too short to say
    monkeypatch.setattr(observer, "_SHORTEST", 0.0)
    assert observer.Observer().surroundings(1, 0).others == 1.0
    monkeypatch.setattr(observer, "_busy_seconds", lambda: 5.0)
    assert observer.Observer().surroundings(1, 0).others is None


def test_a_real_race_has_its_structure():
    x = torch.randn(4096)
    found = race(lambda x: torch.relu(x * 2.0 + 1.0), (x,), settings=Settings(seconds=0.5))
    eager, fused = (row for row in found.rows if row.device == "cpu")
    assert (eager.name, eager.outcome, fused.name) == ("eager", "baseline", "fused")
    assert fused.outcome in ("faster", "slower", "tie", "cannot tell")
    assert (fused.outcome == "cannot tell") == bool(fused.cause)
    data = found.as_timing()
    (row,) = [row for row in data["rows"] if row["name"] == "fused" and row["device"] == "cpu"]
    assert 1 <= len(row["samples"]) <= 60
    assert row["interval"] == [] or row["interval"][0] <= row["ratio"] <= row["interval"][1] * 1.001
    assert "95 %" in data["method"]

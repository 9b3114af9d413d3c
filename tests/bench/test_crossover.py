"""The crossover map: the search on made up truths, the rule as code that runs, what is shown."""

from __future__ import annotations

import csv
import itertools
import json
import xml.etree.ElementTree as ET

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit.bench.crossing.grid import Cell, guesses, next_cell
from fusekit.bench.crossing.rule import Sample, find_rule
from fusekit.bench.crossing.search import Measured, Search
from fusekit.errors import UsageError
from fusekit.viz.measured.crossplot import crossover_alt, crossover_html, crossover_svg

SIZES = tuple(1 << power for power in range(4, 21))
KINDS = tuple(itertools.product(("float32", "bfloat16"), ("contiguous", "strided")))


def ticking(step=0.1):
    """A clock that goes on at each reading."""
    return itertools.count(0.0, step).__next__


def searched(truth, *, sizes=SIZES, kinds=KINDS, budget=1e9):
    """A search where `truth` says who is faster; and what it measured, in order."""
    asked = []

    def measure(at, seconds):
        asked.append(at)
        verdict = truth(at)
        ratio = {"fused faster": 2.0, "eager faster": 0.5}.get(verdict)
        return Measured(verdict, at.size, at.layout == "contiguous", ratio, ratio, ratio)

    search = Search("f", sizes, kinds, measure)
    search.run(budget, clock=ticking())
    return search, asked


def border(at):
    """Fused from 1,024 on; strided bfloat16 never."""
    if (at.dtype, at.layout) == ("bfloat16", "strided"):
        return "eager faster"
    return "fused faster" if at.size >= 1024 else "eager faster"


def test_borders_are_found_within_a_cell_and_few_cells_are_measured():
    search, asked = searched(border)
    assert search.finished
    assert len(asked) == len(set(asked)) < 0.6 * len(SIZES) * len(KINDS)
    found = search.result()
    known = {cell: m.verdict for cell, m in found.cells.items()} | found.guessed
    for cell, said in known.items():
        assert said == border(found.at(cell))
    assert len(known) == len(SIZES) * len(KINDS)


@given(st.lists(st.integers(0, 17), min_size=1, max_size=4))
def test_any_border_is_found(starts):
    kinds = tuple((f"d{i}", "contiguous") for i in range(len(starts)))

    def truth(at):
        return "fused faster" if SIZES.index(at.size) >= starts[int(at.dtype[1:])] else "tie"

    found = searched(truth, kinds=kinds)[0].result()
    known = {cell: m.verdict for cell, m in found.cells.items()} | found.guessed
    assert all(said == truth(found.at(cell)) for cell, said in known.items())
    assert len(known) == len(SIZES) * len(kinds)


def test_the_coarse_grid_goes_through_all_kinds_first():
    _, asked = searched(border, budget=1.0)
    assert len({(at.dtype, at.layout) for at in asked[:4]}) == 4
    assert {at.size for at in asked[:8]} == {SIZES[0], SIZES[-1]}


def test_a_budget_that_ends_leaves_a_map_of_what_is_known():
    search, asked = searched(border, budget=1.0)
    assert not search.finished
    assert 0 < len(search.result().cells) == len(asked) < 20


def test_stopping_keeps_what_was_measured():
    search = Search("f", SIZES, KINDS, lambda at, _: Measured(border(at), at.size, True))

    def stop(done, total, said):
        assert 0 <= done <= total
        if said.startswith("5 cells"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(1e9, stop, ticking())
    assert len(search.result().cells) == 5


def test_what_cannot_be_told_is_measured_once_more_and_then_left():
    def truth(at):
        return "cannot tell" if at.size == SIZES[0] else "fused faster"

    search, asked = searched(truth, kinds=KINDS[:1])
    assert [at.size for at in asked].count(SIZES[0]) == 2
    assert search.finished
    assert next_cell({Cell(0, 0): "cannot tell", Cell(0, 1): "tie"}, 1, 2) is None


def test_guesses_are_between_cells_that_agree():
    outcomes = {Cell(0, 0): "tie", Cell(0, 3): "tie", Cell(0, 6): "fused faster"}
    assert guesses(outcomes, 1) == {Cell(0, 1): "tie", Cell(0, 2): "tie"}


# the rule


def tensor_of(sample):
    dtype = getattr(torch, sample.dtype)
    if sample.contiguous:
        return torch.zeros(sample.numel, dtype=dtype)
    return torch.zeros(2 * sample.numel, dtype=dtype)[::2]


def samples_of(truth, sizes=(16, 64, 256, 1024, 4096)):
    return [
        Sample(size, dtype, layout == "contiguous", truth(size, dtype, layout))
        for size, (dtype, layout) in itertools.product(sizes, KINDS)
    ]


@pytest.mark.parametrize(
    ("truth", "condition"),
    [
        (lambda size, dtype, layout: False, "False"),
        (lambda size, dtype, layout: True, "True"),
        (lambda size, dtype, layout: size < 256, "x.numel() < 256"),
        (lambda size, dtype, layout: size >= 1024, "x.numel() >= 1_024"),
        (lambda size, dtype, layout: layout == "strided", "not x.is_contiguous()"),
        (lambda size, dtype, layout: dtype == "bfloat16", "x.dtype is torch.bfloat16"),
        (
            lambda size, dtype, layout: size < 256 or (dtype, layout) == ("bfloat16", "strided"),
            "x.numel() < 256 or (x.dtype is torch.bfloat16 and not x.is_contiguous())",
        ),
    ],
)
def test_rules_that_can_be_said_are_found(truth, condition):
    samples = samples_of(truth)
    rule = find_rule(samples)
    assert (set(rule.condition.split(" or ")), rule.wrong) == (set(condition.split(" or ")), 0)
    assert rule.samples == len(samples)


@given(st.lists(st.booleans(), min_size=20, max_size=20))
def test_the_code_runs_and_is_wrong_as_often_as_it_says(eager):
    truths = iter(eager)
    samples = samples_of(lambda *_: next(truths))
    rule = find_rule(samples)
    use_eager = eval(rule.code, {"torch": torch})
    wrong = sum(use_eager(tensor_of(sample)) != sample.eager for sample in samples)
    assert wrong == rule.wrong <= min(sum(eager), 20 - sum(eager))
    assert rule.error == wrong / 20
    assert rule.function()(tensor_of(samples[0])) == use_eager(tensor_of(samples[0]))


def test_no_samples_make_no_rule():
    assert find_rule([]).code == "lambda x: False"
    assert find_rule([]).error == 0.0


# what is shown


@pytest.fixture
def found():
    return searched(border)[0].result()


def test_texts(found):
    assert (
        repr(found)
        == str(found)
        == (
            "Crossover(f)  sizes 16 to 1,048,576; float32 contiguous, float32 strided, "
            "bfloat16 contiguous, bfloat16 strided"
        )
    )
    assert "use_eager = lambda x: " in found.text()
    assert found.rule.wrong == 0
    rows = list(csv.DictReader(found.csv().splitlines()))
    assert len(rows) == len(found.cells)
    assert {row["verdict"] for row in rows} == {"fused faster", "eager faster"}
    json.dumps(found.to_dict())


def test_the_map_has_a_cell_for_each_and_words_for_all(found):
    drawn = ET.fromstring(crossover_svg(found))
    cells = drawn.findall(".//{*}rect")
    assert len(cells) == len(SIZES) * len(KINDS) + 5  # with the legend's
    letters = [text.text for text in drawn.findall(".//{*}text[@class='fk-letter fk-on']")]
    assert {"F", "E"} == set(letters)
    said = crossover_alt(found)
    assert "float32 contiguous: eager faster at 16 to 512, fused faster at 1,024 to" in said
    html = crossover_html(found)
    assert "\n" not in html
    assert "use_eager = lambda x: " in html.replace("&lt;", "<")
    assert html.count("<tr>") == 1 + 7


def test_an_empty_map_says_so():
    search = Search("f", SIZES, KINDS, lambda at, _: Measured("tie", 1, True))
    assert "Nothing measured" in crossover_html(search.result())


# the real thing


def scaled(x, y):
    return torch.relu(x * 2.0 + y)


def test_a_small_real_map():
    found = fusekit.crossover(
        scaled,
        torch.randn(64),
        torch.randn(64),
        sizes=[16, 64],
        dtypes=["float32", torch.bfloat16],
        layouts=["contiguous", "strided"],
        budget_seconds=3.0,
    )
    assert found.kinds[3] == ("bfloat16", "strided")
    assert found.cells
    for cell, measured in found.cells.items():
        assert measured.numel == found.at(cell).size
        assert measured.contiguous == (found.at(cell).layout == "contiguous")
    use_eager = eval(found.rule.code, {"torch": torch})
    assert use_eager(torch.randn(16)) in (True, False)


def test_an_interrupt_returns_what_is_known():
    def stop(done, total, said):
        if said.startswith("1 cells"):
            raise KeyboardInterrupt

    found = fusekit.crossover(scaled, torch.ones(8), torch.ones(8), tell=stop)
    assert len(found.cells) == 1
    assert not found.finished


def test_what_does_not_fuse_is_a_verdict():
    found = fusekit.crossover(
        lambda x: x + 1 if x.sum() > 0 else x,
        make_args=lambda size, dtype: torch.ones(size, dtype=dtype),
        sizes=[8],
        budget_seconds=1.0,
    )
    (measured,) = found.cells.values()
    assert measured.verdict == "cannot fuse"
    assert measured.note


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dtypes": ["int7"]}, "int7"),
        ({"layouts": ["round"]}, "round"),
        ({"dtypes": []}, "at least one"),
        ({"make_args": lambda size, dtype: None}, "not both"),
    ],
)
def test_wrong_requests(wrong, said):
    with pytest.raises(UsageError, match=said):
        fusekit.crossover(scaled, torch.ones(8), torch.ones(8), **wrong)

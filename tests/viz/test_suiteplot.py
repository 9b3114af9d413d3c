"""The charts of a run of the suite: what is drawn, from numbers that were made up."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from fusekit.bench.suite.goals import GOALS, TITLES
from fusekit.viz.measured.charts import SHAPES
from fusekit.viz.measured.suiteplot import suite_svgs
from tests.bench.suite_cases import changed, good_run, race

RUN = good_run()


def marks(svg):
    """How many marks there are of each series."""
    groups = [g for g in ET.fromstring(svg).iter() if g.tag.endswith("}g")]
    return [g.get("class") for g in groups]


def test_there_is_a_chart_for_each_row_with_others():
    assert list(suite_svgs(RUN)) == [
        "goals",
        "gpu",
        "chains",
        "memory",
        "large",
        "others",
        "call",
        "launch",
    ]


def test_every_goal_is_a_line_of_the_first():
    svg = suite_svgs(RUN)["goals"]
    assert len(marks(svg)) == len(GOALS)
    assert set(marks(svg)) == {"fk-s1"}
    assert svg.count("<circle") == len(GOALS)
    missed = suite_svgs(changed(RUN, "first", "later", fused=3.0))["goals"]
    assert missed.count("<circle") == len(GOALS) - 1
    assert missed.count("<polygon") == 1


def test_a_goal_where_more_is_better_is_turned_around():
    def where(run):
        only = dataclasses.replace(run, races=tuple(run.of("gpu")))
        svg = suite_svgs(only)["goals"]
        roof = re.search(r'class="fk-roof"[^>]*points="([\d.]+),', svg)[1]
        first = re.search(r'<(?:circle|polygon) class="fk-mark" (?:cx="|points=")([\d.]+)', svg)[1]
        return float(first) < float(roof)

    assert where(RUN)
    assert not where(changed(RUN, "gpu", "int64", fused=2.0))


def test_every_contender_has_a_mark_that_colour_does_not_make():
    everyone = race("memory", "saxpy 4M", 1e-3, **dict.fromkeys(TITLES, 2e-3))
    svg = suite_svgs(dataclasses.replace(RUN, races=(everyone,)))["memory"]
    shapes = re.findall(r'<circle|points="[^"]*"/?></g>|class="fk-letter">(\w)', svg)
    assert [found for found in shapes if len(found) == 1][: len(TITLES) - len(SHAPES)] == ["J", "C"]
    for title in TITLES.values():
        assert f">{title}<" in svg


def test_what_is_far_away_stays_inside():
    far = race("memory", "saxpy 4M", 1e-3, eager=50.0)
    svg = suite_svgs(dataclasses.replace(RUN, races=(far,)))["memory"]
    width = float(re.search(r'width="([\d.]+)"', svg)[1])
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', svg)]
    assert places
    assert max(places) < width


@pytest.mark.parametrize("races", [(), (race("import", "other", 1.0),)])
def test_nothing_measured_is_no_chart(races):
    assert suite_svgs(dataclasses.replace(RUN, races=races)) == {}

"""The panels that measure: what their forms say, what they keep, what is left when stopped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed (the extra `lab`)")
import torch

import fusekit
from fusekit.bench.limits import ceilings as limits
from fusekit.bench.limits.ceilings import Ceilings
from fusekit.errors import UsageError
from fusekit.viz.live.widget import LiveView
from fusekit.viz.measured.sweepplot import sweep_alt, sweep_html, sweep_svg
from fusekit.viz.panels import PANELS, Call, Cancelled
from fusekit.viz.panels.fields import checks, number, number_of, select
from fusekit.viz.panels.panel import Progress
from tests.viz import models
from tests.viz.parsed import Page


def scaled(x, y):
    return torch.relu(x * 2.0 + y)


@pytest.fixture
def call():
    fused = fusekit.fuse(scaled)
    args = (torch.randn(64), torch.randn(64))
    model = models.lstm_cell()
    return Call(fused, args, {}, model, {})


class Stopping(Progress):
    """A user who presses cancel as soon as the words are there."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def step(self, done, total, said=""):
        if self.word in said:
            self.cancel()
        super().step(done, total, said)


def draw(name, call, progress=None, **fields):
    panel = next(panel for panel in PANELS if panel.name == name)
    html = panel.draw(call, {"pinned": "", **fields}, progress or Progress())
    tags = Page(html.replace(" checked", "").replace("<input", "<img").replace("<br>", "")).tags
    return html, [tag for tag, _ in tags]


@pytest.mark.parametrize("name", ["stopwatch", "roofline", "sweep", "crossover"])
def test_an_opened_panel_measures_nothing_and_has_a_button(name, call):
    html, tags = draw(name, call)
    assert tags.count("button") == 1
    assert re.search(r"Not (measured|searched) yet", html)
    assert call.kept == {}
    assert all(f'name="{field}"' in html for field in ("seconds", "go"))


def test_the_stopwatch_measures_and_keeps_it_for_this_size(call):
    html, _ = draw("stopwatch", call, go="1", against="eager", seconds="0.3", flush="no")
    assert "caches warm" in html
    assert "Bytes alone predict" in html
    assert "<figure" in draw("stopwatch", call)[0]
    other = Call(call.fused, (torch.randn(32), torch.randn(32)), {}, call.model, call.kept)
    assert "Not measured yet" in draw("stopwatch", other)[0]


def test_a_stopped_stopwatch_stops(call):
    with pytest.raises(Cancelled):
        draw("stopwatch", call, Stopping("first calls"), go="1", seconds="60")


def test_numbers_are_checked(call):
    with pytest.raises(UsageError, match=r"seconds is a number from 0\.2 to 120"):
        draw("stopwatch", call, seconds="1e9")
    with pytest.raises(UsageError, match="'nan'"):
        number_of({"n": "nan"}, "n", 1.0, least=0, most=2)
    assert number_of({"n": " "}, "n", 1.5, least=0, most=2) == 1.5


def test_a_stopped_sweep_keeps_what_it_has(call):
    fields = {"low": "8", "high": "64", "seconds": "0.1", "dtype": "float64", "go": "1"}
    html, _ = draw("sweep", call, Stopping("size 32"), **fields)
    assert "Stopped after 2 of 4 sizes: float64." in html
    assert html.count('<th scope="row">') == 2
    again, _ = draw("sweep", call)
    assert "Stopped after 2 of 4 sizes" in again


def test_a_sweep(call):
    html, _ = draw("sweep", call, go="1", low="16", high="32", seconds="0.1", layout="strided")
    assert "2 sizes, strided, engine auto." in html
    assert 'alt="Time against size' in html


def test_a_stopped_crossover_shows_its_map(call):
    fields = {"dtype.float32": "on", "layout.contiguous": "on", "layout.strided": "on"}
    html, _ = draw("crossover", call, Stopping("2 cells"), go="1", seconds="60", **fields)
    assert "Stopped before every border was found" in html
    assert len(call.kept["search"].cells) == 2
    assert 'alt="Map of who is faster' in html


def test_a_crossover_of_nothing_is_refused(call):
    with pytest.raises(UsageError, match="at least one"):
        draw("crossover", call, go="1", seconds="1")


def test_the_roofline(call, monkeypatch):
    made_up = Ceilings("cpu", 1e10, 1e11, "Ceilings made up")
    monkeypatch.setitem(limits._found, ("cpu", torch.get_num_threads()), made_up)
    html, _ = draw("roofline", call, go="1", seconds="0.5")
    assert 'alt="Roofline on cpu' in html
    assert "Ceilings made up" in html


def test_what_users_type_is_text():
    evil = '"><script>'
    for html in (
        select(evil, "a", {evil: evil}, evil),
        checks(evil, "a", [evil], []),
        number(evil, "a", 1.0, least=0, most=2, unit=evil),
    ):
        assert "<script>" not in html


def test_they_are_panels_of_a_live_view():
    view = fusekit.fuse(scaled).explore(torch.randn(16), torch.randn(16))
    live = view.live()
    assert isinstance(live, LiveView)
    names = [panel["name"] for panel in live.panels]
    assert {"stopwatch", "roofline", "sweep", "crossover"} <= set(names)


def test_the_same_from_python(monkeypatch):
    made_up = Ceilings("cpu", 1e10, 1e11, "Ceilings made up")
    monkeypatch.setitem(limits._found, ("cpu", torch.get_num_threads()), made_up)
    view = fusekit.fuse(scaled).explore(torch.randn(16), torch.randn(16))
    swept = view.sweep(8, 16, dtype="float64", seconds=0.1)
    assert repr(swept) == "Sweep(scaled)  2 sizes, 8 to 16"
    assert [point["size"] for point in swept.to_dict()["points"]] == [8, 16]
    assert "Roofline(scaled)  group 1: 192 B" in repr(view.roofline(seconds=0.3))
    assert view.crossover(sizes=[8, 16], budget_seconds=1.0).sizes == (8, 16)
    for found in (swept, view.roofline(seconds=0.3)):
        assert "data-fk-ready" in found._repr_html_()


def test_an_interrupt_keeps_what_was_measured():
    view = fusekit.fuse(scaled).explore(torch.randn(16), torch.randn(16))

    def stop(done, total, said):
        if done == 2:
            raise KeyboardInterrupt

    assert len(view.sweep(4, 8, 16, seconds=0.1, tell=stop).points) == 2


def test_a_recording_cannot_measure():
    view = fusekit.FusionView(models.lstm_cell())
    for ask in (view.sweep, view.roofline, view.crossover):
        with pytest.raises(UsageError, match="recording"):
            ask()


# the plot of a sweep


def points(*sizes):
    found = []
    for size in sizes:
        timing = models.lstm_cell()["timing"]
        for row in timing["rows"]:
            row["seconds"] *= size
            row["spread"] *= size
        found.append((size, timing))
    return found


def test_the_plot_has_a_mark_for_each_median():
    drawn = ET.fromstring(sweep_svg(points(4, 64, 1024)))
    marks = [each for each in drawn.iter() if each.get("class") == "fk-mark"]
    series = 5
    assert len(marks) == 3 * series + series  # and the legend's
    assert len({text.text for text in drawn.iter() if text.get("class") == "fk-name"}) == series


def test_the_table_says_the_same():
    html = sweep_html(points(64, 4), "faster <everywhere>")
    assert "faster &lt;everywhere&gt;" in html
    assert html.index(">4<") < html.index(">64<")
    assert html.count("<tr>") == 3
    assert "fused cpu: 9.64 ms at 4, 154 ms at 64" in sweep_alt(points(64, 4), "")


def test_one_size_and_none_can_be_shown():
    ET.fromstring(sweep_svg(points(7)))
    assert "Nothing measured" in sweep_html([], "")

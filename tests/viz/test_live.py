"""The live widget, without a browser: what it is told, and what it then holds."""

from __future__ import annotations

import html
import time

import pytest
import torch

import fusekit
from fusekit.errors import UsageError
from fusekit.viz import FusionView
from fusekit.viz.words import seconds_text
from tests.viz import models
from tests.viz.sessions import FakeSession


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def live(session, monkeypatch):
    widget = FusionView(models.lstm_cell(), live=session).live()
    widget.sent = []
    monkeypatch.setattr(widget, "send", widget.sent.append)
    return widget


def ask(live, content):
    live._asked(live, content, [])
    live.wait()


def test_it_shows_the_model_at_once_and_runs_nothing(live, session):
    assert session.asked == []
    assert (live.size, live.engine) == (1 << 20, "llvm")
    assert ">lstm_cell<" in live.html
    assert "<script" not in live.html


def test_a_question_is_answered(live, session):
    ask(live, {"rerun": 0.5, "size": 1024, "engine": "cpp"})
    assert session.asked == [(1024, "cpp")]
    assert "lstm_cell at 1024 on cpp" in live.html
    assert live.view.model["title"] == "lstm_cell at 1024 on cpp"
    assert live.sent == [{"done": 0.5}]
    assert (live.busy, live.error) == (False, "")


def test_an_error_is_shown_and_the_last_result_stays(live):
    before = live.html
    ask(live, {"rerun": 1, "size": 1024, "engine": "broken"})
    assert live.error == "RuntimeError: no compiler <b>here</b>"
    assert live.html == before
    assert live.busy is False
    assert live.sent == [{"done": 1}]
    ask(live, {"rerun": 2, "size": 1024, "engine": "cpp"})
    assert live.error == ""


@pytest.mark.parametrize("choice", [{"size": 7}, {"engine": "rm"}, {"size": "x"}, {"size": None}])
def test_what_is_not_among_the_choices_is_not_run(live, session, choice):
    ask(live, {"rerun": 1, **choice})
    assert session.asked == []
    assert "not among the choices" in live.error


@pytest.mark.parametrize("content", [None, "rerun", {}, {"size": 1}])
def test_other_messages_are_not_for_it(live, content):
    ask(live, content)
    assert live.sent == []


def panel(live, number=1, **fields):
    ask(live, {"panel": "echo", "number": number, "fields": {"pinned": "", **fields}})
    return live.sent[-1]


def test_a_panel_is_asked_with_what_its_form_holds(live):
    assert live.panels == [{"name": "echo", "title": "Echo", "note": "says what it was told"}]
    answer = panel(live, 7, word="<i>", pinned="3 4")
    assert (answer["panel"], answer["number"]) == ("echo", 7)
    assert f"&lt;i&gt; at {1 << 20} on llvm, pinned 3 4" in answer["html"]


def test_a_panel_that_fails_says_so_and_works_again(live):
    assert "RuntimeError: no &lt;b&gt;word&lt;/b&gt;" in panel(live, word="broken")["html"]
    assert "fine at" in panel(live, word="fine")["html"]
    ask(live, {"panel": "echo", "number": 1, "fields": None})
    assert "TypeError" in live.sent[-1]["html"]


def test_a_slow_panel_reports_and_can_be_stopped(live):
    live._asked(live, {"panel": "echo", "number": 1, "fields": {"pinned": "", "word": "slow"}}, [])
    while not live.sent:
        time.sleep(0.01)
    live._asked(live, {"cancel": "echo"}, [])
    live.wait()
    assert live.sent[0]["progress"]["total"] == 200
    assert "stopped" in live.sent[-1]["html"]
    assert live.sent[-2]["progress"]["done"] < 199
    live._asked(live, {"cancel": "no such panel"}, [])


def test_a_panel_that_waits_for_another_says_so_and_can_be_stopped_at_once(live):
    first = {"panel": "echo", "number": 1, "fields": {"pinned": "", "word": "slow"}}
    live._asked(live, first, [])
    live._asked(live, {"panel": "other", "number": 2, "fields": {"pinned": ""}}, [])
    live._asked(live, {"cancel": "other"}, [])
    second = [each for each in live.sent if each["panel"] == "other"]
    assert "waiting for what was asked before" in second[0]["progress"]["said"]
    assert "stopped" in second[-1]["html"]
    assert not any("html" in each for each in live.sent if each["panel"] == "echo")
    live._asked(live, {"cancel": "echo"}, [])
    live.wait()
    assert len([each for each in live.sent if each["panel"] == "other"]) == 2


def test_seams_have_times_once_the_bandwidth_is_known(session, monkeypatch):
    live = FusionView(models.gated_mlp(), live=session).live()
    live.sent = []
    monkeypatch.setattr(live, "send", live.sent.append)
    seams = live.model["seams"]
    assert seams
    assert "copy bandwidth" not in live.html
    session.rate = 1e9
    panel(live)
    times = [f"about {seconds_text(seam['bytes'] / 1e9)}" for seam in seams]
    assert all(f'<p class="fk-note">{time}</p>' in live.html for time in times)
    assert "at this machine's measured copy bandwidth, 1 GB a second" in html.unescape(live.html)
    assert live.sent[-1]["html"]  # the panel's own answer went first
    assert "copy bandwidth" not in live.view.html()
    drawn = live.html
    panel(live)
    assert live.html is drawn


def test_its_repr_holds_no_address(live):
    assert repr(live).startswith("live FusionView(lstm_cell)  1 group")
    bundle = live._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == repr(live)
    assert "text/html" not in data


def test_what_every_view_carries_is_small(live):
    assert len(live._esm) < 120_000
    assert len(live._css) < 60_000


def test_without_choices_there_is_nothing_live():
    session = FakeSession()
    session.sizes = list
    with pytest.raises(UsageError, match="at least one size"):
        FusionView(models.lstm_cell(), live=lambda: session).live()


def test_it_starts_at_the_size_of_the_call():
    live = fusekit.explore(lambda x: (x * 2).relu(), torch.rand(48, 3)).live()
    assert live.size == 48
    assert max(live.sizes) == 128

"""The quiz: what it asks, what it gives away, how it scores, what a class answered."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys

import pytest
import torch

import fusekit
from fusekit.errors import UsageError
from fusekit.viz import FusionView, load
from fusekit.viz.model.schema import new_model
from tests.viz import models
from tests.viz.parsed import Page

X, W = torch.ones(64, 64), torch.ones(64, 64)


def residual(x, w):
    h = torch.relu(x + 1)
    return torch.tanh(h @ w) + h


@pytest.fixture(scope="module")
def made():
    return fusekit.quiz(residual, X, W)


def record(made, **changes):
    truth = made.truth
    seam = next(
        (f"{e['source']} {e['target']}", code)
        for e, code in zip(truth.edges, truth.codes, strict=True)
        if code
    )
    return {
        "schema": "fusekit-quiz-answers",
        "version": 1,
        "quiz": truth.key,
        "name": "residual",
        "who": "",
        "kernels": dict(truth.kernels),
        "launches": truth.launches,
        "ratio": truth.ratio,
        "seam": seam[0],
        "code": seam[1],
        "edges": [],
        "points": 0,
        "most": 9,
        **changes,
    }


def test_it_asks_about_operators_and_edges(made):
    truth = made.truth
    assert repr(made) == "Quiz(residual)  5 operators · 5 edges"
    assert [node["label"] for node in truth.nodes] == ["add", "relu", "mm", "tanh", "add"]
    assert list(truth.kernels.values()) == [1, 1, 0, 2, 2]
    assert truth.codes.count("") == 2
    assert truth.launches == 3
    assert truth.ratio == 1.5


def test_the_questions_do_not_give_the_answers_away(made):
    page = made._repr_mimebundle_()["text/html"]
    asked = page[page.index('class="fk-body"') : page.index('<details class="fk-reveal">')]
    shown = re.sub(r'src="[^"]*"', "", asked)
    assert not re.search(r"group \d|FK01\d\d|PyTorch</td>|fk-c\d|seam", shown.replace('"seam"', ""))
    assert "Reveal the answers" in page
    assert page.index("FK0105: joining would make") > page.index("Reveal the answers")


def test_operators_are_asked_for_in_the_users_order_not_in_that_of_kernels():
    def two(x, w):
        a = torch.relu(x)
        b = torch.tanh(w[:32])
        return torch.sigmoid(a), torch.sigmoid(b)

    labels = [node["label"] for node in fusekit.quiz(two, X, W).truth.nodes]
    assert labels == ["relu", "tanh", "sigmoid", "sigmoid"]


def test_right_and_wrong_answers(made):
    assert str(made.score(record(made))) == (
        "9 of 9 points: 5 of 5 edges, launches right, ratio off by 1×, seam right, reason right"
    )
    kernels = dict.fromkeys(made.truth.kernels, 1)
    score = made.score(record(made, kernels=kernels, launches=1, ratio=6, code="FK0106"))
    assert score.edges.count(True) == 2
    assert not score.launches
    assert score.ratio == 4
    assert (score.seam, score.code) == (True, False)
    assert score.points == 3
    nothing = dict.fromkeys(made.truth.kernels)
    empty = made.score(record(made, kernels=nothing, launches=None, ratio=None, seam="", code=""))
    assert empty.points == 0


def test_where_all_fuses_no_edge_is_the_answer():
    quiz = fusekit.quiz(lambda x, w: torch.relu(x + w) * 2, X, W)
    given = {"seam": "none", "code": ""}
    base = {**record(fusekit.quiz(residual, X, W)), **given, "quiz": quiz.truth.key}
    score = quiz.score({**base, "kernels": dict(quiz.truth.kernels)})
    assert score.seam
    assert score.code


def test_answers_to_another_quiz_and_other_files_are_refused(made):
    with pytest.raises(UsageError, match="another quiz"):
        made.score(record(made, quiz="0"))
    with pytest.raises(UsageError, match="launches is missing"):
        made.score(record(made, launches="3"))
    with pytest.raises(UsageError, match="not a record"):
        made.score({})
    with pytest.raises(UsageError, match="less than two operators"):
        FusionView(new_model("f")).quiz()


def test_from_a_file_it_is_the_same_and_takes_no_torch(made, tmp_path):
    view = fusekit.explore(residual, X, W)
    path = view.save(tmp_path / "x.fk.json")
    loaded = load(path).quiz()
    assert loaded.truth == made.truth
    assert loaded.html() == made.html()
    code = (
        "import sys, fusekit\n"
        f"print(fusekit.load({str(path)!r}).quiz().save({str(tmp_path / 'q.html')!r}))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "q.html").read_text(encoding="utf-8") == made.html()


def test_without_scripts_it_is_text_tables_and_pictures(made):
    from fusekit.viz.quiz.page import quiz_block

    view = fusekit.explore(residual, X, W)
    found = Page(quiz_block(view.model, made.truth, hydrate=False))
    assert {tag for tag, _ in found.tags} <= {
        *("div", "span", "strong", "b", "p", "pre", "figure", "img", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td", "ol", "li"),
    }


def test_nothing_of_the_users_becomes_markup():
    quiz = FusionView(models.hostile()).quiz()
    text = quiz.html()
    found = Page(text)
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    data = json.loads(html.unescape(re.search(r'data-quiz="([^"]*)"', text)[1]))
    assert data["quiz"] == quiz.truth.key


def test_what_a_class_answered(made, tmp_path):
    def saved(number, **changes):
        edges = [{"edge": "a → b", "right": number > 1}, {"edge": "b → c", "right": True}]
        found = record(made, edges=edges, points=number, **changes)
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        return path

    paths = [
        saved(1, who="Ada"),
        saved(2, launches=4, ratio=3),
        saved(3, launches=None, ratio=None),
    ]
    found = fusekit.quiz_results(paths)
    assert found.edges[0].edge == "a → b"
    assert [item.wrong for item in found.edges] == [1, 0]
    assert found.launches == {3: 1, 4: 1}
    assert found.ratio == 2.25
    assert "a → b   33 % wrong (1)" in str(found)
    assert "Ada: 1 of 9" in repr(found)
    assert found.to_dict()["records"] == 3
    together = tmp_path / "all.json"
    together.write_text(json.dumps([json.loads(p.read_text()) for p in paths]), encoding="utf-8")
    assert fusekit.quiz_results([together]) == found
    with pytest.raises(UsageError, match="different quizzes"):
        fusekit.quiz_results([*paths, saved(4, quiz="other")])
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match=r"bad\.json: not a record"):
        fusekit.quiz_results([tmp_path / "bad.json"])
    with pytest.raises(UsageError, match="no records"):
        fusekit.quiz_results([])

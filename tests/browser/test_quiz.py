"""The quiz in a browser: answers by keyboard, score, reveal, the record; the ladder's slider."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import fusekit
from fusekit.viz.collect.fused import collect

pytestmark = pytest.mark.browser

X, W = torch.ones(64, 64), torch.ones(64, 64)


def residual(x, w):
    h = torch.relu(x + 1)
    return torch.tanh(h @ w) + h


def viewed(x, w):
    h = torch.relu(x + 1)
    return h.t() * 2, h + w


def test_answers_by_keyboard_are_scored_as_in_python(open_file):
    quiz = fusekit.quiz(residual, X, W)
    found = open_file(quiz.html(), color_scheme="dark")
    page = found.page
    page.locator(".fk-ask select").first.focus()
    for key in ("k", "k", "P", "k", "k"):  # kernel 1, or PyTorch; one press of Tab between
        page.keyboard.press(key)
        page.keyboard.press("Tab")
    page.locator(".fk-ask select").nth(3).select_option("2")
    page.get_by_label("launches").focus()
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("relu → mm")
    page.keyboard.press("Tab")
    page.keyboard.type("FK0105")
    page.get_by_label("your name").fill("Ada")
    page.get_by_role("button", name="Score the answers").focus()
    page.keyboard.press("Enter")
    said = page.locator(".fk-result").inner_text()
    assert said.startswith("6 of 9 points: 3 of 5 edges right, launches right, bytes off by 1.01×")
    assert said.endswith("seam right, reason wrong.")
    assert page.locator(".fk-reveal").get_attribute("open") is not None
    wrong = page.locator(".fk-wrong th").all_inner_texts()
    assert wrong == ["tanh → add 2", "relu → add 2"]
    assert page.locator(".fk-wrong details[open]").count() == 1
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the answers").click()
    assert download.value.suggested_filename == "residual-Ada.json"
    record = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    score = quiz.score(record)
    assert (score.points, score.most) == (record["points"], record["most"]) == (6, 9)
    assert [edge["right"] for edge in record["edges"]] == list(score.edges)
    found.shot("quiz-dark")


def test_no_key_of_a_quiz_reaches_the_notebook_and_views_leave_it_alone(notebook):
    cell = (
        "import torch, fusekit\n"
        "def f(x, w):\n    h = torch.relu(x + 1)\n    return torch.tanh(h @ w) + h\n"
        "q = fusekit.quiz(f, torch.ones(64, 64), torch.ones(64, 64))"
    )
    view = "fusekit.fuse(f).explore(torch.ones(8, 8), torch.ones(8, 8)).only('graph', 'why')"
    notebook.open(cell, view, "q", view).run_all()
    page = notebook.page
    page.wait_for_selector(".fk-quiz[data-fk-quiz] .fk-ask select")
    page.locator(".fk-ask select").first.focus()
    page.keyboard.press("a")
    page.keyboard.press("b")
    assert notebook.cells() == 4
    page.locator(".fk-submit").focus()
    page.keyboard.press("Enter")
    assert "0 of 9 points" in page.locator(".fk-result").inner_text()
    assert page.locator(".fk-quiz .fk-status").count() == 0
    assert page.locator(".fk-quiz .fk-pick select").count() == 5
    notebook.shot("quiz-lab", ".fk-quiz")


def test_the_ladder_is_walked_by_keys_and_pairs_are_sorted(open_file):
    view = collect(fusekit.fuse(residual, name="residual"), (X, W), {}, timing=False)
    found = open_file(view.html())
    page = found.page
    page.locator(".fk-ladder > summary").click()
    slider = page.get_by_label("step of the ladder")
    chips = page.locator(".fk-frame .fk-chip-op[data-n] b")
    assert chips.all_inner_texts() == ["1", "1", "2", "2"]
    slider.focus()
    page.keyboard.press("Home")
    assert chips.all_inner_texts() == ["1", "2", "3", "4"]
    assert "every operator for itself · 5 launches" in page.locator(".fk-frame p").inner_text()
    page.keyboard.press("ArrowRight")
    assert chips.all_inner_texts() == ["1", "1", "2", "3"]
    assert page.locator(".fk-rungs tr.fk-now th").inner_text() == "1"
    found.shot("ladder-light", ".fk-ladder")
    page.locator(".fk-fold > summary").click()
    page.get_by_role("button", name="Sort by pairs").click()
    counts = page.locator(".fk-pairs tbody td:last-child")
    assert counts.all_inner_texts() == ["1", "2"]
    page.get_by_role("button", name="Sort by pairs").click()
    assert counts.all_inner_texts() == ["2", "1"]


def test_a_seam_finds_both_operators_and_its_card_unfolds_by_keyboard(open_file):
    view = collect(fusekit.fuse(viewed, name="viewed"), (X, W), {}, timing=False)
    found = open_file(view.html(), color_scheme="dark")
    page = found.page
    page.locator(".fk-seams tr[data-v]").hover()
    marked = page.locator(".fk-user .fk-hi").all_inner_texts()
    assert [text.split()[1] for text in marked] == ["h", "return"]
    page.locator(".fk-card summary").focus()
    page.keyboard.press("Enter")
    checks = page.locator(".fk-checks li")
    assert checks.count() == 5
    assert checks.nth(1).inner_text().startswith("FK0104 applies: t of what relu computes")
    found.shot("seams-dark")


def test_a_step_of_the_ladder_is_measured_in_the_live_view(notebook):
    cell = (
        "import torch, fusekit\n"
        "def f(x, w):\n    h = torch.relu(x + 1)\n    return torch.tanh(h @ w) + h\n"
        "fusekit.fuse(f).explore(torch.ones(64, 64), torch.ones(64, 64)).live()"
    )
    notebook.open(cell).run_all()
    page = notebook.page
    page.wait_for_selector(".fk-live[data-state=ready]")
    page.locator("[data-panel=ladder] > summary").click()
    form = page.locator("[data-panel=ladder] form")
    form.get_by_label("step").select_option("0")
    form.get_by_role("button", name="measure this step").click()
    row = form.locator(".fk-steps tbody tr")
    row.wait_for()
    cells = row.locator("th,td").all_inner_texts()
    assert (cells[0], cells[1], cells[3]) == ("0", "5", "1.5×")
    assert " to " in cells[4]
    notebook.shot("ladder-measured", "[data-panel=ladder]")

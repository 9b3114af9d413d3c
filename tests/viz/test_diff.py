"""The difference of two texts, and the panel that shows it."""

from __future__ import annotations

import json
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit.errors import UsageError
from fusekit.runtime.engines import ENGINES
from fusekit.viz.code.diff import diff, find
from fusekit.viz.collect.fused import collect
from fusekit.viz.panels import Call, Progress
from fusekit.viz.panels.diff import DIFF
from fusekit.viz.view import FusionView
from tests.viz import models
from tests.viz.parsed import Page

WORDS = st.lists(st.sampled_from(["a = b", "a = c", "ret", "", "x < y & z"]), max_size=12)


def compared(old: list[str], new: list[str]):
    sources = [models.text_of("cpp", "\n".join(lines), "k", {}) for lines in (old, new)]
    return diff("old", sources[0], "new", sources[1])


def shown(html: str, *classes: str) -> list[str]:
    found = re.findall(r'<span class="fk-l (fk-\w+)"[^>]*>(.*?)\n</span>', html, re.DOTALL)
    bare = [(cls, re.sub(r'<span class="fk-no">.*?</span>', "", text)) for cls, text in found]
    return [
        Page(f"<p>{re.sub(r'<[^>]+>', '', text)}</p>").words
        for cls, text in bare
        if cls.removeprefix("fk-") in classes
    ]


@given(WORDS, WORDS)
def test_both_texts_are_in_it(old, new):
    found = compared(old, new)
    first = [line.text for line in found.lines if line.kind != "added"]
    second = [line.text for line in found.lines if line.kind != "removed"]
    assert "\n".join(first) == "\n".join(old).rstrip("\n")
    assert "\n".join(second) == "\n".join(new).rstrip("\n")
    assert [line.old for line in found.lines if line.old] == list(range(1, len(first) + 1))
    assert [line.new for line in found.lines if line.new] == list(range(1, len(second) + 1))
    for line in found.lines:
        assert all(0 <= start < end <= len(line.text) for start, end in line.marks)
    joined = ["".join(words) for words in shown(found.html, "same", "old")]
    assert joined == first
    assert (found.text == "") == (first == second)


def test_words_that_changed_are_marked():
    found = compared(["  vaddps %zmm0, %zmm1"], ["  vaddps %ymm0, %zmm1"])
    assert [line.text[slice(*line.marks[0])] for line in found.lines] == ["zmm0", "ymm0"]
    assert "<mark>zmm0</mark>" in found.html
    assert compared(["one thing"], ["quite {another};"]).lines[0].marks == ()


def test_equal_runs_are_folded_but_for_what_is_next_to_a_change():
    same = [f"line {n}" for n in range(20)]
    html = compared([*same, "a", *same], [*same, "b", *same]).html
    assert html.count("17 equal lines") == 2
    assert "fk-fold" not in compared([*same[:4], "a"], [*same[:4], "b"]).html


def test_it_prints_itself():
    found = compared(["a", "b"], ["a", "c"])
    assert str(found) == "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    said = "1 line only in old, 1 line only in new, 1 line in both"
    assert repr(found) == f"SourceDiff({said})"
    assert said in found._repr_html_()
    assert str(compared(["a"], ["a"])) == "the same text, 1 line\n"
    data = json.loads(json.dumps(found.to_dict()))
    assert data["lines"][1] == {"kind": "removed", "old": 2, "new": 0, "text": "b", "marks": []}


def test_nothing_of_a_text_becomes_markup():
    hostile = ["<script>alert(1)</script>\x1b[0m\u202e", "a < b"]
    html = compared(hostile, [*hostile[1:], "<b>"]).html
    found = Page(html)
    assert {tag for tag, _ in found.tags} <= {"pre", "span", "details", "summary", "mark"}
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_sources_are_found_by_the_names_of_their_tabs():
    view = FusionView(models.gated_mlp())
    found = view.diff("g1 cuda", ("g2", "CUDA"))
    assert (found.a, found.b) == ("g1 · cuda", "g2 · cuda")
    assert found.removed > 0
    assert find(models.lstm_cell(), "llvm")["language"] == "llvm"
    with pytest.raises(UsageError, match="no source 'g1 cobol' in this view; it holds 'g1 · cuda'"):
        view.diff("g1 cobol", "g2 cuda")
    with pytest.raises(UsageError, match="no source 'cuda'"):
        view.diff("cuda", "g2 cuda")


def scaled(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(x) * 2


@pytest.fixture(scope="module")
def view() -> FusionView:
    return collect(fusekit.fuse(scaled), (torch.ones(64),), {}, timing=False)


def panel(view: FusionView, **fields: str) -> str:
    call = Call(fusekit.fuse(scaled), (torch.ones(64),), {}, view.model, {})
    return DIFF.draw(call, {"pinned": "", **fields}, Progress())


def test_the_panel_shows_what_python_says(view):
    if len(ENGINES["llvm"].load_compiler().targets()) < 2:
        pytest.skip("machines are listed for x86-64 alone")
    html = panel(view, text="group 1 · asm", target="x86-64-v2")
    found = view.diff("group 1 asm", target="x86-64-v2")
    assert found.html in html
    assert found.headline in html
    assert found.removed > 0
    Page(html)
    assert '<option value="x86-64-v2" selected>' in html
    assert panel(view) != html  # the first answer compares with something, too


def test_the_panel_begins_with_the_assembly(view):
    html = panel(view, target="", engine="", fast="")
    assert '<option value="group 1 · asm" selected>' in html
    assert "the same text" in html
    assert panel(view, text="<b>", target="<b>", engine="<b>", fast="<b>") == html


def test_the_panel_compares_engines(view):
    if ENGINES["cpp"].unavailable():
        pytest.skip("no C++ compiler")
    html = panel(view, text="group 1 · llvm", engine="cpp", target="")
    assert "lines only in group 1 · llvm, cpp" in html
    assert "omp" in html


def test_the_panel_has_nothing_to_compare_without_a_kernel():
    def sized(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    given = (torch.ones(4, 4),)
    empty = collect(fusekit.fuse(sized), given, {}, timing=False).model
    call = Call(fusekit.fuse(sized), given, {}, empty, {})
    with pytest.raises(UsageError, match="no kernel of this call"):
        DIFF.draw(call, {"pinned": ""}, Progress())

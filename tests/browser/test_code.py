"""Every level of code in a browser: links through all of them, beside, interleaved, compared."""

from __future__ import annotations

import functools

import pytest
import torch

import fusekit
from fusekit.viz import FusionView
from fusekit.viz.collect.fused import collect
from fusekit.viz.page import page as page_of
from tests.browser.test_page import CONTRAST
from tests.viz import models

pytestmark = pytest.mark.browser

PANEL = """import torch, fusekit
def gated(x, y):
    return torch.tanh(x + y) * torch.sigmoid(x)
view = fusekit.fuse(gated).explore(torch.ones(64, 64), torch.ones(64, 64))
live = view.live()
live"""


def gated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    h = torch.tanh(x + y) * torch.sigmoid(x)
    z = h @ h
    return torch.relu(z) / (y.abs() + 1)


@functools.cache
def view() -> FusionView:
    given = (torch.ones(64, 64), torch.ones(64, 64))
    return collect(fusekit.fuse(gated), given, {}, timing=False).only(
        languages=["llvm", "asm", "ptx", "sass", "cuda", "ir"]
    )


@functools.cache
def sources() -> FusionView:
    return view().only(languages=["cuda", "ir"])


def node(label: str) -> str:
    return f".fk-node:has(text:text-is('{label}')) >> nth=0"


def lines(page, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def languages(page, group: str = "g1") -> set[str]:
    """Of the texts in which something is pinned."""
    return {
        name.split(" · ")[1].split()[0]
        for name in page.locator(".fk-src:has(.fk-l.fk-pin) > summary").all_text_contents()
        if name.startswith("group 1" if group == "g1" else "group 2")
    }


def test_a_node_is_found_in_every_language(open_file):
    page = open_file(view().html()).page
    page.locator(node("tanh")).click()
    assert lines(page, ".fk-user .fk-pin") == [f"{gated_line(1)} {HELD}"]
    found = languages(page)
    assert found >= {"llvm", "cuda", "ir"}
    if "asm" in {source["language"] for source in view().model["sources"]}:
        assert "asm" in found
    assert languages(page, "g2") == set()


HELD = "h = torch.tanh(x + y) * torch.sigmoid(x)"


def gated_line(offset: int) -> int:
    return gated.__code__.co_firstlineno + offset


def test_an_instruction_finds_node_and_line(open_file):
    page = open_file(view().html()).page
    page.get_by_role("tab", name="group 1 · asm", exact=True).click()
    (value,) = {n["value"] for n in view().model["graph"]["nodes"] if n["label"] == "tanh"}
    line = page.locator(f".fk-src:not([hidden]) .fk-l[data-v='{value}']").first
    assert line.is_visible()
    line.click()
    assert page.locator(".fk-node.fk-pin text.fk-label").all_text_contents() == ["tanh"]
    assert lines(page, ".fk-user .fk-pin") == [f"{gated_line(1)} {HELD}"]


def test_two_texts_beside_each_other(open_file):
    found = open_file(view().html())
    page = found.page
    page.get_by_role("button", name="Beside", exact=True).click()
    shown = page.locator(".fk-src:not([hidden])")
    assert shown.count() == 2
    left, right = (shown.nth(i).bounding_box() for i in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    page.get_by_label("left").select_option(label="group 1 · asm")
    assert page.get_by_label("left").evaluate("e => e === document.activeElement")
    names = page.locator(".fk-src:not([hidden]) > summary").all_text_contents()
    assert sorted(names) == ["group 1 · asm", "group 1 · llvm"]
    # what was there goes to the other side
    assert page.get_by_label("right").evaluate("e => e.selectedOptions[0].text") == "group 1 · llvm"
    page.locator(node("tanh")).click()
    for pre in page.locator(".fk-src:not([hidden]) pre").all():
        box = pre.bounding_box()
        marks = [mark.bounding_box() for mark in pre.locator(".fk-pin").all()]
        assert any(box["y"] <= m["y"] <= box["y"] + box["height"] for m in marks)
    found.shot("code-beside-light", ".fk-code.fk-sec")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_generated_lines_stand_under_the_users(open_file, scheme):
    found = open_file(view().html(), color_scheme=scheme)
    page = found.page
    page.get_by_role("button", name="Interleaved", exact=True).click()
    page.get_by_label("under each line").select_option(label="llvm")
    values = {
        line: {str(n["value"]) for n in view().model["graph"]["nodes"] if n["line"] == line}
        for line in (gated_line(1), gated_line(3))
    }
    under: dict[int, list[str]] = {}
    current = 0
    for line in page.locator(".fk-interleaved > .fk-l").all():
        if line.get_attribute("data-l"):
            current = int(line.get_attribute("data-l"))
        else:
            under.setdefault(current, []).append(line.get_attribute("data-v") or "")
    assert set(under) >= set(values)
    for line, wanted in values.items():
        assert all(wanted & set(found.split()) for found in under[line])
        assert wanted <= {value for found in under[line] for value in found.split()}
    text = page.locator(".fk-interleaved").inner_text()
    assert "@tanh_f32(" in text.partition("z = h @ h")[0]
    assert page.locator(".fk-rest > summary").inner_text().startswith("no line of yours: ")
    assert not page.locator(".fk-user").is_visible()
    page.locator(".fk-interleaved .fk-made[data-v]").first.click()
    assert page.locator(".fk-node.fk-pin").count() >= 1
    found.shot(f"code-interleaved-{scheme}", ".fk-code.fk-sec")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_two_kernels_are_compared(open_file, scheme):
    found = open_file(sources().html(), color_scheme=scheme)
    page = found.page
    page.get_by_role("button", name="Diff", exact=True).click()
    page.get_by_label("from").select_option(label="group 1 · cuda")
    page.get_by_role("combobox", name="to", exact=True).select_option(label="group 2 · cuda")
    wanted = sources().diff("group 1 cuda", "group 2 cuda")
    removed = page.locator(".fk-diff .fk-old").count()
    added = page.locator(".fk-diff .fk-new").count()
    same = page.locator(".fk-diff .fk-same").count()
    total = sources().source("cuda", group="g1").rstrip("\n").count("\n") + 1
    assert removed + same == total  # nothing is lost, whatever the alignment
    assert removed <= wanted.removed  # the longest common part, where difflib has a long one
    assert added - removed == wanted.added - wanted.removed
    assert page.locator(".fk-woven [role=status]").inner_text().startswith(f"{removed} lines only")
    assert "tanh" in page.locator(".fk-diff").inner_text()
    assert page.locator(".fk-diff mark").count() > 0
    fold = page.locator(".fk-diff .fk-fold").first
    assert not fold.locator(".fk-l").first.is_visible()
    fold.locator("summary").click()
    assert fold.locator(".fk-l").first.is_visible()
    found.shot(f"code-diff-{scheme}", ".fk-code.fk-sec")


def test_a_text_is_the_same_as_itself(open_file):
    page = open_file(view().html()).page
    page.get_by_role("button", name="Diff", exact=True).click()
    names = page.get_by_label("from").locator("option").all_text_contents()
    first, second = (names.index(f"group {n} · ir") for n in (1, 2))
    page.get_by_label("from").select_option(index=first)
    page.get_by_role("combobox", name="to", exact=True).select_option(index=second)
    assert page.locator(".fk-diff .fk-l").count() > 5
    page.get_by_role("button", name="Tabs", exact=True).click()
    assert page.locator(".fk-woven").is_hidden()
    assert page.locator(".fk-src:not([hidden])").count() == 1


def test_the_panel_compares_with_another_machine(notebook):
    found = notebook.open(PANEL).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    page.locator(".fk-panel[data-panel=diff] > summary").click()
    panel = page.locator(".fk-panel[data-panel=diff]")
    panel.locator(".fk-diff").wait_for()
    said = panel.locator(".fk-note")
    target = panel.get_by_label("machine")
    if target.count() == 0:
        pytest.skip("machines are listed for x86-64 alone")
    target.select_option("x86-64-v2")
    said.get_by_text("group 1 · asm, x86-64-v2").wait_for()
    assert "xmm" in panel.locator(".fk-diff .fk-new").first.inner_text() or (
        panel.locator(".fk-diff .fk-new", has_text="%xmm").count() > 0
    )
    panel.locator(".fk-diff .fk-l[data-v]").first.click()
    assert page.locator(".fk-node.fk-pin").count() >= 1
    found.shot("code-panel-light", ".fk-live")
    target.select_option("")
    said.get_by_text("the same text").wait_for()
    wanted = found.py("view.diff('group 1 asm', target='x86-64-v2').removed > 0")
    assert wanted == "True"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_boxes_are_shaded_by_what_they_cost(open_file, scheme):
    found = open_file(page_of(models.gated_mlp()), color_scheme=scheme)
    lines = found.page.locator(".fk-user .fk-l[data-l]")
    plain = lines.all_inner_texts()
    menu = found.page.get_by_role("combobox", name="shade lines by")
    menu.select_option("bytes")
    figures = lines.locator(".fk-figure")
    assert figures.all_inner_texts() == ["", "32 MiB", "48 MiB", "48 MiB"]
    assert figures.nth(2).get_attribute("title") == "48 MiB that this line moves through memory"
    share = "e => Number(getComputedStyle(e).getPropertyValue('--fk-share') || 0)"
    shares = [line.evaluate(share) for line in lines.all()]
    assert shares == [0, pytest.approx(2 / 3, 0.01), 1, 1]
    found.page.get_by_role("button", name="Shade by bytes").click()
    figures = found.page.locator(".fk-node .fk-figure").all_text_contents()
    assert figures == ["16 MiB", "8 KiB", "16 MiB", "48 MiB", "16 MiB", "32 MiB"]
    assert found.page.evaluate(CONTRAST) == []
    found.shot(f"heat-{scheme}", ".fk-view")
    found.page.locator(".fk-svg .fk-fold").first.click()
    assert found.page.locator(".fk-k-group .fk-figure").count() == 1
    menu.select_option("nothing")
    assert lines.all_inner_texts() == plain
    assert found.page.locator(".fk-l.fk-hot").count() == 0

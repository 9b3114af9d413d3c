"""Finding one's way in a view: by keys and ears, by searching, by the card, by highlights."""

from __future__ import annotations

import pytest

from fusekit.viz import FusionView
from fusekit.viz.outline.outline import outline
from fusekit.viz.page import page
from tests.viz import models

pytestmark = pytest.mark.browser

LIVE = """from fusekit.viz import FusionView
from tests.viz import models
from tests.viz.sessions import FakeSession
FusionView(models.gated_mlp(), live=FakeSession()).live()"""


def node(label: str, at: int = 0) -> str:
    return f".fk-node:has(text:text-is('{label}')) >> nth={at}"


def said(found) -> str:
    return found.page.locator(".fk-said-walk").inner_text()


def walk(found, *keys: str) -> list[str]:
    """Press keys in the graph; return the first word of each sentence that was said."""
    heard = []
    for key in keys:
        found.page.keyboard.press(key)
        heard.append(said(found).split(",")[0].split(":")[0].rstrip("."))
    return heard


def focus_graph(found) -> None:
    """Reach the graph by the Tab key alone."""
    for _ in range(60):
        if found.page.evaluate("document.activeElement.matches('.fk-canvas')"):
            return
        found.page.keyboard.press("Tab")
    pytest.fail("the Tab key does not reach the graph")


def marked(found, cls: str) -> list[str]:
    return found.page.locator(f".fk-node.{cls} text.fk-label").all_text_contents()


def test_the_walk_follows_the_data_the_outline_and_the_landmarks(open_file):
    found = open_file(page(models.gated_mlp()))
    focus_graph(found)
    assert said(found) == "4 inputs."
    assert walk(found, "ArrowDown", "Enter", "Enter") == [
        "2 groups and 1 operator run by PyTorch",
        "g1",
        "mul",
    ]
    assert walk(found, "ArrowDown", "ArrowDown", "ArrowDown") == [
        "add",
        "relu",
        "relu is the last here",
    ]
    assert walk(found, "ArrowRight", "ArrowRight", "ArrowDown") == ["mm", "sigmoid", "mul 2"]
    assert said(found).endswith("(2 of 2 that read mm)")
    assert walk(found, "ArrowLeft", "ArrowDown", "Backspace") == [
        "sigmoid",
        "mm",
        "2 groups and 1 operator run by PyTorch",
    ]
    assert walk(found, "o", "Enter", "ArrowLeft", "Backspace") == [
        "1 output",
        "output out 0",
        "add 2",
        "g2",
    ]
    assert walk(found, "i", "Enter", "End", "Home") == [
        "4 inputs",
        "input x",
        "number scale",
        "input x",
    ]
    assert walk(found, "Shift+ArrowRight", "Shift+ArrowDown") == ["number scale", "mul"]
    assert marked(found, "fk-at") == ["mul"]


def test_missed_fusions_come_one_after_the_other(open_file):
    found = open_file(page(models.noisy_relu()))
    focus_graph(found)
    heard = walk(found, *"ffffff")
    assert heard == [
        *("rand_like", "index_put_", "cumsum", "seam 1 of 2", "seam 2 of 2", "rand_like"),
    ]
    assert walk(found, "f", "f", "f", "ArrowRight", "ArrowLeft")[-2:] == ["g1", "rand_like"]


def test_where_everything_is_fused_no_fusion_is_missed(open_file):
    found = open_file(page(models.lstm_cell()))
    focus_graph(found)
    assert walk(found, "f") == ["everything is fused"]


def test_what_is_said_is_the_outline_of_the_page_word_for_word(open_file):
    model = models.gated_mlp()
    found = open_file(page(model))
    focus_graph(found)
    spoken = {said(found)}
    for mark in "igso":
        walk(found, mark)
        spoken.add(said(found))
        for entry in next(e for e in outline(model) if e.key[0] == mark).below:
            walk(found, *("Enter",) * (not said(found).startswith(entry.sentence)))
            spoken.add(said(found))
            for number, _ in enumerate(entry.below):
                walk(found, "ArrowDown" if number else "Enter")
                spoken.add(said(found))
            walk(found, *("Backspace",) * bool(entry.below), "ArrowDown")
    everything = {e.sentence for e in outline(model)}
    everything |= {b.sentence for e in outline(model) for b in e.below}
    everything |= {c.sentence for e in outline(model) for b in e.below for c in b.below}
    assert everything <= spoken


def test_lines_of_the_kernel_and_back(open_file):
    found = open_file(page(models.gated_mlp()))
    focus_graph(found)
    walk(found, "g", "Enter", "End", "Enter", "ArrowDown")
    focused = "document.activeElement.innerText.trim().replace(/\\s+/g, ' ')"
    found.page.keyboard.press("l")
    assert found.page.evaluate(focused) == "7 const float t6 = t5 * x0[i];"
    assert found.page.get_by_role("tab", selected=True, name="g2 · cuda").is_visible()
    found.page.keyboard.press("l")
    assert found.page.evaluate(focused) == "6 return torch.sigmoid(y) * y + x"
    found.page.keyboard.press("r")
    assert found.page.evaluate(focused) == "7 const float t6 = t5 * x0[i];"
    found.page.keyboard.press("r")
    assert found.page.evaluate("document.activeElement.matches('.fk-canvas')")
    assert said(found).startswith("mul 2, ")
    found.page.keyboard.press("r")
    assert found.page.locator(".fk-status").inner_text() == "nothing to return to"
    found.page.locator(".fk-user .fk-l[data-l='5']").focus()
    found.page.keyboard.press("g")
    assert said(found).startswith("mm, ")


def test_escape_lets_go_and_then_gives_the_focus_back(open_file):
    found = open_file(page(models.gated_mlp()))
    focus_graph(found)
    walk(found, "i", "Enter", "Enter")
    assert marked(found, "fk-pin") == ["x"]
    found.page.keyboard.press("Escape")
    assert marked(found, "fk-pin") == []
    assert found.page.evaluate("document.activeElement.matches('.fk-canvas')")
    found.page.keyboard.press("Escape")
    assert found.page.evaluate("document.activeElement === document.body")


def test_the_list_of_keys(open_file):
    found = open_file(page(models.lstm_cell()))
    focus_graph(found)
    found.page.keyboard.press("?")
    keys = found.page.get_by_role("region", name="keys")
    assert "the next missed fusion" in keys.inner_text()
    assert found.page.evaluate("document.activeElement.className") == "fk-help"
    found.page.keyboard.press("Escape")
    assert not keys.is_visible()
    assert found.page.evaluate("document.activeElement.matches('.fk-canvas')")


@pytest.mark.parametrize(
    ("label", "mode", "inside"),
    [
        ("relu", "upstream", {"x", "b", "scale: f64", "mul", "add", "relu"}),
        ("relu", "downstream", {"relu", "mm", "sigmoid", "mul", "add", "out 0"}),
        ("relu", "neighbours", {"add", "relu", "mm"}),
        ("sigmoid", "neighbours", {"mm", "sigmoid", "mul"}),
    ],
)
def test_a_highlight_fades_the_rest(open_file, label, mode, inside):
    found = open_file(page(models.gated_mlp()))
    found.page.locator(node(label)).click()
    pressed = found.page.get_by_role("button", name=f"{mode} of")
    pressed.click()
    assert pressed.get_attribute("aria-pressed") == "true"
    here = found.page.locator(".fk-node.fk-in text:first-of-type").all_text_contents()
    assert set(here) == inside
    faded = found.page.locator(".fk-node:not(.fk-in)").first
    assert faded.evaluate("e => getComputedStyle(e).opacity") == "0.2"
    pressed.click()
    assert found.page.locator(".fk-in").count() == 0


def test_a_highlight_follows_what_is_pinned(open_file):
    found = open_file(page(models.gated_mlp()))
    focus_graph(found)
    walk(found, "i", "Enter", "d")
    assert said(found) == "input x: 8 depend on it"
    first = set(marked(found, "fk-in"))
    found.page.locator(node("mm")).click()
    assert set(marked(found, "fk-in")) < first
    edges = found.page.locator(".fk-edge.fk-in").count()
    assert edges == 5
    found.page.locator(".fk-canvas").press("d")
    assert found.page.locator(".fk-in").count() == 0
    found.page.locator(".fk-canvas").press("Escape")
    found.page.get_by_role("button", name="both ways").click()
    assert found.page.locator(".fk-in").count() > 0  # of where the walk is


def card(found):
    return found.page.locator(".fk-about")


def test_the_card_of_an_operator(open_file):
    found = open_file(page(models.gated_mlp()))
    found.page.locator(node("mul", 1)).click()
    text = card(found).inner_text()
    parts = ("aten.mul.Tensor", "f32[2048,2048]", "6: return torch.sigmoid(y) * y + x", "g2")
    for part in (*parts, "fk_0f1e2d3c4b5a", "sigmoid(y) * y: 32 MiB eager, removed fused"):
        assert part in text, part
    card(found).get_by_role("button", name="sigmoid: go there").click()
    assert said(found).startswith("sigmoid, ")
    found.page.keyboard.press("r")
    card(found).get_by_role("button", name="its source").click()
    assert found.page.evaluate("document.activeElement.matches('.fk-generated .fk-l')")
    card(found).get_by_role("button", name="ledger").click()
    assert found.page.locator(".fk-bytes").get_attribute("open") is not None
    assert found.page.evaluate("document.activeElement.innerText").startswith("sigmoid(y) * y")
    card(found).get_by_role("button", name="Let go").click()
    assert not card(found).is_visible()


def test_the_card_of_a_declined_operator_and_of_a_seam(open_file):
    found = open_file(page(models.noisy_relu()))
    found.page.locator(node("index_put_")).click()
    text = card(found).inner_text()
    assert "FK0110 writes to a tensor that others still see" in text.replace("\n", " ")
    assert "torch.where(mask, 0, y)" in text
    assert "fusekit why FK0110" in text
    found.page.locator(".fk-badge").last.click()
    text = card(found).inner_text()
    assert text.startswith("seam 2 of 2")
    assert "32 MiB, 1 launch" in text
    assert "y = torch.where(mask, 0, y) joins g1" in text
    assert card(found).locator("a").count() == 0


def test_the_card_of_an_edge_and_of_a_group(open_file):
    found = open_file(page(models.gated_mlp()))
    found.page.locator(".fk-edge[data-e='n4 n5'] .fk-wide").dispatch_event("click")
    assert "inside the kernel of g1: never to memory" in card(found).inner_text()
    found.page.locator(".fk-edge[data-e='n0 n10'] .fk-wide").dispatch_event("click")
    text = card(found).inner_text()
    assert "through memory" in text
    assert "input x" in text
    found.page.locator(".fk-groups tbody tr").first.click()
    assert "fk_a1b2c3d4e5f6" in card(found).inner_text()
    assert card(found).get_by_role("button", name="relu: go there").is_visible()


def test_what_is_clicked_stays_where_it_is_when_the_card_opens(open_file):
    found = open_file(page(models.gated_mlp()))
    found.page.set_viewport_size({"width": 1000, "height": 600})
    line = found.page.locator(".fk-user .fk-l[data-l='5']")
    line.scroll_into_view_if_needed()
    before = line.bounding_box()["y"]
    line.click()
    assert card(found).evaluate("e => e.offsetHeight") > 100
    assert line.bounding_box()["y"] == pytest.approx(before, abs=1)
    found.page.wait_for_timeout(100)
    assert line.bounding_box()["y"] == pytest.approx(before, abs=1)


def find(found, text: str) -> str:
    field = found.page.get_by_role("searchbox")
    field.fill(text)
    return found.page.locator(".fk-found-said").inner_text()


def test_searching(open_file):
    found = open_file(page(models.gated_mlp()))
    found.page.locator(".fk-canvas").focus()
    found.page.keyboard.press("/")
    assert found.page.evaluate("document.activeElement.type") == "search"
    assert find(found, "sigmoid") == "5 matches"
    chips = found.page.locator(".fk-chips button").all_inner_texts()
    assert chips == ["1 node", "1 your line", "1 kernel line", "2 tensors"]
    assert marked(found, "fk-found") == ["sigmoid"]
    assert found.page.locator(".fk-user .fk-found").count() == 1
    assert find(found, "nothing of that kind") == "no match"
    assert found.page.locator(".fk-found").count() == 0
    assert find(found, "aten.mm f32") == "2 matches"
    assert found.page.locator(".fk-chips button").all_inner_texts() == ["1 node", "1 reason"]
    assert find(found, "f64") == "1 node"
    assert find(found, "2048,2048 mul") == "2 nodes"
    found.page.keyboard.press("Enter")
    assert marked(found, "fk-found-at") == ["mul"]
    assert found.page.locator(".fk-found-said").inner_text().startswith("1 of 2, node: mul, ")
    found.page.keyboard.press("Enter")
    found.page.keyboard.press("Enter")
    assert found.page.locator(".fk-found-said").inner_text().startswith("1 of 2")
    found.page.keyboard.press("Shift+Enter")
    assert found.page.locator(".fk-found-said").inner_text().startswith("2 of 2, node: mul 2")
    assert find(found, "FK0101") == "6 matches"
    found.page.get_by_role("button", name="2 seams").click()
    assert found.page.locator(".fk-found-said").inner_text() == "2 matches"
    assert find(found, "line 5") == "1 node"
    found.page.keyboard.press("Escape")
    assert found.page.locator(".fk-found").count() == 0
    assert found.page.evaluate("document.activeElement.matches('.fk-canvas')")


def test_a_match_in_a_folded_part_comes_to_light(open_file):
    found = open_file(page(models.lstm_cell()))
    assert find(found, "define void") == "1 kernel line"
    found.page.keyboard.press("Enter")
    assert found.page.get_by_role("tab", selected=True, name="g1 · llvm").is_visible()
    assert find(found, "f * cx 16 MiB") == "1 tensor"
    assert not found.page.locator(".fk-ledger").is_visible()
    found.page.keyboard.press("Enter")
    assert found.page.locator(".fk-ledger tr.fk-found-at").is_visible()


def test_the_ruler_shows_partners_and_goes_there(open_file):
    found = open_file(page(models.lstm_cell()))
    pre = found.page.locator(".fk-generated pre >> visible=true")
    ruler = found.page.locator(".fk-generated .fk-ruler >> visible=true")
    found.page.locator(node("mul", 2)).click()
    found.page.wait_for_selector(".fk-ruler .fk-tick-pin >> visible=true")
    inside = """e => { const p = e.closest('pre').getBoundingClientRect();
        const r = e.getBoundingClientRect();
        return Math.abs(r.top + r.bottom - p.top - p.bottom) / 2; }"""
    line = found.page.locator(".fk-generated .fk-l.fk-pin >> visible=true")
    assert pre.evaluate("e => e.scrollTop") > 0
    pre.evaluate("e => { e.scrollTop = 0; }")
    away = line.evaluate(inside)
    ruler.click(position={"x": 6, "y": ruler.bounding_box()["height"] - 8})
    assert line.evaluate(inside) < away
    found.page.locator(".fk-user .fk-l[data-l='12']").hover()
    found.page.wait_for_selector(".fk-ruler .fk-tick-hi >> visible=true")
    assert found.page.locator(".fk-user .fk-ruler").is_hidden()  # a short text needs none


def test_a_line_without_partners_says_so_and_clears(open_file):
    found = open_file(page(models.lstm_cell()))
    found.page.locator(node("tanh")).click()
    assert found.page.locator(".fk-pin").count() > 0
    first = found.page.locator(".fk-generated .fk-l >> visible=true").first
    first.dispatch_event("click")
    assert found.page.locator(".fk-pin").count() == 0
    assert found.page.locator(".fk-status").inner_text().startswith("no link")
    found.page.locator(".fk-status").hover()
    assert found.page.locator(".fk-hi").count() == 0
    first.press("l")
    assert found.page.locator(".fk-status").inner_text().startswith("no link")
    assert not card(found).is_visible()


def test_motion_and_colours_can_be_the_readers(open_file):
    found = open_file(page(models.gated_mlp()), reduced_motion="reduce", forced_colors="active")
    slow = """[...document.querySelectorAll('.fk-view, .fk-view *')]
        .flatMap(e => ['', '::before', '::after'].map(p => getComputedStyle(e, p || null)))
        .filter(s => parseFloat(s.transitionDuration) && s.transitionProperty !== 'none').length"""
    assert found.page.evaluate(slow) == 0
    found.page.locator(node("mm")).click()
    line = found.page.locator(".fk-user .fk-l.fk-pin")
    assert line.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    text = found.page.locator(node("mm")).locator("text").first
    rect = found.page.locator(node("mm")).locator("rect").first
    fill = "e => getComputedStyle(e).fill"
    assert text.evaluate(fill) != rect.evaluate(fill)
    found.shot("walk-forced")


def test_without_a_picture_the_graph_is_walked_all_the_same(open_file, monkeypatch):
    monkeypatch.setattr("fusekit.viz.picture.graph.lay_out", lambda *_, **__: None)
    found = open_file(page(models.gated_mlp()))
    assert found.page.locator("svg").count() == 0
    focus_graph(found)
    assert walk(found, "g", "Enter", "Enter", "ArrowDown")[-1] == "add"
    found.page.keyboard.press("l")
    assert found.page.evaluate("document.activeElement.matches('.fk-generated .fk-l')")


@pytest.mark.parametrize("section", ["source", "why", "bytes"])
def test_a_view_without_its_graph_is_searched_and_listed_all_the_same(open_file, section):
    view = FusionView(models.gated_mlp()).only(section)
    found = open_file(view._repr_mimebundle_()["text/html"])
    assert found.page.locator(".fk-view[data-fk-ready]").count() == 1
    found.page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    found.page.locator(".fk-l, tr[data-v]").first.click()
    for key in ("l", "g", "r", "?", "?"):
        found.page.keyboard.press(key)
    find(found, "mm" if section == "why" else "y")
    found.page.keyboard.press("Enter")
    assert found.page.locator(".fk-found-at").count() == 1


def test_by_keys_alone_in_jupyterlab(notebook):
    found = notebook.open(LIVE).run_all()
    page_, before = found.page, found.cells()
    page_.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    focus_graph(found)
    assert said(found) == "4 inputs."
    assert walk(found, "g", "Enter", "Enter", "ArrowDown", "b", "Enter", "f")[-1] == "mm"
    assert walk(found, "ArrowRight", "Enter")[0] == "sigmoid"
    page_.keyboard.press("l")
    assert page_.evaluate("document.activeElement.innerText").strip().startswith("6")
    for key in ("a", "b", "d", "d", "ArrowDown", "r"):
        page_.keyboard.press(key)
    assert said(found).startswith("sigmoid, ")
    for _ in range(20):  # to the card, and on to what it names
        page_.keyboard.press("Tab")
        if page_.evaluate("document.activeElement.matches('.fk-about dd button')"):
            break
    page_.keyboard.press("Enter")
    assert page_.evaluate("document.activeElement.innerText").strip().startswith("6")
    page_.keyboard.press("r")
    page_.keyboard.press("Escape")
    page_.locator(".fk-canvas").focus()
    page_.keyboard.press("/")
    page_.keyboard.type("relu")
    page_.keyboard.press("Enter")
    assert marked(found, "fk-found-at") == ["relu"]
    page_.keyboard.press("Escape")
    assert page_.evaluate("document.activeElement.matches('.fk-canvas')")
    for _ in range(60):
        page_.keyboard.press("Tab")
        if page_.evaluate("document.activeElement.matches('.fk-panel > summary')"):
            break
    page_.keyboard.press("Enter")
    page_.wait_for_selector(".fk-panel[data-drawn]")
    page_.keyboard.press("Tab")
    page_.keyboard.type("ab")
    page_.keyboard.press("Enter")
    page_.locator(".fk-said-back").get_by_text("ab at 1048576 on llvm, pinned 8").wait_for()
    found.shot("walk-lab", ".fk-live")
    page_.keyboard.press("Shift+Tab")
    page_.keyboard.press("Enter")
    assert not page_.locator(".fk-panel").evaluate("e => e.open")
    assert found.cells() == before
    # Nothing was scrolled that a reader could not scroll back.
    stuck = """[...document.querySelectorAll('html, body, body *')]
        .filter(e => e.scrollTop && getComputedStyle(e).overflowY === 'hidden').length"""
    assert page_.evaluate(stuck) == 0
    page_.locator(".fk-canvas").focus()
    page_.keyboard.press("Escape")
    page_.keyboard.press("Escape")
    assert page_.evaluate("!!document.activeElement.closest('.jp-Notebook')")
    assert not page_.evaluate("!!document.activeElement.closest('.fk-view')")


def test_the_view_follows_jupyterlabs_theme_while_it_is_open(notebook):
    found = notebook.open(LIVE).run_all()
    found.page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    found.page.locator(node("mm")).click()
    colours = "getComputedStyle(document.querySelector('.fk-view')).colorScheme"
    assert found.page.evaluate(colours) == "light"
    found.theme("JupyterLab Dark")
    found.page.wait_for_function(f"{colours} === 'dark'")
    found.shot("walk-dark", ".fk-live")
    theme = found.page.get_by_role("button", name="theme")
    theme.click()
    assert found.page.evaluate(colours) == "light"
    theme.click()  # back to what JupyterLab has, and so following it again
    found.theme("JupyterLab Light")
    found.page.wait_for_function(f"{colours} === 'light'")

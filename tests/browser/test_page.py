"""The report as a page of its own: hydration, links, keys, themes, what fits."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from fusekit.viz.page import SECTIONS, block, page
from tests.viz import models

pytestmark = pytest.mark.browser


def node(label: str, at: int = 0) -> str:
    return f".fk-node:has(text:text-is('{label}')) >> nth={at}"


def texts(found, selector: str) -> list[str]:
    return [text.strip() for text in found.page.locator(selector).all_inner_texts()]


def test_a_node_finds_its_partners(open_file):
    found = open_file(page(models.lstm_cell()))
    found.page.locator(".fk-bytes > summary").click()
    found.page.locator(node("tanh")).hover()
    assert texts(found, ".fk-user .fk-hi") == ["15     cy = f * cx + i * g.tanh()"]
    assert texts(found, ".fk-generated .fk-l.fk-hi >> visible=true") == [
        "22       const float t9 = fk_tanh_f32(g);"
    ]
    assert texts(found, ".fk-ledger tr.fk-hi th") == ["tanh(g)"]
    status = found.page.locator(".fk-status").inner_text()
    assert status.startswith("tanh · line 15 · ")
    assert "tanh(g): 16 MiB eager, removed fused" in status


def test_a_line_of_the_user_finds_its_nodes(open_file):
    found = open_file(page(models.lstm_cell()))
    found.page.locator(".fk-user .fk-l[data-l='14']").hover()
    assert found.page.locator(".fk-node.fk-hi").count() == 3
    found.page.locator(".fk-status").hover()
    assert found.page.locator(".fk-hi").count() == 0


def test_a_generated_line_and_a_ledger_row_find_the_rest(open_file):
    found = open_file(page(models.gated_mlp()))
    found.page.locator(".fk-generated .fk-l[data-v='5']").hover()
    assert found.page.locator(".fk-node.fk-hi text.fk-label").all_text_contents() == ["add"]
    found.page.locator(".fk-bytes > summary").click()
    found.page.locator(".fk-ledger tr", has_text="sigmoid(y) * y").hover()
    assert found.page.locator(".fk-node.fk-hi text.fk-label").all_text_contents() == ["mul"]


def test_a_click_pins_and_brings_the_kernel_forward(open_file):
    found = open_file(page(models.gated_mlp()))
    assert found.page.get_by_role("tab", selected=True, name="g1 · cuda").is_visible()
    found.page.locator(node("sigmoid")).click()
    assert found.page.get_by_role("tab", selected=True, name="g2 · cuda").is_visible()
    found.page.locator(".fk-status").hover()
    assert found.page.locator(".fk-node.fk-pin").count() == 1
    assert found.page.locator(".fk-generated .fk-l.fk-pin >> visible=true").count() == 1
    # A line that nothing stands for clears what was marked, and says so.
    found.page.locator(".fk-generated .fk-l >> visible=true").first.click()
    assert found.page.locator(".fk-pin").count() == 0
    assert found.page.locator(".fk-status").inner_text().startswith("no link")
    found.page.locator(".fk-user .fk-l[data-l='3']").click()
    found.page.keyboard.press("Escape")
    assert found.page.locator(".fk-pin").count() == 0


def test_a_group_is_marked_with_all_of_it(open_file):
    found = open_file(page(models.gated_mlp()))
    found.page.locator(".fk-groups tbody tr").nth(1).hover()
    assert found.page.locator(".fk-node.fk-hi").count() == 4  # with the output: the same tensor
    assert found.page.locator(".fk-cluster.fk-hi").count() == 1


def test_keys_walk_the_code(open_file):
    found = open_file(page(models.gated_mlp()))
    keyboard = found.page.keyboard
    found.page.locator(".fk-user .fk-l[data-l='4']").focus()
    keyboard.press("ArrowDown")
    assert texts(found, ".fk-user .fk-hi") == ["5     y = h @ w"]
    keyboard.press("Enter")
    assert found.page.locator(".fk-node.fk-pin text.fk-label").all_text_contents() == ["mm"]
    keyboard.press("Escape")
    assert found.page.locator(".fk-pin").count() == 0


def test_tabs_copying_zoom_and_folding(open_file, chromium):
    chromium.grant_permissions(["clipboard-read", "clipboard-write"])
    found = open_file(page(models.lstm_cell()))
    found.page.get_by_role("tab", name="g1 · ir").click()
    found.page.locator(".fk-generated .fk-copy").click()
    found.page.get_by_text("copied", exact=True).wait_for()
    copied = found.page.evaluate("navigator.clipboard.readText()")
    assert copied == models.lstm_cell()["sources"][2]["text"]
    width = "document.querySelector('.fk-svg').getBoundingClientRect().width"
    before = found.page.evaluate(width)
    found.page.get_by_role("button", name="Zoom in").click()
    assert found.page.evaluate(width) == pytest.approx(before * 1.25)
    found.page.locator(".fk-code > summary").click()
    assert not found.page.locator(".fk-user pre").is_visible()


def test_the_titles_of_all_parts_look_alike(open_file):
    found = open_file(page(models.gated_mlp()))
    styles = found.page.eval_on_selector_all(
        ".fk-sec > summary > b",
        "all => all.map(e => [getComputedStyle(e).color, getComputedStyle(e).fontWeight].join())",
    )
    assert len(styles) >= 4
    assert len(set(styles)) == 1


def test_where_the_bar_of_the_code_breaks_its_buttons_stay_together(open_file):
    found = open_file(page(models.gated_mlp()))
    for width in range(560, 1300, 60):
        found.page.set_viewport_size({"width": width, "height": 900})
        mode = found.page.get_by_role("button", name="Diff", exact=True).bounding_box()
        copy = found.page.locator(".fk-generated .fk-copy").bounding_box()
        assert copy["y"] == pytest.approx(mode["y"], abs=2)
        assert 0 < copy["x"] - mode["x"] - mode["width"] < 12


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("make", [models.lstm_cell, models.gated_mlp, models.noisy_relu])
def test_themes_and_fit(open_file, make, scheme):
    found = open_file(page(make()), color_scheme=scheme)
    found.page.locator(".fk-bytes > summary").click()
    colour = "getComputedStyle(document.querySelector('.fk-view')).backgroundColor"
    assert (
        found.page.evaluate(colour)
        == {
            "light": "rgb(255, 255, 255)",
            "dark": "rgb(21, 24, 28)",
        }[scheme]
    )
    for width in (1280, 800, 420):
        found.page.set_viewport_size({"width": width, "height": 1700})
        assert found.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), width
        assert outside(found) == [], width
        assert crowded(found) == [], width
    found.page.set_viewport_size({"width": 1280, "height": 1700})
    found.shot(f"{make.__name__}-{scheme}", ".fk-view")
    found.page.get_by_role("button", name="theme").click()
    assert (
        found.page.evaluate(colour)
        == {
            "dark": "rgb(255, 255, 255)",
            "light": "rgb(21, 24, 28)",
        }[scheme]
    )


def crowded(found) -> list[str]:
    """Return the cells of the table of times whose text sticks out, or is broken inside a word."""
    return found.page.evaluate("""() => [...document.querySelectorAll('.fk-times tbody :is(th,td)')]
        .filter(e => e.scrollWidth > e.clientWidth + 1 ||
            (e.matches('th') && e.getClientRects().length && e.clientHeight > 40))
        .map(e => e.textContent)""")


def test_long_names_stay_in_their_boxes(open_file):
    model = models.lstm_cell()
    for at, name in enumerate(("an_argument_whose_name_goes_on", "m" * 40, "WWWWWWWW", "momentum")):
        model["graph"]["nodes"][at]["label"] = name
    found = open_file(page(model))
    assert "…" in "".join(found.page.locator(".fk-node .fk-label").all_text_contents())
    assert outside(found) == []


def outside(found) -> list[str]:
    """Return texts that stick out of their boxes in the picture, as this browser draws them."""
    return found.page.evaluate("""() => [...document.querySelectorAll('.fk-node, .fk-badge')]
        .flatMap(node => { const box = node.querySelector('rect').getBBox();
            return [...node.querySelectorAll('text')].filter(t => { const b = t.getBBox();
                return b.x < box.x || b.x + b.width > box.x + box.width; })
            .map(t => t.textContent); })""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_background(open_file, scheme):
    """At least 4.5 to 1 (WCAG AA) for each text of the page, links marked or not."""
    found = open_file(page(models.gated_mlp()), color_scheme=scheme)
    found.page.locator(".fk-bytes > summary").click()
    found.page.locator(node("sigmoid")).click()
    weak = found.page.evaluate(CONTRAST)
    assert weak == []


CONTRAST = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number)
    .map((n, i) => text.startsWith('color(') && i < 3 ? n * 255 : n);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      if (e.tagName === 'g') { const r = e.querySelector('rect');
        if (r && !e.matches('.fk-cluster') && !r.matches('.fk-hit'))
          return rgb(getComputedStyle(r).fill); }
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > .9) return c;
    } return [255, 255, 255]; };
  const found = new Set();
  for (const e of document.querySelectorAll('.fk-view *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (!e.getClientRects().length || e.closest('title,style')) continue;
    const style = getComputedStyle(e);
    const a = light(rgb(e.namespaceURI.endsWith('svg') ? style.fill : style.color));
    const b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.add(`${e.className.baseVal ?? e.className} ${ratio.toFixed(2)}`);
  }
  return [...found]; }"""


def test_hostile_names_stay_text(open_file):
    found = open_file(page([models.hostile(), models.gated_mlp()]))
    dialogs = []
    found.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    found.page.locator(".fk-node").first.hover()
    found.page.locator(".fk-node").nth(5).click()
    assert dialogs == []
    assert found.page.locator(".fk-view script, .fk-view img").count() == 0
    assert found.page.locator(".fk-view[data-fk-ready]").count() == 2


def test_two_views_do_not_touch_each_other(open_file):
    found = open_file(page([models.gated_mlp(), models.gated_mlp()]))
    found.page.locator(".fk-view").nth(1).locator(".fk-node").nth(4).hover()
    assert found.page.locator(".fk-view").nth(0).locator(".fk-hi").count() == 0
    assert found.page.locator(".fk-view").nth(1).locator(".fk-hi").count() > 0


CHOSEN = """() => [...document.querySelectorAll('.fk-view')].map(root => [
    [...root.querySelectorAll('.fk-pin')].map(e => e.textContent),
    [...root.querySelectorAll('details.fk-sec, .fk-outline, .fk-card details')].map(e => e.open),
    root.querySelector('.fk-tabs [aria-selected=true]')?.getAttribute('aria-label'),
    root.querySelectorAll('.fk-after .fk-cluster').length,
    root.querySelector('.fk-sides').dataset.side,
    root.querySelector('[type=search]').value])"""


def test_a_link_opens_the_page_as_it_was(open_file, chromium):
    chromium.grant_permissions(["clipboard-read", "clipboard-write"])
    found = open_file(page([models.lstm_cell(), models.gated_mlp()]))
    untouched = found.page.evaluate(CHOSEN)
    second = found.page.locator(".fk-view").nth(1)
    second.locator(".fk-bytes > summary").click()
    second.locator(".fk-why > summary").click()
    second.locator(".fk-svg .fk-fold").first.click()
    second.get_by_role("searchbox").fill("sig")
    second.locator(node("add")).click()
    second.locator(".fk-bytes").scroll_into_view_if_needed()
    chosen = found.page.evaluate(CHOSEN)
    assert chosen[0] == untouched[0]
    assert chosen[1] != untouched[1]
    found.page.locator(".fk-view").nth(0).get_by_role("tab", name="g1 · ir").click()
    chosen = found.page.evaluate(CHOSEN)
    second.locator(".fk-menu > summary").click()
    second.get_by_role("button", name="copy link to this state").click()
    second.get_by_text("copied", exact=True).wait_for()
    link = found.page.evaluate("navigator.clipboard.readText()")
    assert link == found.page.evaluate("location.href")
    found.page.goto("about:blank")
    found.page.goto(link)
    assert found.page.evaluate(CHOSEN) == chosen
    # Letting go of everything leaves a plain address.
    found.page.goto(link.partition("#")[0])
    assert found.page.evaluate(CHOSEN) == untouched
    assert "#" not in found.page.evaluate("location.href")


HOSTILE = (
    '{"0":{"pin":["","\\"]"],"folds":3,"open":"x","find":{},"side":"<b>","flow":"constructor",'
    '"tab":7,"shade":"__proto__","at":[1,2],"section":"body"}}'
)


@pytest.mark.parametrize(
    "fragment", ["#fk=%", "#fk=null", "#fk=[]", '#fk={"0":7}', "#summary", f"#fk={quote(HOSTILE)}"]
)
def test_a_fragment_that_is_not_ours_changes_nothing(open_file, fragment):
    found = open_file(page(models.gated_mlp()))
    untouched = found.page.evaluate(CHOSEN)
    found.page.evaluate("h => { location.hash = h; }", fragment)
    found.page.reload()
    now = found.page.evaluate(CHOSEN)
    now[0][-1] = ""
    assert now == untouched
    assert found.page.locator(".fk-view[data-fk-ready]").count() == 1


def test_views_with_different_parts_stand_in_one_document(open_file):
    """As in a notebook: each with a script of its own, of which only some do for the others."""
    parts = [block(models.gated_mlp(), sections=[name]) for name in SECTIONS]
    found = open_file(f"<!DOCTYPE html><body>{''.join(parts)}{block(models.lstm_cell())}</body>")
    ready = found.page.locator(".fk-view[data-fk-ready]")
    ready.nth(len(SECTIONS)).wait_for()
    assert [view.locator(".fk-svg").count() for view in ready.all()] == [1, 0, 0, 0, 0, 0, 1]
    assert [view.locator(".fk-tabs").count() for view in ready.all()] == [0, 1, 0, 0, 0, 0, 1]
    for view in ready.all():
        view.get_by_role("searchbox").fill("mul")
        for linked in view.locator("tr[data-v], .fk-l[data-v], .fk-node").all()[:2]:
            linked.dispatch_event("click")
    assert found.problems == []

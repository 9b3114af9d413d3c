"""The page: escaping, the layer that survives a sanitizer, sources, timing, export."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("nbconvert", reason="nbconvert is not installed (the extra `dev`)")
import nbformat
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

from fusekit.viz.code.source import code_html, source_html, user_html
from fusekit.viz.hydrator import script
from fusekit.viz.measured.timing import timing_html, timing_text
from fusekit.viz.model.schema import new_model
from fusekit.viz.page import block, page, stylesheet
from fusekit.viz.view import FusionView
from tests.viz import models
from tests.viz.parsed import Page

MODELS = (models.lstm_cell, models.gated_mlp, models.noisy_relu, models.hostile)


@pytest.mark.parametrize("make", MODELS)
def test_the_base_layer_holds_only_what_sanitizers_keep(make):
    found = Page(block(make(), hydrate=False))
    assert {tag for tag, _ in found.tags} <= {
        *("div", "span", "strong", "b", "s", "i", "var", "p", "pre", "figure", "img", "figcaption"),
        *("ol", "li", "details", "summary", "table", "caption"),
        *("thead", "tbody", "tfoot", "tr", "th", "td"),
    }
    for tag, attributes in found.tags:
        kept = {"class", "style", "alt", "src", "open", "scope", "title"}
        ours = {name for name in attributes if name.startswith("data-")}
        assert set(attributes) - ours <= kept, tag
        assert "var(" not in (attributes.get("style") or "")


@pytest.mark.parametrize("text", [block(models.hostile()), page(models.hostile())])
def test_nothing_of_the_users_becomes_markup(text):
    found = Page(text)
    assert [t for t, _ in found.tags].count("script") == 1
    assert [t for t, _ in found.tags].count("img") == 1
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "alert(1)" in "".join(found.words)


def test_our_own_files_cannot_end_their_element_and_fetch_nothing():
    assert "</" not in stylesheet()
    assert not re.search(r"</|<!--", script())
    for text, most in ((stylesheet(), 45_000), (script(), 86_000)):
        assert len(text.encode()) < most
        urls = set(re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"']*", text))
        assert urls == set()
        assert not re.search(r"@import|url\(|\bfetch\(|\bimport\b", text)


def test_every_rule_stays_in_the_view():
    css = re.sub(r"@keyframes[^{]+\{(?:[^{}]*\{[^{}]*\})*\}", "", stylesheet())
    css = re.sub(r"@(?:media|container)[^{]+\{", "", css)
    for selector in re.findall(r"([^{}]+)\{[^{}]*\}", css):
        for part in re.split(r",(?![^()]*\))", selector):
            assert ".fk-" in part.split(" ")[0] or ".fk-view" in part, part


def test_the_picture_has_a_sentence_beside_it():
    (image,) = [a for tag, a in Page(block(models.gated_mlp())).tags if tag == "img"]
    assert image["alt"].startswith("Fusion graph of gated_mlp: 2 groups")
    assert image["src"].startswith("data:image/svg+xml;base64,")


def test_no_time_means_no_time_in_the_page():
    model = models.lstm_cell()
    model["timing"], model["compile"] = None, []
    words = "".join(Page(block(model)).words)
    assert not re.search(r"\d\s?(ns|µs|ms|s)\b", words)


def test_what_is_measured_can_be_masked_by_one_expression():
    slow, fast = models.lstm_cell(), models.lstm_cell()
    for row in slow["timing"]["rows"]:
        row["seconds"] *= 1.7
    mask = re.compile(r'<div class="fk-measured">.*<!--fk-measured-->')
    assert mask.sub("", block(slow)) == mask.sub("", block(fast)) != block(fast)


def test_removed_tensors_are_struck_out():
    text = block(models.gated_mlp())
    assert "<s>x * scale</s>" in text
    assert text.count("<s>") == 4


def test_remarks_stand_under_the_users_line():
    lines = re.sub(r"<[^>]+>", "", user_html(models.noisy_relu())).splitlines()
    assert lines[1].strip() == "2     noise = torch.rand_like(x)"
    assert lines[2].strip() == "▲ FK0103  aten.rand_like.default: draws random numbers"


def test_source_lines_carry_their_values():
    text = source_html(models.gated_mlp()["sources"][0])
    lines = re.findall(r'<span class="fk-l"( data-v="[\d ]+")?>', text)
    assert [i for i, found in enumerate(lines, 1) if found] == [6, 7, 8]


@pytest.mark.parametrize("language", ["cpp", "cuda", "llvm", "asm", "ptx", "sass", "ir", "brainf"])
@pytest.mark.parametrize(
    "text", ["", "\n", "\n\na\n\n  b", "a\r\nb", "x\ty", '"open', "/* open", "%0 = ✓"]
)
def test_highlighting_never_loses_or_moves_a_line(language, text):
    shown = code_html(text, language)
    spans = re.findall(r'<span class="fk-l">(.*?)\n</span>', shown, re.DOTALL)
    bare = [re.sub(r"<[^>]+>", "", re.sub(r'<span class="fk-no">.*?</span>', "", s)) for s in spans]
    wanted = text.replace("\r\n", "\n").rstrip("\n").replace('"', "&quot;").split("\n")
    assert bare == wanted


def test_the_ir_is_coloured():
    text = source_html(models.lstm_cell()["sources"][2])
    assert "<var>%3</var>" in text
    assert '<span class="fk-type">f32</span>' in text
    assert '<span class="fk-fn">sigmoid</span>' in text
    assert "<i>; aten.add.Tensor @ cell.py:12 | gates = xg + hg</i>" in text


def test_long_sources_are_cut_with_a_note():
    assert "... 500 more lines below" in code_html("x\n" * 3500, "cpp")
    text = "".join(f"line {n}\n" for n in range(1, 101))
    cut = source_html(models.text_of("cpp", text, "k", {"3": [80, 81]}), 20)
    assert "... 67 more lines above" in cut
    assert "... 13 more lines below" in cut
    assert '<span class="fk-no"> 68 </span>' in cut
    assert '<span class="fk-no"> 67 </span>' not in cut
    last = source_html(models.text_of("cpp", text, "k", {"3": [99, 99]}), 20)
    assert "... 80 more lines above" in last
    assert "below" not in last
    apart = source_html(models.text_of("cpp", text, "k", {"3": [20, 21], "4": [70, 90]}), 20)
    numbers = [int(n) for n in re.findall(r'<span class="fk-no"> *(\d+) </span>', apart)]
    assert numbers == [*range(8, 27), 70]
    assert re.findall(r"\.\.\. (\d+ more lines \w+)", apart) == [
        "7 more lines above",
        "43 more lines here",
        "30 more lines below",
    ]


def test_all_texts_of_a_view_have_room():
    model = models.lstm_cell()
    text = "x = y;\n" * 1000
    many = [models.text_of("cpp", text, f"k{n}", {"3": [500, 500]}) for n in range(12)]
    model["sources"] = [*many, models.text_of("ir", "a\n" * 10, "k", {})]
    page_text = block(model)
    lines = page_text.count('<span class="fk-l"')
    assert 300 < lines - model["user"]["text"].count("\n") <= 330
    assert page_text.count("more lines above") == 12
    assert page_text.count('data-v="3"') >= 12


def shown_of_each(model) -> list[int]:
    """Lines that the page shows of each generated text."""
    texts = block(model).split('<details class="fk-src"')[1:]
    return [text.count('<span class="fk-l"') for text in texts]


@pytest.mark.parametrize("language", ["llvm", "asm", "ptx", "sass"])
def test_a_longer_text_of_the_machine_leaves_the_others_as_they_are(language):
    shown = []
    for length in (150, 151, 900):
        model = models.lstm_cell()
        machine = models.text_of(language, "x\n" * length, "k", {"3": [99, 99]})
        others = [models.text_of(name, "y\n" * 300, "k", {}) for name in ("cpp", "ir")]
        model["sources"] = [others[0], machine, others[1]]
        shown.append(shown_of_each(model))
    assert shown[0] == shown[1] == shown[2] == [130, 60, 130]


def test_a_text_of_the_machine_alone_has_all_the_room():
    model = models.lstm_cell()
    model["sources"] = [models.text_of("asm", "x\n" * 1000, "k", {})]
    assert shown_of_each(model) == [320]


@pytest.mark.parametrize(("groups", "folded"), [(3, 0), (10, 0), (11, 3), (43, 35)])
def test_many_groups_fold_after_the_first(groups, folded):
    text = block(models.chain(90, groups=groups))
    first, _, rest = text.partition('<details class="fk-more">')
    rows = r'<tr data-g="(\d+)"'
    assert [int(n) for n in re.findall(rows, first + rest)] == list(range(groups))
    assert len(re.findall(rows, rest)) == folded
    if folded:
        assert f"<summary>{folded} more groups, of {groups}</summary>" in text
        assert rest.count('<th scope="col">kernel</th>') == 1


def test_timing_shows_what_the_model_holds():
    text = timing_html(models.lstm_cell())
    assert "fused is faster: 7.6× on the CPU" in text
    assert "±60 µs" in text
    assert "3.04× faster" in text
    assert timing_html(new_model("f")) == timing_text(new_model("f")) == ""


def test_a_report_holds_several_views_and_one_script():
    text = page([models.lstm_cell(), models.gated_mlp()], title="two")
    found = Page(text.partition("\n")[2])
    assert text.startswith("<!DOCTYPE html>")
    assert [t for t, _ in found.tags].count("script") == 1
    assert text.count('class="fk-view"') == 2
    assert "<title>two · fusekit</title>" in text


def test_nbconvert_keeps_every_layer():
    view = FusionView(models.gated_mlp())
    cell = new_code_cell("view", execution_count=1)
    cell.outputs = [new_output("execute_result", data=view._repr_mimebundle_(), execution_count=1)]
    notebook = nbformat.from_dict(new_notebook(cells=[cell]))
    text, _ = HTMLExporter(embed_images=False).from_notebook_node(notebook)
    assert 'class="fk-img"' in text
    assert "its result is needed whole by a matrix product" in text
    assert '([data-fk-ready])").filter(isWhole).forEach(hydrate);' in text
    plain, _ = HTMLExporter(sanitize_html=True).from_notebook_node(notebook)
    assert '<script type="module">const PARTS' in text
    assert '<script type="module">const PARTS' not in plain
    assert "FK0101" in plain

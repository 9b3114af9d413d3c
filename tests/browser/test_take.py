"""Taking a view away: what the page hands out by itself, with no kernel and no network."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from fusekit.viz import FusionView, load
from tests.viz import models

pytestmark = pytest.mark.browser


def taken(page, label):
    page.locator(".fk-menu > summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=label).click()
    return download.value


def test_a_view_hands_out_files(open_file, tmp_path):
    view = FusionView(models.gated_mlp())
    found = open_file(view.html())
    page = found.page
    page.wait_for_selector(".fk-view[data-fk-ready] svg")
    data = taken(page, "Download the model")
    assert data.suggested_filename == "gated_mlp.fk.json"
    assert json.loads(data.path().read_text(encoding="utf-8")) == view.model
    picture = taken(page, "Download the graph")
    assert ET.fromstring(picture.path().read_text(encoding="utf-8")).tag.endswith("svg")
    card = taken(page, "Download the card")
    card.save_as(tmp_path / "card.md")
    assert load(tmp_path / "card.md").model == view.model
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == view.card().markdown
    again = taken(page, "Download this view as a page")
    assert page.locator(".fk-menu > summary").inner_text() == "saved"
    page.wait_for_function("document.querySelector('.fk-menu > summary').textContent !== 'saved'")
    page.get_by_text("take away", exact=True).click()
    found.shot("take-menu")
    page.keyboard.press("Escape")
    assert not page.locator(".fk-menu-list").is_visible()
    # the page that it handed out is as good as the first
    second = open_file(again.path().read_text(encoding="utf-8"), color_scheme="dark")
    second.page.wait_for_selector(".fk-view[data-fk-ready] svg")
    second.page.locator(".fk-node").nth(4).click()
    assert second.page.locator(".fk-pin").count() > 2
    assert json.loads(taken(second.page, "Download the model").path().read_text()) == view.model
    second.shot("take-again")

"""The timing section: strip plot, sentence, bucket, and the object `view.time()`."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

import pytest
import torch

import fusekit
from fusekit.errors import UsageError
from fusekit.viz import FusionView
from fusekit.viz.measured.strips import alt_text, strips_html, strips_svg
from fusekit.viz.measured.timing import bucket_text, prediction, timing_html
from fusekit.viz.model.schema import check
from fusekit.viz.words import bucket
from tests.viz import models


def timed():
    """The LSTM cell with samples on the CPU."""
    model = models.lstm_cell()
    for row in model["timing"]["rows"]:
        row["samples"] = [row["seconds"] * (1 + 0.01 * step) for step in (-2, 0, 3)]
        if row["name"] == "fused":
            row["interval"] = [0.95 * row["ratio"], 1.05 * row["ratio"]]
    return model


def pictures(text):
    found = re.findall(r'<img alt="([^"]+)" src="data:image/svg\+xml;base64,([^"]+)"', text)
    return [(alt, base64.b64decode(data).decode()) for alt, data in found]


def test_each_device_has_a_strip_plot_with_a_sentence():
    (cpu, drawn), (gpu, _) = pictures(timing_html(timed()))
    assert cpu.startswith("Strip plot of times on cpu. fused: 3 samples from ")
    assert "fused against the baseline: 7.6×, with 95 %" in cpu
    assert "NVIDIA H200" in gpu
    root = ET.fromstring(drawn)
    assert len(root.findall(".//{*}circle")) == 9
    assert "prefers-color-scheme: dark" in drawn


def test_the_section_is_one_line_that_can_be_masked():
    text = timing_html(timed())
    assert "\n" not in text
    assert text.endswith("<!--fk-measured-->")


def test_without_samples_there_is_no_plot():
    timing = models.lstm_cell()["timing"]
    assert strips_html(timing, "cpu") == ""


def test_a_slow_sample_stays_inside_the_picture():
    rows = [row for row in timed()["timing"]["rows"] if row["device"] == "cpu"]
    rows[0]["samples"].append(5.0)
    drawn = ET.fromstring(strips_svg(rows))
    width = float(drawn.get("width"))
    assert all(0 < float(dot.get("cx")) < width for dot in drawn.findall(".//{*}circle"))


def test_names_of_the_users_are_text():
    rows = timed()["timing"]["rows"][:2]
    rows[0]["name"] = "<script>\x1b"
    ET.fromstring(strips_svg(rows))
    assert "\x1b" not in alt_text(rows)


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(1.0, "1-1.1×"), (2.31, "2-3×"), (0.4, "2-3×"), (7.6, "5-10×"), (1234.0, "over 100×")],
)
def test_buckets(ratio, said):
    assert bucket(ratio) == said


def test_the_text_says_verdict_and_bucket_only():
    model = timed()
    said = bucket_text(model["timing"])
    assert said == "fused on cpu: faster, 5-10×; fused on NVIDIA H200: faster, 5-10×"
    row = model["timing"]["rows"][0]
    row["outcome"], row["cause"] = "cannot tell", "other load"
    assert bucket_text(model["timing"]).startswith("fused on cpu: cannot tell: other load; ")


def test_bytes_predict_beside_what_is_measured():
    model = timed()
    model["ledger"]["eager"], model["ledger"]["fused"] = 310, 100
    assert prediction(model).startswith("Bytes alone predict 3.1×; measured 7.6× on cpu")
    assert "Bytes alone predict 3.1×" in timing_html(model)
    model["ledger"]["fused"] = 0
    assert prediction(model) == ""


def test_a_file_of_version_1_has_no_samples():
    old = models.lstm_cell()
    old["version"] = 1
    for row in old["timing"]["rows"]:
        for key in ("samples", "interval", "cause"):
            del row[key]
    rows = check(old)["timing"]["rows"]
    assert all((row["samples"], row["interval"], row["cause"]) == ([], [], "") for row in rows)


def test_time_of_a_recording_is_what_it_holds():
    view = FusionView(timed())
    found = view.time()
    assert repr(found) == (
        "Timed(lstm_cell)  fused on cpu: faster, 5-10×; fused on NVIDIA H200: faster, 5-10×"
    )
    assert str(found) == repr(found)
    assert len(found.samples["eager on cpu"]) == 3
    assert found.to_dict()["verdict"] == view.model["timing"]["verdict"]
    assert "18.3 ms" in found.text()
    assert "<figure" in found._repr_html_()
    with pytest.raises(UsageError, match="recording"):
        view.time(seconds=1)


def test_time_is_measured_anew_when_something_is_chosen():
    fused = fusekit.fuse(lambda x: torch.relu(x * 2.0))
    view = fused.explore(torch.randn(256))
    found = view.time(seconds=0.3, flush=False)
    assert "fused on cpu" in found.samples
    assert "caches warm" in found.to_dict()["method"]


def test_a_call_that_writes_is_not_timed():
    fused = fusekit.fuse(lambda x: x.add_(1.0).mul_(2.0))
    view = fused.explore(torch.ones(8))
    assert view.model["timing"] is None
    with pytest.raises(UsageError, match="not timed"):
        view.time()

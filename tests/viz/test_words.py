"""Quantities and sentences."""

from __future__ import annotations

import pytest

from fusekit.viz.code.source import user_html
from fusekit.viz.decisions.seams import why_headline
from fusekit.viz.words import (
    bytes_text,
    plural,
    ratio_text,
    seconds_text,
    sentence,
    summary,
    visible,
)
from tests.viz import models


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (96 << 20, "96 MiB"),
        ((1 << 30) - 1, "1 GiB"),
        (123 << 40, "123 TiB"),
        (-2048, "-2 KiB"),
    ],
)
def test_bytes(count, text):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ns"),
        (2.5e-9, "2.5 ns"),
        (999.9e-9, "1 µs"),
        (61.9e-6, "61.9 µs"),
        (1.823e-3, "1.82 ms"),
        (12.0, "12 s"),
        (1234.5, "1234 s"),
    ],
)
def test_seconds(seconds, text):
    assert seconds_text(seconds) == text


def test_small_words():
    assert [plural(1, "launch"), plural(2, "launch"), plural(0, "op")] == [
        "1 launch",
        "2 launches",
        "0 ops",
    ]
    assert [ratio_text(3.04), ratio_text(None), ratio_text(12.34)] == ["3.04×", "", "12.3×"]


def test_summary_has_structure_and_no_time():
    assert summary(models.lstm_cell()) == "1 group · 1 launch (eager 10) · saves 184 MiB"
    assert summary(models.noisy_relu()).endswith("2 seams [FK0103 FK0110]")
    refused = models.noisy_relu()
    refused["seams"] = []
    assert summary(refused).endswith("3 declined [FK0101 FK0103 FK0110]")
    refused["declined"][0]["op"] = ""  # all of the function
    assert summary(refused).endswith("2 declined [FK0101 FK0103 FK0110]")
    refused["graph"]["nodes"] = []
    said = "not fused: PyTorch runs the call [FK0101 FK0103 FK0110]"
    assert summary(refused).endswith(f" · {said}")
    assert "launch" not in summary(refused)


def test_the_function_is_no_operator_and_has_no_name():
    refused = models.noisy_relu()
    assert why_headline(refused).endswith("3 operators left to PyTorch")
    refused["declined"] = refused["declined"][:1]
    refused["declined"][0]["op"] = ""
    assert why_headline(refused).endswith("the function left to PyTorch")
    assert f"▲ {refused['declined'][0]['code']}  {refused['declined'][0]['reason']}" in user_html(
        refused
    )


def test_sentence_says_what_the_picture_shows():
    said = sentence(models.gated_mlp())
    assert "g1 fuses 3 ops (cuda)" in said
    assert "g1 to mm: its result is needed whole" in said


def test_control_characters_are_shown_not_obeyed():
    assert visible("a\x1b[31m\nb\u202ec") == "a\\x1b[31m\\nb\\u202ec"

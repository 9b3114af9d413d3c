"""Contracts and pins: what they accept, what breaks them, and what the message shows."""

from __future__ import annotations

import json

import pytest
import torch

import fusekit
from fusekit.errors import UsageError
from fusekit.viz import FusionView, load
from fusekit.viz.collect.fused import collect
from fusekit.viz.contracts.contract import ContractError, parse_contract
from fusekit.viz.contracts.pin import differences, load_pin
from tests.viz import models

X, W = torch.ones(64, 64), torch.ones(64, 64)


def view_of(function, *args, **options):
    with fusekit.options(**options):
        return collect(fusekit.fuse(function, name="f"), args or (X, W), {}, timing=False)


def plain(x, w):
    h = torch.relu(x * 2 + w)
    return torch.sigmoid(h) + x


def parted(x, w):
    h = torch.relu(x * 2 + w).cumsum(0)
    return torch.sigmoid(h) + x


@pytest.mark.parametrize(
    "text",
    [
        "groups=2 launches=3 no-fallback",
        "seams=2,declined=1",
        "saved>=144MiB",
        "saved>=0.1GiB saved<=151000000 saved=150994944",
        "saved>=147456KiB",
        "codes=FK0101*2",
    ],
)
def test_what_holds(text):
    FusionView(models.gated_mlp() | {"compile": models.lstm_cell()["compile"][:1]}).expect(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("saved>=145MiB", "  - saved>=145MiB\n  + saved=144MiB"),
        ("groups=1 launches=3", "  - groups=1\n  + groups=2\n    launches=3"),
        ("codes=FK0101", "  - codes=FK0101\n  + codes=FK0101*2"),
        ("codes=FK0106*2", "  + codes=FK0101*2; new: FK0101"),
        ("structure=0123456789ab", "  + structure="),
    ],
)
def test_what_is_broken_shows_what_was_found(text, shown):
    with pytest.raises(ContractError) as caught:
        FusionView(models.gated_mlp()).expect(text)
    assert shown in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "groups", "groups=x", "groups=1.5", "speed=3", "groups=2MiB", "saved>=1MB", "a.json"],
)
def test_what_is_no_clause(text):
    with pytest.raises(UsageError, match="--expect"):
        parse_contract(text)


def test_a_pin_holds_for_itself_whatever_the_sizes_and_the_place():
    pin = view_of(parted).pin()
    assert str(pin).startswith("groups=2 launches=3 seams=2 codes=FK0101*2 structure=")
    assert str(pin).endswith(" no-fallback")
    larger = view_of(parted, torch.ones(128, 32), torch.ones(128, 32))
    larger.expect(str(pin))
    assert differences(pin, larger.pin()) == []
    assert "[64" not in json.dumps(pin.to_dict())


def test_a_pin_in_a_file_shows_which_edge_became_a_seam(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    view_of(plain).pin("f.pin.json")
    view_of(plain).expect("f.pin.json no-fallback")
    with pytest.raises(ContractError) as caught:
        view_of(parted).expect("f.pin.json")
    said = str(caught.value)
    assert "  + groups 1 -> 2\n  + launches 1 -> 3\n  + reason code FK0101 is new" in said
    assert "  + cumsum (line 2) is new" in said
    assert "because\n  [FK0101]" in said


def test_an_edge_between_the_same_operators_that_became_a_seam_is_named():
    def many(x, w):
        first = torch.relu(x[0] * w[0]) + x[1]
        return torch.sigmoid(first * w[1]) + x[2] * w[2]

    old, new = view_of(many).pin(), view_of(many, max_arguments=5).pin()
    said = differences(old, new)
    assert "reason code FK0107 is new" in said
    assert [line for line in said if "became a seam [FK0107]" in line]
    assert [line for line in differences(new, old) if "is no seam any more" in line]


def test_the_fingerprint_is_of_structure():
    def renamed(a, b):
        # a comment moves the lines
        c = torch.relu(a * 2 + b)

        return torch.sigmoid(c) + a

    def other(x, w):
        h = torch.relu(x * 2 + w)
        return torch.sigmoid(x) + h

    structure = view_of(plain).pin().structure
    assert view_of(renamed).pin().structure == structure
    assert view_of(other).pin().structure != structure
    assert view_of(plain, X.double(), W.double()).pin().structure == structure


def test_a_fallback_breaks_a_pin():
    def fallen(x, w):
        return x + 1 if x.sum() > 0 else w

    pin = view_of(plain).pin()
    with pytest.raises(ContractError, match="PyTorch runs the whole call"):
        view_of(fallen).expect("no-fallback")
    assert "fused True -> False" in differences(pin, view_of(fallen).pin())
    assert "no-fallback" not in str(view_of(fallen).pin())


def test_a_recorded_view_can_be_pinned_and_compared(tmp_path):
    view = view_of(parted)
    loaded = load(view.save(tmp_path / "x.fk.json"))
    path = str(tmp_path / "x.pin.json")
    pin = loaded.pin(path)
    assert load_pin(path) == pin == view.pin()
    loaded.expect(path)
    assert repr(pin) == str(pin)


def test_files_that_are_no_pins_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"there is no pin .*view\.pin"):
        parse_contract(str(tmp_path / "none.pin.json"))
    for text in ("", "[]", "{}", '{"schema": "fusekit-pin"}'):
        path = tmp_path / "x.pin.json"
        path.write_text(text)
        with pytest.raises(UsageError, match="pin"):
            parse_contract(str(path))
    with pytest.raises(UsageError, match=r"has to end in \.pin\.json"):
        view_of(plain).pin(tmp_path / "x.json")
    view_of(plain).pin(path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(UsageError, match="version 9"):
        load_pin(path)

"""The model: what it accepts, what it refuses and how it says so; files."""

from __future__ import annotations

import json

import pytest

from fusekit.errors import UsageError
from fusekit.viz.model.schema import check, dumps, load_model, new_model, save_model
from tests.viz import models

MODELS = (models.lstm_cell, models.gated_mlp, models.noisy_relu, models.hostile)


@pytest.mark.parametrize("make", MODELS)
def test_what_is_saved_loads_equal_and_the_same_bytes_are_written_again(make, tmp_path):
    model = make()
    path = save_model(model, tmp_path / "x.fk.json")
    assert load_model(path) == model
    assert dumps(load_model(path)) == path.read_text(encoding="utf-8")


def test_an_empty_model_is_a_model():
    assert check(new_model("f"))["title"] == "f"


def test_a_file_of_version_1_is_read():
    """It had one run of lines for each value, and did not say whose a text is."""
    old = models.lstm_cell()
    old["version"] = 1
    for source in old["sources"]:
        del source["engine"]
        source["lines"] = {value: runs[0] for value, runs in source["lines"].items()}
    read = check(old)
    assert read["sources"][0]["lines"]["3"] == [[15, 18]]
    assert {source["engine"] for source in read["sources"]} == {""}


def put(model, path, value):
    *way, last = path
    for step in way:
        model = model[step]
    model[last] = value


WRONG = [
    (("schema",), "something else", "not a fusekit view"),
    (("version",), 99, "a newer fusekit is needed"),
    (("version",), True, "version True"),
    (("totals", "launches"), "3", "totals.launches: expected a whole number, found '3'"),
    (("totals", "launches"), True, "expected a whole number"),
    (("graph", "nodes", 0, "shape"), [2, 3.5], "graph.nodes[0].shape[1]"),
    (("graph", "nodes", 0, "kind"), "blob", "one of 'op', 'input'"),
    (("graph", "nodes", 1, "id"), "n0", "the id 'n0' appears twice"),
    (("graph", "nodes", 4, "group"), "g9", "'g9', which is not in the model"),
    (("graph", "edges", 0, "target"), "n99", "'n99', which is not in the model"),
    (("groups", 0, "nodes"), ["n99"], "'n99', which is not in the model"),
    (("seams", 0, "source"), "n99", "'n99', which is not in the model"),
    (("sources", 0, "lines"), {"4": [[3, 2]]}, "is on lines [[3, 2]]"),
    (("sources", 0, "lines"), {"4": [[1, 999]]}, "but the text has lines 1 to"),
    (("sources", 0, "lines"), {"x": [[1, 1]]}, "value 'x'"),
    (("timing", "rows", 0, "seconds"), float("nan"), "a finite number"),
    (("timing", "rows", 0, "outcome"), "great", "expected one of"),
    (("user",), None, "expected an object (User)"),
    (("groups",), {}, "expected a list"),
    (("extra",), 1, "unknown: extra"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG)
def test_what_does_not_fit_is_named(path, value, said):
    model = models.gated_mlp()
    put(model, path, value)
    with pytest.raises(UsageError) as caught:
        check(model)
    assert said in str(caught.value)


def test_what_is_missing_is_named():
    model = models.gated_mlp()
    del model["ledger"]["floor"]
    with pytest.raises(UsageError, match=r"model\.ledger: floor missing"):
        check(model)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": "fusekit-view"}', '{"a": NaN}', "[" * 100_000]
)
def test_a_file_that_is_no_view_is_refused(text, tmp_path):
    path = tmp_path / "x.fk.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"x\.fk\.json"):
        load_model(path)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_model(tmp_path / "none.fk.json")
    (tmp_path / "b.fk.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_model(tmp_path / "b.fk.json")


def test_the_file_is_sorted_json(tmp_path):
    text = save_model(models.lstm_cell(), tmp_path / "x.fk.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_a_file_of_version_1_lacks_what_version_2_added(tmp_path):
    model = models.gated_mlp()
    old = json.loads(dumps(model))
    old["version"] = 1
    for node in old["graph"]["nodes"]:
        del node["strides"], node["bytes"]
    path = tmp_path / "old.fk.json"
    path.write_text(json.dumps(old), encoding="utf-8")
    node = load_model(path)["graph"]["nodes"][0]
    assert (node["strides"], node["bytes"]) == ([], 0)

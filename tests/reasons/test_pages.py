"""docs/reasons: a page for each code, with programs that print what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import fusekit
from fusekit import pages as packaged
from fusekit.specs import Reason
from tests.reasons.pages import FOLDER, index, path_of, programs_of

REASONS = pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.code)


def test_there_is_a_page_for_each_reason_and_no_other():
    assert {path.name for path in FOLDER.iterdir()} == {
        "README.md",
        *(f"{reason.code}.md" for reason in Reason),
    }


def test_the_index_lists_them():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert text.endswith(index())


@REASONS
def test_a_page_has_its_parts(reason):
    text = path_of(reason).read_text(encoding="utf-8")
    assert text.startswith(f"# {reason.code}: {reason.sentence}\n")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == ["A program that gives it", "Why", "What to change"]
    assert text.count("```python") == len(programs_of(reason))


@REASONS
def test_the_code_occurs_before_the_change_and_not_after(reason):
    """Or the page says plainly that there is nothing to change."""
    before, *after = programs_of(reason)
    assert f"[{reason.code}]" in before.output
    if not after:
        change = path_of(reason).read_text(encoding="utf-8").partition("## What to change\n\n")[2]
        assert change.startswith("Nothing")
    for program in after:
        assert program.output.strip()
        assert reason.code not in program.output


@REASONS
def test_its_programs_print_what_it_says(reason):
    for name, program in zip(("before", "after"), programs_of(reason), strict=False):
        if program.needs_gpu and not torch.cuda.is_available():
            pytest.skip("the program needs a GPU")
        assert program.run(name) == program.output


@REASONS
def test_fusekit_finds_the_page_of_each_decline(reason):
    decline = fusekit.Decline(reason)
    assert (FOLDER.parents[1] / decline.page) == path_of(reason)
    assert packaged.page_of(reason.code.lower()) == path_of(reason).read_text(encoding="utf-8")


def test_an_unknown_code_is_the_users_error():
    with pytest.raises(fusekit.UsageError, match="FK0101"):
        packaged.page_of("FK9999")
    with pytest.raises(fusekit.UsageError):
        packaged.page_of("../README")


def test_a_wheel_carries_the_pages(tmp_path, monkeypatch):
    """Where pyproject.toml puts them is where `page_of` looks first."""
    tomllib = pytest.importorskip("tomllib")
    text = (FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    wheel = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]
    place = Path(wheel["force-include"]["docs/reasons"])
    installed = tmp_path / place.name
    installed.mkdir()
    (installed / "FK0101.md").write_text("installed", encoding="utf-8")
    assert packaged._PLACES[0] == Path(fusekit.__file__).parent / place.name
    monkeypatch.setattr(packaged, "_PLACES", (installed, FOLDER))
    assert packaged.page_of("FK0101") == "installed"
    assert packaged.page_of("FK0102").startswith("# FK0102")

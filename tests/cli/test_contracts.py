"""`fusekit contracts`: notebooks with contracts that hold, break, or cannot be looked at."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="nbclient is not installed (the extra `dev`)")
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fusekit.cli import main
from fusekit.viz import need as needs

START = "%load_ext fusekit\nimport torch\nx = torch.ones(64, 64)"


ROOT = Path(__file__).parents[2]


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))

    def write(*cells: str, name: str = "a.ipynb") -> str:
        made = new_notebook(cells=[new_markdown_cell("# a title"), *map(new_code_cell, cells)])
        nbformat.write(made, tmp_path / name)
        return str(tmp_path / name)

    return write


def test_one_table_for_several_notebooks(notebook, capsys):
    first = notebook(
        START,
        '%%fuse --no-time --expect "groups=1 launches=1 no-fallback"\ny = torch.relu(x * 2) + 1',
        "%%fuse --no-time --expect=groups=1\nz = (x * 2).cumsum(0) + 1",
        "raise RuntimeError('of another cell')",
        "v = _",
        "%%fuse --no-time --expect groups=1\nw = nothing + 1",
    )
    second = notebook(
        START,
        "%%fuse --no-time\ny = torch.relu(x * 2) + 1",
        "_.pin('y.pin.json')",
        "%%fuse --no-time --expect y.pin.json\ny = torch.relu(x * 2) + 1",
        "%%fuse --no-time --expect y.pin.json\ny = torch.relu(x * 2).flip(0) + 1",
        "%%fuse --no-time --expect z.pin.json\ny = x + 1",
        name="b.ipynb",
    )
    before = nbformat.read(first, as_version=4)
    assert main(["contracts", first, second]) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = [line.removeprefix(first).removeprefix(second).split(maxsplit=1) for line in lines]
    assert [row[0] for row in rows] == ["notebook", "2", "3", "6", "4", "5", "6", "6"]
    assert "groups=1 launches=1 no-fallback" in lines[1]
    assert lines[1].rstrip().endswith("holds")
    assert "broken  groups=2" in lines[2]
    assert "error" in lines[3]
    assert "NameError: name 'nothing' is not defined" in lines[3]
    assert lines[4].endswith("holds")
    assert "reason code FK0101 is new" in lines[5]
    assert "error   UsageError: there is no pin 'z.pin.json'" in lines[6]
    assert lines[7] == "6 contracts, 4 broken"
    assert nbformat.read(first, as_version=4) == before


def test_json_and_the_exit_status_when_all_hold(notebook, capsys):
    path = notebook(START, "%%fuse --no-time -q --expect 'groups=1 saved>=32KiB'\ny = x * 2 + 1")
    assert main(["contracts", "--json", path]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "hold": True,
        "contracts": [
            {
                "notebook": path,
                "cell": 2,
                "contract": "groups=1 saved>=32KiB",
                "outcome": "holds",
                "why": "",
            }
        ],
    }


def test_what_cannot_be_checked_is_said(notebook, capsys, tmp_path, monkeypatch):
    path = notebook("1 + 1", "# %%fuse --expect groups=1")
    assert main(["contracts", path]) == 2
    assert "no %%fuse cell there has --expect" in capsys.readouterr().err
    assert main(["contracts", str(tmp_path / "none.ipynb")]) == 2
    assert "there is no notebook" in capsys.readouterr().err
    (tmp_path / "bad.ipynb").write_text("{")
    assert main(["contracts", str(tmp_path / "bad.ipynb")]) == 2
    assert "cannot be read as a notebook" in capsys.readouterr().err

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(needs.importlib, "import_module", missing)
    from fusekit.errors import UsageError
    from fusekit.viz.contracts.notebooks import check_notebooks

    with pytest.raises(UsageError, match="needs the package nbformat: pip install"):
        check_notebooks([path])

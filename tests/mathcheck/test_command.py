"""`fusekit verify-math`: its table, its files, its exit codes."""

import json
import re

import pytest

from fusekit.cli import main
from fusekit.mathcheck import command

FEW = ("--engine", "llvm", "--stride", "1000003", "--samples", "1000")


def run(tmp_path, *words):
    return main(["verify-math", *words, *FEW, "--state", str(tmp_path / "state.json")])


def test_the_table_names_what_was_tried_and_found(tmp_path, capsys):
    files = ("--markdown", str(tmp_path / "t.md"), "--json", str(tmp_path / "t.json"))
    assert run(tmp_path, "exp", "bessel_j0", *files) == 0
    said = capsys.readouterr().out
    table = said[said.index("function ") :].splitlines()
    assert table[0].split() == [
        *("function", "dtype", "inputs", "llvm", "at", "eager"),
        *("special", "values", "verdict", "notes"),
    ]
    assert re.match(r"exp +float32 +4295 +0\.\d{3} +\S+ +0\.\d{3} +exact +ok", table[2])
    assert re.match(r"exp +float64 +1000 +0\.\d{3} ", table[3])
    assert re.match(r"exp +float16 +65536 +0\.500 .* ok +llvm: 2 not nearest", table[4])
    assert re.match(r"bessel_j0 +float16 +0 +– +– +absent +llvm: PyTorch has none", table[8])
    written = (tmp_path / "t.md").read_text(encoding="utf-8").splitlines()
    assert written[0] == (
        "| function | dtype | inputs | llvm | at | eager | special values | verdict | notes |"
    )
    assert len([line for line in written if line.startswith("|")]) == 2 + 8
    assert "fusekit verify-math exp bessel_j0 --engine llvm --stride 1000003" in written[-1]
    rows = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["rows"]
    assert [row["verdict"] for row in rows[:4]] == ["ok"] * 4


def test_an_interrupt_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    measure = command.measure

    def interrupted(job, oracle, saved):
        for count, row in enumerate(measure(job, oracle, saved)):
            if count == 3:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(command, "measure", interrupted)
    assert run(tmp_path, "exp", "--dtype", "float32") == 130
    said = capsys.readouterr().out
    assert "unfinished" in said
    assert "interrupted; fusekit verify-math exp --dtype float32" in said
    monkeypatch.undo()
    assert run(tmp_path, "exp", "--dtype", "float32") == 0


def test_the_exit_code_tells_of_an_excess(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "verdict", lambda row: "exceeds")
    assert run(tmp_path, "exp", "--dtype", "bfloat16") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["cbrt"], "no function 'cbrt'"),
        (["exp", "--engine", "fortran"], "no engine 'fortran'"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path, capsys, words, complaint):
    assert run(tmp_path, *words) == 2
    assert complaint in capsys.readouterr().err


def test_a_state_that_is_none_is_refused(tmp_path, capsys):
    (tmp_path / "state.json").write_text("[1", encoding="utf-8")
    assert run(tmp_path, "exp", "--dtype", "float16") == 2
    assert "holds no results" in capsys.readouterr().err
    assert run(tmp_path, "exp", "--dtype", "float16", "--fresh") == 0

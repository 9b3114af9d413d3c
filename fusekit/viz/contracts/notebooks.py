"""Contracts in notebooks: each notebook is run in a fresh kernel, and its contracts are read off.

A contract is a cell whose `%%fuse` (or `%fuse`) has `--expect`. Cells run from top to bottom, also
after one that fails, as a reader would run them; the files stay as they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from fusekit.errors import UsageError
from fusekit.viz.need import need
from fusekit.viz.words import plural, short, visible

__all__ = ["ContractRow", "Contracts", "add_arguments", "check_notebooks", "run"]

_MAGIC = re.compile(r"\s*%%?fuse\b(?P<flags>.*\s--expect[\s=].*)")


@dataclasses.dataclass(frozen=True)
class ContractRow:
    """One contract.

    Attributes:
        notebook: its path, as it was given.
        cell: the number of the code cell, from 1.
        contract: what it promises.
        outcome: "error" where the cell failed for another reason than its contract.
        why: the message, "" if it holds.
    """

    notebook: str
    cell: int
    contract: str
    outcome: Literal["holds", "broken", "error"]
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Contracts:
    """What became of all contracts of some notebooks."""

    rows: tuple[ContractRow, ...]

    @property
    def hold(self) -> bool:
        """True if every contract holds."""
        return all(row.outcome == "holds" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {"hold": self.hold, "contracts": [dataclasses.asdict(row) for row in self.rows]}

    def __str__(self) -> str:
        """A table: notebook, cell, contract, what became of it, why."""
        heads = ("notebook", "cell", "contract", "", "why")
        table = [heads] + [
            (row.notebook, str(row.cell), short(row.contract, 60), row.outcome, _first(row.why))
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in table
        ]
        broken = sum(row.outcome != "holds" for row in self.rows)
        state = f"{broken} broken" if broken else "all hold"
        return "\n".join([*lines, f"{plural(len(self.rows), 'contract')}, {state}"])

    __repr__ = __str__


def _first(why: str) -> str:
    """What was found, of a broken contract; else the first line."""
    found = [line.strip().removeprefix("+ ") for line in why.splitlines() if "  + " in line]
    return short("; ".join(found) or why.partition("\n")[0], 100)


def check_notebooks(paths: Sequence[str | Path], *, timeout: float = 600) -> Contracts:
    """Run notebooks and say which of their contracts hold.

    Args:
        paths: of notebooks.
        timeout: seconds that one cell may take.

    Raises:
        UsageError: a file is no notebook, there is no contract in any, or nbclient or a kernel for
            Python is missing.
    """
    nbformat = need("nbformat", "reading notebooks")
    nbclient = need("nbclient", "running notebooks")
    rows: list[ContractRow] = []
    for path in paths:
        notebook = _read(nbformat, path)
        if _contracts(notebook):
            _run(nbclient, notebook, Path(path), timeout)
            rows += _rows(notebook, str(path))
    if not rows:
        named = ", ".join(map(str, paths))
        raise UsageError(f"no contract in {named}: no %%fuse cell there has --expect")
    return Contracts(tuple(rows))


def _read(nbformat: Any, path: str | Path) -> Any:
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise UsageError(f"there is no notebook {str(path)!r}") from None
    except Exception as error:
        said = short(f"{type(error).__name__}: {error}", 200)
        raise UsageError(f"{path} cannot be read as a notebook: {said}") from error


def _run(nbclient: Any, notebook: Any, path: Path, timeout: float) -> None:
    """Run all cells; what they raise is in their outputs."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = nbclient.NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    try:
        client.execute()
    except nbclient.exceptions.CellTimeoutError as error:
        said = short(str(error), 200)
        raise UsageError(f"{path}: a cell takes more than {timeout:g} s: {said}") from error
    except Exception as error:
        said = short(f"{type(error).__name__}: {error}", 300)
        raise UsageError(f"{path} cannot be run: {said}") from error


def _contracts(notebook: Any) -> list[tuple[int, Any, str]]:
    """(number of the code cell, cell, contract) for each."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        for line in cell.source.splitlines():
            match = _MAGIC.match(line)
            if match:
                found.append((number, cell, _expected(match["flags"])))
                break
    return found


def _expected(flags: str) -> str:
    """The value of --expect among flags."""
    try:
        words = shlex.split(flags)
    except ValueError:
        return flags.strip()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--expect":
            return following
        if word.startswith("--expect="):
            return word.partition("=")[2]
    return flags.strip()


def _rows(notebook: Any, name: str) -> list[ContractRow]:
    rows = []
    for number, cell, contract in _contracts(notebook):
        kind, said = _failure(cell)
        outcome: Literal["holds", "broken", "error"] = "error" if kind else "holds"
        rows.append(
            ContractRow(
                name, number, contract, "broken" if kind == "ContractError" else outcome, said
            )
        )
    return rows


def _failure(cell: Any) -> tuple[str, str]:
    """The exception's name and message; a wrong use of a magic is no exception but a text."""
    for output in cell.outputs:
        if output.output_type == "error":
            text = _plain(output.evalue)
            is_ours = output.ename == "ContractError"
            return output.ename, text if is_ours else f"{output.ename}: {text}"
        if output.output_type == "stream" and output.name == "stderr":
            start = output.text.find("UsageError: ")
            if start >= 0:
                return "UsageError", _plain(output.text[start:])
    return "", ""


def _plain(text: str) -> str:
    return "\n".join(visible(line) for line in text.splitlines())


# the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `fusekit contracts` takes."""
    parser.add_argument("notebooks", metavar="NOTEBOOK", nargs="+")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--timeout", type=float, default=600, metavar="S", help="seconds for one cell"
    )


def run(options: argparse.Namespace, out: Callable[[object], None]) -> int:
    """Print the table; the exit code is 1 if a contract does not hold."""
    found = check_notebooks(options.notebooks, timeout=options.timeout)
    out(json.dumps(found.to_dict(), indent=1) if options.json else found)
    return 0 if found.hold else 1

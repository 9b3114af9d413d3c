"""The programs of docs/reasons: taken from the pages, run, and their outputs written back.

`python -m tests.reasons.pages` writes what the programs print into the pages, and the index.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from pathlib import Path

from fusekit.specs import Reason

FOLDER = Path(__file__).parents[2] / "docs" / "reasons"

_BLOCK = re.compile(r"```python( gpu)?\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Program:
    """One program of a page.

    Attributes:
        text: what runs.
        output: what the page says that it prints.
        needs_gpu: it is for machines with one.
    """

    text: str
    output: str
    needs_gpu: bool

    def run(self, name: str) -> str:
        """What it prints; `name` stands for the file it is in."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(self.text, f"{name}.py", "exec"), {"__name__": name})
        return printed.getvalue()


def path_of(reason: Reason) -> Path:
    """A reason's page."""
    return FOLDER / f"{reason.code}.md"


def programs_of(reason: Reason) -> list[Program]:
    """The one that gives the reason, then, if something can be done, the one after the change."""
    text = path_of(reason).read_text(encoding="utf-8")
    return [Program(program, output, bool(gpu)) for gpu, program, output in _BLOCK.findall(text)]


def index() -> str:
    """The table of docs/reasons/README.md."""
    rows = [f"| [{r.code}]({r.code}.md) | {r.sentence} | {r.hint} |" for r in Reason]
    return "\n".join(("| code | reason | what to do |", "|---|---|---|", *rows, ""))


def with_outputs(text: str, *, gpu: bool) -> str:
    """A page with the outputs of its programs as they are now."""
    names = iter(("before", "after"))

    def run(match: re.Match[str]) -> str:
        program = Program(match[2], match[3], bool(match[1]))
        output = program.run(next(names)) if gpu or not program.needs_gpu else program.output
        return match[0][: match.start(3) - match.start()] + output + "```"

    return _BLOCK.sub(run, text)


def _main() -> None:
    import torch

    for reason in Reason:
        path = path_of(reason)
        text = path.read_text(encoding="utf-8")
        path.write_text(with_outputs(text, gpu=torch.cuda.is_available()), encoding="utf-8")
    path = FOLDER / "README.md"
    head = path.read_text(encoding="utf-8").partition("| code |")[0]
    path.write_text(head + index(), encoding="utf-8")


if __name__ == "__main__":
    _main()

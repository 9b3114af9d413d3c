"""Run notebooks from top to bottom and store their outputs: `make notebooks`.

What is stored is what a reader without a kernel can use, and nothing of this machine: no widget
state, no terminal colours, no times of execution.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(path: Path) -> None:
    """Run one notebook; a cell that fails, unless it is marked as one that should, ends it."""
    notebook = nbformat.read(path, as_version=4)
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", store_widget_state=False, record_timing=False
    )
    client.execute()
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            scrub(output)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def scrub(output: nbformat.NotebookNode) -> None:
    """Leave out what only the kernel that made it can show."""
    output.get("data", {}).pop(WIDGET, None)
    if output.output_type == "error":
        output.traceback = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in output.traceback]


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(Path("notebooks").glob("*.ipynb")):
        execute(Path(name))
        print(f"{name}: {Path(name).stat().st_size // 1024} KiB")

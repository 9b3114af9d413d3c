"""The documentation site: `make docs`. Nothing in it comes from the network."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

_HERE = Path(__file__).parent
_COPIES = _HERE / "_copied"

project = "fusekit"
author = "fusekit contributors"
copyright = author  # noqa: A001  the name that Sphinx reads
release = metadata.version("fusekit")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"fusekit {release}"
exclude_patterns = ["_build"]
myst_heading_anchors = 4

# Notebooks show the outputs that are stored in them, which the tests compare.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from elsewhere

autodoc_typehints = "none"
autodoc_member_order = "bysource"

suppress_warnings = [
    "myst.xref_missing",  # texts link to files of the repository, too
    "mystnb.unknown_mime_type",
    "misc.highlighting_failure",  # shells and kernels, in notebooks
]


def _copy() -> None:
    """Bring what lies outside this folder: Sphinx reads nothing else."""
    _COPIES.mkdir(exist_ok=True)
    root = _HERE.parent
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        shutil.copy2(notebook, _COPIES)
    for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"):
        text = (root / f"{name}.md").read_text(encoding="utf-8")
        text = text.replace("](docs/", "](../").replace("](notebooks/", "](")
        (_COPIES / f"{name}.md").write_text(text, encoding="utf-8")


_copy()

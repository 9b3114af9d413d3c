"""Looking into a fusion: a plain model, and the text, HTML, pictures and widgets made from it.

Importing this package imports nothing of Jupyter and no drawing library: what shows something
imports what it needs when it is asked to.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusekit.viz.view import FusionView, load

__all__ = ["FusionView", "load"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("fusekit.viz.view"), name)

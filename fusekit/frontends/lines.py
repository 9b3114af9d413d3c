"""Which of the user's lines is being executed."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from types import FrameType

import torch

from fusekit.ir import Loc

__all__ = ["user_line"]

_HERE = Path(__file__).parent
_HIDDEN = ("<frozen", *map(str, (Path(torch.__file__).parent, _HERE, _HERE.parent / "runtime")))
"""Files whose path starts like this are not the user's."""


def user_line() -> Loc | None:
    """The innermost frame that is neither torch's nor ours."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  inspect.stack takes milliseconds
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_HIDDEN):
            text = linecache.getline(file, frame.f_lineno).strip()
            return Loc(file, frame.f_lineno, text)
        frame = frame.f_back
    return None

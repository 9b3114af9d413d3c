"""Files that a command is told to write."""

from __future__ import annotations

import argparse
from pathlib import Path

from fusekit.errors import UsageError

__all__ = ["target", "write"]


def target(name: str) -> Path:
    """The path, checked before minutes are spent on what should go there.

    Raises:
        argparse.ArgumentTypeError: it is no file, or its folder does not exist.
    """
    path = Path(name)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write {name!r}: not a file in a folder there is")
    return path


def write(path: Path | None, text: str) -> None:
    """Write a text there, if a path was given.

    Raises:
        UsageError: it cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from error

"""Rows kept in a file, so that hours of measuring can be interrupted and gone on with."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from fusekit.errors import UsageError
from fusekit.mathcheck.rows import Row

__all__ = ["State", "default_path"]

_VERSION = 1


def default_path() -> Path:
    """Where rows are kept if nothing else is said: the user's cache folder."""
    try:
        import platformdirs  # noqa: PLC0415  absent on a bare server
    except ImportError:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fusekit"
    else:
        folder = Path(platformdirs.user_cache_dir("fusekit"))
    return folder / "verify-math.json"


class State:
    """The rows of a file; written whole each time, by renaming, so that it is never half a file."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Read the file if there is one.

        Args:
            path: of the file.
            fresh: forget what it holds.

        Raises:
            UsageError: it is no such file.
        """
        self.path = path
        self._rows: dict[str, Any] = {} if fresh else _read(path)

    def row(self, key: str) -> Row | None:
        """The row of a key, if it was ever begun."""
        saved = self._rows.get(key)
        return None if saved is None else Row.read(saved)

    def keep(self, row: Row) -> None:
        """Write a row, and all others.

        Raises:
            UsageError: the file cannot be written.
        """
        self._rows[row.key] = dataclasses.asdict(row)
        text = json.dumps({"version": _VERSION, "rows": self._rows}, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self.path.parent, suffix=".part", delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
            Path(file.name).replace(self.path)
        except OSError as error:
            raise UsageError(f"cannot write {str(self.path)!r}: {error.strerror}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        rows: dict[str, Any] = saved["rows"] if saved["version"] == _VERSION else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{str(path)!r} holds no results; --fresh overwrites it") from error
    return rows

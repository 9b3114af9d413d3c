"""Disk cache of compiled kernels: whatever goes wrong in it is a miss, never an error.

What lies here is loaded as machine code, so a folder or an entry that anyone else could have
written is not trusted: the cache then stays off, and `info` says why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fusekit import config

__all__ = [
    "LIMIT_BYTES",
    "Info",
    "clear",
    "digest",
    "get",
    "hold",
    "info",
    "put",
    "release",
    "remove",
    "size_of",
]

LIMIT_BYTES = 256 * 2**20
"""What all entries together may take; the ones used longest ago go first."""

_MAGIC = b"fusekit-cache-1\n"
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_MOST_BYTES = LIMIT_BYTES + len(_MAGIC) + _CHECKSUM_BYTES
"""No entry is larger; reading a damaged one that is may take more memory than there is."""

_STALE_SECONDS = 3600.0
"""A temporary file this old belongs to a process that died while writing it."""

_room: dict[Path, int] = {}
"""Folder -> bytes this process may still write before it must look at the folder's size again."""

_held: set[str] = set()
"""Names of entries that this process does not evict; others that share the folder may."""


@dataclasses.dataclass(frozen=True, slots=True)
class Info:
    """What the cache holds, for people.

    Attributes:
        folder: where it is.
        off: why it is not used; empty if it is.
        entries: number of entries.
        size: their bytes.
        limit: the bytes they may take.
    """

    folder: str
    off: str
    entries: int
    size: int
    limit: int


def digest(*parts: str) -> str:
    """A hex digest of `parts` in order; where one part ends and the next begins counts."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(b"%d:" % len(data))
        state.update(data)
    return state.hexdigest()


def get(key: str) -> bytes | None:
    """What was put under `key`, or None; a damaged entry is removed."""
    folder, _ = _open_folder(create=False)
    if folder is None:
        return None
    path = _path(folder, key)
    try:
        data = _read_own(path)
        payload = None if data is None else _unpack(key, data)
        if payload is None:
            path.unlink()
            return None
    except OSError:
        return None
    with contextlib.suppress(OSError):  # the disk may be read-only
        os.utime(path)  # used now: eviction takes the entries used longest ago
    return payload


def put(key: str, data: bytes) -> None:
    """Keep `data` under `key`, if that is possible and allowed."""
    folder, _ = _open_folder(create=True)
    if folder is None or len(data) > LIMIT_BYTES:
        return
    packed = _MAGIC + _checksum(key, data) + data
    with contextlib.suppress(OSError):
        _make_room(folder, len(packed))
        _write(_path(folder, key), packed)


def size_of(key: str) -> int | None:
    """The bytes that what is kept under `key` takes on disk; None if there is nothing."""
    folder, _ = _open_folder(create=False)
    if folder is None:
        return None
    try:
        return _path(folder, key).stat().st_size
    except OSError:
        return None


def remove(key: str) -> None:
    """Forget what was put under `key`."""
    folder, _ = _open_folder(create=False)
    if folder is not None:
        with contextlib.suppress(OSError):
            _path(folder, key).unlink()


def hold(key: str) -> None:
    """Have this process never evict what is kept under `key`, however full the cache is."""
    _held.add(_name(key))


def release(key: str) -> None:
    """Undo `hold`."""
    _held.discard(_name(key))


def clear() -> None:
    """Remove every entry."""
    folder, _ = _open_folder(create=False)
    if folder is None:
        return
    for entry in _entries(folder):
        with contextlib.suppress(OSError):
            Path(entry.path).unlink()
    _room.pop(folder, None)


def info() -> Info:
    """Where the cache is, whether it is used, and what it holds."""
    folder, off = _open_folder(create=False)
    sizes = [] if folder is None else [found.size for found in _survey(folder)]
    try:
        shown = str(_folder_path())
    except RuntimeError:  # no home folder; `off` says so
        shown = ""
    return Info(shown, off, len(sizes), sum(sizes), LIMIT_BYTES)


def _folder_path() -> Path:
    """The folder as the options name it; RuntimeError if that needs a home and there is none."""
    chosen = config.current().cache_dir
    return Path(chosen or _user_cache_dir()).expanduser()


def _user_cache_dir() -> str:
    try:
        import platformdirs  # noqa: PLC0415  absent on a bare server, and only wanted here
    except ImportError:
        return str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fusekit")
    return platformdirs.user_cache_dir("fusekit")


def _open_folder(*, create: bool) -> tuple[Path | None, str]:
    """The folder if it can be trusted, else None and why it is not used."""
    if not config.current().disk_cache:
        return None, "the option disk_cache is off"
    try:
        folder = _folder_path()
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except FileNotFoundError:
        return None, ""  # nothing was put yet
    except (OSError, RuntimeError, ValueError) as error:  # no home folder; a NUL in the name
        return None, str(error)
    fault = _distrust(found)
    return (None, f"{folder} {fault}") if fault else (folder, "")


def _distrust(found: os.stat_result) -> str:
    """Why a folder with this state cannot be trusted; empty if it can."""
    if not stat.S_ISDIR(found.st_mode):
        return "is not a folder"
    if _writable_by_others(found):
        return "may be written by others: it has to be yours, and chmod go-w"
    return ""


def _writable_by_others(found: os.stat_result) -> bool:
    return found.st_uid != os.geteuid() or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _path(folder: Path, key: str) -> Path:
    """The entry's file: named by a digest, so no key can name anything outside the folder."""
    return folder / _name(key)


def _name(key: str) -> str:
    return f"{digest(key)}.fk"


def _checksum(key: str, data: bytes) -> bytes:
    """Of key and data, so that an entry under another's name does not pass either."""
    return hashlib.sha256(bytes.fromhex(digest(key)) + data).digest()


def _read_own(path: Path) -> bytes | None:
    """The file's bytes, or None if it is not a plain file of ours."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or _writable_by_others(found):
            return None
        return None if found.st_size > _MOST_BYTES else file.read()


def _unpack(key: str, data: bytes) -> bytes | None:
    """The payload of an entry, or None if it is damaged or something else."""
    start = len(_MAGIC) + _CHECKSUM_BYTES
    payload = data[start:]
    intact = data[:start] == _MAGIC + _checksum(key, payload)
    return payload if intact else None


def _write(path: Path, data: bytes) -> None:
    """Write to the side and move into place: no reader ever sees half an entry."""
    descriptor, name = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """One entry as a survey of the folder finds it."""

    used: float
    size: int
    path: str


def _make_room(folder: Path, size: int) -> None:
    """Evict until `size` more bytes fit. The folder is surveyed only now and then."""
    left = _room.get(folder, 0) - size
    if left < 0:
        entries = sorted(_survey(folder), key=lambda entry: entry.used)
        total = sum(entry.size for entry in entries)
        # A quarter is freed at once, or every later put would survey the folder again.
        goal = LIMIT_BYTES - size if total + size <= LIMIT_BYTES else LIMIT_BYTES * 3 // 4 - size
        for entry in entries:
            if total <= goal:
                break
            if Path(entry.path).name in _held:
                continue
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()
            total -= entry.size
        # Other processes write too, so no survey is trusted for long.
        left = min(LIMIT_BYTES - total - size, LIMIT_BYTES // 16)
    _room[folder] = left


def _survey(folder: Path) -> list[_Found]:
    """The entries; what dead processes left half-written is removed on the way."""
    found: list[_Found] = []
    for entry in _entries(folder):
        with contextlib.suppress(OSError):  # another process may remove it under our eyes
            state = entry.stat(follow_symlinks=False)
            if entry.name.endswith(".fk"):
                found.append(_Found(state.st_mtime, state.st_size, entry.path))
            elif time.time() - state.st_mtime > _STALE_SECONDS:
                Path(entry.path).unlink()
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Files of ours in the folder: entries and temporary files, nothing else that lies there."""
    try:
        with os.scandir(folder) as found:
            yield from (entry for entry in found if entry.name.endswith((".fk", ".tmp")))
    except OSError:
        return

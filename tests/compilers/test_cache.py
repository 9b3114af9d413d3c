"""The disk cache: whatever goes wrong in it is a miss, never an error."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import fusekit.config
from fusekit.compilers import cache


@pytest.fixture
def folder(tmp_path):
    """A cache of its own."""
    chosen = tmp_path / "cache"
    with fusekit.config.options(disk_cache=True, cache_dir=str(chosen)):
        yield chosen
    cache._room.pop(chosen, None)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.fk"))


def test_what_is_put_is_got(folder):
    assert cache.get("a") is None
    cache.put("a", b"code")
    cache.put("b", b"")
    assert cache.get("a") == b"code"
    assert cache.get("b") == b""
    cache.put("a", b"newer")
    assert cache.get("a") == b"newer"
    assert len(entries(folder)) == 2


def test_digest_depends_on_where_parts_end():
    assert cache.digest("ab", "c") != cache.digest("a", "bc") != cache.digest("abc")
    assert cache.digest("ab", "c") == cache.digest("ab", "c")


def test_keys_name_nothing_outside(folder):
    cache.put("../../etc/x\0", b"1")
    assert cache.get("../../etc/x\0") == b"1"
    assert [path.parent for path in entries(folder)] == [folder]


def test_folder_and_entries_are_private(folder):
    old = os.umask(0)
    try:
        cache.put("a", b"code")
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(entries(folder)[0].stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(folder, mode):
    cache.put("a", b"code")
    folder.chmod(mode)
    assert cache.get("a") is None
    cache.put("b", b"code")
    assert "others" in cache.info().off
    folder.chmod(0o755)
    assert cache.get("a") == b"code"
    assert cache.get("b") is None


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    cache.put("a", b"code")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert cache.get("a") is None
    assert cache.info().off


def test_an_entry_that_others_may_write_is_removed(folder):
    cache.put("a", b"code")
    entries(folder)[0].chmod(0o666)
    assert cache.get("a") is None
    assert not entries(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"\x7fELF" + data,
        lambda data: data + b"\0",
    ],
)
def test_a_damaged_entry_is_a_miss_and_is_rebuilt(folder, damage):
    cache.put("a", b"code")
    (entry,) = entries(folder)
    entry.write_bytes(damage(entry.read_bytes()))
    assert cache.get("a") is None
    cache.put("a", b"code")
    assert cache.get("a") == b"code"


def test_an_entry_under_anothers_name_is_a_miss(folder):
    cache.put("a", b"code of a")
    (a,) = entries(folder)
    cache.put("b", b"code of b")
    (b,) = set(entries(folder)) - {a}
    a.replace(b)
    assert cache.get("b") is None


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_plain_file_is_a_miss(folder, tmp_path, kind):
    cache.put("a", b"code")
    (entry,) = entries(folder)
    if kind == "link":
        entry.rename(tmp_path / "elsewhere")
        entry.symlink_to(tmp_path / "elsewhere")
    else:
        entry.unlink()
        entry.mkdir() if kind == "folder" else os.mkfifo(entry)
    assert cache.get("a") is None
    cache.put("a", b"code")  # whether it can be replaced or not


def test_a_disk_that_cannot_be_written_goes_unnoticed(folder, monkeypatch):
    cache.put("a", b"code")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "mkstemp", fail)
    monkeypatch.setattr(os, "utime", fail)
    cache.put("b", b"code")
    assert cache.get("a") == b"code"
    assert cache.get("b") is None


def test_half_a_write_leaves_nothing(folder, monkeypatch):
    cache.put("a", b"code")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    cache.put("b", b"code")
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("chosen", ["/proc/nowhere/cache", "/dev/null", "nul\0byte", "~nobody-x/y"])
def test_a_folder_that_cannot_be_goes_unnoticed(chosen):
    with fusekit.config.options(disk_cache=True, cache_dir=chosen):
        cache.put("a", b"code")
        assert cache.get("a") is None
        assert cache.info().entries == 0
        cache.clear()


def test_switched_off_it_neither_reads_nor_writes(folder):
    cache.put("a", b"code")
    with fusekit.config.options(disk_cache=False):
        assert cache.get("a") is None
        cache.put("b", b"code")
        assert "disk_cache" in cache.info().off
    assert len(entries(folder)) == 1


def test_the_entry_used_longest_ago_goes_first(folder, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT_BYTES", 10_000)
    for index in range(9):
        cache.put(str(index), bytes(1000))
        os.utime(max(entries(folder), key=lambda p: p.stat().st_ctime_ns), (index, index))
    assert cache.get("0")  # now the latest
    for index in range(9, 12):
        cache.put(str(index), bytes(1000))
    assert cache.info().size <= 10_000
    assert cache.get("0")
    assert cache.get("11")
    assert cache.get("1") is None


def test_what_is_larger_than_the_cache_is_not_kept(folder, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT_BYTES", 100)
    cache.put("a", bytes(101))
    assert not folder.exists() or not entries(folder)


def test_clear_removes_entries_and_nothing_else(folder):
    cache.put("a", b"code")
    mine = folder / "notes.txt"
    mine.write_text("mine")
    cache.clear()
    assert list(folder.iterdir()) == [mine]


def test_info_counts(folder):
    assert cache.info() == cache.Info(str(folder), "", 0, 0, cache.LIMIT_BYTES)
    cache.put("a", bytes(1000))
    info = cache.info()
    assert (info.entries, info.off) == (1, "")
    assert 1000 < info.size < 1200


def test_leftovers_of_dead_processes_are_removed(folder):
    cache.put("a", b"code")
    old, new = folder / "old.tmp", folder / "new.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    cache.info()
    assert not old.exists()
    assert new.exists()


def test_threads_never_see_half_an_entry(folder):
    wrong = []

    def work(number: int) -> None:
        for _ in range(50):
            cache.put("shared", bytes([number]) * 50_000)
            got = cache.get("shared")
            if got is not None and len(set(got)) != 1:
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_platformdirs_it_follows_xdg(tmp_path):
    code = (
        "import sys; sys.modules['platformdirs'] = None\n"
        "from fusekit.compilers import cache\n"
        "cache.put('a', b'code'); print(cache.info().folder, cache.get('a'))"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FUSEKIT_")}
    environ |= {"XDG_CACHE_HOME": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    ).stdout  # fmt: skip
    assert printed.split(maxsplit=1) == [f"{tmp_path}/fusekit", "b'code'\n"]

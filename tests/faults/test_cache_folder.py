"""The folder of the disk cache in every bad state: answers stay right, and kernels compile."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import fusekit
from fusekit.compilers import cache
from fusekit.runtime import kernels
from tests.faults.children import Child, fresh, in_child, plain, right

X = torch.linspace(-3, 3, 53)

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@contextlib.contextmanager
def cached_in(folder):
    with fusekit.options(disk_cache=True, cache_dir=str(folder)):
        yield
    cache._room.clear()


def works(engine: str = "llvm") -> fusekit.FusedFunction:
    """A new kernel compiles and is right, whatever becomes of the cache."""
    fused = fresh(engine)
    right(fused, X)
    assert not fused.history().fallbacks, str(fused.history())
    return fused


def anew(fused: fusekit.FusedFunction) -> fusekit.FusedFunction:
    """The same function as another process sees it: nothing in memory, what there is on disk."""
    kernels._slots.clear()
    kernels._alive.clear()
    return fusekit.fuse(fused.function, engine=fused.engine)


def mounted(folder: Path, *options: str) -> bool:
    """Mount an empty tmpfs; False where this process may not."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "none", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    if shutil.which("mount") is None or not mounted(tmp_path, "-o", "size=64k,mode=700"):
        pytest.skip("this process may not mount a tmpfs")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk(small_disk):
    with cached_in(small_disk / "cache"):
        works()
        (small_disk / "ballast").write_bytes(b"")
        with pytest.raises(OSError, match="No space"):
            (small_disk / "ballast").write_bytes(bytes(1 << 20))
        for _ in range(3):
            works()
        assert not list((small_disk / "cache").glob("*.tmp"))
        (small_disk / "ballast").unlink()
        kept = cache.info().entries
        works()
        assert cache.info().entries == kept + 1


def test_a_limit_on_the_size_of_files(tmp_path):
    """As a quota: writing raises EFBIG in the middle of an entry."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        with cached_in(tmp_path):
            right(anew(works()), X)
        assert not list(tmp_path.iterdir())

    in_child(work)


@AS_ROOT
def test_a_read_only_disk(tmp_path):
    if not mounted(tmp_path, "-o", "mode=700"):
        pytest.skip("this process may not mount a tmpfs")
    try:
        with cached_in(tmp_path):
            fused = works()
            subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
            works()
            with fusekit.events.listening() as heard:
                right(anew(fused), X)
            assert [e.cached for e in heard if isinstance(e, fusekit.events.Compiled)] == [True]
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@AS_ROOT
def test_a_folder_of_another_user_is_neither_read_nor_written(tmp_path):
    with cached_in(tmp_path):
        fused = works()
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents:
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o711)

        def work() -> str:
            os.setgid(65534)
            os.setuid(65534)
            with fusekit.events.listening() as heard:
                right(anew(fused), X)
            assert [e.cached for e in heard if isinstance(e, fusekit.events.Compiled)] == [False]
            return cache.info().off

        assert "has to be yours" in in_child(work)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_deleted_while_it_is_used(tmp_path):
    folder = tmp_path / "cache"
    with cached_in(folder):
        fused = works()
        for _ in range(3):
            shutil.rmtree(folder)
            right(fused, X)
            right(anew(fused), X)
            works()
        assert cache.info().entries == 2


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
def test_files_that_are_damaged_bit_by_bit(tmp_path, engine, seed):
    """Flip each of many bits of every file; truncate; empty; swap: never a wrong answer."""
    chooser = random.Random(seed)
    with cached_in(tmp_path):
        fused, other = works(engine), works(engine)
        entries = {path: path.read_bytes() for path in tmp_path.iterdir()}
        keys = [
            kernel.engine.load_compiler().key(kernel.source)
            for f in (fused, other)
            for entry in f.prepared.values()
            for kernel in entry.plan.kernels
        ]
        assert len(keys) == 2
        whole = [cache.get(key) for key in keys]

        def check(path: Path, damaged: bytes) -> None:
            path.write_bytes(damaged)
            assert [cache.get(key) for key in keys] in ([None, whole[1]], [whole[0], None], whole)
            path.unlink(missing_ok=True)
            path.write_bytes(entries[path])
            path.chmod(0o600)

        for path, data in entries.items():
            positions = [*range(60 * 8), *(chooser.randrange(8 * len(data)) for _ in range(150))]
            for bit in positions:
                flipped = bytearray(data)
                flipped[bit // 8] ^= 1 << bit % 8
                check(path, bytes(flipped))
            for length in (0, 1, 20, 48, len(data) // 2, len(data) - 1):
                check(path, data[:length])
        a, b = (path for path in entries if entries[path][-200:] in {w[-200:] for w in whole})
        a.write_bytes(entries[b])
        b.write_bytes(entries[a][: len(entries[a]) // 2])
        for f in (fused, other):
            with fusekit.events.listening() as heard:
                right(anew(f), X)
            made = [e.cached for e in heard if isinstance(e, fusekit.events.Compiled)]
            assert made == [False]
        with fusekit.events.listening() as heard:  # and what was damaged has been replaced
            right(anew(fused), X)
        assert [e.cached for e in heard if isinstance(e, fusekit.events.Compiled)] == [True]


def test_an_entry_that_is_larger_than_memory(tmp_path):
    with cached_in(tmp_path):
        fused = works()
        (entry,) = tmp_path.iterdir()
        os.truncate(entry, 1 << 42)  # sparse
        right(anew(fused), X)
        assert entry.stat().st_size < 1 << 20


@pytest.mark.parametrize("kind", ["elsewhere", "dangling", "loop", "file", "pipe", "nothing"])
def test_a_folder_that_is_none(tmp_path, kind):
    folder = tmp_path / "cache"
    match kind:
        case "elsewhere":
            (tmp_path / "real").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "real")
        case "dangling":
            folder.symlink_to(tmp_path / "missing")
        case "loop":
            folder.symlink_to(tmp_path / "back")
            (tmp_path / "back").symlink_to(folder)
        case "file":
            folder.write_text("mine")
        case "pipe":
            os.mkfifo(folder)
    with cached_in(folder):
        works()
        info = cache.info()
    assert info.entries == (kind in ("elsewhere", "nothing"))
    if kind == "file":
        assert folder.read_text() == "mine"
        assert "not a folder" in info.off or "exists" in info.off


@pytest.mark.parametrize(
    "name",
    [
        *("with space", "quo'te\"s", "new\nline", "-rf", "*?[x]", "$HOME${x}`id`", "%s%n{0}"),
        *("\u202eright to left", "\N{SNOWMAN}", "..\\..\\x", "\udcff\udcfe not UTF-8", "a" * 255),
        "/".join(["b" * 200] * 15),
    ],
)
def test_odd_names(tmp_path, name):
    with cached_in(tmp_path / name):
        fused = works()
        right(anew(fused), X)
        assert cache.info().entries == 1
        assert {path.parent for path in (tmp_path / name).glob("*.fk")} == {tmp_path / name}


@pytest.mark.parametrize("name", ["nul\0", "c" * 256, "/".join(["d" * 200] * 30), "/dev/null/x"])
def test_names_that_no_folder_can_have(tmp_path, name):
    with cached_in(tmp_path / name):
        works()
        assert cache.info().entries == 0
        assert cache.info().off


@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_race_for_one_folder(tmp_path, count):
    go = tmp_path / "go"
    functions = [plain() for _ in range(12)]

    def work() -> tuple[int, dict[str, int]]:
        while not go.exists():
            pass
        before = fusekit.stats().kernels
        for f in functions:
            right(fusekit.fuse(f), X)
        return fusekit.stats().kernels - before, dict(fusekit.stats().fallbacks)

    with cached_in(tmp_path / "cache"):
        fallbacks = dict(fusekit.stats().fallbacks)
        racing = [Child(work) for _ in range(count)]
        go.touch()
        assert [child.result() for child in racing] == [(12, fallbacks)] * count
        assert cache.info().entries == 12
        assert not list((tmp_path / "cache").glob("*.tmp"))
        with fusekit.events.listening() as heard:
            for f in functions:
                right(fusekit.fuse(f), X)
        made = [e.cached for e in heard if isinstance(e, fusekit.events.Compiled)]
        assert made == [True] * 12  # each entry is whole

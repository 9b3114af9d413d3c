"""The engine cpp with a compiler that misbehaves: real programs, found by CXX."""

from __future__ import annotations

import shutil
import threading
import time

import pytest
import torch

import fusekit
from fusekit.compilers import elf, toolchain
from fusekit.compilers.host_cxx import HostCxx
from fusekit.errors import EngineUnavailableError
from tests.faults.children import codes, fresh, in_child, right

X = torch.linspace(-3, 3, 53)
COMPILER = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")

pytestmark = pytest.mark.cxx


@pytest.fixture(autouse=True)
def own_cache(tmp_path):
    with fusekit.options(disk_cache=True, cache_dir=str(tmp_path / "cache")):
        yield


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """CXX that compiles everything but kernels; of those it makes what the test says."""

    def put(at_kernel: str) -> None:
        script = tmp_path / "cxx"
        script.write_text(
            "#!/bin/sh\n"
            'for word; do case "$word" in kernel.so) kernel=1;; esac; done\n'
            f'if [ -n "$kernel" ]; then\n:\n{at_kernel}\nfi\nexec {COMPILER} "$@"\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("CXX", str(script))

    put("")
    right(fresh("cpp"), X)  # it is tried, and works
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return put


FAULTS = {
    "killed": ("kill -9 $$", "failed with status -9"),
    "crashed": ("kill -SEGV $$", "failed with status -11"),
    "fails": ("echo licence expired >&2; exit 3", "licence expired"),
    "nothing": ("exit 0", "wrote no output"),
    "empty": (": > kernel.so; exit 0", "wrote no output"),
    "a folder": ("mkdir kernel.so; exit 0", "wrote no output"),
    "text": ("echo hello > kernel.so; exit 0", "cannot be loaded"),
    "garbage": ("head -c 100000 /dev/urandom > kernel.so; exit 0", "cannot be loaded"),
    "floods": ("head -c 20000000 /dev/urandom >&2; echo no room >&2; exit 1", "no room"),
    "removes its folder": ('rm -rf "$PWD"; exit 1', "failed with status 1"),
    "another symbol": (
        f'echo "int other;" > k.cpp; exec {COMPILER} -shared -fPIC -o kernel.so k.cpp',
        "has no function",
    ),
    "missing symbol": (
        f"""echo "extern int gone(); int other = gone();" > k.cpp
        exec {COMPILER} -shared -fPIC -o kernel.so k.cpp""",
        "cannot be loaded",
    ),
    "cut short": (
        f'{COMPILER} "$@" && head -c 9000 kernel.so > k && mv k kernel.so; exit 0',
        "cannot be loaded",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_pytorch_runs_what_does_not_compile(compiler, tmp_path, fault):
    text, says = FAULTS[fault]
    compiler(text)
    fused = fresh("cpp")
    before = fusekit.stats().fallbacks.get("FK0303", 0)
    for _ in range(2):
        right(fused, X)
    assert codes(fused) == {"FK0303": 2}
    assert fusekit.stats().fallbacks["FK0303"] == before + 2
    (fallback,) = fused.history().fallbacks
    assert says in str(fallback.decline)
    assert len(str(fallback.decline)) < 4000
    compiler("")
    right(fresh("cpp"), X)  # and nothing else is the worse for it
    assert not list((tmp_path / "tmp").iterdir())


def test_a_backward_that_does_not_compile(compiler):
    """The forward ran in a kernel; PyTorch computes the gradient."""
    fused = fresh("cpp")
    x, y = X.clone().requires_grad_(), X.clone().requires_grad_()
    made = fused(x)
    compiler("kill -9 $$")
    made.sum().backward()
    fused.function(y).sum().backward()
    assert torch.equal(x.grad, y.grad)
    assert codes(fused) == {"FK0303": 1}


def test_a_compiler_that_hangs_is_ended_and_tried_once(compiler, monkeypatch):
    monkeypatch.setattr(toolchain, "TIMEOUT_SECONDS", 1.0)
    compiler("sleep 600 & sleep 600")
    fused = fresh("cpp")
    start = time.monotonic()
    for _ in range(3):
        right(fused, X)
    assert time.monotonic() - start < 15
    assert codes(fused) == {"FK0303": 3}
    assert "did not finish in 1 s" in str(fused.history())


def test_a_server_that_a_compiler_leaves_behind_is_not_waited_for(compiler):
    """As compiler caches do: it holds the output open, and may live for ever."""
    compiler("setsid sleep 300 &")
    fused = fresh("cpp")
    start = time.monotonic()
    right(fused, X)
    assert time.monotonic() - start < 60
    assert not codes(fused)


def test_other_threads_are_served_while_one_waits_for_a_compiler(compiler, tmp_path):
    compiler(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    slow, quick = fresh("cpp"), fresh()
    thread = threading.Thread(target=lambda: slow(X))
    thread.start()
    try:
        right(quick, X)
        assert thread.is_alive()
    finally:
        (tmp_path / "go").touch()
        thread.join()
    right(slow, X)
    assert not codes(slow)


def test_without_any_compiler_auto_serves_and_cpp_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    right(fresh("auto"), X)
    with pytest.raises(EngineUnavailableError, match="install one, or set CXX"):
        fresh("cpp")(X)


def test_a_disk_without_room_for_the_compilers_files(tmp_path, monkeypatch):
    def work() -> None:
        right(fresh("cpp"), X)
        fused = fresh("cpp")
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
        right(fused, X)
        assert codes(fused) == {"FK0309": 1}
        assert "No such file" in str(fused.history())
        (tmp_path / "gone").mkdir()
        right(fused, X)  # nothing was remembered
        assert codes(fused) == {"FK0309": 1}

    in_child(work)


def test_a_library_that_was_cut_short_anywhere_is_noticed():
    """dlopen would end the process."""
    from fusekit.codegen import KernelSource

    source = KernelSource("cpp", 'extern "C" int k(int a) { return a; }\n', "k", ())
    image = HostCxx().image(source)
    assert elf.is_whole(image)
    assert HostCxx().load(source, image).address
    cut = [length for length in range(0, len(image), 61) if elf.is_whole(image[:length])]

    def load() -> int:
        loaded = 0
        for length in cut:
            try:
                loaded += HostCxx().load(source, image[:length]).address > 0
            except fusekit.errors.CompileError:
                continue
        return loaded

    assert len(cut) < len(image) / 61 / 2
    in_child(load)

"""Finding the machine's C++ compiler and running it."""

from __future__ import annotations

import ctypes
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import fusekit.config
from fusekit.codegen import KernelSource
from fusekit.compilers import openmp, toolchain
from fusekit.compilers.host_cxx import HostCxx
from fusekit.compilers.toolchain import Command, find_command
from fusekit.errors import CompileError, EngineUnavailableError

MISSING = HostCxx().unavailable()
COMPILER = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
compiles = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no g++, clang++ or c++ on PATH")


@pytest.fixture(autouse=True)
def own_cache(tmp_path):
    with fusekit.config.options(disk_cache=True, cache_dir=str(tmp_path / "cache")):
        yield


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Where the compiler's temporary folders go."""
    chosen = tmp_path / "tmp"
    chosen.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(chosen))
    return chosen


def script(path: Path, text: str) -> Path:
    """An executable Python script."""
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{text}\n")
    path.chmod(0o755)
    return path


def source(text: str = "return 7;") -> KernelSource:
    return KernelSource("cpp", f'extern "C" int answer() {{ {text} }}\n', "answer", ())


def answer(artifact) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int)(artifact.address)()


# finding --------------------------------------------------------------------------------------


def test_cxx_may_carry_flags_and_wrappers(tmp_path):
    cxx = script(tmp_path / "my g++", "")
    found = find_command({"CXX": f"'{cxx}' --nested -O2 '-DX=a b'"})
    assert found == Command((str(cxx),), ("--nested", "-O2", "-DX=a b"))
    found = find_command({"CXX": f"'{cxx}' g++ -O2"})
    assert found == Command((str(cxx), "g++"), ("-O2",))


def test_path_is_searched_without_cxx(tmp_path):
    clang = script(tmp_path / "clang++", "")
    assert find_command({"PATH": str(tmp_path), "CXX": " "}) == Command((str(clang),))
    gcc = script(tmp_path / "g++", "")
    assert find_command({"PATH": str(tmp_path)}) == Command((str(gcc),))


@pytest.mark.parametrize(
    ("cxx", "says"),
    [
        ("no-such-compiler -O2", "names no program"),
        ("-O2", "names no program"),
        ("g++ 'unclosed", "quote it as in a shell"),
        ("", "install one, or set CXX"),
    ],
)
def test_a_missing_compiler_is_a_sentence(tmp_path, monkeypatch, cxx, says):
    monkeypatch.setenv("CXX", cxx)
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler = HostCxx()
    assert says in compiler.unavailable()
    with pytest.raises(EngineUnavailableError, match=says):
        compiler.compile(source())


@needs_compiler
def test_a_compiler_that_appears_later_is_found(monkeypatch):
    compiler = HostCxx()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiler.unavailable()
    monkeypatch.setenv("CXX", COMPILER)
    assert compiler.unavailable() is None


def test_a_compiler_that_does_not_work_is_unavailable(tmp_path, monkeypatch):
    broken = script(tmp_path / "g++", "print('licence expired'); sys.exit(3)")
    monkeypatch.setenv("CXX", str(broken))
    assert "licence expired" in HostCxx().unavailable()


def test_what_the_environment_says_never_meets_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", f"g++; touch {tmp_path}/owned")
    assert "names no program" in HostCxx().unavailable()
    assert not (tmp_path / "owned").exists()


@needs_compiler
@pytest.mark.parametrize("refused", ["-march=native", "-fopenmp", "-fopenmp-simd"])
def test_a_flag_that_is_refused_is_left_out(tmp_path, monkeypatch, refused):
    wrapper = script(
        tmp_path / "picky",
        f"if {refused!r} in sys.argv: sys.exit('unknown option')\n"
        f"os.execv({COMPILER!r}, [{COMPILER!r}, *sys.argv[1:]])",
    )
    monkeypatch.setenv("CXX", str(wrapper))
    compiler = HostCxx()
    assert compiler.unavailable() is None
    assert refused not in compiler._working().optional
    assert answer(compiler.compile(source())) == 7
    assert not compiler.compile(source("return 8;")).cached


# compiling ------------------------------------------------------------------------------------


@compiles
def test_compile_then_fetch_from_the_cache():
    first, again = HostCxx().compile(source()), HostCxx().compile(source())
    assert (answer(first), answer(again)) == (7, 7)
    assert (first.cached, again.cached) == (False, True)
    with fusekit.config.options(fast=True):
        assert not HostCxx().compile(source()).cached  # other flags, another entry


@compiles
def test_an_entry_that_cannot_be_loaded_is_rebuilt(monkeypatch):
    from fusekit.compilers import cache

    compiler = HostCxx()
    assert compiler.unavailable() is None
    monkeypatch.setattr(cache, "get", lambda key: b"no library")
    rebuilt = compiler.compile(source())
    assert (answer(rebuilt), rebuilt.cached) == (7, False)


@compiles
def test_a_failing_compile_carries_its_evidence():
    with pytest.raises(CompileError) as caught:
        HostCxx().compile(source("return nonsense;"))
    error = caught.value
    assert "nonsense" in error.log
    assert "nonsense" in str(error)
    assert "kernel.cpp:1" in error.log
    assert error.source == source("return nonsense;").text
    assert "-O3" in error.command
    assert HostCxx().compile(source()).address  # and nothing is switched off by it


@compiles
def test_a_kernel_that_lacks_a_symbol_fails_to_compile():
    with pytest.raises(CompileError, match="cannot be loaded"):
        HostCxx().compile(source("extern int missing(); return missing();"))


@compiles
@pytest.mark.parametrize("text", ["return 7;", "return nonsense;"])
def test_folders_are_private_and_removed(tmp_path, monkeypatch, private, text):
    real = HostCxx()
    program = real._working().command.program[0]
    log = tmp_path / "log"
    report = "{os.getcwd()} {os.stat('.').st_mode & 0o777:o}"
    spy = script(
        tmp_path / "spy",
        f'print(f"{report}", file=open({str(log)!r}, "a"), flush=True)\n'
        f"os.execv({program!r}, [{program!r}, *sys.argv[1:]])",
    )
    monkeypatch.setenv("CXX", str(spy))
    try:
        HostCxx().compile(source(text))
    except CompileError:
        assert "nonsense" in text
    folders = [line.split() for line in log.read_text().splitlines()]
    assert len(folders) >= 3  # version, probe, kernel
    assert {mode for _, mode in folders} == {"700"}
    assert {Path(path).parent for path, _ in folders} == {private}
    assert not list(private.iterdir())


def runs(process: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_compiler_that_hangs_is_ended(tmp_path, monkeypatch, private):
    slow = script(
        tmp_path / "slow",
        "if '--version' in sys.argv: print('slow 1.0'); sys.exit()\n"
        f"if os.fork() == 0: open({str(tmp_path / 'child')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(60)",
    )
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(toolchain, "TIMEOUT_SECONDS", 1.0)
    assert "did not finish in 1 s" in HostCxx().unavailable()  # and is not tried again
    child = int((tmp_path / "child").read_text())
    for _ in range(100):  # who is killed may still have to be scheduled
        if not runs(child):
            break
        time.sleep(0.05)
    assert not runs(child)
    assert not list(private.iterdir())


@needs_compiler
def test_cxx_decides_over_speed_but_not_over_meaning(monkeypatch):
    monkeypatch.setenv("CXX", f"{COMPILER} -O1 -ffast-math -DANSWER=9")
    compiler = HostCxx()
    text = (
        'extern "C" int answer() { volatile float x = __builtin_nanf("");'
        " return x != x ? ANSWER : 0; }\n"
    )
    artifact = compiler.compile(KernelSource("cpp", text, "answer", ()))
    assert answer(artifact) == 9
    assert (torch.tensor([1e-40]) * 0.5).item() > 0  # the library did not switch denormals off


@compiles
def test_many_threads_compile_at_once():
    compiler = HostCxx()
    got: dict[int, int] = {}

    def work(number: int) -> None:
        got[number] = answer(compiler.compile(source(f"return {number};")))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {n: n for n in range(6)}


@compiles
def test_assembly_is_text_with_the_symbol():
    assert "answer:" in HostCxx().assembly(source())


@compiles
def test_target_is_the_host():
    target = HostCxx().target()
    assert target.vector_bytes in (16, 32, 64)
    assert target.name


# threads --------------------------------------------------------------------------------------

COUNT = """
extern "C" int omp_get_num_threads(void);
extern "C" int answer() {
  int count = 0;
#pragma omp parallel
  {
#pragma omp single
    count = omp_get_num_threads();
  }
  return count;
}
"""


def runtimes() -> set[str]:
    names = ("libgomp", "libomp", "libiomp")
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split()[-1] for line in lines if any(name in line for name in names)}


@compiles
@pytest.mark.skipif(
    not openmp.provides("GOMP_parallel"), reason="PyTorch's OpenMP has no GOMP_parallel"
)
def test_threads_are_those_of_pytorchs_runtime():
    compiler = HostCxx()
    if "-fopenmp" not in compiler._working().optional:
        pytest.skip("this compiler cannot use PyTorch's OpenMP runtime")
    before, threads = runtimes(), torch.get_num_threads()
    artifact = compiler.compile(KernelSource("cpp", COUNT, "answer", ()))
    try:
        for wanted in (1, 2, 3):
            torch.set_num_threads(wanted)
            assert answer(artifact) == wanted
    finally:
        torch.set_num_threads(threads)
    assert runtimes() == before
    assert len(before) == 1


def test_a_symbol_that_no_runtime_has():
    assert not openmp.provides("no_such_function")

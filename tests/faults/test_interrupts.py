"""Ctrl-C: KeyboardInterrupt comes out at once, and whoever calls next gets the right answer.

The signals are real. Where they arrive is chosen: at the call of one of the Python functions that a
first call of a fused function runs, in the order in which a profiler sees them.
"""

from __future__ import annotations

import collections
import gc
import inspect
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import torch

import fusekit
from fusekit.bench.measuring import timing
from fusekit.locks import Undisturbed
from tests.faults.children import fresh, in_child, plain, right

PACKAGE = str(Path(fusekit.__file__).parent)


def forward() -> tuple[fusekit.FusedFunction, Callable[..., torch.Tensor]]:
    return fresh(), lambda f, x: f(x)


def writing() -> tuple[fusekit.FusedFunction, Callable[..., torch.Tensor]]:
    inner = plain()

    def function(x):
        x.add_(1)
        x.mul_(inner(x))
        return x * 2

    def call(f, x):
        y = x.clone()
        return torch.cat([f(y), y])

    return fusekit.fuse(function), call


def backward() -> tuple[fusekit.FusedFunction, Callable[..., torch.Tensor]]:
    def call(f, x):
        y = x.clone().requires_grad_()
        f(y).sum().backward()
        return y.grad

    return fresh(), call


KINDS = {"forward": forward, "writing": writing, "backward": backward}

Site = tuple[CodeType, int]
"""A Python function, and which of its calls."""


def may_be_final(frame: FrameType) -> bool:
    if frame.f_code.co_flags & inspect.CO_GENERATOR:
        return True
    outer: FrameType | None = frame
    while outer is not None and outer.f_code.co_name != "__del__":
        outer = outer.f_back
    return outer is not None


def profiled(work: Callable[[], Any], called: Callable[[CodeType], None]) -> Any:
    """What `work` returns; `called` is told each Python function that it calls.

    Not those of finalizers, nor generators, which are closed by theirs: what is raised there,
    Python itself loses.
    """

    def profile(frame, event, _):
        if event == "call" and not may_be_final(frame):
            called(frame.f_code)

    sys.setprofile(profile)
    try:
        return work()
    finally:
        sys.setprofile(None)


def sites(make: Callable[[], Any], x: torch.Tensor) -> list[Site]:
    """Every call of a Python function in the first call of a fused one."""
    for _ in range(2):  # the first of all first calls imports things
        fused, call = make()
        counts: collections.Counter[CodeType] = collections.Counter()
        found: list[Site] = []
        gc.collect()  # Python itself loses what is raised in a collection
        gc.disable()

        def note(code: CodeType, counts=counts, found=found) -> None:
            counts[code] += 1
            found.append((code, counts[code]))

        profiled(lambda fused=fused, call=call: call(fused, x), note)
        gc.enable()
    return found


def interrupted(work: Callable[[], Any], site: Site) -> bool:
    """Run `work` with a SIGINT at one place; False if it never came there."""
    count = 0

    def note(code: CodeType) -> None:
        nonlocal count
        count += code is site[0]
        if count == site[1]:
            count += 1
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGINT)

    gc.disable()
    try:
        profiled(work, note)
    except KeyboardInterrupt:
        return True
    finally:
        gc.enable()
    assert count < site[1], f"the interrupt got lost in {site[0].co_qualname}, call {site[1]}"
    return False


def torch_state() -> tuple[Any, ...]:
    return (
        torch._C._len_torch_dispatch_stack(),
        torch._C._len_torch_function_stack(),
        torch._C._functorch.get_dynamic_layer_stack_depth(),
        torch.is_grad_enabled(),
        signal.getsignal(signal.SIGINT),
    )


def interrupt_everywhere(kind: str, in_package: int, elsewhere: int, seed: int) -> int:
    """How many interrupts were tried; each has to leave everything whole."""
    make, x = KINDS[kind], torch.linspace(-2, 2, 37)
    found = sites(make, x)
    chooser = random.Random(seed)
    ours = [site for site in found if site[1] == 1 and site[0].co_filename.startswith(PACKAGE)]
    others = [site for site in found if site not in set(ours)]
    chosen = chooser.sample(ours, min(in_package, len(ours)))
    chosen += chooser.sample(others, min(elsewhere, len(others)))
    before, tried = torch_state(), 0
    for site in chosen:
        fused, call = make()
        where = f"{site[0].co_qualname}, call {site[1]}"
        tried += interrupted(lambda fused=fused, call=call: call(fused, x), site)
        assert torch_state() == before, where
        expected = call(fused.function, x)
        # another thread first: a lock that is still held would be the main thread's
        again = fusekit.fuse(fused.function)
        made: list[torch.Tensor] = []
        thread = threading.Thread(target=lambda: made.append(call(again, x)), daemon=True)  # noqa: B023
        thread.start()
        thread.join(30)
        assert made, f"another thread hangs after an interrupt in {where}"
        assert torch.equal(made[0], expected), where
        assert torch.equal(call(fused, x), expected), where
        assert not fused.history().fallbacks, (where, str(fused.history()))
    return tried


@pytest.mark.parametrize(("kind", "number"), [("forward", 20), ("writing", 12), ("backward", 8)])
def test_an_interrupt_anywhere_leaves_everything_whole(kind, number, seed):
    work = lambda: interrupt_everywhere(kind, number, number // 2, seed)  # noqa: E731
    assert in_child(work, 100) > number


def test_an_interrupt_while_ctrl_c_is_taken_over_or_given_back():
    def inside() -> None:
        pass

    def work() -> None:
        with Undisturbed(inside):
            inside()

    def at_each_call() -> int:
        calls: collections.Counter[CodeType] = collections.Counter()
        profiled(work, lambda code: calls.update([code]))
        before = signal.getsignal(signal.SIGINT)
        for code, count in calls.items():
            for number in range(1, count + 1):
                assert interrupted(work, (code, number)), code
                assert signal.getsignal(signal.SIGINT) == before, code
        return calls.total()

    assert in_child(at_each_call) > 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_interrupts_at_very_many_places(kind, seed):
    assert in_child(lambda: interrupt_everywhere(kind, 400, 200, seed), 280) > 200


PHASES = {
    "capture": "fx.py:capture",
    "fusion": "partition.py:partition",
    "codegen": "emit.py:emit",
    "compile": "llvm_jit.py:LlvmJit.image",
    "link": "llvm_jit.py:LlvmJit.load",
    "cache": "cache.py:put",
    "plan": "plan.py:make_plan",
    "kernel": "kernels.py:_claim",
}


def test_an_interrupt_in_each_phase():
    def work() -> None:
        x = torch.linspace(-2, 2, 37)
        found = sites(forward, x)
        for phase, place in PHASES.items():
            codes = {c for c, _ in found if c.co_filename.startswith(PACKAGE)}
            (code,) = [c for c in codes if f"{Path(c.co_filename).name}:{c.co_qualname}" == place]
            fused = fresh()
            assert interrupted(lambda fused=fused: fused(x), (code, 1)), phase
            right(fused, x)
            assert not fused.history().fallbacks, phase

    in_child(work)


def interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    return timer


def until_interrupted(work: Callable[[], Any], seconds: float = 0.3) -> float:
    """Repeat `work` until Ctrl-C, which is pressed after a while; seconds until that came out."""
    timer = interrupt_after(seconds)
    start = time.monotonic()
    try:
        while time.monotonic() < start + 30:
            work()
    except KeyboardInterrupt:
        return time.monotonic() - start - seconds
    finally:
        timer.cancel()
    pytest.fail("the interrupt got lost")


def test_an_interrupt_of_launches():
    def work() -> float:
        fused, x = fresh(), torch.linspace(-2, 2, 1 << 20)
        fused(x)
        late = until_interrupted(lambda: fused(x))
        right(fused, x)
        return late

    assert in_child(work) < 3


def test_an_interrupt_of_measuring():
    def work() -> float:
        fused, x = fresh(), torch.linspace(-2, 2, 1 << 12)
        fused(x)
        late = until_interrupted(lambda: timing.measure({"fused": lambda: fused(x)}))
        right(fused, x)
        return late

    assert in_child(work) < 3


@pytest.mark.cxx
def test_an_interrupt_of_the_hosts_compiler(tmp_path, monkeypatch):
    compiler = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    slow = tmp_path / "slow"
    slow.write_text(f'#!/bin/sh\n[ -e {tmp_path}/go ] || sleep 50\nexec {compiler} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))

    def work() -> float:
        (tmp_path / "go").touch()
        right(fresh("cpp"), torch.linspace(-2, 2, 37))  # the compiler is known to work
        (tmp_path / "go").unlink()
        fused, x = fresh("cpp"), torch.linspace(-2, 2, 37)
        late = until_interrupted(lambda: fused(x), 1.0)
        (tmp_path / "go").touch()
        right(fused, x)
        assert not fused.history().fallbacks
        return late

    assert in_child(work) < 5

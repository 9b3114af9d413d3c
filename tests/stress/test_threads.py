"""Very many threads and kernels in one process: all right, nothing compiled twice, no deadlock."""

from __future__ import annotations

import collections
import random
import threading

import pytest
import torch

import fusekit
from fusekit import events

N_THREADS = 32
X = torch.linspace(-3, 3, 53)


def made(number: int, scale: float):
    """One of very many functions; each takes a kernel of its own."""
    return lambda x: (x + number) * scale


class Storm:
    """Each thread calls functions at random, some of them its own, which share kernels."""

    def __init__(self, n_kernels: int, n_calls: int, scale: float, seed: int) -> None:
        self.n_kernels, self.n_calls, self.scale, self.seed = n_kernels, n_calls, scale, seed
        self.shared = [fusekit.fuse(made(i, scale)) for i in range(n_kernels)]
        self.own: list[fusekit.FusedFunction] = []  # held: of what nobody holds, few are kept
        self.called: set[int] = set()
        self.wrong: list[str] = []
        self.compiled: collections.Counter[str] = collections.Counter()
        self.lock, self.barrier = threading.Lock(), threading.Barrier(N_THREADS)

    def note(self, event) -> None:
        if isinstance(event, events.Compiled):
            with self.lock:
                self.compiled[event.kernel] += 1

    def work(self, thread: int) -> None:
        chooser = random.Random(self.seed + thread)
        self.barrier.wait()
        for turn in range(self.n_calls):
            # neighbours ask for the same at the same time
            number = (turn * N_THREADS + thread // 2) % self.n_kernels
            if chooser.random() < 0.3:
                number = chooser.randrange(self.n_kernels)
            fused = self.shared[number]
            if turn % 16 == 0:
                fused = fusekit.fuse(made(number, self.scale))
                self.own.append(fused)
            self.called.add(number)
            self.call(fused)

    def call(self, fused) -> None:
        try:
            is_right = torch.equal(fused(X), fused.function(X))
        except Exception as error:  # noqa: BLE001  reported
            self.wrong.append(repr(error))
        else:
            if not is_right or fused.history().fallbacks:
                self.wrong.append(f"{is_right} {fused.history()}")

    def run(self) -> None:
        threads = [
            threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(N_THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(250)
        assert not any(thread.is_alive() for thread in threads), "deadlock"


def storm(n_kernels: int, n_calls: int, scale: float, seed: int) -> None:
    """Every answer is right, and every kernel is compiled once."""
    before, found = fusekit.stats(), Storm(n_kernels, n_calls, scale, seed)
    events.subscribe(found.note)
    try:
        found.run()
    finally:
        events.unsubscribe(found.note)
    assert not found.wrong, found.wrong[:5]
    assert len(found.called) > 0.9 * n_kernels
    assert len(found.compiled) == len(found.called)
    assert set(found.compiled.values()) == {1}, found.compiled.most_common(5)
    after = fusekit.stats()
    assert after.kernels - before.kernels == len(found.called)
    assert after.fallbacks == before.fallbacks


def test_threads_and_kernels(seed):
    storm(150, 60, 1.25, seed)


@pytest.mark.slow
def test_thirty_two_threads_and_a_thousand_kernels(seed):
    storm(1000, 120, 1.75, seed)

"""fork after use: the child computes rightly, and waits for no thread that it does not have."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import threading
import time

import pytest
import torch

import fusekit
from tests.faults.children import Child, codes, fresh, in_child, plain, right

SMALL = torch.linspace(-3, 3, 53)
LARGE = torch.linspace(-3, 3, 1 << 20)


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
@pytest.mark.parametrize("x", [SMALL, LARGE], ids=["one thread", "threads"])
def test_a_child_calls_what_its_parent_called(engine, x):
    fused = fresh(engine)
    right(fused, x)

    def work() -> int:
        right(fused, x)
        right(fused, x[:40])  # another size
        right(fresh(engine), x)  # another kernel
        assert not codes(fused)
        return torch.get_num_threads()

    in_child(work)
    right(fused, x)


def test_eager_pytorch_works_in_the_child_too():
    """By itself it would wait for the threads of its parent for ever."""
    LARGE.sin()
    right(fresh(), LARGE)

    def work() -> bool:
        return torch.equal(LARGE.sin(), LARGE.sin()) and torch.get_num_threads() == 1

    assert in_child(work)
    assert in_child(lambda: in_child(work))  # and in a child's child


def test_the_parent_keeps_its_threads():
    before = torch.get_num_threads()
    in_child(lambda: right(fresh(), LARGE))
    assert torch.get_num_threads() == before
    right(fresh(), LARGE)


def compile_and_call(stop: threading.Event, shared: list) -> None:
    for number in itertools.count():
        if stop.is_set():
            return
        right(shared[number % len(shared)] if number % 2 else fresh(), SMALL)


def differentiate(stop: threading.Event, shared: list) -> None:
    while not stop.is_set():
        fresh()(SMALL.clone().requires_grad_()).sum().backward()


def call_some(some: list) -> None:
    for fused in some:
        right(fused, SMALL)
    fusekit.stats()


def test_forks_while_other_threads_compile_and_launch():
    """Whatever these threads hold at that moment, nobody holds it in the child."""
    given = threading.Event(), [fresh() for _ in range(200)]
    works = (compile_and_call, compile_and_call, differentiate)
    threads = [threading.Thread(target=work, args=given) for work in works]
    for thread in threads:
        thread.start()
    try:
        for number in range(25):
            time.sleep(0.003 * (number % 7))
            some = [*given[1][number * 8 : number * 8 + 3], fresh()]
            in_child(functools.partial(call_some, some), 40)
    finally:
        given[0].set()
        for thread in threads:
            thread.join()


def test_a_child_of_a_thread():
    right(fresh(), LARGE)
    made = []

    def work() -> None:
        right(fresh(), LARGE)
        made.append(in_child(lambda: right(fresh(), LARGE)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert made == [None]


def test_many_children_at_once():
    shared = [fresh() for _ in range(4)]
    right(shared[0], LARGE)
    children = [Child(lambda: [right(f, LARGE) for f in shared] and None) for _ in range(6)]
    assert [child.result() for child in children] == [None] * 6


INNER = plain()
FUSED = fusekit.fuse(INNER)


def squared(x: torch.Tensor) -> tuple[int, torch.Tensor]:
    """What a pool's process runs: found again by name where it is spawned."""
    return os.getpid(), FUSED(x) * x


class Samples(torch.utils.data.Dataset):
    """Every sample is made by a fused function in a worker."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return FUSED(LARGE[: 1000 * (index + 1)])[:10]


def test_a_pool_of_forked_processes():
    right(FUSED, LARGE)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        made = pool.map(squared, [SMALL, SMALL + 1, SMALL * 2])
    assert os.getpid() not in {pid for pid, _ in made}
    for (_, result), x in zip(made, (SMALL, SMALL + 1, SMALL * 2), strict=True):
        assert torch.equal(result, INNER(x) * x)


SPAWNED = """
import multiprocessing, torch, fusekit
FUSED = fusekit.fuse(lambda x: (x * 2.5).abs() - 1)
def work(x):
    return FUSED(x)
if __name__ == "__main__":
    x = torch.linspace(-3, 3, 1 << 18)
    expected = FUSED(x)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert torch.equal(pool.apply(work, (x,)), expected)
    print("right")
"""


def test_a_spawned_process(tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    environ = {**os.environ, "PYTHONPATH": str(Path(fusekit.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(script)], env=environ, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert done.stdout == "right\n", done.stderr


def test_workers_of_a_data_loader():
    right(FUSED, LARGE)
    loader = torch.utils.data.DataLoader(
        Samples(), batch_size=3, num_workers=2, multiprocessing_context="fork"
    )
    made = torch.cat(list(loader))
    assert torch.equal(made, torch.stack([INNER(LARGE[:10])] * 12))

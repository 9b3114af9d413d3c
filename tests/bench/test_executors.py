"""sweep on executors: threads, processes, Dask; dead workers, errors, interrupts, turns."""

from __future__ import annotations

import _thread
import functools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit.bench import Settings, all_gpus
from fusekit.bench.workers import Turns, gather, gpus, parcel, side_by_side
from fusekit.errors import EngineUnavailableError, UsageError

QUICK = Settings(runs=5, seconds=0.2, sample=1e-5, warmup=0)
SIZES = [24, 8, 40, 16]


def scaled(x, y):
    return torch.relu(x * 2 + y)


@fusekit.fuse(engine="reference")
def referred(x, y):
    return torch.relu(x * 2 + y)


def pair(size):
    return torch.zeros(size), torch.ones(size)


def slow_pair(size, *, slow=24):
    """The first of `SIZES` comes last."""
    time.sleep(0.5 if size == slow else 0.05)
    return pair(size)


def unlucky_pair(size):
    if size == SIZES[1]:
        raise ValueError("unlucky\nin two lines")
    return pair(size)


def deadly_pair(size, *, marker):
    """Kills its process at one size: once if `marker` can be made, always if it is None."""
    if size == SIZES[2] and (marker is None or not marker.exists()):
        if marker is not None:
            marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return pair(size)


def sweep(make=pair, fn=scaled, **kwargs):
    return fusekit.sweep(fn, make, SIZES, settings=QUICK, **kwargs)


_FORKING = """
import multiprocessing, warnings
from concurrent.futures import ProcessPoolExecutor
import torch, fusekit
from fusekit.bench import Settings

def double(x): return x * 2 + 1

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sizes, how = [4_000_000], Settings(runs=5, seconds=0.2)
    double(torch.ones(*sizes))  # starts the threads that do not survive a fork
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        found = fusekit.sweep(double, torch.ones, sizes, executor=pool, settings=how)
    print([worker.threads for worker in found.workers], found.points[0].comparison.method)
"""


@pytest.fixture(scope="module")
def processes():
    """A function that makes pools quickly: their workers have torch from the beginning."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fusekit.bench"])
    return lambda: ProcessPoolExecutor(2, mp_context=context)


@pytest.fixture(scope="module")
def dask():
    """An executor of Dask's, with two worker processes."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra `dask`)")
    config = {"distributed.deploy.lost-worker-timeout": "120s"}
    with (
        __import__("dask").config.set(config),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


def sizes(found):
    return [point.size for point in found.points]


# where it runs


def test_here_the_worker_is_this_process():
    told = []
    found = sweep(tell=lambda *step: told.append(step))
    assert sizes(found) == SIZES
    (worker,) = found.workers
    assert (worker.pid, worker.threads) == (os.getpid(), torch.get_num_threads())
    assert worker.cores <= (os.cpu_count() or 1)
    assert found.side_by_side == 1
    assert told == [(n + 1, 4, f"size {size:,}") for n, size in enumerate(SIZES)]


def test_points_keep_the_order_of_the_sizes_whichever_comes_first():
    told = []
    with ThreadPoolExecutor(4) as pool:
        found = sweep(
            slow_pair, executor=pool, at_once=4, tell=lambda *step: told.append(step[2].split()[1])
        )
    assert sizes(found) == SIZES
    assert told[-1] == "24"
    assert sorted(told) == sorted(map(str, SIZES))
    assert 2 <= found.side_by_side <= 4


def test_threads_measure_one_after_the_other_unless_told_otherwise():
    with ThreadPoolExecutor(4) as pool:
        found = sweep(slow_pair, executor=pool)
    assert found.side_by_side == 1
    assert not found.failed


def test_spawned_processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = sweep(unlucky_pair, fn=referred, executor=pool)
    assert sizes(found) == SIZES
    assert found.name == "referred"
    assert {row.engine for _, row in found.rows if row.name == "fused"} == {"reference"}
    assert os.getpid() not in {worker.pid for worker in found.workers}
    (failed,) = found.failed
    assert (failed.size, failed.error) == (SIZES[1], "ValueError: unlucky")
    assert "in unlucky_pair" in failed.traceback


def test_dask(dask):
    found = sweep(lambda size: slow_pair(size, slow=0), lambda x, y: x * y + 1, executor=dask)
    assert sizes(found) == SIZES
    assert not found.failed
    assert found.side_by_side == 1
    both = sweep(functools.partial(slow_pair, slow=8), executor=dask, at_once=2)
    assert len(both.workers) == 2
    assert os.getpid() not in {worker.pid for worker in both.workers}
    assert both.side_by_side == 2


def test_forked_workers_compute_with_one_thread(tmp_path):
    script = tmp_path / "forking.py"
    script.write_text(_FORKING)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(fusekit.__file__).parents[1])},
    )
    assert done.stdout.startswith("[1]")
    assert "; 1 threads" in done.stdout


# what a result says


def test_the_result_tells_who_measured_and_what_failed():
    with ThreadPoolExecutor(2) as pool:
        found = sweep(unlucky_pair, executor=pool)
    assert repr(found) == "Sweep(scaled)  4 sizes, 8 to 40, 1 failed"
    assert "1 failed" in found.verdict
    assert found.verdict.startswith(("faster from size 16 on", "no size from which"))
    data = json.loads(json.dumps(found.to_dict()))
    assert [point["error"] for point in data["points"]] == ["", "ValueError: unlucky", "", ""]
    assert {point["worker"] for point in data["points"]} == {0}
    assert data["workers"][0]["pid"] == os.getpid()
    assert data["side_by_side"] == 1
    for said in (str(found), found._repr_html_()):
        assert "4 of 4 sizes on" in said
        assert "size 8 failed: ValueError: unlucky" in said


def test_requests_that_make_no_sense_are_refused_wherever_they_run():
    with ThreadPoolExecutor(1) as pool:
        for executor in (None, pool):
            with pytest.raises(UsageError, match="no engine 'cuda9'"):
                sweep(engines=["cuda9"], executor=executor)
    with pytest.raises(UsageError, match="at_once"):
        sweep(at_once=0)
    with pytest.raises(UsageError, match="at_once"):
        sweep(retries=-1)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(1, 9)).map(
            lambda t: (t[0], float(t[1]), float(t[1] + t[2]))
        )
    )
)
def test_side_by_side_is_the_most_that_hold_at_some_moment(spans):
    moments = [
        sum(1 for at, begun, ended in spans if at == host and begun <= moment < ended)
        for host in "ab"
        for moment in range(20)
    ]
    assert side_by_side(spans) == max(moments)


# dead workers


def test_a_killed_worker_costs_no_point_where_another_pool_can_be_made(processes, tmp_path):
    make = functools.partial(deadly_pair, marker=tmp_path / "killed")
    found = sweep(make, executor=processes)
    assert (tmp_path / "killed").exists()
    assert sizes(found) == SIZES
    assert not found.failed
    assert len(found.workers) == 2  # one before, one after


def test_a_point_that_kills_every_worker_is_the_only_one_lost(processes):
    found = sweep(
        functools.partial(deadly_pair, marker=None), executor=processes, at_once=2, retries=1
    )
    (failed,) = found.failed
    assert failed.size == SIZES[2]
    assert failed.error.startswith("BrokenProcessPool: ")
    assert failed.worker is None
    assert found.to_dict()["points"][2]["worker"] is None


def test_without_another_pool_it_says_what_would_help(processes):
    with processes() as pool:
        found = sweep(functools.partial(deadly_pair, marker=None), executor=pool)
    assert [bool(point.error) for point in found.points] == [False, False, True, True]
    assert all("function that makes the executor" in point.error for point in found.failed)


def test_dask_puts_a_killed_worker_s_points_elsewhere(dask, tmp_path):
    make = functools.partial(deadly_pair, marker=tmp_path / "killed")
    found = sweep(make, executor=dask)
    assert (tmp_path / "killed").exists()
    assert sizes(found) == SIZES
    assert not found.failed


class KilledWorker(Exception):  # noqa: N818  its name is what counts
    """As Dask's, which says that the task was tried several times already."""


@pytest.mark.parametrize(("error", "tries"), [(OSError, 4), (KilledWorker, 2)])
def test_what_an_executor_has_tried_several_times_is_tried_once_more(error, tries):
    attempts = []

    def task(index, attempt):
        attempts.append(attempt)
        if index == 0:
            raise error("gone")
        return index

    done = {}
    with ThreadPoolExecutor(1) as pool:
        lost = gather(
            pool, task, {}, 2, most_here=1, retries=3, patience=None, done=done.__setitem__
        )
    assert done == {1: 1}
    assert lost[0].error == f"{error.__name__}: gone"
    assert len(attempts) == tries + 1
    assert len(set(attempts)) == len(attempts)


# what cannot be sent


def test_what_cannot_be_pickled_is_named(processes):
    lock = threading.Lock()
    with processes() as pool, pytest.raises(UsageError, match="make_args cannot be sent"):
        sweep(lambda size: (lock, size), executor=pool)


def test_a_lambda_goes_by_value_if_cloudpickle_is_there(processes, monkeypatch):
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed (extra `dask`)")
    with processes() as pool:
        assert not sweep(fn=lambda x, y: x - y, executor=pool).failed
        monkeypatch.setattr(parcel.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(UsageError, match=r"the function cannot be sent.*install cloudpickle"):
            sweep(fn=lambda x, y: x - y, executor=pool)


def test_a_function_that_workers_cannot_load_breaks_no_pool(processes, monkeypatch):
    cells = types.ModuleType("cells_of_a_notebook")
    exec("def double(x, y): return x * 2 + y", vars(cells))
    monkeypatch.setitem(sys.modules, cells.__name__, cells)
    with processes() as pool:
        with pytest.raises(UsageError, match=r"a worker cannot load the function \(ModuleNotF"):
            sweep(fn=cells.double, executor=pool)
        assert pool.submit(abs, -7).result() == 7


# interrupts


@pytest.mark.parametrize("kind", ["here", "threads", "processes"])
def test_an_interrupt_keeps_what_is_measured(kind, processes):
    def stop(done, total, said):
        raise KeyboardInterrupt

    pools = {"here": None, "threads": ThreadPoolExecutor(1), "processes": processes}
    found = sweep(executor=pools[kind], tell=stop)
    assert sizes(found) == SIZES
    assert [point.error for point in found.points] == ["", "cancelled", "cancelled", "cancelled"]


def test_an_interrupt_while_it_waits_cancels_what_is_pending():
    made = []

    def slow(size):
        made.append(size)
        time.sleep(0.5)
        return pair(size)

    timer = threading.Timer(0.2, _thread.interrupt_main)
    with ThreadPoolExecutor(2) as pool:
        timer.start()
        found = sweep(slow, executor=pool)
    assert made == SIZES[:1]
    assert all(point.error == "cancelled" for point in found.points)


def test_other_errors_of_tell_come_through():
    def fail(done, total, said):
        raise OSError("disk full")

    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError, match="disk full"):
        sweep(executor=pool, tell=fail)


def test_what_never_ends_is_given_up_where_patience_ends():
    with ThreadPoolExecutor(1) as pool:
        found = sweep(slow_pair, executor=pool, patience=0.2)
    assert [point.error for point in found.points] == [
        "given up: no point was finished for 0.2 s"
    ] * 4


# turns


def test_turns_are_taken_one_by_one_and_given_up_when_cancelled():
    first, second = Turns(1), Turns(1)
    place, seen = f"test-{os.getpid()}", []

    def wait():
        with second.hold(place) as is_wanted:
            seen.append(is_wanted)

    with first.hold(place) as mine:
        assert mine
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        second.cancel()
        waiting.join(10)
    assert seen == [False]
    with Turns(1).hold(place) as free:
        assert free
        with Turns(2).hold(place) as beside:
            assert beside


# GPUs


def seen_together(folder):
    """What this worker sees, once the other has seen it, too."""
    mine = os.environ["CUDA_VISIBLE_DEVICES"]
    (folder / mine).touch()
    deadline = time.monotonic() + 100
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    return mine


def test_each_worker_sees_one_gpu(tmp_path):
    with gpus.pinned(["GPU-4711", "3"]) as pool:
        assert set(pool.map(seen_together, [tmp_path] * 2)) == {"GPU-4711", "3"}


def test_gpus_are_those_that_this_process_sees(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.visible() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-4711")
    assert gpus.visible() == ["5", "GPU-4711"]


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineUnavailableError, match="no GPU that torch can use"):
        all_gpus()


@pytest.mark.gpu
def test_all_gpus_measure():
    found = fusekit.sweep(
        scaled, pair, [64] * 4 * torch.cuda.device_count(), executor=all_gpus, devices=["cuda"]
    )
    assert not found.failed
    assert all(row.device == "cuda" for _, row in found.rows)
    assert len({worker.gpu_id for worker in found.workers}) == torch.cuda.device_count()

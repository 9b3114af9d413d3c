"""Many threads and streams, the thread of autograd, other devices, tensors of two devices."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import fusekit
from tests.gpu.harness import DEVICE, ENGINE, assert_equal, check, cold, counted, filled, mix

pytestmark = pytest.mark.gpu

N_THREADS = 16

two_gpus = pytest.mark.skipif(
    torch.cuda.device_count() < 2, reason=f"needs two GPUs, there are {torch.cuda.device_count()}"
)


def run_together(work):
    """`work(number)` in each of the threads at once; their results."""
    gate = threading.Barrier(N_THREADS)

    def start(number):
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(start, range(N_THREADS)))


def test_threads_on_several_streams_and_functions():
    functions = [cold() for _ in range(3)] + [fusekit.fuse(lambda x: mix(x, x.t().contiguous()))]
    streams = [torch.cuda.Stream() for _ in range(4)]
    torch.cuda.synchronize()

    def work(number):
        wrong = []
        with torch.cuda.stream(streams[number % 4]):
            for turn in range(20):
                function = functions[(number + turn) % 4]
                side = 33 + (number * 7 + turn) % 5
                x = torch.linspace(-number - 1, turn + 1, side * side, device=DEVICE)
                x = x.view(side, side) if turn % 2 else x.view(side, side).t()
                made = function(x)
                if not torch.equal(made, function.function(x)):
                    wrong.append((number, turn))
            torch.cuda.current_stream().synchronize()
        return wrong

    with counted():
        assert list(itertools.chain(*run_together(work))) == []


@pytest.mark.parametrize("together", [True, False], ids=["one function", "sixteen functions"])
def test_sixteen_threads_on_a_cold_kernel_compile_it_once(together):
    fused = cold()
    functions = [
        fused if together else fusekit.fuse(fused.function, engine=ENGINE) for _ in range(N_THREADS)
    ]
    x = filled((1000,))
    torch.cuda.synchronize()
    with counted(new_kernels=1):
        made = run_together(lambda number: functions[number](x))
    for one in made:
        assert_equal(one, fused.function(x))


def test_sixteen_threads_that_meet_an_alignment_compile_it_once():
    fused = cold()
    base = filled((1003,))
    fused(base[:1000])
    torch.cuda.synchronize()
    with counted(new_kernels=1):
        made = run_together(lambda _: fused(base[3:]))
    for one in made:
        assert_equal(one, fused.function(base[3:]))


def test_a_thread_that_has_never_used_the_gpu_launches():
    fused = cold()
    x = filled((100,))
    fused(x)
    made = []
    thread = threading.Thread(target=lambda: made.append(fused(x)))
    with counted(launches=1):
        thread.start()
        thread.join()
    assert_equal(made[0], fused.function(x))


def gradients(function, *args):
    leaves = [x.detach().requires_grad_() for x in args]
    made = function(*leaves)
    made.backward(torch.linspace(0.5, 1.5, made.numel(), device=made.device).view(made.shape))
    return [made.detach(), *(leaf.grad for leaf in leaves)]


def gate(x, y):
    return torch.sigmoid(x) * torch.tanh(y) + x * 0.5


@pytest.mark.parametrize("on_a_side_stream", [False, True])
def test_autograds_own_thread_launches_the_backward(on_a_side_stream):
    x, y = filled((65, 33)), filled((33, 65)).t()
    fused = fusekit.fuse(gate, engine=ENGINE)
    stream = torch.cuda.Stream() if on_a_side_stream else torch.cuda.current_stream()
    stream.wait_stream(torch.cuda.current_stream())
    launches = fusekit.stats().launches
    with torch.cuda.stream(stream), counted():
        ours = gradients(fused, x, y)
    stream.synchronize()
    assert fusekit.stats().launches >= launches + 2
    for one, other in zip(ours, gradients(gate, x, y), strict=True):
        assert one.stride() == other.stride()
        torch.testing.assert_close(one, other, rtol=2e-6, atol=1e-6)


def test_gradients_in_many_threads():
    fused = fusekit.fuse(gate, engine=ENGINE)

    def work(number):
        x = torch.linspace(-1, number + 1, 500, device=DEVICE)
        with torch.cuda.stream(torch.cuda.Stream()):
            torch.cuda.current_stream().wait_stream(torch.cuda.default_stream())
            ours, theirs = gradients(fused, x, x * 2), gradients(gate, x, x * 2)
            torch.cuda.current_stream().synchronize()
        return all(
            torch.allclose(*pair, rtol=2e-6, atol=1e-6) for pair in zip(ours, theirs, strict=True)
        )

    assert run_together(work) == [True] * N_THREADS


# several devices


def outcome(function, *args):
    """What it returns, or the type of what it raises."""
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001  whatever eager raises
        return type(error)


def assert_same_outcome(function, *args):
    theirs, ours = outcome(function, *args), outcome(fusekit.fuse(function), *args)
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        assert_equal(ours, theirs)


def test_tensors_of_the_cpu_and_the_gpu_in_one_call_are_an_error_as_in_eager():
    x, y = filled((5,)), torch.randn(5)
    for function in (mix, lambda x, y: x * 2 + y, lambda x, y: (x * 2, x + y)):
        assert outcome(function, x, y) is RuntimeError
        assert_same_outcome(function, x, y)
        assert_same_outcome(function, y, x)


def test_calls_of_both_devices_without_mixing_them_do_what_eager_does():
    assert_same_outcome(lambda x, y: (x * 2 + 1, y * 3 - 1), filled((5,)), torch.randn(5))
    assert_same_outcome(lambda x, y: (x * 2).to(y.device) + y, filled((5,)), torch.randn(5))
    assert_same_outcome(lambda x: (x * 2).cpu() * 3 + 1, filled((5,)))


@pytest.mark.parametrize(
    "single", [torch.tensor(1.5), torch.tensor(3), torch.tensor(0.1, dtype=torch.float64)], ids=repr
)
def test_a_cpu_tensor_of_one_element_works_with_gpu_tensors(single):
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        x = filled((33, 5), dtype)
        for function in (
            lambda x, s: x * 2 + s,
            lambda x, s: (x + 1) * s - x,
            lambda x, s: torch.where(x > s, x, x * 2) + 1,
        ):
            assert_same_outcome(function, x, single)
        assert_same_outcome(lambda s, x: (s * 2) * x + 1, single, x)
        assert_same_outcome(lambda s, x: s + x * 2, single, x)


def test_one_function_serves_the_cpu_and_the_gpu():
    fused = fusekit.fuse(mix)
    for device, engine in (("cpu", "llvm"), (DEVICE, ENGINE), ("cpu", "llvm"), (DEVICE, ENGINE)):
        x, y = torch.randn(50, device=device), torch.randn(50, device=device)
        assert {group.engine for group in fused.explain(x, y).groups} == {engine}
        with counted(launches=1):
            assert_equal(fused(x, y), mix(x, y))


def test_an_engine_of_the_cpu_declines_gpu_tensors():
    x = filled((5,))
    fused = fusekit.fuse(lambda x: torch.relu(x) + 1, engine="llvm")
    before = fusekit.stats().fallbacks.get("FK0302", 0)
    assert_equal(fused(x), fused.function(x))
    assert fusekit.stats().fallbacks["FK0302"] == before + 1


@two_gpus
def test_a_device_that_is_not_the_current_one():
    fused = fusekit.fuse(mix, engine=ENGINE)
    for index in (1, 0, 1):
        x, y = (torch.randn(65, 33, device=f"cuda:{index}") for _ in range(2))
        for current in (0, 1):
            with torch.cuda.device(current), counted(launches=1):
                made = fused(x, y)
            assert torch.cuda.current_device() == 0
            assert_equal(made, mix(x, y))
        check(fused, x, y.t().contiguous().t())
        check(fused, torch.cat([x.flatten(), x[0]])[33:].view(65, 33), y)


@two_gpus
def test_the_stream_of_another_device():
    fused = fusekit.fuse(mix, engine=ENGINE)
    x, y = (torch.randn(10_000, device="cuda:1") for _ in range(2))
    fused(x, y)
    late = torch.randn(10_000, device="cuda:1")
    stream = torch.cuda.Stream(device="cuda:1")
    torch.cuda.synchronize(1)
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        x.copy_(late)
        made = fused(x, y)
    stream.synchronize()
    assert_equal(made, mix(late, y))


@two_gpus
def test_gradients_on_another_device():
    x, y = (torch.randn(50, device="cuda:1") for _ in range(2))
    ours, theirs = gradients(fusekit.fuse(gate, engine=ENGINE), x, y), gradients(gate, x, y)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-6, atol=1e-6)


@two_gpus
def test_tensors_of_two_gpus_in_one_call_do_what_eager_does():
    x, y = torch.randn(5, device="cuda:0"), torch.randn(5, device="cuda:1")
    assert_same_outcome(mix, x, y)
    assert_same_outcome(lambda x, y: (x * 2 + 1, y * 3 - 1), x, y)
    assert_same_outcome(lambda x, y: x * 2 + y, x, y[0])

"""Launches go to the current stream, wait for nothing, and allocate the results alone."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.runtime import gpu_launch
from tests.gpu.harness import (
    DEVICE,
    ENGINE,
    assert_equal,
    cold,
    counted,
    filled,
    no_synchronisation,
)

pytestmark = pytest.mark.gpu

SLEEP = 400_000_000
"""Clock cycles: some 0.2 s, in which a host that does not wait does all a test asks of it."""


def several(x, y):
    return x * 2 + y, x > y, (x - y).half()


def wait_for(stream):
    stream.wait_stream(torch.cuda.current_stream())
    return torch.cuda.stream(stream)


def test_a_kernel_follows_what_is_queued_on_its_stream():
    fused = cold()
    x, late = filled((100_000,)), filled((100_000,))
    fused(x)
    stream = torch.cuda.Stream()
    for _ in range(3):
        x.zero_()
        with wait_for(stream):
            torch.cuda._sleep(SLEEP // 4)
            x.copy_(late)  # a launch on any other stream would read the zeros
            made = fused(x)
            again = fused(made)
        stream.synchronize()
        expected = fused.function(late)
        assert_equal(made, expected)
        assert_equal(again, fused.function(expected))


def test_an_unaligned_launch_follows_its_stream_as_well():
    fused = cold()
    base, late = filled((100_003,)), filled((100_000,))
    x = base[3:]
    fused(x)
    stream = torch.cuda.Stream()
    x.zero_()
    with wait_for(stream):
        torch.cuda._sleep(SLEEP // 4)
        x.copy_(late)
        made = fused(x)
    stream.synchronize()
    assert_equal(made, fused.function(late))


def test_the_consumer_of_another_stream_waits_by_an_event():
    fused = cold()
    x = filled((100_000,))
    fused(x)
    stream, done = torch.cuda.Stream(), torch.cuda.Event()
    with wait_for(stream):
        torch.cuda._sleep(SLEEP // 4)
        made = fused(x)
        done.record()
    torch.cuda.current_stream().wait_event(done)
    made.record_stream(torch.cuda.current_stream())
    assert_equal(made * 1, fused.function(x))


def test_a_call_returns_before_the_work_in_front_of_it_is_done():
    fused = fusekit.fuse(several, engine=ENGINE)
    x, y = filled((1000,)), filled((1001,))[1:]
    fused(x, y)
    torch.cuda.synchronize()
    done = torch.cuda.Event()
    torch.cuda._sleep(SLEEP)
    made = [fused(x, y) for _ in range(10)]
    done.record()
    assert not done.query(), "the calls waited for the GPU"
    done.synchronize()
    assert_equal(made[-1], several(x, y))


def test_a_new_signature_of_a_known_kernel_waits_for_nothing():
    fused = fusekit.fuse(several, engine=ENGINE)
    x, y = filled((5000,)), filled((5000,))
    fused(x, y)
    torch.cuda.synchronize()
    done = torch.cuda.Event()
    torch.cuda._sleep(SLEEP)
    fused(x[:999], y[:999])
    done.record()
    assert not done.query(), "the call waited for the GPU"
    torch.cuda.synchronize()


def test_torch_sees_no_synchronisation():
    fused = fusekit.fuse(several, engine=ENGINE)
    chain = fusekit.fuse(lambda x, w: torch.relu(x * 2) @ w + 1, engine=ENGINE)
    x, y, w = filled((64, 64)), filled((64, 64)), filled((64, 64))
    for warm_up in (True, False):
        if warm_up:
            fused(x, y), fused(x.t(), y), chain(x, w)
            continue
        with no_synchronisation():
            for _ in range(3):
                fused(x, y), fused(x.t(), y), chain(x, w)
    torch.cuda.synchronize()


def allocations():
    return torch.cuda.memory_stats()["allocation.all.allocated"]


@pytest.mark.parametrize(("function", "count"), [(several, 3), (lambda x, y: x * y + x, 1)])
def test_only_results_are_allocated(function, count):
    fused = fusekit.fuse(function, engine=ENGINE)
    for x, y in (
        (filled((1000,)), filled((1000,))),
        (filled((1000,)), filled((1003,))[3:]),
        (filled((33, 65)), filled((65, 33)).t()),
        (filled((33, 65)), filled(())),
    ):
        kept = [fused(x, y)]
        before = allocations()
        for number in range(1, 6):
            kept.append(fused(x, y))
            assert allocations() - before == number * count


def test_joined_results_are_one_allocation():
    fused = fusekit.fuse(lambda x, y: torch.cat([x * 2, y + 1, x - y]), engine=ENGINE)
    x, y = filled((100,)), filled((100,))
    fused(x, y)
    before = allocations()
    made = fused(x, y)
    assert allocations() == before + 1
    assert_equal(made, fused.function(x, y))


def test_memory_is_reused_across_streams_as_eager_reuses_it():
    """A result dies while another stream still reads it: `record_stream` keeps its memory."""
    first, second = cold(), cold()
    x = filled((1 << 20,))
    expected = second.function(first.function(x))
    second(first(x))
    stream = torch.cuda.Stream()
    for _ in range(5):
        made = first(x)
        with wait_for(stream):
            torch.cuda._sleep(SLEEP // 20)
            result = second(made)
        made.record_stream(stream)
        del made
        others = [first(x * number) for number in range(8)]  # would overwrite what is still read
        stream.synchronize()
        assert_equal(result, expected)
        del others


def test_results_that_die_at_once_are_written_in_order():
    fused = cold()
    x = filled((1 << 16,))
    expected = x
    for _ in range(50):
        expected = fused.function(expected).sin()
    made = x
    for _ in range(50):
        made = fused(made).sin()
    torch.testing.assert_close(made, expected, rtol=0, atol=0)


def captured(function, *args):
    """A CUDA graph of one call, and what the call returned while it was captured."""
    stream = torch.cuda.Stream()
    with wait_for(stream):
        for _ in range(3):
            function(*args)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = function(*args)
    return graph, made


def test_a_cuda_graph_computes_from_what_the_inputs_hold_then():
    def function(x, y, z):
        return torch.relu(x * 2 + y), (x - z) * 3, torch.cat([y + 1, x])

    fused = fusekit.fuse(function, engine=ENGINE)
    x, y, z = filled((65, 33)), filled((33, 65)).t(), filled((33,))
    with counted():
        graph, made = captured(fused, x, y, z)
    for _ in range(3):
        for tensor in (x, y, z):
            tensor.normal_()
        graph.replay()
        assert_equal(made, function(x, y, z))


def test_a_cuda_graph_of_unaligned_inputs_and_matrix_products():
    def function(x, w):
        return torch.tanh(x * 2) @ w - x

    fused = fusekit.fuse(function, engine=ENGINE)
    x, w = filled((64 * 64 + 3,))[3:].view(64, 64), filled((64, 64))
    with counted():
        graph, made = captured(fused, x, w)
    x.normal_()
    graph.replay()
    torch.testing.assert_close(made, function(x, w), rtol=1e-4, atol=1e-4)


def test_dropout_differs_between_two_replays():
    fused = fusekit.fuse(
        lambda x: torch.nn.functional.dropout(x * 2, 0.5, training=True) + 1, engine=ENGINE
    )
    x = torch.ones(10_000, device=DEVICE)
    graph, made = captured(fused, x)
    seen = []
    for _ in range(2):
        graph.replay()
        seen.append(made.clone())
    assert not torch.equal(*seen)
    for one in seen:
        assert set(one.unique().tolist()) == {1.0, 5.0}
        assert 0.45 < float((one > 1).float().mean()) < 0.55


def test_cuda_core_launches_where_torch_has_no_launcher_of_its_own(monkeypatch):
    """What takes over if a version of torch lacks the private one; all kinds of arguments."""
    monkeypatch.setattr(gpu_launch, "cuda_launcher", gpu_launch.through_core)

    def function(x, y, number, count, flag):
        return x * number + y, x.to(torch.int64) * count, (x > 0) & flag

    fused = fusekit.fuse(function, engine=ENGINE)
    x, y = filled((333, 65)), filled((65,))
    stream = torch.cuda.Stream()
    for number, count, flag in ((2.5, 3, True), (-0.25, -7, False)):
        with wait_for(stream), counted(launches=1):
            made = fused(x, y, number, count, flag)
        stream.synchronize()
        assert_equal(made, function(x, y, number, count, flag))

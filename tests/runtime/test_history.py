"""What a function remembers of its run time: fallbacks, and what each specialisation was for."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from io import StringIO

import pytest
import rich.console
import torch
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit import events
from fusekit.runtime.history import LIMIT, Recorder
from fusekit.specs import Decline, Reason

A, B = torch.randn(4, 8), torch.randn(4, 8)


def decay(x, y, rate=0.5, clip=False):
    x = x * rate + y
    return x.clamp(-1, 1) if clip else x


def changes(function, *calls):
    """What the last of these calls made `function` specialise on."""
    fused = fusekit.fuse(function)
    for args, kwargs in calls:
        fused(*args, **kwargs)
    *_, last = fused.history().specialisations
    return last


def test_the_first_call_is_for_itself():
    found = changes(decay, ((A, B), {}))
    assert (found.number, found.captured, found.nearest, found.changes) == (1, True, None, ())
    assert found.cause == "first call"
    assert found.groups == 1


@pytest.mark.parametrize(
    ("args", "kwargs", "captured", "expected"),
    [
        ((A.half(), B), {}, True, ("x: dtype float32 -> float16",)),
        ((A[:, :1], B), {}, True, ("x: shape [4, 8] -> [4, 1]",)),
        ((A.t().contiguous().t(), B), {}, True, ("x: strides [8, 1] -> [1, 4]",)),
        ((A, B), {"clip": True}, True, ("clip: newly given",)),
        ((A, B, 2), {}, True, ("rate: newly given",)),
        ((A, A), {}, True, ("y: is now the same tensor as x",)),
        ((A.clone().requires_grad_(), B), {}, True, ("x: requires_grad False -> True",)),
    ],
)
def test_what_differed_in_the_arguments(args, kwargs, captured, expected):
    found = changes(decay, ((A, B), {}), (args, kwargs))
    assert found.captured is captured
    assert found.nearest == 1
    for text in expected:
        assert text in found.changes


def test_another_size_of_the_same_pattern_is_served_without_capture():
    sizes = [((torch.randn(n, 8), torch.randn(n, 8)), {}) for n in (4, 5)]
    found = changes(decay, *sizes)
    assert not found.captured
    assert found.changes == ("x: shape [4, 8] -> [5, 8]", "y: shape [4, 8] -> [5, 8]")


def test_another_number_is_no_specialisation_unless_it_is_pinned():
    fused = fusekit.fuse(decay)
    fused(A, B, 0.5)
    fused(A, B, 0.25)
    assert len(fused.history().specialisations) == 1

    def power(x, n):
        for _ in range(n):
            x = x * x
        return x

    found = changes(power, ((A, 2), {}), ((A, 3), {}))
    assert found.changes == ("n: 2 -> 3, a number that the capture depends on",)


def test_the_type_of_a_number():
    found = changes(decay, ((A, B, 0.5), {}), ((A, B, 2), {}))
    assert found.changes == ("rate: float -> int",)


def test_arguments_in_containers_have_paths():
    def first(state):
        return state["h"][0] * 2

    found = changes(first, (({"h": [A]},), {}), (({"h": [A.double()]},), {}))
    assert found.changes == ("state['h'][0]: dtype float32 -> float64",)


def test_what_the_function_closes_over():
    scale, helper = 2.0, torch.tanh
    weight = torch.randn(8)

    def scaled(x):
        return helper(x * scale) + weight

    fused = fusekit.fuse(scaled)
    fused(A)
    scale = 3.0
    fused(A)
    weight = torch.randn(1)
    assert torch.allclose(fused(A), scaled(A))
    assert [s.changes for s in fused.history().specialisations[1:]] == [
        ("closed-over scale: 2.0 -> 3.0",),
        ("closed-over weight: shape [8] -> [1]",),
    ]
    assert not fused.history().fallbacks


def test_the_training_flag_of_a_module():
    layer = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.ReLU()).train()
    fused = fusekit.fuse(layer)
    fused(A)
    layer.eval()
    fused(A)
    *_, last = fused.history().specialisations
    assert "training flag self.training: True -> False" in last.changes


def test_modes_and_options_around_the_call():
    fused = fusekit.fuse(decay)
    fused(A, B)
    with torch.inference_mode():
        fused(A, B)
    with torch.autocast("cpu", torch.bfloat16):
        fused(A, B)
    with fusekit.options(fast=True):
        fused(A, B)
    assert [s.changes for s in fused.history().specialisations[1:]] == [
        ("grad mode: True -> False", "inference mode: False -> True"),
        ("autocast on cpu: False -> bfloat16",),
        ("option fast: False -> True",),
    ]


def test_a_specialisation_is_an_event_but_for_the_first():
    fused = fusekit.fuse(decay, name="decay")
    with events.listening() as heard:
        fused(A, B)
        fused(A.double(), B.double())
    (told,) = [event for event in heard if isinstance(event, events.Specialised)]
    changed = tuple(f"{name}: dtype float32 -> float64" for name in "xy")
    assert told == events.Specialised("decay", 2, captured=True, changes=changed)


def test_fallbacks_are_counted_by_reason_with_the_line_that_called():
    fused = fusekit.fuse(lambda x: x * 2 if x.sum() > 0 else x, name="branchy")
    for _ in range(3):
        fused(A)
    (found,) = fused.history().fallbacks
    assert (found.function, found.decline.code, found.count) == ("branchy", "FK0201", 3)
    assert found.caller.file == __file__
    assert found.caller.text == "fused(A)"
    assert "3 x [FK0201]" in str(fused.history())


def test_an_explanation_has_the_fallbacks_of_other_calls():
    fused = fusekit.fuse(lambda x, y: x.add_(y), name="add_into")
    pair = torch.ones(2, 3)
    fused(pair[0], pair[1])
    explained = fused.explain(torch.ones(3), torch.ones(3))
    assert explained.fused
    assert explained.codes == ("FK0306",)
    assert "argument 1, which is written, has one storage with argument 2" in str(explained)


def test_the_history_of_a_backward_is_its_functions():
    fused = fusekit.fuse(decay, name="decay")
    fused(A.clone().requires_grad_(), B).sum().backward()
    names = [each.function for each in fused.history().specialisations]
    assert names == ["decay", "decay_backward"]


def test_a_backward_through_a_write_that_others_see_says_which_write():
    def function(x):
        y = x * 2
        flat = y.view(-1)
        y.mul_(3)
        return (y * flat.view(y.shape)).sum()

    fused = fusekit.fuse(function, name="function")
    x = A.clone().requires_grad_()
    fused(x).backward()
    (found,) = fused.history().fallbacks
    assert (found.function, found.decline.code) == ("function_backward", "FK0110")
    assert found.decline.op == "aten.mul_.Tensor"
    assert found.decline.loc.text == "y.mul_(3)"
    twin = A.clone().requires_grad_()
    function(twin).backward()
    torch.testing.assert_close(x.grad, twin.grad)


def test_it_keeps_a_bounded_number():
    recorder = Recorder("f")
    for i in range(LIMIT + 5):
        recorder.fell_back("f", Decline(Reason.CAPTURE, str(i)))
    found = recorder.snapshot()
    assert len(found.fallbacks) == LIMIT
    assert found.other_fallbacks == 5
    fused = fusekit.fuse(lambda x, n: x.reshape(n, -1) * 2)
    for n in range(1, LIMIT + 6):
        fused(torch.ones(n), n)
    history = fused.history()
    assert len(history.specialisations) == LIMIT
    assert history.forgotten == 5
    assert str(history).splitlines()[1] == "  ... 5 earlier ones"


def test_it_holds_no_tensor_arguments():
    fused = fusekit.fuse(lambda x: x * 2)
    x = torch.randn(7)
    gone = weakref.ref(x)
    fused(x)
    del x
    gc.collect()
    assert gone() is None


def test_threads():
    fused = fusekit.fuse(lambda x: x * 2 if x.sum() > 0 else x)

    def work():
        for _ in range(50):
            fused(A)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = fused.history().fallbacks
    assert found.count == 400


def test_it_prints_and_is_json():
    fused = fusekit.fuse(decay, name="decay")
    fused(A, B)
    fused(A.double(), B.double())
    history = fused.history()
    json.dumps(history.to_dict())
    assert str(history).splitlines()[0] == "decay: 2 specialised, 0 fell back to PyTorch"
    out = StringIO()
    rich.console.Console(file=out, width=200).print(history)
    assert out.getvalue().strip() == str(history)


@given(st.lists(st.sampled_from((torch.float32, torch.float64, torch.int32)), min_size=1))
def test_each_dtype_is_captured_once(dtypes):
    fused = fusekit.fuse(lambda x: x * 2)
    for dtype in dtypes:
        fused(torch.ones(3, dtype=dtype))
    assert len(fused.history().specialisations) == len(set(dtypes))

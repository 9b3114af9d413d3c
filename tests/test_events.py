"""Events reach every listener, in order, until it unsubscribes."""

import torch

import fusekit
from fusekit import events


def test_a_first_call_tells_its_story() -> None:
    fused = fusekit.fuse(lambda x: (x * 1.2345678).tanh(), name="story")
    with events.listening() as heard:
        fused(torch.randn(5))
        fused(torch.randn(5))
    kinds = [type(event).__name__ for event in heard]
    assert kinds == ["Registered", "Compiled", "Traced"]
    assert heard[1].engine == "llvm"
    assert (heard[2].function, heard[2].groups, heard[2].calls) == ("story", 1, 0)


def test_a_fallback_is_told_with_its_reason() -> None:
    fused = fusekit.fuse(lambda x: x * 2 if x.sum() > 0 else x, name="branchy")
    with events.listening() as heard:
        fused(torch.ones(3))
    assert [(e.function, e.reason) for e in heard if isinstance(e, events.Declined)] == [
        ("branchy", "FK0201")
    ]


def test_unsubscribe() -> None:
    heard: list[events.Event] = []
    events.subscribe(heard.append)
    events.emit(events.Registered("k", "n"))
    events.unsubscribe(heard.append)
    events.emit(events.Registered("k2", "n"))
    assert [event.key for event in heard if isinstance(event, events.Registered)] == ["k"]

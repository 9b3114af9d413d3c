"""What happens inside, as records that anyone may listen to; the runtime knows no listener."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from fusekit.locks import lock

__all__ = [
    "Compiled",
    "Declined",
    "Event",
    "Registered",
    "Specialised",
    "Traced",
    "emit",
    "listening",
    "subscribe",
    "unsubscribe",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """A fusion group was seen for the first time."""

    key: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Traced:
    """A function was captured for a new signature.

    Attributes:
        function: its name.
        groups: kernels it will take.
        calls: operators left to PyTorch.
        seconds: what capture and partitioning took.
    """

    function: str
    groups: int
    calls: int
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """A kernel was compiled.

    Attributes:
        kernel: its symbol.
        engine: the engine it is for.
        seconds: code generation and compilation together.
        cached: True when the artifact came from the disk cache.
    """

    kernel: str
    engine: str
    seconds: float
    cached: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Declined:
    """Something ran in PyTorch instead; `reason` is the code of a `Decline`."""

    function: str
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Specialised:
    """A function that had been prepared for a call met one that is different.

    Attributes:
        function: its name.
        number: which specialisation of `FusedFunction.history` it is.
        captured: it was traced anew; False if a size-generic program served the new sizes.
        changes: what differs from the nearest earlier call, as sentences.
    """

    function: str
    number: int
    captured: bool
    changes: tuple[str, ...]


Event = Registered | Traced | Compiled | Declined | Specialised
Listener = Callable[[Event], None]

_listeners: tuple[Listener, ...] = ()
_lock = lock()


def emit(event: Event) -> None:
    """Tell every listener; what a listener raises reaches the caller."""
    for listener in _listeners:
        listener(event)


def are_heard() -> bool:
    """True if somebody listens: events that take time to describe are not made for nobody."""
    return bool(_listeners)


def subscribe(listener: Listener) -> None:
    """Have `listener` called for every event, in the thread where it happens."""
    global _listeners  # noqa: PLW0603  replaced whole, so that emit needs no lock
    with _lock:
        _listeners = (*_listeners, listener)


def unsubscribe(listener: Listener) -> None:
    """Stop calling `listener`."""
    global _listeners  # noqa: PLW0603  replaced whole, so that emit needs no lock
    with _lock:
        _listeners = tuple(item for item in _listeners if item != listener)


@contextlib.contextmanager
def listening() -> Iterator[list[Event]]:
    """Collect the events of a block in a list."""
    heard: list[Event] = []
    subscribe(heard.append)
    try:
        yield heard
    finally:
        unsubscribe(heard.append)

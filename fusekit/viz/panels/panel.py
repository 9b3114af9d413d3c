"""What a panel is, what it is given, and how it says how far it is."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from fusekit.api import FusedFunction
from fusekit.viz.model.schema import Model

__all__ = ["Call", "Cancelled", "Fields", "Panel", "Progress", "Shown"]

_OFTEN = 0.1
"""Seconds between two reports of progress: more often nobody can read them."""

Fields = Mapping[str, str]
"""What the form holds: name -> text, with the name and value of the button that was pressed.

"pinned" is always there: the values that are pinned in the view, with spaces between them.
"""


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a live view shows: the choices made in it, and the model that they led to."""

    size: int
    engine: str
    model: Model


@dataclasses.dataclass(frozen=True)
class Call:
    """The call that a live view shows now: at its size, on its engine.

    Attributes:
        fused: the function, fused for the engine that was chosen.
        args: its positional arguments.
        kwargs: its keyword arguments.
        model: the view's model.
        kept: the panel's own memory: what it puts there is there when it is asked again, in the
            same view, whatever the size and engine.
        own: the user's own function, whose cache and history are looked at; None where `fused` is.
    """

    fused: FusedFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    model: Model
    kept: dict[str, Any]
    own: FusedFunction | None = None


class Cancelled(Exception):  # noqa: N818  it is no error: the user pressed a button
    """Raised in a panel whose user has pressed "cancel"."""


class Progress:
    """Tells the page how far a panel is, and the panel that it should stop."""

    def __init__(self, report: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        """`report` is given "done", "total" and "said", ten times a second at most."""
        self._report = report
        self._stop = threading.Event()
        self._last = 0.0

    def cancel(self) -> None:
        """Have the next `step` raise; from any thread."""
        self._stop.set()

    def step(self, done: int, total: int, said: str = "") -> None:
        """Say that `done` of `total` parts are done; Cancelled if the user asked for that."""
        if self._stop.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._last >= _OFTEN or done >= total:
            self._last = now
            self._report({"done": done, "total": total, "said": said})


CallT = TypeVar("CallT")


@dataclasses.dataclass(frozen=True)
class Panel(Generic[CallT]):
    """A foldable part of a live view.

    Attributes:
        name: a word, unique among panels.
        title: what its summary says.
        note: one line beside it: what it is for.
        draw: the form's content as HTML, with everything of the user's escaped. It is called with
            no fields but "pinned" when the panel is opened, and with what the form holds after
            that. UsageError and FusekitError are shown as they are; so is any other exception.
    """

    name: str
    title: str
    note: str
    draw: Callable[[CallT, Fields, Progress], str]

"""`Timed`: what the stopwatch said about one call, as an object: `view.time()`."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fusekit.viz.measured.fragment import fragment
from fusekit.viz.measured.timing import bucket_text, prediction, times_html
from fusekit.viz.model.schema import Timing
from fusekit.viz.words import seconds_text, visible

if TYPE_CHECKING:
    from fusekit.viz.view import FusionView

__all__ = ["Timed", "asked", "timed"]


class Timed:
    """The verdict on one call, with the samples it rests on.

    Its text says only the verdict and a bucket, so that it can be compared in tests; the numbers
    are in `samples` and `to_dict()`, and in what a notebook shows.
    """

    def __init__(self, name: str, timing: Timing, predicted: str = "") -> None:
        """`predicted` is the sentence about bytes; "" if there is none."""
        self.name = name
        self.predicted = predicted
        self._timing = copy.deepcopy(timing)

    @property
    def verdict(self) -> str:
        """One sentence for each device, with numbers."""
        return self._timing["verdict"]

    @property
    def samples(self) -> dict[str, list[float]]:
        """`fused on cpu` -> seconds for one call, in the order in which they were taken."""
        rows = self._timing["rows"]
        return {f"{row['name']} on {row['device']}": list(row["samples"]) for row in rows}

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {"name": self.name, "predicted": self.predicted, **copy.deepcopy(self._timing)}

    def text(self) -> str:
        """With the numbers, for a terminal."""
        rows = [
            f"{visible(row['name'])} on {visible(row['device'])}: {seconds_text(row['seconds'])} "
            f"±{seconds_text(row['spread'] / 2)}, {row['runs']} runs"
            for row in self._timing["rows"]
        ]
        parts = [visible(self.verdict), self.predicted, *rows, visible(self._timing["method"])]
        return "\n".join(part for part in parts if part)

    def __repr__(self) -> str:
        return f"Timed({visible(self.name)})  {bucket_text(self._timing)}"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        body = times_html(self._timing, self.predicted)
        shown = f'<div class="fk-measured">{body}</div><!--fk-measured-->'
        return fragment(self.name, "stopwatch", shown)


def asked() -> Any:
    """What measures; imported when it is asked for, because a view needs no torch."""
    return importlib.import_module("fusekit.viz.measured.asked")


def timed(
    view: FusionView,
    *,
    against: Sequence[str] | None,
    seconds: float | None,
    flush: bool | None,
) -> Timed:
    """What a view holds if nothing is chosen and it holds something; else measured now."""
    model = view.model
    timing = model["timing"]
    if timing is None or (against, seconds, flush) != (None, None, None):
        timing = view.session().timing(
            against or ("eager",), 3.0 if seconds is None else seconds, flush=flush is not False
        )
    return Timed(model["name"], timing, prediction(model, timing))

"""What a view is asked about its seams and decisions: why, when, what it promises, guess first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fusekit.errors import UsageError
from fusekit.viz.model import Model
from fusekit.viz.need import need

if TYPE_CHECKING:
    from fusekit.viz.laddersteps import MeasuredStep
    from fusekit.viz.ladderview import Ladder
    from fusekit.viz.pin import Pin
    from fusekit.viz.quiz import Quiz
    from fusekit.viz.seams import SeamCards
    from fusekit.viz.view import Session

__all__ = ["Inquiries"]


class Inquiries:
    """Part of `FusionView`."""

    _model: Model

    def session(self) -> Session:
        """What runs the call again; UsageError if this view is a recording."""
        raise NotImplementedError

    def seams(self, *, bytes_per_second: float | None = None) -> SeamCards:
        """Every seam with its checks, its price and the smallest change that saves it.

        With the copy bandwidth of a machine, in bytes per second, prices have a time as well.
        """
        from fusekit.viz.seams import SeamCards  # noqa: PLC0415  for who asks

        return SeamCards(self._model, bytes_per_second)

    def ladder(self) -> Ladder:
        """The decisions of the partition, in its order, with what each saves."""
        from fusekit.viz.ladderview import Ladder  # noqa: PLC0415  for who asks

        return Ladder(self._model)

    def pin(self, path: str | Path | None = None) -> Pin:
        """The structure of this fusion, as a contract; with a path, it is written there as well.

        `print(view.pin())` is what `%%fuse --expect` takes; `--expect x.pin.json` takes the file,
        and says which edge became a seam.
        """
        from fusekit.viz.pin import pin_of  # noqa: PLC0415  for who asks

        pin = pin_of(self._model)
        if path is not None:
            if not str(path).endswith(".pin.json"):
                raise UsageError(f"pin {str(path)!r}: its name has to end in .pin.json")
            pin.save(path)
        return pin

    def expect(self, contract: str) -> None:
        """ContractError unless the fusion is what `contract` says, as with `%%fuse --expect`."""
        from fusekit.viz.contract import hold, parse_contract  # noqa: PLC0415  for who asks

        hold(parse_contract(contract), self._model)

    def quiz(self) -> Quiz:
        """Questions about this fusion, as a page that scores itself; torch need not be there."""
        from fusekit.viz.quiz import Quiz  # noqa: PLC0415  for who asks

        return Quiz(self._model)

    def measure_step(self, step: int, **options: Any) -> MeasuredStep:
        """The plan after so many steps of the ladder, compiled and timed against the plan in force.

        Options are those of `fusekit.bench.what_if`. UsageError if this view is a recording.
        """
        fused, args, kwargs = self.session().call()
        steps = need("fusekit.viz.laddersteps", "a measured step")
        measured = steps.measure_step(fused, args, kwargs, self._model, step, **options)
        return cast("MeasuredStep", measured)

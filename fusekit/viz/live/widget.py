"""The live view: the same block, with a size and an engine to choose, run again on each choice.

Only this module needs anywidget; `FusionView.live` imports it when it is asked for.
"""

from __future__ import annotations

import concurrent.futures
import html as markup
import threading
from typing import Any

import anywidget
import traitlets

from fusekit.errors import UsageError
from fusekit.viz.hydrator import script, shipped
from fusekit.viz.model.schema import Model, check
from fusekit.viz.page import block, stylesheet
from fusekit.viz.palette import static
from fusekit.viz.panels.panel import Cancelled, Progress, Shown
from fusekit.viz.text import headline
from fusekit.viz.view import FusionView, Session
from fusekit.viz.words import short

__all__ = ["LiveView"]

_Task = concurrent.futures.Future[None]
_STOPPED = '<p class="fk-note">stopped</p><button name="again">once more</button>'


class LiveView(anywidget.AnyWidget):
    """A widget around a session. The browser asks, one request at a time; Python answers.

    Answers are worked out in a thread, so that the kernel stays free and a request can be stopped.

    Attributes:
        model: what is shown now.
        view: the same as a `FusionView`, to keep or to save.
    """

    _esm = script() + "".join(map(shipped, ("panels", "edit", "grid", "slider", "live")))
    _css = stylesheet() + "".join(
        static(f"{name}.css") for name in ("live", "whatif", "desk", "numbers")
    )

    sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    engines = traitlets.List(traitlets.Unicode()).tag(sync=True)
    panels = traitlets.List(traitlets.Dict()).tag(sync=True)
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
        self._worker = concurrent.futures.ThreadPoolExecutor(1, "fusekit-live")
        self._open: dict[str, tuple[dict[str, Any], Progress, _Task]] = {}
        self._rate: float | None = None
        self.model = model
        super().__init__(
            sizes=sizes,
            engines=engines,
            panels=session.panels(),
            size=session.size(),
            engine=engines[0],
            html=self._drawn(model),
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
                html = self._drawn(model)
                self.model = model
                self.html = html
            except Exception as error:  # noqa: BLE001  whatever it is, the user sees it in the view
                self.error = _said(error)
            finally:
                self.busy = False

    def wait(self) -> None:
        """Return when everything that the browser has asked for so far is answered."""
        self._worker.submit(lambda: None).result()

    def _drawn(self, model: Model) -> str:
        """The view; its seams have times once the machine's bandwidth is known."""
        self._rate = self._session.bandwidth()
        return block(model, hydrate=False, bytes_per_second=self._rate)

    def _choose(self, size: int, engine: str) -> None:
        if size not in self.sizes or engine not in self.engines:
            raise UsageError(f"size {size!r} with engine {engine!r} is not among the choices")
        self.size, self.engine = size, engine

    def _asked(self, _widget: object, content: object, _buffers: object) -> None:
        """Take what the page sends: it has a key "rerun", "panel" or "cancel"."""
        if not isinstance(content, dict):
            return
        if "rerun" in content:
            self._worker.submit(self._rerun, content)
        elif "panel" in content:
            self._submit(content)
        elif content.get("cancel") in self._open:
            request, progress, task = self._open[content["cancel"]]
            progress.cancel()
            if task.cancel():  # it has not begun
                self._answer(request, html=_STOPPED)

    def _rerun(self, request: dict[str, Any]) -> None:
        """It always answers, or the page would wait."""
        try:
            self.rerun(request.get("size", self.size), request.get("engine", self.engine))
        finally:
            self.send({"done": request["rerun"]})

    def _submit(self, request: dict[str, Any]) -> None:
        """Have a panel drawn, once those are that were asked before."""
        progress = Progress(lambda state: self._answer(request, progress=state))
        is_waiting = any(not task.done() for _, _, task in self._open.values())
        task = self._worker.submit(self._panel, request, progress)
        self._open[request["panel"]] = request, progress, task
        if is_waiting:
            said = "waiting for what was asked before"
            self._answer(request, progress={"done": 0, "total": 0, "said": said})

    def _answer(self, request: dict[str, Any], **answer: Any) -> None:
        self.send({"panel": request["panel"], "number": request.get("number"), **answer})

    def _panel(self, request: dict[str, Any], progress: Progress) -> None:
        """The same for a panel: its new content, or what went wrong."""
        name = request["panel"]
        try:
            fields = {str(key): str(text) for key, text in dict(request["fields"]).items()}
            shown = Shown(self.size, self.engine, self.model)
            drawn = self._session.panel(name, fields, shown, progress)
        except Cancelled:
            drawn = _STOPPED
        except Exception as error:  # noqa: BLE001  as above
            text = markup.escape(_said(error))
            drawn = f'<p class="fk-error" role="alert">{text}</p><button name="again">back</button>'
        self._answer(request, html=drawn)
        if self._session.bandwidth() != self._rate:  # the panel has measured it
            self.html = self._drawn(self.model)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {short(str(error), 500)}"

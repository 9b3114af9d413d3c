"""A session as an adapter would make it, without anything to run."""

from __future__ import annotations

import html
import time

from fusekit.viz.model.schema import Model
from fusekit.viz.panels import Fields, Progress, Shown
from tests.viz import models


class FakeSession:
    """Answers with the LSTM cell, renamed by what was asked; the engine "broken" raises."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.asked: list[tuple[int, str]] = []
        self.seconds = seconds
        self.rate: float | None = None

    def call(self):
        raise NotImplementedError("there is nothing to run")

    def sizes(self) -> list[int]:
        return [1 << n for n in range(10, 21, 2)]

    def size(self) -> int:
        return 1 << 20

    def engines(self) -> list[str]:
        return ["llvm", "cpp", "broken"]

    def bandwidth(self) -> float | None:
        return self.rate

    def panels(self) -> list[dict[str, str]]:
        return [{"name": "echo", "title": "Echo", "note": "says what it was told"}]

    def panel(self, name: str, fields: Fields, shown: Shown, progress: Progress) -> str:
        """A form with a word; "slow" takes its time, "broken" raises."""
        word = fields.get("word", "nothing")
        for done in range(200 if word == "slow" else 0):
            progress.step(done, 200, f"{done} naps")
            time.sleep(0.02)
        if word == "broken":
            raise RuntimeError("no <b>word</b>")
        where = f"{shown.size} on {shown.engine}, pinned {fields['pinned'] or 'nothing'}"
        said = f"{html.escape(word)} at {where}"
        return (
            f'<label>word <input name="word" value="{html.escape(word)}"></label>'
            f'<button name="go">say</button><p class="fk-said-back">{said}</p>'
        )

    def rerun(self, size: int, engine: str) -> Model:
        self.asked.append((size, engine))
        time.sleep(self.seconds)
        if engine == "broken":
            raise RuntimeError("no compiler <b>here</b>")
        model = models.lstm_cell()
        model["title"] = f"lstm_cell at {size} on {engine}"
        return model

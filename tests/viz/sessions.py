"""A session as an adapter would make it, without anything to run."""

from __future__ import annotations

import time

from fusekit.viz.model import Model
from tests.viz import models


class FakeSession:
    """Answers with the LSTM cell, renamed by what was asked; the engine "broken" raises."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.asked: list[tuple[int, str]] = []
        self.seconds = seconds

    def sizes(self) -> list[int]:
        return [1 << n for n in range(10, 21, 2)]

    def engines(self) -> list[str]:
        return ["llvm", "cpp", "broken"]

    def rerun(self, size: int, engine: str) -> Model:
        self.asked.append((size, engine))
        time.sleep(self.seconds)
        if engine == "broken":
            raise RuntimeError("no compiler <b>here</b>")
        model = models.lstm_cell()
        model["title"] = f"lstm_cell at {size} on {engine}"
        return model

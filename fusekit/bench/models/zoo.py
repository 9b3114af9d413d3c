"""The models: a table."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping

from fusekit.bench.models import blocks, language, perception
from fusekit.bench.models.sizes import Built, Size

__all__ = ["ZOO", "Entry", "missing"]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One model.

    Attributes:
        title: for a table.
        build: the model of a size, with random weights of the current seed.
        package: what has to be installed; "" for torch alone.
        layers: of the model that is measured, where that is not the common number.
        length: of its sequences, likewise.
    """

    title: str
    build: Callable[[Size], Built]
    package: str = "transformers"
    layers: int = 0
    length: int = 0

    def measured(self, size: Size) -> Size:
        """The size with what this model has of its own."""
        layers, length = self.layers or size.layers, self.length or size.length
        return dataclasses.replace(size, layers=layers, length=length)


ZOO: Mapping[str, Entry] = {
    "gpt2": Entry("GPT-2, 12 layers", language.gpt2, layers=12),
    "llama": Entry("Llama", language.llama),
    "bert": Entry("BERT", language.bert),
    "t5": Entry("T5", language.t5),
    "mamba": Entry("Mamba", language.mamba, length=16),
    "vit": Entry("ViT", perception.vit),
    "whisper": Entry("Whisper encoder", perception.whisper_encoder),
    "lstm": Entry("LSTM as a loop", blocks.lstm, ""),
    "resnet": Entry("ResNet blocks", blocks.resnet, ""),
    "unet": Entry("U-Net block", blocks.unet, ""),
    "vae": Entry("VAE with its loss", blocks.vae, ""),
}
"""Name -> model, in the order of the table."""


def missing(entry: Entry) -> str | None:
    """Why a model cannot be built here; None if it can."""
    if entry.package and importlib.util.find_spec(entry.package) is None:
        return f"{entry.package} is not installed: pip install {entry.package}"
    return None

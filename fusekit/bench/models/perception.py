"""Models of images and sound, built from the configurations of `transformers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fusekit.bench.models.language import FirstResult
from fusekit.bench.models.sizes import Built, Size

__all__ = ["vit", "whisper_encoder"]

_MEL = 16


def vit(size: Size) -> Built:
    """ViT: patches, a class token, erf GELU."""
    from transformers import ViTConfig, ViTModel  # noqa: PLC0415  optional

    config = ViTConfig(
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        image_size=size.image,
        patch_size=4,
        hidden_dropout_prob=size.dropout,
        attention_probs_dropout_prob=size.dropout,
    )
    model = ViTModel(config, add_pooling_layer=False)
    return Built(
        FirstResult(model, "last_hidden_state"), _noise("pixel_values", 3, size.image, size.image)
    )


def whisper_encoder(size: Size) -> Built:
    """The encoder of Whisper: two convolutions over a spectrogram, then attention."""
    from transformers import WhisperConfig  # noqa: PLC0415  optional
    from transformers.models.whisper.modeling_whisper import WhisperEncoder  # noqa: PLC0415  likewise

    config = WhisperConfig(
        num_mel_bins=_MEL,
        d_model=size.width,
        encoder_layers=size.layers,
        encoder_attention_heads=size.heads,
        encoder_ffn_dim=4 * size.width,
        max_source_positions=size.length,
        dropout=size.dropout,
    )
    model = WhisperEncoder(config)
    return Built(
        FirstResult(model, "last_hidden_state"), _noise("input_features", _MEL, 2 * size.length)
    )


def _noise(name: str, *shape: int) -> Callable[[int], dict[str, Any]]:
    def inputs(batch: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(batch)
        return {name: torch.randn(batch, *shape, generator=generator)}

    return inputs

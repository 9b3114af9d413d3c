"""Models of torch alone: a recurrent loop, a residual block, a diffusion U-Net block, a VAE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  as everybody spells it

from fusekit.bench.models.sizes import Built, Size

__all__ = ["lstm", "resnet", "unet", "vae"]


class _Lstm(nn.Module):
    """The recurrence of nn.LSTM, written as a loop."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.inward = nn.Linear(size.width, 4 * size.width)
        self.recurrent = nn.Linear(size.width, 4 * size.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = x.new_zeros(x.shape[0], x.shape[2])
        hidden = []
        for step in x.unbind(1):
            gates = self.inward(step) + self.recurrent(h)
            i, f, g, o = gates.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            hidden.append(h)
        return torch.stack(hidden, 1)


class _Residual(nn.Module):
    """Two convolutions with batch norm, and the shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(y)) + x)


class _Resnet(nn.Module):
    """A stem, residual blocks, the mean over all pixels, a classifier."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        channels = size.width // 2
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(_Residual(channels) for _ in range(size.layers)))
        self.head = nn.Linear(channels, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.blocks(self.stem(image)).mean((2, 3)))
        return logits


class _Timed(nn.Module):
    """Group norm, SiLU, convolution, with scale and shift from the time embedding."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        groups = min(4, channels)
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(embedding, 2 * channels)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        y = self.first(F.silu(self.norm1(x)))
        scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, 1)
        y = F.silu(self.norm2(y) * (1 + scale) + shift)
        made: torch.Tensor = x + self.second(y)
        return made


class _Unet(nn.Module):
    """One step down and up, with a skip connection, under a sinusoidal time embedding."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        channels = size.width // 4
        self.frequencies = size.width // 2
        self.embed = nn.Sequential(
            nn.Linear(size.width, size.width), nn.SiLU(), nn.Linear(size.width, size.width)
        )
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.ModuleList(_Timed(channels, size.width) for _ in range(size.layers))
        self.shrink = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.middle = _Timed(channels, size.width)
        self.merge = nn.Conv2d(2 * channels, channels, 1)
        self.head = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        steps = torch.arange(self.frequencies, device=time.device, dtype=time.dtype)
        angles = time[:, None] * torch.exp(-steps * 9.21 / self.frequencies)
        embedding = self.embed(torch.cat([angles.sin(), angles.cos()], 1).to(image.dtype))
        x = self.stem(image)
        for block in self.down:
            x = block(x, embedding)
        y = self.middle(self.shrink(x), embedding)
        y = F.interpolate(y, scale_factor=2.0, mode="nearest")
        made: torch.Tensor = self.head(self.merge(torch.cat([x, y], 1)))
        return made


class _Vae(nn.Module):
    """A variational autoencoder; the noise is an argument, so that runs can be compared."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        pixels = size.image * size.image
        self.inward = nn.Linear(pixels, 2 * size.width)
        self.moments = nn.Linear(2 * size.width, 2 * size.width)
        self.outward = nn.Linear(size.width, 2 * size.width)
        self.picture = nn.Linear(2 * size.width, pixels)

    def forward(self, image: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        mean, log_variance = self.moments(F.elu(self.inward(image))).chunk(2, 1)
        code = mean + noise * torch.exp(0.5 * log_variance)
        picture = self.picture(F.elu(self.outward(code)))
        reconstruction = F.binary_cross_entropy_with_logits(
            picture, torch.sigmoid(image), reduction="none"
        ).sum(1)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        made: torch.Tensor = reconstruction + divergence
        return made


def lstm(size: Size) -> Built:
    """An LSTM as a loop over time: a kernel between two matrix products, at each step."""
    return Built(_Lstm(size), _noise(x=(size.length // 2, size.width)))


def resnet(size: Size) -> Built:
    """Residual blocks with batch norm, whose statistics a training step writes in place."""
    return Built(_Resnet(size), _noise(image=(3, size.image, size.image)))


def unet(size: Size) -> Built:
    """A block of a diffusion U-Net: group norm, SiLU, time embedding, skip connection."""
    return Built(_Unet(size), _noise(image=(3, size.image, size.image), time=()))


def vae(size: Size) -> Built:
    """A VAE with its loss inside: reparametrisation, cross entropy, divergence."""
    return Built(_Vae(size), _noise(image=(size.image * size.image,), noise=(size.width,)))


def _noise(**shapes: tuple[int, ...]) -> Callable[[int], dict[str, Any]]:
    def inputs(batch: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(batch)
        return {
            name: torch.randn(batch, *shape, generator=generator) for name, shape in shapes.items()
        }

    return inputs

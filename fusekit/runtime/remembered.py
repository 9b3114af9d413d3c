"""What a function reads from outside, remembered from the forward for the backward.

A backward recomputes from the inputs of the forward. Globals, closure cells and attributes are
inputs too, but nothing keeps their values; a user may well load the next batch into one before
calling `backward()`. Then they are put back for as long as the backward runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from fusekit.errors import FusekitError
from fusekit.frontends.free import Free
from fusekit.locks import rlock

__all__ = ["Remembered"]

_GONE = object()

_lock = rlock()
"""Held while variables of the user's have other values than the user gave them."""


class Remembered:
    """The values of some variables at one moment."""

    def __init__(self, frees: Sequence[Free]) -> None:
        """Read them now."""
        # a container that was replaced comes back before what it held
        places = [*(free.root() for free in frees), *frees]
        self._values = [(free, value, _version(value)) for free in places for value in [_now(free)]]

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Let them have these values; nothing is touched if they have.

        Raises:
            RuntimeError: a tensor was written in place since; eager raises it, too, for what it
                has saved.
            FusekitError: one has another value, and cannot be set.
        """
        for free, value, version in self._values:
            if _version(value) != version:
                raise RuntimeError(
                    f"the tensor {free.name}, which is needed for gradient computation, has been "
                    f"modified by an inplace operation: it is at version {_version(value)}; "
                    f"expected version {version} instead"
                )
        if all(_now(free) is value for free, value, _ in self._values):
            yield
            return
        with _lock, contextlib.ExitStack() as stack:
            for free, value, _ in self._values:
                if _now(free) is not value:
                    stack.callback(_put, free, _now(free))
                    _put(free, value)
            yield


def _now(free: Free) -> Any:
    try:
        return free.fetch()
    except (LookupError, AttributeError, ValueError):
        return _GONE


def _version(value: Any) -> int:
    """How often a tensor was written to; tensors made in inference mode do not count."""
    counts = isinstance(value, torch.Tensor) and not value.is_inference()
    return value._version if counts else 0  # noqa: SLF001  no public spelling


def _put(free: Free, value: Any) -> None:
    try:
        free.put(value)
    except (TypeError, AttributeError, LookupError) as error:
        raise FusekitError(
            f"{free.name} has changed since the function was called, and its gradient needs what "
            f"it was: call backward() before changing it, or pass it as an argument"
        ) from error

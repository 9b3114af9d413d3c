"""Recent plans: what a call is tried on before anything about it is computed.

A plan finds out by itself whether a call is its own, so to find it takes no more than a guess. The
latest few of one form are tried in turn; of the others, those that served arguments of the same
shapes. So what a call costs does not grow with the number of signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import torch

from fusekit.config import Options, current
from fusekit.locks import lock
from fusekit.runtime.plan import MISS
from fusekit.runtime.signature import default_device, n_function_modes

__all__ = ["Hot", "Recent", "Run"]

Run = Callable[[Sequence[Any]], Any]
"""Called with argument leaves; MISS if they are not its own."""

Tensor = torch.Tensor

_LATEST = 4
"""Plans of one form that are tried in turn."""

_ALIKE = 32
"""Plans that served arguments of the same shapes."""

_MOST_SHAPES = 4096
"""Beyond these all are forgotten."""


class Hot(NamedTuple):
    """Recent plans by form of the call, and what they took for granted but do not check.

    Attributes:
        dtype: torch's default.
        options: fusekit's.
        device: torch's default, if it was set.
        latest: by form.
        alike: by form and shapes.
    """

    dtype: torch.dtype
    options: Options
    device: torch.device | None
    latest: dict[Hashable, tuple[Run, ...]]
    alike: dict[Hashable, tuple[Run, ...]]


class Recent:
    """The recent plans of one function. Reading takes no lock.

    Attributes:
        hot: replaced when what it took for granted changes.
    """

    def __init__(self) -> None:
        """None yet."""
        self._lock = lock()
        self._last: Run | None = None
        self.hot = _new()

    def forget(self) -> None:
        """Look the next call up by its whole signature."""
        with self._lock:
            self._last = None
            self.hot = _new()

    def remember(self, form: Hashable, leaves: Sequence[Any], run: Run) -> None:
        """Try this plan first; but for calls under a mode that plans know nothing of."""
        device = default_device()
        if n_function_modes() > (device is not None):
            return
        with self._lock:
            hot, dtype, options = self.hot, torch.get_default_dtype(), current()
            if (hot.dtype, hot.device) != (dtype, device) or hot.options is not options:
                hot = self.hot = Hot(dtype, options, device, {}, {})
            _put_first(hot.latest, form, run, _LATEST)
            if len(hot.alike) >= _MOST_SHAPES:
                hot.alike.clear()
            _put_first(hot.alike, (form, *_shapes_of(leaves)), run, _ALIKE)

    def by_shapes(self, hot: Hot, form: Hashable, leaves: Sequence[Any]) -> Any:
        """The result of a plan that served the same shapes before; MISS if there is none."""
        for run in hot.alike.get((form, *_shapes_of(leaves)), ()):
            result = run(leaves)
            if result is not MISS:
                self._met_again(hot, form, run)
                return result
        return MISS

    def _met_again(self, hot: Hot, form: Hashable, run: Run) -> None:
        """Try a plan first that serves the second call in a row, though it was not tried first."""
        if run is not self._last:
            self._last = run
            return
        with self._lock:
            _put_first(hot.latest, form, run, _LATEST)


def _new() -> Hot:
    return Hot(torch.get_default_dtype(), current(), None, {}, {})


def _put_first(known: dict[Hashable, tuple[Run, ...]], key: Hashable, run: Run, most: int) -> None:
    others = [other for other in known.get(key, ()) if other is not run]
    known[key] = (run, *others[: most - 1])


def _shapes_of(leaves: Sequence[Any]) -> list[torch.Size | None]:
    """The shape of each tensor, None for anything else; a nested tensor has none."""
    return [
        leaf.shape if isinstance(leaf, Tensor) and not leaf.is_nested else None for leaf in leaves
    ]

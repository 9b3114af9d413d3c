"""Parcels: a task as bytes, so that what cannot be sent or opened says so and kills nothing.

Executors pickle by themselves, but report late, once for each task and at length; and a worker of
a `ProcessPoolExecutor` that cannot open what it was sent dies and takes the pool along.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from fusekit.errors import UsageError

__all__ = ["Parcel", "parcel"]

_ADVICE = (
    "define it at the top of a module that the workers can import, or install cloudpickle (the "
    "extra fusekit[dask] brings it), which sends functions of notebooks, too"
)


class Parcel:
    """A task in bytes, opened where it is called."""

    def __init__(self, content: bytes) -> None:
        self.__name__ = "fusekit.sweep"  # what a cluster's dashboard and logs call the task
        self._content = content

    def __call__(self, *args: Any) -> Any:
        """What the task returns.

        Raises:
            UsageError: the task cannot be opened here.
        """
        try:
            task = pickle.loads(self._content)  # noqa: S301  packed by the process that sent it
        except Exception as error:  # noqa: BLE001  imports run code
            said = f"{type(error).__name__}: {error}"
            raise UsageError(f"a worker cannot load the function ({said}): {_ADVICE}") from None
        return task(*args)


def parcel(task: Callable[..., Any], parts: Mapping[str, Any]) -> Parcel:
    """Pack a task: by cloudpickle where it is installed, else by pickle.

    Args:
        task: what to call.
        parts: name -> what it holds, to say which of them cannot be sent.

    Raises:
        UsageError: one of them cannot.
    """
    try:
        return Parcel(_dumps(task))
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        names = [name for name, part in parts.items() if not _can_be_sent(part)]
        culprit = " and ".join(names) or "the task"
        raise UsageError(
            f"{culprit} cannot be sent to another process ({said}): {_ADVICE}"
        ) from error


def _dumps(value: Any) -> bytes:
    has_cloudpickle = importlib.util.find_spec("cloudpickle") is not None
    packer = importlib.import_module("cloudpickle") if has_cloudpickle else pickle
    packed: bytes = packer.dumps(value)
    return packed


def _can_be_sent(value: Any) -> bool:
    try:
        _dumps(value)
    except Exception:  # noqa: BLE001  pickle raises whatever `__reduce__` raises
        return False
    return True

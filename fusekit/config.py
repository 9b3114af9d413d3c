"""Options: one frozen value from FUSEKIT_* variables, overridden by `fusekit.options(...)`."""

from __future__ import annotations

import contextvars
import dataclasses
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from fusekit.errors import UsageError

__all__ = ["Options", "current", "options"]


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What a user may set. Every field is also the variable FUSEKIT_<FIELD>.

    Attributes:
        engine: the engine to use where `fuse` was given "auto": "auto", "llvm", "cpp", "cuda",
            "reference".
        fast: allow contraction of a*b+c and other rewrites that change rounding.
        disk_cache: keep compiled kernels between processes.
        cache_dir: where; empty means the platform's cache folder.
        cuda_arch: the GPU architecture to generate source for, such as "sm_90"; empty means the
            current device's.
        max_arguments: the most tensors one kernel may take.
        pool_bytes: the most bytes of large results on the CPU that are kept to be used again once
            nobody refers to them; 0 keeps none.
        debug: 1 prints each generated source to standard error, 0 prints nothing.
    """

    engine: str = "auto"
    fast: bool = False
    disk_cache: bool = True
    cache_dir: str = ""
    cuda_arch: str = ""
    max_arguments: int = 128
    pool_bytes: int = 1 << 28
    debug: int = 0


_FIELDS = {field.name: field for field in dataclasses.fields(Options)}


def from_environment(environ: Mapping[str, str]) -> Options:
    """Options from FUSEKIT_* variables; UsageError names a variable whose value makes no sense."""
    found: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        variable = f"FUSEKIT_{name.upper()}"
        if variable in environ:
            found[name] = _parse(variable, environ[variable], type(field.default))
    return Options(**found)


def _parse(variable: str, text: str, kind: type) -> bool | int | str:
    if kind is bool:
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() in words:
            return words[text.lower()]
        raise UsageError(f"{variable}={text!r}: expected 0 or 1")
    if kind is int:
        try:
            return int(text)
        except ValueError as error:
            raise UsageError(f"{variable}={text!r}: expected an integer") from error
    return text


_base: Options | None = None
_override: contextvars.ContextVar[Options | None] = contextvars.ContextVar(
    "fusekit_options", default=None
)


def current() -> Options:
    """The options in force: those of the innermost `with`, else the process's."""
    global _base  # noqa: PLW0603  read once, at first use, so that tests may set variables first
    local = _override.get()
    if local is not None:
        return local
    if _base is None:
        _base = from_environment(os.environ)
    return _base


class options:  # noqa: N801  reads as a verb at the call site: `with fusekit.options(...)`
    """Set options for the process; as a context manager, restore the old ones at the end.

    Raises:
        UsageError: an option does not exist or has a value of the wrong type.
    """

    def __init__(self, **overrides: Any) -> None:
        """Apply `overrides` at once."""
        for name, value in overrides.items():
            if name not in _FIELDS:
                raise UsageError(f"no option {name!r}; there are {', '.join(sorted(_FIELDS))}")
            kind = type(_FIELDS[name].default)
            if not isinstance(value, kind):
                raise UsageError(f"option {name} takes {kind.__name__}, got {value!r}")
        self._new = dataclasses.replace(current(), **overrides)
        self._base = _base
        self._token: contextvars.Token[Options | None] | None = None
        _set_base(self._new)

    def __enter__(self) -> Self:
        """Make the setting local to this context (threads outside keep theirs)."""
        _set_base(self._base)
        self._token = _override.set(self._new)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore what was in force before."""
        assert self._token is not None
        _override.reset(self._token)


def _set_base(new: Options | None) -> None:
    global _base  # noqa: PLW0603  the process-wide setting
    _base = new

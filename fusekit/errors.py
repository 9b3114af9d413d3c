"""Exceptions factored out so that every layer can raise them without importing another."""

from __future__ import annotations

from typing import Any

__all__ = [
    "CompileError",
    "EngineUnavailableError",
    "FusekitError",
    "FusionDeclined",
    "GraphError",
    "LaunchError",
    "ParseError",
    "PlanRefused",
    "StackError",
    "UnknownKeyError",
    "UsageError",
]


class FusekitError(Exception):
    """Root of everything fusekit raises on its own account."""


class GraphError(FusekitError, ValueError):
    """A graph breaks a rule of the IR; the message names the node."""


class ParseError(GraphError):
    """Text that should be a graph is not; the message names the line."""


class FusionDeclined(FusekitError, RuntimeError):
    """A kernel was demanded (not merely preferred) and could not be had.

    Attributes:
        decline: the `fusekit.specs.Decline` that says why.
    """

    def __init__(self, decline: Any) -> None:
        """Keep the decline and use its text as the message."""
        super().__init__(str(decline))
        self.decline = decline


class PlanRefused(FusekitError, RuntimeError):
    """A plan demands a division that cannot be.

    Attributes:
        decline: the `fusekit.specs.Decline` that names the rule and the operators.
    """

    def __init__(self, decline: Any) -> None:
        """Keep the decline and use its text as the message."""
        super().__init__(str(decline))
        self.decline = decline


class CompileError(FusekitError, RuntimeError):
    """A generated kernel did not compile.

    Attributes:
        command: what was run, as an argument vector (empty for in-process compilers).
        log: what the compiler printed.
        source: the text that was compiled.
    """

    def __init__(
        self, message: str, *, command: tuple[str, ...] = (), log: str = "", source: str = ""
    ) -> None:
        """Keep the evidence; show the end of the log, where compilers put the verdict."""
        super().__init__(f"{message}\n{log[-2000:]}".rstrip())
        self.command = command
        self.log = log
        self.source = source


class LaunchError(FusekitError, RuntimeError):
    """The driver refused a launch after earlier ones had stored into arguments.

    PyTorch cannot run the call again then, because it would store twice. Eager PyTorch leaves
    arguments behind in this state, too, when a launch fails in the middle of a function.
    """


class EngineUnavailableError(FusekitError, RuntimeError):
    """The engine asked for by name cannot run here; the message says what is missing."""


class UnknownKeyError(FusekitError, KeyError):
    """`run_fusion` was given a key that no `register_fusion` returned."""

    def __str__(self) -> str:
        """Undo `KeyError`'s quoting: the message is a sentence."""
        return str(self.args[0])


class StackError(FusekitError, IndexError):
    """The stack holds fewer values than the fusion takes; it was left as it was."""


class UsageError(FusekitError, ValueError):
    """An argument to a fusekit function makes no sense; the message says what would."""

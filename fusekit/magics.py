"""`%%fuse`, `%fuse` and `%fusekit`: the notebook's way in. Each has a plain-Python twin."""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import functools
import logging
import re
import shlex
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError as MagicError
from IPython.core.interactiveshell import InteractiveShell  # noqa: TC002  an annotation
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

import fusekit
from fusekit import config
from fusekit.api import FusedFunction, fuse, stats
from fusekit.compilers import cache
from fusekit.errors import FusekitError, UsageError
from fusekit.pages import overview, page_of
from fusekit.runtime.diagnosis import doctor
from fusekit.viz.cell.cell import NOTHING, Call, Outcome, Wishes, run, run_expression
from fusekit.viz.cell.flags import FLAGS, no_flag, sections, split_flags
from fusekit.viz.cell.flags import languages as languages_of
from fusekit.viz.cell.flags import wishes as wishes_of
from fusekit.viz.cell.userline import expression, parse
from fusekit.viz.collect.fused import collect
from fusekit.viz.contracts.contract import hold, parse_contract
from fusekit.viz.view import FusionView

__all__ = ["FusekitMagics", "load_ipython_extension", "unload_ipython_extension"]

_PACKAGE = str(Path(__file__).parent)


def load_ipython_extension(ip: Any) -> None:
    """Register the magics; `%load_ext fusekit` calls this."""
    ip.register_magics(FusekitMagics)


def unload_ipython_extension(ip: Any) -> None:
    """Take the magics away again."""
    for kind, name in (("line", "fuse"), ("cell", "fuse"), ("line", "fusekit")):
        ip.magics_manager.magics[kind].pop(name, None)


def _flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of %%fuse, in the order of its help."""
    for names, options in reversed(FLAGS):
        function = argument(*names, **options)(function)  # type: ignore[no-untyped-call]
    return function


@magics_class
class FusekitMagics(Magics):
    """The magics of fusekit."""

    shell: InteractiveShell

    @no_var_expand
    @output_can_be_silenced
    @magic_arguments()  # type: ignore[no-untyped-call, untyped-decorator]
    @_flags
    @line_cell_magic
    def fuse(self, line: str, cell: str | None = None) -> Any:
        """Fuse a cell, an expression or a function, and show what became of it.

        `%%fuse` on a cell that defines functions fuses each of them, under its name. If the cell
        ends in a call of one, `f(x, y)` or `out = f(x, y)`, the view of that call is shown; so it
        is with --call and --on. In plain Python:

            f = fusekit.fuse(f)
            f.explore(x, y)

        `%%fuse` on a cell of statements makes one function of them: it takes the tensors and
        numbers that they read, and hands over the names that they bind. Imports run first; what
        is more than computing on tensors (a print, a try) ends the function, and runs as it is.

        `%fuse EXPRESSION` fuses one expression. `%fuse f`, for a function f, returns it fused
        and leaves the name alone (`f = %fuse f` rebinds it): that is `fusekit.fuse(f)`.

        The value is that of the cell's last expression, or else the `FusionView`.
        """
        with _in_the_users_terms(self.shell):
            flags, rest = split_flags(self.fuse.parser, line)
            if cell is None:
                return self._line(flags, rest)
            if rest:
                raise UsageError(f"%%fuse takes flags only: {no_flag(self.fuse.parser, rest)}")
            return self._cell(flags, line, cell)

    @no_var_expand
    @line_magic
    def fusekit(self, line: str) -> Any:
        """Look after fusekit: `%fusekit COMMAND`.

        doctor: what works on this machine, and how to get the rest; print(fusekit.doctor())
        stats: what was compiled, launched, left to PyTorch; fusekit.stats()
        options [NAME=VALUE ...]: show options, or set them; fusekit.options(name=value)
        why [CODE]: what a reason code means, and what to do; all codes, if none is named
        clear-cache: forget compiled kernels on disk; fusekit.compilers.cache.clear()
        version: fusekit.__version__
        """
        commands: dict[str, Callable[[list[str]], None]] = {
            "doctor": lambda _: print(doctor()),
            "stats": lambda _: _print_fields(stats()),
            "options": _options,
            "why": _why,
            "clear-cache": _clear_cache,
            "version": lambda _: print(f"fusekit {fusekit.__version__}"),
        }
        with _in_the_users_terms(self.shell):
            name, *rest = shlex.split(line) or [""]
            if name not in commands or (rest and name not in ("options", "why")):
                raise UsageError(f"%fusekit {line}".strip() + f": expected {', '.join(commands)}")
            commands[name](rest)

    def _line(self, flags: argparse.Namespace, text: str) -> Any:
        """`%fuse EXPRESSION`."""
        if not text:
            raise UsageError("%fuse takes an expression or a function; %%fuse takes a cell")
        if flags.call or flags.on or flags.out:
            raise UsageError("--call, --on and --out are flags of %%fuse")
        node = expression(text.rstrip().removesuffix(";"), "%fuse")
        wishes = wishes_of(flags)
        namespace = self.shell.user_ns
        if isinstance(node, ast.Name | ast.Attribute):
            value = eval(compile(ast.Expression(node), "<%fuse>", "eval"), namespace)  # noqa: S307
            if callable(value):
                return self._function(value, wishes)
        source = text.strip()
        file = self._register(source)
        outcome = run_expression(node, namespace, source, file, wishes)
        outcome.value = NOTHING  # the view is what was asked for
        return self._show(flags, outcome)

    def _function(self, value: Callable[..., Any], wishes: Wishes) -> FusedFunction:
        if wishes.device:
            raise UsageError("--device moves the tensors of a call; a function has none yet")
        return fuse(value, engine=wishes.engine, name=wishes.name or None)

    def _cell(self, flags: argparse.Namespace, line: str, cell: str) -> Any:
        """`%%fuse`."""
        text = f"%%fuse {line}".rstrip() + f"\n{cell}"
        file = self._register(text)
        compiler = self.shell.compile.flags
        wishes = wishes_of(flags)
        statements = parse(f"\n{cell}", file, flags=compiler)
        if not statements:
            raise UsageError("the cell holds no code")
        outcome = run(statements, self.shell.user_ns, text, file, wishes, flags=compiler)
        return self._show(flags, outcome)

    def _register(self, text: str) -> str:
        """Make `text` known to tracebacks and `inspect`; the name it has there."""
        running = getattr(self.shell.displayhook, "exec_result", None)  # the shell's count is ahead
        number = getattr(running, "execution_count", None) or self.shell.execution_count
        return str(self.shell.compile.cache(text, number))

    def _show(self, flags: argparse.Namespace, outcome: Outcome) -> Any:
        """Display what `flags` ask for; the value of the cell."""
        if not flags.quiet:
            for note in outcome.notes:
                print(note)
        if outcome.call is None:
            return self._no_call(flags, outcome)
        view = self._view(flags, outcome.call)
        shown = not flags.quiet and bool(sections(flags))
        kept = parse_contract(flags.expect) if flags.expect else ()
        if shown and (kept or outcome.value is not NOTHING):
            display(view)  # type: ignore[no-untyped-call] # before a contract can fail, and before the cell's own value
            shown = False
        hold(kept, view.model)
        if outcome.value is not NOTHING:
            return outcome.value
        return view if shown else None

    def _view(self, flags: argparse.Namespace, call: Call) -> FusionView:
        parts = sections(flags)
        seen = bool(flags.save) or not flags.quiet
        timing = flags.time and seen and "timing" in parts
        view = collect(call.fused, call.args, call.kwargs, timing=timing)
        view = view.only(*parts, languages=languages_of(flags))
        if flags.save:
            view.save(flags.save)
        return view

    def _no_call(self, flags: argparse.Namespace, outcome: Outcome) -> Any:
        """A cell without a call to show says what it did instead."""
        if flags.expect:
            raise UsageError("--expect needs a call to look at: end the cell with one, or --call")
        if flags.save:
            raise UsageError("--save needs a call to look at: end the cell with one, or --call")
        if outcome.fused and outcome.value is NOTHING and not flags.quiet:
            names = list(outcome.fused)
            print(f"fused {', '.join(names)}; end the cell with a call, or --call, to see it")
        return None if outcome.value is NOTHING else outcome.value


# %fusekit


def _print_fields(value: Any) -> None:
    """A dataclass as lines."""
    fields = dataclasses.fields(value)
    width = max(len(field.name) for field in fields)
    for field in fields:
        found = getattr(value, field.name)
        shown = f"{found:.3g} s" if field.name.endswith("seconds") else found
        print(f"{field.name:<{width}}  {shown}")


def _options(settings: list[str]) -> None:
    """Set what is given, show all."""
    given: dict[str, Any] = {}
    kinds = {field.name: type(field.default) for field in dataclasses.fields(config.Options)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"{setting!r}: expected NAME=VALUE; there are {', '.join(kinds)}")
        given[name] = _option(text, kinds.get(name, str))
    config.options(**given)
    _print_fields(config.current())


def _option(text: str, kind: type) -> Any:
    """The value that `text` spells; left to `options` to refuse where it is of the wrong type."""
    if kind is str:
        return text
    if kind is bool:
        return {"1": True, "on": True, "true": True, "0": False, "off": False, "false": False}.get(
            text.lower(), text
        )
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _why(codes: list[str]) -> None:
    print("\n".join(map(page_of, codes)) if codes else overview())


def _clear_cache(_: list[str]) -> None:
    before = cache.info()
    cache.clear()
    print(f"removed {before.entries - cache.info().entries} compiled kernels from disk")


# errors


@contextlib.contextmanager
def _in_the_users_terms(shell: Any) -> Iterator[None]:
    """Show our refusals as one message, and the user's exceptions with the user's lines only."""
    log = logging.getLogger("torch._subclasses.fake_tensor")  # says the user's errors once more
    was_disabled, log.disabled = log.disabled, True
    try:
        yield
    except UsageError as error:
        raise MagicError(str(error)) from None
    except FusekitError as error:
        text = f"{type(error).__name__}: {error}"
        _render(error, functools.partial(list, [text]))
        raise
    except MagicError:
        raise
    except Exception as error:
        trace = _users_part(error.__traceback__)
        if trace is not None:
            _render(error, functools.partial(_formatted, shell, error, trace))
        raise
    finally:
        log.disabled = was_disabled


def _render(error: BaseException, render: Callable[[], list[str]]) -> None:
    """IPython asks an exception for this before it formats the traceback itself."""
    with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no attributes
        error._render_traceback_ = render  # type: ignore[attr-defined]


def _formatted(shell: Any, error: BaseException, trace: types.TracebackType) -> list[str]:
    found: list[str] = shell.InteractiveTB.structured_traceback(
        type(error), error, trace, tb_offset=0
    )
    return found


def _users_part(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The frames from the user's first on, without ours between them; None if there are none."""
    frames = [(item.tb_frame, item.tb_lasti, item.tb_lineno) for item in _chain(trace)]
    mine = [frame.f_code.co_filename.startswith(_PACKAGE) for frame, _, _ in frames]
    if not any(mine) or all(mine):
        return None
    made: types.TracebackType | None = None
    for frame, is_mine in reversed(list(zip(frames, mine, strict=True))):
        if not is_mine:
            made = types.TracebackType(made, *frame)
    return made


def _chain(trace: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next

"""The flags of `%%fuse`: what there are, how a line is read, what they ask for.

No IPython in here: the parser is any `argparse.ArgumentParser` that holds `FLAGS`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import re
import shlex
from typing import Any

from fusekit.errors import UsageError
from fusekit.viz.cell.cell import Wishes
from fusekit.viz.code.section import LANGUAGES
from fusekit.viz.contracts.contract import parse_contract
from fusekit.viz.page import SECTIONS

__all__ = ["FLAGS", "languages", "no_flag", "sections", "split_flags", "wishes", "words_of"]

_TOKEN = re.compile(r"""\s*((?:[^\s"']|"[^"]*"|'[^']*')+)""")

FLAGS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--engine",),
        {"default": "auto", "help": "Engine that must serve: llvm, cpp, cuda, reference."},
    ),
    (("--device",), {"default": "", "help": "Move the tensors there first: cpu, cuda, cuda:1."}),
    (
        ("--call",),
        {"default": "", "help": 'Call to show, of a function in the cell: --call "f(x, y)".'},
    ),
    (
        ("--on",),
        {"default": "", "help": "Arguments to show the cell's last function on: --on x,y."},
    ),
    (
        ("--out",),
        {"default": "", "help": "Names that statements hand over: --out y,z. All by default."},
    ),
    (
        ("--show",),
        {
            "default": "all",
            "help": (
                f"Parts of the view, with commas: {', '.join(SECTIONS)}, or a language of the "
                "sources, such as asm; or all, or none."
            ),
        },
    ),
    (
        ("--language",),
        {
            "default": "",
            "help": f"Generated sources to show, with commas: {', '.join(LANGUAGES)}.",
        },
    ),
    (
        ("--time",),
        {
            "action": argparse.BooleanOptionalAction,
            "default": True,
            "help": "Measure fused against unfused, or do not.",
        },
    ),
    (("--name",), {"default": "", "help": "What to call the function in displays."}),
    (("--save",), {"default": "", "help": "Write the view to a file, for fusekit.load(PATH)."}),
    (
        ("--expect",),
        {
            "default": "",
            "help": 'Fail unless it fuses like this: --expect "groups=1 saved>=90MiB no-fallback"; '
            'or like a file that view.pin("x.pin.json") wrote: --expect x.pin.json.',
        },
    ),
    (("-q", "--quiet"), {"action": "store_true", "help": "Display nothing."}),
)
"""Names and options of each, as `add_argument` takes them."""


def split_flags(parser: argparse.ArgumentParser, line: str) -> tuple[argparse.Namespace, str]:
    """The flags at the beginning of a line, and the rest as it is written."""
    known = parser._option_string_actions  # noqa: SLF001  argparse has no public look-up
    position, words = 0, []
    while match := _TOKEN.match(line, position):
        flag = match[1].partition("=")[0]
        if flag not in known:
            position = match.end() if flag == "--" else position
            break
        position = match.end()
        words.append(_unquoted(match[1]))
        if "=" not in match[1] and known[flag].nargs != 0:
            value = _TOKEN.match(line, position)
            if value is None:
                raise UsageError(f"{flag} takes a value; `%%fuse?` explains the flags")
            words[-1] += f"={_unquoted(value[1])}" if flag.startswith("--") else ""
            position = value.end()
    rest = line[position:].strip()
    if rest.startswith("-") and not _is_expression(rest):
        raise UsageError(no_flag(parser, rest))
    return parser.parse_args(words), rest


def no_flag(parser: argparse.ArgumentParser, rest: str) -> str:
    """The sentence for a word that is no flag."""
    known = ", ".join(parser._option_string_actions)  # noqa: SLF001  as above
    return f"no flag {rest.split(maxsplit=1)[0].partition('=')[0]!r}; there are {known}"


def _unquoted(word: str) -> str:
    try:
        return "".join(shlex.split(word))
    except ValueError as error:
        raise UsageError(f"{word}: {error}") from None


def _is_expression(text: str) -> bool:
    with contextlib.suppress(SyntaxError, ValueError):
        ast.parse(text, mode="eval")
        return True
    return False


def words_of(text: str) -> tuple[str, ...]:
    """The words of a flag's value, between commas or spaces."""
    return tuple(word for word in re.split(r"[,\s]+", text) if word)


def wishes(flags: argparse.Namespace) -> Wishes:
    """What the flags ask the run for; UsageError for a flag that can't be, before anything runs."""
    if flags.call and flags.on:
        raise UsageError("--call and --on say the same in two ways: give one")
    if flags.expect:
        parse_contract(flags.expect)
    sections(flags)
    return Wishes(
        engine=flags.engine,
        device=flags.device,
        name=flags.name,
        out=words_of(flags.out),
        call=f"({flags.on})" if flags.on else flags.call,
    )


def sections(flags: argparse.Namespace) -> tuple[str, ...]:
    """The parts of the view that `--show` names; () is none of them."""
    if flags.show in ("all", "none"):
        return SECTIONS if flags.show == "all" else ()
    parts = []
    for part in words_of(flags.show):
        if part not in (*SECTIONS, *LANGUAGES):
            known = ", ".join((*SECTIONS, *LANGUAGES))
            raise UsageError(f"--show {part}: there are {known}, all and none")
        parts.append("source" if part in LANGUAGES else part)
    return tuple(dict.fromkeys(parts))


def languages(flags: argparse.Namespace) -> tuple[str, ...]:
    """The sources that `--language` and `--show` name; () leaves it to the view."""
    shown = [part for part in words_of(flags.show) if part in LANGUAGES]
    return tuple(dict.fromkeys([*words_of(flags.language), *shown]))

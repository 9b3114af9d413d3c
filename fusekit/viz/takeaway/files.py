"""What leaves a view: pictures, texts, and its kernels as programs that run by themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusekit.errors import FusionDeclined, UsageError
from fusekit.viz.need import need

if TYPE_CHECKING:
    from fusekit.viz.view import FusionView

__all__ = ["export", "png"]

Called = tuple[Any, tuple[Any, ...], dict[str, Any]]
"""A fused function, and its arguments."""

_ENDINGS = {"cpp": "cpp", "cuda": "cu", "llvm": "ll", "ir": "ir"}


_LONGEST_NAME = 50
"""Of a function, in the names of files: these may have 255 bytes, and a character up to four."""


def png(svg: str, width: int, path: str | Path | None) -> bytes:
    """An SVG as PNG, `width` pixels wide; written to `path` if that is given.

    Raises:
        UsageError: the package that draws it is not there, or the width is no number of pixels.
    """
    if not 1 <= width <= 1 << 15:
        raise UsageError(f"a picture is 1 to {1 << 15} pixels wide, not {width}")
    resvg = need("resvg_py", "a PNG")
    data = bytes(resvg.svg_to_bytes(svg_string=svg, width=width))
    if path is not None:
        Path(path).write_bytes(data)
    return data


def export(view: FusionView, directory: str | Path, call: Called | None) -> list[Path]:
    """Write everything; see `FusionView.export`. `call` is what is shown, if it can run."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", view.model["name"])[:_LONGEST_NAME].strip("-") or "view"
    texts = {
        f"{name}.html": view.html(),
        f"{name}.fk.json": view.json(),
        f"{name}.md": view.card().markdown,
        f"{name}.mmd": view.mermaid(),
        f"{name}.dot": view.dot(),
        f"{name}.txt": view.text(),
    }
    drawn = view.card().svg
    if drawn:
        texts[f"{name}.svg"] = drawn
    written = []
    for file, text in texts.items():
        written.append(folder / file)
        written[-1].write_text(text, encoding="utf-8", newline="\n")
    return written + (_sources(view, folder) if call is None else _programs(call, folder))


def _sources(view: FusionView, folder: Path) -> list[Path]:
    """The texts that a recording holds; without the call, nothing says what to run them on."""
    written = []
    for source in view.model["sources"]:
        ending = _ENDINGS.get(source["language"], "txt")
        target = folder / "kernels" / f"{source['group'] or 'all'}-{source['symbol']}.{ending}"
        target.parent.mkdir(exist_ok=True)
        target.write_text(source["text"], encoding="utf-8", newline="\n")
        written.append(target)
    return written


def _programs(call: Called, folder: Path) -> list[Path]:
    """Each kernel, in each language that can be compiled here."""
    fused, args, kwargs = call
    program = fused.entry(args, kwargs).program
    written: list[Path] = []
    for group in range(len(program.kernels) if program is not None else 0):
        for language in ("cpp", "llvm", "cuda"):
            target = folder / "kernels" / f"g{group + 1}-{language}"
            try:
                editor = fused.edit(*args, language=language, group=group, **kwargs)
            except (UsageError, FusionDeclined):
                continue  # of another device, or nothing here compiles it
            written += editor.export(target)
    return written

"""An entry on disk: for each kernel its source, its spec and its machine code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fusekit.ir import print_graph
from fusekit.runtime.entry import Entry
from fusekit.runtime.kernels import Kernel

__all__ = ["export_entry"]

_FILES = {"cpp": (".cpp", ".so"), "llvm": (".ll", ".o"), "cuda": (".cu", ".cubin")}
"""Language -> how the files with its source and its machine code end."""


def export_entry(entry: Entry, shown: Mapping[str, object], directory: Path) -> list[Path]:
    """Write what an entry holds, `shown` as entry.json; the files, in order."""
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory / "entry.json"]
    text = json.dumps(shown, indent=1, ensure_ascii=False, default=str)
    written[0].write_text(f"{text}\n", encoding="utf-8")
    plan = entry.plan
    if plan is None:
        return written
    written.append(directory / "plan.py")
    written[-1].write_text(plan.text, encoding="utf-8")
    named: dict[str, int] = {}
    for kernel in {id(each): each for each in plan.kernels}.values():
        # kernels of one spec, for arguments laid out in other ways, have one symbol
        number = named[kernel.spec.symbol] = named.get(kernel.spec.symbol, 0) + 1
        stem = kernel.spec.symbol if number == 1 else f"{kernel.spec.symbol}-{number}"
        written += _export(kernel, directory / stem)
    return written


def _export(kernel: Kernel, stem: Path) -> list[Path]:
    text, binary = _FILES[kernel.source.language]
    source, spec, image = (stem.with_suffix(end) for end in (text, ".ir", binary))
    source.write_text(kernel.source.text, encoding="utf-8")
    spec.write_text(f"; key {kernel.spec.key}\n{print_graph(kernel.spec.graph)}", encoding="utf-8")
    image.write_bytes(kernel.engine.load_compiler().image(kernel.source))
    return [source, spec, image]

"""The command: `fusekit demo`, `show`, `why`, `bench`, `verify-math`, `contracts`, `doctor`.

What it prints is plain text, coloured by rich where that is installed and a terminal reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import fusekit
from fusekit.errors import FusekitError, FusionDeclined, UsageError
from fusekit.pages import overview, page_of

if TYPE_CHECKING:
    from fusekit.bench.demonstration import Shown
    from fusekit.viz.model.schema import Model

__all__ = ["main"]

_FAILED, _UNHEALTHY, _INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except FusekitError as error:
        print(f"fusekit: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("fusekit: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # whoever read has gone: what Python would still flush at exit must go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return code


class _Parser(argparse.ArgumentParser):
    """A parser that may wait with its arguments until they are needed: the bench imports torch."""

    fill: Callable[[], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse."""
        if self.fill is not None:
            self.fill()
        return super().parse_known_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("fusekit", description="Fused tensor kernels to look into.")
    parser.add_argument("--version", action="version", version=f"fusekit {fusekit.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _demo_parser(commands)
    _show_parser(commands)
    why = commands.add_parser("why", help="what a reason code means, and what to do about it")
    why.add_argument("code", metavar="CODE", nargs="?", help="such as FK0106; all, if not given")
    why.set_defaults(run=_why)
    bench = commands.add_parser("bench", help="measure what docs/performance.md and models.md say")
    bench.fill = lambda: importlib.import_module("fusekit.bench.command").add_arguments(bench)
    bench.set_defaults(run=_bench)
    verify = commands.add_parser("verify-math", help="how exact the functions in kernels are")
    verify.fill = lambda: importlib.import_module("fusekit.mathcheck.command").add_arguments(verify)
    verify.set_defaults(run=_verify_math)
    contracts = commands.add_parser("contracts", help="run notebooks, check what they --expect")
    contracts.fill = lambda: importlib.import_module(
        "fusekit.viz.contracts.notebooks"
    ).add_arguments(contracts)
    contracts.set_defaults(run=_contracts)
    doctor = commands.add_parser("doctor", help="what works on this machine")
    doctor.set_defaults(run=_doctor)
    return parser


def _demo_parser(commands: Any) -> None:
    demo = commands.add_parser("demo", help="fuse real functions and see what it brings")
    demo.add_argument("--html", metavar="PATH", default="fusekit-demo.html", help="the report")
    demo.add_argument("--quick", action="store_true", help="small tensors, few runs")
    demo.add_argument("--no-inductor", action="store_true", help="do not measure torch.compile")
    demo.set_defaults(run=_demo)


def _show_parser(commands: Any) -> None:
    show = commands.add_parser("show", help="what one function of a file becomes")
    show.add_argument("target", metavar="FILE:FUNCTION")
    show.add_argument(
        "--args", help='such as "float32[4,1024], 2.0"; else the file\'s example_args'
    )
    show.add_argument(
        "--language", help="llvm, cpp, cuda, asm, ptx, sass or ir; what runs if not given"
    )
    show.add_argument(
        "--arch", help="the GPU that cuda, ptx and sass are for, present or not: sm_90, sm_100"
    )
    show.add_argument("--engine", default="auto", help="llvm, cpp, cuda, reference")
    show.add_argument("--html", metavar="PATH", help="write the view there, too")
    show.set_defaults(run=_show)


# demo


def _demo(options: argparse.Namespace) -> int:
    target = _writable(options.html)
    from fusekit.bench.demonstration import demonstrate  # noqa: PLC0415  torch takes seconds

    shown: list[Shown] = []
    inductor = not options.no_inductor
    for item in demonstrate(quick=options.quick, inductor=inductor):
        _demo_item(item)
        shown.append(item)
    _demo_summary(shown)
    models = [_model(item) for item in shown]
    _demo_inside(shown[0], models[0])
    _write_page(target, models, "fusekit demo")
    return 0


def _demo_item(item: Shown) -> None:
    report = importlib.import_module("fusekit.bench.report")
    made = "from the disk cache in" if item.cached else "compiled in"
    _heading(f"{item.workload.name}: {item.workload.title}")
    print(f"  engine {item.engine}, {made} {report.seconds_text(item.compile_seconds)}")
    print(f"  max error against float64: {item.error}; eager's own: {item.eager_error}")
    for row in item.comparison.rows:
        speed = "" if row.ratio is None else f"  {row.ratio:.2f}× {row.outcome}"
        time = f"{report.seconds_text(row.seconds)} ±{report.seconds_text(row.spread / 2)}"
        print(f"  {row.name:<9} {row.device:<5} {time}, {row.timing.runs} runs{speed}")
    for skipped in item.comparison.skipped:
        print(f"  {skipped}")
    if item.engine == "PyTorch":
        print(f"  {item.comparison.verdict}")


def _demo_summary(shown: Sequence[Shown]) -> None:
    torch = importlib.import_module("torch")
    report = importlib.import_module("fusekit.bench.report")
    head = ("function", "engine", "error", "eager's", "fused", "eager", "inductor", "compile")
    rows = []
    for item in shown:
        times = [item.comparison.row(name) for name in ("fused", "eager", "inductor")]
        cells = [report.seconds_text(row.seconds) if row else "skipped" for row in times]
        errors = [str(item.error), str(item.eager_error)]
        compiled = report.seconds_text(item.compile_seconds) + (" *" if item.cached else "")
        rows.append((item.workload.name, item.engine, *errors, *cells, compiled))
    _heading("Summary: max error against float64, median times")
    print(report.text_table(head, rows))
    if any(item.cached for item in shown):
        print("* from the disk cache")
    print(shown[0].comparison.method)
    if not torch.cuda.is_available():
        print("GPU: skipped, no GPU that torch can use")


def _demo_inside(item: Shown, model: Model) -> None:
    _heading(f"Inside {item.workload.name}: its graph")
    print(importlib.import_module("fusekit.viz.picture.graph").layers(model))
    print(item.fused.explain(*item.args))
    if item.engine == "PyTorch":
        return
    _heading(f"Inside {item.workload.name}: its kernel")
    _code(item.fused.source(*item.args), item.engine)


def _model(item: Shown) -> Model:
    view = importlib.import_module("fusekit.viz.collect.fused").collect(
        item.fused, item.args, {}, timing=False
    )
    model: Model = view.model
    model["title"] = item.workload.title
    model["timing"] = item.comparison.as_timing()
    return model


# show


def _show(options: argparse.Namespace) -> int:
    path, name = _split(options.target)
    target = _writable(options.html) if options.html else None
    function = _function(path, name)
    args, kwargs = _arguments(function[0], options.args)
    fused = fusekit.fuse(function[1], engine=options.engine, name=name)
    print(fused.explain(*args, **kwargs))
    try:
        graph = fused.source(*args, language="ir", **kwargs)
        with fusekit.options(**({"cuda_arch": options.arch} if options.arch else {})):
            source = fused.source(*args, language=options.language, **kwargs)
    except FusionDeclined as declined:
        print(f"\nno kernel, so no source: {declined}")
    else:
        if options.language != "ir":
            _heading("graph")
            print(graph)
        _heading(options.language or "source")
        _code(source, options.language or "source")
    if target:
        collect = importlib.import_module("fusekit.viz.collect.fused").collect
        _write_page(target, [collect(fused, args, kwargs, timing=False).model], name)
    return 0


def _split(target: str) -> tuple[Path, str]:
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name:
        raise UsageError(f"{target!r}: write FILE:FUNCTION, such as model.py:gelu")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {file!r}")
    return path, name


def _function(path: Path, name: str) -> tuple[ModuleType, Any]:
    """The loaded file, and the function of that name in it."""
    module = _load(path)
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    if callable(value):
        return module, value
    own = (n for n, v in vars(module).items() if callable(v) and not n.startswith("_"))
    mine = sorted(n for n in own if getattr(vars(module)[n], "__module__", "") == module.__name__)
    listed = ", ".join(mine) or "none"
    raise UsageError(f"{path.name} has no function {name!r}; there are: {listed}")


def _load(path: Path) -> ModuleType:
    name = "fusekit_shown"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # as if Python ran the file
    try:
        loader.exec_module(module)
    except FusekitError:
        raise
    except Exception as error:
        raise UsageError(f"{path.name} fails when loaded: {_said(error)}") from error
    finally:
        with contextlib.suppress(ValueError):  # the file may have changed it
            sys.path.remove(folder)
    return module


def _said(error: Exception) -> str:
    trace = error.__traceback__
    line = 0
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "fusekit_shown":
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {error}{where}"


def _arguments(module: ModuleType, text: str | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if text is not None:
        parse = importlib.import_module("fusekit.bench.arguments").parse_arguments
        args, kwargs = parse(text)
        return args, kwargs
    example = getattr(module, "example_args", None)
    if callable(example):
        example = example()
    if isinstance(example, tuple | list):
        return tuple(example), {}
    raise UsageError(
        'say what to call it with: --args "float32[4,1024], 2.0", or give the file a tuple '
        "example_args (or a function of that name that returns one)"
    )


# why


def _why(options: argparse.Namespace) -> int:
    if options.code is None:
        print(overview())
        return 0
    text = page_of(options.code)
    console = _rich()
    if console is None:
        print(text.rstrip())
    else:
        console.print(importlib.import_module("rich.markdown").Markdown(text))
    return 0


# bench, verify-math, contracts, doctor


def _bench(options: argparse.Namespace) -> int:
    code: int = importlib.import_module("fusekit.bench.command").run(options, _out)
    return code


def _verify_math(options: argparse.Namespace) -> int:
    code: int = importlib.import_module("fusekit.mathcheck.command").run(options, _out)
    return code


def _contracts(options: argparse.Namespace) -> int:
    code: int = importlib.import_module("fusekit.viz.contracts.notebooks").run(options, _out)
    return code


def _doctor(_options: argparse.Namespace) -> int:
    found = importlib.import_module("fusekit.runtime.diagnosis").doctor()
    print(found)
    return 0 if found.healthy else _UNHEALTHY


# output


def _writable(name: str) -> Path:
    """The path, checked before minutes are spent on what should go there."""
    path = Path(name)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"cannot write {name!r}: not a file in a folder that exists")
    return path


def _write_page(path: Path, models: Sequence[Model], title: str) -> None:
    page = importlib.import_module("fusekit.viz.page").page
    try:
        path.write_text(page(list(models), title=title), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from error
    print(f"\nreport: {path}")


def _rich() -> Any | None:
    """A console of rich for a terminal; None for pipes and where there is no rich."""
    if not sys.stdout.isatty() or importlib.util.find_spec("rich") is None:
        return None
    return importlib.import_module("rich.console").Console(highlight=False)


def _out(shown: object) -> None:
    """A line, or an object that rich can draw; at once, since minutes may pass until the next."""
    console = _rich() if hasattr(shown, "__rich__") else None
    if console is None:
        print(shown, flush=True)
    else:
        console.print(shown)


def _heading(text: str) -> None:
    console = _rich()
    if console is None:
        print(f"\n== {text}")
    else:
        print()
        console.rule(importlib.import_module("rich.text").Text(text, style="bold"), align="left")


_LEXERS = {"cpp": "cpp", "cuda": "cuda", "llvm": "llvm", "asm": "gas", "ptx": "ptx"}


def _code(text: str, language: str) -> None:
    console = _rich()
    if console is None or language not in _LEXERS:
        print(text)
        return
    syntax = importlib.import_module("rich.syntax").Syntax
    console.print(syntax(text, _LEXERS[language], background_color="default", word_wrap=False))

"""Names chosen to break out of what they are written into; nothing does, and kernels compile."""

from __future__ import annotations

import linecache
import re
import xml.etree.ElementTree as ET

import pytest
import torch

import fusekit
from fusekit.compilers.nvrtc import build, why_no_nvrtc
from fusekit.ir import parse_graph, print_graph
from tests.faults.children import right
from tests.viz.parsed import Page

X = torch.linspace(-3, 3, 53)

NAMES = {
    "quotes": '\'; "owned" \'\'\'""" \\"',
    "newline": 'x\n#error owned\nint owned = 1;\r\n"',
    "comment": "*/ #error owned /* // \\",
    "line": '#line 1 "owned.h"\n#include "owned"',
    "script": '</script><script>owned()</script><img src=x onerror="owned()">',
    "markup": "</style></svg><!-- ]]> &lt;owned&gt; --> <b title='",
    "template": "${owned} `owned` {{owned}} {0} %s %n $(owned) <%= owned %>",
    "path": "..\\..//../../owned/../x:y|z",
    "nul": "a\0owned",
    "right to left": "\u202eowned\u2066\u200f\u2028\u2029\x85\x0c",
    "surrogate": "owned \udc80\udcff",
    "llvm": 'x}\ndefine void @owned() {\n  ret void\n}\n; !"',
    "dot": '"]; owned [label="<b>\\N\\l\\',
    "long": "owned" * 2000,
    "empty": "",
}


def function_named(name: str):
    """A function whose name, file and lines are all of this text."""
    text = f"def f(x):\n    y = (x * 2.5).abs()  # {name}\n    return y - 1.25\n"
    first = "def f(x):\n    y = (x * 2.5).abs()\n    return y - 1.25\n"
    space: dict = {}
    file = f"/home/user/{name}.py".replace("\0", "")
    exec(compile(first, file, "exec", dont_inherit=True), space)
    linecache.cache[file] = (len(text), None, text.split("\n"), file)
    made = space["f"]
    made.__name__ = made.__qualname__ = name
    return made


@pytest.fixture(params=NAMES, ids=str)
def fused(request):
    made = fusekit.fuse(function_named(NAMES[request.param]))
    yield made
    linecache.clearcache()


def test_calls_and_words(fused):
    right(fused, X)
    for said in (fused.explain(X), fused.history(), fused.cache(), fused):
        assert str(said)
        assert repr(said)
    fused.explain(X).to_dict()
    with fusekit.options(engine="reference"):
        right(fusekit.fuse(fused.function), X)


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
def test_host_kernels_compile(fused, engine):
    again = fusekit.fuse(fused.function, engine=engine, name=fused.name)
    right(again, X)
    assert not again.history().fallbacks
    assert "owned" not in again.source(X)
    assert again.source(X, language="asm")


def test_cuda_text_compiles(fused):
    text = fused.source(X, language="cuda")
    assert "owned" not in text
    if why_no_nvrtc() is None:
        from fusekit.runtime.engines import ENGINES
        from fusekit.runtime.kernels import generate
        from fusekit.runtime.program import rebind

        program = rebind(fused.entry((X,), {}).program, "cuda")
        for call in program.kernels:
            source = generate(ENGINES["cuda"], call.spec, call.binding.args)
            assert build(source, "sm_90").cubin


def test_ir_text_parses_back(fused):
    graph = fused.entry((X,), {}).program.graph
    text = print_graph(graph, locations=True)
    assert len(text.split("\n")) - 1 == len(text.splitlines()) == len(graph.nodes) + 3
    again = parse_graph(text)
    assert print_graph(again, locations=True) == text


@pytest.fixture(scope="module")
def views():
    """A view of a function with all of that in its name, and of the same with a plain name."""
    everything = " ".join(name for key, name in NAMES.items() if key != "long")
    functions = function_named(everything), function_named("plain")
    yield [fusekit.explore(function, X) for function in functions]
    linecache.clearcache()


def tags_of(html: str):
    return [tag for tag, _ in Page(html).tags]


def test_pages(views):
    odd, plain = views
    html = odd.html()
    html.encode("utf-8")
    page, other = Page(html), Page(plain.html())
    scripts = [tag for tag, _ in page.tags].count("script")
    assert scripts == [tag for tag, _ in other.tags].count("script")
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert set(tags_of(html)) <= set(tags_of(plain.html()))


def test_pictures(views):
    odd, plain = views
    for theme in ("light", "dark"):
        root = ET.fromstring(odd.svg(theme=theme))
        other = ET.fromstring(plain.svg(theme=theme))
        assert {e.tag for e in root.iter()} == {e.tag for e in other.iter()}
    dot, plain_dot = odd.dot(), plain.dot()
    assert len(re.findall("->", re.sub(r'"(?:[^"\\]|\\.)*"', "", dot))) == len(
        re.findall("->", re.sub(r'"(?:[^"\\]|\\.)*"', "", plain_dot))
    )
    assert odd.mermaid().count("\n") == plain.mermaid().count("\n")


def test_files(views, tmp_path):
    odd, _ = views
    for name in ("view.html", "view.svg", "view.json", "view.md", "view.txt"):
        odd.save(tmp_path / name)
    folder = tmp_path / "inside"
    written = odd.export(folder)
    assert written
    for path in written:
        assert path.resolve().is_relative_to(folder.resolve())
        assert path.exists()
    assert {p.name for p in tmp_path.iterdir()} == {
        *("view.html", "view.svg", "view.json", "view.md", "view.txt", "inside")
    }
    assert fusekit.load(tmp_path / "view.html").json() == odd.json()


def test_entries_are_exported_inside_their_folder(fused, tmp_path):
    fused(X)
    for path in fused.cache().export(1, tmp_path / "out"):
        assert path.resolve().is_relative_to((tmp_path / "out").resolve())
    assert [p.name for p in tmp_path.iterdir()] == ["out"]

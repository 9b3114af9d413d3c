"""Editing a kernel: what compiles, what does not, what crashes, hangs, lies, or is faster."""

from __future__ import annotations

import json
import re
import threading

import pytest
import torch

import fusekit
from fusekit.bench.editing.editor import messages
from fusekit.errors import FusionDeclined, UsageError
from fusekit.runtime.engines import ENGINES
from fusekit.viz.panels import Call, Cancelled, Progress
from fusekit.viz.panels.edit import EDIT

CXX = pytest.mark.skipif(
    ENGINES["cpp"].unavailable() is not None, reason=str(ENGINES["cpp"].unavailable())
)

X, B = torch.randn(96, 512), torch.randn(512)


def smooth(x, b, s):
    return torch.tanh(x * s + b) / (x * x + 1)


@pytest.fixture(scope="module")
def fused():
    return fusekit.fuse(smooth)


@pytest.fixture
def editor(fused):
    return fused.edit(X, B, 2.0, language="cpp")


def before_end(source, line):
    """The text with a line more at the end of the kernel."""
    head, mark, tail = source.rpartition("  return 0;")
    return f"{head}  {line}\n{mark}{tail}"


@CXX
def test_the_generated_text_is_right(editor):
    assert repr(editor) == f"<editor of {editor.symbol} in cpp, kernel 0 of 1>"
    seen = set()
    found = editor.compile(tick=lambda phase, _: seen.add(phase))
    assert found.ok
    assert found.outcome in ("tie", "cannot tell", "faster", "slower")
    assert found.seconds > 0 < found.generated_seconds
    assert found.ulp < 10
    assert "µs" not in str(found)
    assert "edited" in found.timing
    assert {"start", "compile", "run", "time"} & seen
    json.dumps(found.to_dict())


def test_llvm_is_edited_too(fused):
    editor = fused.edit(X, B, 2.0, language="llvm")
    assert editor.compile(f"; mine\n{editor.source}").ok
    found = editor.compile(editor.source.replace("fmul", "fmull", 1))
    assert found.status == "refused"
    assert found.errors[0].line == editor.source[: editor.source.index("fmul")].count("\n") + 1


@CXX
def test_a_syntax_error_is_at_its_line(editor):
    lines = editor.source.split("\n")
    at = lines.index("  return 0;")
    lines[at] = "  return nothing;"
    found = editor.compile("\n".join(lines))
    assert (found.status, found.seconds) == ("refused", None)
    assert found.errors[0].line == at + 1
    assert "nothing" in found.errors[0].text
    assert str(found.errors[0]).startswith(f"line {at + 1}: error: ")


@CXX
def test_a_text_without_the_function_says_so(editor):
    found = editor.compile(editor.source.replace(editor.symbol, "another"))
    assert found.status == "refused"
    assert editor.symbol in found.detail


@CXX
def test_a_crash_is_reported(editor):
    found = editor.compile(before_end(editor.source, "*(volatile int*)16 = 1;"))
    assert found.status == "crashed"
    assert found.detail == "the edited kernel crashed: signal 11 (SIGSEGV)"


@CXX
def test_an_endless_loop_is_stopped(editor):
    found = editor.compile(before_end(editor.source, 'for (;;) asm volatile("");'), seconds=1.0)
    assert found.status == "endless"
    assert found.detail == "the edited kernel did not end in 1 s"


@CXX
def test_a_wrong_result_is_not_timed(editor):
    text = re.sub(r"out0(_row)?\[i\] = (\w+);", r"out0\1[i] = \2 + 1.0f;", editor.source)
    assert text != editor.source
    found = editor.compile(text)
    assert (found.status, found.seconds) == ("wrong", None)
    assert found.absolute == pytest.approx(1, abs=0.01)


@CXX
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("out0[size0 < 0 ? 0 : -1] = 1;", "before its first tensor|behind a tensor's end"),
        (f"out0[{X.numel()}] = 1;", "0 bytes behind a tensor's end"),
        ("const_cast<float*>(in0)[0] += 1;", "should read"),
    ],
)
def test_what_is_written_out_of_bounds_is_noticed(editor, line, said):
    found = editor.compile(before_end(editor.source, line))
    assert found.status == "trespassed"
    assert re.search(said, found.detail)


@CXX
def test_a_right_and_faster_one_is_faster():
    """The generated kernel of a chain of divisions, and one that divides once."""

    def chain(x):
        for _ in range(24):
            x = x / 2.0
        return x

    x = torch.rand(4096)
    editor = fusekit.fuse(chain).edit(x, language="cpp")
    parameters = re.search(r"int32_t \w+\((.*?)\) \{", editor.source, re.DOTALL)[0]
    text = f"""#include <stdint.h>
extern "C" {parameters}
  for (int64_t i = 0; i < {x.numel()}; ++i) out0[i] = in0[i] * {2.0**-24!r}f;
  return 0;
}}
"""
    found = editor.compile(text)
    assert found.ok
    assert found.same_bits
    assert found.ratio > 1.2


def test_no_call_is_served_by_an_edited_kernel(fused):
    editor = fused.edit(X, B, 2.0, language="llvm")
    before = fused(X, B, 2.0)
    kernel = fused.entry((X, B, 2.0), {}).plan.kernels[0]
    compiler = kernel.engine.load_compiler()
    text = f"; never kept\n{editor.source}"
    assert editor.compile(text).ok
    import dataclasses

    from fusekit.compilers import cache

    assert cache.size_of(compiler.key(dataclasses.replace(kernel.source, text=text))) is None
    assert fused.entry((X, B, 2.0), {}).plan.kernels[0] is kernel
    assert torch.equal(fused(X, B, 2.0), before)


def test_kernels_behind_other_kernels_views_and_writes():
    def two(x, w, out):
        h = torch.relu(x[:, ::2] * 2 + 1)
        y = (h @ w).t()
        out.mul_(0.5).add_(x)
        return torch.sigmoid(y) * y.shape[0]

    x, w, out = torch.randn(16, 24), torch.randn(12, 20), torch.randn(16, 24)
    f = fusekit.fuse(two)
    kept = out.clone()
    n_groups = len(f.explain(x, w, out).groups)
    assert n_groups >= 2
    for group in range(n_groups):
        assert f.edit(x, w, out, language="llvm", group=group).compile().ok, group
    assert torch.equal(out, kept)


def test_what_cannot_be_edited_is_said(fused):
    with pytest.raises(UsageError, match="no kernel for cpu is written in 'cuda'"):
        fused.edit(X, B, 2.0, language="cuda")
    with pytest.raises(UsageError, match="no kernel 3: the call has 1"):
        fused.edit(X, B, 2.0, group=3)
    with pytest.raises(UsageError, match="no elements"):
        fused.edit(X[:0], B, 2.0)
    with pytest.raises(FusionDeclined):
        fusekit.fuse(lambda x: x.nonzero()).edit(X)


def test_messages_of_every_compiler():
    log = """kernel.cpp: In function 'int f()':
kernel.cpp:12:5: warning: unused
kernel.cpp:13:7: error: expected ';'
default_program(4): error: identifier "x" is undefined
<string>:9:3: error: expected type
"""
    found = messages(log)
    assert [(m.line, m.column, m.kind) for m in found] == [
        (13, 7, "error"),
        (4, None, "error"),
        (9, 3, "error"),
        (12, 5, "warning"),
    ]


class _Told(Progress):
    """Stops at the first report."""

    def step(self, done, total, said=""):
        raise Cancelled


def call_of(fused, *args):
    return Call(fused, args, {}, None, {}, fused)


def test_the_panel_shows_the_text_and_what_came_of_it(fused):
    call = call_of(fused, X, B, 2.0)
    drawn = EDIT.draw(call, {"pinned": "", "language": "llvm"}, Progress())
    assert "the text as it was generated" in drawn
    source = fused.edit(X, B, 2.0, language="llvm").source
    fields = {"pinned": "", "language": "llvm", "kernel": "0", "of": "llvm 0", "compile": "1"}
    drawn = EDIT.draw(call, {**fields, "text": source.replace("fmul", "<b>", 1)}, Progress())
    assert "does not compile" in drawn
    assert "<b>" not in drawn
    line = source[: source.index("fmul")].count("\n") + 1
    assert f'data-line="{line}"' in drawn
    assert f'<span class="fk-bad-line">{line}</span>' in drawn
    drawn = EDIT.draw(call, {**fields, "text": source.replace("\n", "\r\n")}, Progress())
    assert "right: " in drawn
    assert 'scope="row">edited' in drawn
    with pytest.raises(Cancelled):
        EDIT.draw(call, {**fields, "text": source}, _Told())
    assert threading.active_count() < 50

"""What is held for a function, and what a call that is not made would find."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit import events
from fusekit.compilers import cache as disk
from fusekit.errors import UsageError
from fusekit.runtime.bounded import Bounded
from fusekit.runtime.described import asked_of, described, text_of
from fusekit.runtime.kernels import kernel_for

X, B = torch.randn(8, 128), torch.randn(128)


def gate(x, b, s=2.0, flag=False):
    y = torch.relu(x * s + b)
    return y if flag else y * 2


@pytest.fixture
def held():
    """Four entries: float32, float16, by keyword, and one with gradients."""
    f = fusekit.fuse(gate)
    f(X, B, 2.0)
    f(X.half(), B.half())
    f(X, B, s=1.0)
    f(X.clone().requires_grad_(), B).sum().backward()
    return f


def test_what_is_held(held):
    found = held.cache()
    assert repr(found) == "<cache of gate: 5 entries, 4 kernels>"
    assert [entry.number for entry in found.entries] == [1, 2, 3, 4, 5]
    assert [entry.function for entry in found.entries] == ["gate"] * 4 + ["gate_backward"]
    assert [entry.calls for entry in found.entries] == [1, 1, 1, 1, 1]
    assert [k.launches for k in found.kernels] == [2, 1, 1, 1]
    first = {(guard.subject, guard.fact): guard.value for guard in found.entries[0].guards}
    assert first["x", "shape"] == "[8, 128]"
    assert first["s", "type"] == "float"
    assert first["context", "grad mode"] == "True"
    assert ("x", "strides") not in first
    assert json.loads(json.dumps(found.to_dict()))["entries"][3]["differentiable"] is True
    assert str(found) == str(held.cache())
    assert "seconds" not in str(found)


def test_calls_are_counted_by_the_plan_alone(held):
    for _ in range(10):
        held(X, B, 2.0)
    assert held.cache().entries[0].calls == 11
    assert held.cache().entries[0].launches == 11


@pytest.mark.parametrize(
    ("text", "serves", "first"),
    [
        ("f32[8,128], f32[128], 3.0", 1, None),
        ("f16[8,128], f16[128]", 2, None),
        ("f32[8,128], f32[128], s=7.5", 3, None),
        ("f32[8,128] requires_grad, f32[128]", 4, None),
        ("f64[8,128], f32[128], 3.0", None, ("x", "dtype", "float32", "float64")),
        ("f32[8,128]:transposed, f32[128], 3.0", None, ("x", "strides", "[128, 1]", "[1, 8]")),
        ("f32[8,128], f32[128], 3", None, ("s", "type", "float", "int")),
        ("f32[8,128], f32[128], 3.0, True", None, ("arguments", "form", None, None)),
        ("f32[1,128], f32[128], 3.0", None, ("x", "shape", "[8, 128]", "[1, 128]")),
        ("f32[8,128] cuda, f32[128], 3.0", None, ("x", "device", "cpu", "cuda:0")),
        ("f32[8,128] parameter, f32[128], 3.0", None, ("x", "type", "Tensor", "Parameter")),
    ],
)
def test_which_entry_would_serve(held, text, serves, first):
    found = held.cache().would_serve(text)
    assert found.serves == serves
    checks = {check.number: check for check in found.checks}
    assert [n for n, check in checks.items() if check.fits] == ([serves] if serves else [])
    if first is not None:
        broken = checks[1].first
        assert (broken.subject, broken.fact) == first[:2]
        assert first[2] in (None, broken.wanted)
        assert first[3] in (None, broken.given)
    assert str(found).startswith(f"gate({found.asked}): {found.verdict}")
    json.dumps(found.to_dict())


def test_nothing_is_captured_compiled_or_counted(held):
    before, stats = held.history(), fusekit.stats()
    with events.listening() as heard:
        for text in ("f32[8,128], f32[128], 3.0", "f32[9,9], f32[9]", "bool[2], f64[3,2]"):
            held.cache().would_serve(text)
        held.cache().would_serve(X, B, 4.0)
    assert heard == []
    assert held.history() == before
    assert fusekit.stats() == stats


def test_other_sizes_by_an_earlier_capture(held):
    found = held.cache().would_serve("f32[16,128], f32[128], 3.0")
    assert (found.serves, found.resizes, found.compiles) == (None, 1, 0)
    held(torch.randn(16, 128), B, 3.0)
    assert not held.history().specialisations[-1].captured


def test_what_another_size_would_compile():
    def function(x):
        return (x + 1).sin() * 0.123

    f, other = fusekit.fuse(function), fusekit.fuse(function)
    f(torch.ones(4, 5))
    other(torch.ones(4, 5))
    asked = "f32[8,9]"
    assert (f.cache().would_serve(asked).compiles, f.cache().would_serve(asked).loads) == (0, 0)
    (kernel,) = f.entry((torch.ones(4, 5),), {}).plan.kernels
    other.cache().evict(1, kernels=True)
    found = f.cache().would_serve(asked)
    assert (found.compiles, found.loads) == (1, 0)
    assert "1 kernel compiled" in found.verdict
    compiler = kernel.engine.load_compiler()
    disk.put(compiler.key(kernel.source), compiler.image(kernel.source))
    found = f.cache().would_serve(asked)
    assert (found.compiles, found.loads) == (0, 1)
    with events.listening() as heard:
        f(torch.ones(8, 9))
    assert [each.cached for each in heard if isinstance(each, events.Compiled)] == [True]


_SHAPES = st.lists(st.integers(0, 4), min_size=0, max_size=3)


@st.composite
def tensors(draw):
    tensor = torch.zeros(draw(_SHAPES), dtype=draw(st.sampled_from([torch.float32, torch.int64])))
    if tensor.dim() > 1 and draw(st.booleans()):
        tensor = tensor.transpose(-1, -2)
    if tensor.is_floating_point() and draw(st.booleans()):
        tensor.requires_grad_()
    return tensor


@given(tensors(), tensors(), st.booleans(), st.one_of(st.integers(), st.floats(), st.text()))
def test_a_text_describes_every_signature(x, y, alias, value):
    args, kwargs = (x, [x if alias else y], {"key": y}), {"value": value}
    asked = asked_of(gate, args, kwargs)
    text = text_of(asked.signature({}))
    again = described(gate, text)
    assert again.key() == asked.key() or value != value
    assert again.form == asked.form


@given(tensors(), tensors(), st.booleans())
def test_the_key_is_what_a_call_is_looked_up_by(x, y, alias):
    f = fusekit.fuse(lambda x, y: x * 2.0 + y.sum())
    y = x if alias else y
    with torch.no_grad():
        entry = f.entry((x, y), {})
        found = f.cache().would_serve(x, y)
    assert found.serves == entry.made.number


def test_a_dict_describes_too(held):
    found = held.cache().would_serve(
        {"x": "f32[8,128]", "b": {"dtype": torch.float32, "shape": [128]}, "s": 1.5}
    )
    assert found.serves == 1
    assert held.cache().would_serve({"x": "f32[8,128]", "b": "f32[128]"}).serves is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("f33[8]", "no dtype 'f33'"),
        ("f32[8] sideways", "no word 'sideways'"),
        ("same as q", "no tensor 'q'"),
        ("x=f32[8], f32[8]", "without a name"),
        ("[f32[8]", "is missing"),
        ("open('x')", "a comma is missing|describes no argument"),
        ("f32[8] strides(1,2)", "2 strides for 1 dimensions"),
        ("f32[8] channels_last", "four dimensions"),
    ],
)
def test_what_cannot_be_read_is_said(held, text, said):
    with pytest.raises(UsageError, match=said):
        held.cache().would_serve(text)


def test_pinned_numbers_and_closed_over_values():
    scale = 2.0

    def scaled(x, n):
        return x * scale if n > 3 else x + scale

    f = fusekit.fuse(scaled, dynamic=False)
    f(X, 5)
    found = f.cache().would_serve("f32[8,128], 4")
    assert str(found.checks[0].first) == "n: value 5, given 4"
    assert f.cache().would_serve("f32[8,128], 5").serves == 1
    scale = 3.0
    found = f.cache().would_serve("f32[8,128], 5")
    assert found.serves is None
    assert str(found.checks[0].first) == "closed-over scale: value 2.0, given 3.0"


def test_modes_count_as_they_are(held):
    with torch.no_grad():
        found = held.cache().would_serve(X, B, 2.0)
    assert str(found.checks[0].first) == "context: grad mode True, given False"


def test_what_pytorch_runs_anyway(held):
    class Mine:
        pass

    assert "may change between calls" in held.cache().would_serve(X, Mine()).verdict
    f = fusekit.fuse(lambda x: x.nonzero())
    f(X)
    assert "PyTorch runs it" in f.cache().would_serve(X).verdict
    assert f.cache().entries[0].calls is None


def test_why_a_call_missed(held):
    found = held.cache().why(3)
    assert [check.number for check in found.checks] == [1, 2]
    assert str(found.checks[0].first) == "arguments: form (*, *, *), given (*, *, s=*)"
    assert held.cache().why(1).checks == ()
    with pytest.raises(UsageError, match="no entry 77; there are 1, 2"):
        held.cache().why(77)


def test_an_evicted_entry_is_really_gone(held):
    held(torch.randn(16, 128), B, 2.0)  # resized from entry 1
    number = held.history().specialisations[-1].number
    held.cache().evict(number)
    expected = held(torch.randn(16, 128), B, 2.0)
    made = held.history().specialisations[-1]
    assert made.number == number + 1
    assert made.captured
    assert expected.shape == (16, 128)
    assert held.cache().would_serve(X, B, 2.0).serves == 1
    assert number not in [entry.number for entry in held.cache().entries]


def test_kernels_of_an_evicted_entry_can_go_too():
    f = fusekit.fuse(lambda x: torch.tanh(x * 0.777) + x, engine="llvm")
    f(X)
    kernel = f.entry((X,), {}).plan.kernels[0]
    key = kernel.engine.load_compiler().key(kernel.source)
    assert disk.size_of(key) == f.cache().kernels[0].disk_bytes
    f.cache().evict(1, kernels=True)
    assert disk.size_of(key) is None
    assert kernel_for(kernel.engine, kernel.spec, kernel.args) is not kernel
    assert torch.equal(f(X), torch.tanh(X * 0.777) + X) or torch.allclose(f(X), f.function(X))


def test_a_pinned_entry_outlives_the_bounds(monkeypatch):
    monkeypatch.setattr("fusekit.runtime.dispatch._MAX_ENTRIES", 4)
    f = fusekit.fuse(lambda x, label: x * 2 + 1)
    f(X, "first")
    f.cache().pin(1)
    for number in range(12):
        f(X, f"label {number}")
    numbers = [entry.number for entry in f.cache().entries]
    assert numbers == [1, 11, 12, 13]
    assert f.cache().entries[0].pinned
    f.cache().unpin(1)
    f(X, "one more")
    assert [entry.number for entry in f.cache().entries] == [11, 12, 13, 14]


def test_a_pinned_entry_stays_on_disk(tmp_path, monkeypatch):
    with fusekit.options(cache_dir=str(tmp_path)):
        f = fusekit.fuse(lambda x: x * 3.25 - 1, engine="llvm")
        f(X)
        f.cache().evict(1, kernels=True)
        f(X)
        f.cache().pin(2)
        (kernel,) = f.entry((X,), {}).plan.kernels
        key = kernel.engine.load_compiler().key(kernel.source)
        size = disk.size_of(key)
        monkeypatch.setattr(disk, "LIMIT_BYTES", 4 * size)
        monkeypatch.setattr(disk, "_room", {})
        for number in range(20):
            disk.put(f"other {number}", bytes(size))
        assert disk.size_of(key) == size
        assert disk.size_of("other 0") is None
        f.cache().unpin(2)
        for number in range(20):
            disk.put(f"another {number}", bytes(size))
        assert disk.size_of(key) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), max_size=60), st.integers(0, 9))
def test_a_bounded_store_forgets_the_oldest_that_is_not_pinned(added, pinned):
    store = Bounded(2, 3, lambda item: item % 10 == pinned)
    for key, item in added:
        store.add(key, item)
        assert item in store.get(key)
    kept = set(store.values())
    assert {item for _, item in added if item % 10 == pinned} <= kept
    loose = [
        key
        for key in range(4)
        if store.get(key) and not any(x % 10 == pinned for x in store.get(key))
    ]
    assert len(loose) <= 2
    for key in range(4):
        assert len([x for x in store.get(key) if x % 10 != pinned]) <= 3


def test_an_exported_entry_is_whole(held, tmp_path):
    written = held.cache().export(1, tmp_path / "out")
    names = [path.name for path in written]
    symbol = held.cache().entries[0].symbols[0]
    assert names == ["entry.json", "plan.py", f"{symbol}.ll", f"{symbol}.ir", f"{symbol}.o"]
    assert (tmp_path / "out" / f"{symbol}.o").read_bytes().startswith(b"\x7fELF")
    assert json.loads(written[0].read_text())["guards"][1]["subject"] == "x"
    code = f"import ast; ast.parse(open({str(written[1])!r}).read())"
    subprocess.run([sys.executable, "-c", code], check=True)

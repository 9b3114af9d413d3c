"""Compiling LLVM text in the process, and the machine code kept on disk."""

from __future__ import annotations

import dataclasses
import gc
import threading

import pytest
import torch

from fusekit.codegen import choose, emit
from fusekit.codegen.dialects.llvm import LlvmDialect
from fusekit.compilers import cache, llvm_jit
from fusekit.compilers.llvm_jit import LlvmJit
from fusekit.config import options
from fusekit.errors import CompileError
from fusekit.ir import DType, GraphBuilder
from fusekit.specs import ArgSpec, Stride, TensorDesc
from tests.codegen.harness import call, kernel_spec

UNIT = TensorDesc(DType.F32, (Stride.UNIT,), 4)


def make_source(constant=1.5, op="add"):
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    graph = builder.finish([builder.apply(op, x, builder.const(constant, DType.F32))])
    args = ArgSpec("cpu", 1, (UNIT,), (UNIT,))
    spec, target = kernel_spec(graph), LlvmJit().target()
    return emit(spec, LlvmDialect(spec, args, choose(spec, args, target), target))


def evaluate(artifact, x):
    args = ArgSpec("cpu", 1, (UNIT,), (UNIT,))
    out = torch.empty_like(x)
    assert call(artifact, args, [len(x)], [[1], [1]], [], [x, out]) == 0
    return out


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o700)
    with options(disk_cache=True, cache_dir=str(tmp_path)):
        yield tmp_path


@pytest.fixture
def no_disk():
    with options(disk_cache=False):
        yield


def test_it_works_here():
    assert LlvmJit().unavailable() is None


def test_it_says_why_it_cannot_work(monkeypatch):
    monkeypatch.setattr(llvm_jit, "_address", lambda symbol: None)
    assert "GOMP_parallel" in LlvmJit().unavailable()


def test_the_target_is_this_cpu():
    target = LlvmJit().target()
    assert target.vector_bytes in (16, 32, 64)
    assert target.name
    assert LlvmJit().target() is target


def test_compiling_twice(no_disk):
    jit, source = LlvmJit(), make_source()
    first, second = jit.compile(source), jit.compile(source)
    x = torch.randn(100)
    assert first.address != second.address
    assert not first.cached
    assert not second.cached
    assert torch.equal(evaluate(first, x), x + 1.5)
    del first
    gc.collect()
    assert torch.equal(evaluate(second, x), x + 1.5)


def test_machine_code_from_the_disk(folder):
    jit, source = LlvmJit(), make_source()
    x = torch.randn(100)
    assert not jit.compile(source).cached
    again = LlvmJit().compile(source)
    assert again.cached
    assert torch.equal(evaluate(again, x), x + 1.5)


def test_library_functions_from_the_disk(folder):
    source = make_source(2.5, "hypot")
    x = torch.randn(100)
    assert not LlvmJit().compile(source).cached
    again = LlvmJit().compile(source)
    assert again.cached
    assert torch.allclose(evaluate(again, x), torch.hypot(x, torch.tensor(2.5)))


def test_another_text_or_target_is_another_entry(folder, monkeypatch):
    jit = LlvmJit()
    jit.compile(make_source())
    assert not jit.compile(make_source(2.5)).cached
    host = dataclasses.replace(llvm_jit._host(), features=llvm_jit._host().features + ",+x")
    monkeypatch.setattr(llvm_jit, "_host", lambda: host)
    assert not jit.compile(make_source()).cached


def test_a_damaged_entry_is_ignored(folder):
    jit, source = LlvmJit(), make_source()
    jit.compile(source)
    (entry,) = folder.glob("*.fk")
    entry.write_bytes(entry.read_bytes()[:-100])
    again = jit.compile(source)
    assert not again.cached
    x = torch.randn(100)
    assert torch.equal(evaluate(again, x), x + 1.5)
    assert jit.compile(source).cached


@pytest.mark.parametrize("image", [b"", b"no object code", b"\x7fELF" + bytes(200)])
def test_an_entry_that_does_not_link_is_ignored(folder, image):
    jit, source = LlvmJit(), make_source()
    cache.put(llvm_jit.LlvmJit().key(source), image)
    again = jit.compile(source)
    assert not again.cached
    x = torch.randn(100)
    assert torch.equal(evaluate(again, x), x + 1.5)
    assert jit.compile(source).cached


def test_no_cache_when_it_is_switched_off(tmp_path):
    with options(disk_cache=False, cache_dir=str(tmp_path)):
        LlvmJit().compile(make_source())
    assert not list(tmp_path.iterdir())


def test_text_that_does_not_parse(no_disk):
    source = dataclasses.replace(make_source(), text="define i32 @f() { ret i32 %nowhere }")
    with pytest.raises(CompileError) as caught:
        LlvmJit().compile(source)
    assert "nowhere" in caught.value.log
    assert caught.value.source == source.text


def test_text_that_is_not_valid(no_disk):
    text = "define i32 @f() {\n  br label %b\na:\n  %x = add i32 1, 1\n  br label %b\n"
    text += "b:\n  ret i32 %x\n}"
    with pytest.raises(CompileError) as caught:
        LlvmJit().compile(dataclasses.replace(make_source(), text=text, symbol="f"))
    assert "dominate" in caught.value.log


def test_a_function_that_no_library_has(no_disk):
    text = "declare i32 @no_such_function()\ndefine i32 @f() {\n  ret i32 0\n}"
    with pytest.raises(CompileError, match="no_such_function"):
        LlvmJit().compile(dataclasses.replace(make_source(), text=text, symbol="f"))


def test_a_symbol_that_is_not_there(no_disk):
    with pytest.raises(CompileError):
        LlvmJit().compile(dataclasses.replace(make_source(), symbol="fk_elsewhere"))


def test_assembly():
    source = make_source()
    text = LlvmJit().assembly(source)
    assert f"{source.symbol}:" in text
    with pytest.raises(CompileError):
        LlvmJit().assembly(dataclasses.replace(source, text="nonsense"))


def test_compiling_in_many_threads(no_disk):
    jit, results = LlvmJit(), {}
    x = torch.randn(1000)

    def work(number):
        for repeat in range(3):
            artifact = jit.compile(make_source(number + repeat / 4))
            results[number, repeat] = evaluate(artifact, x)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 24
    for (number, repeat), got in results.items():
        assert torch.equal(got, x + (number + repeat / 4))

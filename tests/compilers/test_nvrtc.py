"""NVRTC takes every text of the CUDA dialect, without a remark; what it makes, and how it fails.

None of this needs a GPU: machine code for any of them is made on any machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import fusekit
from fusekit import routines
from fusekit.codegen import KernelSource, Target, emit
from fusekit.codegen.dialects.cuda import CudaDialect
from fusekit.codegen.gpu_schedule import choose_gpu
from fusekit.compilers import cache, disassembler, nvrtc
from fusekit.compilers.cubin import resources
from fusekit.compilers.nvrtc import Nvrtc
from fusekit.errors import CompileError, EngineUnavailableError, UsageError
from fusekit.ir import OPS, DType
from fusekit.specs import ArgSpec, Stride, TensorDesc
from tests.codegen.cuda_kernels import cuda_kernel, cuda_kernels, needs_nvrtc
from tests.codegen.harness import kernel_spec, single
from tests.matrix_cases import ARITIES, DTYPES, LAYOUTS
from tests.test_matrix import MIXED, arguments, name_of, sorted_out, together

OLDEST, USUAL, NEWEST = "sm_80", "sm_90", "sm_100"

LONG = ("unary", "scalar")
"""Families whose kernels take seconds: all dtypes for one GPU, some for the others."""

EVERYWHERE = (torch.float32, torch.float64, torch.int64)


def archs_for(family: str, dtype: torch.dtype) -> tuple[str, ...]:
    is_short = family not in LONG or dtype in EVERYWHERE
    return (OLDEST, USUAL, NEWEST) if is_short else (USUAL,)


def matrix() -> Iterator[tuple[str, torch.dtype, str]]:
    for family in ARITIES:
        for dtype in DTYPES:
            for arch in archs_for(family, dtype):
                yield family, dtype, arch


def saxpy(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return x * y + z


def tensors(count: int, *shape: int) -> list[torch.Tensor]:
    return [torch.zeros(shape or (64, 64)) for _ in range(count)]


# what is compiled --------------------------------------------------------------------------------


@needs_nvrtc
@pytest.mark.parametrize(
    ("family", "dtype", "arch"),
    list(matrix()),
    ids=lambda x: x if isinstance(x, str) else name_of(x),
)
def test_every_operator_compiles_without_a_remark(
    family: str, dtype: torch.dtype, arch: str
) -> None:
    accepted, _ = sorted_out(family, dtype)
    if not accepted:
        pytest.skip(f"eager has no {family} operator for {name_of(dtype)}")
    function = together([ARITIES[family][1][name] for name in accepted])
    for kernel in cuda_kernels(function, *arguments(family, dtype)):
        built = nvrtc.build(kernel, arch)
        assert not built.log
        assert f".target {arch}" in built.ptx


def mixed(*x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return x[0] * x[1] + x[3], (x[4] + x[3]) * 2, x[2] - x[0], x[5] & (x[0] > x[4]), x[1] / x[4]


@needs_nvrtc
@pytest.mark.parametrize("index_bits", [32, 64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_index_width_compiles(layout: str, index_bits: int) -> None:
    given = [LAYOUTS[layout](getattr(torch, name))[i % 3] for i, name in enumerate(MIXED)]
    for kernel in cuda_kernels(mixed, *given, index_bits=index_bits):
        assert not nvrtc.build(kernel, USUAL).log
        assert ("int64_t size0" in kernel.text) == (index_bits == 64 and "size0" in kernel.text)


def side_by_side(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cat([x + y, x * y], dim=1)


SCHEDULES = {
    "vector": (torch.add, (torch.zeros(64, 64), torch.zeros(64, 64)), "load<4>("),
    "tile": (torch.add, (torch.zeros(64, 64), torch.zeros(64, 64).t()), "__shared__"),
    "spread": (side_by_side, (torch.zeros(64, 63), torch.zeros(64, 63)), "element < total"),
    "single": (torch.add, (torch.zeros(()), torch.zeros(())), "out0[0] = "),
}
"""Name -> what is walked like that, and how it shows in the text."""


@needs_nvrtc
@pytest.mark.parametrize("arch", [OLDEST, USUAL, NEWEST])
@pytest.mark.parametrize("index_bits", [32, 64])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_compiles(schedule: str, index_bits: int, arch: str) -> None:
    function, given, sign = SCHEDULES[schedule]
    kernel = cuda_kernel(function, *given, index_bits=index_bits)
    assert sign in kernel.text
    built = nvrtc.build(kernel, arch)
    assert not built.log
    assert resources(built.cubin).stack_bytes == 0


@needs_nvrtc
@pytest.mark.parametrize("index_bits", [32, 64])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_batches_compile_and_their_table_is_what_the_host_packs(
    schedule: str, index_bits: int
) -> None:
    """Every kind of scalar and of walk."""
    function, given, sign = SCHEDULES[schedule]

    def scaled(x: torch.Tensor, y: torch.Tensor, s: float, n: int, b: bool) -> torch.Tensor:
        return torch.where(function(x, y) > s, function(x, y) * n, b)

    arguments = (*given, 2.0, 3, True)
    for kernel in cuda_kernels(scaled, *arguments, index_bits=index_bits, calls=4):
        assert sign in kernel.text
        slots = sum(item.kind != "word" for item in kernel.parameters)
        words = len(kernel.parameters) - slots
        nbytes = 4 * (4 + words * index_bits // 8 + 8 * slots)
        text = f'{kernel.text}\nstatic_assert(sizeof(table) == {nbytes}, "");\n'
        assert not nvrtc.build(dataclasses.replace(kernel, text=text), USUAL).log


@needs_nvrtc
def test_ptx_is_for_the_gpu_that_was_asked_for() -> None:
    fused = fusekit.fuse(saxpy)
    for arch in ("sm_75", OLDEST, NEWEST, "sm_90a"):
        with fusekit.options(cuda_arch=arch):
            assert f".target {arch}" in fused.source(*tensors(3), language="ptx")


@needs_nvrtc
def test_contraction_is_only_for_those_who_ask() -> None:
    fused = fusekit.fuse(saxpy)
    assert "fma.rn.f32" not in fused.source(*tensors(3), language="ptx")
    with fusekit.options(fast=True):
        assert "fma.rn.f32" in fused.source(*tensors(3), language="ptx")


@needs_nvrtc
def test_machine_code_tells_what_it_takes() -> None:
    chain = nvrtc.build(cuda_kernel(torch.lgamma, *tensors(1)), USUAL)
    plain = nvrtc.build(cuda_kernel(torch.neg, *tensors(1)), USUAL)
    assert 8 <= resources(plain.cubin).registers < resources(chain.cubin).registers <= 255
    assert 0 < resources(plain.cubin).instructions < resources(chain.cubin).instructions


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ" + bytes(500), b"\x7fELF" + bytes(500)])
def test_what_is_no_machine_code_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no"):
        resources(data)


# how it fails ------------------------------------------------------------------------------------


@needs_nvrtc
def test_a_compile_error_carries_log_and_source() -> None:
    broken = KernelSource("cuda", 'extern "C" __global__ void k() { nonsense; }\n', "k", ())
    with pytest.raises(CompileError, match="did not compile for sm_90") as caught:
        nvrtc.build(broken, USUAL)
    assert "nonsense" in caught.value.log
    assert caught.value.source == broken.text


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_1", "hopper", "compute_90", "sm_90 --version", ""])
def test_an_unknown_gpu_is_said_with_those_that_are_known(arch: str) -> None:
    with pytest.raises(UsageError, match=r"knows no GPU .*; there are sm_.*sm_90"):
        nvrtc.build(cuda_kernel(torch.neg, *tensors(1)), arch)


@needs_nvrtc
def test_sass_without_a_disassembler_says_how_to_get_one(monkeypatch) -> None:
    monkeypatch.setattr(disassembler, "find", lambda: None)
    with pytest.raises(EngineUnavailableError, match="nvdisasm: pip install"):
        fusekit.fuse(torch.neg).source(*tensors(1), language="sass")


@needs_nvrtc
@pytest.mark.skipif(disassembler.find() is None, reason="no nvdisasm here")
def test_sass_is_the_gpus_own_instructions() -> None:
    with fusekit.options(cuda_arch=NEWEST):
        text = fusekit.fuse(torch.neg).source(*tensors(1), language="sass")
    assert "sm_100" in text
    assert "EXIT" in text


@needs_nvrtc
def test_what_is_no_machine_code_is_not_disassembled() -> None:
    if disassembler.find() is None:
        pytest.skip("no nvdisasm here")
    with pytest.raises(CompileError, match="nvdisasm failed"):
        disassembler.sass(b"nonsense")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    assert "no usable NVIDIA GPU" in str(Nvrtc().unavailable())
    assert "the tensors are on cpu" in str(fusekit.fuse(saxpy).engines(*tensors(3))["cuda"])
    with pytest.raises(EngineUnavailableError, match="no usable NVIDIA GPU"):
        Nvrtc().compile(cuda_kernel(torch.neg, *tensors(1)))


def test_without_cuda_core_the_text_is_there_and_ptx_says_what_to_install(monkeypatch) -> None:
    found = importlib.util.find_spec
    hidden = {"cuda", "cuda.core"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in hidden else found(name, *a)
    )
    fused = fusekit.fuse(torch.neg)
    assert "__global__" in fused.source(*tensors(1), language="cuda")
    with pytest.raises(EngineUnavailableError, match=r"pip install \"fusekit\[cuda\]\""):
        fused.source(*tensors(1), language="ptx")


# what is kept, and what the text holds -----------------------------------------------------------


@needs_nvrtc
def test_the_disk_keeps_code_apart_by_gpu_and_by_fast(monkeypatch) -> None:
    keys = []

    def get(key: str) -> bytes:
        keys.append(key)
        raise InterruptedError  # what comes next takes a driver

    monkeypatch.setattr(Nvrtc, "unavailable", lambda self: None)
    monkeypatch.setattr(cache, "get", get)
    kernel = cuda_kernel(saxpy, *tensors(3))
    for arch, fast in ((OLDEST, False), (USUAL, False), (USUAL, True), (USUAL, False)):
        monkeypatch.setattr(Nvrtc, "target", lambda self, arch=arch: Target(arch))
        with fusekit.options(fast=fast), pytest.raises(InterruptedError):
            Nvrtc().compile(kernel)
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_the_text_is_the_same_in_every_process() -> None:
    own = cuda_kernel(saxpy, *tensors(3)).text
    code = (
        "import hashlib, torch\n"
        "from tests.compilers.test_nvrtc import saxpy, tensors\n"
        "from tests.codegen.cuda_kernels import cuda_kernel\n"
        "text = cuda_kernel(saxpy, *tensors(3)).text\n"
        "print(hashlib.sha256(text.encode()).hexdigest())\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(own.encode()).hexdigest()


def test_the_users_names_stay_out_of_the_text() -> None:
    def marker_function(marker_x: torch.Tensor, marker_y: torch.Tensor) -> torch.Tensor:
        marker_sum = marker_x + marker_y
        return marker_sum * 2

    evil = 'marker */ #include "/etc/passwd"'
    fused = fusekit.fuse(marker_function, name=evil)
    text = fused.source(*tensors(2), language="cuda")
    assert "marker" not in text
    assert "passwd" not in text


@needs_nvrtc
@pytest.mark.parametrize("op", sorted(routines.FUNCTIONS))
def test_every_routine_compiles_without_a_remark(op: str) -> None:
    row = OPS[op]
    for dtype in filter(row.accepts, DType):
        graph = single(op, dtype)
        desc = TensorDesc(dtype, (Stride.UNIT,), dtype.itemsize)
        args = ArgSpec("cuda", 1, (desc,) * row.arity, (desc,), 32, 16)
        spec = kernel_spec(graph)
        source = emit(spec, CudaDialect(spec, args, choose_gpu(args), Target()))
        assert not nvrtc.build(source, USUAL).log

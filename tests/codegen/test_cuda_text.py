"""How the CUDA dialect's text reads. `--update-golden` rewrites what is expected."""

from __future__ import annotations

import re

import pytest
import torch

from fusekit.codegen import KernelSource
from fusekit.codegen.dialects.c_helpers import Helper, required
from tests.codegen.cuda_kernels import cuda_kernel


def cat(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cat([x * y, torch.maximum(x, y)], dim=-1)


def scaled(x: torch.Tensor, bias: torch.Tensor, scale: float) -> torch.Tensor:
    return (x + bias) * scale


def normalised(x: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    return (x - mean) / deviation


ROWS, ODD = torch.zeros(64, 128), torch.zeros(64, 63)
PIXELS = torch.zeros(96, 3, dtype=torch.uint8)
KERNELS = {
    "vector": lambda: cuda_kernel(lambda x, y: torch.relu(x * y + 0.5), ROWS, ROWS.clone()),
    "spread": lambda: cuda_kernel(cat, ODD, ODD.clone()),
    "tiled": lambda: cuda_kernel(torch.add, torch.zeros(96, 64).t(), torch.zeros(64, 96)),
    "bf16_row": lambda: cuda_kernel(scaled, ROWS.bfloat16(), torch.zeros(128).bfloat16(), 2.0),
    "cat": lambda: cuda_kernel(cat, ROWS, ROWS.clone()),
    "in_place": lambda: cuda_kernel(lambda p, g: p.add_(g, alpha=2), ROWS, ROWS.clone()),
    "batch": lambda: cuda_kernel(scaled, ROWS, ROWS.clone(), 2.0, calls=4),
    "channels": lambda: cuda_kernel(normalised, PIXELS, torch.zeros(3), torch.ones(3)),
    "wrapping": lambda: cuda_kernel(lambda x, y: abs(x * y - x), ROWS.int(), ROWS.int()),
}


@pytest.mark.parametrize("name", KERNELS)
def test_text(golden, name: str) -> None:
    golden(KERNELS[name]().text)


def test_products_of_small_unsigned_integers_are_unsigned() -> None:
    """C multiplies uint16 as int, which overflows; eager has no such product on a GPU."""
    small = ROWS.to(torch.uint16)
    text = used(cuda_kernel(torch.mul, small, small.clone()))
    assert re.search(r"const uint16_t n2 = uint16_t\(uint32_t\(n0\) \* uint32_t\(n1\)\);", text)


def promised(kernel: KernelSource) -> set[str]:
    """The pointers that share no memory with any other."""
    return set(re.findall(r"__restrict__ (\w+)", kernel.text))


def test_what_is_written_in_place_promises_nothing() -> None:
    def overwrite(p, g, scale):
        p.copy_(g * scale)

    def update(p, m, g):
        p.sub_(m.mul_(0.9).add_(g))

    assert promised(cuda_kernel(overwrite, ROWS, ROWS.clone(), 2.0)) == {"in0", "out0"}
    kernel = cuda_kernel(update, ROWS, ROWS.clone(), ROWS.clone())
    assert len(promised(kernel)) == 1
    assert len(re.findall(r"\* (?:__restrict__ )?(?:in|out)\d[,)]", kernel.text)) == 5


def used(kernel: KernelSource) -> str:
    """The text from the entry point on."""
    return kernel.text[kernel.text.index('extern "C"') :]


@pytest.mark.parametrize("name", KERNELS)
def test_lines_point_at_their_values(name: str) -> None:
    kernel = KERNELS[name]()
    lines = kernel.text.splitlines()
    assert kernel.lines
    for value, runs in kernel.lines:
        for first, last in runs:
            span = "\n".join(lines[first - 1 : last])
            assert re.search(rf"\bn{value}(?:_of)?\b|_at\b", span), (value, span)


@pytest.mark.parametrize("name", KERNELS)
def test_only_what_is_used_is_defined(name: str) -> None:
    kernel = KERNELS[name]()
    for helper in re.findall(r"static __device__ __forceinline__ .*?\b(\w+)\(", kernel.text):
        assert len(re.findall(rf"\b{helper}\b", kernel.text)) > 1
    for alias in re.findall(r"typedef .*\b(\w+);", kernel.text):
        assert len(re.findall(rf"\b{alias}\b", kernel.text)) > 1


def test_a_parameter_for_each_word_of_the_geometry() -> None:
    kernel = KERNELS["spread"]()
    assert kernel.geometry is not None
    words = [item.name for item in kernel.parameters if item.kind == "word"]
    assert len(words) == len(kernel.geometry.words)
    head = used(kernel).partition("{")[0]
    assert [name for name in re.findall(r"(\w+)[,)]", head) if name in words] == words


def test_a_helper_is_not_needed_for_a_variable_of_its_name() -> None:
    helpers = {
        "half": Helper("float half(float x)", "return x / 2;"),
        "rest": Helper(
            "float rest(float x, float half)", "const float rest = x;\nreturn rest - half;"
        ),
        "both": Helper("float both(float x)", "return rest(x, half(x));"),
    }
    assert required("rest(1, 2)", helpers) == ["rest"]
    assert required("both(1)", helpers) == ["half", "rest", "both"]

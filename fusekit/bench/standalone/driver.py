"""The C++ program that runs one kernel by itself: what it allocates, fills, launches and prints."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch

from fusekit.codegen import KernelSource
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType
from fusekit.runtime.binding import Binding
from fusekit.runtime.kernel_memory import KernelMemory

__all__ = ["Driven", "checksum", "driver_text", "pattern"]

_MULTIPLIER, _STEP = 2654435761, 40503
"""Knuth's multiplicative hash, and how far regions are apart in it."""

_BYTES = {DType.BOOL: "uint8_t", DType.F16: "uint16_t", DType.BF16: "uint16_t"}
_SCALAR_TYPES = {DType.F64: "double", DType.I64: "int64_t", DType.BOOL: "bool"}


@dataclasses.dataclass(frozen=True)
class Driven:
    """A kernel, and everything that its driver has to know.

    Attributes:
        source: its text.
        binding: layout of the call.
        memory: its tensors.
        scalars: its numbers.
        moved: bytes that one launch moves.
        expected: the checksum of what it stores for the pattern.
    """

    source: KernelSource
    binding: Binding
    memory: KernelMemory
    scalars: tuple[Any, ...]
    moved: int
    expected: int


def pattern(memory: KernelMemory) -> list[torch.Tensor]:
    """The regions as the driver fills them: small numbers that every dtype holds exactly.

    Floats are multiples of 1/64 from -2 to 2, integers 1 to 7, so that nothing divides by zero.
    What is only stored holds zeros.
    """
    read = {place.base for place in memory.places[: memory.n_inputs]}
    contents = []
    for number, region in enumerate(memory.regions):
        dtype = TO_TORCH[region.dtype]
        if number not in read:
            contents.append(torch.zeros(region.elements, dtype=dtype))
            continue
        count = torch.arange(1, region.elements + 1, dtype=torch.int64)
        mixed = (count % (1 << 32) * _MULTIPLIER + number * _STEP) % (1 << 32)
        byte = (mixed >> 16) & 255
        if region.dtype.is_float:
            contents.append(((byte - 128).double() / 64).to(dtype))
        elif region.dtype is DType.BOOL:
            contents.append((byte & 1).bool())
        else:
            contents.append((1 + byte % 7).to(dtype))
    return contents


def checksum(tensors: Sequence[torch.Tensor]) -> int:
    """Of the bits of every element, which depends on their order; 64 bits."""
    total = 0
    for tensor in tensors:
        size = tensor.element_size()
        flat = tensor.contiguous().flatten()
        signed = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[size]
        bits = flat.view(signed).long()
        if size < 8:
            bits &= (1 << (8 * size)) - 1
        odd = 2 * torch.arange(bits.numel(), dtype=torch.int64) + 1
        total = (total * 1000003 + int(((bits + 1) * odd).sum())) % (1 << 64)  # wraps around
    return total


def driver_text(driven: Driven) -> str:
    """The program."""
    is_gpu = driven.source.language == "cuda"
    parts = [_HEAD.replace("@kernel@", driven.source.symbol)]
    parts.append(_facts(driven))
    parts.append(_FILL)
    parts.append(_gpu(driven) if is_gpu else _cpu(driven))
    parts.append(_MAIN)
    return "\n".join(parts)


def _facts(driven: Driven) -> str:
    """The call as constants."""
    memory = driven.memory
    read = {place.base for place in memory.places[: memory.n_inputs]}
    regions = ",\n".join(
        f"  {{{region.elements}, {region.dtype.itemsize}, Fill::{_filler(region.dtype)}, "
        f"{str(number in read).lower()}}}"
        for number, region in enumerate(memory.regions)
    )
    outputs = ",\n".join(
        f"  {{{place.base}, {place.offset}, {len(place.shape)}, {{{_listed(place.shape)}}}, "
        f"{{{_listed(place.strides)}}}}}"
        for place in memory.outputs
    )
    layout = _listed(driven.binding.layout or (0,))
    return f"""\
struct Region {{ size_t elements, item; Fill fill; bool is_read; }};
static const Region regions[] = {{
{regions}
}};
static const int n_regions = {len(memory.regions)};

// Where results lie: region, first element, extents, strides in elements.
struct Output {{ int region; int64_t offset; int rank; int64_t shape[16], strides[16]; }};
static const Output outputs[] = {{
{outputs}
}};

// Extents and strides as the kernel wants them.
static const int64_t layout[] = {{{layout}}};

static const double bytes_moved = {driven.moved}.0;
static const uint64_t expected = 0x{driven.expected:016x}ULL;
"""


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _filler(dtype: DType) -> str:
    if dtype is DType.BOOL:
        return "boolean"
    return str(dtype.value) if dtype.is_float else "integer"


def _cpu(driven: Driven) -> str:
    types, values = [], []
    tensors = iter(driven.memory.places)
    scalars = iter(driven.scalars)
    for parameter in driven.source.parameters:
        if parameter.kind == "layout":
            types.append("const int64_t*")
            values.append("layout")
        elif parameter.kind == "scalar":
            types.append(_SCALAR_TYPES[parameter.dtype])
            values.append(_literal(next(scalars), parameter.dtype))
        else:
            place = next(tensors)
            types.append("const void*" if parameter.kind == "input" else "void*")
            values.append(f"at({place.base}, {place.offset})")
    return f"""\
extern "C" int32_t {driven.source.symbol}({", ".join(types)});

static void prepare() {{}}
static void copy_back() {{}}
static void launch() {{
  if ({driven.source.symbol}({", ".join(values)})) {{
    std::puts("the kernel trapped");
    std::exit(2);
  }}
}}
"""


def _gpu(driven: Driven) -> str:
    geometry = driven.source.geometry
    assert geometry is not None
    words = iter(geometry.values(driven.binding.layout))
    blocks, threads = geometry.blocks(driven.binding.layout), geometry.schedule.block
    tensors, scalars = iter(driven.memory.places), iter(driven.scalars)
    lines, names = [], []
    for index, parameter in enumerate(driven.source.parameters):
        name = f"p{index}"
        names.append(f"&{name}")
        if parameter.kind == "scalar":
            value = _literal(next(scalars), parameter.dtype)
            lines.append(f"  {_SCALAR_TYPES[parameter.dtype]} {name} = {value};")
        elif parameter.kind == "word":
            wide = "int64_t" if geometry.args.index_bits > 32 else "uint32_t"
            lines.append(f"  {wide} {name} = {next(words)}u;")
        else:
            place = next(tensors)
            item = driven.memory.regions[place.base].dtype.itemsize
            lines.append(f"  uint64_t {name} = device[{place.base}] + {place.offset * item}u;")
    declared = "\n".join(lines)
    return (
        _GPU.replace("@kernel@", driven.source.symbol)
        .replace("@parameters@", declared)
        .replace("@names@", ", ".join(names))
        .replace("@blocks@", str(blocks))
        .replace("@threads@", str(threads))
    )


def _literal(value: Any, dtype: DType) -> str:
    if dtype is DType.BOOL:
        return str(bool(value)).lower()
    if dtype is DType.I64:
        return "INT64_MIN" if int(value) == -(1 << 63) else f"INT64_C({int(value)})"
    number = float(value)
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return repr(number)


_HEAD = """\
// Runs @kernel@ by itself: allocates its tensors with the extents and strides that it had, fills
// them with a fixed pattern, runs it, checks what it stored, and times it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

enum class Fill { boolean, integer, f16, bf16, f32, f64 };
"""

_FILL = """\
static char* memory[n_regions];

[[maybe_unused]] static void* at(int region, int64_t offset) {
  return memory[region] + offset * int64_t(regions[region].item);
}

// A float16 with the value of a multiple of 1/64 from -2 to 2, which it holds exactly.
static uint16_t half(float value) {
  if (value == 0) return 0;
  int exponent;
  const float mantissa = std::frexp(std::fabs(value), &exponent);
  return uint16_t((value < 0) << 15 | (exponent + 14) << 10 | int((mantissa * 2 - 1) * 1024));
}

template <class T> static void put(char* to, size_t i, T value) {
  std::memcpy(to + i * sizeof(T), &value, sizeof(T));
}

static void fill(int number) {
  const Region& region = regions[number];
  char* const to = memory[number];
  std::memset(to, 0, region.elements * region.item);
  if (!region.is_read) return;
  for (size_t i = 0; i < region.elements; ++i) {
    const uint32_t mixed = uint32_t(i + 1) * 2654435761u + uint32_t(number) * 40503u;
    const int byte = mixed >> 16 & 255;
    const float value = float(byte - 128) / 64;
    const uint64_t integer = 1 + byte % 7;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    switch (region.fill) {
      case Fill::boolean: put(to, i, uint8_t(byte & 1)); break;
      case Fill::integer: std::memcpy(to + i * region.item, &integer, region.item); break;
      case Fill::f16: put(to, i, half(value)); break;
      case Fill::bf16: put(to, i, uint16_t(bits >> 16)); break;
      case Fill::f32: put(to, i, value); break;
      case Fill::f64: put(to, i, double(value)); break;
    }
  }
}

static uint64_t checksum() {
  uint64_t total = 0;
  for (const Output& output : outputs) {
    const size_t item = regions[output.region].item;
    uint64_t sum = 0, n = 0;
    int64_t index[17] = {}, numel = 1;
    for (int dim = 0; dim < output.rank; ++dim) numel *= output.shape[dim];
    for (; n < uint64_t(numel); ++n) {
      int64_t element = output.offset;
      for (int dim = 0; dim < output.rank; ++dim) element += index[dim] * output.strides[dim];
      uint64_t bits = 0;
      std::memcpy(&bits, memory[output.region] + element * int64_t(item), item);
      sum += (bits + 1) * (2 * n + 1);
      for (int dim = output.rank - 1; dim >= 0 && ++index[dim] == output.shape[dim]; --dim) {
        index[dim] = 0;
      }
    }
    total = total * 1000003 + sum;
  }
  return total;
}
"""

_GPU = """\
// The driver's interface, so that no header of CUDA is needed.
extern "C" {
int cuInit(unsigned);
int cuDeviceGet(int*, int);
int cuDevicePrimaryCtxRetain(void**, int);
int cuCtxSetCurrent(void*);
int cuModuleLoad(void**, const char*);
int cuModuleGetFunction(void**, void*, const char*);
int cuMemAlloc_v2(uint64_t*, size_t);
int cuMemcpyHtoD_v2(uint64_t, const void*, size_t);
int cuMemcpyDtoH_v2(void*, uint64_t, size_t);
int cuCtxSynchronize();
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   void*, void**, void**);
}

static void must(int status, const char* what) {
  if (status) {
    std::printf("%s failed: CUDA error %d\\n", what, status);
    std::exit(2);
  }
}

static void* kernel;
static uint64_t device[n_regions];

static void prepare() {
  void *context, *module;
  int first;
  must(cuInit(0), "cuInit");
  must(cuDeviceGet(&first, 0), "cuDeviceGet");
  must(cuDevicePrimaryCtxRetain(&context, first), "cuDevicePrimaryCtxRetain");
  must(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  must(cuModuleLoad(&module, "kernel.cubin"), "loading kernel.cubin");
  must(cuModuleGetFunction(&kernel, module, "@kernel@"), "cuModuleGetFunction");
  for (int i = 0; i < n_regions; ++i) {
    const size_t size = regions[i].elements * regions[i].item;
    must(cuMemAlloc_v2(&device[i], size), "cuMemAlloc");
    must(cuMemcpyHtoD_v2(device[i], memory[i], size), "cuMemcpyHtoD");
  }
}

static void copy_back() {
  for (int i = 0; i < n_regions; ++i) {
    const size_t size = regions[i].elements * regions[i].item;
    must(cuMemcpyDtoH_v2(memory[i], device[i], size), "cuMemcpyDtoH");
  }
}

static void launch() {
@parameters@
  void* parameters[] = {@names@};
  must(cuLaunchKernel(kernel, @blocks@, 1, 1, @threads@, 1, 1, 0, nullptr, parameters, nullptr),
       "cuLaunchKernel");
  must(cuCtxSynchronize(), "the kernel");
}
"""

_MAIN = """\
int main() {
  for (int i = 0; i < n_regions; ++i) {
    const size_t size = (regions[i].elements * regions[i].item / 4096 + 1) * 4096;
    memory[i] = static_cast<char*>(std::aligned_alloc(4096, size));
    fill(i);
  }
  prepare();
  launch();
  copy_back();
  const uint64_t found = checksum();
  const bool is_same = found == expected;
  std::printf("checksum %016llx, %s\\n", (unsigned long long)found,
              is_same ? "as expected" : "not the one it had when it was exported");
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  const auto start = Clock::now();
  while (seconds.size() < 20 ||
         (seconds.size() < 10000 && Clock::now() - start < std::chrono::seconds(1))) {
    const auto before = Clock::now();
    launch();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  std::printf("%.3f us (median of %zu runs), %.2f GB/s\\n", median * 1e6, seconds.size(),
              bytes_moved / median * 1e-9);
  return is_same ? 0 : 1;
}
"""

"""torch dtypes and ours: the only such table."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fusekit.ir import DType

__all__ = ["FROM_TORCH", "TO_TORCH", "compute_dtype", "held_dtype"]

TO_TORCH: Mapping[DType, torch.dtype] = {
    DType.BOOL: torch.bool,
    DType.U8: torch.uint8,
    DType.U16: torch.uint16,
    DType.U32: torch.uint32,
    DType.U64: torch.uint64,
    DType.I8: torch.int8,
    DType.I16: torch.int16,
    DType.I32: torch.int32,
    DType.I64: torch.int64,
    DType.F16: torch.float16,
    DType.BF16: torch.bfloat16,
    DType.F32: torch.float32,
    DType.F64: torch.float64,
}
"""Every dtype a kernel can hold."""

FROM_TORCH: Mapping[torch.dtype, DType] = {theirs: ours for ours, theirs in TO_TORCH.items()}
"""The inverse; a torch dtype that is absent (complex, quantised, float8) stays with PyTorch."""


def compute_dtype(dtype: DType) -> DType:
    """The dtype in which PyTorch computes results of `dtype` ("opmath"): f32 for the halves."""
    return DType.F32 if dtype.is_storage_only else dtype


def held_dtype(tensor: torch.Tensor, device: torch.device | None) -> DType | None:
    """A tensor's dtype, or None if no kernel on `device` can touch it; None stands for any."""
    plain = tensor.layout is torch.strided and not tensor.is_quantized
    local = device is None or tensor.device == device
    negated = plain and (tensor.is_neg() or tensor.is_conj())
    return FROM_TORCH.get(tensor.dtype) if plain and local and not negated else None

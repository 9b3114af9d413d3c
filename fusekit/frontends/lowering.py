"""What a lowering rule works with: one torch operator's arguments as IR expressions.

A rule is a function `(op: Lowering) -> Expr | None`, written like the formula it stands for:

    def silu(op: Lowering) -> Expr:
        x = op.tensor("self")
        return x / ((-x).apply("exp") + 1)

Operands arrive cast to the operator's compute dtype (float32 for the halves, as in PyTorch's own
kernels) and the result is cast to the dtype that torch gave the real operator's output. None means
"not these arguments": PyTorch runs the operator.

Where the result is a half, PyTorch first rounds what else takes part to that half: integers,
numbers and 0-dim tensors of other dtypes. What its kernels take as scalars they read unrounded:
`scalar`, `factor` and `term` tell these apart. Source: in aten/src/ATen/native,
cpu/BinaryOpsKernel.cpp (`binary_kernel_reduced_floating_vec_opmath_support`) and cuda/Loops.cuh
(`opmath_symmetric_gpu_kernel_with_scalars`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from fusekit.frontends.dtypes import FROM_TORCH, compute_dtype
from fusekit.frontends.scalars import ScalarNode, concrete
from fusekit.ir import DType, GraphBuilder, Kind
from fusekit.vecmath.expression import Expr, where

__all__ = ["Lowering", "Rule", "converted", "valid"]

Symbol = torch.SymInt | torch.SymFloat


@dataclasses.dataclass
class Lowering:
    """One operator call.

    Attributes:
        builder: the graph under construction.
        arguments: schema name -> tensor, number, symbolic scalar, list or None.
        result: the first output's dtype.
        identify: fake tensor -> value id.
        symbol: symbolic scalar -> id of the scalar input that carries it.
    """

    builder: GraphBuilder
    arguments: Mapping[str, Any]
    result: DType
    identify: Callable[[torch.Tensor], int]
    symbol: Callable[[ScalarNode], int]

    @property
    def compute(self) -> DType:
        """The dtype in which PyTorch computes this operator's result."""
        return compute_dtype(self.result)

    def __getitem__(self, name: str) -> Any:
        """The argument as torch passed it."""
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The argument, or `default` if the schema has none of that name."""
        return self.arguments.get(name, default)

    def tensor(self, name: str, dtype: DType | None = None) -> Expr:
        """An operand, which may be a number, as `dtype`.

        Without one, as the compute dtype, but rounded to the result's before.
        """
        value = self.arguments[name]
        return self.operand(value, dtype) if dtype else self.promoted(value)

    def scalar(self, name: str) -> Expr:
        """An argument that the kernel takes as a scalar, as the compute dtype."""
        return self.operand(self.arguments[name], self.compute)

    def factor(self, name: str) -> Expr:
        """The second operand of a product or a quotient."""
        return self.scalar(name) if self.is_scaled(name) else self.tensor(name)

    def is_scaled(self, name: str) -> bool:
        """True if kernels of products and quotients take this operand as a scalar.

        A number is one everywhere, a tensor of one element on the CPU.
        """
        value = self.arguments[name]
        return not isinstance(value, torch.Tensor) or (value.numel() == 1 and not self.on_gpu)

    def term(self, name: str) -> Expr:
        """An operand of a sum, or what multiplies one: a number is a scalar on a GPU."""
        is_tensor = isinstance(self.arguments[name], torch.Tensor)
        return self.scalar(name) if self.on_gpu and not is_tensor else self.tensor(name)

    @property
    def on_gpu(self) -> bool:
        """True if GPU kernels of PyTorch's are what this operator is compared with."""
        return any(isinstance(x, torch.Tensor) and x.is_cuda for x in self.arguments.values())

    def promoted(self, value: Any) -> Expr:
        """A tensor or number, rounded to the result's dtype, as the compute dtype."""
        return self.operand(value, self.result).cast(self.compute)

    def operand(self, value: Any, dtype: DType) -> Expr:
        """A tensor, number or symbolic scalar, as an operand of `dtype`."""
        if isinstance(value, torch.Tensor):
            return self.raw(value).cast(dtype)
        if isinstance(value, Symbol):
            return Expr(self.builder, self.symbol(value.node)).cast(dtype)
        return self.const(value, dtype)

    def raw(self, value: torch.Tensor) -> Expr:
        """A tensor argument in its own dtype."""
        return Expr(self.builder, self.identify(value))

    def const(self, value: float, dtype: DType | None = None) -> Expr:
        """A literal, converted as torch converts a scalar: floats round, integers wrap."""
        dtype = dtype or self.compute
        return Expr(self.builder, self.builder.const(converted(value, dtype), dtype))

    def number(self, name: str) -> Any:
        """A scalar argument's value in this trace; a symbolic one is pinned to it."""
        value = self.arguments[name]
        if isinstance(value, Symbol) and isinstance(value.node, ScalarNode):
            return value.node.pin()
        return value

    def common(self, *names: str) -> DType | None:
        """The dtype to which torch promotes these arguments, for comparisons; None if complex."""
        first, *others = (concrete(self.arguments[name]) for name in names)
        promoted = torch.result_type(first, others[0]) if others else first.dtype
        return FROM_TORCH.get(promoted)


def valid(condition: Expr, value: Expr) -> Expr:
    """`value`, where the condition holds.

    Elsewhere eager PyTorch raises. All that kernels can report is a division by zero, after which
    PyTorch runs the call again and finds out.
    """
    divisor = condition.cast(DType.I8)
    return where(divisor.const(1).apply("truncdiv", divisor) > 0, value, value.const(0))


def converted(value: float, dtype: DType) -> bool | int | float:
    """`value` as torch converts a scalar to `dtype`; a bfloat16 is rounded by way of float32."""
    if dtype is DType.BOOL:
        return bool(value)
    if dtype.is_integral:
        wrapped = int(value) & ((1 << dtype.bits) - 1)
        negative = dtype.kind is Kind.INT and wrapped >> (dtype.bits - 1)
        return wrapped - (1 << dtype.bits) if negative else wrapped
    if dtype is DType.F64:
        return float(value)
    with np.errstate(over="ignore"):
        single = np.float32(value)
        if dtype is DType.BF16 and np.isfinite(single):
            bits = int(single.view(np.uint32))
            bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
            single = np.uint32(bits).view(np.float32)
        return float(np.float16(single) if dtype is DType.F16 else single)


Rule = Callable[[Lowering], Expr | tuple[Expr, ...] | None]
"""None leaves the operator to PyTorch; an operator with several results gives as many."""

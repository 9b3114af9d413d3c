"""The reference: a graph evaluated node by node in PyTorch, keeping every intermediate.

It is the oracle of the other dialects, so it shares nothing with them but the walk: an op means
what PyTorch's own operator does, and a transcendental function is PyTorch's, not vecmath's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np
import torch

from fusekit.codegen.source import KernelSource
from fusekit.ir import DType, Graph
from fusekit.ir.graph import Literal
from fusekit.specs import KernelSpec

__all__ = ["ReferenceDialect"]

_TYPES: Mapping[DType, torch.dtype] = {
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


class ReferenceDialect:
    """Evaluates instead of writing text.

    Attributes:
        values: value id -> its tensor, in the shape that its own operands broadcast to.
        outputs: what the kernel would store, in the shape that all inputs broadcast to.

    Args:
        indices: one tensor of int64 for each of the spec's indices, like the inputs; without them
            an index counts in the shape that all inputs broadcast to.
    """

    language = "ir"
    own_functions: ClassVar[bool] = False
    has_tables: ClassVar[bool] = False

    def __init__(
        self,
        spec: KernelSpec,
        inputs: Sequence[torch.Tensor],
        scalars: Sequence[Literal],
        indices: Sequence[torch.Tensor] = (),
    ) -> None:
        self.spec = spec
        self.values: dict[int, torch.Tensor] = {}
        self.outputs: list[torch.Tensor] = []
        self._inputs = [tensor.detach() for tensor in inputs]
        self._scalars = list(scalars)
        self._device = inputs[0].device if inputs else torch.device("cpu")
        self._indices = list(indices)
        shapes = (tensor.shape for tensor in (*inputs, *indices))
        self._shape = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]

    def begin(self) -> None:
        """Nothing to open."""

    def load(self, tensor: int, result: int) -> torch.Tensor:
        """The input as it was given."""
        return self._keep(result, self._inputs[tensor])

    def scalar(self, index: int, result: int) -> torch.Tensor:
        """A tensor without dimensions."""
        dtype = self.spec.graph.dtype(self.spec.graph.scalar_inputs[index])
        return self.const(self._scalars[index], dtype, result)

    def index(self, position: int, result: int) -> torch.Tensor:
        """The index as it was given, or counted."""
        if self._indices:
            return self._keep(result, self._indices[position])
        count = torch.arange(math.prod(self._shape), device=self._device)
        return self._keep(result, count.reshape(self._shape))

    def const(self, literal: Literal, dtype: DType, result: int) -> torch.Tensor:
        """A tensor without dimensions; integers wrap."""
        if dtype.is_integral:
            low = int(literal) & (2**dtype.bits - 1)
            bits = np.array(low, dtype=f"u{dtype.itemsize}")
            made = torch.from_numpy(bits.view(dtype.kind.value[0] + str(dtype.itemsize)))
            return self._keep(result, made.to(self._device))
        return self._keep(result, torch.tensor(literal, dtype=_TYPES[dtype], device=self._device))

    def cast(
        self, operand: torch.Tensor, source: DType, target: DType, result: int
    ) -> torch.Tensor:
        """PyTorch's conversion."""
        del source  # the tensor knows it
        return self._keep(result, operand.to(_TYPES[target]))

    def bitcast(
        self, operand: torch.Tensor, source: DType, target: DType, result: int
    ) -> torch.Tensor:
        """The same bits."""
        del source
        return self._keep(result, operand.view(_TYPES[target]))

    def lookup(
        self, operand: torch.Tensor, table: Sequence[Literal], dtype: DType, result: int
    ) -> torch.Tensor:
        """By an index tensor."""
        entries = torch.tensor(table, dtype=_TYPES[dtype], device=self._device)
        return self._keep(result, entries[operand.long() & (len(table) - 1)])

    def apply(
        self, op: str, operands: Sequence[torch.Tensor], dtype: DType, result: int
    ) -> torch.Tensor:
        """PyTorch's operator, or NumPy's for the unsigned types that PyTorch only stores."""
        if dtype in (DType.U16, DType.U32, DType.U64):
            return self._keep(result, _unsigned(op, operands))
        return self._keep(result, _OPERATORS[op](*operands))

    def call(
        self, function: Graph, operands: Sequence[torch.Tensor], dtype: DType, result: int
    ) -> torch.Tensor:
        """The op that the function, named "<op>_<dtype>", stands for."""
        op = function.name.removesuffix(f"_{dtype.value}")
        return self.apply(op, operands, dtype, result)

    def store(self, tensor: int, value: torch.Tensor) -> None:
        """A tensor of its own."""
        del tensor  # they come in order
        self.outputs.append(value.expand(self._shape).clone(memory_format=torch.contiguous_format))

    def end(self) -> KernelSource:
        """The graph's text, which is what was run."""
        graph = self.spec.graph
        lines = {out: n for n, node in enumerate(graph.nodes, start=2) for out in node.outputs}
        lines |= dict.fromkeys(graph.inputs, 1)
        return KernelSource(
            language=self.language,
            text=str(graph),
            symbol=self.spec.symbol,
            parameters=(),
            lines=tuple((value, ((line, line),)) for value, line in sorted(lines.items())),
        )

    def _keep(self, result: int, value: torch.Tensor) -> torch.Tensor:
        self.values[result] = value
        return value


def _truncdiv(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Division by -1 apart: PyTorch's own is a fault of the processor at the lowest integer."""
    flips = y == -1 if y.dtype.is_signed else torch.zeros_like(y, dtype=torch.bool)
    divisor = torch.where(flips, 1, y)
    return torch.where(flips, -x, torch.div(x, divisor, rounding_mode="trunc"))


def _fmod(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """C's of floats: PyTorch's own divides, and the quotient of a denormal divisor overflows."""
    if not x.is_floating_point():
        return torch.fmod(x, y)
    with np.errstate(invalid="ignore"):
        found = np.asarray(np.fmod(x.cpu().numpy(), y.cpu().numpy()))
    return torch.from_numpy(found).to(x.device)


def _fma(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Exact, element by element: PyTorch has no operator for it."""
    broadcast = torch.broadcast_tensors(x, y, z)  # type: ignore[no-untyped-call]
    numbers = zip(*(tensor.flatten().tolist() for tensor in broadcast), strict=True)
    odd = x.dtype is torch.float32
    results = [_fused(*three, odd=odd) for three in numbers]
    found = torch.tensor(results, dtype=torch.float64, device=x.device)
    return found.to(x.dtype).reshape(broadcast[0].shape)


def _fused(x: float, y: float, z: float, *, odd: bool) -> float:
    """Round x * y + z once; with `odd`, to odd, so that a second rounding does no harm."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return x * y + z
    if not math.isfinite(z):
        return z  # x * y may overflow here, but not in a real fma
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        return x * y + z  # for the sign
    try:
        nearest = float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
    if odd and nearest != exact and np.float64(nearest).view(np.uint64) % 2 == 0:
        return math.nextafter(nearest, math.inf if exact > nearest else -math.inf)
    return nearest


def _philox(*operands: torch.Tensor) -> torch.Tensor:
    """Philox4x32-10 as its authors write it, in NumPy's integers."""
    *counted, half = torch.broadcast_tensors(*operands)  # type: ignore[no-untyped-call]
    halves = np.uint64(0xFFFFFFFF), np.uint64(32)
    key, c01, c23 = (x.cpu().numpy().view(np.uint64) for x in counted)
    (k0, k1), (c0, c1), (c2, c3) = ((x & halves[0], x >> halves[1]) for x in (key, c01, c23))
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = (p1 >> halves[1]) ^ c1 ^ k0, p1 & halves[0]
        c2, c3 = (p0 >> halves[1]) ^ c3 ^ k1, p0 & halves[0]
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & halves[0], (k1 + np.uint64(0xBB67AE85)) & halves[0]
    found = np.where(half.cpu().numpy() == 0, c0 | c1 << halves[1], c2 | c3 << halves[1])
    return torch.from_numpy(found.view(np.int64)).to(half.device)


def _unsigned(op: str, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    arrays = [tensor.cpu().numpy() for tensor in operands]
    if op in _DIVISIONS and not arrays[1].all():
        raise ZeroDivisionError("ZeroDivisionError")
    with np.errstate(over="ignore"):
        found = np.asarray(_UNSIGNED[op](*arrays))
    return torch.from_numpy(found).to(operands[0].device)


def _unsigned_shift(
    shift: Callable[[np.ndarray, np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    fits = y < 8 * x.itemsize
    return np.where(fits, shift(x, np.where(fits, y, y.dtype.type(0))), x.dtype.type(0))


_DIVISIONS = frozenset({"floordiv", "truncdiv", "remainder", "fmod"})

_SAME_NAME = (
    *("add", "sub", "mul", "div", "neg", "abs", "maximum", "minimum", "copysign"),
    *("remainder", "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite"),
    *("signbit", "floor", "ceil", "trunc", "round", "sqrt", "exp", "exp2", "expm1", "log"),
    *("log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh"),
    *("tanh", "asinh", "acosh", "atanh", "sigmoid", "erf", "erfc", "lgamma", "atan2", "hypot"),
    *("pow", "gcd", "igamma", "igammac"),
)

_SPECIAL = (
    *("airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "spherical_bessel_j0"),
    *("i0", "i0e", "i1", "i1e", "digamma", "erfcx", "erfinv", "ndtri", "log_ndtr", "zeta"),
    *(f"chebyshev_polynomial_{kind}" for kind in "tuvw"),
    *(f"shifted_chebyshev_polynomial_{kind}" for kind in "tuvw"),
    *("hermite_polynomial_h", "hermite_polynomial_he"),
    *("laguerre_polynomial_l", "legendre_polynomial_p"),
)

_OPERATORS: Mapping[str, Callable[..., torch.Tensor]] = {
    **{name: getattr(torch, name) for name in _SAME_NAME},
    **{name: getattr(torch.special, name) for name in _SPECIAL},
    "k0": torch.special.modified_bessel_k0,
    "k1": torch.special.modified_bessel_k1,
    "k0e": torch.special.scaled_modified_bessel_k0,
    "k1e": torch.special.scaled_modified_bessel_k1,
    "trigamma": lambda x: torch.polygamma(1, x),
    "copy": torch.clone,
    "select": torch.where,
    "rarely": torch.where,
    "fma": _fma,
    "fmod": _fmod,
    "philox": _philox,
    "floordiv": torch.floor_divide,
    "truncdiv": _truncdiv,
    "and": torch.bitwise_and,
    "or": torch.bitwise_or,
    "xor": torch.bitwise_xor,
    "not": torch.bitwise_not,
    "shl": torch.bitwise_left_shift,
    "shr": torch.bitwise_right_shift,
}

_UNSIGNED: Mapping[str, Callable[..., np.ndarray]] = {
    "copy": np.copy,
    "select": np.where,
    "rarely": np.where,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "abs": np.abs,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "floordiv": np.floor_divide,
    "truncdiv": np.floor_divide,
    "remainder": np.remainder,
    "fmod": np.remainder,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.bitwise_not,
    "shl": lambda x, y: _unsigned_shift(np.left_shift, x, y),
    "shr": lambda x, y: _unsigned_shift(np.right_shift, x, y),
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "pow": np.power,
}

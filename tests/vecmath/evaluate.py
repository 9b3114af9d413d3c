"""A small numpy evaluator of pointwise IR graphs: the plainest reading of what each op means.

An fma of float32 goes through float64, where the product is exact and the sum rounds to 53 bits
first: in about one case of 2**29 the second rounding then differs from a true fma's by one ulp.
An fma of float64 carries the rounding errors of its product and its sum along.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fusekit.ir import DType, Graph, Node

Array = np.ndarray

_NUMPY = {
    DType.BOOL: np.bool_,
    DType.U32: np.uint32,
    DType.U64: np.uint64,
    DType.I32: np.int32,
    DType.I64: np.int64,
    DType.F32: np.float32,
    DType.F64: np.float64,
}


def evaluate(graph: Graph, *operands: Array) -> Array:
    """The output of a graph with one output, elementwise over the operands."""
    values: dict[int, Array] = dict(zip(graph.inputs, operands, strict=True))
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            values[node.output] = _node(node, [values[i] for i in node.inputs])
    return values[graph.outputs[0]]


def _node(node: Node, operands: list[Array]) -> Array:
    if node.op == "const":
        return _NUMPY[node.attr("dtype")](node.literal)
    if node.op == "cast":
        return _cast(operands[0], node.attr("dtype"))
    if node.op == "lookup":
        entries = np.array(node.table, _NUMPY[node.attr("dtype")])
        return entries[operands[0] & (len(entries) - 1)]
    if node.op == "bitcast":
        return operands[0].view(_NUMPY[node.attr("dtype")])
    return _OPS[node.op](*operands)


def _cast(x: Array, dtype: DType) -> Array:
    assert dtype.is_float or x.dtype.kind != "f", "no function may cast a float to an integer"
    return x.astype(_NUMPY[dtype])


def _fma(x: Array, y: Array, z: Array) -> Array:
    if x.dtype == np.float32:
        return (x.astype(np.float64) * y + z).astype(np.float32)
    product = x * y
    total = product + z
    above = total - product
    lost = (product - (total - above)) + (z - above) + _product_error(x, y, product)
    return np.where(np.isfinite(lost), total + lost, total)


def _product_error(x: Array, y: Array, product: Array) -> Array:
    """x * y - product exactly (Dekker), for magnitudes below 2**996."""
    x_high, x_low = _halves(x)
    y_high, y_low = _halves(y)
    return ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _halves(x: Array) -> tuple[Array, Array]:
    scaled = x * 134217729.0
    high = scaled - (scaled - x)
    return high, x - high


_OPS: dict[str, Callable[..., Array]] = {
    "select": np.where,
    "rarely": np.where,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "fma": _fma,
    "neg": np.negative,
    "abs": np.abs,
    "copysign": np.copysign,
    "round": np.rint,
    "sqrt": np.sqrt,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "shl": np.left_shift,
    "shr": np.right_shift,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "isnan": np.isnan,
}


def ulps(got: Array, want: Array) -> Array:
    """|got - want| in units of the last float32 place of `want`, a float64; inf if incomparable.

    An infinity beside a finite value counts as 2**128, which is where float32 rounds to it.
    """
    with np.errstate(all="ignore"):
        nearest = want.astype(np.float32)
        size = np.clip(np.abs(want), 2.0**-126, 2.0**127)
        unit = np.exp2(np.floor(np.log2(size)) - 23)
        finite = np.where(np.isinf(got), np.copysign(2.0**128, got), got.astype(np.float64))
        error = np.abs(finite - want) / unit
        same = (np.isnan(got) & np.isnan(want)) | (np.isinf(got) & (got == nearest))
        error = np.where(same, 0.0, error)
        flipped = (got == 0) & (nearest == 0) & (np.signbit(got) != np.signbit(want))
    return np.where(np.isnan(error) | flipped, np.inf, error)

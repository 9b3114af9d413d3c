"""Graphs as large as whole programs leave them, made without running anything."""

from __future__ import annotations

from collections.abc import Callable

from fusekit.ir import DType, Graph, GraphBuilder, Ref

__all__ = ["LARGE"]


def chain(n_nodes: int) -> Graph:
    """One long chain of pointwise nodes, which now and then reads another tensor."""
    builder = GraphBuilder()
    given = [builder.input(DType.F32, (64, 64)) for _ in range(4)]
    value = given[0]
    while len(builder.nodes) < n_nodes:
        n = len(builder.nodes)
        value = builder.apply("add", value, given[n % 4]) if n % 3 else builder.apply("exp", value)
    return builder.finish([value])


def optimizer(n_nodes: int) -> Graph:
    """AdamW, unrolled over tensors of a few shapes, with one tensor for the learning rate."""
    builder = GraphBuilder()
    rate = builder.input(DType.F32, ())
    sets = []
    for number in range(n_nodes // 14):
        shape = ((64, 64), (64,), (256, 64), (256,))[number % 4]
        sets.append([builder.input(DType.F32, shape) for _ in range(4)])
    beta = builder.const(0.9, DType.F32)
    rest = builder.const(0.1, DType.F32)
    results = []
    for weight, gradient, mean, square in sets:
        apply = builder.apply
        decayed = apply("sub", weight, apply("mul", apply("mul", weight, rate), rest))
        new_mean = apply("add", apply("mul", mean, beta), apply("mul", gradient, rest))
        squared = apply("mul", apply("mul", gradient, gradient), rest)
        new_square = apply("add", apply("mul", square, beta), squared)
        step = apply("div", new_mean, apply("sqrt", new_square))
        results += [apply("sub", decayed, apply("mul", step, rate)), new_mean, new_square]
    return builder.finish(results)


def transformer(n_nodes: int) -> Graph:
    """Layers of matrix products, norms, residuals and views, which share one mask."""
    builder = GraphBuilder()
    width, rows = 64, 32
    value = builder.input(DType.F32, (rows, width))
    mask = builder.input(DType.F32, (rows, width))
    weights = [builder.input(DType.F32, (width, width)) for _ in range(max(n_nodes // 27, 1))]
    half = builder.const(0.5, DType.F32)
    for weight in weights:
        normed = _normed(builder, value)
        heads = builder.value(DType.F32, (4, rows, 16), (16, width, 1))
        product = _call(builder, "aten.mm.default", normed, weight, shape=(rows, width))
        scaled = builder.apply("mul", product, builder.apply("add", mask, half))
        split = _view(builder, "aten.view.default", scaled, (rows, 4, 16), shape=(rows, 4, 16))
        builder.call(
            "aten.permute.default", (Ref(split), (1, 0, 2)), (), [split], [heads], op="view"
        )
        active = builder.apply("exp", builder.apply("mul", heads, half))
        back = builder.value(DType.F32, (rows, 4, 16), (16, rows * 16, 1))
        builder.call(
            "aten.permute.default", (Ref(active), (1, 0, 2)), (), [active], [back], op="view"
        )
        flat = _call(builder, "aten.clone.default", back, shape=(rows, width))
        value = builder.apply("add", value, flat)
        inner = _call(
            builder, "aten.mm.default", _normed(builder, value), weight, shape=(rows, width)
        )
        gate = builder.apply(
            "mul", builder.apply("sigmoid", inner), builder.apply("mul", inner, mask)
        )
        value = builder.apply("add", value, gate)
    return builder.finish([value])


def _normed(builder: GraphBuilder, value: int) -> int:
    shape = builder.shape(value) or ()
    mean = _call(builder, "aten.mean.dim", value, shape=(*shape[:-1], 1))
    moved = builder.apply("sub", value, mean)
    spread = _call(
        builder, "aten.mean.dim", builder.apply("mul", moved, moved), shape=(*shape[:-1], 1)
    )
    return builder.apply("div", moved, builder.apply("sqrt", spread))


def pieces(n_nodes: int) -> Graph:
    """Values split in two, computed with, and put together again; rotations, as it were."""
    builder = GraphBuilder()
    tables = [builder.input(DType.F32, (64, 32)) for _ in range(2)]
    results = []
    while len(builder.nodes) < n_nodes:
        value = builder.input(DType.F32, (64, 64))
        value = builder.apply("mul", value, value)
        for _ in range(3):
            halves = [builder.value(DType.F32, (64, 32), (64, 1)) for _ in range(2)]
            builder.call("aten.split.Tensor", (Ref(value), 32, 1), (), [value], halves, op="view")
            apply = builder.apply
            low = apply(
                "sub", apply("mul", halves[0], tables[0]), apply("mul", halves[1], tables[1])
            )
            high = apply(
                "add", apply("mul", halves[1], tables[0]), apply("mul", halves[0], tables[1])
            )
            value = builder.cat([low, high], 1, (64, 64))
            value = builder.apply("add", value, value)
        results.append(value)
    return builder.finish(results)


def _call(builder: GraphBuilder, target: str, *operands: int, shape: tuple[int, ...]) -> int:
    made = builder.value(DType.F32, shape)
    builder.call(target, tuple(map(Ref, operands)), (), operands, [made])
    return made


def _view(
    builder: GraphBuilder, target: str, operand: int, *given: object, shape: tuple[int, ...]
) -> int:
    made = builder.value(DType.F32, shape)
    builder.call(target, (Ref(operand), *given), (), [operand], [made], op="view")  # type: ignore[arg-type]
    return made


LARGE: dict[str, Callable[[int], Graph]] = {
    "a chain": chain,
    "an optimizer": optimizer,
    "a transformer": transformer,
    "split and joined": pieces,
}

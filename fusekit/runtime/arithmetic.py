"""Arithmetic on some elements: in the reference's, in an engine's, and in float64's.

Generated code contracts nothing and rounds an operation the same wherever it stands: in a vector
or in the rest of a loop, with its result kept in a register or stored. So a kernel that stores
every intermediate of one element computes the bits that the kernel of the whole tensors computes.
(Under the option `fast` a compiler may contract, and then not alike in both.)
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch

from fusekit.codegen import emit_nodes
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.errors import FusionDeclined
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType, Graph, GraphBuilder, Node
from fusekit.ir.graph import Literal
from fusekit.registry import spec_of
from fusekit.runtime.binding import bind, expand_strides
from fusekit.runtime.devices import kind_of
from fusekit.runtime.engines import Engine
from fusekit.runtime.kernels import kernel_for
from fusekit.runtime.operand import Operand
from fusekit.specs import Decline, KernelSpec

__all__ = ["Part", "by_engine", "by_reference", "grains", "in_float64", "ulps_between"]

_MAX_NODES = 32
"""Results that one kernel stores: beyond, compile time and arguments grow for nothing."""

Leaves = Mapping[int, torch.Tensor]
"""Position of what is given -> its value: without dimensions for one element, else with one."""


class Part(Protocol):
    """An `elements.Element`, or a `bundles.Bundle` of many."""

    @property
    def value(self) -> int:
        """Id of the value in the graph."""

    @property
    def node(self) -> Node | None:
        """What makes it; None for an argument."""

    @property
    def stage(self) -> int:
        """Neighbours of one stage may share a kernel."""

    @property
    def reads(self) -> tuple[int, ...]:
        """Where, in the list of all, its operands are."""

    @property
    def is_computed(self) -> bool:
        """True for a pointwise node's."""

    @property
    def is_const(self) -> bool:
        """True for a literal."""

    @property
    def assemble(self) -> Callable[[Sequence[torch.Tensor]], torch.Tensor]:
        """For what is not pointwise: what it is, given its operands."""


def by_reference(
    graph: Graph, elements: Sequence[Part], leaves: Leaves, device: torch.device
) -> list[torch.Tensor]:
    """Each element's value as PyTorch's own operators compute it on the device."""
    dialect = ReferenceDialect(*_nothing(graph, device))
    made: list[torch.Tensor] = []
    for position, element in enumerate(elements):
        if position in leaves:
            made.append(leaves[position].to(device))
        else:
            made.append(_evaluated(dialect, element, made))
    return made


def in_float64(
    graph: Graph,
    elements: Sequence[Part],
    leaves: Leaves,
    reference: Sequence[torch.Tensor],
) -> list[torch.Tensor]:
    """Each element's value with every floating operation done in float64, casts included.

    Where only this arithmetic divides an integer by zero, it takes the reference's quotient.
    """
    device = torch.device("cpu")
    dialect = _Float64(*_nothing(graph, device))
    made: list[torch.Tensor] = []
    for position, element in enumerate(elements):
        try:
            given = leaves.get(position)
            found = _evaluated(dialect, element, made) if given is None else given.to(device)
        except (ZeroDivisionError, RuntimeError):
            found = reference[position].to(device)
        made.append(_widened(found))
    return made


def _nothing(
    graph: Graph, device: torch.device
) -> tuple[KernelSpec, tuple[torch.Tensor, ...], tuple[()]]:
    """A dialect's arguments where values are given one by one: the tensor says the device."""
    return KernelSpec("", graph, (), (), (), (), ()), (torch.empty((), device=device),), ()


def _evaluated(
    dialect: ReferenceDialect, element: Part, made: Sequence[torch.Tensor]
) -> torch.Tensor:
    node = element.node
    assert node is not None
    operands = [made[read] for read in element.reads]
    if not node.is_pointwise:  # a view, a cat of pieces, or a call that is made again
        return element.assemble(operands)
    values = dict(zip(node.inputs, operands, strict=True))
    emit_nodes(dataclasses.replace(dialect.spec.graph, nodes=(node,)), values, dialect)
    return values[node.output]


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


class _Float64(ReferenceDialect):
    """The reference with float64 in place of every floating type."""

    def const(self, literal: Literal, dtype: DType, result: int) -> torch.Tensor:
        """The graph's literal, which has been rounded to its type when it was traced."""
        return super().const(literal, DType.F64 if dtype.is_float else dtype, result)

    def cast(
        self, operand: torch.Tensor, source: DType, target: DType, result: int
    ) -> torch.Tensor:
        """Between floating types nothing."""
        return super().cast(operand, source, DType.F64 if target.is_float else target, result)

    def bitcast(
        self, operand: torch.Tensor, source: DType, target: DType, result: int
    ) -> torch.Tensor:
        """The bits that the narrower type would have."""
        return super().bitcast(operand.to(TO_TORCH[source]), source, target, result)


def by_engine(
    engine: Engine,
    device: torch.device,
    graph: Graph,
    elements: Sequence[Part],
    leaves: Leaves,
    *,
    step: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[torch.Tensor]:
    """Each element's value as the engine's kernels compute it; `leaves` hold the literals, too.

    `step` is told how many of them there are, before each kernel; it may raise to stop.

    Raises:
        FusionDeclined: a kernel did not compile, or a launch failed.
    """
    kernels = _Kernels(engine, device, graph, elements)
    made = {position: leaf.to(device) for position, leaf in leaves.items()}
    for positions in _segments(elements, leaves):
        element = elements[positions[0]]
        if element.is_computed:
            step(positions[0], len(elements))
            made.update(kernels.run(positions, made))
        else:
            made[positions[0]] = element.assemble([made[read] for read in element.reads])
    return [made[position] for position in range(len(elements))]


def _segments(elements: Sequence[Part], leaves: Leaves) -> Iterator[list[int]]:
    """Positions to compute in turn: some of one group, or one view or cat."""
    rest = [position for position in range(len(elements)) if position not in leaves]

    def step(position: int) -> tuple[int, int]:
        element = elements[position]
        return element.stage, -1 if element.is_computed else position

    for _, alike in itertools.groupby(rest, key=step):
        run = list(alike)
        yield from (run[i : i + _MAX_NODES] for i in range(0, len(run), _MAX_NODES))


@dataclasses.dataclass(frozen=True, slots=True)
class _Kernels:
    """Kernels of an engine that compute some elements, and store each."""

    engine: Engine
    device: torch.device
    graph: Graph
    elements: Sequence[Part]

    def run(
        self, positions: Sequence[int], known: Mapping[int, torch.Tensor]
    ) -> dict[int, torch.Tensor]:
        """What one kernel computes from what is known."""
        computed, read = self.kernel_graph(positions)
        spec = spec_of(computed)
        given = [known[i] for i in read]
        shape = torch.broadcast_shapes(*(tensor.shape for tensor in given))  # type: ignore[no-untyped-call]
        dense = (1,) * len(shape)
        inputs = [
            Operand(self.dtype(i), expand_strides(tensor.shape, tensor.stride(), shape))
            for i, tensor in zip(read, given, strict=True)
        ]
        outputs = [Operand(self.dtype(i), dense) for i in positions]
        binding = bind(shape, inputs, outputs, self.engine.device)
        launcher = kernel_for(self.engine, spec, binding.args).launcher
        made = [torch.empty(shape, dtype=TO_TORCH[x.dtype], device=self.device) for x in outputs]
        addresses = [tensor.data_ptr() for tensor in (*given, *made)]
        error = launcher.function(launcher.layout(binding, self.device.index or 0), *addresses)
        kind = kind_of(self.engine.device)
        if error and (spec.traps or kind.may_always_fail):
            raise FusionDeclined(Decline(kind.failure, error if isinstance(error, str) else ""))
        return dict(zip(positions, made, strict=True))

    def kernel_graph(self, positions: Sequence[int]) -> tuple[Graph, list[int]]:
        """The elements at `positions` as a group graph that returns each; and what it reads."""
        builder = GraphBuilder("elements")
        operands = dict.fromkeys(i for position in positions for i in self.elements[position].reads)
        outside = [i for i in operands if i not in positions]
        literals = [i for i in outside if self.elements[i].is_const]
        read = [i for i in outside if not self.elements[i].is_const]
        made = {i: builder.input(self.dtype(i)) for i in read}
        for position in (*literals, *positions):
            element = self.elements[position]
            assert element.node is not None
            made[position] = builder.value(self.dtype(position))
            inputs = tuple(made[i] for i in element.reads)
            outputs = (made[position],)
            builder.add(dataclasses.replace(element.node, inputs=inputs, outputs=outputs))
        return builder.finish(made[position] for position in positions), read

    def dtype(self, position: int) -> DType:
        """The dtype of an element."""
        return self.graph.dtype(self.elements[position].value)


def grains(graph: Graph, elements: Sequence[Part]) -> list[DType | None]:
    """The coarsest floating type that each element has been rounded to; its own for what is none.

    A bfloat16 result that is read as float32 is as far from float64 as it was, but 65536 times as
    many ulps of float32: counted so, every half would look like a fault. What is given has been
    rounded by nobody here.
    """
    made: list[DType | None] = []
    for element in elements:
        own = graph.values[element.value].dtype
        before = [made[read] for read in element.reads]
        if own is not None and own.is_float:
            rounded = [dtype for dtype in before if dtype is not None and dtype.is_float]
            own = max([own, *rounded], key=_epsilon) if element.reads else DType.F64
        made.append(own)
    return made


def _epsilon(dtype: DType) -> float:
    return torch.finfo(TO_TORCH[dtype]).eps


def ulps_between(found: Literal, wanted: Literal, dtype: DType) -> float:
    """|found - wanted| in units of the last place of `dtype` at `wanted`.

    An ulp is the distance between the two neighbours in `dtype` that enclose `wanted`, as
    Muller's Handbook of Floating-Point Arithmetic (2.6.1) takes it from Goldberg; that of an
    integer or bool is 1. Infinite where one is infinite or no number and the other is not.
    """
    if not dtype.is_float:
        return float(abs(int(found) - int(wanted)))
    if found == wanted or (math.isnan(found) and math.isnan(wanted)):
        return 0.0
    if not (math.isfinite(found) and math.isfinite(wanted)):
        return math.inf
    info = torch.finfo(TO_TORCH[dtype])
    _, exponent = math.frexp(min(max(abs(wanted), info.tiny), info.max))
    # frexp's mantissa is in [0.5, 1), so the unit of the last place is eps * 2**(exponent - 1)
    return abs(found - wanted) / math.ldexp(info.eps, exponent - 1)

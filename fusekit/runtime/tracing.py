"""Tracing one element of one call: what it is made from, and its value in every arithmetic."""

from __future__ import annotations

import contextlib
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import FusionDeclined
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType
from fusekit.ir.graph import contiguous_strides
from fusekit.runtime.arithmetic import by_engine, by_reference, grains, in_float64, ulps_between
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.elements import Element, base_element, elements_of
from fusekit.runtime.elementtrace import ElementTrace, TracedNode
from fusekit.runtime.engines import ENGINES, Engine
from fusekit.runtime.leaf_names import leaf_names
from fusekit.runtime.program import Program
from fusekit.runtime.replay import inputs_of, made_by, numbers_of
from fusekit.runtime.signature import foreign_context
from fusekit.runtime.walks import Walk, walk_of
from fusekit.specs import Decline, Reason

__all__ = ["TracedCall", "made_results", "prepared", "trace"]


def trace(
    dispatcher: Dispatcher,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    index: Any,
    output: int,
) -> ElementTrace:
    """See `FusedFunction.trace`."""
    with torch.no_grad():
        call = prepared(dispatcher, args, kwargs)
        outputs = _outputs(call.program, call.leaves)
        if not -len(outputs) <= output < len(outputs):
            raise IndexError(f"there is no output {output}: the function makes {len(outputs)}")
        value = outputs[output]
        position = _position(index, call.graph.values[value].shape or ())
        nodes = call.trace(*_after_writes(call.program, value, position))
    return ElementTrace(
        name=dispatcher.name,
        output=output % len(outputs),
        index=position,
        engine=call.engine.name,
        engines=tuple(call.engines),
        nodes=nodes,
        walks=tuple(call.walks(nodes)),
    )


def prepared(dispatcher: Dispatcher, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TracedCall:
    """The call, which is not made yet, without gradients.

    Raises:
        FusionDeclined: it would not be fused; the decline says why.
        EngineUnavailableError: the engine asked for by name cannot run here.
    """
    decline = foreign_context()
    if decline is not None:
        raise FusionDeclined(decline)
    with torch.no_grad():
        program, plan = dispatcher.entry(args, kwargs).fused()
    leaves = pytree.tree_leaves((args, kwargs))
    names = leaf_names(dispatcher.function, args, kwargs)
    return TracedCall(program, plan.engine, leaves, names)


def _outputs(program: Program, leaves: Sequence[Any]) -> list[int]:
    """The graph's value for each tensor that the function returns, then for each it writes."""
    values = iter(program.results)
    sources = zip(program.capture.sources, program.graph.tensor_inputs, strict=True)
    inputs = {source.leaf: value for source, value in sources}
    found = []
    for result in program.capture.results:
        if result.value is not None:
            found.append(next(values))
        elif result.leaf is not None and isinstance(leaves[result.leaf], torch.Tensor):
            found.append(inputs[result.leaf])
    return found + [target for target, _ in program.writes]


def made_results(call: TracedCall) -> list[torch.Tensor]:
    """The tensors that a call returns, then the arguments it writes; it writes none of them.

    Raises:
        FusionDeclined: the call runs in PyTorch after all.
    """
    program, written = call.program, dict(call.program.writes)
    values = _outputs(program, call.leaves)
    bases = {value: program.places[value].base for value in values if value in program.places}
    made = call.run(tuple(dict.fromkeys((*values, *written.values()))))
    found = []
    for value in values:
        base = bases.get(value, value)
        if base not in written:
            found.append(made[value].detach())
        else:  # an argument, or a view of one, as it is afterwards
            whole, part = program.places[base], program.places[value]
            after = made[written[base]]
            memory = torch.empty_strided(
                whole.shape, whole.strides, dtype=after.dtype, device=after.device
            )
            found.append(memory.copy_(after).as_strided(*part.geometry))
    return found


def _after_writes(
    program: Program, value: int, index: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    """What an element of an argument, or of a view of one, is after the writes into arguments."""
    base, position = base_element(program, value, index)
    written = dict(program.writes)
    return (written[base], position) if base in written else (value, index)


def _position(index: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """A user's index as numbers from 0; errors are those of indexing a tensor."""
    if index is None:
        index = (0,) * len(shape)
    given = index if isinstance(index, tuple | list) else (index,)
    if any(isinstance(number, bool) for number in given):
        raise TypeError("an index is made of integers, not bools")
    numbers = [operator.index(number) for number in given]
    if len(numbers) > len(shape):
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    if len(numbers) < len(shape):
        raise IndexError(f"one element of a tensor of dimension {len(shape)} takes as many indices")
    for dim, (number, extent) in enumerate(zip(numbers, shape, strict=True)):
        if not -extent <= number < extent:
            raise IndexError(
                f"index {number} is out of bounds for dimension {dim} with size {extent}"
            )
    return tuple(number % extent for number, extent in zip(numbers, shape, strict=True))


class TracedCall:
    """One call whose intermediate values are asked for."""

    def __init__(
        self, program: Program, engine: Engine, leaves: Sequence[Any], names: Sequence[str]
    ) -> None:
        self.program = program
        self.graph = program.graph
        self.device = program.capture.device
        self.engine = engine
        self.leaves = leaves
        self.names = names
        # an element is soon moved, so every engine that works on this machine computes it
        others = [each for each in ENGINES.values() if each.unavailable() is None]
        self.engines = {engine.name: engine} | {each.name: each for each in others}

    def trace(self, value: int, index: tuple[int, ...]) -> tuple[TracedNode, ...]:
        """What an element depends on, itself last."""
        elements = elements_of(self.program, value, index)
        values = self.values(elements)
        found = zip(elements, grains(self.graph, elements), strict=True)
        return tuple(
            self.node(element, elements, grain, {name: made[i] for name, made in values.items()})
            for i, (element, grain) in enumerate(found)
        )

    def walks(self, nodes: Sequence[TracedNode]) -> Iterator[Walk]:
        """Where each group computes the last of its elements that another group reads."""
        last = {node.group: node for node in nodes if node.op != "input"}
        for number, call in enumerate(self.program.kernels):
            node = last.get(number)
            walk = walk_of(call, number, node.value, node.index, self.engine) if node else None
            if walk is not None:
                yield walk

    def values(self, elements: Sequence[Element]) -> dict[str, list[Any]]:
        """Name of an arithmetic -> the value of each element, as Python numbers."""
        found = self.given(elements)
        reference = by_reference(self.graph, elements, found, self.device)
        wide = in_float64(self.graph, elements, found, reference)
        found |= {i: reference[i] for i, element in enumerate(elements) if element.is_const}
        made = {}
        for name, engine in self.engines.items():
            if engine.compiler:
                place = self.device_of(engine)
                is_gpu = place.type == "cuda"
                with torch.cuda.device(place) if is_gpu else contextlib.nullcontext():
                    made[name] = by_engine(engine, place, self.graph, elements, found)
            else:
                made[name] = reference
        made["float64"] = wide
        return {name: [tensor.item() for tensor in each] for name, each in made.items()}

    def device_of(self, engine: Engine) -> torch.device:
        """Where an engine computes elements of this call."""
        if engine.device == self.device.type:
            return self.device
        index = torch.cuda.current_device() if engine.device == "cuda" else None
        return torch.device(engine.device, index)  # type: ignore[arg-type]

    # what is given

    def given(self, elements: Sequence[Element]) -> dict[int, torch.Tensor]:
        """The elements that nothing here computes: arguments, positions, what PyTorch made."""
        ends = {
            i: element
            for i, element in enumerate(elements)
            if not element.reads and not element.is_const
        }
        opaque = [
            each.value
            for each in ends.values()
            if each.node is not None and each.node.op != "index"
        ]
        tensors = self.inputs() | self.run(tuple(dict.fromkeys(opaque)))
        scalars = self.scalars()
        found = {}
        for i, element in ends.items():
            if element.value in scalars:
                found[i] = scalars[element.value]
            elif element.value in tensors:
                found[i] = tensors[element.value].detach()[element.index].clone()
            else:
                found[i] = self.count(element)
        return found

    def inputs(self) -> dict[int, torch.Tensor]:
        """The tensor inputs of the graph."""
        return inputs_of(self.program, self.leaves)

    def scalars(self) -> dict[int, torch.Tensor]:
        """The scalar inputs of the graph."""
        return {
            value: torch.tensor(number, dtype=TO_TORCH[self.graph.dtype(value)])
            for value, number in numbers_of(self.program, self.leaves).items()
        }

    def count(self, element: Element) -> torch.Tensor:
        """An `index`: the element's position, row by row."""
        shape = self.graph.values[element.value].shape
        assert shape is not None
        steps = zip(element.index, contiguous_strides(shape), strict=True)
        return torch.tensor(sum(number * stride for number, stride in steps))

    def run(self, wanted: tuple[int, ...]) -> dict[int, torch.Tensor]:
        """Make the call once, without its writes, and keep what PyTorch made on the way.

        It is made even if nothing is wanted: what it draws is drawn, and a trap is met.

        Raises:
            FusionDeclined: the call runs in PyTorch after all.
        """
        self.check_overlap()
        return made_by(self.program, self.engine, self.leaves, wanted, _decline)

    def check_overlap(self) -> None:
        """As a call does that writes: the target shares memory with no other argument."""
        inputs = self.inputs()
        tensors = [x for x in self.leaves if isinstance(x, torch.Tensor)]
        tensors += [x for x in inputs.values() if all(x is not other for other in tensors)]
        for target, _ in self.program.writes:
            memory = inputs[target].untyped_storage().data_ptr()
            if sum(tensor.untyped_storage().data_ptr() == memory for tensor in tensors) > 1:
                raise FusionDeclined(Decline(Reason.OVERLAP, "two arguments share memory"))

    # what is told

    def node(
        self,
        element: Element,
        elements: Sequence[Element],
        grain: DType | None,
        values: Mapping[str, Any],
    ) -> TracedNode:
        """What is told of an element."""
        node = element.node
        wide = values["float64"]
        narrow = {name: found for name, found in values.items() if name != "float64"}
        return TracedNode(
            value=element.value,
            index=element.index,
            op=node.op if node is not None else "input",
            operands=tuple(elements[i].value for i in element.reads),
            reads=element.reads,
            dtype=self.graph.values[element.value].dtype,
            name=self.name(element.value) if node is None else "",
            origin=node.origin if node is not None else "",
            loc=node.loc if node is not None else None,
            group=element.group,
            values=narrow,
            float64=wide,
            grain=grain,
            ulps={
                name: 0.0 if grain is None else ulps_between(found, wide, grain)
                for name, found in narrow.items()
            },
            site=node.site if node is not None else -1,
        )

    def name(self, value: int) -> str:
        """An input as the user would say it."""
        capture = self.program.capture
        if value in self.graph.scalar_inputs:
            text = capture.scalars[self.graph.scalar_inputs.index(value)]
            if text.isdecimal():
                return "number of the draw"
            text = re.sub(r"\b(?:float|int)\('([^']*)'\)", r"\1", text)
            return re.sub(r"\ba(\d+)\b", lambda found: self.names[int(found[1])], text)
        source = capture.sources[self.graph.tensor_inputs.index(value)]
        if source.leaf is not None:
            return self.names[source.leaf]
        return source.free.name if source.free else "constant"


def _decline(_leaves: Sequence[Any], decline: Decline) -> Any:
    raise FusionDeclined(decline)

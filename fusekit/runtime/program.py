"""Programs: a capture, divided into kernels and calls, with every operand's place in memory."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypedDict

from fusekit.frontends.calls import view_geometry
from fusekit.frontends.fx import Capture
from fusekit.fusion import (
    Flow,
    Group,
    Partition,
    Plan,
    Rules,
    check_fits,
    in_stages,
    move,
    partition,
    simplify,
)
from fusekit.ir import Graph, Node, Value
from fusekit.registry import group_graph
from fusekit.runtime.binding import Binding, bind, expand_strides
from fusekit.runtime.devices import kind_of
from fusekit.runtime.in_place import moved_in_place
from fusekit.runtime.kernels import specs
from fusekit.runtime.operand import Operand
from fusekit.runtime.place import Place
from fusekit.runtime.renewed import renewed
from fusekit.specs import ArgSpec, KernelSpec

__all__ = ["KernelCall", "Program", "build", "divide", "places_of", "rebind", "rules_of"]


@dataclasses.dataclass(frozen=True)
class KernelCall:
    """One group, ready to be compiled.

    Attributes:
        group: its nodes in the program's graph.
        spec: its normal form.
        binding: ArgSpec and layout for this signature.
        scalars: ids of the scalar inputs, in the kernel's order.
        tensors: ids of the tensors the kernel loads.
        reads: where each of them lies.
        writes: where each tensor the kernel stores lies.
        indices: ids of the indices the kernel counts, or of views of such.
        counts: where each of them would lie if it were a tensor.
        numbering: value id in the program's graph -> id in `spec.graph`.
    """

    group: Group
    spec: KernelSpec
    binding: Binding
    scalars: tuple[int, ...]
    tensors: tuple[int, ...]
    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    indices: tuple[int, ...]
    counts: tuple[Place, ...]
    numbering: Mapping[int, int]

    @property
    def form(self) -> tuple[KernelSpec, ArgSpec]:
        """What it shares with the calls of the same compiled kernel."""
        return self.spec, self.binding.args

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the tensors lie: what is loaded, then what is stored."""
        return self.reads + self.writes

    def traffic(self) -> Iterator[tuple[Place, int]]:
        """Each place that is read or written, with its bytes; indices are in no memory."""
        for place, desc in zip(self.places, self.binding.args.tensors, strict=True):
            yield place, place.footprint * desc.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Program:
    """What one signature of a function runs as.

    Attributes:
        capture: what the trace found; its value ids are not those of `graph`.
        graph: simplified, with views and cats moved.
        partition: the steps.
        stages: of each step; those of one stage follow each other and do not wait for one another.
        kernels: one for each group, in order.
        places: value id -> where it lies, for all tensors in strided memory.
        results: graph value of each result of `capture.results` that is a value, in order.
        writes: (graph input, graph value that it holds at the end).
        moved: value that a kernel stores into an argument -> where; the rest of `writes` is copied.
            The places of kernel calls say so, `places` do not.
    """

    capture: Capture
    graph: Graph
    partition: Partition
    stages: tuple[int, ...]
    kernels: tuple[KernelCall, ...]
    places: Mapping[int, Place]
    results: tuple[int, ...]
    writes: tuple[tuple[int, int], ...]
    moved: Mapping[int, Place]

    @property
    def device(self) -> str:
        """The type of the device that its kernels are bound for."""
        bound = (call.binding.args.device for call in self.kernels)
        return next(bound, self.capture.device.type)

    @functools.cached_property
    def launches(self) -> tuple[tuple[KernelCall, ...], ...]:
        """The kernels, in order, those together that one launch runs."""
        if len(self.kernels) == 1:
            return (self.kernels,) if self.kernels[0].binding.numel else ()
        stage_of = {
            step.index: stage
            for step, stage in zip(self.partition.steps, self.stages, strict=True)
            if isinstance(step, Group)
        }
        key_of = kind_of(self.device).batch_key
        found: dict[Hashable, list[KernelCall]] = {}
        for call in self.kernels:
            if call.binding.numel:
                stage = stage_of[call.group.index]
                found.setdefault((stage, key_of(call.form, call.group.shape)), []).append(call)
        return tuple(map(tuple, found.values()))

    def is_in_place(self, value: int) -> bool:
        """True for one of `writes` that its kernel stores where it belongs."""
        place = self.places.get(value)
        return place is not None and place.base in self.moved


def build(capture: Capture, max_arguments: int, plan: Plan | None = None) -> Program:
    """Divide a capture, as a plan says if there is one, and bind its kernels.

    Raises:
        PlanRefused: the plan demands a group that cannot be.
        UsageError: the plan is for another function.
    """
    graph = simplify(move(simplify(capture.graph), view_geometry))
    device = capture.device.type
    kind = kind_of(device)
    divided = divide(capture, graph, max_arguments, plan)
    places = places_of(graph)
    calls = [_kernel_call(graph, group, places, device) for group in divided.groups]
    known = {id(call.group.nodes): call for call in calls}
    ordered, stages = in_stages(
        divided, lambda group: kind.batch_key(known[id(group.nodes)].form, group.shape)
    )
    position = {old: i for i, old in enumerate(capture.graph.inputs)}
    n_results = len(graph.outputs) - len(capture.writes)
    writes = tuple(
        (graph.inputs[position[target]], value)
        for (target, _), value in zip(capture.writes, graph.outputs[n_results:], strict=True)
    )
    results = graph.outputs[:n_results]
    kernels = tuple(
        dataclasses.replace(known[id(group.nodes)], group=group) for group in ordered.groups
    )
    program = Program(capture, graph, ordered, stages, kernels, places, results, writes, {})
    return _stored_in_place(program, places, device) if writes else program


def divide(capture: Capture, graph: Graph, max_arguments: int, plan: Plan | None) -> Partition:
    """The steps of a capture that has become `graph`; raises what `build` does."""
    rules = rules_of(capture, graph, plan)
    most = min(max_arguments, kind_of(capture.device.type).max_tensors(graph))
    return partition(graph, most, rules=rules)


def rules_of(capture: Capture, graph: Graph, plan: Plan | None) -> Rules | None:
    """What a plan says of a capture that has become `graph`; raises what `build` does."""
    if plan is None:
        return None
    check_fits(plan, capture.graph)
    return Rules(plan, capture.graph, Flow(graph), capture.obstacles)


def rebind(program: Program, device: str = "") -> Program:
    """The program with places and bindings computed anew for the shapes of its graph.

    `device` is the device type to bind for, if it is not that of the arguments: kernels can be
    written, and read, for a GPU that is not there.
    """
    places = places_of(program.graph)
    return _stored_in_place(program, places, device or program.capture.device.type)


def _stored_in_place(program: Program, own: Mapping[int, Place], device: str) -> Program:
    """The program with values in places of their own, but for what it may write in place."""
    moved: Mapping[int, Place] = {}
    if program.writes:
        moved = moved_in_place(
            program.graph,
            list(zip(program.partition.steps, program.stages, strict=True)),
            own,
            program.results,
            program.writes,
        )
    graph, places = program.graph, _located(own, moved)
    groups = {step.index: step for step in program.partition.steps if isinstance(step, Group)}
    kernels = []
    for call in program.kernels:
        group = groups[call.group.index]
        placed = _placed(graph, group, call.tensors, call.indices, places, device=device)
        kernels.append(renewed(call, group=group, **placed))
    return renewed(program, kernels=tuple(kernels), places=own, moved=moved)


def _located(places: Mapping[int, Place], moved: Mapping[int, Place]) -> Mapping[int, Place]:
    """Where values lie for kernels: what is moved takes its views along."""
    if not moved:
        return places
    return {
        value: moved[value]
        if value in moved
        else dataclasses.replace(place, base=moved[place.base].base)
        if place.base in moved
        else place
        for value, place in places.items()
    }


class _OwnPlaces(Mapping[int, Place]):
    """The places of values that share no memory: made when they are looked at."""

    def __init__(self, graph: Graph) -> None:
        self._values = graph.values
        self._made: dict[int, Place] = {}

    def __getitem__(self, value_id: int) -> Place:
        if value_id not in self._made:
            _own(self._made, self._values[value_id])
        return self._made[value_id]

    def __iter__(self) -> Iterator[int]:
        return (v.id for v in self._values if v.shape is not None and not v.scalar)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def places_of(graph: Graph, *, in_cats: bool = True) -> Mapping[int, Place]:
    """Every value's place; views share their base's memory, the pieces of a cat the cat's.

    Without `in_cats`, cats copy their pieces, as eager PyTorch's do.
    """
    if not any(node.op in ("view", "cat") for node in graph.nodes):
        return _OwnPlaces(graph)
    places: dict[int, Place] = {}
    for value_id in graph.tensor_inputs:
        _own(places, graph.values[value_id])
    for node in graph.nodes:
        # an index is a tensor in no memory, whose elements are their own offsets
        base = places.get(node.inputs[0]) if node.op == "view" else None
        if base is None:
            for result in node.outputs:
                _own(places, graph.values[result])
            if node.op == "cat" and in_cats:
                _place_pieces(places, graph, node)
        else:
            found = view_geometry(node, base.geometry)
            for result, geometry in zip(node.outputs, found, strict=True):
                places[result] = Place(base.base, *geometry)
    return places


def _own(places: dict[int, Place], value: Value) -> None:
    if value.shape is not None and not value.scalar:
        places[value.id] = Place(value.id, value.shape, value.dense_strides)


def _place_pieces(places: dict[int, Place], graph: Graph, cat: Node) -> None:
    whole = places[cat.output]
    dim = cat.attr("dim")
    assert isinstance(dim, int)
    start = 0
    for piece in cat.inputs:
        shape = graph.values[piece].shape
        assert shape is not None
        offset = whole.offset + start * whole.strides[dim]
        places[piece] = Place(whole.base, shape, whole.strides, offset)
        start += shape[dim]


def _kernel_call(
    graph: Graph, group: Group, places: Mapping[int, Place], device: str
) -> KernelCall:
    # values at the same place are one operand
    same: dict[tuple[Place, object], int] = {}
    alias: dict[int, int] = {}
    for value_id in group.inputs:
        value = graph.values[value_id]
        if not value.scalar:
            alias[value_id] = same.setdefault((places[value_id], value.dtype), value_id)
    nodes = [
        dataclasses.replace(node, inputs=tuple(alias.get(i, i) for i in node.inputs))
        for node in group.nodes
    ]
    read = dict.fromkeys(alias.get(i, i) for i in group.inputs)
    counted = [i for i in read if i in places and _is_index(graph, places[i].base)]
    nodes += [Node("index", (), (i,)) for i in counted]
    inputs = tuple(i for i in read if i not in counted)
    normal, numbering = group_graph(graph, nodes, inputs, group.outputs)
    numbering |= {old: numbering[new] for old, new in alias.items()}
    spec = specs.intern(normal, graph.name)
    tensors = [i for i in inputs if not graph.values[i].scalar]
    indices = sorted(counted, key=numbering.__getitem__)
    return KernelCall(
        group=group,
        spec=spec,
        scalars=tuple(i for i in inputs if graph.values[i].scalar),
        tensors=tuple(tensors),
        indices=tuple(indices),
        numbering=numbering,
        **_placed(graph, group, tensors, indices, places, device=device),
    )


def _is_index(graph: Graph, value_id: int) -> bool:
    maker = graph.producers.get(value_id)
    return maker is not None and maker.op == "index"


class _Placed(TypedDict):
    """What a kernel call has where its values have places."""

    binding: Binding
    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    counts: tuple[Place, ...]


def _placed(
    graph: Graph,
    group: Group,
    tensors: Sequence[int],
    indices: Sequence[int],
    places: Mapping[int, Place],
    *,
    device: str,
) -> _Placed:
    reads = tuple([places[i] for i in tensors])
    writes = tuple([places[i] for i in group.outputs])
    counts = tuple([places[i] for i in indices])
    stored = {place.base: position for position, place in enumerate(writes)}
    binding = bind(
        group.shape,
        _operands(graph, tensors, reads, group.shape),
        _operands(graph, group.outputs, writes, group.shape),
        device,
        _operands(graph, indices, counts, group.shape),
        in_place=tuple([(i, stored[p.base]) for i, p in enumerate(reads) if p.base in stored]),
    )
    return {"binding": binding, "reads": reads, "writes": writes, "counts": counts}


def _operands(
    graph: Graph, values: Sequence[int], places: Sequence[Place], target: tuple[int, ...]
) -> list[Operand]:
    return [
        Operand(
            graph.dtype(value), expand_strides(place.shape, place.strides, target), place.offset
        )
        for value, place in zip(values, places, strict=True)
    ]

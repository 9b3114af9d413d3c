"""Torch's own graphs, as functions that can be captured: fx.GraphModule, TorchScript groups.

A TorchScript graph is read once into steps, which an interpreter of a page carries out operator by
operator in PyTorch. Capturing that run is what fuses it: nothing of the graph's text, and no name
in it, goes any further.
"""

from __future__ import annotations

import dataclasses
import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from fusekit.errors import GraphError

__all__ = ["TorchGroup"]


class TorchGroup:
    """A callable group with a text that says what it computes.

    Attributes:
        name: for displays.
        content: equal for groups that differ in names, types and source lines only.
        n_inputs: how many values it takes.
        function: what to capture.
    """

    def __init__(self, group: Any) -> None:
        """Read a torch.fx.GraphModule, a torch._C.Graph or a prim::FusionGroup node.

        Raises:
            GraphError: it holds something that no fusion group may hold.
        """
        self.function: Callable[..., Any]
        if isinstance(group, torch.fx.GraphModule):
            self.name = "graph_module"
            self.function, self.content, self.n_inputs = _read_module(group)
        else:
            self.name = "fusion_group"
            reader = _Reader(_subgraph(group))
            self.function, self.content = reader.program(), reader.text()
            self.n_inputs = self.function.n_inputs

    def __call__(self, *values: Any) -> Any:
        """Run it in PyTorch."""
        return self.function(*values)


def _subgraph(group: Any) -> Any:
    if not isinstance(group, torch._C.Node):  # noqa: SLF001  TorchScript has no public classes
        return group
    if group.kind() != "prim::FusionGroup" or not group.hasAttribute("Subgraph"):
        raise GraphError(f"a prim::FusionGroup node is needed, got {group.kind()}")
    return group.g("Subgraph")


# torch.fx


def _read_module(module: torch.fx.GraphModule) -> tuple[torch.fx.GraphModule, str, int]:
    """A copy that later edits of the graph do not reach, its content, its number of inputs."""
    graph = torch.fx.Graph()
    output = graph.graph_copy(module.graph, {})
    graph.output(output)
    numbers = {node: f"%{i}" for i, node in enumerate(module.graph.nodes)}
    lines = []
    n_inputs = 0
    for node in module.graph.nodes:
        if node.op == "placeholder":
            n_inputs += 1
            if str(node.target).startswith("*"):
                raise GraphError("a fusion takes a fixed number of values, no * or ** placeholder")
        arguments = "" if node.op == "placeholder" else _spell((node.args, node.kwargs), numbers)
        lines.append(f"{numbers[node]} = {node.op} {_target(module, node)} {arguments}")
    return torch.fx.GraphModule(module, graph), "\n".join(("fx", *lines)), n_inputs


def _target(module: torch.fx.GraphModule, node: torch.fx.Node) -> str:
    """What a node does; objects by identity, because they live as long as the group does."""
    if node.op in ("placeholder", "output"):
        return ""
    if node.op == "call_method":
        return str(node.target)
    if node.op == "call_function":
        is_named = isinstance(node.target, torch._ops.OpOverload)  # noqa: SLF001
        return str(node.target) if is_named else f"#{id(node.target)}"
    found: Any = module
    for attribute in str(node.target).split("."):
        found = getattr(found, attribute)
    return f"#{id(found)}"


def _spell(value: Any, numbers: Mapping[torch.fx.Node, str]) -> str:
    """An argument's text, with nodes by number and what is no literal by identity."""
    if isinstance(value, torch.fx.Node):
        return numbers[value]
    if isinstance(value, list | tuple):
        return f"({', '.join(_spell(item, numbers) for item in value)})"
    if isinstance(value, dict):
        items = sorted((str(key), _spell(item, numbers)) for key, item in value.items())
        return f"{{{', '.join(f'{key!r}: {item}' for key, item in items)}}}"
    if isinstance(value, slice):
        return f"slice{_spell((value.start, value.stop, value.step), numbers)}"
    if value is None or value is ... or isinstance(value, _LITERALS):
        return repr(value)
    return f"#{id(value)}"


_LITERALS = (
    *(bool, int, float, complex, str),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
)


# TorchScript


@dataclasses.dataclass(frozen=True, slots=True)
class _Step:
    """One node.

    Attributes:
        text: what it does, for the content.
        run: takes the operands, returns the results as a sequence.
        operands: slots.
        results: slots.
        is_host: it works on numbers and constants only, which a trace must not make symbolic:
            `x.view(n // 2)` of a traced graph computes its size in tensors.
    """

    text: str
    run: Callable[..., Sequence[Any]]
    operands: tuple[int, ...]
    results: tuple[int, ...]
    is_host: bool = False


class _Program:
    """The steps of a graph, as a function."""

    def __init__(
        self,
        n_inputs: int,
        constants: Mapping[int, Any],
        steps: Sequence[_Step],
        results: Sequence[int],
        hosts: frozenset[int],
    ) -> None:
        self.n_inputs = n_inputs
        self.constants = constants
        self.steps = steps
        self.results = results
        self.hosts = hosts

    def __call__(self, *inputs: Any) -> list[Any]:
        """The outputs; a single output that is a tuple is spread out."""
        values = {**self.constants, **dict(enumerate(inputs))}
        lifted: dict[int, Any] = {}

        def use(slot: int) -> Any:
            """A value in the user's computation: a trace takes a constant as one of its own."""
            if slot not in self.hosts or not isinstance(values[slot], torch.Tensor):
                return values[slot]
            if slot not in lifted:
                lifted[slot] = torch.ops.aten.lift_fresh.default(values[slot])
            return lifted[slot]

        for step in self.steps:
            if step.is_host:
                with torch._C._DisableTorchDispatch():  # noqa: SLF001  real even under a trace
                    made = step.run(*(values[slot] for slot in step.operands))
            else:
                made = step.run(*map(use, step.operands))
            values.update(zip(step.results, made, strict=True))
        outputs = [use(slot) for slot in self.results]
        if len(outputs) == 1 and isinstance(outputs[0], tuple):
            return list(outputs[0])
        return outputs


class _Reader:
    """Reads one graph; slots are numbers in the order of definition, inputs first."""

    def __init__(self, graph: Any) -> None:
        self.slots: dict[int, int] = {}
        self.constants: dict[int, Any] = {}
        self.hosts: set[int] = set()
        self.steps: list[_Step] = []
        for value in graph.inputs():
            # the module of a frozen graph, which nothing reads
            if value.type().kind() != "ClassType" or value.uses():
                self._slot(value)
        self.n_inputs = len(self.slots)
        for node in graph.nodes():
            self._node(node)
        self.results = tuple(self._slot(value) for value in graph.outputs())

    def program(self) -> _Program:
        return _Program(
            self.n_inputs, self.constants, self.steps, self.results, frozenset(self.hosts)
        )

    def text(self) -> str:
        """The content: constants stand where they are used."""
        computed = (slot for slot in range(len(self.slots)) if slot not in self.constants)
        names = {slot: f"%{number}" for number, slot in enumerate(computed)}
        names |= {slot: _literal(value) for slot, value in self.constants.items()}
        lines = [f"torchscript {self.n_inputs}"]
        for step in self.steps:
            made, read = ([names[i] for i in slots] for slots in (step.results, step.operands))
            lines.append(f"{', '.join(made)} = {step.text}({', '.join(read)})")
        return "\n".join([*lines, f"return {', '.join(names[i] for i in self.results)}"])

    def _slot(self, value: Any) -> int:
        return self.slots.setdefault(value.unique(), len(self.slots))

    def _node(self, node: Any) -> None:
        if node.kind() == "prim::Constant":
            slot = self._slot(node.output())
            # a traced Python number has a tensor's type, but is a number again here
            self.constants[slot] = node.output().toIValue()
            if _holds_tensors(node.output().type()):
                self.hosts.add(slot)
            return
        operands = tuple(self._slot(value) for value in node.inputs())
        results = tuple(self._slot(value) for value in node.outputs())
        structural = _STRUCTURE.get(node.kind())
        if structural is not None:
            text, run = structural(node)
            is_host = node.kind() == "prim::NumToTensor"
        else:
            function = _operator(node)
            text, run = str(function), _runner(function, len(results))
            is_host = self._is_host(function, node)
        if is_host:
            self.hosts.update(results)
        self.steps.append(_Step(text, run, operands, results, is_host))

    def _is_host(self, function: Any, node: Any) -> bool:
        """True if all tensors it reads are constants or numbers, and it always does the same."""
        fickle = torch.Tag.nondeterministic_seeded in function.tags
        if fickle or function._schema.is_mutable:  # noqa: SLF001
            return False
        tensors = [value for value in node.inputs() if _holds_tensors(value.type())]
        return bool(tensors) and all(
            value.type().kind() == "TensorType" and self._slot(value) in self.hosts
            for value in tensors
        )


def _holds_tensors(kind: Any) -> bool:
    return bool(kind.kind() == "TensorType") or any(map(_holds_tensors, kind.containedTypes()))


def _operator(node: Any) -> Any:
    """The overload that a node's schema names."""
    if node.kind().startswith("prim::"):
        raise GraphError(_refusal(node))
    try:
        schema = torch._C.parse_schema(node.schema())  # noqa: SLF001
        namespace, _, name = schema.name.partition("::")
        packet = getattr(getattr(torch.ops, namespace), name)
        function = getattr(packet, schema.overload_name or "default")
    except (RuntimeError, AttributeError) as error:
        raise GraphError(_refusal(node)) from error
    if _plain_function(function) is None:
        for argument in function._schema.arguments:  # noqa: SLF001
            is_written = argument.alias_info is not None and argument.alias_info.is_write
            # an operator gets a copy of a Python list: what it writes there would be lost
            if "List[t]" in str(argument.type) or (is_written and "List" in str(argument.type)):
                raise GraphError(_refusal(node))
    return function


def _refusal(node: Any) -> str:
    hint = " (freeze the module first)" if node.kind() == "prim::GetAttr" else ""
    return f"a fusion group cannot hold {node.kind()}{hint}"


def _runner(function: Any, n_results: int) -> Callable[..., Sequence[Any]]:
    """`function` with operands in the order of its schema, and a sequence of results."""
    arguments = function._schema.arguments  # noqa: SLF001
    plain = _plain_function(function)
    if plain is not None:
        return lambda *operands: (plain(*operands),)
    named = [argument.name if argument.kwarg_only else "" for argument in arguments]

    def run(*operands: Any) -> Sequence[Any]:
        pairs = list(zip(named, operands, strict=True))
        args = [value for name, value in pairs if not name]
        made = function(*args, **{name: value for name, value in pairs if name})
        if n_results == 1:
            return (made,)
        return tuple(made) if n_results else ()

    return run


def _plain_function(function: Any) -> Callable[..., Any] | None:
    """What Python has for it: numbers stay symbolic under a trace, lists keep what they hold."""
    schema = function._schema  # noqa: SLF001
    types = {str(argument.type) for argument in schema.arguments}
    if types <= {"int", "float", "number"}:
        return _ON_NUMBERS.get(schema.name)
    return _ON_LISTS.get(schema.name) if types <= {"List[t]", "int"} else None


_ON_NUMBERS: Mapping[str, Callable[..., Any]] = {
    "aten::add": operator.add,
    "aten::sub": operator.sub,
    "aten::mul": operator.mul,
    "aten::neg": operator.neg,
}

_ON_LISTS: Mapping[str, Callable[..., Any]] = {
    "aten::__getitem__": operator.getitem,
    "aten::add": operator.add,
    "aten::len": len,
}


def _literal(value: Any) -> str:
    """A constant's text; a tensor's holds a digest of its bytes."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if not isinstance(value, torch.Tensor):
        return repr(value)
    if value.layout is not torch.strided or value.is_quantized:
        return f"#{id(value)}"  # lives as long as the group does
    data = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    layout = f"{list(value.shape)}, {list(value.stride())}, {value.requires_grad}"
    return f"tensor({value.dtype}, {layout}, {value.device}, {hashlib.sha256(data).hexdigest()})"


# what moves values about

_Structure = Callable[[Any], tuple[str, Callable[..., Sequence[Any]]]]


def _chunk(node: Any) -> tuple[str, Callable[..., Sequence[Any]]]:
    chunks, dim = node.i("chunks"), node.i("dim")

    def run(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        pieces = torch.ops.aten.chunk.default(tensor, chunks, dim)
        if len(pieces) != chunks:
            raise RuntimeError(f"expected {chunks} chunks of the tensor, got {len(pieces)}")
        return tuple(pieces)

    return f"chunk {chunks} {dim}", run


def _concat(node: Any) -> tuple[str, Callable[..., Sequence[Any]]]:
    dim = node.i("dim")
    return f"cat {dim}", lambda *pieces: (torch.ops.aten.cat.default(list(pieces), dim),)


def _tensor(number: Any) -> torch.Tensor:
    """A number as TorchScript makes a tensor of it: floats are double."""
    if isinstance(number, torch.SymFloat | float):
        return torch.tensor(float(number), dtype=torch.float64)
    return torch.tensor(int(number) if isinstance(number, torch.SymInt) else number)


def _plain(text: str, run: Callable[..., Sequence[Any]]) -> _Structure:
    return lambda _node: (text, run)


_STRUCTURE: Mapping[str, _Structure] = {
    "prim::ConstantChunk": _chunk,
    "prim::FusedConcat": _concat,
    "prim::ListConstruct": _plain("list", lambda *items: (list(items),)),
    "prim::ListUnpack": _plain("unlist", tuple),
    "prim::TupleConstruct": _plain("tuple", lambda *items: (items,)),
    "prim::TupleUnpack": _plain("untuple", tuple),
    "prim::TupleIndex": _plain("item", lambda items, index: (items[index],)),
    "prim::NumToTensor": _plain("tensor", lambda number: (_tensor(number),)),
    "prim::dtype": _plain("dtype", lambda tensor: (tensor.dtype,)),
    "prim::device": _plain("device", lambda tensor: (tensor.device,)),
}
"""Node kind -> its text and function."""

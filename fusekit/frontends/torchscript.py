"""TorchScript graphs, read once into steps that are carried out operator by operator in PyTorch.

Capturing that run is what fuses a graph: nothing of its text, and no name in it, goes any further.
"""

from __future__ import annotations

import dataclasses
import hashlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch

from fusekit.errors import FusionDeclined, GraphError
from fusekit.frontends.lines import script_line, stated
from fusekit.frontends.torchscript_ops import STRUCTURE, function_of, runner
from fusekit.ir import Loc
from fusekit.specs import Decline, Reason

__all__ = ["CALL_SITE", "FunctionReader", "GroupReader", "Program", "spread"]

CALL_SITE = "fusekit::site"
"""A node that marks what was inlined: its string `site` is the call's source range, "" the end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Steps with what they take and give: a graph, a branch, the body of a loop; all slots."""

    inputs: tuple[int, ...]
    steps: tuple[Step, ...]
    results: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One node.

    Attributes:
        text: what it does, for a group's content.
        run: takes the operands, returns the results as a sequence; with blocks, it takes what
            carries a block out, and the blocks, in front.
        operands: slots.
        results: slots.
        is_host: it works on numbers and constants only, which a trace must not make symbolic:
            `x.view(n // 2)` of a traced graph computes its size in tensors.
        loc: the user's line.
        blocks: of control flow.
    """

    text: str
    run: Callable[..., Sequence[Any]]
    operands: tuple[int, ...]
    results: tuple[int, ...]
    is_host: bool = False
    loc: Loc | None = None
    blocks: tuple[Block, ...] = ()


@dataclasses.dataclass(frozen=True)
class Program:
    """A graph that was read, as a function that returns the list of its outputs.

    Attributes:
        block: what it does.
        constants: by slot.
        hosts: slots of what is no part of the user's computation: constants, and what steps on
            the host make.
    """

    block: Block
    constants: Mapping[int, Any]
    hosts: frozenset[int]

    def __call__(self, *inputs: Any) -> list[Any]:
        """The outputs for these inputs."""
        return _Run(self).carry_out(self.block, *inputs)


class _Run:
    """One run of a program."""

    def __init__(self, program: Program) -> None:
        self.hosts = program.hosts
        self.values: dict[int, Any] = dict(program.constants)
        self.lifted: dict[int, Any] = {}
        self.loc: Loc | None = None

    def use(self, slot: int) -> Any:
        """A value in the user's computation: a trace takes a constant as one of its own."""
        if slot not in self.hosts or not isinstance(self.values[slot], torch.Tensor):
            return self.values[slot]
        if slot not in self.lifted:
            self.lifted[slot] = torch.ops.aten.lift_fresh.default(self.values[slot])
        return self.lifted[slot]

    def carry_out(self, block: Block, *given: Any) -> list[Any]:
        self.values.update(zip(block.inputs, given, strict=True))
        for step in block.steps:
            self.loc = step.loc or self.loc  # what has no line of its own belongs to the one before
            with stated(self.loc):
                self.values.update(zip(step.results, self.step(step), strict=True))
        return [self.use(slot) for slot in block.results]

    def step(self, step: Step) -> Sequence[Any]:
        if step.is_host:
            with torch._C._DisableTorchDispatch():  # noqa: SLF001  real even under a trace
                return step.run(*(self.values[slot] for slot in step.operands))
        operands = map(self.use, step.operands)
        if step.blocks:
            return step.run(self.carry_out, step.blocks, *operands)
        return step.run(*operands)


def spread(outputs: list[Any]) -> list[Any]:
    """A group's results: a single output that is a tuple is several."""
    if len(outputs) == 1 and isinstance(outputs[0], tuple):
        return list(outputs[0])
    return outputs


class Owner(Protocol):
    """What holds nodes: a torch._C.Graph, or a block of one."""

    def inputs(self) -> Iterator[Any]: ...
    def nodes(self) -> Iterator[Any]: ...
    def outputs(self) -> Iterator[Any]: ...


class _Reader:
    """Reads one graph; slots are numbers in the order of definition, inputs first."""

    def __init__(self, graph: Any) -> None:
        self.slots: dict[int, int] = {}
        self.constants: dict[int, Any] = {}
        self.hosts: set[int] = set()
        self.site: Loc | None = None
        self.graph = graph  # its nodes are only good as long as it is
        self.block = self._block(graph, self._inputs(graph))

    def program(self) -> Program:
        """What was read."""
        return Program(self.block, self.constants, frozenset(self.hosts))

    def _inputs(self, graph: Any) -> list[Any]:
        return list(graph.inputs())

    def _block(self, owner: Owner, inputs: Sequence[Any]) -> Block:
        slots = tuple(self._slot(value) for value in inputs)
        steps = [step for node in owner.nodes() for step in self._node(node)]
        return Block(slots, tuple(steps), tuple(self._slot(value) for value in owner.outputs()))

    def _slot(self, value: Any) -> int:
        return self.slots.setdefault(value.unique(), len(self.slots))

    def _node(self, node: Any) -> Iterator[Step]:
        if node.kind() == "prim::Constant":
            slot = self._slot(node.output())
            # a traced Python number has a tensor's type, but is a number again here
            self.constants[slot] = node.output().toIValue()
            if _holds_tensors(node.output().type()):
                self.hosts.add(slot)
        elif node.kind() == CALL_SITE:
            self.site = script_line(node.s("site"), None)
        else:
            yield self._step(node)

    def _step(self, node: Any) -> Step:
        operands = tuple(self._slot(value) for value in node.inputs())
        results = tuple(self._slot(value) for value in node.outputs())
        loc = script_line(node.sourceRange(), self.site)
        try:
            if node.kind() in STRUCTURE:
                text, run = STRUCTURE[node.kind()](node)
                is_host = node.kind() == "prim::NumToTensor"
            else:
                text, run, is_host = self._other(node, len(results))
        except GraphError as error:
            return Step("", self._refused(node, error, loc), operands, results, loc=loc)
        if is_host:
            self.hosts.update(results)
        blocks = tuple(self._block(block, list(block.inputs())) for block in node.blocks())
        return Step(text, run, operands, results, is_host, loc, blocks)

    def _other(self, node: Any, n_results: int) -> tuple[str, Callable[..., Sequence[Any]], bool]:
        function = function_of(node)
        return str(function), runner(function, n_results), self._is_host(function, node)

    def _refused(
        self, node: Any, error: GraphError, loc: Loc | None
    ) -> Callable[..., Sequence[Any]]:
        """What happens with a node that cannot be carried out."""
        raise NotImplementedError

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


class GroupReader(_Reader):
    """Reads a fusion group, which is straight and needs nothing but its inputs.

    Attributes:
        n_inputs: how many values it takes.

    Raises:
        GraphError: it holds something that no fusion group may hold.
    """

    def __init__(self, graph: Any) -> None:
        """Read a torch._C.Graph."""
        super().__init__(graph)
        self.n_inputs = len(self.block.inputs)

    def _inputs(self, graph: Any) -> list[Any]:
        # without the module of a frozen graph, which nothing reads
        return [v for v in graph.inputs() if v.type().kind() != "ClassType" or v.uses()]

    def _step(self, node: Any) -> Step:
        if any(True for _ in node.blocks()):
            hint = "it has no control flow (fusekit.fuse takes the whole function)"
            raise GraphError(f"a fusion group cannot hold {node.kind()}: {hint}")
        return super()._step(node)

    def _other(self, node: Any, n_results: int) -> tuple[str, Callable[..., Sequence[Any]], bool]:
        if node.kind() in _NESTED:
            inner = GroupReader(node.g("Subgraph"))
            program = inner.program()
            # a differentiable graph has more outputs than its node: what its backward needs
            return f"[{inner.text()}]", lambda *values: program(*values)[:n_results], False
        text, run, is_host = super()._other(node, n_results)
        if _writes_a_list(function_of(node)):
            raise GraphError("it writes a list")
        return text, run, is_host

    def _refused(
        self, node: Any, error: GraphError, loc: Loc | None
    ) -> Callable[..., Sequence[Any]]:
        hint = " (freeze the module first)" if node.kind() == "prim::GetAttr" else ""
        where = f" at {loc}" if loc else ""
        raise GraphError(f"a fusion group cannot hold {node.kind()}{hint}{where}") from error

    def text(self) -> str:
        """The content: constants stand where they are used."""
        computed = (slot for slot in range(len(self.slots)) if slot not in self.constants)
        names = {slot: f"%{number}" for number, slot in enumerate(computed)}
        names |= {slot: _literal(value) for slot, value in self.constants.items()}
        lines = [f"torchscript {self.n_inputs}"]
        for step in self.block.steps:
            made, read = ([names[i] for i in slots] for slots in (step.results, step.operands))
            lines.append(f"{', '.join(made)} = {step.text}({', '.join(read)})")
        return "\n".join([*lines, f"return {', '.join(names[i] for i in self.block.results)}"])


_NESTED = ("prim::FusionGroup", "prim::DifferentiableGraph")
"""What the legacy executor puts operators into; nothing but their operators is left of them."""


class FunctionReader(_Reader):
    """Reads a whole function, with control flow, objects and lists.

    A node that cannot be carried out is no trouble before a run reaches it.
    """

    def _other(self, node: Any, n_results: int) -> tuple[str, Callable[..., Sequence[Any]], bool]:
        if node.kind() in _FLOW:
            return node.kind(), _FLOW[node.kind()], False
        if node.kind() == "prim::GetAttr":
            name = node.s("name")
            return name, lambda owner: (_read_only(owner.getattr(name)),), False
        if node.kind() == "prim::SetAttr":
            raise GraphError(f"it writes the attribute {node.s('name')}")
        if node.kind() == "prim::RaiseException":
            return "raise", _raise(script_line(node.sourceRange(), self.site)), False
        return super()._other(node, n_results)

    def _refused(
        self, node: Any, error: GraphError, loc: Loc | None
    ) -> Callable[..., Sequence[Any]]:
        is_write = node.kind() == "prim::SetAttr"
        decline = Decline(Reason.MUTATION if is_write else Reason.CAPTURE, str(error), "", loc)

        def refuse(*_operands: Any) -> Sequence[Any]:
            raise FusionDeclined(decline)

        return refuse


def _raise(loc: Loc | None) -> Callable[..., Sequence[Any]]:
    def run(message: Any, *_kind: Any) -> Sequence[Any]:
        raise FusionDeclined(Decline(Reason.CAPTURE, f"it raises {message!r}", "", loc))

    return run


_CarryOut = Callable[..., list[Any]]


def _if(carry_out: _CarryOut, blocks: Sequence[Block], condition: Any) -> list[Any]:
    return carry_out(blocks[0 if condition else 1])


def _loop(
    carry_out: _CarryOut, blocks: Sequence[Block], trips: Any, condition: Any, *carried: Any
) -> Sequence[Any]:
    done = 0
    limit = int(trips)
    while condition and done < limit:
        condition, *carried = carry_out(blocks[0], done, *carried)  # type: ignore[assignment]
        done += 1
    return carried


_FLOW: Mapping[str, Callable[..., Sequence[Any]]] = {"prim::If": _if, "prim::Loop": _loop}


class _Attribute(list[Any]):
    """A list that a module holds: TorchScript hands out copies, so writing one would be lost."""

    def _refuse(self, *_args: Any, **_kwargs: Any) -> Any:
        raise TypeError("a list that is an attribute of a module is written")

    append = extend = insert = pop = clear = remove = reverse = sort = _refuse
    __setitem__ = __delitem__ = __iadd__ = _refuse


def _read_only(value: Any) -> Any:
    if isinstance(value, list):
        return _Attribute(value)
    return types.MappingProxyType(value) if isinstance(value, dict) else value


def _writes_a_list(function: Any) -> bool:
    return any(
        argument.alias_info is not None
        and argument.alias_info.is_write
        and "List" in str(argument.type)
        for argument in function._schema.arguments  # noqa: SLF001
    )


def _holds_tensors(kind: Any) -> bool:
    return bool(kind.kind() == "TensorType") or any(map(_holds_tensors, kind.containedTypes()))


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

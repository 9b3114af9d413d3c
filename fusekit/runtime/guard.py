"""The head of a plan: unpack the arguments, and return MISS unless they are this signature's."""

from __future__ import annotations

import cmath
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.frontends.free import Free
from fusekit.frontends.scalars import is_same_value
from fusekit.runtime.program import Program
from fusekit.specs import Decline, Reason

__all__ = ["Guard", "overlap", "shares_memory", "unpack", "write_guard"]


@dataclasses.dataclass
class Guard:
    """Generated lines and what they mention.

    Attributes:
        lines: Python, which returns MISS for arguments of another signature.
        names: the globals that the lines use, but for `check`.
        variables: graph input -> the variable that holds the tensor.
        tensors: the variables of tensors whose identity the caller chooses, and where each comes
            from: the argument leaf of that index, or what the function closes over.
        same: for each of them, the position of the first that is the same tensor.
    """

    lines: list[str] = dataclasses.field(default_factory=list)
    names: dict[str, Any] = dataclasses.field(default_factory=dict)
    variables: dict[int, str] = dataclasses.field(default_factory=dict)
    tensors: dict[str, int | Free] = dataclasses.field(default_factory=dict)
    same: Sequence[int] = ()

    def check(self, leaves: Sequence[Any]) -> Callable[..., bool]:
        """What the name `check` stands for, if arguments have to be like these."""
        found = self.examples(leaves)
        return _tensor_guard([found[i] for i in dict.fromkeys(self.same)])

    def is_like(self, leaves: Sequence[Any]) -> bool:
        """True if those tensors are the same ones that are among the tensors of these arguments."""
        return self.same == _firsts(self.examples(leaves))

    def examples(self, leaves: Sequence[Any]) -> list[torch.Tensor]:
        """These tensors, for such arguments."""
        return [leaves[x] if isinstance(x, int) else x.fetch() for x in self.tensors.values()]


def _firsts(tensors: Sequence[torch.Tensor]) -> Sequence[int]:
    """For each, the position of the first that is the same tensor."""
    numbers = list(map(id, tensors))
    return list(map(numbers.index, numbers))


def write_guard(program: Program, leaves: Sequence[Any], *, recording: bool = False) -> Guard:
    """The guard for argument leaves like these, while gradients are recorded or are not."""
    guard = Guard()
    guard.lines.append(f"{unpack([f'a{i}' for i in range(len(leaves))])} = a")
    guard.tensors = {f"a{i}": i for i, x in enumerate(leaves) if isinstance(x, torch.Tensor)}
    conditions = [
        _leaf_condition(guard, program, i, leaf)
        for i, leaf in enumerate(leaves)
        if not isinstance(leaf, torch.Tensor)
    ]
    _bind_inputs(guard, program)
    if program.capture.guards:
        guard.names["holds"] = [free.holds for free in program.capture.guards]
        conditions.append("all(h() for h in holds)")
    conditions += _tensor_conditions(guard, leaves, recording=recording)
    guard.lines += [f"if not ({' and '.join(conditions)}):", "    return MISS"]
    _make_anew(guard, program)
    return guard


def unpack(names: Sequence[str]) -> str:
    """A tuple of names as the target of an assignment."""
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"


def _leaf_condition(guard: Guard, program: Program, index: int, leaf: Any) -> str:
    """What must hold of an argument that is no tensor."""
    if index not in program.capture.pinned:
        return f"type(a{index}) is {type(leaf).__name__}"
    guard.names[f"c{index}"] = leaf
    guard.names[f"t{index}"] = type(leaf)
    if leaf is None or isinstance(leaf, bool):
        return f"a{index} is c{index}"
    if isinstance(leaf, float | complex) and (leaf == 0 or cmath.isnan(leaf)):
        guard.names["is_same"] = is_same_value
        return f"is_same(a{index}, c{index})"
    return f"type(a{index}) is t{index} and a{index} == c{index}"


def _bind_inputs(guard: Guard, program: Program) -> None:
    """Give every tensor input its variable, and add those that are fetched."""
    sources = zip(program.graph.tensor_inputs, program.capture.sources, strict=True)
    for value_id, source in sources:
        name = f"a{source.leaf}" if source.leaf is not None else f"f{value_id}"
        guard.variables[value_id] = name
        if source.free is not None:
            guard.names[f"fetch{value_id}"] = source.free.fetch
            guard.lines.append(f"{name} = fetch{value_id}()")
            guard.tensors[name] = source.free
        elif source.leaf is None:
            guard.names[name] = source.constant


def _make_anew(guard: Guard, program: Program) -> None:
    """A literal that the caller will see, be it as a view, is another tensor at each call."""
    places = program.places
    shown = {places[value].base for value in program.results if value in places}
    sources = zip(program.graph.tensor_inputs, program.capture.sources, strict=True)
    for value_id, source in sources:
        if source.constant is not None and value_id in shown:
            name, literal = guard.variables[value_id], f"literal{value_id}"
            guard.names[literal] = guard.names.pop(name)
            guard.lines.append(f"{name} = {literal}.clone()")


def _tensor_conditions(guard: Guard, leaves: Sequence[Any], *, recording: bool) -> list[str]:
    """The C++ check takes different tensors; the signature says which arguments are one."""
    examples, names = guard.examples(leaves), list(guard.tensors)
    guard.same = _firsts(examples)
    conditions = [
        f"{name} is {names[first]}"
        for position, (name, first) in enumerate(zip(names, guard.same, strict=True))
        if first != position
    ]
    conditions.append(f"check({', '.join(names[i] for i in dict.fromkeys(guard.same))})")
    # with gradients recorded, the autograd function calls the plan with recording off; without
    # any to record, the function may still ask for the mode
    wants = any(example.requires_grad for example in examples)
    is_on = recording if wants else torch.is_grad_enabled()
    guard.names["grad_enabled"] = torch.is_grad_enabled
    conditions.append("grad_enabled()" if is_on else "not grad_enabled()")
    return conditions


def _tensor_guard(examples: Sequence[torch.Tensor]) -> Callable[..., bool]:
    """A C++ check of type, dispatch keys (modes, autocast), dtype, device, sizes and strides."""
    if not examples:
        return lambda: True
    guards = torch._C._dynamo.guards.TensorGuards(  # noqa: SLF001  torch.compile's own guard
        *examples, dynamic_dims_sizes=None, dynamic_dims_strides=None
    )
    check: Callable[..., bool] = guards.check
    return check


def shares_memory(n_written: int, *tensors: torch.Tensor) -> bool:
    """True if one of the first `n_written` tensors shares its storage with any other."""
    storages = [tensor.untyped_storage().data_ptr() for tensor in tensors]
    written = {storage for storage in storages[:n_written] if storage}
    n_empty = storages[:n_written].count(0)
    return len(written) + n_empty < n_written or not written.isdisjoint(storages[n_written:])


def overlap(written: Sequence[str], leaves: Sequence[Any]) -> Decline:
    """Why a call that writes the arguments in these variables does not run kernels."""
    for index in (int(name[1:]) for name in written if name.startswith("a")):
        others = [
            i
            for i, leaf in enumerate(leaves)
            if i != index
            and isinstance(leaf, torch.Tensor)
            and shares_memory(1, leaves[index], leaf)
        ]
        if others:
            which = " and ".join(f"argument {i + 1}" for i in others)
            return _overlapping(index, which)
    first = next((int(name[1:]) for name in written if name.startswith("a")), None)
    if first is None:
        return Decline(Reason.OVERLAP, "a closed-over tensor that is written is also an argument")
    return _overlapping(first, "what the function closes over")


def _overlapping(index: int, which: str) -> Decline:
    detail = f"argument {index + 1}, which is written, has one storage with {which}"
    advice = f"clone argument {index + 1} before the call, or return the new value instead"
    return Decline(Reason.OVERLAP, detail, advice=advice)

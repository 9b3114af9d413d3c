"""The head of a plan: unpack the arguments, and return MISS unless they are this signature's."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.runtime.program import Program
from fusekit.specs import Decline, Reason

__all__ = ["Guard", "alias_checks", "first_shared", "overlap", "unpack", "write_guard"]


@dataclasses.dataclass
class Guard:
    """Generated lines and what they mention.

    Attributes:
        lines: Python, which returns MISS for arguments of another signature.
        names: the globals that the lines use.
        variables: graph input -> the variable that holds the tensor.
        tensors: the variables of tensors whose identity the caller chooses.
    """

    lines: list[str] = dataclasses.field(default_factory=list)
    names: dict[str, Any] = dataclasses.field(default_factory=dict)
    variables: dict[int, str] = dataclasses.field(default_factory=dict)
    tensors: list[str] = dataclasses.field(default_factory=list)


def write_guard(program: Program, leaves: Sequence[Any]) -> Guard:
    """The guard for argument leaves like these."""
    guard = Guard()
    guard.lines.append(f"{unpack([f'a{i}' for i in range(len(leaves))])} = a")
    examples = {f"a{i}": x for i, x in enumerate(leaves) if isinstance(x, torch.Tensor)}
    conditions = [
        _leaf_condition(guard, program, i, leaf)
        for i, leaf in enumerate(leaves)
        if not isinstance(leaf, torch.Tensor)
    ]
    examples |= _bind_inputs(guard, program)
    guard.tensors = list(examples)
    if program.capture.guards:
        guard.names["holds"] = [free.holds for free in program.capture.guards]
        conditions.append("all(h() for h in holds)")
    conditions += _tensor_conditions(guard, examples)
    guard.lines += [f"if not ({' and '.join(conditions)}):", "    return MISS"]
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
    return f"type(a{index}) is t{index} and a{index} == c{index}"


def _bind_inputs(guard: Guard, program: Program) -> dict[str, torch.Tensor]:
    """Give every tensor input its variable; the tensors that are fetched, by variable."""
    fetched = {}
    sources = zip(program.graph.tensor_inputs, program.capture.sources, strict=True)
    for value_id, source in sources:
        name = f"a{source.leaf}" if source.leaf is not None else f"f{value_id}"
        guard.variables[value_id] = name
        if source.free is not None:
            guard.names[f"fetch{value_id}"] = source.free.fetch
            guard.lines.append(f"{name} = fetch{value_id}()")
            fetched[name] = source.free.fetch()
        elif source.leaf is None:
            guard.names[name] = source.constant
    return fetched


def _tensor_conditions(guard: Guard, examples: dict[str, torch.Tensor]) -> list[str]:
    """The C++ check takes different tensors; the signature says which arguments are one."""
    first: dict[int, str] = {}
    conditions = []
    for name, example in examples.items():
        other = first.setdefault(id(example), name)
        if other != name:
            conditions.append(f"{name} is {other}")
    distinct = list(first.values())
    guard.names["check"] = _tensor_guard([examples[name] for name in distinct])
    conditions.append(f"check({', '.join(distinct)})")
    if any(example.requires_grad for example in examples.values()):
        # with gradients recorded, the autograd function calls the plan with recording off
        guard.names["grad_enabled"] = torch.is_grad_enabled
        conditions.append("not grad_enabled()")
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


def alias_checks(written: set[str], tensors: Sequence[str]) -> list[tuple[int, list[str]]]:
    """How many variables, of which, must share memory with no other of the list.

    Those that are given as arguments are looked at together; a closed-over one is on its own.
    """
    given = [name for name in tensors if name in written]
    alone = [(1, [name, *tensors]) for name in sorted(written.difference(tensors))]
    together = (len(given), list(dict.fromkeys([*given, *tensors])))
    return [check for check in (together, *alone) if check[0] and len(check[1]) > 1]


def first_shared(count: int, *tensors: torch.Tensor) -> int | None:
    """Which of the first `count` tensors has the storage of another one; None if none has.

    An optimizer's step writes hundreds: its price must not grow with their square.
    """
    storages = [tensor.untyped_storage().data_ptr() for tensor in tensors]
    if len(set(storages)) == len(storages):
        return None
    found = collections.Counter(storages)
    return next((i for i in range(count) if found[storages[i]] > 1), None)


def overlap(written: str, leaves: Sequence[Any]) -> Decline:
    """Why a call that writes the argument in variable `written` does not run kernels."""
    index = int(written[1:]) if written.startswith("a") else None
    if index is None:
        return Decline(Reason.OVERLAP, "a closed-over tensor that is written is also an argument")
    others = [
        i
        for i, leaf in enumerate(leaves)
        if i != index
        and isinstance(leaf, torch.Tensor)
        and first_shared(1, leaves[index], leaf) is not None
    ]
    which = " and ".join(f"argument {i + 1}" for i in others) or "what the function closes over"
    detail = f"argument {index + 1}, which is written, has one storage with {which}"
    advice = f"clone argument {index + 1} before the call, or return the new value instead"
    return Decline(Reason.OVERLAP, detail, advice=advice)

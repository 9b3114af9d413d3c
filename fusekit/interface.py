"""The interface of PyTorch's legacy fuser, over the machinery of `fuse`.

A fusion group is registered once and run by key on a stack of arguments. What cannot be fused
falls back to PyTorch by itself; the debug functions raise instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fusekit.errors import FusionDeclined, GraphError, StackError, UnknownKeyError, UsageError
from fusekit.frontends.groups import capture_group
from fusekit.frontends.torchgroups import TorchGroup
from fusekit.ir import Graph, print_graph
from fusekit.locks import lock
from fusekit.registry import normalize
from fusekit.runtime.dispatch import Dispatcher, switch
from fusekit.runtime.engines import choose
from fusekit.runtime.entry import Entry
from fusekit.runtime.fallback import evaluate
from fusekit.runtime.kernels import generate, n_compiled
from fusekit.specs import Decline

__all__ = [
    "CPU_DEVICE",
    "can_fuse_on_cpu",
    "can_fuse_on_gpu",
    "debug_get_fused_kernel_code",
    "debug_launch_graph",
    "n_compiled_kernels",
    "override_can_fuse_on_cpu",
    "override_can_fuse_on_gpu",
    "override_must_use_llvm_on_cpu",
    "register_fusion",
    "run_fusion",
]

CPU_DEVICE = -1
"""The device index that stands for the CPU, as in the original."""


class _Registry:
    """Registered groups by key, and keys by content."""

    def __init__(self) -> None:
        self.lock = lock()
        self.keys: dict[str, int] = {}
        self.groups: list[_Group] = []


class _Group:
    """A registered fusion group: how many values it takes, and what runs it."""

    def __init__(self, n_inputs: int, dispatcher: Dispatcher) -> None:
        self.n_inputs = n_inputs
        self.dispatcher = dispatcher

    def entry(self, inputs: Sequence[Any]) -> Entry:
        return self.dispatcher.entry(tuple(inputs), {})


_registry = _Registry()


def register_fusion(group: Any) -> int:
    """Make a fusion group known; groups that are the same but for names get the same key.

    Args:
        group: a `fusekit.ir.Graph`, a `torch.fx.GraphModule`, a `torch._C.Graph`, or a
            `torch._C.Node` that is a prim::FusionGroup.

    Returns:
        The key for `run_fusion`.

    Raises:
        UsageError: it is none of these.
        GraphError: it holds something no fusion group may hold.
    """
    content, made = _describe(group)
    with _registry.lock:
        if content not in _registry.keys:
            _registry.keys[content] = len(_registry.groups)
            _registry.groups.append(made)
        return _registry.keys[content]


def _describe(group: Any) -> tuple[str, _Group]:
    if isinstance(group, Graph):
        for node in group.nodes:
            if node.op in ("call", "view"):
                raise GraphError(f"a fusion group cannot hold {node.op} {node.attr('target')}")
        normal, _ = normalize(group)
        return print_graph(normal), _ir_group(normal)
    if isinstance(group, torch.fx.GraphModule | torch._C.Graph | torch._C.Node):  # noqa: SLF001
        found = TorchGroup(group)
        dispatcher = Dispatcher(found.function, "auto", found.name, dynamic=True)
        return found.content, _Group(found.n_inputs, dispatcher)
    raise UsageError(
        "register_fusion takes a fusekit.ir.Graph, torch.fx.GraphModule, torch._C.Graph or a "
        f"prim::FusionGroup node, got {type(group).__name__}"
    )


def _ir_group(graph: Graph) -> _Group:
    eager = lambda *leaves: evaluate(graph, leaves)  # noqa: E731  one expression
    capture = lambda args, _kwargs: capture_group(graph, args)  # noqa: E731  likewise
    dispatcher = Dispatcher(eager, "auto", "group", dynamic=True, capture=capture)
    return _Group(len(graph.inputs), dispatcher)


def run_fusion(key: int, stack: list[Any]) -> None:
    """Pop the group's inputs off the end of `stack`, push its outputs; falls back by itself.

    Raises:
        UnknownKeyError: no `register_fusion` returned `key`.
        StackError: the stack holds too few values; it is left as it was.
    """
    group = _group(key)
    n = group.n_inputs
    if len(stack) < n:
        raise StackError(f"the fusion takes {n} values, the stack holds {len(stack)}")
    inputs = stack[len(stack) - n :]
    outputs = group.dispatcher(*inputs)
    stack[len(stack) - n :] = _as_list(outputs)


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _group(key: Any) -> _Group:
    if not isinstance(key, int) or not 0 <= key < len(_registry.groups):
        raise UnknownKeyError(f"no fusion is registered under {key!r}")
    return _registry.groups[key]


def _entry(graph: Any, inputs: Sequence[Any]) -> tuple[_Group, Entry]:
    group = _group(register_fusion(graph))
    entry = group.entry(inputs)
    if entry.decline is not None:
        raise FusionDeclined(entry.decline)
    return group, entry


def debug_launch_graph(graph: Any, inputs: Sequence[Any]) -> list[torch.Tensor]:
    """Run a group fused, or not at all.

    Raises:
        FusionDeclined: it could not be fused.
    """
    group, _ = _entry(graph, inputs)
    return _as_list(group.dispatcher(*inputs))


def debug_get_fused_kernel_code(graph: Any, inputs: Sequence[Any]) -> str:
    """The source of the kernels that would run a group on these inputs.

    Raises:
        FusionDeclined: it could not be fused.
    """
    _, entry = _entry(graph, inputs)
    assert entry.plan is not None
    assert entry.program is not None
    engine = entry.plan.engine
    if not engine.compiler:
        return "\n".join(print_graph(call.spec.graph) for call in entry.program.kernels)
    return "\n".join(
        generate(engine, call.spec, call.binding.args).text for call in entry.program.kernels
    )


def can_fuse_on_cpu() -> bool:
    """True if fusion on the CPU is switched on and an engine serves it here."""
    return not isinstance(choose("auto", "cpu"), Decline)


def can_fuse_on_gpu() -> bool:
    """True if fusion on the GPU is switched on and an engine serves it here."""
    return torch.cuda.is_available() and not isinstance(choose("auto", "cuda"), Decline)


def override_can_fuse_on_cpu(value: bool) -> None:  # noqa: FBT001  the original's signature
    """Switch fusion on the CPU on or off."""
    switch("fuse_on_cpu", value=bool(value))


def override_can_fuse_on_gpu(value: bool) -> None:  # noqa: FBT001  the original's signature
    """Switch fusion on the GPU on or off."""
    switch("fuse_on_gpu", value=bool(value))


def override_must_use_llvm_on_cpu(value: bool) -> None:  # noqa: FBT001  the original's signature
    """True: on the CPU only the "llvm" engine may serve; no silent change of engine."""
    switch("only_llvm_on_cpu", value=bool(value))


def n_compiled_kernels() -> int:
    """How many kernels this process compiled or loaded from the disk cache."""
    return n_compiled()

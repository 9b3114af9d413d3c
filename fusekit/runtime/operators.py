"""Eager PyTorch watched: the operators of a function as they run, and what each of them makes."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from fusekit.frontends.aten import expansion_of
from fusekit.frontends.calls import tensors_in
from fusekit.frontends.lines import user_line
from fusekit.frontends.seeds import draw_seed
from fusekit.ir import Graph, Loc
from fusekit.runtime.seeded import Replay

__all__ = ["GeneratorState", "Operator", "by_site", "generator_state", "kept_generators", "watched"]

Note = TypeVar("Note")


class GeneratorState(NamedTuple):
    """Where a device's generator stands."""

    device: torch.device
    bits: torch.Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Operator(Generic[Note]):
    """One operator that ran.

    Attributes:
        origin: with its overload: "aten.gelu.default".
        loc: the user's line, if known.
        note: what was noted of its results.
    """

    origin: str
    loc: Loc | None
    note: Note

    @property
    def key(self) -> tuple[str, int]:
        """What it has in common with the operator of a trace that it is."""
        return _key(self.origin, self.loc)


def watched(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    note: Callable[[list[torch.Tensor]], Note],
    *,
    seed: torch.Tensor | None = None,
    state: GeneratorState | None = None,
) -> list[Operator[Note]]:
    """Run `function` in PyTorch, on copies of its arguments, and note what each operator makes.

    Args:
        function: the user's own.
        args: as for the call.
        kwargs: likewise.
        note: called after each operator with the tensors it returns, before they can change.
        seed: draw the numbers that kernels would with it; else PyTorch's own.
        state: of the generator before the fused call, so that what PyTorch draws is the same, too:
            exactly if kernels draw nothing, or draw first.
    """
    copies: dict[int, torch.Tensor] = {}

    def copied(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return copies.setdefault(id(leaf), _copy(leaf))

    given, named = pytree.tree_map(copied, (args, kwargs))
    watch = _Watch(note)
    replay = contextlib.nullcontext() if seed is None else Replay(seed)
    if state is not None:
        _restore(state)
    if state is not None and seed is not None:
        draw_seed(seed.device)
    with torch.no_grad(), replay, watch:
        function(*given, **named)
    return watch.seen


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same strides, or as near as PyTorch gets, in memory of its own."""
    return tensor.detach().clone()


class _Watch(TorchDispatchMode, Generic[Note]):  # type: ignore[no-untyped-call]
    carries_scripts_out = True  # TorchScript shows it each operator, as it did the trace

    def __init__(self, note: Callable[[list[torch.Tensor]], Note]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.note = note
        self.seen: list[Operator[Note]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No, as for the tracer."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        expansion = expansion_of(func, args, kwargs)
        if expansion is not None:  # the trace has its parts as operators
            with self:
                return expansion()
        made = func(*args, **kwargs)
        results = list(tensors_in(made))
        if results and func is not torch.ops.aten.lift_fresh.default:
            self.seen.append(Operator(str(func), user_line(), self.note(results)))
        return made


def by_site(graph: Graph, seen: Sequence[Operator[Note]]) -> dict[int, int]:
    """Site of a trace -> which of `seen` is the operator of that site, as far as can be told."""
    sites = {node.site: node for node in graph.nodes if node.site >= 0 and node.origin}
    order = sorted(sites)
    traced = [_key(sites[site].origin, sites[site].loc) for site in order]
    ran = [operator.key for operator in seen]
    if traced == ran:
        return {site: number for number, site in enumerate(order)}
    matcher = difflib.SequenceMatcher(None, traced, ran, autojunk=False)
    return {
        order[block.a + i]: block.b + i
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    }


def _key(origin: str, loc: Loc | None) -> tuple[str, int]:
    """In place or not, an operator is the same: functionalisation takes the writes away."""
    parts = origin.split(".")
    name = parts[1].rstrip("_") if len(parts) > 1 else origin
    return name, loc.line if loc else 0


@contextlib.contextmanager
def kept_generators(device: torch.device, state: GeneratorState | None = None) -> Iterator[None]:
    """Whatever is drawn inside, PyTorch's generators are afterwards as they were.

    With `state`, which `generator_state` gave, the device's is inside as it was then.
    """
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if state is not None:
            _restore(state)
        yield


def generator_state(device: torch.device) -> GeneratorState:
    """The state of the generator that calls on the device draw from."""
    is_gpu = device.type == "cuda"
    bits = torch.cuda.get_rng_state(device) if is_gpu else torch.get_rng_state()
    return GeneratorState(device, bits)


def _restore(state: GeneratorState) -> None:
    if state.device.type == "cuda":
        torch.cuda.set_rng_state(state.bits, state.device)
    else:
        torch.set_rng_state(state.bits)

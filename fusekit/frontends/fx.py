"""Capture: a Python function and arguments -> a graph of pointwise nodes, views and calls."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import logging
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
)
from torch.utils import _pytree as pytree

from fusekit.errors import FusionDeclined
from fusekit.frontends.calls import UnknownTensorError
from fusekit.frontends.fake import Fakes
from fusekit.frontends.free import Free, free_variables
from fusekit.frontends.lines import line_of
from fusekit.frontends.obstacles import translated
from fusekit.frontends.questions import SizeQuestions
from fusekit.frontends.record import Record
from fusekit.frontends.rehearsal import Identities, MutationError
from fusekit.frontends.scalars import ScalarTrace, concrete
from fusekit.frontends.scripted import optimising
from fusekit.frontends.trace import DISPATCHING, Tracer
from fusekit.frontends.writes import check_writes, view_in_place
from fusekit.ir import Graph, GraphBuilder, Loc
from fusekit.locks import Undisturbed
from fusekit.specs import Decline, Reason

__all__ = ["Capture", "Source", "capture"]


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a tensor input of the graph comes from at a call.

    Attributes:
        leaf: index among the flattened arguments, or None.
        free: a tensor that the function closes over, or None.
        constant: a tensor made from literals in the function, or None.
    """

    leaf: int | None = None
    free: Free | None = None
    constant: torch.Tensor | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """One leaf of what the function returns: a value, an argument passed through, or a constant."""

    value: int | None = None
    leaf: int | None = None
    constant: Any = None


@dataclasses.dataclass(frozen=True)
class Capture:
    """What one trace of a function found.

    Attributes:
        graph: pointwise nodes, views, cats and calls, with shapes and strides.
        sources: one for each tensor input of the graph.
        scalars: one for each scalar input: Python text over `a<leaf index>`.
        results: the leaves of the return value.
        out_spec: their structure.
        writes: (value of an input, value that is copied into it at the end).
        pinned: indices of argument leaves whose value the trace depends on.
        guards: what the function reads from outside and must find unchanged.
        device: where its kernels run.
        reads_sizes: the function asked for an extent, or stated one: it may depend on it.
        is_verbatim: its operators were given no numbers that something made of extents.
        stated: the numbers from 2 on that the function gave to what moves or cuts dimensions.
        obstacles: why PyTorch has to run an operator, by the site of its call.
        attached: which of the tensors among the results autograd attached to its graph; empty if
            it was not asked.
    """

    graph: Graph
    sources: tuple[Source, ...]
    scalars: tuple[str, ...]
    results: tuple[Result, ...]
    out_spec: pytree.TreeSpec
    writes: tuple[tuple[int, int], ...]
    pinned: frozenset[int]
    guards: tuple[Free, ...]
    device: torch.device
    reads_sizes: bool = True
    is_verbatim: bool = False
    stated: frozenset[int] = frozenset()
    obstacles: Mapping[int, Decline] = dataclasses.field(default_factory=dict)
    attached: tuple[bool, ...] = ()


def capture(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: str,
    dynamic: bool = True,
    grad: bool = False,
    frees: Sequence[Free] | None = None,
    functional: bool = False,
    opaque: Collection[int] = (),
) -> Capture:
    """Trace `function` on fake versions of the arguments.

    What it closes over is looked for in it, unless `frees` says. A `functional` one writes nothing
    but, at its end, what it copies into arguments. The operators at the sites in `opaque` become
    calls. With `grad`, it runs with gradients recorded.

    Raises:
        FusionDeclined: it cannot be captured; the decline says why. Eager PyTorch decides whether
            the call is an error.
    """
    if frees is None:
        frees = free_variables(function)
    attempt = _Attempt(function, args, kwargs, frees, name, dynamic=dynamic, grad=grad)
    attempt.opaque = opaque
    with torch.set_grad_enabled(grad), optimising(value=False):
        if functional:
            attempt.writes = _Writes.AT_THE_END
            return attempt.run()
        try:
            return attempt.run()
        except MutationError:
            attempt.writes = _Writes.FUNCTIONALISED
            attempt.first_write = attempt.tracer.rehearsal.first
            return attempt.run()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Torch logs what a fake operator raises; here eager is about to raise it, or not."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


_CONSTANTS = (
    *(bool, int, float, complex, str, bytes, type(None), type, enum.Enum, types.FunctionType),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
)
"""What a function may return beside tensors: the same object at every call."""


_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
"""Layouts of which torch's own guard ends the process."""


class _Writes(enum.Enum):
    """What becomes of a function's writes into its arguments."""

    UNEXPECTED = enum.auto()
    FUNCTIONALISED = enum.auto()
    AT_THE_END = enum.auto()


class _Attempt:
    """One way of tracing one call."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        frees: Sequence[Free],
        name: str,
        *,
        dynamic: bool,
        grad: bool,
    ) -> None:
        self.function = function
        self.leaves, self.spec = pytree.tree_flatten((args, kwargs))
        self.frees = frees
        self.name = name
        self.dynamic = dynamic
        self.grad = grad
        self.writes = _Writes.UNEXPECTED
        self.first_write: tuple[Any, Loc | None] | None = None
        self.written: list[bool] = []
        self.opaque: Collection[int] = ()

    def run(self) -> Capture:
        self.builder = GraphBuilder(self.name)
        self.scalars = ScalarTrace()
        self.fakes = Fakes()
        self.sources: dict[int, Source] = {}
        self.by_real: dict[int, FakeTensor] = {}
        self.record = Record(self.fakes, self.builder)
        self.tracer = Tracer(self.record, self._adopt, self.opaque)
        self.tracer.functional = self.writes is not _Writes.UNEXPECTED
        self.tensors = [leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)]
        self.tensors += [free.value for free in self.frees if free.is_tensor]
        if not self.tensors:
            raise FusionDeclined(Decline(Reason.NO_TENSORS))
        self.record.device = self.device = self.tensors[0].device
        fakes = [self._leaf(index, leaf) for index, leaf in enumerate(self.leaves)]
        with Undisturbed(*DISPATCHING) as interrupts:
            self.questions = SizeQuestions(self.record.restate, interrupts.deliver)
            made = self._call(fakes)
        if self.tracer.rehearsal.active:
            self.written = [
                isinstance(x, torch.Tensor) and self.tracer.rehearsal.wrote(x) for x in fakes
            ]
            raise MutationError
        return self._package(fakes, made)

    def _leaf(self, index: int, leaf: Any) -> Any:
        """The stand-in for an argument."""
        if isinstance(leaf, torch.Tensor):
            return self._input(leaf, Source(leaf=index))
        if self.dynamic and type(leaf) in (int, float):
            return self.scalars.symbol(f"a{index}", leaf)
        return leaf

    def _input(self, real: torch.Tensor, source: Source) -> FakeTensor:
        if isinstance(real, FakeTensor) or type(real) not in (torch.Tensor, torch.nn.Parameter):
            detail = f"an argument is a {type(real).__name__}"
            raise FusionDeclined(Decline(Reason.LAYOUT, detail))
        if real.layout in _COMPRESSED or real.is_mkldnn:
            raise FusionDeclined(Decline(Reason.LAYOUT, f"an argument is {real.layout}"))
        fake = self.fakes.like(real)
        value_id = self.record.new_input(fake)
        self.sources[value_id] = source
        if source.free is not None:
            self.by_real[id(real)] = fake
            self.record.outside[value_id] = source.free.name
        return fake

    def _adopt(self, real: torch.Tensor) -> FakeTensor:
        """The stand-in for a tensor that reached an operator from outside."""
        if id(real) in self.by_real:
            return self.by_real[id(real)]
        for free in self.frees:
            if free.value is real:
                return self._input(real, Source(free=free))
        raise UnknownTensorError(
            "it uses a tensor that is neither an argument nor found among what it closes over"
        )

    def _call(self, fakes: list[Any]) -> Any:
        def flat(*leaves: Any) -> Any:
            args, kwargs = pytree.tree_unflatten(list(leaves), self.spec)
            return self.function(*args, **kwargs)

        try:
            if self.writes is _Writes.FUNCTIONALISED:
                made = self._call_functional(flat, fakes)
            else:
                with _quiet(), self.fakes.mode, self.tracer, self.questions:
                    made = flat(*fakes)
            self.tracer.check()
        except (FusionDeclined, MutationError, MemoryError, RecursionError):
            raise
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            detail = f"{error.func} needs the values of a tensor"
            loc = line_of(error) or self.builder.loc
            raise FusionDeclined(Decline(Reason.DATA_DEPENDENT, detail, "", loc)) from error
        except Exception as error:  # eager decides whether it is the user's error
            why = translated(error, line_of(error) or self.builder.loc, self.first_write)
            raise FusionDeclined(why) from error
        return made

    def _call_functional(self, flat: Callable[..., Any], fakes: list[Any]) -> Any:
        """Only tensors go through torch's functionalisation; it wants nothing else."""
        where = [i for i, fake in enumerate(fakes) if isinstance(fake, torch.Tensor)]
        rest: dict[str, Any] = {}

        def over_tensors(*tensors: torch.Tensor) -> list[torch.Tensor]:
            leaves = list(fakes)
            for index, tensor in zip(where, tensors, strict=True):
                leaves[index] = tensor
            made, spec = pytree.tree_flatten(flat(*leaves))
            # an output that is an input must be told apart: functionalisation returns new objects
            rest["same"] = [next((i for i in where if leaves[i] is item), None) for item in made]
            rest["spec"] = spec
            rest["made"] = made
            return [item for item in made if isinstance(item, torch.Tensor)]

        run = torch.func.functionalize(over_tensors, remove="mutations")
        with (
            _quiet(),
            self.fakes.mode,
            self.tracer,
            self.questions,
            Identities(self.record.laid_out),
        ):
            tensors = iter(run(*[fakes[i] for i in where]))
        made = [next(tensors) if isinstance(item, torch.Tensor) else item for item in rest["made"]]
        made = [made[i] if same is None else fakes[same] for i, same in enumerate(rest["same"])]
        return pytree.tree_unflatten(made, rest["spec"])

    def _package(self, fakes: list[Any], made: Any) -> Capture:
        for index, leaf in enumerate(self.leaves):
            # a bool, a string, None ... may have steered the trace anywhere
            if not isinstance(leaf, torch.Tensor) and not isinstance(
                fakes[index], torch.SymInt | torch.SymFloat
            ):
                self.scalars.pinned.add(f"a{index}")
        results, spec = pytree.tree_flatten(made)
        self.position = {id(fake): index for index, fake in reversed(list(enumerate(fakes)))}
        found = tuple(self._result(item) for item in results)
        writes = tuple(dict(self.record.writes).items())
        self._check_writes()
        if writes:
            written = {value: target for target, value in writes}
            found = tuple(
                item
                if item.value is None
                else Result(value=view_in_place(self.builder, item.value, written))
                for item in found
            )
        outputs = [item.value for item in found if item.value is not None]
        graph = self.builder.finish([*outputs, *(value for _, value in writes)])
        _check_traps(graph)
        for value_id, constant in self.record.constants.items():
            self.sources[value_id] = Source(constant=constant)
        expressions = {value: text for text, value in self.record.scalars.items()}
        return Capture(
            graph=graph,
            sources=tuple(self.sources[i] for i in graph.tensor_inputs),
            scalars=tuple(expressions[i] for i in graph.scalar_inputs),
            results=found,
            out_spec=spec,
            writes=writes,
            pinned=frozenset(int(name[1:]) for name in self.scalars.pinned),
            guards=tuple(free for free in self.frees if not free.is_tensor),
            device=self.device,
            reads_sizes=self.record.states_sizes or self.questions.asked,
            is_verbatim=self.questions.is_verbatim,
            stated=frozenset(self.questions.stated),
            obstacles=self.record.obstacles,
            attached=tuple(
                x.requires_grad for x in results if self.grad and isinstance(x, torch.Tensor)
            ),
        )

    def _result(self, item: Any) -> Result:
        if isinstance(item, torch.Tensor):
            index = self.position.get(id(item))
            return self._tensor_result(item) if index is None else Result(leaf=index)
        value = concrete(item)
        if isinstance(item, torch.SymInt | torch.SymFloat):
            index = self.position.get(id(item))
            if index is not None:
                return Result(leaf=index)
            item.node.pin()
        if not isinstance(value, _CONSTANTS):
            detail = f"it returns a {type(value).__name__}, which may hold tensors"
            advice = "return tensors and numbers, and lists, tuples or dicts of them"
            raise FusionDeclined(Decline(Reason.CAPTURE, detail, advice=advice))
        return Result(constant=value)

    def _check_writes(self) -> None:
        """Every write has been found, and can be repeated by a copy."""
        targets = {target for target, _ in self.record.writes}
        found = {self.sources[target].leaf for target in targets & self.sources.keys()}
        if any(is_written and i not in found for i, is_written in enumerate(self.written)):
            detail = "an argument is changed in a way that functionalisation does not see"
            raise FusionDeclined(Decline(Reason.MUTATION, detail))
        check_writes(self.builder, targets, self.sources, self.tensors)

    def _tensor_result(self, item: torch.Tensor) -> Result:
        if not self.record.names.knows(item):
            fake = self.by_real.get(id(item))
            if fake is not None:
                return Result(value=self.record.identify(fake))
            detail = "it returns a tensor that no traced operator made"
            raise FusionDeclined(Decline(Reason.CAPTURE, detail))
        return Result(value=self.record.identify(item))


def _check_traps(graph: Graph) -> None:
    """Integer division by zero raises even where nobody reads the quotient."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.op == "call" or needed.intersection(node.outputs):
            needed.update(node.inputs)
        elif node.is_pointwise and node.row.traps and graph.dtype(node.output).is_integral:
            detail = "an unused integer division may still raise"
            raise FusionDeclined(Decline(Reason.CAPTURE, detail, node.origin, node.loc))

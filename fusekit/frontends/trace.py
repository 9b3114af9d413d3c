"""The tracer: a torch dispatch mode that writes down, as IR, what a function does to fake tensors.

Under the mode every aten operator arrives here with fake tensors (shapes, dtypes and strides, no
data). torch computes the fake result, which fixes dtype, shape and strides; then the operator
becomes IR by its rule, or by tracing its decomposition, or a `call` node that PyTorch will run.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import torch
from torch._decomp import decomposition_table
from torch._library.simple_registry import find_torch_dispatch_rule
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from fusekit.errors import FusionDeclined
from fusekit.frontends.aten import RULES, UNWRITTEN_POINTWISE, expansion_of
from fusekit.frontends.calls import (
    bind,
    is_view,
    map_tensors,
    name_of,
    only_checks,
    out_of_place,
    qualified,
    tensors_in,
    writes,
)
from fusekit.frontends.cats import concatenated
from fusekit.frontends.draws import DRAWS, Draws
from fusekit.frontends.dtypes import FROM_TORCH, held_dtype
from fusekit.frontends.fake import Fakes, is_supported, result_dtype
from fusekit.frontends.lines import user_line
from fusekit.frontends.lowering import Lowering
from fusekit.frontends.names import Names
from fusekit.frontends.obstacles import encoded_call, obstacle, unwritable
from fusekit.frontends.rehearsal import MutationError, Rehearsal
from fusekit.frontends.scalars import ScalarNode, concrete_tree, pinned_tree
from fusekit.ir import DType, GraphBuilder
from fusekit.specs import Decline, Reason

__all__ = ["DISPATCHING", "Tracer"]


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects a captured graph.

    Attributes:
        builder: the graph so far.
        scalars: expression over argument names -> id of the scalar input that carries it.
        trouble: the first exception that an operator raised.
        constants: tensors made from literals inside the function, by value id.
        names: which value each fake tensor stands for.
        obstacles: why an operator is a call, by its site.
        outside: value of an input that the function closes over -> what it is called.
        writes: (value of an input, value written into it), in order.
    """

    carries_scripts_out = True  # it wants to see each operator of TorchScript code

    def __init__(
        self,
        fakes: Fakes,
        builder: GraphBuilder,
        adopt: Callable[[torch.Tensor], FakeTensor],
        opaque: Collection[int] = (),
    ) -> None:
        """Trace into `builder`; `adopt` makes an input of a real tensor that turns up.

        The operators at the sites in `opaque` become calls, whatever they are.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.opaque = opaque
        self.fakes = fakes
        self.builder = builder
        self.scalars: dict[str, int] = {}
        self.constants: dict[int, torch.Tensor] = {}
        self.obstacles: dict[int, Decline] = {}
        self.outside: dict[int, str] = {}
        self.writes: list[tuple[int, int]] = []
        self.device: torch.device | None = None
        self.functional = False
        self.names = Names()
        self.draws = Draws(builder, fakes, self.names.identify, self.symbol)
        self._adopt = adopt
        self.rehearsal = Rehearsal(fakes.like)
        self.states_sizes = False
        self.trouble: Exception | None = None
        self._depth = 0
        self._owned: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: wrapping this mode's handler would import the whole of torch.compile (a second)."""
        return False

    def dtype_of(self, tensor: torch.Tensor) -> DType | None:
        """Its dtype, or None for a tensor that no kernel of this trace can touch."""
        return held_dtype(tensor, self.device)

    def new_value(self, fake: torch.Tensor) -> int:
        """A value with the fake tensor's dtype, shape and strides."""
        strides = fake.stride() if fake.layout is torch.strided else None
        value_id = self.builder.value(self.dtype_of(fake), tuple(fake.shape), strides)
        self.names.bind(fake, value_id)
        return value_id

    def new_input(self, fake: torch.Tensor) -> int:
        """A tensor input with the fake tensor's dtype, shape and strides."""
        strides = fake.stride() if fake.layout is torch.strided else None
        value_id = self.builder.input(self.dtype_of(fake), tuple(fake.shape), strides)
        self.names.bind(fake, value_id)
        return value_id

    def symbol(self, node: ScalarNode) -> int:
        """The scalar input for a symbolic scalar."""
        if node.expression not in self.scalars:
            dtype = DType.F64 if node.is_float() else DType.BOOL if node.is_bool() else DType.I64
            self.scalars[node.expression] = self.builder.scalar(dtype)
        return self.scalars[node.expression]

    def check(self) -> None:
        """Raise what an operator raised and the function caught: eager might not have raised it."""
        if self.trouble is not None:
            raise self.trouble

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Record one operator and return its fake result."""
        with torch._C.DisableTorchFunction():  # noqa: SLF001  our own questions do not count
            try:
                if self.rehearsal.active and not self._depth:
                    return self.rehearsal.run(func, args, kwargs or {})
                return self._record(func, args, kwargs or {})
            except Exception as error:
                if self._depth == 0 and self.trouble is None:
                    self.trouble = error
                raise

    def _record(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if writes(func, args, kwargs) and not self._is_write_back(func):
            made = self._in_place(func, args, kwargs)
            return self._rehearse(func, args, kwargs) if made is None else made
        expansion = expansion_of(func, args, kwargs)
        if expansion is not None:
            with self:
                return expansion()  # each of its operators is a site
        if func is torch.ops.aten.lift_fresh.default and not isinstance(args[0], FakeTensor):
            return self._literal(args[0])
        if func is torch.ops.aten.detach.default and id(args[0]) in self._owned:
            return self._detached(args[0])
        args, kwargs = map_tensors(self._known, (args, kwargs))
        if self._depth == 0:
            self._stamp(func)
        mark = self._mark()
        if not self._is_write_back(func):
            take = self._left if self._is_left(func) else self._pointwise
            result = take(func, args, kwargs)
            if result is not None:
                self._owned.update(map(id, tensors_in(result)))
                return result
            self._rollback(mark)
        return self._call(func, args, kwargs)

    def _rehearse(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The first write of a trace that will be repeated under functionalisation."""
        if self.functional:
            outside = self.outside.get(self.names.identify(self._known(args[0])), "")
            raise FusionDeclined(unwritable(func, args, kwargs, user_line(), outside))
        if self._depth:
            raise MutationError
        return self.rehearsal.run(func, args, kwargs)

    def _in_place(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give a tensor that nobody else sees a new value; None where it takes more than that."""
        twin = out_of_place(func)
        target: Any = args[0] if args else None
        if twin is not None and is_view(twin) and self._made_here(target):
            return self._view_in_place(twin, func, args, kwargs)
        if twin is None or id(target) not in self._owned:
            return None
        mark = self._mark()
        self._stamp(func)
        args, kwargs = map_tensors(self._known, (args, kwargs))
        if self._is_left(twin):
            made = self._left(twin, args, kwargs)
        elif name_of(twin) in DRAWS:
            made = self._drawn(func, args, kwargs)
        else:
            made = self._pointwise(twin, args, kwargs)
        if made is None or (made.dtype, made.shape) != (target.dtype, target.shape):
            self._rollback(mark)
            return None
        value = self.names.identify(made)
        if self._is_left(twin) and made.stride() != target.stride():
            value = self.builder.apply("copy", value, shape=tuple(made.shape))
        self.builder.set_strides(value, target.stride())
        self.names.bind(target, value)
        return target

    def _is_left(self, func: Any) -> bool:
        """True if the current operator is to be left to PyTorch; one of memory of its own can."""
        if self._depth or self.builder.site not in self.opaque or is_view(func):
            return False
        returned = func._schema.returns  # noqa: SLF001  no public spelling
        return all(item.alias_info is None for item in returned)

    def _left(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call in place of IR: what it returns is new memory, as a kernel's result is."""
        owned = set(self._owned)
        result = self._call(func, args, kwargs)
        self.obstacles[self.builder.site] = Decline(
            Reason.PLAN, "it leaves the operator to PyTorch", self.builder.origin, self.builder.loc
        )
        self._owned = owned.union(map(id, tensors_in(result)))
        return result

    def _made_here(self, tensor: torch.Tensor) -> bool:
        """True for the result of an operator of this trace."""
        known = self.names.knows(tensor)
        return known and self.builder.maker(self.names.identify(tensor)) is not None

    def _view_in_place(self, twin: Any, func: Any, args: Any, kwargs: Any) -> Any:
        """`squeeze_` and the like: the same memory, which this one name sees in another shape."""
        self._stamp(func)
        viewed = self._call(twin, args, kwargs)
        func(*args, **kwargs)
        self.fakes.forget(args[0])
        self.names.bind(args[0], self.names.identify(viewed))
        return args[0]

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """Trace what the current operator consists of."""
        self._depth += 1
        try:
            with self:
                yield
        finally:
            self._depth -= 1

    def _is_write_back(self, func: Any) -> bool:
        """The copies into inputs with which functionalisation ends."""
        return self.functional and func is torch.ops.aten.copy_.default

    def _literal(self, tensor: torch.Tensor) -> torch.Tensor:
        """`torch.tensor([...])` inside the function: a constant of the trace."""
        fake = self.fakes.like(tensor)
        self.constants[self.new_input(fake)] = tensor
        return fake

    def _detached(self, tensor: torch.Tensor) -> torch.Tensor:
        """What factory functions return: new memory under a second name, so no longer owned."""
        fake = self.fakes.like_of(tensor, tensor.dtype)
        self.names.bind(fake, self.names.identify(tensor))
        self._owned.discard(id(tensor))
        return fake

    def _known(self, tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, FakeTensor):
            return self._adopt(tensor)
        self.names.identify(tensor)
        return tensor

    def _mark(self) -> tuple[tuple[int, int], int]:
        """A point to which `_rollback` returns."""
        return self.builder.mark(), self.names.mark()

    def _rollback(self, mark: tuple[tuple[int, int], int]) -> None:
        """Forget all values and nodes since `mark`, looking only at those."""
        made, bound = mark
        self.builder.rollback(made)
        self.names.forget(made[0], bound)
        while self.scalars and next(reversed(self.scalars.values())) >= made[0]:
            self.scalars.popitem()
        self.draws.forget(made[0])

    def _stamp(self, func: Any) -> None:
        """Nodes of a decomposition belong to the operator that the user called."""
        self.builder.site += 1
        self.builder.loc = user_line()
        self.builder.origin = str(func)

    def _pointwise(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of `func` as IR, or None if it has to be a call."""
        name = name_of(func)
        if name in ("aten.cat", "aten.stack"):
            return self._cat(func, args, kwargs)
        if not self._all_plain((args, kwargs)):
            return None
        if name in DRAWS:
            return self._drawn(func, args, kwargs)
        rule = RULES.get(name)
        if rule is not None:
            made = self._by_rule(rule, func, args, kwargs)
            if made is not None:
                return made
        if name in UNWRITTEN_POINTWISE or torch.Tag.pointwise in func.tags:
            return self._by_decomposition(func, args, kwargs)
        return None

    def _all_plain(self, tree: Any) -> bool:
        return all(self.dtype_of(tensor) is not None for tensor in tensors_in(tree))

    def _by_rule(self, rule: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        numbers = concrete_tree((args, kwargs))
        if result_dtype(func, *numbers) is None:
            return None
        fake = self.fakes.run(func, *numbers)
        twins = list(tensors_in(fake))
        if any(self.dtype_of(twin) is None for twin in twins):
            return None
        dtype = FROM_TORCH[twins[0].dtype]
        arguments = bind(func, args, kwargs)
        self._note_size(arguments)
        self.states_sizes |= name_of(func) == "aten.arange"
        lowering = Lowering(self.builder, arguments, dtype, self.names.identify, self.symbol)
        first = len(self.builder.values)
        made = rule(lowering)
        if made is None:
            return None
        results = made if isinstance(made, tuple) else (made,)
        for result, twin in zip(results, twins, strict=True):
            self._finish(result.cast(FROM_TORCH[twin.dtype]).id, first, twin)
        return fake

    def _drawn(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result of a random operator, in memory of its own even if it writes in place."""
        first = len(self.builder.values)
        made = self.draws.lower(func, args, kwargs)
        if made is None:
            return None
        self._note_size(bind(func, args, kwargs))
        for fake, each in made:
            self._finish(each.id, first, fake)
        return made[0][0] if len(made) == 1 else tuple(fake for fake, _ in made)

    def _note_size(self, arguments: dict[str, Any]) -> None:
        """A stated size is part of the graph, also one that comes from a Python number."""
        self.states_sizes |= bool(pinned_tree(arguments.get("size")))

    def _finish(self, value_id: int, first: int, fake: torch.Tensor) -> None:
        """Give a lowered result its own value with the shape and strides torch states."""
        builder = self.builder
        shape = tuple(fake.shape)
        if value_id < first or builder.values[value_id].shape != shape:
            value_id = builder.apply("copy", value_id, shape=shape)
        builder.set_strides(value_id, fake.stride())
        self.names.bind(fake, value_id)

    def _by_decomposition(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Trace what torch says `func` consists of; None if any of it is not pointwise."""
        self.states_sizes = True  # it may: torch's decompositions look at shapes
        rule = decomposition_table.get(func)
        numbers = concrete_tree((args, kwargs))
        if rule is None or not is_supported(func, *numbers):
            return None
        first, start = len(self.builder.nodes), len(self.builder.values)
        try:
            with self._inside():
                made = rule(*args, **kwargs)
        except (NotImplementedError, MutationError):
            return None
        if any(node.op == "call" for node in self.builder.nodes[first:]):
            return None
        fake = self.fakes.run(func, concrete_tree(args), concrete_tree(kwargs))
        for theirs, ours in zip(tensors_in(fake), tensors_in(made), strict=True):
            if (theirs.dtype, theirs.shape) != (ours.dtype, ours.shape):
                return None
            self._finish(self.names.identify(ours), start, theirs)
        return fake

    def _cat(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A `cat` node; None if a kernel cannot hold its pieces."""
        if name_of(func) == "aten.stack":
            with self._inside():
                tensors, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim", 0)
                return torch.cat([tensor.unsqueeze(dim) for tensor in tensors], dim)
        fake = self.fakes.run(func, concrete_tree(args), concrete_tree(kwargs))
        dtype = self.dtype_of(fake)
        if dtype is None or not self._all_plain(args):
            return None
        dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
        identify = self.names.identify
        result = concatenated(self.builder, args[0], identify, dtype, fake, dim=int(dim))
        self.names.bind(fake, result)
        return fake

    def _call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A node that PyTorch runs (or a view, which strides express)."""
        args, kwargs = pinned_tree(args), pinned_tree(kwargs)
        fake = self.fakes.run(func, args, kwargs)
        given = list(tensors_in((args, kwargs)))
        inputs = [self.names.identify(tensor) for tensor in given]
        matters = self._is_write_back(func) or (given and only_checks(func))
        if not matters and not any(True for _ in tensors_in(fake)):
            return fake  # a question about metadata, answered
        # its result may share their memory
        self._owned.difference_update(map(id, given))
        why = obstacle(func, args, kwargs, fake, self.device)
        why = dataclasses.replace(why, op=self.builder.origin, loc=self.builder.loc)
        self.obstacles[self.builder.site] = why
        encoded = encoded_call(args, kwargs, self.names.identify, why)
        if self._is_write_back(func):
            self.names.bind(args[0], self.names.identify(args[1]))
            self.writes.append((inputs[0], inputs[1]))
            return args[0]
        outputs = [self.new_value(tensor) for tensor in tensors_in(fake)]
        op = "view" if is_view(func) and len(inputs) == 1 else "call"
        self.builder.call(qualified(func), *encoded, inputs, outputs, op=op)
        if self.builder.nodes[-1].is_allocation or self.builder.nodes[-1].is_sum:
            self._owned.add(id(fake))
        return fake


DISPATCHING = (Tracer.__torch_dispatch__, find_torch_dispatch_rule)
"""What torch calls from where nothing may be raised: Ctrl-C in these would end the process."""

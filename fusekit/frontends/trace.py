"""The tracer: a torch dispatch mode that writes down, as IR, what a function does to fake tensors.

Under the mode every aten operator arrives here with fake tensors (shapes, dtypes and strides, no
data). torch computes the fake result, which fixes dtype, shape and strides; then the operator
becomes IR by its rule, or by tracing its decomposition, or a `call` node that PyTorch will run.
"""

from __future__ import annotations

import contextlib
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
from fusekit.frontends.draws import DRAWS
from fusekit.frontends.dtypes import FROM_TORCH
from fusekit.frontends.fake import is_supported, result_dtype
from fusekit.frontends.lines import user_line
from fusekit.frontends.lowering import Lowering
from fusekit.frontends.obstacles import encoded_call, obstacle, unwritable
from fusekit.frontends.record import Record
from fusekit.frontends.rehearsal import MutationError, Rehearsal
from fusekit.frontends.scalars import concrete_tree, pinned_tree
from fusekit.specs import Decline, Reason

__all__ = ["DISPATCHING", "Tracer"]


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes operators into a record.

    Attributes:
        record: what is written down.
        opaque: sites of operators that become calls, whatever they are.
        functional: True under functionalisation, when no write is left but those into inputs.
        rehearsal: the rest of a function that writes in place.
        trouble: the first exception that an operator raised.
    """

    carries_scripts_out = True  # it wants to see each operator of TorchScript code

    def __init__(
        self,
        record: Record,
        adopt: Callable[[torch.Tensor], FakeTensor],
        opaque: Collection[int] = (),
    ) -> None:
        """Trace into `record`; `adopt` makes an input of a real tensor that turns up."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.record = record
        self.opaque = opaque
        self.functional = False
        self.rehearsal = Rehearsal(record.fakes.like)
        self.trouble: Exception | None = None
        self._adopt = adopt
        self._depth = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: wrapping this mode's handler would import the whole of torch.compile (a second)."""
        return False

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
                return self._traced(func, args, kwargs or {})
            except Exception as error:
                if self._depth == 0 and self.trouble is None:
                    self.trouble = error
                raise

    def _traced(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if writes(func, args, kwargs) and not self._is_write_back(func):
            made = self._in_place(func, args, kwargs)
            return self._rehearse(func, args, kwargs) if made is None else made
        expansion = expansion_of(func, args, kwargs)
        if expansion is not None:
            with self:
                return expansion()  # each of its operators is a site
        if func is torch.ops.aten.lift_fresh.default and not isinstance(args[0], FakeTensor):
            return self.record.literal(args[0])
        if func is torch.ops.aten.detach.default and self.record.owns(args[0]):
            return self._detached(args[0])
        args, kwargs = map_tensors(self._known, (args, kwargs))
        if self._depth == 0:
            self.record.stamp(func)
        mark = self.record.mark()
        if not self._is_write_back(func):
            take = self._left if self._is_left(func) else self._pointwise
            result = take(func, args, kwargs)
            if result is not None:
                self.record.own(result)
                return result
            self.record.rollback(mark)
        return self._call(func, args, kwargs)

    def _rehearse(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The first write of a trace that will be repeated under functionalisation."""
        if self.functional:
            outside = self.record.outside.get(self.record.identify(self._known(args[0])), "")
            raise FusionDeclined(unwritable(func, args, kwargs, user_line(), outside))
        if self._depth:
            raise MutationError
        return self.rehearsal.run(func, args, kwargs)

    def _in_place(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give a tensor that nobody else sees a new value; None where it takes more than that."""
        twin = out_of_place(func)
        target: Any = args[0] if args else None
        if twin is not None and is_view(twin) and self.record.made_here(target):
            return self._view_in_place(twin, func, args, kwargs)
        if twin is None or not self.record.owns(target):
            return None
        mark = self.record.mark()
        self.record.stamp(func)
        args, kwargs = map_tensors(self._known, (args, kwargs))
        if self._is_left(twin):
            made = self._left(twin, args, kwargs)
        elif name_of(twin) in DRAWS:
            made = self._drawn(func, args, kwargs)
        else:
            made = self._pointwise(twin, args, kwargs)
        if made is None or (made.dtype, made.shape) != (target.dtype, target.shape):
            self.record.rollback(mark)
            return None
        value = self.record.identify(made)
        if self._is_left(twin) and made.stride() != target.stride():
            value = self.record.builder.apply("copy", value, shape=tuple(made.shape))
        self.record.builder.set_strides(value, target.stride())
        self.record.names.bind(target, value)
        return target

    def _is_left(self, func: Any) -> bool:
        """True if the current operator is to be left to PyTorch; one of memory of its own can."""
        if self._depth or self.record.builder.site not in self.opaque or is_view(func):
            return False
        returned = func._schema.returns  # noqa: SLF001  no public spelling
        return all(item.alias_info is None for item in returned)

    def _left(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call in place of IR: what it returns is new memory, as a kernel's result is."""
        result = self._call(func, args, kwargs, shares=False)
        self.record.note_obstacle(Decline(Reason.PLAN, "it leaves the operator to PyTorch"))
        self.record.own(result)
        return result

    def _view_in_place(self, twin: Any, func: Any, args: Any, kwargs: Any) -> Any:
        """`squeeze_` and the like: the same memory, which this one name sees in another shape."""
        self.record.stamp(func)
        viewed = self._call(twin, args, kwargs)
        func(*args, **kwargs)
        self.record.fakes.forget(args[0])
        self.record.names.bind(args[0], self.record.identify(viewed))
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

    def _detached(self, tensor: torch.Tensor) -> torch.Tensor:
        """What factory functions return: new memory under a second name, so no longer owned."""
        fake = self.record.fakes.like_of(tensor, tensor.dtype)
        self.record.names.bind(fake, self.record.identify(tensor))
        self.record.share(tensor)
        return fake

    def _known(self, tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, FakeTensor):
            return self._adopt(tensor)
        self.record.identify(tensor)
        return tensor

    def _pointwise(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of `func` as IR, or None if it has to be a call."""
        name = name_of(func)
        if name in ("aten.cat", "aten.stack"):
            return self._cat(func, args, kwargs)
        if not self.record.all_plain((args, kwargs)):
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

    def _by_rule(self, rule: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        numbers = concrete_tree((args, kwargs))
        if result_dtype(func, *numbers) is None:
            return None
        fake = self.record.fakes.run(func, *numbers)
        twins = list(tensors_in(fake))
        if any(self.record.dtype_of(twin) is None for twin in twins):
            return None
        dtype = FROM_TORCH[twins[0].dtype]
        arguments = bind(func, args, kwargs)
        self.record.note_size(arguments)
        self.record.states_sizes |= name_of(func) == "aten.arange"
        lowering = Lowering(
            self.record.builder, arguments, dtype, self.record.identify, self.record.symbol
        )
        first = len(self.record.builder.values)
        made = rule(lowering)
        if made is None:
            return None
        results = made if isinstance(made, tuple) else (made,)
        for result, twin in zip(results, twins, strict=True):
            self.record.finish(result.cast(FROM_TORCH[twin.dtype]).id, first, twin)
        return fake

    def _drawn(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result of a random operator, in memory of its own even if it writes in place."""
        first = len(self.record.builder.values)
        made = self.record.draws.lower(func, args, kwargs)
        if made is None:
            return None
        self.record.note_size(bind(func, args, kwargs))
        for fake, each in made:
            self.record.finish(each.id, first, fake)
        return made[0][0] if len(made) == 1 else tuple(fake for fake, _ in made)

    def _by_decomposition(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Trace what torch says `func` consists of; None if any of it is not pointwise."""
        self.record.states_sizes = True  # it may: torch's decompositions look at shapes
        rule = decomposition_table.get(func)
        numbers = concrete_tree((args, kwargs))
        if rule is None or not is_supported(func, *numbers):
            return None
        first, start = len(self.record.builder.nodes), len(self.record.builder.values)
        try:
            with self._inside():
                made = rule(*args, **kwargs)
        except (NotImplementedError, MutationError):
            return None
        if any(node.op == "call" for node in self.record.builder.nodes[first:]):
            return None
        fake = self.record.fakes.run(func, concrete_tree(args), concrete_tree(kwargs))
        for theirs, ours in zip(tensors_in(fake), tensors_in(made), strict=True):
            if (theirs.dtype, theirs.shape) != (ours.dtype, ours.shape):
                return None
            self.record.finish(self.record.identify(ours), start, theirs)
        return fake

    def _cat(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A `cat` node for a cat or a stack; None if a kernel cannot hold its pieces."""
        fake = self.record.fakes.run(func, concrete_tree(args), concrete_tree(kwargs))
        dtype = self.record.dtype_of(fake)
        if dtype is None or not self.record.all_plain(args):
            return None
        tensors, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim", 0)
        if name_of(func) == "aten.stack":  # its strides are other than those of a cat of views
            with self._inside():
                tensors = [tensor.unsqueeze(dim) for tensor in tensors]
        identify = self.record.identify
        result = concatenated(self.record.builder, tensors, identify, dtype, fake, dim=int(dim))
        self.record.names.bind(fake, result)
        return fake

    def _call(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, shares: bool = True
    ) -> Any:
        """A node that PyTorch runs (or a view, which strides express).

        Where it `shares`, its result may lie in the memory of its arguments.
        """
        record, is_write_back = self.record, self._is_write_back(func)
        args, kwargs = pinned_tree(args), pinned_tree(kwargs)
        fake = record.fakes.run(func, args, kwargs)
        given = list(tensors_in((args, kwargs)))
        inputs = [record.identify(tensor) for tensor in given]
        matters = is_write_back or (given and only_checks(func))
        if not matters and not any(True for _ in tensors_in(fake)):
            return fake  # a question about metadata, answered
        if shares:
            record.share(given)
        why = record.note_obstacle(obstacle(func, args, kwargs, fake, record.device))
        encoded = encoded_call(args, kwargs, record.identify, why)
        if is_write_back:
            record.names.bind(args[0], record.identify(args[1]))
            record.writes.append((inputs[0], inputs[1]))
            return args[0]
        outputs = [record.new_value(tensor) for tensor in tensors_in(fake)]
        op = "view" if is_view(func) and len(inputs) == 1 else "call"
        record.builder.call(qualified(func), *encoded, inputs, outputs, op=op)
        self.rehearsal.see(func, args, fake)
        if record.builder.nodes[-1].is_allocation or record.builder.nodes[-1].is_sum:
            record.own(fake)
        return fake


DISPATCHING = (Tracer.__torch_dispatch__, find_torch_dispatch_rule)
"""What torch calls from where nothing may be raised: Ctrl-C in these would end the process."""

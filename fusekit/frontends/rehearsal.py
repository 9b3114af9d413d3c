"""The rest of a function that writes in place, run on fake tensors without writing it down.

Functionalisation accepts writes that eager PyTorch rejects (a float result into an integer tensor),
loses some (into a tensor that an operator returned as it was, `x.type_as(x)`), and rounds what is
written through an expanded tensor (it adds the difference to what was there). A rehearsal runs the
real in-place operators, so that torch checks them, and notes who is written; `Identities` keeps the
wrappers of functionalisation apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode

from fusekit.errors import FusionDeclined
from fusekit.frontends.aten import RULES
from fusekit.frontends.calls import is_view, map_leaves, map_tensors, name_of, tensors_in
from fusekit.frontends.fake import is_supported
from fusekit.frontends.lines import user_line
from fusekit.frontends.scalars import concrete
from fusekit.frontends.strides import is_apart
from fusekit.ir import Loc
from fusekit.specs import Decline, Reason

__all__ = ["Identities", "MutationError", "Rehearsal", "is_recorded"]


class MutationError(BaseException):
    """The function writes in place: trace it again under functionalisation.

    A BaseException, so that no `except Exception` of the user's swallows it.
    """


class Rehearsal:
    """One trace's.

    Attributes:
        active: True from the first write to the end of the trace.
        first: the operator of that write, and the user's line, if known.
    """

    def __init__(self, adopt: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Not active yet; `adopt` makes a fake tensor of a real one."""
        self.active = False
        self.first: tuple[Any, Loc | None] | None = None
        self._adopt = adopt
        self._written: set[int] = set()
        self._repeated: list[torch.Tensor] = []
        """Views whose elements stand for several others', and views of these."""

    def see(self, func: Any, args: tuple[Any, ...], made: Any) -> None:
        """Take note of a view that repeats elements, as expand and unfold do."""
        if func is torch.ops.aten.unfold.default:  # of which torch's inverse drops the rest
            repeats = True
        elif func in _REPEATING:
            several = made.numel() > 0 and not is_apart(made.shape, made.stride())
            repeats = several or self._repeats(args[0])
        else:
            repeats = bool(self._repeated) and is_view(func) and self._repeats(args[0])
        if repeats:
            self._repeated.extend(tensors_in(made))

    def _repeats(self, tensor: torch.Tensor) -> bool:
        return any(tensor is other for other in self._repeated)

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operator's result, under torch's own fake tensor mode."""
        if not self.active:
            self.first = func, user_line()
        self.active = True

        def prepared(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return value if isinstance(value, FakeTensor) else self._adopt(value)
            return concrete(value)

        args, kwargs = map_leaves(prepared, args), map_leaves(prepared, kwargs)
        for index, argument in enumerate(func._schema.arguments):  # noqa: SLF001
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[index] if index < len(args) else kwargs.get(argument.name)
                self._write(func, list(tensors_in(given)))
        if name_of(func).removesuffix("_") in RULES and not is_supported(func, args, kwargs):
            raise TypeError(f"{func} does not take these dtypes")  # the meta kernel would
        made = func(*args, **kwargs)
        self.see(func, args, made)
        return made

    def _write(self, func: Any, given: list[torch.Tensor]) -> None:
        self._written.update(map(_memory, given))
        if any(map(self._repeats, given)):
            raise FusionDeclined(_through_repeats(func))
        if any(map(_may_overlap, *_neighbours(given))):  # eager writes one after the other
            detail = "it writes several tensors that share memory"
            raise FusionDeclined(Decline(Reason.MUTATION, detail, str(func), user_line()))

    def wrote(self, fake: torch.Tensor) -> bool:
        """True if a write went into the memory of this fake tensor."""
        return _memory(fake) in self._written


_REPEATING = frozenset((torch.ops.aten.expand.default, torch.ops.aten.as_strided.default))


def _through_repeats(func: Any) -> Decline:
    detail = "what it writes to has several elements in one place"
    advice = "write to the tensor that it is a view of"
    return Decline(Reason.MUTATION, detail, str(func), user_line(), advice)


_EXPANDING = frozenset(
    (torch.Tensor.expand, torch.Tensor.expand_as, torch.Tensor.broadcast_to, torch.broadcast_to)
)


def _at_least(least: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A tensor as it is, or the view of it that has so many dimensions."""

    def viewed(x: torch.Tensor) -> torch.Tensor:
        if x.dim() >= least:
            return x
        behind = (None,) * (least > 2 and x.dim() > 0)
        return x[(*(None,) * (least - x.dim() - len(behind)), ..., *behind)]

    return viewed


_AT_LEAST = {
    torch.atleast_1d: _at_least(1),
    torch.atleast_2d: _at_least(2),
    torch.atleast_3d: _at_least(3),
}


class Identities(TorchFunctionMode):
    """Under functionalisation, operators that return an argument as it is return that very object.

    torch wraps what `x.type_as(x)` returns anew, and the wrappers then miss each other's writes.
    What expands nothing is a plain view, through which a write is exact. What adds dimensions
    of one element is a view, too, though its schema hides that, and torch forgets what it is of.
    Of other views whose schema hides it, as some that einsum returns, nothing can be made.

    A tensor that is written keeps its strides: torch has it take those of what the operator returns
    out of place, and what then flattens it would see a view where there is none.
    """

    def __init__(self, laid_out: Callable[[torch.Tensor, tuple[int, ...]], torch.Tensor]) -> None:
        """`laid_out` makes of a fake tensor one with the same elements under other strides."""
        super().__init__()
        self._laid_out = laid_out

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """The result, with arguments in place of their second wrappers."""
        if getattr(func, "__name__", "") in _MOVES:
            return self._identified(func, args, kwargs)
        given = [(x, x.stride()) for x in tensors_in((args, kwargs)) if _is_wrapper(x)]
        made = self._identified(func, args, kwargs)
        for tensor, before in given:
            if tensor.stride() != before:
                self._keep(tensor, before)
        return made

    def _keep(self, tensor: torch.Tensor, strides: tuple[int, ...]) -> None:
        """Give a tensor that has been written the strides it had."""
        torch._functionalize_sync(tensor)  # noqa: SLF001  no public spelling
        if tensor.stride() != strides:
            inner = _wrapped(tensor)
            with torch._C._DisableFuncTorch():  # noqa: SLF001  likewise
                kept = self._laid_out(inner, strides)
            torch._functionalize_replace(tensor, kept)  # noqa: SLF001  likewise
            torch._functionalize_commit_update(tensor)  # noqa: SLF001  likewise
            torch._functionalize_sync(tensor)  # noqa: SLF001  likewise

    def _identified(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func is torch.Tensor.masked_fill_:
            # of the tensors that it would return out of place, the layout is another
            return args[0].copy_(torch.Tensor.masked_fill(*args, **(kwargs or {})))
        if func in _AT_LEAST:
            viewed = map_tensors(_AT_LEAST[func], args[0] if len(args) == 1 else args)
            return tuple(viewed) if isinstance(viewed, list) else viewed
        made = func(*args, **(kwargs or {}))
        if func in _EXPANDING:
            view = args[0][(None,) * (made.dim() - args[0].dim())]
            return view if view.shape == made.shape else made
        given = [x for x in tensors_in(args) if _is_wrapper(x)]
        if not given:
            return made
        by_wrapped = {id(_wrapped(x)): x for x in given}
        memories = {_memory(_wrapped(x)): _memory(x) for x in given}

        def original(tensor: torch.Tensor) -> torch.Tensor:
            if not _is_wrapper(tensor):
                return tensor
            found: torch.Tensor = by_wrapped.get(id(_wrapped(tensor)), tensor)
            memory = _memory(found)
            if memories.get(_memory(_wrapped(found)), memory) != memory:
                raise FusionDeclined(_through_hidden_view(func))
            return found

        if isinstance(made, torch.Tensor):
            return original(made)
        return map_tensors(original, made) if type(made) in (list, tuple) else made


def is_recorded(tree: Any) -> bool:
    """True if autograd writes down what happens to these tensors."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors_in(tree))


_MOVES = frozenset(
    (
        *("t_", "transpose_", "swapaxes_", "swapdims_", "squeeze_", "unsqueeze_", "as_strided_"),
        *("resize_", "resize_as_", "set_"),
    )
)
"""Functions that have their argument see its memory otherwise."""


def _is_wrapper(tensor: torch.Tensor) -> bool:
    return bool(torch._is_functional_tensor(tensor))  # noqa: SLF001  no public spelling


def _wrapped(tensor: torch.Tensor) -> Any:
    return torch._from_functional_tensor(tensor)  # noqa: SLF001  no public spelling


def _neighbours(tensors: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Each tensor, and the one behind it in memory."""
    dense = [x for x in tensors if x.layout is torch.strided and x.numel()]
    dense.sort(key=lambda x: (_memory(x), x.storage_offset()))
    return dense[:-1], dense[1:]


def _may_overlap(first: torch.Tensor, second: torch.Tensor) -> bool:
    """True if the second begins in the same memory before the first ends."""
    reach = sum((n - 1) * step for n, step in zip(first.shape, first.stride(), strict=True))
    ends = first.storage_offset() + reach
    return _memory(first) == _memory(second) and second.storage_offset() <= ends


def _through_hidden_view(func: Any) -> Decline:
    """Of a result in an argument's memory that functionalisation takes for another memory."""
    detail = f"{func.__name__} returns a view of its argument here, and something is written"
    advice = "take that view by transpose, permute, reshape or expand"
    return Decline(Reason.MUTATION, detail, loc=user_line(), advice=advice)


def _memory(fake: torch.Tensor) -> int:
    """What tells memories apart; a tensor that is not strided has its own."""
    if fake.layout is not torch.strided:
        return id(fake)
    return int(fake.untyped_storage()._cdata)  # noqa: SLF001  what tells storages apart on "meta"

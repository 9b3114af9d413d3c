"""What a function does about extents: whether one capture serves other sizes, too."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from fusekit.frontends.aten import RULES

__all__ = ["SizeQuestions"]


Restate = Callable[[Any, Any, str, tuple[Any, ...]], bool]


class SizeQuestions(TorchFunctionMode):
    """Notices what the function calls that depends on extents; torch's own code asks unseen.

    Attributes:
        asked: it asked a tensor for its extents.
        is_verbatim: whatever it called hands the numbers it was given to operators as they are, and
            makes none from extents.
        stated: the numbers from 2 on that it gave to those.
    """

    def __init__(self, restate: Restate, after: Callable[[], None] = lambda: None) -> None:
        """Nothing asked yet; `after` is called when an operator is done.

        `restate` is given what a function of `_MERGING` made, of which tensor, the operator that
        has the function's numbers as they are, and its arguments. It returns True if that operator
        now stands in the graph, in place of a view to the extents that torch found.
        """
        super().__init__()
        self._restate = restate
        self.asked = False
        self.is_verbatim = True
        self.stated: set[int] = set()
        self._after = after

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Let everything pass."""
        name = getattr(func, "__name__", "")
        if name == "__get__":
            name = getattr(func.__self__, "__name__", "")
        name = name.partition(".")[0]  # of overloads, too
        self.asked = self.asked or name in _QUESTIONS
        if name in _SHAPING:
            self.stated.update(n for n in map(abs, _integers((args, kwargs))) if n > 1)
            self.is_verbatim &= name != "narrow" or _narrows_from_the_front(*args, **(kwargs or {}))
        elif name not in _MERGING and _POINTWISE.isdisjoint((name, name.rstrip("_"))):
            self.is_verbatim = False
        made = func(*args, **(kwargs or {}))
        if name in _MERGING and not self._is_restated(name, made, args, kwargs or {}):
            self.is_verbatim = False
        self._after()
        return made

    def _is_restated(self, name: str, made: Any, args: Any, kwargs: Any) -> bool:
        """True if the graph has the numbers of a function that merges dimensions, not extents."""
        source, *numbers = args or (None,)
        target, spelled = _MERGING[name]
        given = spelled(*numbers, **kwargs)
        if given is None:
            return False
        self.stated.update(n for n in map(abs, _integers(given)) if n > 1)
        return self._restate(made, source, target, given)


def _flattened(start_dim: Any = 0, end_dim: Any = -1, **others: Any) -> tuple[Any, ...] | None:
    """The arguments of `aten.flatten`; None for dimensions that are no plain integers."""
    given = (start_dim, end_dim)
    return None if others or any(type(n) is not int for n in given) else given


def _reshaped(*shape: Any, **others: Any) -> tuple[Any, ...] | None:
    """The arguments of `aten.reshape`, however they are spelled; None if it states no integers."""
    shape = others.pop("shape", shape)
    if len(shape) == 1 and isinstance(shape[0], list | tuple):
        (shape,) = shape
    return None if others or any(type(n) is not int for n in shape) else (tuple(shape),)


def _narrows_from_the_front(*args: Any, **kwargs: Any) -> bool:
    """False where torch counts the start of a `narrow` from the end, and states what it found."""
    start = kwargs.get("start", args[2] if len(args) > 2 else None)
    return type(start) is int and start >= 0


Spelled = Callable[..., tuple[Any, ...] | None]

_MERGING: Mapping[str, tuple[str, Spelled]] = {
    "flatten": ("aten.flatten.using_ints", _flattened),
    "reshape": ("aten.reshape.default", _reshaped),
}
"""Functions that hand torch's view the extents that they found: the operator that takes their
numbers as they are, and these."""


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, slice):
        yield from _integers((value.start, value.stop, value.step))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _integers(item)
    elif isinstance(value, dict):
        yield from _integers(tuple(value.values()))
    elif hasattr(value, "__index__") and not isinstance(value, torch.Tensor):
        with contextlib.suppress(TypeError):  # an array
            yield operator.index(value)


_QUESTIONS = frozenset(
    (
        *("shape", "size", "numel", "nelement", "__len__", "stride", "is_contiguous", "unbind"),
        *("sym_size", "sym_numel", "sym_stride", "len", "nbytes", "untyped_storage", "data_ptr"),
        *("storage_offset", "__iter__", "__contains__"),
        "sum_to_size",  # which is nothing at all where the sizes are as stated
    )
)
"""What depends on extents and is no operator."""

_POINTWISE = frozenset(
    (
        *(name.removeprefix("aten.") for name in RULES),
        *(
            "__rsub__",
            "__rdiv__",
            "__rtruediv__",
            "__rpow__",
            "__invert__",
            "true_divide",
            "square",
        ),
        *(
            "absolute",
            "negative",
            "multiply",
            "subtract",
            "divide",
            "clip",
            "type_as",
            "to",
            "float",
        ),
        *("double", "half", "bfloat16", "int", "long", "bool", "detach", "contiguous", "dropout"),
        *("dtype", "device", "layout", "ndim", "dim", "is_floating_point", "is_complex", "is_cuda"),
        *("requires_grad", "zeros_like", "ones_like", "full_like", "empty_like", "greater", "less"),
    )
)
"""Functions whose results depend on extents no more than their arguments' do, with no numbers that
count elements or dimensions."""

_SHAPING = frozenset(
    (
        *("transpose", "t", "T", "mT", "swapaxes", "swapdims", "permute", "movedim", "moveaxis"),
        *("unsqueeze", "squeeze", "__getitem__", "narrow", "select", "split", "chunk", "expand"),
        *(
            "view",
            "cat",
            "concat",
            "concatenate",
            "stack",
            "matmul",
            "mm",
            "bmm",
            "addmm",
            "baddbmm",
        ),
        *(
            "linear",
            "softmax",
            "log_softmax",
            "layer_norm",
            "sum",
            "mean",
            "amax",
            "amin",
            "cumsum",
            "var",
        ),
    )
)
"""Functions that move, cut or join dimensions, and such sums and products. What reaches operators
are the numbers that they are given, but for:

- `chunk`, whose pieces have the extent that it found: other extents give other pieces, or more;
- a slice up to the end, stated as a number, which is left out;
- `linear` and `matmul`, which state the extents they found where they merge dimensions.

There an extent that changes meets a number that does not, which is why `stated` is kept."""

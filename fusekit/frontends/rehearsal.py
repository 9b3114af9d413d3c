"""The rest of a function that writes in place, run on fake tensors without writing it down.

Functionalisation accepts writes that eager PyTorch rejects (a float result into an integer tensor),
and loses some (into a tensor that an operator returned as it was, `x.type_as(x)`). A rehearsal
runs the real in-place operators, so that torch checks them, and notes who is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from fusekit.frontends.aten import RULES
from fusekit.frontends.calls import map_leaves, name_of, tensors_in
from fusekit.frontends.fake import is_supported
from fusekit.frontends.scalars import concrete

__all__ = ["Rehearsal"]


class Rehearsal:
    """One trace's.

    Attributes:
        active: True from the first write to the end of the trace.
    """

    def __init__(self, adopt: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Not active yet; `adopt` makes a fake tensor of a real one."""
        self.active = False
        self._adopt = adopt
        self._written: set[int] = set()

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operator's result, under torch's own fake tensor mode."""
        self.active = True

        def prepared(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return value if isinstance(value, FakeTensor) else self._adopt(value)
            return concrete(value)

        args, kwargs = map_leaves(prepared, args), map_leaves(prepared, kwargs)
        for index, argument in enumerate(func._schema.arguments):  # noqa: SLF001
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[index] if index < len(args) else kwargs.get(argument.name)
                self._written.update(map(_memory, tensors_in(given)))
        if name_of(func).removesuffix("_") in RULES and not is_supported(func, args, kwargs):
            raise TypeError(f"{func} does not take these dtypes")  # the meta kernel would
        return func(*args, **kwargs)

    def wrote(self, fake: torch.Tensor) -> bool:
        """True if a write went into the memory of this fake tensor."""
        return _memory(fake) in self._written


def _memory(fake: torch.Tensor) -> int:
    return fake.untyped_storage()._cdata  # noqa: SLF001  what tells storages apart on "meta"

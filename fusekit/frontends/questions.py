"""Whether a function asks its tensors for their extents: then one capture serves one size only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch.overrides import TorchFunctionMode

__all__ = ["SizeQuestions"]


class SizeQuestions(TorchFunctionMode):
    """Notices whether the function asks a tensor for its extents; torch's own code asks unseen.

    Attributes:
        asked: it did.
    """

    def __init__(self, after: Callable[[], None] = lambda: None) -> None:
        """Nothing asked yet; `after` is called when an operator is done."""
        super().__init__()
        self.asked = False
        self._after = after

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Let everything pass."""
        name = getattr(func, "__name__", "")
        if name == "__get__":
            name = getattr(func.__self__, "__name__", "")
        self.asked = self.asked or name.partition(".")[0] in _QUESTIONS  # of overloads, too
        made = func(*args, **(kwargs or {}))
        self._after()
        return made


_QUESTIONS = frozenset(
    (
        *("shape", "size", "numel", "nelement", "__len__", "stride", "is_contiguous", "unbind"),
        *("sym_size", "sym_numel", "sym_stride", "len", "nbytes", "untyped_storage", "data_ptr"),
        *("storage_offset", "__iter__", "__contains__"),
    )
)
"""What depends on extents and is no operator."""

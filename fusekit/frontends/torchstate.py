"""Torch's modes and switches, put back where an interrupt left them halfway.

Torch's context managers are Python: Ctrl-C in one that is about to restore something leaves it
changed, for the rest of the program.
"""

from __future__ import annotations

from typing import Self

import torch

__all__ = ["TorchState"]

_C = torch._C  # noqa: SLF001  modes and their stacks have no public spelling


class TorchState:
    """The state of this thread when it is made; a block that is left by an error restores it."""

    def __init__(self) -> None:
        """Note it; this takes a microsecond."""
        self._grad = torch.is_grad_enabled()
        self._modes = _C._len_torch_dispatch_stack()  # noqa: SLF001
        self._function_modes = _C._len_torch_function_stack()  # noqa: SLF001
        self._transforms = _C._functorch.get_dynamic_layer_stack_depth()  # noqa: SLF001
        self._lifts = _C._only_lift_cpu_tensors()  # noqa: SLF001  the fake tensor mode's own switch

    def __enter__(self) -> Self:
        """The state was noted when it was made."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Restore it after an error, interrupts included."""
        if kind is not None:
            self.restore()

    def restore(self) -> None:
        """Leave what was entered since, and set the switches as they were."""
        _C._functorch.pop_dynamic_layer_stack_and_undo_to_depth(self._transforms)  # noqa: SLF001
        while _C._len_torch_dispatch_stack() > self._modes:  # noqa: SLF001
            _C._pop_torch_dispatch_stack(None)  # noqa: SLF001
        while _C._len_torch_function_stack() > self._function_modes:  # noqa: SLF001
            _C._pop_torch_function_stack()  # noqa: SLF001
        _C._set_only_lift_cpu_tensors(self._lifts)  # noqa: SLF001
        torch.set_grad_enabled(self._grad)

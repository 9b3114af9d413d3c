"""PyTorch's legacy fuser, which still sits inside torch behind a few switches."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = ["legacy_fused"]

_GROUP = "prim::FusionGroup"

_SWITCHES = (
    ("_jit_can_fuse_on_gpu", "_jit_override_can_fuse_on_gpu", True),
    ("_jit_can_fuse_on_cpu", "_jit_override_can_fuse_on_cpu", True),
    ("_jit_can_fuse_on_cpu_legacy", "_jit_override_can_fuse_on_cpu_legacy", True),
    ("_jit_texpr_fuser_enabled", "_jit_set_texpr_fuser_enabled", False),
    ("", "_jit_set_profiling_executor", False),
    ("", "_jit_set_profiling_mode", False),
)
"""How each is read ("": setting it returns what was), how it is set, and to what."""


def legacy_fused(fn: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[], Any] | str:
    """A call of `fn` on `args` through the legacy fuser, or why it does not fuse.

    What is not a tensor becomes part of the trace.
    """
    tensors = tuple(arg for arg in args if isinstance(arg, torch.Tensor))

    def of_tensors(*given: torch.Tensor) -> Any:
        left = iter(given)
        return fn(*(next(left) if isinstance(arg, torch.Tensor) else arg for arg in args))

    jit: Any = torch.jit
    with _legacy_executor(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = jit.trace(of_tensors, tensors, check_trace=False)
        for _ in range(3):
            traced(*tensors)
        graph = str(jit.last_executed_optimized_graph())
    if _GROUP not in graph:
        return "does not fuse"
    return lambda: traced(*tensors)


@contextlib.contextmanager
def _legacy_executor() -> Iterator[None]:
    """The switches matter when a graph is first run; they are put back behind it."""
    switches: Any = torch._C  # noqa: SLF001  the only spelling there is
    before: list[tuple[str, bool]] = []
    try:
        for read, write, value in _SWITCHES:
            known = getattr(switches, read)() if read else None
            was = getattr(switches, write)(value)
            before.append((write, was if known is None else known))
        yield
    finally:
        for write, was in before:
            getattr(switches, write)(was)

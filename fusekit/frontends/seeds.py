"""Seeds: one for each call of a function that draws, by PyTorch's own generator.

So `torch.manual_seed` decides the numbers, and as the host never looks at the seed, a CUDA graph
draws new ones at each replay. A seed may also be given: a gradient recomputes the forward's draws.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import torch

from fusekit.ir import DType, GraphBuilder, Node, Token

__all__ = ["call_seed", "draw_seed", "given_seed", "is_seed", "seeded"]

_TARGET = "aten.randint.low"
_RANGE = (0, 2**63 - 1)

_ORIGIN = "fusekit.seed"
"""What the call that draws a seed is called: the user wrote none."""


def draw_seed(device: torch.device) -> torch.Tensor:
    """A seed, which stays on the device."""
    return torch.randint(*_RANGE, (), dtype=torch.int64, device=device)


def call_seed(builder: GraphBuilder, device: torch.device) -> int:
    """The value of a new call node that PyTorch runs as `draw_seed` does."""
    made = builder.value(DType.I64, ())
    kwargs = (("dtype", Token("torch_dtype", "int64")), ("device", Token("device", str(device))))
    attrs = (("args", (*_RANGE, ())), ("kwargs", kwargs), ("target", _TARGET))
    builder.add(Node("call", (), (made,), attrs, builder.loc, _ORIGIN, builder.site))
    return made


def is_seed(node: Node) -> bool:
    """True for the call that draws a seed."""
    return node.op == "call" and node.origin == _ORIGIN


_given: contextvars.ContextVar[torch.Tensor | None] = contextvars.ContextVar("seed", default=None)


@contextlib.contextmanager
def seeded(seed: torch.Tensor) -> Iterator[None]:
    """What is traced inside takes this seed instead of drawing one."""
    token = _given.set(seed)
    try:
        yield
    finally:
        _given.reset(token)


def given_seed() -> torch.Tensor | None:
    """The seed that `seeded` gave; without the wrapper that functionalisation puts around it."""
    seed = _given.get()
    if seed is not None and torch._is_functional_tensor(seed):  # noqa: SLF001  no public spelling
        seed = torch._from_functional_tensor(seed)  # noqa: SLF001  likewise
    return seed

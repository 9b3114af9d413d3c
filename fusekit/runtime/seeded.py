"""Functions that are given their seed, so that a gradient recomputes what the forward drew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from fusekit.frontends.calls import name_of, out_of_place
from fusekit.frontends.draws import DRAWS, Draws
from fusekit.frontends.dtypes import FROM_TORCH
from fusekit.frontends.fake import Fakes
from fusekit.frontends.scalars import ScalarNode
from fusekit.frontends.seeds import draw_seed, seeded
from fusekit.ir import DType, GraphBuilder
from fusekit.runtime.fallback import evaluate

__all__ = ["Drawing", "Seeded"]


class Seeded:
    """A function with one more argument in front: the seed of its random numbers."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """The same function otherwise."""
        self.function = function

    def __call__(self, seed: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """The function's result; where it runs in PyTorch, on the numbers that kernels draw."""
        is_traced = isinstance(seed, FakeTensor) or torch._is_functional_tensor(seed)  # noqa: SLF001  no public spelling
        with seeded(seed) if is_traced else Replay(seed):
            return self.function(*args, **kwargs)


class Drawing:
    """One signature of a function that draws, while gradients are recorded.

    Args:
        run: the fused `Seeded` function, with its own gradient.
        device: where the seed is drawn.
        spec: the form of the arguments.
    """

    def __init__(
        self, run: Callable[..., Any], device: torch.device, spec: pytree.TreeSpec
    ) -> None:
        self.run = run
        self.device = device
        self.spec = spec

    def __call__(self, leaves: Sequence[Any]) -> list[Any]:
        """The leaves of the result, attached to the autograd graph."""
        args, kwargs = pytree.tree_unflatten(list(leaves), self.spec)
        return pytree.tree_leaves(self.run(draw_seed(self.device), *args, **kwargs))


class Replay(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """PyTorch with the random numbers of kernels: those operators are evaluated as IR."""

    carries_scripts_out = True  # TorchScript shows it each operator, as it did the trace

    def __init__(self, seed: torch.Tensor) -> None:
        """Nothing drawn yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.seed = seed
        self.drawn = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No, as for the tracer."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """The operator's result."""
        kwargs = kwargs or {}
        twin = out_of_place(func) if func._schema.is_mutable else func  # noqa: SLF001  likewise
        if twin is None or name_of(twin) not in DRAWS:
            return func(*args, **kwargs)
        made = self._draw(func, args, kwargs)
        if made is None:
            return func(*args, **kwargs)
        return made if twin is func else args[0].copy_(made)

    def _draw(self, func: Any, args: Any, kwargs: Any) -> Any:
        """As the tracer lowers it, at once."""
        builder = GraphBuilder()
        inputs: dict[int, torch.Tensor] = {}
        numbers: list[int] = []

        def identify(tensor: torch.Tensor) -> int:
            known = next((i for i, other in inputs.items() if other is tensor), None)
            if known is None:
                dtype = FROM_TORCH[tensor.dtype]
                known = builder.input(dtype, tuple(tensor.shape), tensor.stride())
                inputs[known] = tensor
            return known

        def symbol(node: ScalarNode) -> int:
            numbers.append(int(node.value))
            return builder.scalar(DType.I64)

        draws = Draws(builder, Fakes(), identify, symbol, first=self.drawn)
        with seeded(self.seed):
            made = draws.lower(func, args, kwargs)
        if made is None:
            return None
        self.drawn += len(numbers)
        graph = builder.finish([each.id for _, each in made])
        leaves = [inputs[i].detach() for i in graph.tensor_inputs]
        with torch.no_grad():
            found = [
                torch.empty_strided(
                    fake.shape, fake.stride(), dtype=fake.dtype, device=fake.device
                ).copy_(value)
                for (fake, _), value in zip(made, evaluate(graph, [*leaves, *numbers]), strict=True)
            ]
        return found[0] if len(found) == 1 else tuple(found)

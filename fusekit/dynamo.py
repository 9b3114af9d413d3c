"""The torch.compile backend: `torch.compile(model, backend="fusekit")`.

    with fusekit.dynamo.watching() as graphs:
        model(x).sum().backward()

collects the explanation of each graph that runs, forward and backward, in order.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fusekit.errors import UsageError
from fusekit.frontends.breaks import break_of
from fusekit.runtime.compiled import compile_graph, watching
from fusekit.runtime.engines import ENGINES
from fusekit.specs import Decline

if TYPE_CHECKING:
    import torch

__all__ = ["backend", "watching"]

_numbers = itertools.count()


def backend(
    module: torch.fx.GraphModule,
    example_inputs: Sequence[Any],
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """Fuse what torch.compile captured; found through the `torch_dynamo_backends` entry point.

    AOTAutograd makes a forward and a backward graph of it, functional and of aten operators, by
    torch's min-cut partitioner; each is captured, grouped and compiled at its first call, and for
    other sizes when they come.

    Args:
        module: the graph that TorchDynamo captured.
        example_inputs: fake tensors and symbolic sizes like its arguments.
        options: of torch.compile; "engine" is the one that must serve, as in `fusekit.fuse`.

    Raises:
        UsageError: there is no such option or engine.
    """
    from torch._dynamo.backends.common import aot_autograd  # noqa: PLC0415  a second to import

    engine = _engine(options or {})
    number = next(_numbers)
    compiler = functools.partial(_compile, engine=engine, number=number)
    ended = break_of(getattr(module, "compile_subgraph_reason", None))
    aot = aot_autograd(
        fw_compiler=functools.partial(compiler, role="forward", ended=ended),
        bw_compiler=functools.partial(compiler, role="backward"),
        inference_compiler=functools.partial(compiler, role="inference", ended=ended),
        partition_fn=_partition,
        keep_inference_input_mutations=True,
    )
    return aot(module, example_inputs)


def _engine(options: Mapping[str, Any]) -> str:
    unknown = options.keys() - {"engine"}
    if unknown:
        raise UsageError(f"no option {min(unknown)!r}; there is engine")
    engine = options.get("engine", "auto")
    if engine != "auto" and engine not in ENGINES:
        raise UsageError(f"no engine {engine!r}; there are auto, {', '.join(ENGINES)}")
    return str(engine)


def _compile(
    module: torch.fx.GraphModule,
    _: Sequence[Any],
    *,
    engine: str,
    number: int,
    role: str,
    ended: Decline | None = None,
) -> Callable[[list[Any]], Any]:
    return compile_graph(module, engine, f"graph{number}_{role}", ended)


def _partition(joint: torch.fx.GraphModule, *args: Any, **kwargs: Any) -> Any:
    from functorch.compile import min_cut_rematerialization_partition  # type: ignore[import-untyped]  # noqa: PLC0415  likewise

    return min_cut_rematerialization_partition(joint, *args, **kwargs)

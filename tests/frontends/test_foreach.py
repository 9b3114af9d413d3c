"""Operators over lists of tensors: one by one they are eager's, and together one launch."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.frontends.foreach import _SINGLE

NAMES = sorted(
    name.removeprefix("aten::")
    for name in torch._C._dispatch_get_all_op_names()
    if name.startswith("aten::_foreach_") and not name.endswith("out")
)
"""Every operator over lists, with its overload."""


def lists(dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [(torch.rand(shape) * 0.8 + 0.1).to(dtype) for shape in ((3, 5), (8,), (), (0, 2))]


def arguments(schema: torch.FunctionSchema) -> dict[str, object]:
    """Something for each argument without a default."""
    made = {}
    for number, argument in enumerate(schema.arguments):
        kind = str(argument.type)
        if kind == "List[Tensor]":
            made[argument.name] = lists()
        elif kind == "List[number]":
            made[argument.name] = [0.5, 2.0, 1.5, 0.25]
        elif kind == "number" and (not argument.has_default_value() or number == 3):
            made[argument.name] = 0.75
        elif kind == "Tensor":
            made[argument.name] = torch.rand(4) if argument.name == "scalars" else torch.rand(())
    return made


def overload(name: str) -> object:
    packet, _, chosen = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), chosen or "default")


def is_known(name: str) -> bool:
    single = name.partition(".")[0].removeprefix("_foreach_").removesuffix("_")
    return single in _SINGLE


@pytest.mark.parametrize("name", [name for name in NAMES if is_known(name)])
def test_each_is_eager_s(name) -> None:
    operator = overload(name)
    given = arguments(operator._schema)
    mine = {
        k: [x.clone() for x in v] if k == "self" and isinstance(v, list) else v
        for k, v in given.items()
    }
    theirs = {
        k: [x.clone() for x in v] if k == "self" and isinstance(v, list) else v
        for k, v in given.items()
    }
    names = list(given)

    def function(*values):
        made = operator(**dict(zip(names, values, strict=True)))
        return values[names.index("self")] if made is None else made

    found = fusekit.fuse(function)(*mine.values())
    for one, other in zip(found, function(*theirs.values()), strict=True):
        torch.testing.assert_close(one, other)
        assert one.stride() == other.stride()


def test_every_elementwise_operator_over_lists_is_known() -> None:
    left = {name.partition(".")[0].removesuffix("_") for name in NAMES if not is_known(name)}
    assert left <= {"_foreach_norm", "_foreach_max", "_foreach_powsum", "_foreach_mm"}


def test_a_sequence_of_them_is_one_launch() -> None:
    def function(xs, ys):
        torch._foreach_mul_(xs, 0.9)
        torch._foreach_add_(xs, ys, alpha=0.1)
        return torch._foreach_sqrt(torch._foreach_abs(xs))

    xs = [torch.randn(n) for n in (10, 2000, 40)]
    ys = [torch.randn_like(x) for x in xs]
    eagers = [x.clone() for x in xs]
    before = fusekit.stats()
    found = fusekit.fuse(function)(xs, ys)
    after = fusekit.stats()
    assert (after.launches - before.launches, after.opaque_calls - before.opaque_calls) == (1, 0)
    for one, other in zip([*found, *xs], [*function(eagers, ys), *eagers], strict=True):
        torch.testing.assert_close(one, other)


def one_after_the_other(x):
    torch._foreach_mul_([x, x[1:]], 2.0)
    return x + 1


def side_by_side(x):
    made = x * 1
    torch._foreach_add_(made.chunk(2), 1.0)
    return made * 2


@pytest.mark.parametrize(
    ("function", "is_fused"), [(one_after_the_other, False), (side_by_side, True)]
)
def test_lists_of_tensors_that_share_memory(function, is_fused):
    given = torch.arange(6.0)
    twin = given.clone()
    fused = fusekit.fuse(function)
    assert torch.equal(fused(given), function(twin))
    assert torch.equal(given, twin)
    assert bool(fused.explain(given).groups) == is_fused

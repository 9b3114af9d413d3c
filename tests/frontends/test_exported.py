"""Programs of torch.export: their modules are fused like the module that was exported."""

from __future__ import annotations

import warnings

import pytest
import torch

import fusekit

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(6, 6)
        self.register_buffer("shift", torch.randn(6))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, *, scale=2.0):
        y = torch.tanh(self.linear(x)) * scale + self.shift
        return {"y": y * x.shape[0], "more": (y.relu(), [y + 1])}


class Counting(Block):
    def forward(self, x):
        self.calls.add_(1)
        return torch.tanh(x) * self.calls + self.shift


class Writing(torch.nn.Module):
    def forward(self, x):
        x.mul_(2)
        return x.tanh() + 1


def exported(module, *args, rows=None, **kwargs):
    """The module of the exported program; `rows` is the dynamic first dimension of the first."""
    shapes = None
    if rows is not None:
        shapes = {"x": {0: rows}} | dict.fromkeys(kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own making
        return torch.export.export(module, args, kwargs, dynamic_shapes=shapes).module()


def check(fused, module, x, fallbacks=(), **kwargs):
    before = fusekit.stats()
    got = fused(x, **kwargs)
    after = fusekit.stats()
    expected = module(x, **kwargs)
    torch.testing.assert_close(got, expected, **TOLERANCE)
    fell = {code for code, n in after.fallbacks.items() if n > before.fallbacks.get(code, 0)}
    assert fell == set(fallbacks)
    assert (after.launches > before.launches) == (not fallbacks)


@torch.no_grad()
def test_any_batch_in_the_exported_range():
    module = exported(
        Block(), torch.randn(4, 6), rows=torch.export.Dim("n", min=2, max=64), scale=2.0
    )
    fused = fusekit.fuse(module)
    for rows in (2, 3, 7, 64, 3):
        check(fused, module, torch.randn(rows, 6), scale=2.0)


@torch.no_grad()
@pytest.mark.parametrize(
    ("shape", "dtype"), [((65, 6), torch.float32), ((3, 5), torch.float32), ((3, 6), torch.float64)]
)
def test_what_was_not_exported_raises_as_it_does(shape, dtype):
    module = exported(
        Block(), torch.randn(4, 6), rows=torch.export.Dim("n", min=2, max=64), scale=2.0
    )
    fused = fusekit.fuse(module)
    check(fused, module, torch.randn(4, 6), scale=2.0)
    x = torch.randn(shape, dtype=dtype)
    with pytest.raises((AssertionError, RuntimeError)) as theirs:
        module(x, scale=2.0)
    with pytest.raises(type(theirs.value)) as ours:
        fused(x, scale=2.0)
    assert str(ours.value) == str(theirs.value)


@torch.no_grad()
def test_parameters_and_buffers_are_read_at_each_call():
    module = exported(Block(), torch.randn(4, 6))
    fused, x = fusekit.fuse(module), torch.randn(4, 6)
    check(fused, module, x)
    module.load_state_dict(Block().state_dict())
    check(fused, module, x)
    module.linear.weight.mul_(2)
    module.shift = torch.randn(6)
    check(fused, module, x)


@torch.no_grad()
def test_buffers_that_are_written():
    """PyTorch runs it: a kernel writes arguments, and what it made."""
    one, other = (exported(Counting(), torch.randn(4, 6)) for _ in range(2))
    other.load_state_dict(one.state_dict())
    fused = fusekit.fuse(one)
    for n in (1, 2, 3):
        check(fused, other, torch.randn(4, 6), fallbacks=["FK0110"])
        assert one.calls == other.calls == n


@torch.no_grad()
def test_arguments_that_are_written():
    module = exported(Writing(), torch.randn(4, 6))
    x = torch.randn(4, 6)
    mine, theirs = x.clone(), x.clone()
    before = fusekit.stats().fallbacks
    torch.testing.assert_close(fusekit.fuse(module)(mine), module(theirs), **TOLERANCE)
    torch.testing.assert_close(mine, theirs)
    assert fusekit.stats().fallbacks == before


@torch.no_grad()
def test_a_program_in_core_operators():
    x = torch.randn(4, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own making
        module = torch.export.export(Block(), (x,)).run_decompositions().module()
    check(fusekit.fuse(module), module, x)


def test_training():
    x = torch.randn(4, 6)
    found = []
    first = exported(Block(), x)
    second = exported(Block(), x)
    second.load_state_dict(first.state_dict())
    for module, run in ((first, fusekit.fuse(first)), (second, second)):
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            run(x)["y"].square().mean().backward()
            optimizer.step()
        found.append([parameter.detach() for parameter in module.parameters()])
    torch.testing.assert_close(*found, **TOLERANCE)


@torch.no_grad()
def test_operators_are_at_the_lines_that_were_exported():
    x = torch.randn(4, 6)
    program = fusekit.fuse(exported(Block(), x)).entry((x,), {}).program
    first = Block.forward.__code__.co_firstlineno
    assert {(node.loc.file, node.loc.line) for node in program.graph.nodes if node.loc} == {
        (__file__, first + 1),
        (__file__, first + 2),
    }

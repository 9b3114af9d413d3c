"""What a call depends on besides its arguments holds for calls that were seen before, too."""

from __future__ import annotations

import pytest
import torch

import fusekit


@pytest.fixture
def _single():
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_single")
def test_the_default_dtype():
    def function(x):
        return x * torch.full((3,), 0.1) + torch.tensor([0.5, 1.5, 2.5])

    f = fusekit.fuse(function)
    x = torch.randn(3)
    for dtype in (torch.float32, torch.float32, torch.float64, torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        assert f(x).dtype is dtype
        assert torch.equal(f(x), function(x))


@pytest.mark.usefixtures("_single")
def test_the_default_dtype_that_integers_are_promoted_to():
    f = fusekit.fuse(lambda n: n * 0.5 + 1)
    n = torch.arange(4)
    assert f(n).dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    assert f(n).dtype is torch.float64


@pytest.mark.cxx
def test_the_engine_option():
    f = fusekit.fuse(lambda x: torch.relu(x) * 1.25)
    x = torch.randn(5)
    f(x)
    before = fusekit.stats().kernels
    with fusekit.options(engine="cpp"):
        f(x)
        assert {group.engine for group in f.explain(x).groups} == {"cpp"}
        assert fusekit.stats().kernels == before + 1
    f(x)
    assert {group.engine for group in f.explain(x).groups} == {"llvm"}
    assert fusekit.stats().kernels == before + 1


def test_the_weights_of_a_module():
    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(4))
            self.inner = torch.nn.Sequential(torch.nn.GELU(), torch.nn.Hardtanh())

        def forward(self, x):
            return self.inner(x * self.weight)

    module = Scale()
    f = fusekit.fuse(module)
    x = torch.randn(3, 4)
    with torch.no_grad():
        assert len(f.explain(x).groups) == 1
        for _ in range(3):
            torch.testing.assert_close(f(x), module(x))
            module.weight.add_(1)
        module.weight = torch.nn.Parameter(torch.randn(4))
        torch.testing.assert_close(f(x), module(x))


def test_an_argument_that_changes_is_looked_at_each_time() -> None:
    f = fusekit.fuse(lambda x, s: x * 2 + len(s))
    x, seen = torch.ones(3), {1}
    assert f(x, seen).tolist() == [3.0] * 3
    seen.add(2)
    assert f(x, seen).tolist() == [4.0] * 3
    assert "may change between calls" in str(f.explain(x, seen))
    assert fusekit.fuse(lambda x, part: x[part] * 2).explain(x, slice(0, 2)).fused


class Config:
    bias = 1.0


def test_an_object_that_changes_is_looked_at_each_time() -> None:
    f = fusekit.fuse(lambda x, config: x * 2 + config.bias)
    x, config = torch.ones(3), Config()
    assert f(x, config).tolist() == [3.0] * 3
    config.bias = 5.0
    assert f(x, config).tolist() == [7.0] * 3
    assert fusekit.fuse(lambda x, function: function(x) * 2).explain(x, torch.tanh).fused


def test_the_default_device_is_part_of_the_signature() -> None:
    f = fusekit.fuse(lambda x: torch.zeros(4) + x * 2)
    x = torch.ones(4)
    for _ in range(2):
        assert f(x).tolist() == [2.0] * 4
        with torch.device("meta"):
            with pytest.raises(RuntimeError) as expected:
                f.function(x)
            with pytest.raises(RuntimeError) as found:
                f(x)
            assert type(found.value) is type(expected.value)


def test_what_is_kept_for_other_sizes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusekit.runtime.dispatch._MAX_ENTRIES", 8)
    f = fusekit.fuse(lambda x, label: x * 2 + 1)
    for number in range(30):
        f(torch.zeros(4), f"label {number}")
    assert len(f.prepared) <= 8
    assert len(f.generic) <= 8

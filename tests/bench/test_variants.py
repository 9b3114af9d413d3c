"""The same call in other sizes, dtypes and layouts."""

from __future__ import annotations

import pytest
import torch

from fusekit.bench.variants import LAYOUTS, Variants, laid_out
from fusekit.errors import UsageError

CALL = Variants((torch.randn(8, 3), torch.randn(8), 2), {"b": torch.arange(3)})


def test_every_dimension_of_the_extent_changes_along():
    (x, y, two), kwargs = CALL.make(20)
    assert (x.shape, y.shape, two) == ((20, 3), (20,), 2)
    assert kwargs["b"].shape == (3,)
    assert torch.equal(x[8:16], CALL.args[0])


def test_only_floating_point_is_cast():
    (x, y, _), kwargs = CALL.make(dtype="bfloat16")
    assert x.dtype is y.dtype is torch.bfloat16
    assert kwargs["b"].dtype is torch.int64


@pytest.mark.parametrize("shape", [(), (1,), (6,), (4, 5), (2, 3, 4), (0, 3)])
def test_layouts_change_strides_and_no_value(shape):
    x = torch.randn(shape)
    for layout in LAYOUTS:
        assert torch.equal(laid_out(x, layout), x)
    assert laid_out(x, "contiguous").is_contiguous()
    if x.numel() > 1:
        assert not laid_out(x, "strided").is_contiguous()


def test_nothing_chosen_is_the_call_itself():
    args, kwargs = CALL.make()
    assert args[0] is CALL.args[0]
    assert kwargs["b"] is CALL.kwargs["b"]


def test_powers_have_both_ends():
    assert CALL.powers(3, 20) == [3, 4, 8, 16, 20]
    assert CALL.powers(8, 8) == [8]
    with pytest.raises(UsageError, match="sizes go from 1 to"):
        CALL.powers(4, 2)
    with pytest.raises(UsageError, match="one size only"):
        Variants((torch.tensor(1.0),), {}).powers(1, 1)


@pytest.mark.parametrize("wrong", [{"dtype": "int3"}, {"layout": "round"}])
def test_wrong_choices(wrong):
    with pytest.raises(UsageError, match="there are float32"):
        CALL.make(**wrong)

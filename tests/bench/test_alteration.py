"""The same call in other sizes, dtypes and layouts."""

from __future__ import annotations

import pytest
import torch

from fusekit.bench.trying.alteration import LAYOUTS, Alterable, altered
from fusekit.errors import UsageError

CALL = Alterable((torch.randn(8, 3), torch.randn(8), 2), {"b": torch.arange(3)})


def test_every_dimension_of_the_extent_changes_along():
    (x, y, two), kwargs = CALL.make(20)
    assert (x.shape, y.shape, two) == ((20, 3), (20,), 2)
    assert kwargs["b"].shape == (3,)
    assert torch.equal(x[8:16], CALL.args[0])


def test_only_floating_point_is_cast():
    (x, y, _), kwargs = CALL.make(dtype="bfloat16")
    assert x.dtype is y.dtype is torch.bfloat16
    assert kwargs["b"].dtype is torch.int64


@pytest.mark.parametrize("shape", [(), (1,), (6,), (4, 5), (2, 3, 4), (0, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_change_strides_and_no_value(shape, layout):
    x = torch.randn(shape)
    (made,), _ = altered((x,), {}, layout=layout)
    assert torch.equal(made, x)


STRIDES = {
    "contiguous": ((1,), (5, 1), (60, 20, 5, 1)),
    "transposed": ((1,), (1, 4), (60, 20, 1, 4)),
    "channels_last": ((1,), (5, 1), (60, 1, 15, 3)),
    "strided": ((2,), (10, 2), (120, 40, 10, 2)),
}


def test_each_layout_means_one_thing():
    assert list(STRIDES) == list(LAYOUTS)
    for layout, expected in STRIDES.items():
        shapes = (6,), (4, 5), (2, 3, 4, 5)
        made, _ = altered(tuple(map(torch.randn, shapes)), {}, layout=layout)
        assert tuple(x.stride() for x in made) == expected


def test_shared_arguments_and_gradients_stay():
    x = torch.randn(3, 2, requires_grad=True)
    (one, same), named = altered((x, x), {"y": x[0].detach()}, dtype="float64", shape=4)
    assert one is same
    assert one.requires_grad
    assert one.is_leaf
    assert (one.dtype, one.shape) == (torch.float64, (4, 2))
    assert named["y"].shape == (2,)


def test_no_elements_can_become_none_but_not_some():
    empty = Alterable((torch.empty(0, 3),), {})
    assert empty.make(dtype="float64")[0][0].shape == (0, 3)
    with pytest.raises(UsageError, match="without elements"):
        empty.make(2)


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
        Alterable((torch.tensor(1.0),), {}).powers(1, 1)


@pytest.mark.parametrize(
    ("wrong", "known"), [({"dtype": "int3"}, "float32"), ({"layout": "round"}, "contiguous")]
)
def test_wrong_choices(wrong, known):
    with pytest.raises(UsageError, match=f"there are {known}"):
        CALL.make(**wrong)

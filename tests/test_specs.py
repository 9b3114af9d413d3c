"""The values that cross layers, and the promise that kernels know no sizes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import fusekit
from fusekit.codegen.cpu_walks import LONGEST_PERIOD
from fusekit.ir import DType, Loc
from fusekit.runtime.binding import bind
from fusekit.runtime.operand import Operand
from fusekit.specs import ArgSpec, Decline, Reason, Stride, TensorDesc

VALUES = (
    Decline(Reason.CAPTURE),
    TensorDesc(DType.F32, (Stride.UNIT,), 4),
    ArgSpec("cpu", 1, (), ()),
)


def test_reasons_have_codes_of_their_own():
    codes = [reason.code for reason in Reason]
    assert len(set(codes)) == len(codes)
    assert all(code[:2] == "FK" and code[2:].isdigit() and len(code) == 6 for code in codes)
    assert all(reason.sentence and reason.hint for reason in Reason)


def test_a_decline_is_one_line():
    decline = Decline(Reason.OPAQUE_OP, "on [3, 4]", "aten.mm.default", Loc("a.py", 7, "x @ y"))
    assert str(decline) == (
        "[FK0101] aten.mm.default: not a pointwise operator (on [3, 4]) at a.py:7"
    )
    assert str(Decline(Reason.EMPTY)) == "[FK0305] there are no elements"
    assert decline.code == "FK0101"
    assert decline.hint


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_they_are_frozen_and_hashable(value):
    assert hash(value) == hash(dataclasses.replace(value))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)


def args_of(shape, *strides):
    operands = [Operand(DType.F32, each) for each in strides]
    return bind(shape, operands[1:], operands[:1]).args


def test_an_arg_spec_holds_no_sizes():
    names = {field.name for field in dataclasses.fields(ArgSpec)}
    assert names == {
        *("device", "ndim", "inputs", "outputs", "indices", "index_bits", "inner_multiple"),
        *("period", "in_place", "calls"),  # a period is 2, 3 or 4
    }
    assert {f.name for f in dataclasses.fields(TensorDesc)} == {
        "dtype",
        "strides",
        "alignment",
        "flat",
        "step",
    }
    for widths in (range(2, LONGEST_PERIOD), range(LONGEST_PERIOD + 1, 2000)):
        sizes = [args_of((n // 8 + 2, n), (n, 1), (n, 1), (0, 1)) for n in widths]
        assert len(set(sizes)) == 1
    assert args_of((4, 4), (4, 1), (4, 1)) == args_of((8, 9), (9, 1), (9, 1))
    assert args_of((4, 4, 4), (16, 4, 1), (16, 4, 1)) == args_of((4,), (1,), (1,))


def test_layouts_have_arg_specs_of_their_own():
    plain = args_of((4, 6), (6, 1), (6, 1))
    mixed = args_of((4, 6), (6, 1), (1, 4))
    row = args_of((4, 6), (6, 1), (0, 1))
    column = args_of((4, 6), (6, 1), (1, 0))
    single = args_of((4, 6), (6, 1), (0, 0))
    assert len({plain, mixed, row, column, single}) == 5


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
def test_a_thousand_batch_sizes_are_one_kernel(engine):
    scale = 1.0 + torch.rand(1).item()
    f = fusekit.fuse(lambda x, y: torch.relu(x * y) * scale, engine=engine)
    y = torch.randn(8)
    before = fusekit.stats()
    for n in range(2, 1002):
        x = torch.randn(n, 8) if n % 100 == 0 else torch.zeros(n, 8)
        made = f(x, y)
        if n % 100 == 0:
            assert torch.equal(made, f.function(x, y))
    after = fusekit.stats()
    assert after.kernels == before.kernels + 1
    assert after.specs == before.specs + 1
    assert after.launches == before.launches + 1000
    assert after.fallbacks == before.fallbacks

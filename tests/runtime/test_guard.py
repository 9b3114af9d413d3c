"""Which arguments share memory, and what a user is told about it."""

from __future__ import annotations

import torch

from fusekit.runtime.guard import overlap, shares_memory


def test_a_written_tensor_and_a_view_of_it() -> None:
    x, y = torch.zeros(4), torch.zeros(4)
    assert shares_memory(1, x, y, x[1:])
    assert not shares_memory(1, x, y, y[1:])  # those are only read
    assert not shares_memory(1, x)


def test_two_written_tensors() -> None:
    x, y = torch.zeros(4), torch.zeros(4)
    assert shares_memory(2, x, x[1:], y)
    assert not shares_memory(2, x, y)


def test_empty_tensors_share_nothing() -> None:
    empty = [torch.zeros(0) for _ in range(3)]
    assert not shares_memory(2, *empty, torch.zeros(4))
    x = torch.zeros(4)
    assert shares_memory(2, empty[0], x, x[1:])


def test_the_decline_names_the_arguments() -> None:
    x, y = torch.zeros(4), torch.zeros(4)
    leaves = (y, 3, x, x[1:])
    assert overlap(["a0", "a2"], leaves).detail == (
        "argument 3, which is written, has one storage with argument 4"
    )
    assert "what the function closes over" in overlap(["a0"], (y, x)).detail
    assert "closed-over" in overlap(["f7"], (y, x)).detail

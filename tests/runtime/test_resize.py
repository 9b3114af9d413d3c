"""A new size runs what an old one was captured for, if nothing depends on the size."""

import pytest
import torch

import fusekit
from fusekit import events


def captures(heard: list[events.Event]) -> int:
    return sum(isinstance(event, events.Compiled) for event in heard)


def misfit(fused: fusekit.FusedFunction, *args: object) -> bool:
    """True if the fused result is not eager's, bit for bit (the functions here are exact)."""
    found, expected = fused(*args), fused.function(*args)
    return not (torch.equal(found, expected) and found.stride() == expected.stride())


def assert_does_as_eager(fused: fusekit.FusedFunction, x: torch.Tensor) -> None:
    try:
        expected = fused.function(x)
    except (RuntimeError, IndexError) as error:
        with pytest.raises(type(error)):
            fused(x)
    else:
        assert torch.allclose(fused(x), expected, 1e-6, 1e-6, equal_nan=True)


def is_shared(fused: fusekit.FusedFunction, first: tuple, second: tuple) -> bool:
    """True if the second call's graph is the first one's at other sizes."""
    one, two = (fused.entry(args, {}).program for args in (first, second))
    return one.kernels[0].group.nodes is two.kernels[0].group.nodes


def test_other_sizes_share_a_capture() -> None:
    fused = fusekit.fuse(lambda x, y: (x + y) * 2 - y)
    shapes = [(4, 3), (5, 3), (5, 7), (128, 3), (2, 90)]
    pairs = [(torch.randn(n, m), torch.randn(m)) for n, m in shapes]
    assert not any(misfit(fused, *pair) for pair in pairs)
    assert all(is_shared(fused, pairs[0], pair) for pair in pairs)


def test_sizes_that_become_equal_or_one_or_zero_are_captured_again() -> None:
    fused = fusekit.fuse(lambda x, y: x + y)
    first = torch.randn(4, 3), torch.randn(3)
    assert not misfit(fused, *first)
    for shapes in (((3, 3), (3,)), ((4, 1), (1,)), ((1, 3), (3,)), ((0, 3), (3,)), ((4, 3), (1,))):
        pair = tuple(torch.randn(shape) for shape in shapes)
        assert not misfit(fused, *pair)
        assert not is_shared(fused, first, pair)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / x.shape[0],
        lambda x: x * len(x),
        lambda x: x + x.numel(),
        lambda x: x * 2 if x.size(1) > 5 else x * 3,
        lambda x: x + torch.ones(x.shape),
        lambda x: x * x.stride(0),
        lambda x: sum(row * 2 for row in x),
    ],
)
def test_a_function_that_asks_for_a_size_is_captured_for_each(function: object) -> None:
    fused = fusekit.fuse(function)
    pairs = [(torch.ones(4, 3),), (torch.ones(4, 9),), (torch.ones(8, 3),)]
    assert not any(misfit(fused, *pair) for pair in pairs)
    assert not is_shared(fused, pairs[0], pairs[1])


def test_constants_keep_their_size() -> None:
    fused = fusekit.fuse(lambda x: x * torch.tensor([1.0, 2.0, 4.0]))
    assert not misfit(fused, torch.randn(5, 3))
    assert not misfit(fused, torch.randn(3, 3))
    assert not misfit(fused, torch.randn(6, 3))
    with pytest.raises(RuntimeError, match="size of tensor"):
        fused(torch.randn(5, 4))


def test_pinned_numbers_and_globals_still_guard() -> None:
    fused = fusekit.fuse(lambda x, n: x * 2 if n > 3 else x * 5)
    for n in (1, 4, 2, 9):
        assert not misfit(fused, torch.randn(n + 2, 2 * n + 5), n)


def test_a_thousand_batch_sizes_make_one_kernel() -> None:
    fused = fusekit.fuse(lambda x, w: (x * w + 0.123).relu())
    w = torch.randn(5)
    with events.listening() as heard:
        for n in range(2, 1002):
            fused(torch.ones(n, 5), w)
    assert captures(heard) == 1


W = torch.randn(3, 3)


class Eight:
    """A number that is no `int`, as those of other packages are."""

    def __index__(self) -> int:
        return 8


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.t() * 2 + x.mT,
        lambda x: x.t().contiguous() - 1,
        lambda x: torch.relu(x[1:] - x[:-1]) * x[-1],
        lambda x: torch.cat([x * 2, x + 1], 1)[:, ::2] * 3,
        lambda x: torch.stack([x, -x], -1) + 1,
        lambda x: sum(piece * 2 for piece in x.chunk(3, 1)),
        lambda x: x.unsqueeze(0).permute(2, 0, 1) + 1,
        lambda x: torch.relu(x @ W + 1),
        lambda x: (x - x.mean(-1, keepdim=True)) * 2,
        lambda x: torch.cat([x, x * 2], 0),
        lambda x: x.flatten() * 2,
        lambda x: (x * 2).flatten(0, -1) - 1,
        lambda x: torch.flatten(x[:, None] + x[:, :2, None], 1) * 2,
        lambda x: torch.flatten(x.unsqueeze(0), end_dim=1) * 2,
        lambda x: (x + 1).reshape(-1) * 2,
        lambda x: torch.reshape(x * 2, (-1, 1, 3)) + 1,
        lambda x: torch.reshape(x * 2, shape=[-1, 3]) + 1,
    ],
)
def test_functions_that_move_dimensions_share_a_capture(function: object) -> None:
    fused = fusekit.fuse(function)
    first, *others = [(torch.randn(n, 3),) for n in (8, 5, 9, 128, 7)]
    assert not misfit(fused, *first)
    for other in others:
        assert not misfit(fused, *other)
        assert is_shared(fused, first, other)
    for n in (3, 1, 0):
        assert_does_as_eager(fused, torch.randn(n, 3))


def test_arguments_that_are_not_contiguous_share_a_capture() -> None:
    fused = fusekit.fuse(lambda x, y: (x + y) * 2)

    def pair(n: int, m: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(m, n).t(), torch.randn(n, m + 2)[:, 1:-1]

    first, *others = [pair(n, m) for n, m in ((4, 6), (5, 7), (9, 8), (128, 64))]
    assert not misfit(fused, *first)
    for other in others:
        assert not misfit(fused, *other)
        assert is_shared(fused, first, other)
    assert not misfit(fused, torch.randn(5, 7), torch.randn(5, 7))
    assert not misfit(fused, torch.randn(5, 7)[:, ::2], torch.randn(4, 5).t())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:8] * 2,
        lambda x: x[:8, 1:] * 2,
        lambda x: x.expand(8, 3) * 2,
        lambda x: x.chunk(2)[0] * 2,
        lambda x: x.chunk(3)[-1] * 2,
        lambda x: x.tensor_split(2)[1] * 2,
        lambda x: x.split(8)[0] * 2,
        lambda x: x.view(8, -1) * 2,
        lambda x: x.flatten()[:24] * 2,
        lambda x: x.sum_to_size(8, 3) * 2,
        lambda x: x.tril() * 2,
        lambda x: x.unflatten(0, (2, -1)) * 2,
        lambda x: x.t().flatten() * 2,
        lambda x: x.reshape(8, -1) * 2,
        lambda x: x.reshape(x.shape[0] * 3) * 2,
        lambda x: (x * 2).reshape(-1, 6) + 1,
        lambda x: x[:, :2].flatten() * 2,
        lambda x: x.reshape(-1, 3) is x or x * 2,
        lambda x: x.narrow(0, 0, 8) * 2,
        lambda x: x.narrow(0, 0, Eight()) * 2,
        lambda x: x.narrow(0, -3, 2) * 2,
        lambda x: torch.narrow(x, dim=0, start=-6, length=6) * 2,
        lambda x: (x * 2)[4:-1:2].squeeze(0) + 1,
        lambda x: torch.nn.functional.interpolate(x[None], size=8)[0] * 2,
    ],
)
def test_what_a_size_decides_is_found_anew(function: object) -> None:
    fused = fusekit.fuse(function)
    for n in (8, 7, 6, 9, 10, 12, 16, 11, 1, 3, 0, 2, 8):
        assert_does_as_eager(fused, torch.randn(n, 3))


def test_a_number_that_is_an_argument_may_lie_beyond_the_end() -> None:
    fused = fusekit.fuse(lambda x, n: x.narrow(0, 0, n) * 2)
    for size in (8, 12, 5, 8, 7):
        if size < 8:
            with pytest.raises(RuntimeError, match="exceeds dimension size"):
                fused(torch.randn(size), 8)
        else:
            assert not misfit(fused, torch.randn(size), 8)


def test_an_operand_that_is_no_longer_another() -> None:
    fused = fusekit.fuse(lambda x: x[:4] * x[:5])
    for n in (4, 5, 6, 3, 4):
        assert_does_as_eager(fused, torch.randn(n, 2))


def test_a_global_called_like_a_method_is_none_of_the_functions() -> None:
    names = {"t": 1, "torch": torch}
    exec("def f(x):\n    return x.t() * 2", names)
    fused = fusekit.fuse(names["f"])
    first, second = (torch.randn(4, 3),), (torch.randn(5, 3),)
    assert not misfit(fused, *first)
    names["t"] = 2
    assert not misfit(fused, *second)
    assert is_shared(fused, first, second)

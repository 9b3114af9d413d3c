"""Random operators in kernels: the same numbers on every engine and in every layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name

import fusekit
from fusekit.compilers.host_cxx import HostCxx
from fusekit.runtime.seeded import Seeded
from fusekit.specs import Reason

ENGINES = ["llvm", "reference"] + ["cpp"] * (HostCxx().unavailable() is None)
engines = pytest.mark.parametrize("engine", ENGINES)

N = 1 << 20


def draw(function: Callable[..., Any], *args: Any, seed: int = 0, engine: str = "llvm") -> Any:
    """What the fused function draws after `manual_seed(seed)`; it must have run fused."""
    fused = fusekit.fuse(function, engine=engine)
    before = fusekit.stats().fallbacks
    torch.manual_seed(seed)
    made = fused(*args)
    assert fusekit.stats().fallbacks == before
    return made


def only_the_seed(fused: fusekit.FusedFunction, *args: Any) -> bool:
    """True if PyTorch runs nothing but the draw of the seed."""
    declined = fused.explain(*args).declined
    return [(d.op, d.reason) for d in declined] == [("fusekit.seed", Reason.RANDOM)]


FUNCTIONS: dict[str, Callable[[torch.Tensor], Any]] = {
    "rand_like": lambda x: torch.rand_like(x) + x,
    "rand": lambda x: torch.rand(8, 5) + x,
    "double": lambda x: torch.rand_like(x, dtype=torch.float64) + x,
    "half": lambda x: torch.rand_like(x, dtype=torch.float16) + x,
    "bfloat16": lambda x: torch.rand_like(x, dtype=torch.bfloat16) + x,
    "bernoulli": torch.bernoulli,
    "bernoulli p": lambda x: torch.bernoulli(x, 0.3),
    "bernoulli_": lambda x: torch.empty_like(x).bernoulli_() + torch.zeros_like(x).bernoulli_(x),
    "bernoulli of integers": lambda x: torch.bernoulli(x.long(), 0.7) + x.bool().bernoulli(0.2),
    "uniform_": lambda x: torch.empty_like(x).uniform_(-2, 3),
    "dropout": lambda x: F.dropout(x, 0.4),
    "native_dropout": lambda x: torch.native_dropout(x, 0.4, True),
    "feature_dropout": lambda x: torch.feature_dropout(x[:, :, None], 0.4, True),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.4, training=True),
}


def leaves(made: Any) -> tuple[torch.Tensor, ...]:
    return made if isinstance(made, tuple) else (made,)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_engine_draws_the_same_and_the_seed_decides(name: str) -> None:
    x = torch.rand(8, 5)
    function = FUNCTIONS[name]
    results = [leaves(draw(function, x, seed=3, engine=engine)) for engine in ENGINES]
    eager = leaves(function(x))
    for found in results:
        for one, other, like in zip(found, results[0], eager, strict=True):
            assert torch.equal(one, other)
            assert (one.dtype, one.shape, one.stride()) == (like.dtype, like.shape, like.stride())
    fused = fusekit.fuse(function)
    assert only_the_seed(fused, x)
    torch.manual_seed(3)
    first, second = (leaves(fused(x)) for _ in range(2))
    assert torch.equal(first[0], results[0][0])
    assert not torch.equal(second[0], first[0])
    torch.manual_seed(3)
    assert torch.equal(leaves(fused(x))[0], first[0])  # capturing drew nothing


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_uniform_numbers_are_uniform(dtype: torch.dtype) -> None:
    u = draw(torch.rand_like, torch.empty(N, dtype=dtype))
    assert u.dtype is dtype
    u = u.double()
    assert u.min() >= 0
    assert u.max() < 1
    step = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}.get(dtype, 0)
    assert abs(u.mean() - (1 - step) / 2) < 5 / math.sqrt(12 * N)
    assert abs(u.var() - 1 / 12) < 0.001
    counts = torch.histc(u, 256, 0, 1)
    chi_square = ((counts - N / 256) ** 2 / (N / 256)).sum()
    assert abs(chi_square - 255) < 6 * math.sqrt(2 * 255)
    if not step:
        gaps = (u.sort().values - torch.arange(N, dtype=torch.float64) / N).abs()
        assert gaps.max() < 2.5 / math.sqrt(N)  # Kolmogorov and Smirnov


def test_draws_are_uncorrelated() -> None:
    def several(x):
        return torch.rand_like(x), torch.rand_like(x), torch.rand_like(x + 1)

    made = draw(several, torch.zeros(N))
    others = draw(several, torch.zeros(N), seed=1)
    neighbours = made[0].roll(1), made[0].roll(8)
    for other in (*made[1:], *others, *neighbours):
        both = torch.stack([made[0], other]).double()
        assert abs(torch.corrcoef(both)[0, 1]) < 5 / math.sqrt(N)


@pytest.mark.parametrize("p", [1e-4, 0.1, 0.5, 0.9])
def test_probabilities(p: float) -> None:
    bound = 5 * math.sqrt(p * (1 - p) / N)
    assert abs(draw(lambda x: torch.bernoulli(x, p), torch.zeros(N)).mean() - p) < bound
    assert abs(draw(torch.bernoulli, torch.full((N,), p)).mean() - p) < bound + 2**-24
    kept = draw(lambda x: F.dropout(x, p), torch.ones(N))
    assert set(kept.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}
    assert abs((kept == 0).double().mean() - p) < bound


@engines
def test_a_row_that_is_broadcast_is_one_row(engine: str) -> None:
    def function(x, y):
        return torch.rand_like(y) * x, torch.rand_like(y[:1]) + x

    x, y = torch.ones(4, 8), torch.ones(8)
    rows, same = draw(function, x, y, engine=engine)
    assert torch.equal(rows, rows[0].expand(4, 8))
    assert len(rows[0].unique()) == 8
    assert len(same.unique()) == 1


@engines
@pytest.mark.parametrize(
    ("shape", "strides"), [((33, 65), (1, 33)), ((4, 6, 10), (1, 40, 4)), ((256, 512), (1, 256))]
)
def test_the_layout_does_not_matter(engine: str, shape: Any, strides: Any) -> None:
    expected = draw(torch.rand_like, torch.empty(shape))
    x = torch.empty_strided(shape, strides)
    assert torch.equal(draw(torch.rand_like, x, engine=engine), expected)
    mixed = draw(lambda x, y: torch.rand_like(x) + y * 0, x, torch.zeros(shape), engine=engine)
    assert torch.equal(mixed, expected)


@engines
def test_views_of_draws(engine: str) -> None:
    """A view moves up to the index, which then begins elsewhere and has other strides."""

    def views(x):
        u = torch.rand_like(x)
        left, right = u.chunk(2, 1)
        return left * right, u.t() + 1, u[1:, ::2] * 2, u.flatten()[3:]

    x = torch.zeros(6, 10)
    u = draw(torch.rand_like, x)
    expected = u[:, :5] * u[:, 5:], u.t() + 1, u[1:, ::2] * 2, u.flatten()[3:]
    found = draw(views, x, engine=engine)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_a_view_of_a_draw_takes_no_memory() -> None:
    def glu(x, y):
        left, right = torch.rand_like(x).chunk(2, 1)
        return left * right + y

    fused = fusekit.fuse(glu)
    (group,) = fused.explain(torch.zeros(6, 10), torch.zeros(6, 5)).groups
    assert (group.bytes_read, group.bytes_written) == (6 * 5 * 4 + 8, 6 * 5 * 4)


def test_threads_do_not_matter() -> None:
    fused = fusekit.fuse(lambda x, y: F.dropout(x) + torch.rand_like(y))
    x, y = torch.ones(999, 501), torch.zeros(501)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(9)
            found.append(fused(x, y))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_other_sizes_are_the_same_capture_and_the_same_kernel() -> None:
    fused = fusekit.fuse(lambda x, y: F.dropout(torch.relu(x), 0.25) * y + torch.rand_like(y))
    before = fusekit.n_compiled_kernels()
    for rows, columns in ((4, 3), (7, 3), (128, 90), (5, 6)):
        x, y = torch.ones(rows, columns), torch.ones(columns)
        torch.manual_seed(1)
        made = fused(x, y)
        torch.manual_seed(1)
        other = fusekit.fuse(fused.function, engine="reference")(x, y)
        assert torch.equal(made, other)
    assert fusekit.n_compiled_kernels() - before <= 2
    programs = [
        fused.entry((torch.ones(n, 3), torch.ones(3)), {}).program.kernels[0] for n in (4, 7)
    ]
    assert programs[0].group.nodes is programs[1].group.nodes


def test_dropouts_of_one_pattern_are_one_kernel() -> None:
    def layers(x):
        for _ in range(3):
            x = F.dropout(torch.relu(x), 0.2).cumsum(0)
        return x

    (kernel,) = {g.symbol for g in fusekit.fuse(layers).explain(torch.ones(4, 4)).groups}
    assert kernel


@engines
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 1)])
def test_few_elements(engine: str, shape: tuple[int, ...]) -> None:
    x = torch.ones(shape)
    made = draw(lambda x: F.dropout(x * 2, 0.5) + torch.rand_like(x), x, engine=engine)
    assert made.shape == x.shape
    assert ((made >= 0) & (made < 5)).all()


# what eager does at the edges


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_of_nothing_and_of_everything(p: float) -> None:
    x = torch.tensor([1.0, -2.0, math.inf, math.nan])
    function = lambda x: F.dropout(x * 1.5, p)  # noqa: E731  one expression
    assert torch.equal(draw(function, x).isnan(), function(x).isnan())
    torch.testing.assert_close(draw(function, x), function(x), equal_nan=True)
    assert torch.equal(draw(lambda x: torch.bernoulli(x, p), x), torch.full((4,), p))
    assert torch.equal(draw(torch.bernoulli, torch.full((4,), p)), torch.full((4,), p))


def test_dropout_outside_training_is_the_argument() -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x * 2, 0.5, training=False))
    x = torch.randn(5)
    assert torch.equal(fused(x), x * 2)
    assert not fused.explain(x).declined
    module = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Tanh())
    assert torch.equal(fusekit.fuse(module.eval())(x), module(x))


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (torch.bernoulli, torch.tensor([0.5, 1.5])),
        (torch.bernoulli, torch.tensor([0.5, math.nan])),
        (torch.bernoulli, torch.tensor([-0.1])),
        (torch.bernoulli, torch.tensor([1, 0])),
        (lambda x: torch.bernoulli(x, 1.5), torch.ones(3)),
        (lambda x: torch.bernoulli(x, math.nan), torch.ones(3)),
        (torch.rand_like, torch.tensor([1, 2])),
        (lambda x: x.clone().uniform_(3, 1), torch.ones(3)),
        (lambda x: x.half().uniform_(0, 1e6), torch.ones(3)),
        (lambda x: F.dropout(x, 1.5), torch.ones(3)),
    ],
)
def test_what_eager_rejects_is_rejected(function: Callable[..., Any], x: torch.Tensor) -> None:
    with pytest.raises(Exception) as eager:  # noqa: PT011  whatever it is
        function(x)
    fused = fusekit.fuse(lambda x: function(x) * 2)
    for _ in range(2):
        with pytest.raises(eager.type):
            fused(x)


def test_uniform_stays_below_its_upper_bound() -> None:
    x = torch.empty(N, dtype=torch.float16)
    made = draw(lambda x: x.clone().uniform_(1, 2), x)
    assert made.min() >= 1
    assert made.max() < 2
    made = draw(lambda x: x.clone().uniform_(5, 5), x)
    assert torch.equal(made, torch.full_like(x, 5))


def test_arguments_written_in_place() -> None:
    def function(x):
        x.uniform_(0, 1)
        x.bernoulli_(0.5)
        return x * 3

    x = torch.zeros(64).as_strided((8, 4), (1, 16))
    torch.manual_seed(0)
    made = fusekit.fuse(function)(x)
    assert torch.equal(made, x * 3)
    assert set(x.unique().tolist()) == {0.0, 1.0}


def test_a_generator_of_the_users_is_left_to_pytorch() -> None:
    generator = torch.Generator()
    fused = fusekit.fuse(lambda x: torch.bernoulli(x, generator=generator) + 1)
    x = torch.full((50,), 0.5)
    found = []
    for run in (fused, fused.function):
        generator.manual_seed(4)
        found.append(run(x))
    assert torch.equal(*found)


@pytest.mark.parametrize("name", ["randn_like", "randint_like"])
def test_other_distributions_are_left_to_pytorch(name: str) -> None:
    arguments = (10,) if name == "randint_like" else ()
    fused = fusekit.fuse(lambda x: getattr(torch, name)(x, *arguments) + x)
    x = torch.zeros(20)
    (decline,) = fused.explain(x).declined
    assert decline.reason is Reason.RANDOM
    found = []
    for run in (fused, fused.function):
        torch.manual_seed(6)
        found.append(run(x))
    assert torch.equal(*found)


def test_memory_that_pytorch_fills_is_not_filled_before() -> None:
    fused = fusekit.fuse(lambda x: torch.empty_like(x).exponential_() + x)
    x = torch.zeros(20)
    (group,) = fused.explain(x).groups
    assert group.ops == ("add",)
    torch.manual_seed(6)
    made = fused(x)
    torch.manual_seed(6)
    assert torch.equal(made, fused.function(x))


# what users are shown


def test_the_views_show_one_opaque_seed() -> None:
    def function(x, y):
        return F.dropout(x * y, 0.5) + torch.rand_like(x)

    view = fusekit.fuse(function).explore(torch.ones(64, 64), torch.ones(64))
    model = view.model
    kinds = [node["kind"] for node in model["graph"]["nodes"]]
    assert (kinds.count("opaque"), kinds.count("input"), kinds.count("scalar")) == (1, 2, 0)
    assert [row["name"] for row in model["ledger"]["rows"] if not row["removed"]] == [
        *("x", "y", "bernoulli_"),  # of bernoulli, only the seed
        "add",
    ]
    assert model["ledger"]["fused"] == 2 * 64 * 64 * 4 + 64 * 4 + 16
    assert model["totals"]["eager_launches"] == 6
    assert "1 seam" in repr(view)


# on a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("strides", [(65, 1), (1, 33)])
def test_a_gpu_draws_what_the_cpu_draws(strides: tuple[int, int]) -> None:
    def function(x, y):
        u = torch.rand_like(x)
        return F.dropout(x, 0.4) * u, u.t()[3:] + 1, torch.rand_like(y) * x, torch.bernoulli(x)

    x = torch.empty_strided((33, 65), strides).uniform_()
    expected = Seeded(function)(torch.tensor(77), x, torch.ones(65))
    fused = fusekit.fuse(Seeded(function))
    made = fused(*(t.cuda() for t in (torch.tensor(77), x, torch.ones(65))))
    for one, other in zip(made[1:], expected[1:], strict=True):
        assert torch.equal(one.cpu(), other)
    torch.testing.assert_close(made[0].cpu(), expected[0])


@pytest.mark.gpu
def test_a_cuda_graph_draws_anew_at_each_replay() -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x, 0.5))
    x = torch.ones(1 << 16, device="cuda")
    for _ in range(3):
        fused(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = fused(x)
    found = []
    for _ in range(2):
        graph.replay()
        found.append(made.clone())
    assert not torch.equal(*found)
    assert all(0.48 < (each == 0).float().mean() < 0.52 for each in found)


@pytest.mark.gpu
def test_gradients_on_a_gpu_use_the_forwards_mask() -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x * 3, 0.25))
    x = torch.ones(999, device="cuda", requires_grad=True)
    made = fused(x)
    made.sum().backward()
    torch.testing.assert_close(x.grad, (made != 0).float() * 4)

"""What the original fuser's 50 tests assert, under their names, on every engine that compiles.

Names with `_cuda` are the original's: the behaviour is tested on tensors of the CPU and, where
there is one, of a GPU (random numbers there: tests/gpu). Where this fuser is meant to do another
thing (random numbers, integer scalars, a cat that is read), the test asserts that, and says so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import fusekit
from fusekit.frontends.torchgroups import TorchGroup

ENGINES = ("llvm", "cpp")
both_engines = pytest.mark.parametrize("engine", ENGINES)
every_engine = pytest.mark.parametrize(
    "engine", [*ENGINES, pytest.param("cuda", marks=pytest.mark.gpu)]
)
two_gpus = pytest.mark.skipif(
    torch.cuda.device_count() < 2, reason=f"needs two GPUs, there are {torch.cuda.device_count()}"
)


def placed(engine, *args):
    """The arguments, with tensors where the engine serves them; layouts stay."""
    device = "cuda" if engine == "cuda" else "cpu"
    return [x.to(device) if isinstance(x, torch.Tensor) else x for x in args]


def tensors(made):
    return list(made) if isinstance(made, list | tuple) else [made]


def assert_same(got, expected, rtol=2e-6, atol=1e-6):
    """Values, dtypes, shapes and strides."""
    got, expected = tensors(got), tensors(expected)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()
        tolerance = {"rtol": rtol, "atol": atol}
        if one.dtype in (torch.float16, torch.bfloat16):
            tolerance = {"rtol": torch.finfo(one.dtype).eps, "atol": 0}
        torch.testing.assert_close(one, other, equal_nan=True, **tolerance)


@contextlib.contextmanager
def counted(*, launches, opaque=0):
    """The block launches that many kernels, lets PyTorch run that many operators, falls never."""
    before = fusekit.stats()
    yield
    after = fusekit.stats()
    assert after.fallbacks == before.fallbacks
    assert after.launches - before.launches == launches
    assert after.opaque_calls - before.opaque_calls == opaque


def names(declines):
    return [decline.op.split(".")[1] for decline in declines]


def assert_fused(function, engine, *args, groups=1, declined=(), **tolerance):
    """Like eager, in so many kernels, with only these operators left; returns the explanation."""
    args = placed(engine, *args)
    fused = fusekit.fuse(function, engine=engine)
    explanation = fused.explain(*args)
    assert explanation.fused, str(explanation)
    assert len(explanation.groups) == groups, str(explanation)
    assert names(explanation.declined) == list(declined), str(explanation)
    assert {group.engine for group in explanation.groups} == {engine}
    launches = sum(0 not in group.shape for group in explanation.groups)
    with counted(launches=launches, opaque=len(declined)):
        got = fused(*args)
    assert_same(got, function(*args), **tolerance)
    return explanation


def assert_gradients(function, engine, *args, backward=1, opaque=0, **tolerance):
    """One kernel forwards, `backward` kernels and `opaque` operators backwards, like eager."""
    args = placed(engine, *args)
    fused = fusekit.fuse(function, engine=engine)
    found = []
    for run in (fused, function):
        leaves = [x.detach().requires_grad_() if torch.is_tensor(x) else x for x in args]
        wanted = [leaf for leaf in leaves if torch.is_tensor(leaf)]
        with counted(launches=1) if run is fused else contextlib.nullcontext():
            made = run(*leaves)
        seed = torch.linspace(0.5, 1.5, made.numel(), dtype=made.dtype, device=made.device)
        seed = seed.reshape(made.shape)
        with (
            counted(launches=backward, opaque=opaque) if run is fused else contextlib.nullcontext()
        ):
            found.append((made.detach(), torch.autograd.grad(made, wanted, seed)))
    (made, gradients), (expected, expected_gradients) = found
    assert_same(made, expected, **tolerance)
    for one, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True, rtol=1e-4, atol=1e-4)


def kernels(function, engine, *args):
    """The kernel calls of one signature."""
    args = tuple(placed(engine, *args))
    return fusekit.fuse(function, engine=engine).entry(args, {}).program.kernels


# unary chains


def absolute(x):
    return x.abs() * 2


@both_engines
def test_abs_cpu(engine):
    assert_fused(absolute, engine, torch.randn(5, 5))


@pytest.mark.cxx
def test_abs_cpu_unicode_temp_dir(tmp_path: Path):
    """Compilers get along with folders whose names are not ASCII."""
    folder = tmp_path / "Übung 中文"
    folder.mkdir()
    code = f"""
import torch, fusekit
x = torch.randn(5, 5)
for engine in {ENGINES!r}:
    f = fusekit.fuse(lambda x: x.abs() * 2, engine=engine)
    assert torch.equal(f(x), x.abs() * 2)
assert fusekit.stats().launches == 2, fusekit.stats()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TMPDIR": str(folder), "FUSEKIT_CACHE_DIR": str(folder / "Speicher")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@every_engine
def test_abs_cuda(engine):
    assert_fused(absolute, engine, torch.randn(5, 5, dtype=torch.float64))


@every_engine
def test_zero_element_tensors(engine):
    def decode(sin, cos):
        return torch.atan2(sin + 1, cos)

    explanation = assert_fused(decode, engine, torch.zeros(0), torch.zeros(0))
    assert explanation.groups[0].bytes_read == 0


@every_engine
def test_exp_cuda(engine):
    assert_fused(lambda x, y: (x + 0.5 * y).exp(), engine, torch.randn(4, 4), torch.randn(4, 4))


@every_engine
def test_relu_cuda(engine):
    def relu(x, y):
        return functional.relu(x + 0.5 * y)

    assert_fused(relu, engine, torch.randn(4, 4), torch.randn(4, 4))


@every_engine
def test_erf_cuda(engine):
    def errors(x):
        return functional.relu(torch.erf(x) - torch.erfc(x))

    assert_fused(errors, engine, torch.randn(4, 4))
    assert_gradients(errors, engine, torch.randn(4, 4))


@every_engine
def test_threshold(engine):
    def chain(x):
        return torch.threshold(x, 0, -10) + x + x + x

    assert_fused(chain, engine, torch.tensor([-1.0, -0.5, 0, 1, 2, 3, torch.nan]))


@every_engine
def test_remainder_cuda(engine):
    def chain(x, y):
        return 1 + torch.remainder(x, y) - 1

    assert_fused(chain, engine, torch.rand(4, 4), torch.rand(4, 4))


@every_engine
def test_small_constant_cuda(engine):
    def chain(x, y):
        return (1e-8 * x + 5e-9 * y) * 1e8

    assert_fused(chain, engine, torch.randn(4, 4), torch.randn(4, 4))


@every_engine
def test_scalar(engine):
    assert_fused(lambda x, y: 2 * x + y, engine, torch.tensor(0.1), torch.tensor(1.0))


# broadcasting and layout


@every_engine
def test_broadcast_cuda(engine):
    def scale_shift(x, scale, shift):
        return x * scale + shift

    assert_fused(scale_shift, engine, torch.randn(4, 4), torch.randn(4), torch.randn(4))


@every_engine
def test_arg_configurations_smoke_cuda(engine):
    """Contiguous and transposed arguments do not share a kernel."""

    def halves(x, y):
        one, other = (x + y).chunk(2, dim=1)
        return one * other

    x, y = torch.randn(4, 4), torch.randn(4, 4)
    assert_fused(halves, engine, x, y)
    assert_fused(halves, engine, x.t(), y)
    plain, mixed = (kernels(halves, engine, a, y)[0] for a in (x, x.t()))
    assert plain.spec is mixed.spec
    assert plain.binding.args != mixed.binding.args


@every_engine
def test_lerp(engine):
    start, end, weight = torch.randn(4, 1), torch.randn(1, 4), torch.tensor(0.5)
    assert_fused(lambda a, b: torch.lerp(a + 1, b, 0.5), engine, start, end)
    assert_fused(lambda a, b, w: torch.lerp(a + 1, b, w), engine, start, end, weight)


@every_engine
def test_addcmul_cuda(engine):
    def chain(t, t1, t2):
        return t.addcmul(t + 1, t2, value=0.1) * t1

    assert_fused(chain, engine, torch.rand(1), torch.rand(4, 1), torch.rand(1, 4))


# half precision


@every_engine
def test_cuda_bfloat16(engine):
    def chain(x, y):
        return (x + y).relu()

    x, y = torch.randn(65).bfloat16(), torch.randn(65).bfloat16()
    assert_fused(chain, engine, x, y)


def gt_lt(x, y):
    masked = x * (x > 0).type_as(x) + y
    return masked * (x < 0).type_as(x) + y


@every_engine
@pytest.mark.parametrize("name", ["comparison", "relu", "exp"])
def test_cuda_half(engine, name):
    function = {
        "comparison": gt_lt,
        "relu": lambda x, y: functional.relu(x + 0.5 * y),
        "exp": lambda x, y: (x + 0.5 * y).exp(),
    }[name]
    x, y = placed(engine, torch.randn(4, 5).half(), torch.randn(4, 5).half())
    assert_fused(function, engine, x, y)
    fused = fusekit.fuse(function, engine=engine)
    torch.testing.assert_close(
        fused(x, y), fused(x.float(), y.float()).half(), rtol=2e-3, atol=2e-3
    )
    leaves = [x.clone().requires_grad_(), y.clone().requires_grad_()]
    fused(*leaves).sum().backward()
    wide = [x.float().requires_grad_(), y.float().requires_grad_()]
    function(*wide).sum().backward()
    for half, single in zip(leaves, wide, strict=True):
        assert half.grad.dtype is torch.float16
        torch.testing.assert_close(half.grad.float(), single.grad, rtol=2e-3, atol=2e-3)


# comparisons, selection


@every_engine
def test_minmax(engine):
    a, b, nan = torch.randn(4, 4), torch.randn(4, 4), torch.tensor(torch.nan)
    for x, y in itertools.product((a, b, nan), (a, b, nan)):
        assert_fused(lambda a, b: torch.max(2 * a, b), engine, x, y)
        assert_fused(lambda a, b: torch.min(2 * a, b), engine, x, y)


@every_engine
@pytest.mark.parametrize(
    "bounds",
    [(0, 2), (0, torch.inf), (-torch.inf, 0), (None, 2), (0, None)],
    ids=["both", "inf", "neginf", "max", "min"],
)
def test_clamp(engine, bounds):
    def chain(a, b):
        return torch.clamp(a + b, *bounds)

    a, b, nan = torch.randn(4, 4), torch.randn(4, 4), torch.tensor(torch.nan)
    for x, y in ((a, b), (a, nan), (nan, b)):
        assert_fused(chain, engine, x, y)
    assert_gradients(chain, engine, a, b)


@every_engine
def test_comparison_eq_ne(engine):
    def chain(x, y):
        masked = x * (x == 0).type_as(x) + y
        return masked * (x != 0).type_as(x) + y

    assert_fused(chain, engine, torch.randn(4, 4).round(), torch.randn(4, 4))


@every_engine
def test_comparison_gt_lt_cuda(engine):
    assert_fused(gt_lt, engine, torch.randn(4, 4), torch.randn(4, 4))


@every_engine
def test_comparison_ge_le_cuda(engine):
    def chain(x, y):
        masked = x * (x >= 0).type_as(x) + y
        return masked * (x <= 0).type_as(x) + y

    x, y = torch.randn(4, 4).round(), torch.randn(4, 4)
    assert_fused(chain, engine, x, y)
    assert_gradients(chain, engine, x, y)


@every_engine
def test_where_and_typing(engine):
    """One kernel has a bool and a double output."""

    def chain(x, y):
        mask = x > y
        return mask, torch.where(mask, x, y)

    x, y = (torch.randn(4, 4, dtype=torch.float64) for _ in range(2))
    assert_fused(chain, engine, x, y)
    (kernel,) = kernels(chain, engine, x, y)
    assert [repr(desc.dtype) for desc in kernel.binding.args.outputs] == ["bool", "f64"]


# Python scalars


@every_engine
def test_scalar_arg_cuda(engine):
    def chain(x, p):
        return p * (x * x + x)

    x = torch.randn(4, 4)
    assert_fused(chain, engine, x, 3.5)
    before = fusekit.n_compiled_kernels()
    assert_fused(chain, engine, x, -1.25)  # an argument of the kernel, not a constant in it
    assert fusekit.n_compiled_kernels() == before
    assert_gradients(chain, engine, x, 3.5)


@every_engine
def test_tensor_scalar_ops_cuda(engine):
    """An integer argument kept the original from fusing; here it is a kernel argument, too."""

    def constant(x):
        z = 3.0
        return x * (x + z)

    def argument(x, z):
        return x * (x + z)

    x = torch.randn(2, 2)
    assert_fused(constant, engine, x)
    assert_fused(argument, engine, x, 3)
    before = fusekit.n_compiled_kernels()
    assert_fused(argument, engine, x, 5)
    assert fusekit.n_compiled_kernels() == before


# chunk


@every_engine
def test_chunk_cuda(engine):
    def chain(x):
        a, b, c = x.chunk(3, 1)
        return a * b + c

    x = torch.randn(10, 6)
    assert_fused(chain, engine, x)
    (kernel,) = kernels(chain, engine, x)
    assert [(place.shape, place.offset) for place in kernel.reads] == [
        ((10, 2), 0),
        ((10, 2), 2),
        ((10, 2), 4),
    ]


def check_chunks(engine, dtype):
    shapes = (torch.randn(4, 4, 4), torch.randn(12, 8, 16), torch.randn(12, 8, 16).transpose(1, 2))
    for x, dim in itertools.product(shapes, (0, 1, 2)):

        def chain(x, dim=dim):
            a, b, c, d = x.chunk(4, dim)
            return a + b + c + d

        assert_fused(chain, engine, x.to(dtype))


@both_engines
def test_chunk_correctness(engine):
    check_chunks(engine, torch.float32)


@every_engine
def test_chunk_correctness_cuda(engine):
    check_chunks(engine, torch.float64)


@every_engine
def test_chunk_distributes_cuda(engine):
    """The chunk of a sum is the sum of chunks, which are views of the inputs: nothing outside."""

    def chain(x, y):
        one, other = (x + y).chunk(2, dim=1)
        return one * other

    x, y = torch.randn(4, 4), torch.randn(4, 4)
    assert_fused(chain, engine, x, y)
    (kernel,) = kernels(chain, engine, x, y)
    assert len(kernel.reads) == 4
    assert {place.shape for place in kernel.reads} == {(4, 2)}
    row = torch.randn(4)  # the operand is smaller than what is chunked
    assert_fused(chain, engine, x, row)


@every_engine
def test_chunk_motion_deduplicates_inputs(engine):
    def square(x):
        one, other = (x * x).chunk(2)
        return one * other

    def cube(x):
        one, other = (x * x * x).chunk(2)
        return one * other

    x = torch.randn(4, 4)
    for function in (square, cube):
        assert_fused(function, engine, x)
        (kernel,) = kernels(function, engine, x)
        assert len(kernel.reads) == 2  # each half of x once
        assert len({place.base for place in kernel.reads}) == 1


@every_engine
def test_chunk_multiple_cuda(engine):
    def chain(s, x, y, z):
        z1, z2 = z.chunk(2, 2)
        x1, x2, x3 = x.chunk(3, 1)
        y1, y2 = y.chunk(2, 0)
        return s + x1 + x2 + x3 + y1 + y2 + z1 + z2

    shapes = ([5, 2, 3], [5, 6, 3], [10, 2, 3], [5, 2, 6])
    assert_fused(chain, engine, *(torch.randn(shape) for shape in shapes))


# cat


@every_engine
def test_concat_cuda(engine):
    """The pieces are written in place: one kernel, and no copy."""

    def chain(hx, cx):
        return torch.cat((hx + cx, hx * cx))

    hx, cx = torch.randn(3, 20), torch.randn(3, 20)
    assert_fused(chain, engine, hx, cx)
    (kernel,) = kernels(chain, engine, hx, cx)
    assert len({place.base for place in kernel.writes}) == 1
    assert [place.offset for place in kernel.writes] == [0, 60]


@every_engine
def test_concat_invariant_cuda(engine):
    """An operation on a cat left the original's group; here it moves in front of the cat."""

    def chain(x, y, z):
        return torch.cat([x + y, x - y]) + z

    assert_fused(chain, engine, torch.randn(2, 2), torch.randn(2, 2), torch.randn(4, 2))


@every_engine
def test_checks_cat_inputs(engine):
    """Pieces that would broadcast do not: 2 + 1 rows, a kernel for each shape, no fallback."""

    def chain(x, y):
        return torch.cat([x + 2 * x + x**2, y + 4 * y + y**3], dim=0)

    x, y = torch.randn(2, 4), torch.randn(1, 4)
    assert_fused(chain, engine, x, y, groups=2)
    assert fusekit.fuse(chain, engine=engine)(*placed(engine, x, y)).shape == (3, 4)


# LSTM


def cell_gates(gates, cx):
    ingate, forgetgate, cellgate, outgate = gates.chunk(4, 1)
    cy = torch.sigmoid(forgetgate) * cx + torch.sigmoid(ingate) * torch.tanh(cellgate)
    return torch.sigmoid(outgate) * torch.tanh(cy), cy


def lstm(x, hx, cx, w_ih, w_hh, b_ih, b_hh):
    return cell_gates(x.mm(w_ih.t()) + hx.mm(w_hh.t()) + b_ih + b_hh, cx)


def lstm_concat(*args):
    return torch.cat(lstm(*args))


def lstm_arguments(engine, batch=4, size=5):
    x, hx, cx = (torch.randn(batch, size) for _ in range(3))
    weights = (torch.randn(4 * size, size) for _ in range(2))
    biases = (torch.randn(4 * size) for _ in range(2))
    return tuple(placed(engine, x, hx, cx, *weights, *biases))


@every_engine
def test_lstm_cuda(engine):
    """Inference is one kernel after the products; in training autograd needs them in PyTorch."""
    arguments = lstm_arguments(engine)
    assert_fused(lstm, engine, *arguments, declined=["mm", "mm"])
    found = []
    for function in (fusekit.fuse(lstm, engine=engine), lstm):
        leaves = [x.clone().requires_grad_() for x in arguments]
        made = function(*leaves)
        sum(item.sum() for item in made).backward()
        found.append(([item.detach() for item in made], [leaf.grad for leaf in leaves]))
    assert_same(found[0][0], found[1][0])
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@every_engine
def test_lstm_concat_cuda(engine):
    arguments = lstm_arguments(engine)
    assert_fused(lstm_concat, engine, *arguments, declined=["mm", "mm"])
    (kernel,) = kernels(lstm_concat, engine, *arguments)
    assert len({place.base for place in kernel.writes}) == 1


@every_engine
def test_lstm_gates_permutations_cuda(engine):
    """Each order of the four summands gives one group."""
    x, hx, cx, w_ih, w_hh, b_ih, b_hh = lstm_arguments(engine)

    def summands():
        return x.mm(w_ih.t()), hx.mm(w_hh.t()), b_ih, b_hh

    for order in itertools.permutations(range(4)):

        def plain(one, two, three, four, cx, order=order):
            parts = one, two, three, four
            a, b, c, d = (parts[i] for i in order)
            return cell_gates(a + b + c + d, cx)

        fused = fusekit.fuse(plain, engine=engine)
        arguments = (*summands(), cx)
        assert len(fused.explain(*arguments).groups) == 1
        assert not fused.explain(*arguments).declined
        assert_same(fused(*arguments), plain(*arguments))


def check_traced_lstm(engine):
    arguments = lstm_arguments(engine)
    graph = torch.jit.trace(lstm, arguments).graph
    assert_fused(TorchGroup(graph).function, engine, *arguments, declined=["mm", "mm"])
    with fusekit.options(engine=engine):
        stack = list(arguments)
        fusekit.run_fusion(fusekit.register_fusion(graph), stack)
    assert_same(stack, lstm(*arguments))


@every_engine
def test_lstm_traced_cuda(engine):
    check_traced_lstm(engine)


@both_engines
def test_lstm_traced_cpu(engine):
    check_traced_lstm(engine)


@every_engine
def test_milstm_cuda(engine):
    def cell(x, hx, cx, w_ih, w_hh, alpha, beta_i, beta_h, bias):
        wx, uz = x.mm(w_ih.t()), hx.mm(w_hh.t())
        return cell_gates(alpha * wx * uz + beta_i * wx + beta_h * uz + bias, cx)

    rows = placed(engine, *(torch.randn(20) for _ in range(4)))
    arguments = (*lstm_arguments(engine)[:5], *rows)
    assert_fused(cell, engine, *arguments, declined=["mm", "mm"])
    leaves = [x.clone().requires_grad_() for x in arguments]
    hy, cy = fusekit.fuse(cell, engine=engine)(*leaves)
    (hy + cy).sum().backward()
    assert all(leaf.grad is not None for leaf in leaves)


# normalisation


@both_engines
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_fuse_decompose_normalization(engine, kind):
    """Statistics of a layer run in PyTorch, those of a batch are known: that is all pointwise."""
    norm = (torch.nn.BatchNorm2d(16) if kind == "batch" else torch.nn.LayerNorm((4, 4))).eval()

    def block(x, y):
        return y + torch.relu(norm(x))

    x, y = torch.randn(2, 16, 4, 4), torch.randn(2, 16, 4, 4)
    with torch.no_grad():
        explanation = fusekit.explain(block, x, y)
        assert len(explanation.groups) == 1
        declined = names(explanation.declined)
        assert [name for name in declined if "norm" in name] == (
            [] if kind == "batch" else ["native_layer_norm"]
        )
        assert_fused(block, engine, x, y, declined=declined, rtol=3e-5, atol=3e-5)


# gradients


@every_engine
def test_fuser_deduplication(engine):
    """Equal gradients are computed once, and are one tensor."""

    def chain(x, y):
        return torch.sigmoid(x + y)

    x, y = (leaf.requires_grad_() for leaf in placed(engine, *torch.randn(2, 10, 10).unbind()))
    made = fusekit.fuse(chain, engine=engine)(x, y)
    with counted(launches=1):
        one, other = torch.autograd.grad(made.sum(), (x, y))
    assert one.data_ptr() == other.data_ptr()
    assert_same(one, torch.autograd.grad(chain(x, y).sum(), x)[0])


@every_engine
def test_fuser_iou(engine):
    """Forwards one kernel; backwards kernels around the sums that broadcasting asks for."""

    def iou(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2):
        width = (torch.min(ax2, bx2) - torch.max(ax1, bx1)).clamp(min=0)
        height = (torch.min(ay2, by2) - torch.max(ay1, by1)).clamp(min=0)
        both = width * height
        areas = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)
        return both / (areas - both)

    a = torch.rand(20, 4, 1)
    b = torch.rand(10, 4)
    first = [a[:, 0], a[:, 1], a[:, 0] + a[:, 2], a[:, 1] + a[:, 3]]
    second = [b[:, 0], b[:, 1], b[:, 0] + b[:, 2], b[:, 1] + b[:, 3]]
    arguments = placed(engine, *first, *second)
    assert_fused(iou, engine, *arguments)
    fused = fusekit.fuse(iou, engine=engine)
    found = []
    for function in (fused, iou):
        leaves = [x.clone().requires_grad_() for x in arguments]
        before = fusekit.stats()
        function(*leaves).sum().backward()
        after = fusekit.stats()
        found.append([leaf.grad for leaf in leaves])
        if function is fused:
            assert after.fallbacks == before.fallbacks
            assert after.launches > before.launches + 1
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@every_engine
@pytest.mark.parametrize("shapes", [((5, 1), (5, 5)), ((5, 5), (5, 1)), ((5, 5), (5, 5))])
def test_grad_sum_to_size_elimination(engine, shapes):
    """The backward sums only what was broadcast."""

    def cell(a, b, c):
        return (a + b) * c

    a, b, c = placed(engine, *(torch.randn(shape) for shape in (*shapes, (5, 5))))
    explanation = fusekit.explain(cell, a, b, c)
    assert len(explanation.groups) == 1
    before = fusekit.stats()
    assert_gradients_of_any_structure(cell, engine, a, b, c)
    summed = fusekit.stats().opaque_calls - before.opaque_calls
    assert summed == sum(shape != (5, 5) for shape in shapes)


def assert_gradients_of_any_structure(function, engine, *args):
    found = []
    for run in (fusekit.fuse(function, engine=engine), function):
        leaves = [x.clone().requires_grad_() for x in args]
        run(*leaves).sum().backward()
        found.append([leaf.grad for leaf in leaves])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


# random numbers: kernels draw them, as the original's did on the GPU; here the seed is a tensor


def assert_draws(function, engine, *args, groups):
    """Two results of the same seed's first and second call."""
    fused = fusekit.fuse(function, engine=engine)
    explanation = fused.explain(*args)
    assert names(explanation.declined) == ["seed"], str(explanation)
    assert len(explanation.groups) == groups, str(explanation)
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append([fused(*args) for _ in range(2)])
    for one, other in zip(*found, strict=True):
        assert_same(one, other)
    assert not torch.equal(*found[0])
    return found[0]


@both_engines
def test_dropout(engine):
    def chain(x):
        return functional.relu(functional.dropout(x))

    x = torch.rand(40, 40, requires_grad=True) + 1
    with torch.no_grad():
        for made in assert_draws(chain, engine, x, groups=1):
            assert_same(made, x * (made != 0) * 2)
            assert 0.3 < (made == 0).float().mean() < 0.7
    made = fusekit.fuse(chain, engine=engine)(x)
    (gradient,) = torch.autograd.grad(made.sum(), x)
    assert torch.equal(gradient, (made != 0) * 2.0)


@both_engines
def test_rand_cuda(engine):
    def chain(x):
        return x * x + torch.rand_like(x) + x

    x = torch.zeros(40, 40)
    for made in assert_draws(chain, engine, x, groups=1):
        assert ((made >= 0) & (made < 1)).all()
        assert 0.4 < made.mean() < 0.6


@both_engines
def test_rand_broadcast_cuda(engine):
    """The draw for a row is one draw, whatever it is broadcast to."""

    def chain(x, y):
        return torch.rand_like(y) * x + x

    x, y = torch.ones(4, 4), torch.randn(4)
    for made in assert_draws(chain, engine, x, y, groups=2):
        assert all(torch.equal(made[0], row) for row in made)


# more than one GPU


@pytest.mark.gpu
@two_gpus
def test_fusion_reuse_multi_gpu():
    f = fusekit.fuse(lambda x, y: x * y * x * y)
    for device in ("cpu", "cuda:0", "cuda:1"):
        x, y = torch.randn(2, device=device), torch.randn(2, device=device)
        assert_same(f(x, y), f.function(x, y))


@pytest.mark.gpu
@two_gpus
def test_kernel_cache_multi_gpu():
    """Three equal groups on three devices are one KernelSpec."""
    scale = 1.0 + torch.rand(1).item()
    f = fusekit.fuse(lambda x: torch.relu(x * scale) + x)
    before = fusekit.stats().specs
    for device in ("cpu", "cuda:0", "cuda:1"):
        f(torch.randn(2, device=device))
    assert fusekit.stats().specs == before + 1


@pytest.mark.gpu
@two_gpus
def test_nonzero_device_cuda():
    x = torch.tensor([0.4], device="cuda:1")
    y = torch.tensor([0.7], device="cuda:1")
    f = fusekit.fuse(lambda x, y: torch.sigmoid(torch.tanh(x * (x + y) + x)))
    assert_same(f(x, y), f.function(x, y))
    assert f(x, y).device == x.device

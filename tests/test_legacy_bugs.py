"""One regression test for each bug of the original fuser that its specification lists."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import fusekit
from fusekit.compilers.toolchain import run as run_compiler
from fusekit.errors import CompileError
from fusekit.ir import DType, GraphBuilder
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.kernels import generate


@pytest.fixture(params=["llvm", "cpp"])
def engine(request):
    return request.param


def check(function, engine, *args, groups=1, exact=True):
    """Fused whole, and eager's values, dtypes, shapes and strides."""
    fused = fusekit.fuse(function, engine=engine)
    explanation = fused.explain(*args)
    assert explanation.fused, str(explanation)
    assert not explanation.declined, str(explanation)
    assert len(explanation.groups) == groups, str(explanation)
    before = fusekit.stats()
    got, expected = fused(*args), function(*args)
    after = fusekit.stats()
    assert after.fallbacks == before.fallbacks
    assert after.launches - before.launches == groups
    single = isinstance(got, torch.Tensor)
    for one, other in zip(*([[x] if single else x for x in (got, expected)]), strict=True):
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()
        tolerance = {"rtol": 0, "atol": 0} if exact else {}
        torch.testing.assert_close(one, other, equal_nan=True, **tolerance)


def cold(engine):
    """A function with a kernel of its own, that nothing has compiled before."""
    scale, shift = random.random(), random.random()
    return fusekit.fuse(lambda x: (x * scale + shift) * x, engine=engine)


# chunk and cat


@pytest.mark.parametrize("dims", [(0, 1), (1, 0), (0, -1), (-2, 1)])
def test_two_chunks_of_one_tensor_with_different_dims(engine, dims):
    """The second chunk silently reused the pieces of the first."""

    def chain(x):
        a, b = x.chunk(2, dims[0])
        c, d = x.chunk(2, dims[1])
        return a * b, c * d

    check(chain, engine, torch.randn(4, 4), groups=2)
    check(chain, engine, torch.randn(4, 6), groups=2)


@pytest.mark.parametrize("counts", [(2, 4), (4, 2), (3, 2)])
def test_two_chunks_of_one_tensor_with_different_counts(engine, counts):
    """The pass went round for ever."""

    def chain(x):
        first, second = x.chunk(counts[0], 1), x.chunk(counts[1], 1)
        return first[0] + first[1], second[0] * second[1]

    check(chain, engine, torch.randn(5, 12), groups=2)


def test_two_chunks_of_one_group_input(engine):
    """The same by way of a group graph, fused and in PyTorch."""
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    a, b = builder.chunk(x, 2, 0)
    c, d, e = builder.chunk(x, 3, -1)
    rows = builder.apply("mul", a, b)
    columns = builder.apply("add", builder.apply("mul", c, d), e)
    graph = builder.finish([rows, columns, builder.apply("neg", x)])
    x = torch.randn(4, 6)
    a, b = x.chunk(2, 0)
    c, d, e = x.chunk(3, 1)
    expected = [a * b, c * d + e, -x]
    with fusekit.options(engine=engine):
        fused = fusekit.debug_launch_graph(graph, [x])
        fusekit.override_can_fuse_on_cpu(value=False)
        try:
            stack = [x]
            fusekit.run_fusion(fusekit.register_fusion(graph), stack)
        finally:
            fusekit.override_can_fuse_on_cpu(value=True)
    for got in (fused, stack):
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "dtypes",
    [
        (torch.float32, torch.float64),
        (torch.float64, torch.float32),
        (torch.uint8, torch.int64),
        (torch.bool, torch.bfloat16),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [4, 1000])
def test_cat_of_mixed_dtypes(engine, dtypes, size):
    """The result was allocated with the first piece's dtype and overrun."""

    def chain(x, y):
        return torch.cat([x + x, y + y])

    x, y = (torch.arange(size).remainder(5).to(dtype) for dtype in dtypes)
    check(chain, engine, x, y)


@pytest.mark.parametrize("dim", [-1, -2, -3])
def test_negative_dims(engine, dim):
    """An index check failed in the user's face."""

    def chain(x):
        a, b = x.chunk(2, dim)
        return torch.cat([a + b, a * b, a], dim), torch.stack([a + 1, b], dim)

    check(chain, engine, torch.randn(4, 6, 8), groups=2)  # a stack's pieces have a dim more


# arithmetic


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_half_to_even(engine, dtype):
    """Halves went away from zero."""
    x = torch.cat([torch.arange(-6, 7) + 0.5, torch.tensor([0.49999997, 2.0**23 + 1, -0.2])])
    check(lambda x: torch.round(x) * 2, engine, x.to(dtype))


def test_fmod_of_float64(engine):
    """It was computed in single precision: errors of order 1."""
    x = torch.tensor([1e15 + 1, -1e15 - 1, 123456789.123, 5.5, -0.0, torch.inf, 1.0])
    y = torch.tensor([3.0, 3.0, 0.1, -2.0, 1.0, 2.0, 0.0], dtype=torch.float64)
    check(lambda x, y: torch.fmod(x.double() * 3, y), engine, x.double(), y)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int8, torch.uint8])
def test_integer_division_and_remainder(engine, dtype):
    """int / int was an int, and signs were C's."""
    numbers = [0, 1, 2, 3, 7, 100] + ([-1, -2, -7, -100] if dtype.is_signed else [])
    pairs = [pair for pair in itertools.product(numbers, numbers) if pair[1]]
    x, y = (torch.tensor(column, dtype=dtype) for column in zip(*pairs, strict=True))

    def chain(x, y):
        floor = torch.div(x, y, rounding_mode="floor")
        return (x / y, x // y, x % y, torch.fmod(x, y), floor, torch.remainder(x, y) + x, x / 2)

    check(chain, engine, x, y)


def test_integer_division_by_zero_raises_like_eager(engine):
    x, y = torch.tensor([4, 5]), torch.tensor([2, 0])
    for function in (lambda x, y: x // y + 1, lambda x, y: x % y + 1):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            function(x, y)
        fused = fusekit.fuse(function, engine=engine)
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            fused(x, y)
        check(function, engine, x, y + 1)


@pytest.mark.parametrize("name", ["sqrt", "exp", "sigmoid", "reciprocal", "log", "erf"])
def test_integers_are_promoted_by_float_functions(engine, name):
    """The result was an int."""
    function = getattr(torch, name)
    x = torch.arange(1, 20)
    check(lambda x: function(x) * 2, engine, x, exact=False)
    assert fusekit.fuse(lambda x: function(x) * 2, engine=engine)(x).dtype is torch.float32


def test_pow_of_integers(engine):
    """A float exponent was truncated."""
    x = torch.arange(1, 12)
    check(lambda x: torch.pow(x, 2.5) + x, engine, x, exact=False)
    check(lambda x: torch.pow(x, 0.5), engine, x, exact=False)
    check(lambda x: torch.pow(2.5, x), engine, x, exact=False)
    check(torch.pow, engine, x, torch.full((11,), 1.5), exact=False)
    check(lambda x: torch.pow(x, 3) * 2, engine, x - 6)
    check(torch.pow, engine, x - 6, torch.arange(11))


def test_atan2_of_integers(engine):
    check(torch.atan2, engine, torch.arange(-3, 4), torch.arange(7), exact=False)


def test_abs_of_large_integers(engine):
    """It went through double."""
    x = torch.tensor([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 0])
    check(lambda x: x.abs() + 0, engine, x)


def test_zero_dimensional_tensors_do_not_promote(engine):
    """float32 with a 0-dim float64 gave float64."""
    x, y = torch.randn(5), torch.tensor(0.1, dtype=torch.float64)
    check(lambda x, y: x * y + y, engine, x, y)
    check(lambda x, y: x + y, engine, torch.arange(5), y)
    check(lambda x, y: x + y, engine, torch.arange(5, dtype=torch.int8), torch.tensor(300) % 7)
    check(lambda x, y: x * y, engine, torch.tensor(2.0), y)


@pytest.mark.parametrize(
    "dtypes",
    [
        (torch.float32, torch.int64),
        (torch.int64, torch.float32),
        (torch.float16, torch.float64),
        (torch.bool, torch.uint8),
    ],
    ids=str,
)
def test_where_of_mixed_dtypes(engine, dtypes):
    """The result had the second operand's dtype."""
    x, y = (torch.arange(6).remainder(3).to(dtype) for dtype in dtypes)
    condition = torch.tensor([True, False] * 3)
    check(torch.where, engine, condition, x, y)
    check(lambda c, x: torch.where(c, x, 0.5), engine, condition, x)


def test_scalars_keep_double_precision(engine):
    """They were rounded through float32."""
    x = torch.randn(9, dtype=torch.float64)
    check(lambda x, s: x * s + s, engine, x, 0.1)
    check(lambda x, s: (x * 0 + 1) * s, engine, x, 1 + 2.0**-50)
    check(lambda x: x * 0.1 + 1 / 3, engine, x)
    check(lambda x, n: x + n, engine, torch.arange(3), 2**53 + 1)


def test_comparison_with_a_scalar(engine):
    """A float32 tensor was compared with a double constant."""
    x = torch.tensor([0.1, 0.2, 0.3])
    check(lambda x: (x == 0.1) | (x >= 0.3), engine, x)
    check(lambda x, s: x == s, engine, x, 0.2)


def test_clamp_bounds(engine):
    """No bound did not compile, lo > hi gave lo, NaN bounds were ignored, integers promoted."""
    x = torch.tensor([-3.0, -0.5, 0.5, 3.0, torch.nan, torch.inf])
    check(lambda x: torch.clamp(x, 3.0, 1.0) + x, engine, x)
    check(lambda x: torch.clamp(x, -torch.inf, 1.0) + x, engine, x)
    check(lambda x, low: torch.clamp(x, low) + x, engine, x, torch.full((6,), torch.nan))
    check(lambda x: torch.clamp(x, -1, 2) + x, engine, torch.arange(-4, 5))
    check(lambda x: torch.clamp(x, -1.5, 2.5), engine, torch.arange(-4, 5))
    unbounded = fusekit.fuse(lambda x: torch.clamp(x + 1), engine=engine)
    with pytest.raises(RuntimeError, match=r"[Aa]t least one of 'min' or 'max'"):
        unbounded(x)


def test_lerp_and_remainder_bit_for_bit(engine):
    start, end = torch.randn(200), torch.randn(200)
    check(torch.lerp, engine, start, end, torch.rand(200), exact=False)
    check(torch.remainder, engine, start.double() * 9, end.double())


def test_logit(engine):
    """It was fusible, and had no code."""
    x = torch.rand(50) * 0.98 + 0.01
    check(lambda x: torch.logit(x) + 1, engine, x, exact=False)
    check(lambda x: torch.logit(x, 0.1) + 1, engine, x, exact=False)


def test_half_precision_on_the_cpu(engine):
    """An internal assertion failed."""
    x = torch.randn(40)
    for dtype in (torch.float16, torch.bfloat16):
        check(lambda x: torch.relu(x + 0.5) * x, engine, x.to(dtype))


def test_layout_is_kept(engine):
    """Results were always contiguous."""
    x = torch.randn(2, 3, 4, 5)
    check(lambda x: torch.relu(x) + 1, engine, x.to(memory_format=torch.channels_last))
    check(lambda x: torch.relu(x) + 1, engine, x.transpose(1, 3))


@pytest.mark.parametrize("kind", ["complex", "sparse", "meta"])
def test_what_kernels_do_not_hold_runs_in_pytorch(engine, kind):
    """A failed compile, no storage, a crash."""
    plain = torch.eye(3)
    x = {"complex": plain + 1j, "sparse": plain.to_sparse(), "meta": plain.to("meta")}[kind]

    def chain(x):
        return x * x * 2

    got, expected = fusekit.fuse(chain, engine=engine)(x), chain(x)
    assert got.layout == expected.layout
    assert got.device == expected.device
    if kind != "meta":
        assert torch.equal(got.to_dense(), expected.to_dense())


def test_a_non_constant_integer_fuses(engine):
    check(lambda x, n: x * n + n, engine, torch.randn(4), 3)
    check(lambda x, flag: x * flag + 1, engine, torch.randn(4), True)


# the machinery


def test_fusion_on_the_cpu_is_on_by_itself():
    """`fuser0` set the wrong flag, and fused nothing on the CPU."""
    assert fusekit.can_fuse_on_cpu()
    assert fusekit.explain(lambda x: torch.relu(x) + 1, torch.randn(3)).fused


@pytest.mark.parametrize("together", [True, False], ids=["one function", "sixteen functions"])
def test_sixteen_threads_on_a_cold_kernel_compile_once(engine, together):
    """Each compiled a kernel of its own."""
    f = cold(engine)
    functions = [f if together else fusekit.fuse(f.function, engine=engine) for _ in range(16)]
    x = torch.randn(100)
    expected = f.function(x)
    before = fusekit.n_compiled_kernels()
    gate = threading.Barrier(16)

    def call(function):
        gate.wait()
        return function(x)

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(call, functions))
    assert fusekit.n_compiled_kernels() == before + 1
    for one in made:
        torch.testing.assert_close(one, expected)


@pytest.fixture
def broken(engine, monkeypatch):
    """The engine's compiler fails; the list of what it was given."""
    seen = []

    def compile_(source):
        seen.append(source)
        raise CompileError("the compiler is broken", log="line 1: no good", source=source.text)

    monkeypatch.setattr(ENGINES[engine].load_compiler(), "compile", compile_)
    return seen


def test_a_failed_compile_falls_back_and_is_remembered(engine, broken, monkeypatch):
    """It was an error in the user's program, at each call anew."""
    f = cold(engine)
    x = torch.randn(5)
    before = fusekit.stats().fallbacks.get("FK0303", 0)
    for _ in range(3):
        torch.testing.assert_close(f(x), f.function(x))
    torch.testing.assert_close(f(torch.randn(9)).shape, torch.Size([9]))
    assert len(broken) == 1
    assert fusekit.stats().fallbacks["FK0303"] == before + 4
    explanation = f.explain(x)
    assert not explanation.fused
    assert "no good" in str(explanation)
    with pytest.raises(fusekit.FusionDeclined, match="FK0303"):
        f.source(x)
    monkeypatch.undo()
    again = fusekit.fuse(f.function, engine=engine)
    torch.testing.assert_close(again(x), f.function(x))
    assert not again.explain(x).fused  # remembered for this kernel ...
    assert cold(engine).explain(x).fused  # ... and for no other


def test_sixteen_threads_on_a_kernel_that_fails(engine, broken):
    f = cold(engine)
    x = torch.randn(20)
    gate = threading.Barrier(16)

    def call(_):
        gate.wait()
        return fusekit.fuse(f.function, engine=engine)(x)

    with ThreadPoolExecutor(16) as pool:
        for made in pool.map(call, range(16)):
            torch.testing.assert_close(made, f.function(x))
    assert len(broken) == 1


COMPILER = shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no g++ or clang++ on PATH")


@needs_compiler
def test_cxx_may_have_flags(monkeypatch, tmp_path):
    """A CXX with flags counted as no compiler at all."""
    monkeypatch.setenv("CXX", f"{COMPILER} -O1 -DSOME_FLAG='1 + 1'")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    f = cold("cpp")
    x = torch.randn(10)
    assert f.explain(x).fused
    torch.testing.assert_close(f(x), f.function(x))
    assert list(tmp_path.iterdir()) == []


@needs_compiler
def test_a_kernel_that_fails_costs_no_other_its_threads(monkeypatch):
    """After any error, all later kernels were compiled without OpenMP."""
    compiler = ENGINES["cpp"].load_compiler()
    flags = compiler._toolchain().optional
    with pytest.raises(CompileError):
        run_compiler([COMPILER, *flags, "-c"], "this is no C++")
    f = cold("cpp")
    (call,) = f.entry((torch.randn(8),), {}).program.kernels
    source = generate(ENGINES["cpp"], call.spec, call.binding.args)
    broken = source.text.replace("return", "retrun")
    assert broken != source.text
    with pytest.raises(CompileError):
        compiler.compile(type(source)(**{**vars_of(source), "text": broken}))
    assert compiler._toolchain().optional == flags


def vars_of(value):
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


@needs_compiler
def test_without_a_compiler_another_engine_serves(monkeypatch):
    """A missing compiler was an error at each call."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    f = fusekit.fuse(lambda x: torch.relu(x) * 3 + 1)
    x = torch.randn(4)
    assert {group.engine for group in f.explain(x).groups} == {"llvm"}
    assert torch.equal(f(x), f.function(x))
    with pytest.raises(fusekit.EngineUnavailableError, match="no-such-compiler"):
        fusekit.fuse(lambda x: x + 1, engine="cpp")(x)

"""Scripted and traced functions and modules: fused like what they were made of."""

from __future__ import annotations

from typing import NamedTuple

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch.nn import functional
from torch.utils._pytree import tree_flatten

import fusekit

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def check(script, *args, codes=(), launches=None, **kwargs):
    """Five calls like the original's, each run in the same way."""
    fused = fusekit.fuse(script)
    for _ in range(5):
        before = fusekit.stats()
        got = fused(*args, **kwargs)
        after = fusekit.stats()
        fell = {code for code, n in after.fallbacks.items() if n > before.fallbacks.get(code, 0)}
        assert fell == set(codes)
        if launches is not None:
            assert after.launches - before.launches == launches
        expected = script(*args, **kwargs)
        assert type(got).__name__ == type(expected).__name__
        assert_like(got, expected)
    return fused


def assert_like(got, expected):
    """The same structure of tensors and other things."""
    (found, form), (wanted, wanted_form) = map(tree_flatten, (got, expected))
    assert str(form) == str(wanted_form)  # a named tuple's class is made anew at each call
    for one, other in zip(found, wanted, strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other, **TOLERANCE)
        else:
            assert (type(one), one) == (type(other), other)


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(4, 6)


@pytest.fixture(params=[True, False], ids=["optimised", "plain"])
def _executor(request):
    with torch.jit.optimized_execution(request.param):
        yield


def cell(x, y, s: float = 2.0):
    return torch.sigmoid(x) * torch.tanh(y) + s * x


@pytest.mark.usefixtures("_executor")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_every_call_is_one_kernel_whatever_torchscript_optimises(x, how):
    script = torch.jit.script(cell) if how == "script" else torch.jit.trace(cell, (x, x))
    for _ in range(3):
        script(x, x)  # its own executor has made up its mind
    check(script, x, x + 1, launches=1)


def test_a_capture_teaches_torchscript_nothing(x):
    def fresh(x):
        return x * 2 + 1

    script = torch.jit.script(fresh)
    fusekit.fuse(script)(x)
    with pytest.raises(RuntimeError, match="optimized_plan_"):  # it has not made one
        script.get_debug_state()


def test_default_and_named_arguments(x):
    script = torch.jit.script(cell)
    check(script, x, y=x, launches=1)
    check(script, x, s=3, y=x, launches=1)  # an int where a float is declared


def test_a_new_number_compiles_nothing(x):
    fused = fusekit.fuse(torch.jit.script(cell))
    fused(x, x, 0.5)
    before = fusekit.n_compiled_kernels()
    for s in (0.25, -3.0, 1e-8):
        torch.testing.assert_close(fused(x, x, s), cell(x, x, s), **TOLERANCE)
    assert fusekit.n_compiled_kernels() == before


def test_wrong_arguments_raise_what_torchscript_raises(x):
    script = torch.jit.script(cell)
    fused = fusekit.fuse(script)
    for args, kwargs in (((x,), {}), ((x, x, "s"), {}), ((x, x), {"z": 1}), ((x, 1), {})):
        with pytest.raises(Exception) as theirs:  # noqa: PT011  whatever it is
            script(*args, **kwargs)
        with pytest.raises(type(theirs.value)):
            fused(*args, **kwargs)


def test_gradients_are_eagers_and_fused(x):
    script = torch.jit.script(cell)
    fused = fusekit.fuse(script)
    found = []
    for function in (fused, script):
        leaves = [x.clone().requires_grad_(), (x + 1).requires_grad_()]
        before = fusekit.stats()
        function(*leaves).square().sum().backward()
        after = fusekit.stats()
        found.append([leaf.grad for leaf in leaves])
        if function is fused:
            assert after.launches > before.launches + 1
            assert after.fallbacks == before.fallbacks
    torch.testing.assert_close(*found, **TOLERANCE)


def scaled(x, n: int, flag: bool = False):
    for i in range(n):
        x = x * 2 + i
    while x.dim() < 3:
        x = x[None]
    if flag:
        x = x - 1
    return x * x.size(1) + len(x)


def test_control_flow_is_specialised(x):
    script = torch.jit.script(scaled)
    fused = fusekit.fuse(script)
    for rows in (4, 3, 2):
        for n, flag in ((3, False), (2, True), (0, False), (3, True)):
            args = x[:rows], n, flag
            torch.testing.assert_close(fused(*args), script(*args), **TOLERANCE)
    check(script, x, 3, launches=1)


def test_a_traced_size_is_asked_again(x):
    script = torch.jit.trace(lambda x: x * x.size(0) + x.view(-1, x.size(1) // 2).numel(), x)
    fused = fusekit.fuse(script)
    for rows in (4, 3, 2, 1):
        torch.testing.assert_close(fused(x[:rows]), script(x[:rows]))


def test_a_size_asked_by_an_overload_is_asked_again(x):
    def function(x):
        return x * torch.ops.aten.size.int(x, 0) + torch.ops.aten.sym_numel.default(x)

    fused = fusekit.fuse(function)
    for rows in (4, 3, 2):
        torch.testing.assert_close(fused(x[:rows]), function(x[:rows]))


def depends_on_values(x):
    y = x * 2
    if bool(y.sum() > 0):
        return y + 1
    return y - 1


def prints(x, really: bool = True):
    if really:
        print(x.size(0))
    return x + 1


def raises(x):
    if x.dim() == 2:
        raise ValueError("two dimensions")
    return x + 1


@pytest.mark.parametrize(
    ("function", "code", "text"),
    [
        (depends_on_values, "FK0201", "if bool(y.sum() > 0):"),
        (prints, "FK0202", "print(x.size(0))"),
        (raises, "FK0202", 'raise ValueError("two dimensions")'),
    ],
)
def test_what_cannot_be_captured_is_refused_at_its_line(x, function, code, text):
    (decline,) = fusekit.explain(torch.jit.script(function), x).declined
    assert decline.code == code
    assert decline.loc.file == __file__
    assert decline.loc.text.startswith(text)


def test_refused_functions_run_in_torchscript(x, capfd):
    check(torch.jit.script(depends_on_values), x, codes=["FK0201"], launches=0)
    with pytest.raises(torch.jit.Error, match="two dimensions"):
        fusekit.fuse(torch.jit.script(raises))(x)
    fusekit.fuse(torch.jit.script(prints))(x)
    assert capfd.readouterr().out == "4\n"
    check(torch.jit.script(prints), x, really=False, launches=1)  # not reached, not refused


def inner(x):
    return functional.dropout(functional.relu(x), 0.0)


def outer(x):
    y = torch.exp(x)
    y = functional.gelu(y)
    y = functional.softplus(y)
    return inner(y) * 2.0 * x


def test_operators_are_at_the_users_lines(x):
    """Also where the line of a library function, or of none, is all that TorchScript notes."""
    first = outer.__code__.co_firstlineno
    for script in (torch.jit.script(outer), torch.jit.trace(outer, x)):
        program = fusekit.fuse(script).entry((x,), {}).program
        lines = {node.loc.line for node in program.graph.nodes if node.loc}
        assert {node.loc.file for node in program.graph.nodes if node.loc} == {__file__}
        assert lines >= {first + 1, first + 2, first + 3, first + 4}
        assert lines <= {first + 1, first + 2, first + 3, first + 4, first - 4, first - 3}


class Pair(NamedTuple):
    first: torch.Tensor
    second: tuple[torch.Tensor, int]


def containers(x, xs: list[torch.Tensor], named: dict[str, torch.Tensor]):
    made: list[torch.Tensor] = []
    for i, item in enumerate(xs):
        made.append(item * i + x)
    made.insert(0, x)
    made[1] = made[1] * 2
    made.reverse()
    made += [x]
    last = made.pop()
    table = {"x": x + 1}
    for key, value in named.items():
        table[key] = value * 2
    if "x" in table:
        x = x + table["x"] + len(made)
    return torch.cat(made), torch.stack(made, 1), table, made, last, [i * 2 for i in range(3)], x


def named_tuple(x):
    return Pair(x * 2, (x + 1, 3))


def passed_through(x):
    return x, [x], x + 1, x.size(), "text", 2.5


def kinds(x, k: int | None = None, dtype: torch.dtype = torch.float64):
    if k is not None:
        x = x + k
    if x.dtype == torch.float32:
        x = x + 1
    y = torch.tensor([1.5, 2.5]) * x[:, :2]
    z = torch.zeros_like(y, dtype=dtype) + x.new_ones((2,)) / 3
    return y.to(dtype), z, (x > 0).type_as(x), 2**3, min(2, 3), torch.clamp(x, None, 0.5)


def test_containers(x):
    check(torch.jit.script(containers), x, [x, x + 1], {"a": x, "b": x * 3})
    assert isinstance(check(torch.jit.script(named_tuple), x, launches=1)(x).second, tuple)
    fused = check(torch.jit.script(passed_through), x, launches=1)
    assert fused(x)[0] is x


def test_kinds_of_values(x):
    script = torch.jit.script(kinds)
    check(script, x)
    check(script, x, 2, dtype=torch.float16)
    check(script, x.double())


def in_place(x):
    y = x * 2
    y.add_(1)
    y[0] = 3.0
    y[:, 1] *= 2
    return y.relu_()


def in_place_argument(x):
    x.add_(1).mul_(2)
    return x * 2


def test_in_place(x):
    check(torch.jit.script(in_place), x)
    script = torch.jit.script(in_place_argument)
    mine, theirs = x.clone(), x.clone()
    before = fusekit.stats().fallbacks
    torch.testing.assert_close(fusekit.fuse(script)(mine), script(theirs))
    torch.testing.assert_close(mine, theirs)
    assert fusekit.stats().fallbacks == before


def drops(x):
    return functional.dropout(x, 0.25, True) * 2


@pytest.mark.parametrize("how", ["script", "trace"])
def test_dropout_draws_anew_and_its_gradient_knows_what(how):
    x = torch.ones(4000, requires_grad=True)
    if how == "script":
        script = torch.jit.script(drops)
    else:
        script = torch.jit.trace(drops, x, check_trace=False)
    fused = fusekit.fuse(script)
    before = fusekit.stats().fallbacks
    one, other = fused(x), fused(x)
    assert not torch.equal(one, other)
    assert 0.2 < (one == 0).float().mean() < 0.3
    assert one.unique().tolist() == pytest.approx([0.0, 2 / 0.75])
    (gradient,) = torch.autograd.grad(one.sum(), x)
    torch.testing.assert_close(gradient, one.detach())
    torch.manual_seed(5)
    again = [fused(x)]
    torch.manual_seed(5)
    again.append(fused(x))
    assert torch.equal(*again)
    assert fusekit.stats().fallbacks == before


def test_torchscript_code_that_python_calls(x):
    script = torch.jit.script(cell)
    writer = torch.jit.script(in_place)
    check(lambda x: script(x, x) * 2, x, launches=1)
    check(lambda x: writer(x) * 2, x, codes=["FK0202"])
    with torch.jit.optimized_execution(False):
        fusekit.fuse(lambda x: script(x, x) + 3)(x)
        assert not torch._C._get_graph_executor_optimize()


# modules


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.randn(6))
        self.register_buffer("shift", torch.randn(6))
        self.power = 2
        self.steps = [1, 2]
        self.table = {"a": 1.5}

    def forward(self, x):
        if self.training:
            x = x * 2
        for step in self.steps:
            x = x + step
        return torch.relu(x * self.gain + self.shift) * self.power + self.table["a"]


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([Layer(), Layer()])
        self.linear = torch.nn.Linear(6, 6)
        self.calls = 0

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.linear(x).tanh() + 1

    @torch.jit.export
    def scale(self, x, k: int = 2):
        return x * k + self.linear.bias

    @torch.jit.export
    def count(self, x):
        self.calls += 1
        return x * self.calls

    @torch.jit.export
    def write(self, x):
        self.linear.bias.add_(1.0)
        return x * self.linear.bias


@pytest.fixture
def module():
    torch.manual_seed(0)
    return torch.jit.script(Model())


@torch.no_grad()
def test_a_module_reads_its_tensors_and_attributes_at_each_call(module, x):
    fused = check(module, x, launches=2)
    layer = next(module.layers.children())
    changes = [
        lambda: module.load_state_dict(torch.jit.script(Model()).state_dict()),
        module.eval,
        module.train,
        lambda: layer.gain.mul_(2),
        lambda: setattr(layer, "gain", torch.nn.Parameter(torch.randn(6))),
        lambda: setattr(layer, "power", 7),
        lambda: setattr(layer, "steps", [1, 2, 3]),
        lambda: setattr(layer, "steps", [5]),
        lambda: setattr(layer, "table", {"a": -4.0}),
    ]
    before, last = fusekit.stats().fallbacks, fused(x)
    for change in changes:
        change()
        now = fused(x)
        torch.testing.assert_close(now, module(x), **TOLERANCE)
        assert not torch.equal(now, last)
        last = now
    assert fusekit.stats().fallbacks == before


@torch.no_grad()
def test_methods_traces_and_frozen_modules(module, x):
    check(module.scale, x, k=3, launches=1)
    check(module.forward, x, launches=2)
    check(torch.jit.trace(Model(), x), x, launches=2)
    check(torch.jit.freeze(module.eval()), x, launches=2)


@torch.no_grad()
def test_a_module_that_writes_its_state_runs_in_torchscript(module, x):
    counted = fusekit.fuse(module.count)
    for n in (1, 2, 3):
        torch.testing.assert_close(counted(x), x * n)
    written = fusekit.fuse(module.write)
    bias = module.linear.bias.clone()
    for n in (1, 2):
        torch.testing.assert_close(written(x), x * (bias + n))
    for explanation in (counted.explain(x), written.explain(x)):
        assert {decline.code for decline in explanation.declined} == {"FK0110"}
    torch.testing.assert_close(module.linear.bias, bias + 2)
    assert module.calls == 3


def test_training_a_module(module, x):
    other = torch.jit.script(Model())
    other.load_state_dict(module.state_dict())
    runs = []
    for model, function in ((module, fusekit.fuse(module)), (other, other)):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = function(x).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        runs.append((losses, list(model.parameters())))
    torch.testing.assert_close(*runs, **TOLERANCE)


@torch.no_grad()
def test_a_scripted_module_in_a_python_module(x):
    class Around(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.jit.script(Layer())

        def forward(self, x):
            return self.layer(x) * 2

    model = Around()
    fused = check(model, x, launches=1)
    for name, value in (("power", 5), ("steps", [4]), ("table", {"a": 0.5})):
        setattr(model.layer, name, value)
        torch.testing.assert_close(fused(x), model(x), **TOLERANCE)
    model.eval()
    torch.testing.assert_close(fused(x), model(x), **TOLERANCE)


def negated(self, inputs: tuple[torch.Tensor], result: torch.Tensor) -> torch.Tensor:
    return -result


@torch.no_grad()
def test_a_module_with_hooks_runs_as_it_is(x):
    layer = Layer()
    layer.register_forward_hook(negated)
    script = torch.jit.script(layer)
    before = fusekit.stats().fallbacks.get("FK0202", 0)
    torch.testing.assert_close(fusekit.fuse(script)(x), script(x))
    assert fusekit.stats().fallbacks["FK0202"] == before + 1


def test_a_list_that_grows_is_read_again(x):
    steps = [1.0, 2.0]

    def function(x):
        for step in steps:
            x = x + step
        return x

    fused = fusekit.fuse(function)
    for _ in range(3):
        torch.testing.assert_close(fused(x), function(x))
        steps.append(3.0)


# any program

EXPRESSIONS = (
    *("{a} + {b}", "{a} * s", "{a} - n", "torch.sigmoid({a}) * {b}", "{a} * (n // 2)"),
    *("torch.where({a} > {b}, {a}, {b})", "{a}.clamp(-1.0, s)", "{a} / 2", "{a} * {a}.size(0)"),
    *("torch.cat([{a}, {b}], 1).chunk(2, 1)[0]", "{a}.t().contiguous().t()", "torch.relu({a})"),
)
STATEMENTS = (
    "{a} = {e}",
    "{a} = {e}",
    "for i in range(n):\n    {a} = {e}\n    {b} = {b} + i",
    "if n > 2:\n    {a} = {e}\nelse:\n    {a} = {b} * 2",
    "if s > 0.0:\n    {a} = {e}",
    "z = {e}\nz.mul_(0.5)\n{a} = z",
    "items = [{a}, {b}]\nitems.append({e})\n{a} = items[-1]\n{b} = items[n % 2]",
    "pair = ({e}, n + 1)\n{a} = pair[0] * pair[1]",
)
names = st.sampled_from("xy")


@st.composite
def programs(draw):
    """A TorchScript function's text."""
    lines = []
    for _ in range(draw(st.integers(1, 5))):
        a, b = draw(names), draw(names)
        expression = draw(st.sampled_from(EXPRESSIONS)).format(a=draw(names), b=draw(names))
        text = draw(st.sampled_from(STATEMENTS)).format(a=a, b=b, e=expression)
        lines += [f"    {line}" for line in text.splitlines()]
    head = "def f(x: Tensor, y: Tensor, n: int, s: float) -> Tuple[Tensor, Tensor]:"
    return "\n".join([head, *lines, "    return x, y", ""])


@given(programs(), st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2)), min_size=1, max_size=3))
def test_any_program_is_what_torchscript_makes_of_it(text, numbers):
    script = torch.jit.CompilationUnit(text).f
    fused = fusekit.fuse(script)
    torch.manual_seed(0)
    for index, (n, s) in enumerate(numbers):
        args = torch.randn(3 + index, 4), torch.randn(3 + index, 4), n, s
        explanation = fused.explain(*args)
        codes = {decline.code for decline in explanation.declined}
        assert explanation.fused or codes == {"FK0204"}, str(explanation)
        with torch.jit.optimized_execution(False):
            expected = script(*(x.clone() if torch.is_tensor(x) else x for x in args))
        torch.testing.assert_close(fused(*args), expected, rtol=1e-4, atol=1e-4, equal_nan=True)

"""The original's LSTM tests through its own front end, TorchScript, and through torch.compile.

tests/test_legacy_behaviours.py has them on plain functions, with what the kernels look like.
"""

from __future__ import annotations

import itertools

import pytest
import torch

import fusekit
from fusekit.dynamo import backend

ROUTES = ("script", "trace", "compile")
every_route = pytest.mark.parametrize("route", ROUTES)
every_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def cell_gates(gates, cx):
    ingate, forgetgate, cellgate, outgate = gates.chunk(4, 1)
    cy = torch.sigmoid(forgetgate) * cx + torch.sigmoid(ingate) * torch.tanh(cellgate)
    return torch.sigmoid(outgate) * torch.tanh(cy), cy


def lstm(x, hx, cx, w_ih, w_hh, b_ih, b_hh):
    return cell_gates(x.mm(w_ih.t()) + hx.mm(w_hh.t()) + b_ih + b_hh, cx)


def lstm_concat(x, hx, cx, w_ih, w_hh, b_ih, b_hh):
    hy, cy = cell_gates(x.mm(w_ih.t()) + hx.mm(w_hh.t()) + b_ih + b_hh, cx)
    return torch.cat((hy, cy))


def milstm(x, hx, cx, w_ih, w_hh, alpha, beta_i, beta_h, bias):
    wx, uz = x.mm(w_ih.t()), hx.mm(w_hh.t())
    return cell_gates(alpha * wx * uz + beta_i * wx + beta_h * uz + bias, cx)


def permuted(order):
    """A cell of ready products that adds the four summands in this order."""
    parts = "abcd"
    total = " + ".join(parts[i] for i in order)
    return torch.jit.CompilationUnit(
        f"def cell({', '.join(parts)}, cx):\n"
        f"    i, f, g, o = ({total}).chunk(4, 1)\n"
        "    cy = torch.sigmoid(f) * cx + torch.sigmoid(i) * torch.tanh(g)\n"
        "    return torch.sigmoid(o) * torch.tanh(cy), cy\n"
    ).cell


def lstm_arguments(device, n_rows=2, batch=4, size=5):
    """State and weights, then as many vectors of a gate's length."""
    torch.manual_seed(0)
    state = [torch.randn(batch, size) for _ in range(3)]
    weights = [torch.randn(4 * size, size) for _ in range(2)]
    rows = [torch.randn(4 * size) for _ in range(n_rows)]
    return tuple(x.to(device) for x in (*state, *weights, *rows))


def by(route, function, arguments):
    """The function as a user would have it fused."""
    if route == "compile":
        return torch.compile(function, backend=backend)
    made = torch.jit.script(function) if route == "script" else torch.jit.trace(function, arguments)
    return fusekit.fuse(made)


def assert_close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def check_inference(route, function, arguments):
    """One kernel in each call after the first, and eager's values."""
    fused = by(route, function, arguments)
    with torch.no_grad():
        fused(*arguments)
        for _ in range(3):
            before = fusekit.stats()
            got = fused(*arguments)
            after = fusekit.stats()
            assert after.launches - before.launches == 1
            assert after.fallbacks == before.fallbacks
            assert_close(got, function(*arguments))
    return fused


def check_training(route, function, arguments, runs=3):
    """Values and gradients of every argument, also when torch's executor has optimised."""
    fused = by(route, function, arguments)
    for _ in range(runs):
        found = []
        for run in (fused, function):
            leaves = [x.clone().requires_grad_() for x in arguments]
            made = run(*leaves)
            made = made if isinstance(made, tuple) else (made,)
            sum((item * item).sum() for item in made).backward()
            found.append(([item.detach() for item in made], [leaf.grad for leaf in leaves]))
        assert_close(*found)


@every_device
@every_route
def test_lstm_cuda(route, device):
    arguments = lstm_arguments(device)
    check_inference(route, lstm, arguments)
    check_training(route, lstm, arguments)


@every_device
@every_route
def test_lstm_concat_cuda(route, device):
    """The pieces of the cat are written in place, by the only kernel."""
    arguments = lstm_arguments(device)
    fused = check_inference(route, lstm_concat, arguments)
    check_training(route, lstm_concat, arguments)
    if route != "compile":
        with torch.no_grad():
            (kernel,) = fused.entry(arguments, {}).program.kernels
        assert len({place.base for place in kernel.writes}) == 1


@every_device
@every_route
def test_milstm_cuda(route, device):
    arguments = lstm_arguments(device, n_rows=4)
    check_inference(route, milstm, arguments)
    check_training(route, milstm, arguments)


def products(device):
    x, hx, cx, w_ih, w_hh, b_ih, b_hh = lstm_arguments(device)
    return x.mm(w_ih.t()), hx.mm(w_hh.t()), b_ih, b_hh, cx


@every_device
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_lstm_gates_permutations_cuda(order, device):
    """Each order of the four summands is one group: forwards, and with gradients."""
    script = permuted(order)
    fused = fusekit.fuse(script)
    arguments = products(device)
    explanation = fused.explain(*arguments)
    assert len(explanation.groups) == 1, str(explanation)
    assert not explanation.declined, str(explanation)
    assert_close(fused(*arguments), script(*arguments))
    found = []
    for run in (fused, script):
        leaves = [x.clone().requires_grad_() for x in arguments]
        before = fusekit.stats()
        made = run(*leaves)
        after = fusekit.stats()
        sum((item * item).sum() for item in made).backward()
        found.append([leaf.grad for leaf in leaves])
        if run is fused:
            assert after.launches - before.launches == 1
            assert after.fallbacks == before.fallbacks
    assert_close(*found)


@every_device
def test_lstm_gates_permutations_compiled(device):
    arguments = products(device)
    for order in itertools.permutations(range(4)):
        torch._dynamo.reset()

        def cell(*parts, order=order):
            a, b, c, d = (parts[i] for i in order)
            return cell_gates(a + b + c + d, parts[4])

        check_inference("compile", cell, arguments)


@every_device
@pytest.mark.parametrize("route", ["script", "trace"])
def test_lstm_traced(route, device):
    """No loose chunk, sigmoid or tanh: what PyTorch is left with are the two products."""
    arguments = lstm_arguments(device)
    with torch.no_grad():
        explanation = by(route, lstm, arguments).explain(*arguments)
    assert len(explanation.groups) == 1
    assert [decline.op for decline in explanation.declined] == ["aten.mm.default"] * 2
    assert {decline.loc.file for decline in explanation.declined} == {__file__}


@every_device
@pytest.mark.parametrize("route", ["script", "trace"])
def test_the_cell_alone_is_one_kernel_with_gradients(route, device):
    """Where no product is in between, nothing is left to PyTorch."""
    gates, cx = torch.randn(4, 20, device=device), torch.randn(4, 5, device=device)
    fused = by(route, cell_gates, (gates, cx))
    found = []
    for run in (fused, cell_gates):
        leaves = [gates.clone().requires_grad_(), cx.clone().requires_grad_()]
        before = fusekit.stats()
        hy, cy = run(*leaves)
        after = fusekit.stats()
        if run is fused:
            assert after.launches - before.launches == 1
            assert after.fallbacks == before.fallbacks
        found.append(torch.autograd.grad((hy * cy).sum(), leaves))
    assert_close(*found)
    assert fusekit.stats().fallbacks == after.fallbacks

"""The roofline: counted operations, kernels alone, ceilings, seams; structure, never times."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
import torch

import fusekit
from fusekit import vecmath
from fusekit.bench.limits import ceilings as limits
from fusekit.bench.limits.ceilings import Ceilings
from fusekit.bench.limits.groups import calls_alone
from fusekit.bench.limits.operations import cost_of, operations_of
from fusekit.bench.limits.roofs import RoofGroup, Roofline, RoofSeam
from fusekit.errors import FusionDeclined, UsageError
from fusekit.ir import OPS, DType, GraphBuilder
from fusekit.vecmath import rare
from fusekit.viz.measured.roofplot import roofline_alt, roofline_html, roofline_svg

QUICK = Ceilings("cpu", 1e10, 1e11, "Ceilings made up")


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    """No second of measuring in each test."""
    monkeypatch.setitem(limits._found, ("cpu", torch.get_num_threads()), QUICK)


def test_simple_ops_cost_what_the_table_says():
    assert (cost_of("add", DType.F32), cost_of("fma", DType.F32)) == (1, 2)
    assert cost_of("exp", DType.F64) == OPS["exp"].flops


@pytest.mark.parametrize("name", vecmath.functions())
def test_a_function_of_ours_costs_what_its_expression_does(name):
    whole = vecmath.function(name, DType.F32)
    apart = rare.parts(whole)
    graph = apart.usual if apart else whole
    simple = sum(node.op not in ("const", "bitcast", "copy") for node in graph.nodes)
    assert cost_of(name, DType.F32) == operations_of(graph)
    assert simple <= cost_of(name, DType.F32) <= 8 * simple


def test_a_graph_costs_the_sum_of_its_ops():
    builder = GraphBuilder("f")
    x = builder.input(DType.F32)
    y = builder.apply("mul", x, builder.const(2.0, DType.F32))
    graph = builder.finish([builder.apply("tanh", builder.apply("fma", x, y, y))])
    assert operations_of(graph) == 1 + 2 + cost_of("tanh", DType.F32)


def gated(x, w):
    h = torch.relu(x * 2.0 + 1.0)
    y = h @ w
    return torch.sigmoid(y) * y + x


ARGS = (torch.randn(48, 48), torch.randn(48, 48))


def test_each_kernel_runs_alone_and_leaves_the_arguments():
    fused = fusekit.fuse(gated)
    kept = [tensor.clone() for tensor in ARGS]
    plan = fused.entry(ARGS, {}).plan
    calls = calls_alone(plan, list(ARGS))
    assert len(calls) == 2
    for call in calls:
        call()
    assert all(torch.equal(a, b) for a, b in zip(ARGS, kept, strict=True))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.add_(1.0).mul_(2.0),
        lambda x: (x > 0) & (x < 1),
        lambda x: x.t() * 2 + torch.arange(4.0),
        lambda x: torch.cat([x + 1, x * 2], 1),
        lambda x: x.chunk(2)[0].exp(),
        lambda x: torch.nn.functional.dropout(x, 0.5),
        lambda x: x.int() // 3 + x.int() % 2,
        lambda x: x[:, 1:] * 2,
        lambda x: torch._foreach_add([x, x * 2], 1.0),
    ],
)
def test_many_kinds_of_kernels_run_alone(function):
    x = torch.randn(4, 4)
    before = x.clone()
    plan = fusekit.fuse(function).entry((x,), {}).plan
    calls = calls_alone(plan, [x])
    assert calls
    for call in calls:
        call()
    assert torch.equal(x, before)


def test_an_argument_whose_elements_share_memory():
    x = torch.arange(4.0)[:, None].expand(4, 5)
    (call,) = calls_alone(fusekit.fuse(lambda x: x * 2).entry((x,), {}).plan, [x])
    call()


def test_scalars_reach_a_kernel_that_runs_alone():
    fused = fusekit.fuse(lambda x, by: x * by)
    plan = fused.entry((torch.ones(8), 3.0), {}).plan
    (call,) = calls_alone(plan, [torch.ones(8), 3.0])
    call()
    written = [t for name, t in call.__globals__.items() if name.startswith("t")]
    assert any(torch.equal(t, torch.full((8,), 3.0)) for t in written if torch.is_tensor(t))


def test_a_call_and_its_seams():
    found = fusekit.roofline(gated, *ARGS, seconds=0.3)
    first, second = found.groups
    assert (first.name, second.name) == ("group 1", "group 2")
    assert first.nbytes == 2 * 48 * 48 * 4
    assert first.operations == 48 * 48 * 4
    assert second.operations > first.operations
    assert first.seam.code == "FK0101"
    assert first.seam.nbytes == 48 * 48 * 4
    assert first.without == pytest.approx(first.least / 2)
    assert 0 < first.low <= first.seconds <= first.high
    assert 0 <= first.at_stake <= first.seconds
    assert (
        repr(found)
        == str(found)
        == (
            f"Roofline(gated)  group 1: 18 KiB, 9,216 operations, seam FK0101; "
            f"group 2: 27 KiB, {second.operations:,} operations, seam FK0101"
        )
    )
    assert "waits for" in found.text()
    json.dumps(found.to_dict())


def test_progress_is_told_and_stops_it():
    from fusekit.bench.limits.roofs import roofline_of

    def stop(done, total, said):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        roofline_of(fusekit.fuse(gated), ARGS, {}, tell=stop)


def test_what_has_no_kernels_says_so():
    with pytest.raises(FusionDeclined):
        fusekit.roofline(lambda x: x + 1 if x.sum() > 0 else x, torch.ones(4))
    with pytest.raises(UsageError, match="no kernels"):
        fusekit.roofline(fusekit.fuse(gated, engine="reference"), *ARGS)


def test_ceilings_are_measured_once(monkeypatch):
    monkeypatch.setattr(limits, "_found", {})
    monkeypatch.setattr(limits, "_COPIED", {"cpu": 1 << 16})
    monkeypatch.setattr(limits, "_COMPUTED", {"cpu": 1 << 10})
    found = limits.ceilings("cpu")
    assert found.bandwidth > 0
    assert found.arithmetic > 0
    assert limits.ceilings("cpu") is found
    assert "multiply-adds" in found.how


def group(number, nbytes, operations, seconds, *, seam=None, vary=1.02):
    without = QUICK.seconds(max(nbytes - (seam.nbytes if seam else 0), 0), operations)
    least = QUICK.seconds(nbytes, operations)
    ends = seconds / vary, seconds * vary
    return RoofGroup(
        f"group {number + 1}", number, nbytes, operations, seconds, *ends, least, seam, without
    )


SEAM = RoofSeam("FK0101", "not <b>pointwise", 10**6, "do it first")


@pytest.fixture
def several():
    groups = (
        group(0, 4 * 10**6, 10**6, 5e-4, seam=SEAM),
        group(1, 10**6, 10**8, 1.2e-3),
        group(2, 1000, 1000, 1e-5),
        group(3, 4 * 10**6, 10**6, 5e-4, vary=2.0),
        group(4, 4 * 10**6, 0, 5e-4),
    )
    return Roofline("several", QUICK, groups)


def test_what_a_kernel_waits_for(several):
    said = [several.bound(each) for each in several.groups]
    assert said == ["bytes", "arithmetic", "start", "unclear", "bytes"]
    assert several.queue == several.groups[:1]
    assert several.groups[0].at_stake == pytest.approx(5e-4 / 4)


def test_the_picture(several):
    drawn = ET.fromstring(roofline_svg(several))
    marks = drawn.findall(".//{*}circle")
    assert len(marks) == 4  # what only moves data has no place in it
    assert len(drawn.findall(".//{*}polygon[@class='fk-tip']")) == 1
    width = float(drawn.get("width"))
    assert all(0 < float(mark.get("cx")) < width for mark in marks)
    assert "group 2: 100 operations a byte" in roofline_alt(several)


def test_the_table_holds_all_and_nothing_becomes_markup(several):
    text = roofline_html(several)
    assert text.count('<th scope="row">') == 5
    assert "not &lt;b&gt;pointwise" in text
    assert "125 µs, FK0101" in text
    assert "\n" not in text
    assert "no kernel" in roofline_html(Roofline("empty", QUICK, ()))

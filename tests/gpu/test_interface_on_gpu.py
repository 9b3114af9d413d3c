"""The original fuser's interface with tensors on a GPU."""

from __future__ import annotations

import pytest
import torch

import fusekit
from tests.gpu.harness import ENGINE, assert_equal, counted, filled

pytestmark = pytest.mark.gpu

MUL_ADD = """
graph(%a : Tensor, %b : Tensor, %s : float):
  %one : int = prim::Constant[value=1]()
  %p : Tensor = aten::mul(%a, %b)
  %q : Tensor = aten::mul(%p, %s)
  %r : Tensor = aten::add(%q, %b, %one)
  return (%r)
"""

CHUNK_CAT = """
graph(%x : Tensor, %y : Tensor):
  %a : Tensor, %b : Tensor = prim::ConstantChunk[chunks=2, dim=-1](%x)
  %p : Tensor = aten::mul(%a, %b)
  %q : Tensor = aten::mul(%b, %y)
  %c : Tensor = prim::FusedConcat[dim=0](%p, %q)
  return (%c, %q)
"""


@pytest.fixture(autouse=True)
def _switches():
    yield
    fusekit.override_can_fuse_on_cpu(value=True)
    fusekit.override_can_fuse_on_gpu(value=True)


def group(text=MUL_ADD):
    return torch._C.parse_ir(text)


def mul_add(a, b, s):
    return a * b * s + b


def arguments(s=0.5):
    return [filled((33, 65)), filled((65, 33)).t(), s]


def test_a_registered_group_runs_on_the_gpu():
    key = fusekit.register_fusion(group())
    below = object()
    for s in (0.5, -2.0):
        values = arguments(s)
        stack = [below, *values]
        with counted(launches=1):
            fusekit.run_fusion(key, stack)
        assert stack[0] is below
        assert_equal(stack[1:], [mul_add(*values)])


def test_one_key_serves_the_cpu_and_the_gpu():
    key = fusekit.register_fusion(group())
    for move in (torch.Tensor.cpu, torch.Tensor.cuda, torch.Tensor.cpu, torch.Tensor.cuda):
        values = [move(torch.randn(50)), move(torch.randn(50)), 0.25]
        stack = list(values)
        with counted(launches=1):
            fusekit.run_fusion(key, stack)
        assert_equal(stack, [mul_add(*values)])


def test_chunks_and_cats_of_the_original():
    x, y = filled((40, 66)), filled((33,))
    a, b = x.chunk(2, -1)
    stack = [x, y]
    with counted(launches=1):
        fusekit.run_fusion(fusekit.register_fusion(group(CHUNK_CAT)), stack)
    assert_equal(stack, [torch.cat([a * b, b * y]), b * y])


def test_the_debug_functions_give_results_and_code():
    values = arguments()
    assert_equal(fusekit.debug_launch_graph(group(), values), [mul_add(*values)])
    code = fusekit.debug_get_fused_kernel_code(group(), values)
    assert 'extern "C" __global__' in code
    assert "fk_" in code


def test_fusion_on_the_gpu_can_be_switched_off_and_on():
    key = fusekit.register_fusion(group())
    values = arguments()
    fusekit.run_fusion(key, list(values))
    assert fusekit.can_fuse_on_gpu()
    fusekit.override_can_fuse_on_gpu(False)
    assert not fusekit.can_fuse_on_gpu()
    assert fusekit.can_fuse_on_cpu()
    before = fusekit.stats()
    stack = list(values)
    fusekit.run_fusion(key, stack)  # although its plan was the most recent one
    assert_equal(stack, [mul_add(*values)])
    after = fusekit.stats()
    assert after.fallbacks["FK0301"] == before.fallbacks.get("FK0301", 0) + 1
    assert after.launches == before.launches
    with pytest.raises(fusekit.FusionDeclined, match="FK0301"):
        fusekit.debug_launch_graph(group(), values)
    with counted(launches=1):  # the CPU's switch is another one
        fusekit.run_fusion(key, [torch.randn(3), torch.randn(3), 0.5])
    fusekit.override_can_fuse_on_gpu(True)
    with counted(launches=1):
        fusekit.run_fusion(key, list(values))


def test_fuse_obeys_the_switch():
    fused = fusekit.fuse(lambda x: torch.relu(x) + 1, engine=ENGINE)
    x = filled((100,))
    fused(x)
    fusekit.override_can_fuse_on_gpu(False)
    launches = fusekit.stats().launches
    assert_equal(fused(x), torch.relu(x) + 1)
    assert fusekit.stats().launches == launches
    assert "FK0301" in str(fused.explain(x))
    fusekit.override_can_fuse_on_gpu(True)
    with counted(launches=1):
        fused(x)


def test_switching_the_cpu_off_leaves_the_gpu_on():
    fusekit.override_can_fuse_on_cpu(False)
    assert fusekit.can_fuse_on_gpu()
    values = arguments()
    with counted(launches=1):
        fusekit.run_fusion(fusekit.register_fusion(group()), list(values))


def test_what_eager_rejects_leaves_the_stack_as_it_was():
    stack = [filled((3,)), filled((4,)), 0.5]
    kept = list(stack)
    with pytest.raises(RuntimeError, match="must match the size"):
        fusekit.run_fusion(fusekit.register_fusion(group()), stack)
    assert all(one is other for one, other in zip(stack, kept, strict=True))


def test_compiled_kernels_are_counted():
    scale = 1.0 + torch.rand(1).item()
    fused = fusekit.fuse(lambda x: x * scale + x, engine=ENGINE)
    before = fusekit.n_compiled_kernels()
    fused(filled((100,)))
    fused(filled((300,)))
    assert fusekit.n_compiled_kernels() == before + 1

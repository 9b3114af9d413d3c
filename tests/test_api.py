"""fuse and its FusedFunction: what a user asks of them."""

import copy
import pickle

import pytest
import torch

import fusekit


def gate(x: torch.Tensor, h: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """Doc of the original."""
    return torch.sigmoid(x * scale) * h


def test_a_fused_function_looks_like_the_original() -> None:
    fused = fusekit.fuse(gate)
    assert (fused.__name__, fused.__doc__) == ("gate", "Doc of the original.")
    assert fused.__wrapped__ is gate
    assert repr(fused) == "<fused gate, engine auto>"
    assert fusekit.fuse(fused).function is gate


def test_it_is_a_decorator_with_and_without_arguments() -> None:
    @fusekit.fuse
    def one(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @fusekit.fuse(engine="llvm", name="other")
    def two(x: torch.Tensor) -> torch.Tensor:
        return x * 3

    x = torch.ones(3)
    assert torch.equal(one(x), x * 2)
    assert torch.equal(two(x), x * 3)
    assert two.name == "other"


@fusekit.fuse
def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class Scale:
    by = 3.0

    @fusekit.fuse(engine="reference")
    def times(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.by


def test_pickled_by_name_it_is_the_same() -> None:
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert copy.deepcopy(doubled) is doubled


def test_pickled_by_value_it_is_fused_alike() -> None:
    x, h = torch.randn(2, 8)
    plan = fusekit.fuse(gate).plan(x, h)
    fused = fusekit.fuse(gate, engine="reference", name="other", plan=plan)
    fused(x, h)
    for made in (pickle.loads(pickle.dumps(fused)), copy.deepcopy(fused)):
        assert made is not fused
        assert repr(made) == repr(fused)
        assert (made.function, made.planned) == (gate, plan)
        assert torch.equal(made(x, h), fused(x, h))


def test_a_pickled_method_is_bound_to_what_arrives_with_it() -> None:
    scale = Scale()
    scale.by = 5.0
    owner, times = pickle.loads(pickle.dumps((scale, scale.times)))
    assert (times.function.__self__, times.engine) == (owner, "reference")
    owner.by = 7.0
    assert torch.equal(times(torch.ones(3)), torch.full((3,), 7.0))


def test_source_in_every_language() -> None:
    fused = fusekit.fuse(gate)
    args = torch.randn(5), torch.randn(5), 2.0
    assert "define" in fused.source(*args)
    assert fused.source(*args, language="llvm") == fused.source(*args)
    assert 'extern "C" int32_t fk_' in fused.source(*args, language="cpp")
    assert fused.source(*args, language="ir").startswith("graph group(")
    assert fused.source(*args, language="asm").strip()
    with pytest.raises(fusekit.UsageError, match="cobol"):
        fused.source(*args, language="cobol")


def test_generated_source_holds_nothing_of_the_users() -> None:
    def secret_name(my_tensor: torch.Tensor) -> torch.Tensor:
        my_local = my_tensor * 2
        return my_local + 1

    fused = fusekit.fuse(secret_name, name="evil */ name\n#error")
    for language in (None, "cpp", "ir"):
        text = fused.source(torch.ones(3), language=language)
        assert not any(word in text for word in ("secret", "my_", "evil", "error", "test_api"))


def test_what_is_not_fused_says_why() -> None:
    def branchy(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum() > 0 else x

    fused = fusekit.fuse(branchy)
    explained = fused.explain(torch.ones(3))
    assert not explained.fused
    assert [decline.code for decline in explained.declined] == ["FK0201"]
    assert explained.declined[0].loc.text == "return x + 1 if x.sum() > 0 else x"
    with pytest.raises(fusekit.FusionDeclined, match="FK0201"):
        fused.source(torch.ones(3))
    before = fusekit.stats().fallbacks.get("FK0201", 0)
    assert torch.equal(fused(torch.ones(3)), torch.full((3,), 2.0))
    assert fusekit.stats().fallbacks["FK0201"] == before + 1


def test_an_explanation_reads_well() -> None:
    def two_groups(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.relu((x + 1) @ w).tanh()

    explained = fusekit.explain(two_groups, torch.ones(2, 2), torch.ones(2, 2))
    text = str(explained)
    assert text.startswith("two_groups: 2 groups\n")
    assert "relu -> tanh" in text
    assert "[FK0101] aten.mm.default: not a pointwise operator" in text
    assert len(explained.groups) == 2
    assert [decline.op for decline in explained.declined] == ["aten.mm.default"]
    assert {seam.decline.code for seam in explained.seams} == {"FK0101"}


def test_engines_say_what_they_can() -> None:
    found = fusekit.fuse(gate).engines(torch.ones(2), torch.ones(2))
    assert found["llvm"] is None
    assert found["reference"] is None
    assert set(found) == {"llvm", "cpp", "cuda", "reference"}
    assert found["cuda"] == "serves cuda, the tensors are on cpu"


def test_wrong_usage() -> None:
    with pytest.raises(fusekit.UsageError, match="no engine 'gpu'"):
        fusekit.fuse(gate, engine="gpu")
    with pytest.raises(fusekit.UsageError, match="takes a function"):
        fusekit.fuse(3)


def test_stats_count_launches_hits_and_opaque_calls() -> None:
    fused = fusekit.fuse(lambda x: torch.relu(x @ x + 0.625) * 2)
    x = torch.randn(3, 3)
    before = fusekit.stats()
    for _ in range(4):
        fused(x)
    after = fusekit.stats()
    assert after.launches - before.launches == 4
    assert after.opaque_calls - before.opaque_calls == 4
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 3)
    assert after.kernels - before.kernels == 1
    assert after.compile_seconds > before.compile_seconds


def test_the_doctor_reports_every_engine() -> None:
    found = fusekit.doctor()
    assert found.healthy
    assert {"torch", "engine llvm", "engine cpp", "gpu", "disk cache"} <= {
        finding.name for finding in found.findings
    }
    assert all(finding.detail for finding in found.findings)
    assert len(str(found).splitlines()) == len(found.findings)


def test_every_public_name_is_there() -> None:
    assert all(getattr(fusekit, name) is not None for name in fusekit.__all__)
    assert set(fusekit.__all__) <= set(dir(fusekit))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fusekit.nonsense

"""What leaves a view: pictures, cards that load again, kernels that run by themselves."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import types

import pytest
import torch

import fusekit
from fusekit.bench.standalone.driver import checksum, pattern
from fusekit.errors import UsageError
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.kernel_memory import by_reference, memory_of
from fusekit.viz import FusionView, load
from fusekit.viz.model.carried import packed, unpacked
from fusekit.viz.model.schema import check
from fusekit.viz.takeaway.reproducer import reproducer
from tests.viz import models

CXX = pytest.mark.skipif(
    ENGINES["cpp"].unavailable() is not None or shutil.which("make") is None,
    reason="a driver is compiled by make and a C++ compiler",
)


def blend(x, b, s):
    return torch.relu(x * s + b) - x


def mixed(x, m, n, h):
    y = torch.where(m, x.t(), -x.t()) + n
    return y, (h * 2.5).t(), n // 3


def in_place(x, y):
    x.mul_(0.5).add_(y)
    return x > y


def folded(x, w):
    return torch.relu((x @ w).view(-1)[::2] * 2 + 1)


def halves(x, h):
    return x * 0.5 - 1, h.double() * x


CALLS = {
    "blend": (blend, lambda: (torch.randn(24, 40).t(), torch.randn(24), 1.5)),
    "mixed": (
        mixed,
        lambda: (
            torch.randn(30, 20),
            torch.rand(20, 30) > 0.5,
            torch.randint(1, 9, (20, 30), dtype=torch.int16),
            torch.randn(20, 30, dtype=torch.bfloat16),
        ),
    ),
    "in_place": (in_place, lambda: (torch.randn(7, 9), torch.randn(7, 9))),
    "folded": (folded, lambda: (torch.randn(8, 6), torch.randn(6, 10))),
    "halves": (halves, lambda: (torch.randn(3, 1, 17).half(), torch.randn(5, 17).half())),
}


@CXX
@pytest.mark.parametrize("language", ["cpp", "llvm"])
@pytest.mark.parametrize("name", CALLS)
def test_a_kernel_runs_by_itself(name, language, tmp_path):
    function, make = CALLS[name]
    fused, args = fusekit.fuse(function), make()
    for group in range(len(fused.explain(*args).groups)):
        folder = tmp_path / str(group)
        written = fused.edit(*args, language=language, group=group).export(folder)
        assert {path.name for path in written} >= {"driver.cpp", "Makefile", "README.md"}
        done = subprocess.run(
            ["make", "-C", folder, "run"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.search(r"checksum ([0-9a-f]{16}), as expected", done.stdout)
        call = fused.entry(args, {}).program.kernels[group]
        memory = memory_of(call)
        scalars = [1.5] if name == "blend" else []
        if len(call.scalars) == len(scalars):
            # all of these are correctly rounded, so PyTorch's own operators give the same bits
            own = checksum(by_reference(call, memory, pattern(memory), scalars))
            assert int(found[1], 16) == own
        assert re.search(r"[\d.]+ us \(median of \d+ runs\), [\d.]+ GB/s", done.stdout)


@CXX
def test_a_kernel_that_was_changed_has_another_checksum(tmp_path):
    args = CALLS["blend"][1]()
    fusekit.fuse(blend).edit(*args, language="cpp").export(tmp_path)
    kernel = tmp_path / "kernel.cpp"
    text = re.sub(r"(out0\w*\[i\] = \w+);", r"\1 + 1;", kernel.read_text())
    kernel.write_text(text)
    done = subprocess.run(
        ["make", "-C", tmp_path, "run"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "not the one it had when it was exported" in done.stdout


def test_the_checksum_sees_order_and_every_bit():
    base = torch.arange(1000.0)
    seen = {checksum([base]), checksum([base.flip(0)]), checksum([base, base])}
    seen |= {checksum([base.double()]), checksum([torch.cat([-base[:1], base[1:]])])}
    assert len(seen) == 5
    assert checksum([torch.full((10,), -1, dtype=torch.int64)]) == 0


@CXX
def test_a_live_view_is_exported_whole(tmp_path):
    view = fusekit.fuse(blend).explore(*CALLS["blend"][1]())
    written = {str(path.relative_to(tmp_path)) for path in view.export(tmp_path)}
    assert written >= {"blend.html", "blend.fk.json", "blend.md", "blend.mmd", "blend.dot"}
    assert written >= {"kernels/g1-cpp/driver.cpp", "kernels/g1-llvm/kernel.o"}
    assert load(tmp_path / "blend.fk.json").model == view.model
    assert load(tmp_path / "blend.md").model == view.model
    assert repr(view.cache()) == "<cache of blend: 1 entry, 1 kernel>"


def test_a_recording_is_exported_without_programs(tmp_path):
    view = FusionView(models.gated_mlp())
    written = {str(path.relative_to(tmp_path)) for path in view.export(tmp_path)}
    assert "kernels/g1-fk_a1b2c3d4e5f6.cu" in written
    assert not any(name.endswith("driver.cpp") for name in written)
    with pytest.raises(UsageError, match="recording"):
        view.cache()


def test_mermaid_and_json():
    view = FusionView(models.gated_mlp())
    assert view.mermaid().startswith("flowchart TD\n")
    assert view.mermaid() in view.card().markdown
    assert check(json.loads(view.json())) == view.model


def test_png_takes_its_package(tmp_path, monkeypatch):
    view = FusionView(models.gated_mlp())
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UsageError, match=r"pip install 'fusekit\[png\]'"):
        view.png()
    asked = {}

    def svg_to_bytes(**given):
        asked.update(given)
        return b"\x89PNG"

    fake = types.SimpleNamespace(svg_to_bytes=svg_to_bytes)
    monkeypatch.setitem(sys.modules, "resvg_py", fake)
    assert view.png(tmp_path / "x.png", width=800) == b"\x89PNG"
    assert (tmp_path / "x.png").read_bytes() == b"\x89PNG"
    assert asked == {"svg_string": view.svg(theme="light"), "width": 800}
    with pytest.raises(UsageError, match="pixels wide"):
        view.png(width=0)


def test_png_is_a_png():
    pytest.importorskip("resvg_py")
    data = FusionView(models.gated_mlp()).png(width=640)
    assert data.startswith(b"\x89PNG\r\n")
    assert int.from_bytes(data[16:20], "big") == 640


@pytest.mark.parametrize("make", [models.gated_mlp, models.noisy_relu, models.hostile])
def test_a_card_loads_again(make, tmp_path):
    view = FusionView(make())
    path = view.card().save(tmp_path / "card")[0]
    assert load(path).model == view.model
    # as an issue's text, between other words
    path.write_text(f"see\r\n\r\n{path.read_text(encoding='utf-8')}\nthanks", encoding="utf-8")
    assert load(path).model == view.model


def test_a_card_that_was_changed_does_not_load(tmp_path):
    text = FusionView(models.gated_mlp()).card().markdown
    head, body = text.split("sha256:")
    path = tmp_path / "card.md"
    for changed in (
        f"{head}sha256:{'0' * 64}{body[64:]}",
        f"{head}sha256:{body[:80]}{'A' if body[80] != 'A' else 'B'}{body[81:]}",
        f"{head}sha256:{body[:200]}\n-->",
        head,
    ):
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(UsageError, match=r"card\.md: (the view in it|carries no)"):
            load(path)


def test_a_large_model_is_carried_without_its_sources():
    model = models.gated_mlp()
    draw = random.Random(0)
    noise = "".join(chr(draw.randint(32, 122)) for _ in range(80_000))
    model["sources"][0]["text"] += noise
    found = json.loads(unpacked(packed(model), "x"))
    assert found["sources"] == []
    model["user"]["text"] += noise
    assert packed(model) == ""


def scaled(x, gates, k: int = 3, *, flag=True):
    """Arguments of every kind."""
    return sum(gates) * x.exp() / k if flag else x


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (blend, (torch.randn(4, 6), torch.randn(6), 1.5)),
        (scaled, (torch.rand(5), [torch.rand(5).double(), torch.rand(5)])),
        (mixed, CALLS["mixed"][1]()),
    ],
)
def test_the_reproducer_runs(function, args, tmp_path):
    view = fusekit.fuse(function).explore(*args)
    program = reproducer(view.model)
    assert program in view.card().markdown
    path = tmp_path / "again.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{function.__name__}: ")


def test_what_cannot_be_run_again_has_no_reproducer():
    assert reproducer(models.hostile()) == ""
    view = fusekit.fuse(lambda x: x * 2 + 1).explore(torch.ones(3))
    assert reproducer(view.model) == ""


def test_versions_and_hardware_stand_in_the_card_and_in_no_repr():
    view = fusekit.fuse(blend).explore(torch.randn(4, 6), torch.randn(6), 1.5)
    assert torch.__version__ in view.card().markdown
    assert torch.__version__ not in repr(view) + str(view) + repr(view.card()) + view.text()
    assert FusionView(models.gated_mlp()).model["machine"] == {}

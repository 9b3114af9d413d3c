"""Editing a kernel of a GPU, and taking it away: what goes wrong does not reach this process."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import torch

import fusekit

pytestmark = pytest.mark.gpu


def smooth(x, b, s):
    return torch.tanh(x * s + b) / (x * x + 1)


@pytest.fixture
def call():
    return torch.randn(96, 512, device="cuda"), torch.randn(512, device="cuda"), 2.0


@pytest.fixture
def editor(call):
    return fusekit.fuse(smooth).edit(*call)


def test_the_generated_text_is_right(editor):
    found = editor.compile()
    assert found.ok, found
    assert found.seconds > 0


def test_a_syntax_error_is_at_its_line(editor):
    lines = editor.source.split("\n")
    at = next(i for i, line in enumerate(lines) if "blockIdx" in line)
    lines[at] = "  const nothing;"
    found = editor.compile("\n".join(lines))
    assert found.status == "refused"
    assert found.errors[0].line == at + 1


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("*(volatile int*)16 = 1;", ("crashed", "wrong")),
        ("while (*(volatile float*)out0 == *(volatile float*)out0);", ("endless",)),
    ],
)
def test_faults_stay_in_the_other_process(call, editor, line, status):
    before, _, after = editor.source.rpartition("\n}")
    found = editor.compile(f"{before}\n  {line}\n}}{after}", seconds=5)
    assert found.status in status
    assert torch.equal(call[0] + 1, call[0] + 1)
    torch.cuda.synchronize()


@pytest.mark.skipif(shutil.which("make") is None, reason="the driver is compiled by make")
def test_a_kernel_runs_by_itself(editor, tmp_path):
    names = {path.name for path in editor.export(tmp_path)}
    assert names == {"kernel.cu", "kernel.cubin", "driver.cpp", "Makefile", "README.md"}
    done = subprocess.run(
        ["make", "-C", tmp_path, "run"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"checksum [0-9a-f]{16}, as expected", done.stdout)

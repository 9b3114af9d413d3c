"""The command: what it prints, what it writes, its exit codes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fusekit
from fusekit.cli import main
from tests.codegen.cuda_kernels import needs_nvrtc

ROOT = Path(fusekit.__file__).parents[1]

MODEL = """
import torch
from dataclasses import dataclass

example_args = (torch.zeros(3, 4), torch.ones(4))


def gelu(x, bias, *, scale=2.0):
    return torch.nn.functional.gelu(x + bias) * scale


def product(x):
    return x @ x


constant = 3
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL, encoding="utf-8")
    return path


def command(*words, cwd, **environ):
    return subprocess.run(
        [sys.executable, "-m", "fusekit", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_demo_needs_no_compiler_and_writes_its_report(tmp_path):
    (tmp_path / "bin").mkdir()
    environ = {"PATH": str(tmp_path / "bin"), "FUSEKIT_CACHE_DIR": str(tmp_path / "cache")}
    environ["OMP_NUM_THREADS"] = "1"  # teams wait for their slowest thread: long, on busy cores
    done = command("demo", "--quick", "--html", "report.html", cwd=tmp_path, **environ)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert said.count("  engine ") >= 6
    assert said.count("max error against float64") >= 6
    assert said.count("compiled in") >= 6
    assert "inductor on cpu: skipped, Inductor needs a C++ compiler" in said
    assert "Traceback" not in said + done.stderr
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('class="fk-view"') >= 6
    assert 'src="http' not in page


def test_version_and_usage(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"fusekit {fusekit.__version__}\n"
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2


def test_show_prints_explanation_graph_and_source(model, capsys):
    assert main(["show", f"{model}:gelu"]) == 0
    said = capsys.readouterr().out
    assert "gelu: 1 group" in said
    assert "graph group(" in said
    assert "define " in said


def test_show_takes_arguments_language_and_report(model, tmp_path, capsys):
    report = tmp_path / "gelu.html"
    words = ["--args", "float32[5,4], f32[4], scale=3.0", "--language", "cpp"]
    assert main(["show", f"{model}:gelu", *words, "--html", str(report)]) == 0
    assert "#pragma omp" in capsys.readouterr().out
    assert "<!DOCTYPE html>" in report.read_text(encoding="utf-8")


def test_show_writes_for_a_gpu_that_is_not_there(model, capsys):
    assert main(["show", f"{model}:gelu", "--language", "cuda"]) == 0
    assert "__global__" in capsys.readouterr().out


@needs_nvrtc
def test_show_takes_the_gpu_to_write_for(model, capsys):
    words = ["show", f"{model}:gelu", "--language", "ptx", "--arch"]
    assert main([*words, "sm_100"]) == 0
    assert ".target sm_100" in capsys.readouterr().out
    assert fusekit.config.current().cuda_arch != "sm_100"
    assert main([*words, "sm_0"]) == 2
    assert "knows no GPU 'sm_0'" in capsys.readouterr().err


def test_show_says_why_there_is_no_kernel(model, capsys):
    assert main(["show", f"{model}:product", "--args", "f32[4,4]"]) == 0
    assert "no kernel, so no source" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{model}:nothing"], "has no function 'nothing'; there are: gelu, product"),
        (["{model}:constant"], "has no function"),
        (["{model}"], "there is no file" if os.sep == "\\" else "write FILE:FUNCTION"),
        (["missing.py:f"], "there is no file 'missing.py'"),
        (["$(touch x);a.py:f"], "there is no file"),
        (["{model}:product", "--args", "float33[2]"], "no dtype 'float33'"),
        (["{model}:gelu", "--engine", "tpu"], "no engine 'tpu'"),
        (["{model}:gelu", "--language", "cobol"], "no language 'cobol'"),
        (["{model}:gelu", "--html", "no/such/folder/x.html"], "cannot write"),
    ],
)
def test_bad_requests_are_said_in_the_users_terms(model, capsys, words, message):
    words = [word.replace("{model}", str(model)) for word in words]
    assert main(["show", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.startswith("fusekit: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import torch\n\nundefined\n", "NameError: name 'undefined' is not defined (line 3)"),
        ("def f(:\n", "SyntaxError"),
        ("def f(x):\n    return x\n", "say what to call it with"),
    ],
)
def test_a_file_that_does_not_serve(tmp_path, capsys, text, message):
    path = tmp_path / "broken.py"
    path.write_text(text, encoding="utf-8")
    assert main(["show", f"{path}:f"]) == 2
    assert message in capsys.readouterr().err


def test_why_prints_a_page_and_the_list(capsys):
    assert main(["why", "fk0106"]) == 0
    text = capsys.readouterr().out
    assert text == (ROOT / "docs/reasons/FK0106.md").read_text(encoding="utf-8")
    assert main(["why"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{reason.code}: {reason.sentence}" for reason in fusekit.Reason]
    assert main(["why", "FK0000"]) == 2
    assert "no reason 'FK0000'; there are FK0101" in capsys.readouterr().err


def test_why_needs_no_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('asked for')", encoding="utf-8")
    done = command("why", "FK0307", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# FK0307")


def test_doctor(capsys, monkeypatch):
    assert main(["doctor"]) == 0
    assert "engine llvm" in capsys.readouterr().out
    diagnosis = importlib.import_module("fusekit.runtime.diagnosis")
    monkeypatch.setattr(diagnosis.Doctor, "healthy", property(lambda self: False))
    assert main(["doctor"]) == 1


def test_an_interrupt_is_no_error_report(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("fusekit.runtime.diagnosis"), "doctor", interrupted)
    assert main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_plain_text_without_rich(model):
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "from fusekit.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "show", f"{model}:gelu"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "gelu: 1 group" in done.stdout

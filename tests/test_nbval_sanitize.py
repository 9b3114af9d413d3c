"""The notebook sanitiser hides what was measured and nothing else."""

import re
from pathlib import Path

import pytest

pytest.importorskip("nbval", reason="nbval is not installed (the extra `dev`)")
from nbval.plugin import get_sanitize_patterns

CONFIG = Path(__file__).with_name("nbval_sanitize.cfg")


PATTERNS = get_sanitize_patterns(CONFIG.read_text(encoding="utf-8"))


def sanitize(text: str) -> str:
    """Do what nbval does with the file."""
    for regex, replacement in PATTERNS:
        text = re.sub(regex, replacement, text)
    return text


def test_nbval_sees_every_section() -> None:
    """It passes over a pair that it cannot parse without a word."""
    assert len(PATTERNS) == CONFIG.read_text(encoding="utf-8").count("\n[")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("took 12.3 ms", "took TIME"),
        ("took 1,234.5 µs ± 3.1 µs", "took TIME"),
        ("12.3 ± 0.4 ms, 9 runs", "TIME, 9 runs"),
        ("1.85 s ± 3%", "TIME"),
        ("1e-05s", "TIME"),
        ("0.5 s.", "TIME."),
        ("1.0 TB/s ± 2%", "RATE"),
        ("2810.4 GB/s of 3.0 TB/s", "RATE of RATE"),
        ("12.3x faster, 0.98× there", "RATIO faster, RATIO there"),
        ("<Model at 0x7f2ab4c01d30>", "<Model at ADDRESS>"),
        ("on NVIDIA H100 80GB HBM3, fused", "on GPU, fused"),
        ("on NVIDIA GeForce RTX 4090", "on GPU"),
        ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "CPU"),
        ("AMD EPYC 9R14 96-Core Processor", "CPU"),
        ('<div class="fk-measured"><p>9 runs</p></div><!--fk-measured--> 9', "MEASURED 9"),
        (
            "<details><summary>group 1 · llvm</summary><pre>\n<16 x float></pre></details> 1",
            "<details>group 1 · llvm 1",
        ),
    ],
)
def test_what_was_measured_is_hidden(text: str, expected: str) -> None:
    assert sanitize(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2 groups · 2 launches (eager 4) · saves 96 MiB · 1 seam [FK0012]",
        "640x480",
        "return 2x + y * 0x1p-3",
        "runs on any NVIDIA GPU",
        "float v7 = v3 * 0.5f;",
        "shape (3, 4), strides (4, 1)",
        "sm_90 needs 3 registers",
        "16 s32 lanes, <16 x float>",
        "store float 0x3FE0000000000000, ptr %3",
        "error at most 1.5 ulp",
    ],
)
def test_everything_else_is_compared(text: str) -> None:
    assert sanitize(text) == text

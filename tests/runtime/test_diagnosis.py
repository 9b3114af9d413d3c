"""The doctor's words about GPUs: what works, what is missing, and how to get it."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.compilers import disassembler, nvrtc
from fusekit.runtime import diagnosis


def detail(name: str) -> tuple[bool, str]:
    (found,) = [finding for finding in fusekit.doctor().findings if finding.name == name]
    return found.works, found.detail


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu():
    works, said = detail("gpu")
    assert not works
    assert said.startswith("none that torch (")
    works, said = detail("engine cuda")
    assert not works
    assert "no usable NVIDIA GPU" in said
    assert fusekit.doctor().healthy


def test_a_machine_with_two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(diagnosis, "_driver", lambda: "driver for CUDA 13.0")
    expected = "NVIDIA H200, compute capability 9.0 (and 1 more), driver for CUDA 13.0"
    assert detail("gpu") == (True, expected)


def test_with_nvrtc_it_says_for_what(monkeypatch):
    monkeypatch.setattr(nvrtc, "why_no_nvrtc", lambda: None)
    monkeypatch.setattr(nvrtc, "version", lambda: "13.5")
    monkeypatch.setattr(nvrtc, "supported", lambda: (75, 90, 121))
    works, said = detail("nvrtc")
    assert works
    assert said.startswith("13.5, compiles for sm_75 to sm_121 with or without a GPU; cuda.core ")


def test_without_nvrtc_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(nvrtc, "why_no_nvrtc", lambda: 'no cuda.core: pip install "fusekit[cuda]"')
    works, said = detail("nvrtc")
    assert not works
    assert said == ('CUDA C++ can be read, not compiled: no cuda.core: pip install "fusekit[cuda]"')


@pytest.mark.parametrize("path", [None, "/opt/cuda/bin/nvdisasm"])
def test_the_disassembler(monkeypatch, path):
    monkeypatch.setattr(disassembler, "find", lambda: path)
    works, said = detail("nvdisasm")
    assert works == bool(path)
    assert said == path or "pip install" in said

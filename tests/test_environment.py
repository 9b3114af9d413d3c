"""pyproject.toml, environment.yml and constraints.txt say the same thing."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Where conda-forge and PyPI name one package differently.
CONDA_NAMES = {
    "graphviz": "python-graphviz",
    "nvidia-cuda-nvdisasm": "cuda-nvdisasm",
    "nvidia-cuda-nvrtc": "cuda-nvrtc",
    "playwright": "playwright-python",
    "torch": "pytorch",
}
# Of conda's own: the interpreter, and pip for the section that conda-forge cannot serve.
CONDA_ONLY = {"python", "pip"}
# What an extra of a dependency brings in and constraints.txt pins as well.
THROUGH_EXTRAS = {"wasmtime"}


def requirements(*extras: str) -> dict[str, Requirement]:
    """Return the direct dependencies and those of the extras, by normalised name."""
    found: dict[str, Requirement] = {}
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            found |= requirements(*requirement.extras)
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def conda() -> dict[str, SpecifierSet]:
    """Return what environment.yml asks for, under PyPI's names."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pypi_names = {theirs: ours for ours, theirs in CONDA_NAMES.items()}
    found: dict[str, SpecifierSet] = {}
    for entry in listed:
        if isinstance(entry, dict):
            found |= {
                canonicalize_name(r.name): r.specifier for r in map(Requirement, entry["pip"])
            }
        else:
            name, _, specifier = entry.partition(" ")
            assert name not in CONDA_NAMES, f"{name} is called {CONDA_NAMES[name]} on conda-forge"
            found[pypi_names.get(name, name)] = SpecifierSet(specifier)
    return found


PINNED = requirements("dev", "bench")


def pins() -> dict[str, Version]:
    """Return what constraints.txt pins."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pinned}


def test_conda_lists_what_pyproject_lists() -> None:
    assert set(conda()) - CONDA_ONLY == set(requirements("dev"))


@pytest.mark.parametrize("name", sorted(requirements("dev")))
def test_conda_asks_for_the_same_versions(name: str) -> None:
    assert conda()[name] == requirements("dev")[name].specifier


def test_conda_asks_for_the_same_python() -> None:
    assert conda()["python"] == SpecifierSet(PROJECT["requires-python"])


def test_constraints_pin_every_direct_dependency() -> None:
    assert set(pins()) == set(PINNED) | THROUGH_EXTRAS


@pytest.mark.parametrize("name", sorted(PINNED))
def test_pins_lie_within_the_ranges(name: str) -> None:
    assert pins()[name] in PINNED[name].specifier


@pytest.mark.parametrize("extra", ["lab", "cuda", "dask", "png", "docs"])
def test_dev_contains_the_other_extras(extra: str) -> None:
    assert set(requirements(extra)) <= set(requirements("dev"))


def test_the_makefile_leaves_out_the_pins_of_cuda_and_no_others() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    pattern = re.search(r"^CUDA_PINS = (.*)$", recipe, re.MULTILINE)
    assert pattern
    left_out = {name for name in pins() if re.match(pattern[1].replace("$$", "$"), f"{name}==")}
    assert left_out == {canonicalize_name(Requirement(line).name) for line in EXTRAS["cuda"]}


def test_what_the_readme_promises_is_installed() -> None:
    named = {"torch", "graphviz", "pygments", "ipywidgets", "jupyterlab", "pytest"}
    assert named <= set(requirements("dev"))
    assert {"cuda-core", "cuda-bindings", "nvidia-cuda-nvrtc"} <= set(requirements("cuda"))


def test_supported_pythons_are_the_tested_ones() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    stated = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert tested == stated


def test_entry_points_are_where_torch_and_the_shell_look() -> None:
    assert PROJECT["scripts"] == {"fusekit": "fusekit.cli:main"}
    assert PROJECT["entry-points"]["torch_dynamo_backends"] == {"fusekit": "fusekit.dynamo:backend"}

"""What every test can use: golden texts, seeds, hypothesis profiles, skips with a reason."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import random
import re
import shutil
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
SEED = int(os.environ.get("FUSEKIT_TEST_SEED", "0"))
EXAMPLES = int(os.environ.get("FUSEKIT_TEST_EXAMPLES", "50"))

collect_ignore = [] if importlib.util.find_spec("nbformat") else ["browser"]  # a bare server

# No deadlines: a first example compiles. In CI the examples are the same in every run and every
# failure prints what reproduces it; at a desk they wander.
hypothesis.settings.register_profile(
    "ci",
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "dev",
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the texts that tests produce to tests/golden instead of comparing them",
    )
    parser.addoption(
        "--every-engine",
        action="store_true",
        help="try the operator database on each engine in each dtype, also where that takes long",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Kernels of the tests are cached for this run only; xdist's workers share the folder."""
    if "FUSEKIT_CACHE_DIR" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="fusekit-tests-")
        os.environ["FUSEKIT_CACHE_DIR"] = folder.name
        config.add_cleanup(folder.cleanup)


def pytest_report_header() -> str:
    return f"fusekit tests: FUSEKIT_TEST_SEED={SEED} FUSEKIT_TEST_EXAMPLES={EXAMPLES}"


def find_chromium() -> str | None:
    """Return the browser of the browser tests: what CHROMIUM names, else what PATH holds."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def _why_no_gpu() -> str | None:
    import torch

    if torch.cuda.is_available():
        return None
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
    return f"no usable NVIDIA GPU (torch is {build}, torch.cuda.is_available() is False)"


def _needs_cxx(item: pytest.Item) -> bool:
    """The mark, or the parameter `engine`, says so."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return bool(item.get_closest_marker("cxx")) or parameters.get("engine") == "cpp"


def _why_no_cxx() -> str | None:
    from fusekit.compilers.host_cxx import HostCxx

    return HostCxx().unavailable()


def _why_no_browser(config: pytest.Config) -> str | None:
    # A live playwright leaves an event loop in the main thread: asyncio.run() of any later test
    # in the same process would raise.
    if "browser" not in (config.getoption("markexpr") or ""):
        return "browser tests are a run of their own: make test-browser"
    if find_chromium() is None:
        return "no Chromium found (set CHROMIUM, or install one): make test-browser"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu and (reason := _why_no_gpu()):
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason=reason))
    cxx = [item for item in items if _needs_cxx(item)]
    if cxx and (reason := _why_no_cxx()):
        for item in cxx:
            item.add_marker(pytest.mark.skip(reason=reason))
    browser = [item for item in items if item.get_closest_marker("browser")]
    if browser and (reason := _why_no_browser(config)):
        for item in browser:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest) -> int:
    """Seed every generator from the test's own name: order and selection change no test."""
    digest = hashlib.sha256(f"{SEED}:{request.node.nodeid}".encode()).digest()
    value = int.from_bytes(digest[:4], "little")
    random.seed(value)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(value)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(value)
    return value


class Golden:
    """Compares texts with the files kept for one test.

    `golden(text)` compares with `tests/golden/<test file>/<test name>.txt`; a test with several
    texts names the others: `golden(ptx, "ptx")` is kept in `<test name>.ptx.txt`.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        module = request.path.relative_to(TESTS).with_suffix("")
        self.stem = TESTS / "golden" / module / _file_name(request.node.name)
        self.update = request.config.getoption("--update-golden")

    def path(self, name: str = "") -> Path:
        suffix = f".{_file_name(name)}" if name else ""
        return self.stem.with_name(f"{self.stem.name}{suffix}.txt")

    def __call__(self, text: str, name: str = "") -> None:
        """Fail with a diff unless the text is what is kept (but for newlines at the end)."""
        __tracebackhide__ = True
        path, text = self.path(name), text.rstrip("\n") + "\n"
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        shown = path.relative_to(TESTS.parent)
        how = "If that is right, rerun this test with --update-golden and read the diff."
        if not path.exists():
            pytest.fail(f"{shown} is missing. {how} It would hold:\n\n{text}", pytrace=False)
        kept = path.read_text(encoding="utf-8")
        if kept != text:
            diff = difflib.unified_diff(
                kept.splitlines(), text.splitlines(), str(shown), "this run", lineterm=""
            )
            pytest.fail("\n".join([f"{shown} differs. {how}", "", *diff]), pytrace=False)


def _file_name(name: str) -> str:
    """Make a file name of a test's: `test_x[cpp-f32]` becomes `test_x-cpp-f32`.

    What that would merge or lengthen too far gets a digest, so that two tests never share a file.
    """
    plain = re.sub(r"[\[\]]", lambda m: "-" if m[0] == "[" else "", name)
    safe = re.sub(r"[^\w.=+-]", "_", plain)[:120]
    if safe == plain:
        return safe
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare text with what is kept for this test; see `Golden`."""
    return Golden(request)

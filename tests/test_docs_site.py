"""The documentation site: it builds without a warning, and asks the network for nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("myst_nb", reason="the site's generator is not installed (the extra `docs`)")

ROOT = Path(__file__).parent.parent

_FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b[^>]*\bhref=[\"']?(?:https?:)?//|@import|url\([\"']?(?:https?:)?//"
)


def test_it_is_whole_and_offline(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    names = {page.stem for page in pages}
    assert {"index", "features", "performance", "FK0106", "01_tour", "README"} <= names
    for page in [*pages, *(tmp_path / "site").rglob("*.css")]:
        found = _FETCHED.search(page.read_text(encoding="utf-8"))
        assert found is None, (page.name, found)
    tour = (tmp_path / "site/_copied/01_tour.html").read_text(encoding="utf-8")
    assert "fk-view" in tour

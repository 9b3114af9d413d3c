"""%%fuse cells in a real JupyterLab."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SETUP = """import torch
%load_ext fusekit
x, y = torch.randn(1024, 1024), torch.randn(1024, 1024)"""
DEFINES = """%%fuse
def smooth(x, y):
    z = torch.relu(x * y + 0.5)
    return torch.softmax(z.tanh(), -1) * 2

out = smooth(x, y)"""
STATEMENTS = """%%fuse --no-time
t = x * y + 1
z = t.tanh()
print(tuple(z.shape))"""


def test_a_fused_cell_shows_its_view(notebook):
    found = notebook.open(SETUP, DEFINES, STATEMENTS).run_all()
    page = found.page
    page.wait_for_function("document.querySelectorAll('.fk-view[data-fk-ready] svg').length >= 2")
    view = page.locator(".fk-view").first
    assert view.locator(".fk-name").inner_text() == "smooth"
    assert view.locator(".fk-verdict").inner_text()
    page.locator(".fk-node:has(text:text-is('tanh'))").first.hover()
    line = view.locator(".fk-user .fk-hi").inner_text().split()
    assert line[:2] == ["4", "return"]  # as JupyterLab counts the lines of the cell
    assert "line 4 ran as plain Python" in page.locator(".jp-OutputArea-output").nth(1).inner_text()
    assert found.py("tuple(z.shape) + tuple(out.shape)") == "(1024, 1024, 1024, 1024)"
    found.shot("magics")


def test_a_mistake_is_one_line(notebook):
    found = notebook.open(SETUP, "%%fuse\nz = = x")
    found.command("notebook:run-all-cells")
    error = found.page.locator(".jp-OutputArea-output").last
    error.get_by_text("UsageError: line 2: invalid syntax").wait_for()
    assert "Traceback" not in error.inner_text()
    found.shot("magics-error")

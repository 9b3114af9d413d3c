"""What of the scripts a view ships, and that nothing but room is lost on the way."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from fusekit.viz.hydrator import parts_of, script, shipped, squeezed
from fusekit.viz.page import SECTIONS, block, page
from tests.viz import models

FILES = sorted(
    path.name.removesuffix(".js")
    for path in resources.files("fusekit.viz").joinpath("static/js").iterdir()
)


def source(name: str) -> list[str]:
    """The lines of a file that are code."""
    file = resources.files("fusekit.viz").joinpath(f"static/js/{name}.js")
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("//")]


@pytest.mark.parametrize("name", FILES)
def test_no_string_goes_on_in_the_next_line(name):
    for line in source(name):
        assert line.count("`") % 2 == 0, line
        if "`" not in line and "/" not in line:
            bare = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', "", line)
            assert not re.search("[\"']", bare), line


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_lost_but_spaces(name):
    sent = shipped(name).splitlines()
    kept = source(name)
    assert [line.replace(" ", "") for line in sent] == [line.replace(" ", "") for line in kept]
    words = r"[\w$]+ [\w$]+"
    assert [re.findall(words, line) for line in sent] == [re.findall(words, line) for line in kept]
    assert all(
        re.findall(r'"[^"]*"', a) == re.findall(r'"[^"]*"', b)
        for a, b in zip(sent, kept, strict=True)
    )


def test_spaces_go_where_they_say_nothing():
    text = '// why\n\n  const a = (b, c) => { return [b, "x = (1)"]; };\n  d = `a = ${b}`;\n'
    assert squeezed(text) == 'const a=(b,c)=>{return[b,"x = (1)"];};\nd = `a = ${b}`;\n'


def test_a_view_ships_what_it_needs():
    model = models.gated_mlp()
    sent = {name: script(block(model, hydrate=False, sections=[name])) for name in SECTIONS}
    assert "function compose(" in sent["graph"]
    assert "function interleaved(" in sent["source"]
    for name in ("bytes", "timing", "why"):
        assert "function compose(" not in sent[name]
        assert "function interleaved(" not in sent[name]
        assert len(sent[name]) < 0.5 * len(script())
    assert parts_of(block(models.lstm_cell(), hydrate=False, sections=["bytes"])) == ["take"]


def test_a_page_ships_what_any_of_its_views_needs():
    bare = models.noisy_relu()
    bare["sources"], bare["user"]["text"] = [], ""
    text = page([bare, models.gated_mlp()])
    assert text.count("const PARTS=") == 1
    needs = [set(found.split()) for found in re.findall('data-fk-parts="([^"]*)"', text)]
    assert "code" not in needs[0]
    parts = re.search(r"const PARTS=(\[.*?\])", text)
    assert parts is not None
    assert all(f'"{part}"' in parts[1] for part in needs[0] | needs[1])

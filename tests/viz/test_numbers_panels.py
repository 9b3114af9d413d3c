"""The panels of numbers without a browser: one element, rounding, duet; the same from Python."""

from __future__ import annotations

import html
import json
import math
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name

import fusekit
from fusekit.errors import UsageError
from fusekit.viz.collect.fused import collect
from fusekit.viz.numbers.bars import bars_svg
from fusekit.viz.numbers.duet import duet
from fusekit.viz.numbers.grids import brief, grid_html
from fusekit.viz.panels import PANELS, Call, Cancelled, Progress
from fusekit.viz.view import FusionView, load


class Asked:
    """A panel of one call, asked again and again as a page does."""

    def __init__(self, name: str, function: Any, *args: Any, engine: str = "llvm") -> None:
        self.panel = next(panel for panel in PANELS if panel.name == name)
        self.fused = fusekit.fuse(function, engine=engine)
        self.args = args
        self.model = collect(self.fused, args, {}, timing=False).model
        self.kept: dict[str, Any] = {}

    def __call__(self, progress: Progress | None = None, **fields: str) -> str:
        call = Call(self.fused, self.args, {}, self.model, self.kept)
        return self.panel.draw(call, {"pinned": "", **fields}, progress or Progress())

    def shown(self) -> set[str]:
        """Every value that a node of the graph stands for."""
        return {str(node["value"]) for node in self.model["graph"]["nodes"]}


def rows(drawn: str, table: str) -> list[list[str]]:
    """The text of the cells of a table's body."""
    (found,) = re.findall(rf'<table class="fk-table {table}">(.*?)</table>', drawn, re.DOTALL)
    body = re.search(r"<tbody>(.*)</tbody>", found, re.DOTALL)
    assert body is not None
    return [
        [html.unescape(re.sub(r"<svg.*?</svg>|<[^>]+>", "", cell)).strip() for cell in cells]
        for cells in (
            re.findall(r"<t[hd][ >](?:.*?)</t[hd]>", row, re.DOTALL)
            for row in body[1].split("</tr>")[:-1]
        )
    ]


def links(drawn: str) -> set[str]:
    return {value for text in re.findall(r'data-v="([^"]*)"', drawn) for value in text.split()}


def gated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    h = F.gelu(x.t() * y)
    return torch.tanh(h) + h.exp()


@pytest.fixture
def element() -> Asked:
    torch.manual_seed(4)
    return Asked("element", gated, torch.randn(40, 30), torch.randn(40))


# one element


def test_an_element_and_all_that_led_to_it(element: Asked) -> None:
    drawn = element(i0="7", i1="33")
    x, y = element.args
    found = rows(drawn, "fk-element")
    values = {row[0]: row[2] for row in found}
    places = {row[0]: row[1] for row in found}
    assert float(values["x"]) == pytest.approx(x[33, 7].item(), rel=1e-6)
    assert (places["x"], places["y"]) == ("[33, 7]", "[33]")
    assert float(values["mul"]) == pytest.approx((x[33, 7] * y[33]).item(), rel=1e-6)
    result = element.fused(x, y)[7, 33]
    assert torch.tensor(float(found[-1][2])) == result
    assert f"Element [7, 33] is {found[-1][2]}" in drawn
    assert links(drawn) <= element.shown()
    assert "lane" in drawn
    assert "x[33, 7]" in drawn


def test_eager_s_own_values_stand_beside_the_fused_ones(element: Asked) -> None:
    x, y = element.args
    h = F.gelu(x.t() * y)
    index = next((i, j) for i, j in (element.fused(x, y) != gated(x, y)).nonzero().tolist())
    drawn = element(i0=str(index[0]), i1=str(index[1]))
    found = {row[0]: row[3] for row in rows(drawn, "fk-element")}
    assert torch.tensor(float(found["gelu: mul"].removesuffix(" ≠"))) == h[index]
    assert torch.tensor(float(found["exp"].removesuffix(" ≠"))) == h.exp()[index]
    assert found["gelu: erf"] == ""
    assert "it parts from eager PyTorch at " in drawn
    assert drawn.count('class="fk-parting"') == 1


def test_arrows_move_the_element_and_stop_at_the_edges(element: Asked) -> None:
    assert "Element [0, 0] is" in element()
    assert "Element [1, 0] is" in element(i0="0", i1="0", move="down")
    assert "Element [0, 1] is" in element(i0="0", i1="0", move="right")
    assert "Element [29, 39] is" in element(i0="29", i1="39", move="right")
    assert "Element [29, 39] is" in element(i0="99", i1="1000")
    assert "Element [3, 4] is" in element(i0="9", i1="9", at="3,4")
    assert "Element [0, 0] is" in element(i0="x", i1="")
    drawn = element(i0="0", i1="39")
    for name, is_off in {"up": True, "left": False, "right": True, "down": False}.items():
        (button,) = re.findall(rf'<button name="move" value="{name}"[^>]*>', drawn)
        assert ("disabled" in button) == is_off


def test_the_grid_is_a_window_around_the_element(element: Asked) -> None:
    drawn = element(i0="20", i1="2")
    places = re.findall(r'name="at" value="(\d+),(\d+)"', drawn)
    assert {int(row) for row, _ in places} == set(range(14, 26))
    assert {int(column) for _, column in places} == set(range(12))
    assert drawn.count('aria-pressed="true"') == 1
    assert 'value="20,2" id="fk-at-20,2" aria-pressed="true"' in drawn
    assert "rows 14 to 25 of 30, columns 0 to 11 of 40" in drawn


def test_the_value_stands_beside_the_line_that_computes_it(element: Asked) -> None:
    drawn = element(i0="7", i1="33")
    x, y = element.args
    beside = re.findall(r'<b class="fk-beside"> *([^<\s]+)</b>', drawn)
    assert brief((x[33, 7] * y[33]).item()) in beside
    assert brief(element.fused(x, y)[7, 33].item()) in beside


def test_several_results_and_what_is_written() -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x.add_(1)
        return x * 2, x[1]

    x = torch.arange(6.0).reshape(2, 3)
    asked = Asked("element", function, x)
    assert "Element [1, 2] is 12" in asked(output="0", i0="1", i1="2")
    assert "Element [2] is 6" in asked(output="1", i0="2")
    assert "Element [0, 1] is 2" in asked(output="2", i0="0", i1="1")
    assert torch.equal(x, torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 2)])
def test_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    drawn = Asked("element", lambda x: x * 3 + 1, torch.ones(shape))(i0="1", i1="1", i2="1")
    assert ("no elements" in drawn) == (0 in shape)
    assert ("is 4" in drawn) == (0 not in shape)


def test_an_element_of_a_random_tensor_is_that_of_the_grid() -> None:
    asked = Asked("element", lambda x: torch.rand_like(x) + x, torch.zeros(3, 4))
    first = asked(i0="1", i1="1")
    torch.rand(7)  # somebody else draws
    assert asked(i0="1", i1="1") == first
    (shown,) = re.findall(r'value="1,1" [^>]*>([^<]+)</button>', first)
    assert float(rows(first, "fk-element")[-1][2]) == pytest.approx(float(shown), rel=1e-3)


def test_where_arguments_are_broadcast_or_strided_the_place_in_memory_is_said() -> None:
    base = torch.randn(6, 8)
    drawn = Asked("element", lambda x, y: x + y, base[1::2, 1::3], torch.randn(3, 1))(
        i0="2", i1="1"
    )
    assert f"x[2, 1], number {5 * 8 + 4} in its memory" in drawn
    assert "y[2, 0]; " not in drawn
    assert "y[2, 0]" in drawn


# rounding


def test_rounding_says_where_fused_and_eager_part() -> None:
    torch.manual_seed(0)
    asked = Asked("rounding", gated, torch.randn(40, 30), torch.randn(40))
    drawn = asked()
    found = asked.fused.rounding(*asked.args)
    assert html.escape(found.sentence()) in drawn
    table = rows(drawn, "fk-rounding")
    assert [row[0].split(" ")[0] for row in table] == ["mul", "gelu", "tanh", "exp", "add"]
    assert table[1][0] == "gelu ← first to part"
    assert drawn.count("fk-parting") == 1
    assert links(drawn) <= asked.shown()
    inside = rows(asked(every="on"), "fk-rounding")
    assert len(inside) == len(found.nodes) > len(table)


def test_rounding_measures_once_and_again_when_asked() -> None:
    said: list[str] = []
    progress = Progress(lambda state: said.append(state["said"]))
    asked = Asked("rounding", lambda x: x.exp(), torch.randn(9000))
    assert "all elements" in asked(progress)
    steps = len(said)
    assert steps
    asked(progress, every="on")
    assert len(said) == steps
    assert "1,024 of 9,000 elements" in asked(progress, limit="1024")
    assert len(said) > steps
    progress.cancel()
    with pytest.raises(Cancelled):
        asked(progress, limit="1024", again="1")


def test_rounding_of_nothing() -> None:
    assert "no elements" in Asked("rounding", lambda x: x + 1, torch.ones(0, 3))()


# duet


def test_the_duet_has_ghosts() -> None:
    x, y = torch.randn(40, 30), torch.randn(40)
    asked = Asked("duet", gated, x, y)
    found = duet(asked.fused, (x, y), {})
    fates = {step.op: step.state for step in found.steps}
    ghosts = dict.fromkeys(("mul", "gelu", "tanh", "exp"), "ghost")
    assert fates == {"t": "view", "add": "stored"} | ghosts
    assert found.ghosts == 4
    drawn = asked()
    assert len(rows(drawn, "fk-steps")) == 6
    assert drawn.count("fk-s-ghost") == 4
    assert links(drawn) <= asked.shown()
    gelu = next(step for step in found.steps if step.op == "gelu")
    exact = F.gelu(x.t() * y)
    assert gelu.figures is not None
    assert gelu.figures.least == exact.min().item()
    assert gelu.figures.mean == pytest.approx(exact.double().mean().item())
    assert sum(gelu.figures.histogram) == exact.numel()


def test_the_play_head_moves_and_marks_the_lines_of_the_kernel() -> None:
    asked = Asked("duet", gated, torch.randn(40, 30), torch.randn(40))
    assert "1. t " in asked()
    assert "2. mul " in asked(step="1", move="next")
    assert "1. t " in asked(step="1", move="previous")
    assert "6. add " in asked(step="60")
    assert "4. tanh " in asked(step="1", pick="3")
    drawn = asked(step="4")
    assert drawn.count('aria-current="step"') == 1
    marked = re.findall(r'<span class="fk-l"[^>]*aria-current="true"[^>]*>(.*?)\n</span>', drawn)
    text = [re.sub(r"<[^>]+>", "", line) for line in marked]
    assert text
    assert any("tanh" in line for line in text)


def test_the_duet_of_pytorchs_parts_draws_and_odd_numbers() -> None:
    torch.manual_seed(3)

    def function(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        joined = torch.view_as_complex(x @ w)
        return F.dropout(torch.log(joined.abs()), 0.5) * 2

    x = torch.tensor([[1.0, 2.0], [math.nan, 0.0], [0.0, 0.0]])
    before = torch.get_rng_state()
    found = duet(fusekit.fuse(function), (x, torch.eye(2)), {})
    assert torch.equal(torch.get_rng_state(), before)
    fates = [(step.op, step.state) for step in found.steps]
    assert ("mm", "PyTorch") in fates
    assert fates[-1] == ("mul", "stored")
    log = next(step for step in found.steps if step.op == "log")
    assert log.figures is not None
    assert (log.figures.nans, log.figures.infinities) == (1, 1)
    assert "1 NaN, 1 infinite" in str(found)
    assert str(found) == str(duet(fusekit.fuse(function), (x, torch.eye(2)), {}))
    json.dumps(found.to_dict(), allow_nan=False)
    assert "run by PyTorch" in Asked("duet", function, x, torch.eye(2))()


@pytest.mark.parametrize("engine", ["llvm", "reference"])
def test_the_duet_of_few_elements(engine: str) -> None:
    for shape in ((), (0, 4)):
        drawn = Asked("duet", lambda x: (x + 1) * 2, torch.ones(shape), engine=engine)()
        assert len(rows(drawn, "fk-steps")) == 2


@pytest.mark.parametrize("name", ["element", "rounding", "duet"])
def test_modules_whose_parameters_want_gradients(name: str) -> None:
    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.silu(self.inner(x)) * 2

    drawn = Asked(name, Block(), torch.randn(3, 4))()
    assert "silu" in drawn
    assert "addmm" in drawn


# from Python


def test_what_the_panels_show_is_had_from_the_view(tmp_path) -> None:
    x = torch.randn(4, 5)
    view = collect(fusekit.fuse(lambda x: torch.sin(x) + 1, name="f"), (x,), {}, timing=False)
    assert view.element((1, -1)).value == (torch.sin(x) + 1)[1, -1].item()
    assert view.rounding(limit=7).sampled == 7
    assert [step.op for step in view.duet().steps] == ["sin", "add"]
    for thing in (view.element(), view.rounding(), view.duet()):
        json.dumps(thing.to_dict(), allow_nan=False)
    recorded: FusionView = load(view.save(tmp_path / "x.fk.json"))
    for ask in (recorded.element, recorded.rounding, recorded.duet):
        with pytest.raises(UsageError, match="recording"):
            ask()


def test_names_are_escaped() -> None:
    fused = fusekit.fuse(lambda **named: sum(named.values()) + 1)
    named = {"<b>x</b>": torch.ones(2)}
    model = collect(fused, (), named, timing=False).model
    panel = next(panel for panel in PANELS if panel.name == "element")
    drawn = panel.draw(Call(fused, (), named, model, {}), {"pinned": ""}, Progress())
    assert "&lt;b&gt;x&lt;/b&gt;[0]" in drawn
    assert "<b>x" not in drawn


def test_small_parts() -> None:
    assert bars_svg([0, 0], "nothing") == ""
    drawn = bars_svg([3, 0, 1], 'a "b" <c>', "fk-fused")
    assert drawn.count("<rect") == 2
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in drawn
    assert [brief(x) for x in (0.123456, 10**12, True, 1 + 2j)] == [
        *("0.1235", "1.000e+12", "True", "1+2j")
    ]
    grid = grid_html(torch.eye(3), (1, 1), "<x>", marked={(0, 0)})
    assert grid.count("<mark>") == 2
    assert "&lt;x&gt;" in grid

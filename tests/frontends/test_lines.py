"""A decline points at the user's line, wherever the operator is called from."""

from __future__ import annotations

import colorsys
import functools
import linecache

import pytest
import torch

import fusekit

X = torch.randn(6, 6)


def named(name):
    """The number of this file's line that ends in a comment of that name."""
    lines = linecache.getlines(__file__)
    (found,) = [i for i, line in enumerate(lines, start=1) if line.rstrip().endswith(f"# {name}")]
    return found


class Layer(torch.nn.Module):
    def forward(self, x):
        return x.cumsum(0) * 2  # module


def shouted(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) * 2

    return wrapper


@shouted
@torch.no_grad()
def decorated(x):
    return x.cumsum(0)  # decorator


def comprehended(x):
    return sum([row * 2 for row in (x.cumsum(i) for i in range(2))])  # comprehension


def generated(x):
    return functools.reduce(torch.add, map(x.cumsum, range(2))) * 2  # map


def spread(x):
    return torch.relu(
        x
        + x.cumsum(  # several
            0
        )
    )


def inner(x):
    return x.cumsum(0)  # nested


def outer(x):
    return fusekit.fuse(inner)(x) * 2


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Layer(), "module"),
        (torch.nn.Sequential(torch.nn.ReLU(), Layer()), "module"),
        (lambda x: x.cumsum(0) * 2, "lambda"),  # lambda
        (decorated, "decorator"),
        (comprehended, "comprehension"),
        (generated, "map"),
        (spread, "several"),
        (outer, "nested"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_operator_left_outside(function, name):
    declined = [d for d in fusekit.explain(function, X).declined if "cumsum" in d.op]
    assert declined
    for decline in declined:
        assert (decline.loc.file, decline.loc.line) == (__file__, named(name))


def through_a_library(x):
    return colorsys.rgb_to_yiq(x, x, x)  # library


def test_inside_a_library_it_is_the_line_that_calls_the_library():
    (group,) = fusekit.explain(through_a_library, X).groups
    assert group.lines == (named("library"),)


def broken(x):
    y = x * 2
    return y.reshape(5, 5)  # raises


def test_an_error_is_placed_where_it_was_raised_not_at_the_last_operator():
    (decline,) = fusekit.explain(broken, X).declined
    assert decline.code == "FK0202"
    assert (decline.loc.file, decline.loc.line) == (__file__, named("raises"))


def test_a_file_whose_folder_begins_like_torchs_is_the_users(tmp_path):
    """`torch_models` is not torch."""
    folder = tmp_path / "torch_models"
    folder.mkdir()
    file = folder / "model.py"
    file.write_text("def model(x):\n    return x.cumsum(0) * 2\n", encoding="utf-8")
    space = {}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), space)
    (decline,) = fusekit.explain(space["model"], X).declined
    assert (decline.loc.file, decline.loc.line) == (str(file), 2)
    assert decline.loc.text == "return x.cumsum(0) * 2"


def test_a_cell_of_a_notebook():
    text = "def model(x):\n    return x.cumsum(0) * 2\n"
    space = {}
    exec(compile(text, "/somewhere/ipykernel_12/345.py", "exec"), space)
    (decline,) = fusekit.explain(space["model"], X).declined
    assert str(decline).endswith("at line 2 of the cell")

"""%%fuse, %fuse and %fusekit in an IPython of their own: no kernel, no browser."""

from __future__ import annotations

import inspect
import re
import textwrap
import traceback

import pytest
import torch

pytest.importorskip("IPython", reason="IPython is not installed (the extra `lab`)")
from IPython.core.error import UsageError as MagicError
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell

import fusekit
from fusekit.api import FusedFunction
from fusekit.viz import FusionView
from fusekit.viz.contracts.contract import ContractError


@pytest.fixture(scope="module")
def module_shell(tmp_path_factory):
    """An IPython with fusekit loaded."""
    patch = pytest.MonkeyPatch()
    patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    patch.setattr(HistoryManager, "enabled", False)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(colors="nocolor")
    shell.run_line_magic("load_ext", "fusekit")
    shell.user_ns["torch"] = torch
    shell.fresh = dict(shell.user_ns)
    yield shell
    InteractiveShell.clear_instance()
    patch.undo()


@pytest.fixture
def ip(module_shell, monkeypatch, request):
    """The same shell, with a notebook's tensors and nothing else in its namespace."""
    if "timing" not in request.node.name:
        monkeypatch.setattr("fusekit.viz.collect.fused.timing_of", lambda *_: None)
    shell = module_shell
    shell.user_ns.clear()
    shell.user_ns.update(shell.fresh, x=torch.randn(8, 4), y=torch.randn(8, 4), n=3, scale=0.5)
    yield shell
    fusekit.options(engine="auto", fast=False)


class Ran:
    """What running a cell came to."""

    def __init__(self, shell, text: str, capsys) -> None:
        capsys.readouterr()
        self.done = shell.run_cell(textwrap.dedent(text).lstrip("\n"))
        self.printed = capsys.readouterr()
        self.out = self.printed.out
        self.error = self.done.error_in_exec or self.done.error_before_exec
        self.value = self.done.result


@pytest.fixture
def run(ip, capsys):
    """Run a cell that must work."""

    def runner(text: str):
        ran = Ran(ip, text, capsys)
        ran.done.raise_error()
        return ran

    return runner


@pytest.fixture
def fail(ip, capsys):
    """Run a cell that must fail; its error is shown without a line of ours."""

    def runner(text: str, kind: type = MagicError):
        ran = Ran(ip, text, capsys)
        assert isinstance(ran.error, kind), ran.error
        shown = ran.printed.out + ran.printed.err
        assert "fusekit/" not in shown, shown
        return shown

    return runner


# cells that define functions


DEFINES = """
    %%fuse --no-time
    def f(x, y):
        a = x * y
        return torch.relu(a + 0.5)

    """


def test_definitions_are_fused_under_their_names(ip, run):
    ran = run("%%fuse\ndef f(x):\n    return x * 2 + 1\n\ndef g(x):\n    return f(x).tanh()")
    f, g = ip.user_ns["f"], ip.user_ns["g"]
    assert isinstance(f, FusedFunction)
    assert isinstance(g, FusedFunction)
    assert ran.out == "fused f, g; end the cell with a call, or --call, to see it\n"
    assert ran.value is None
    torch.testing.assert_close(g(ip.user_ns["x"]), (ip.user_ns["x"] * 2 + 1).tanh())


def test_the_last_call_is_shown(run):
    ran = run(DEFINES + "f(x, y)")
    assert isinstance(ran.value, FusionView)
    assert repr(ran.value).startswith("FusionView(f)  1 group · 1 launch (eager 3)")
    assert ran.value.model["timing"] is None


def test_a_call_that_is_assigned_is_shown_and_its_result_kept(ip, run):
    ran = run(DEFINES + "left, right = f(x, y), 1")
    assert ran.value is None  # a tuple, no call
    ran = run(DEFINES + "z = f(y=y, x=x)")
    assert isinstance(ran.value, FusionView)
    torch.testing.assert_close(ip.user_ns["z"], torch.relu(ip.user_ns["x"] * ip.user_ns["y"] + 0.5))


def test_the_lines_in_the_view_are_those_of_the_cell(run):
    model = run(DEFINES + "f(x, y)").value.model
    assert model["user"]["text"].splitlines()[0] == "def f(x, y):"
    assert (model["user"]["first"], model["user"]["file"]) == (2, "notebook cell")
    lines = {node["label"]: node["line"] for node in model["graph"]["nodes"] if node["op"]}
    assert lines == {"mul": 3, "add": 4, "relu": 4}


def test_a_number_that_two_operators_share_joins_nothing(run):
    """One literal or scalar is one node of the graph, and belongs to neither operator."""
    ran = run("%%fuse --no-time\nz = torch.where(x > 1, x * scale, y) * scale + 1")
    graph = ran.value.model["graph"]
    labels = {node["id"]: node["label"] for node in graph["nodes"]}
    edges = {(labels[edge["source"]], labels[edge["target"]]) for edge in graph["edges"]}
    assert edges == {
        *{("x", "gt"), ("x", "mul"), ("y", "where"), ("scale", "mul"), ("gt", "where")},
        *{("mul", "where"), ("where", "mul"), ("mul", "add"), ("add", "z")},
    }


@pytest.mark.parametrize("flag", ["--call 'f(x, y=y)'", '--call "f(x, y=y)"', "--on x,y"])
def test_a_flag_names_the_call(run, flag):
    ran = run(f"%%fuse --no-time {flag}\ndef f(x, y):\n    return x * y + 1")
    assert repr(ran.value).startswith("FusionView(f)  1 group")


def test_the_call_of_a_function_in_an_earlier_cell(run):
    run("%%fuse -q\ndef f(x): return x * 2 + 1")
    assert repr(run("%%fuse --no-time\nf(x)").value).startswith("FusionView(f)  1 group")
    assert run("%%fuse --no-time\nf(x)").value.model["user"]["first"] == 2


def test_other_code_beside_definitions_runs_as_it_is(ip, run):
    ran = run("""
        %%fuse
        from __future__ import annotations
        import math
        half = math.pi / 2
        def f(x: no_such_name):
            return x * half
        print("made", f)
        half + 1
        """)
    assert ran.out.startswith("made <fused f, engine auto>")
    assert ran.value == pytest.approx(2.5708, abs=1e-4)
    assert ip.user_ns["math"].pi > 3


def test_what_cannot_be_fused_stays_as_it_is_and_says_so(ip, run):
    ran = run("""
        %%fuse
        async def a(x): return x
        def g(x):
            yield x
        class C:
            pass
        @property
        def p(self): return 1
        @torch.no_grad()
        def f(x): return x * 2 + 1
        """)
    assert "line 2: `a` stays as it is: it is async" in ran.out
    assert "line 3: `g` stays as it is: it is a generator" in ran.out
    assert "line 5: `C` stays as it is: a class; fuse an instance" in ran.out
    assert "line 8: `p` stays as it is: its decorators make a property of it" in ran.out
    assert "fused f;" in ran.out
    assert isinstance(ip.user_ns["C"], type)


def test_rerunning_a_cell_compiles_nothing(ip, run):
    cell = DEFINES + "z = f(x, y)"
    run(cell)
    before = fusekit.stats().kernels
    run(cell)
    assert fusekit.stats().kernels == before


def test_a_recursive_function_and_a_decorated_one(ip, run):
    run("""
        %%fuse
        def power(x, k):
            return x if k == 1 else power(x, k - 1) * x
        out = power(x, 3)
        """)
    torch.testing.assert_close(ip.user_ns["out"], ip.user_ns["x"] ** 3)


# cells of statements


def test_statements_become_one_function_of_what_they_read(ip, run):
    ran = run("""
        %%fuse --no-time
        t = x * y + scale
        z = torch.relu(t) * n
        """)
    x, y = ip.user_ns["x"], ip.user_ns["y"]
    torch.testing.assert_close(ip.user_ns["t"], x * y + 0.5)
    torch.testing.assert_close(ip.user_ns["z"], torch.relu(x * y + 0.5) * 3)
    model = ran.value.model
    names = {kind: [] for kind in ("input", "scalar", "output")}
    for node in model["graph"]["nodes"]:
        names.get(node["kind"], []).append(node["label"])
    assert names == {"input": ["x", "y"], "scalar": ["scale", "n"], "output": ["t", "z"]}
    assert model["user"]["text"] == "t = x * y + scale\nz = torch.relu(t) * n"
    assert model["user"]["first"] == 2
    assert len(model["groups"]) == 1


def test_the_value_of_the_cell_is_that_of_its_last_expression(ip, run, capsys):
    ran = run("%%fuse --no-time\nz = x * y\n(z + 1).relu()")
    torch.testing.assert_close(ran.value, (ip.user_ns["x"] * ip.user_ns["y"] + 1).relu())
    assert "FusionView(cell)  1 group" in ran.out
    silenced = run("%%fuse --no-time\nz = x * y\n(z + 1).relu();")
    assert silenced.value is None
    assert "FusionView(cell)" in silenced.out


def test_only_the_names_asked_for_leave_the_kernel(ip, run):
    run("%%fuse --out z\nt = x * y\nz = t + 1")
    assert "t" not in ip.user_ns
    assert "z" in ip.user_ns


def test_a_new_name_of_an_earlier_run_is_no_input(run):
    cell = "%%fuse --no-time\nt = x * y\nz = t + 1"
    run(cell)
    model = run(cell).value.model
    assert [n["label"] for n in model["graph"]["nodes"] if n["kind"] == "input"] == ["x", "y"]


def test_in_place_statements_write_to_the_notebooks_tensors(ip, run):
    x = ip.user_ns["x"]
    expected = x * 2 + 1
    expected[0] = 0
    run("%%fuse\nx.mul_(2).add_(1)\nx[0] = 0")
    assert ip.user_ns["x"] is x
    torch.testing.assert_close(x, expected)
    run("%%fuse\nx += 1")
    assert ip.user_ns["x"] is x
    torch.testing.assert_close(x, expected + 1)


def test_loops_branches_withs_and_imports(ip, run):
    ran = run("""
        %%fuse --no-time
        import math
        z = x
        for k in range(n):
            z = z * scale + k
        if n > 2:
            w = z + 1
        else:
            v = z - 1
        with torch.no_grad():
            u = w * math.pi
        """)
    x = ip.user_ns["x"]
    z = ((x * 0.5) * 0.5 + 1) * 0.5 + 2
    torch.testing.assert_close(ip.user_ns["u"], (z + 1) * ip.user_ns["math"].pi)
    assert ip.user_ns["k"] == 2
    assert "v" not in ip.user_ns
    assert len(ran.value.model["groups"]) == 1
    assert ran.out.count("plain Python") == 0


def test_a_branch_on_values_falls_back_and_the_view_says_why(ip, run):
    ran = run("%%fuse --no-time\nif (x * 0 + 1).sum() > 0:\n    z = x * 2 + 1\nelse:\n    z = x")
    torch.testing.assert_close(ip.user_ns["z"], ip.user_ns["x"] * 2 + 1)
    (declined,) = ran.value.model["declined"]
    assert (declined["code"], declined["line"]) == ("FK0201", 2)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("print(z.shape)", "line 3 ran as plain Python: `print(...)` is called for its effect"),
        ("try:\n    w = z\nexcept ValueError: pass", "lines 3 to 5 .* `try`, which would see"),
        ("del y", "`del` is not fused"),
        ("kept = {}\nkept['z'] = z; keep.append(z)", "`keep.append(...)` is called for its effect"),
        ("store['z'] = z", "`store` is changed, and is not a tensor"),
        ("thing.z = z", "`thing.z` is an attribute"),
        ("total = z.sum().item()", r"`z.sum\(\).item\(...\)` acts outside the tensors"),
        ("if n:\n    def h(): pass", "`h` is defined inside another statement"),
        ("if n:\n    import os", "an import inside another statement is not fused"),
        ("match n:\n    case 3: w = z", "`match` is not fused"),
    ],
)
def test_what_is_more_than_tensors_ends_the_function_and_runs_as_it_is(ip, run, statement, what):
    ip.user_ns.update(keep=[], store={}, thing=type("Thing", (), {})())
    ran = run(f"%%fuse --no-time\nz = x * y + 1\n{statement}")
    assert re.search(what.replace("(...)", r"\(...\)"), ran.out), ran.out
    assert len(ran.value.model["groups"]) == 1
    kept = [*ip.user_ns["keep"], *ip.user_ns["store"].values(), *vars(ip.user_ns["thing"]).values()]
    assert all(type(item) is torch.Tensor or not item for item in kept if not callable(item))


def test_a_head_with_effects_runs_first(ip, run):
    ran = run("%%fuse --no-time\ntorch.manual_seed(0)\nprint('go')\nz = x * y + 1\nprint('done')")
    assert ran.out.split("\n")[:2] == ["go", "done"]
    assert "lines 2 to 3 ran as plain Python: `torch.manual_seed(...)`" in ran.out
    assert "line 5 ran as plain Python" in ran.out


def test_an_object_that_would_hold_a_stand_in_makes_the_cell_plain(ip, run):
    ran = run("%%fuse\nz = x * 2 + 1\nkeep = lambda: z\n")
    assert "the cell ran as plain Python: it makes a function" in ran.out
    assert type(ip.user_ns["keep"]()) is torch.Tensor
    torch.testing.assert_close(ip.user_ns["keep"](), ip.user_ns["x"] * 2 + 1)


def test_names_in_unicode(ip, run):
    run("%%fuse --name größe\nδ = x * 2 + 1\nπ_δ = δ.relu()\nﬁ = δ + 1")
    torch.testing.assert_close(ip.user_ns["π_δ"], (ip.user_ns["x"] * 2 + 1).relu())
    assert "fi" in ip.user_ns  # as Python itself normalises names


def test_names_of_scopes_inside_the_cell_are_not_the_notebooks(ip, run):
    run("%%fuse\nz = sum([x * i for i in range(n)]) + (lambda y: y + 1)(x)")
    run("%%fuse\nw = [t + 1 for t in (x, y)]")
    x = ip.user_ns["x"]
    torch.testing.assert_close(ip.user_ns["z"], x * 3 + x + 1)
    torch.testing.assert_close(ip.user_ns["w"][1], ip.user_ns["y"] + 1)
    assert "i" not in ip.user_ns


def test_containers_of_tensors_and_modules(ip, run):
    ip.user_ns["pair"] = {"a": ip.user_ns["x"], "b": [ip.user_ns["y"]]}
    ip.user_ns["layer"] = torch.nn.Linear(4, 4).requires_grad_(False)
    ran = run("%%fuse --no-time\nz = layer(pair['a'] * pair['b'][0]) * 2 + 1")
    expected = ip.user_ns["layer"](ip.user_ns["x"] * ip.user_ns["y"]) * 2 + 1
    torch.testing.assert_close(ip.user_ns["z"], expected)
    assert len(ran.value.model["groups"]) == 2


def test_gradients_go_through_a_fused_cell(ip, run):
    ip.user_ns["w"] = torch.randn(8, 4, requires_grad=True)
    run("%%fuse\nloss = (x * w).tanh()")
    ip.user_ns["loss"].sum().backward()
    x, w = ip.user_ns["x"], ip.user_ns["w"]
    torch.testing.assert_close(w.grad, x * (1 - (x * w).tanh() ** 2).detach())


def test_a_failing_cell_assigns_nothing(ip, fail):
    fail("%%fuse\nz = x + 1\nw = z @ z", RuntimeError)
    assert "z" not in ip.user_ns


# %fuse


def test_an_expression(run):
    ran = run("%fuse --no-time torch.where(x > 0, x, -y) * {'a': 2}['a']")
    assert repr(ran.value).startswith("FusionView(cell)  1 group")
    assert ran.value.model["user"]["text"].startswith("torch.where(x > 0, x, -y)")


@pytest.mark.parametrize("text", ["-x * 2 + 1", "-- -x * 2 + 1", "--engine=llvm -- -x * 2 + 1"])
def test_an_expression_that_begins_with_a_minus(run, text):
    assert len(run(f"%fuse --no-time {text}").value.model["groups"]) == 1


def test_a_call_of_a_function_shows_the_function(run):
    ran = run("def f(x):\n    return x * 2 + 1\n%fuse --no-time f(x)")
    assert ran.value.model["user"]["text"] == "def f(x):\n    return x * 2 + 1"


def test_a_function_is_returned_fused_and_its_name_left_alone(ip, run):
    run("def f(x): return x * 2 + 1\ng = %fuse --engine reference f")
    assert repr(ip.user_ns["g"]) == "<fused f, engine reference>"
    assert not isinstance(ip.user_ns["f"], FusedFunction)


# flags


def test_flags_choose_what_is_shown(run):
    view = run("%%fuse --no-time --show graph,bytes\nz = x * 2 + 1").value
    html = view._repr_mimebundle_()["text/html"]
    assert "fk-graph" in html
    assert "fk-sec fk-code" not in html
    view = run("%%fuse --language ir,cpp --no-time\nz = x * 2 + 1").value
    assert [source["language"] for source in view.model["sources"]] == ["ir", "cpp"]
    assert run("%%fuse --show none\nz = x * 2 + 1").value is None
    assert run("%%fuse -q\nz = x * 2 + 1").out == ""


def test_timing_is_measured_unless_it_is_not_shown(run):
    model = run("%%fuse\nz = x * 2 + 1").value.model
    assert {row["name"] for row in model["timing"]["rows"]} >= {"eager", "fused"}
    assert run("%%fuse --show graph\nz = x * 2 + 1").value.model["timing"] is None


def test_engine_name_and_save(run, tmp_path):
    path = tmp_path / "a b.fk.json"
    view = run(
        f'%%fuse --no-time --engine reference --name "my fn" --save "{path}"\nz = x * 2'
    ).value
    assert repr(view).startswith("FusionView(my fn)")
    assert view.model["groups"][0]["engine"] == "reference"
    assert repr(fusekit.load(path)) == repr(view)


def test_device(ip, run, fail):
    assert run("%%fuse --no-time --device cpu\nz = x * 2").value.model["name"] == "cell"
    assert "expected cpu, cuda or cuda:N" in fail("%%fuse --device moon\nz = x * 2")
    if not torch.cuda.is_available():
        assert "no CUDA device here" in fail("%%fuse --device cuda\nz = x * 2")


def test_a_contract_that_holds(run):
    ran = run('%%fuse --no-time --expect "groups=1 launches<=1 seams=0 no-fallback"\nz = x * 2 + 1')
    assert "FusionView(cell)" in ran.out


def test_a_contract_that_does_not_hold_shows_the_difference(ip, fail):
    shown = fail(
        "%%fuse --no-time --expect 'groups=1 no-fallback'\nz = torch.cumsum(x * 2, 0) + 1",
        ContractError,
    )
    assert "cell is not fused as the cell expects (- expected, + found)" in shown
    assert "  - groups=1\n  + groups=2\n    no-fallback\n" in shown
    assert "[FK0101] line 2, group 1 -> cumsum: not a pointwise operator" in shown
    assert "z" in ip.user_ns  # the work is done; the promise is what failed


def test_a_contract_notices_a_fallback(fail):
    shown = fail("%%fuse --no-time --expect no-fallback\nif x.sum() > 9: z = x + 1", ContractError)
    assert "+ PyTorch runs the whole call" in shown
    assert "[FK0201] line 2" in shown


# errors


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%fuse\nz = = x", "UsageError: line 2: invalid syntax\n    z = = x\n        ^"),
        ("%%fuse\n\n  z = x\n w = y", "line 3: unexpected indent"),
        ("%%fuse\nz = x\n%time z", "put magics and shell commands into another cell"),
        ("%%fuse\n!ls", "put magics and shell commands into another cell"),
        ("%%fuse\nz = await x", "await in a cell without %%fuse"),
        ("%%fuse\nreturn x", "line 2: 'return' outside function"),
        ("%%fuse\nz = 'a\0b'", "null byte"),
        ("%%fuse\n# nothing", "the cell holds no code"),
        ("%%fuse --engine warp\nz = x", "no engine 'warp'; there are auto, llvm"),
        ("%%fuse --nothing\nz = x", "no flag '--nothing'; there are --engine"),
        ("%%fuse x*y\nz = x", "%%fuse takes flags only: no flag 'x*y'"),
        ("%%fuse --engine\nz = x", "--engine takes a value"),
        ("%%fuse --show grap\nz = x", "--show grap: there are graph, source"),
        ("%%fuse --language cobol --no-time\nz = x * 2", "no cobol source in this view; it holds"),
        ("%%fuse --expect fast\nz = x", "--expect: 'fast' is no clause; there are groups"),
        ("%%fuse --out q\nz = x * 2", "--out q: the cell binds z"),
        ("%%fuse --on x\nz = x", "for a cell that defines a function"),
        ("%%fuse --call 'g(x)'\ndef f(x): return x", "expected a call of a fused function"),
        ("%%fuse --call 'f(x'\ndef f(x): return x", "--call: '(' was never closed"),
        ("%%fuse --call 'f(x)' --on x\ndef f(x): return x", "give one"),
        ("%%fuse --save a.json\ndef f(x): return x", "--save needs a call to look at"),
        ("%%fuse --expect groups=1\ndef f(x): return x", "--expect needs a call to look at"),
        ("%fuse x +", "%fuse: invalid syntax"),
        ("%fuse", "%fuse takes an expression or a function"),
        ("%fusekit", "expected doctor, stats, options, why, clear-cache, version"),
        ("%fusekit options fast=maybe", "option fast takes bool"),
        ("%fusekit options nonsense=1", "no option 'nonsense'"),
        ("%fusekit options fast", "expected NAME=VALUE"),
    ],
)
def test_a_mistake_is_one_message_in_the_users_terms(fail, cell, message):
    shown = fail(cell + ("\n" if cell.startswith("%%") else ""))
    assert message in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "cell",
    [
        "%%fuse\nz = x * 2\nw = z @ torch.ones(3, 3)",
        "%%fuse\ndef f(a):\n    return a @ torch.ones(3, 3)\nf(x * 2)",
    ],
)
def test_the_users_exception_comes_with_the_users_lines(fail, cell):
    shown = fail(cell, RuntimeError)
    assert "mat1 and mat2 shapes cannot be multiplied" in shown
    assert ", line 3" in shown
    assert "site-packages/torch" not in shown
    assert "meta" not in shown


def test_a_traceback_shows_the_line_that_raised_and_the_cells_number(ip, capsys):
    cell = "%%fuse\nz = x * 2\nw = z @ torch.ones(3, 3)"
    done = ip.run_cell(cell, store_history=True)
    assert f"In[{done.execution_count}], line 3\n" in capsys.readouterr().out
    frames = list(traceback.walk_tb(done.error_in_exec.__traceback__))
    frame, at = [found for found in frames if found[0].f_code.co_name == "<module>"][-1]
    # As IPython looks for it in a kernel, where a cell is no file.
    lines = inspect.getsourcelines(frame)[0]
    assert lines[at - frame.f_code.co_firstlineno].strip() == "w = z @ torch.ones(3, 3)"


def test_exceptions_of_plain_parts_too(fail):
    assert ", line 3" in fail("%%fuse\nz = x * 2\nprint(1 / 0)", ZeroDivisionError)
    assert "NameError" in fail("%%fuse\nz = nowhere * 2", NameError)


def test_an_interrupt_is_an_interrupt(ip, capsys):
    def stop(_):
        raise KeyboardInterrupt

    ip.user_ns["stop"] = stop
    assert isinstance(Ran(ip, "%%fuse\nz = stop(x) + 1", capsys).error, KeyboardInterrupt)
    assert "z" not in ip.user_ns


def test_nothing_of_a_hostile_cell_reaches_html_unescaped(ip, run):
    view = run(
        "%%fuse --no-time --name '<img src=x onerror=alert(1)>'\n"
        "z = x * 2 + 1  # </script><script>alert(2)</script>\n"
    ).value
    html = view._repr_mimebundle_()["text/html"]
    assert "<img src=x" not in html
    assert "<script>alert" not in html


def test_braces_and_dollars_in_the_line_are_left_alone(run):
    ran = run("%fuse --no-time x * len({1: n, 2: n}) + 1")
    assert len(ran.value.model["groups"]) == 1


# %fusekit, help


def test_fusekit_commands(run, monkeypatch):
    assert "engine llvm" in run("%fusekit doctor").out
    assert re.search(r"^launches +\d+$", run("%fusekit stats").out, re.MULTILINE)
    assert run("%fusekit version").out == f"fusekit {fusekit.__version__}\n"
    monkeypatch.setattr("fusekit.compilers.cache.clear", lambda: None)
    assert run("%fusekit why FK0106").out.startswith("# FK0106: ")
    assert "FK0106: its results" in run("%fusekit why").out
    assert "compiled kernels" in run("%fusekit clear-cache").out


def test_options(run):
    assert re.search(
        r"^fast +True$", run("%fusekit options fast=1 max_arguments=64").out, re.MULTILINE
    )
    assert re.search(r"^max_arguments +64$", run("%fusekit options").out, re.MULTILINE)
    run("%fusekit options fast=off max_arguments=128")


def test_the_magics_document_themselves_and_their_twins(module_shell):
    magics = module_shell.magics_manager.magics
    for kind, name in (("cell", "fuse"), ("line", "fuse"), ("line", "fusekit")):
        assert "fusekit." in magics[kind][name].__doc__
    text = magics["cell"]["fuse"].__doc__
    for flag in ("--engine", "--expect", "--no-time", "--out", "--call"):
        assert flag in text


def test_unloading(ip):
    ip.run_line_magic("reload_ext", "fusekit")
    assert "fuse" in ip.magics_manager.magics["cell"]
    from fusekit import magics

    magics.unload_ipython_extension(ip)
    assert "fuse" not in ip.magics_manager.magics["cell"]
    magics.load_ipython_extension(ip)

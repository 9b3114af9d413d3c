"""A JupyterLab and a Chromium of their own, for the tests of what only a browser can show.

Hermetic: own HOME and Jupyter folders, own browser profile, random port and token, loopback only.
A request to any other host, a page error or a console error fails the test that caused it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.conftest import find_chromium

ROOT = Path(__file__).parents[2]
SHOTS = Path(os.environ.get("SHOTS", ROOT / "shots"))
TIMEOUT = 30_000  # ms; a limit, never a sleep
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # All cells stay in the page; nothing is written behind a test's back.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
FOLDERS = {
    "JUPYTER_CONFIG_DIR": "cfg",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "run",
    "IPYTHONDIR": "ipython",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _command(work: Path, port: int, token: str) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work / 'root'}"),
        *("--expose-app-in-browser", "--JupyterNotebookApp.expose_app_in_browser=True"),
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *("--LabApp.extension_manager=readonly", "--LanguageServerManager.autodetect=False"),
    ]


def _wait(base: str, token: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"{base}/api/status?token={token}", timeout=2) as answer:
                answer.read()
            return
        time.sleep(0.05)
    pytest.fail("JupyterLab did not start:\n" + log.read_text(encoding="utf-8")[-3000:])


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Serve notebooks; yields where, and the folder that is served."""
    work = tmp_path_factory.mktemp("lab")
    (work / "root").mkdir()
    for key, value in SETTINGS.items():
        extension, plugin = key.rsplit(":", 1)
        path = work / "settings" / extension / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    token, port = secrets.token_hex(16), _free_port()
    folders = {name: str(work / folder) for name, folder in FOLDERS.items()}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {"HOME": str(work), "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": path}
    log = work / "lab.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            _command(work, port, token),
            env={**os.environ, **own, **folders},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        _wait(base, token, process, log)
        yield {"base": base, "token": token, "root": work / "root"}
    finally:
        process.terminate()  # the server ends its kernels
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Start a browser with a profile of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=find_chromium(),
            headless=True,
            args=CHROMIUM_ARGS,
            viewport={"width": 1280, "height": 1700},
        )
        context.set_default_timeout(TIMEOUT)
        yield context
        context.close()


CURRENT = (
    "const w = window.jupyterapp.shell.currentWidget; const k = w?.sessionContext?.session?.kernel;"
)


class Watched:
    """A page whose errors and requests are watched."""

    def __init__(self, page, *allowed: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("request", lambda r: self._request(r.url, (*allowed, "data:", "blob:")))
        page.on("pageerror", self._error)
        page.on("console", self._console)

    def _request(self, url: str, allowed: tuple[str, ...]) -> None:
        if not url.startswith(allowed):
            self.problems.append(f"a request left the machine: {url}")

    def _error(self, error) -> None:
        # what JupyterLab itself says of a kernel that ends while it is being asked something
        if "Canceled future for create_subshell_request" not in str(error):
            self.problems.append(f"pageerror: {error}")

    def _console(self, message) -> None:
        if message.type == "error" or "fusekit" in message.text:
            self.problems.append(f"console: {message.text}")

    def shot(self, name: str, selector: str = "") -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        target = self.page.locator(selector).first if selector else self.page
        target.screenshot(path=str(SHOTS / f"{name}.png"))


class Notebook(Watched):
    """One notebook in JupyterLab."""

    def __init__(self, page, lab) -> None:
        super().__init__(page, lab["base"], lab["base"].replace("http", "ws", 1))
        self.lab = lab

    def open(self, *cells: str, notebook=None):
        """Open a notebook made of these cells (or this one) and wait for its kernel."""
        name = f"t{secrets.token_hex(4)}.ipynb"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = notebook or new_notebook(cells=[new_code_cell(cell) for cell in cells])
        made.metadata["kernelspec"] = kernel
        nbformat.write(made, self.lab["root"] / name)
        self.page.goto(
            f"{self.lab['base']}/doc/tree/{name}?reset&token={self.lab['token']}",
            wait_until="domcontentloaded",
        )
        self.page.wait_for_function("() => !!window.jupyterapp")
        self.page.evaluate("() => window.jupyterapp.restored.then(() => true)")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function(
            f"() => {{ {CURRENT} "
            "return k?.status === 'idle' && k.connectionStatus === 'connected'; }"
        )
        return self

    def command(self, name: str, arguments: str = "{}") -> None:
        self.page.evaluate(
            f"() => window.jupyterapp.commands.execute('{name}', {arguments}).then(() => true)"
        )

    def run_all(self):
        """Run every cell; raise what a cell raised (never a bare time-out)."""
        self.command("notebook:run-all-cells")
        state = self.page.wait_for_function(f"""() => {{ {CURRENT}
            const cells = w.content.model.sharedModel.cells.filter(c => c.source.trim());
            const errors = cells.flatMap(c => c.toJSON().outputs)
                .filter(o => o?.output_type === 'error').map(o => `${{o.ename}}: ${{o.evalue}}`);
            if (errors.length) return {{errors}};
            return cells.every(c => c.execution_count !== null) && k.status === 'idle'
                && {{errors: []}}; }}""").json_value()
        assert not state["errors"], state["errors"]
        return self

    def py(self, expression: str) -> str:
        """Return repr() of a Python expression in the notebook's kernel."""
        answer = self.page.evaluate(
            f"""async e => {{ {CURRENT} const f = k.requestExecute(
                {{code: '', silent: false, store_history: false, user_expressions: {{r: e}}}});
                return (await f.done).content.user_expressions.r; }}""",
            expression,
        )
        assert answer["status"] == "ok", answer
        return answer["data"]["text/plain"]

    def cells(self) -> int:
        return self.page.evaluate(
            f"() => {{ {CURRENT} return w.content.model.sharedModel.cells.length; }}"
        )

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", json.dumps({"theme": name}))
        light = "false" if "Dark" in name else "true"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")
        self.page.wait_for_function("() => !document.getElementById('jupyterlab-splash')")


@pytest.fixture
def notebook(lab, chromium):
    """Open a page in JupyterLab; afterwards there must have been no error in it."""
    page = chromium.new_page()
    notebook = Notebook(page, lab)
    yield notebook
    try:
        assert notebook.problems == []
    finally:
        page.evaluate(f"async () => {{ {CURRENT} await w?.sessionContext?.shutdown(); }}")
        page.close()


@pytest.fixture
def open_file(chromium, tmp_path):
    """Open a text as a page of its own, from a file."""
    watched = []

    def opener(text: str, **media: str) -> Watched:
        path = tmp_path / f"page{len(watched)}.html"
        path.write_text(text, encoding="utf-8")
        page = chromium.new_page()
        if media:
            page.emulate_media(**media)
        found = Watched(page, "file:")
        watched.append(found)
        page.goto(path.as_uri())
        return found

    yield opener
    for found in watched:
        problems = found.problems
        found.page.close()
        assert problems == []

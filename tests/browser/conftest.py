"""JupyterLab on a copy of the lessons, and a Chromium that looks at it.  No browser is downloaded."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.error import HTTPError

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
START = 180  # seconds, on a busy machine
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows nothing of this machine's ports
# all cells are in the page, and no question about news lies above them
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
}


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab, and the folder of notebooks that it shows."""

    url: str
    token: str
    notebooks: Path

    def address(self, name: str) -> str:
        """Where a notebook opens by itself, without what an earlier page left open."""
        return f"{self.url}/doc/tree/notebooks/{name}.ipynb?token={self.token}&reset"

    def code_cells(self, name: str) -> int:
        """How many code cells a notebook has."""
        cells = json.loads((self.notebooks / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        return sum(cell["cell_type"] == "code" for cell in cells)

    def ask(self, path: str, method: str = "GET") -> Any:
        """The server's answer to a request."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        with DIRECT.open(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def has_idle_kernel(self) -> bool:
        """Whether a page is connected to a kernel that waits for work."""
        try:
            kernels = self.ask("/api/kernels")
        except HTTPError:  # the server cannot list a kernel at the moment in which it starts
            return False
        return any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels)


def absent(what: str) -> NoReturn:
    """Skip where the tests cannot run, but fail in CI: there a skip would look like widgets that work."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{what}; CI must run these tests, so this is no skip", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """The system's own Chromium, without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed; run: make browser, or pip install 'minivjepa[browser]'")
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        absent(f"no Chromium on PATH (looked for {', '.join(NAMES)}); install your system's package")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found[0], timeout=START * 1000)


@pytest.fixture(scope="session")
def lab(chromium: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a copy of the lessons without outputs, with settings of its own and one thread a kernel."""
    root, home = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("jupyter")
    copy_lessons(root)
    write_settings(home / "lab" / "user-settings" / "@jupyterlab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab = Lab(f"http://127.0.0.1:{port}", os.urandom(16).hex(), root / "notebooks")
    log = home / "log.txt"
    with log.open("w") as file:
        server = subprocess.Popen(
            command(lab, port, root),
            env=environment(home),
            cwd=root,
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends the tests, and they end the server
        )
    try:
        wait_for_server(server, lab, log)
        yield lab
    finally:
        stop(server)


def copy_lessons(root: Path) -> None:
    """Notebooks, without outputs so that what is shown was computed now, all unfolded, and the results that they read."""
    import nbformat

    for name in ("notebooks", "results"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
    for path in (root / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.metadata.pop("jupyter", None)  # the number of a folded cell is not on the page
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)


def write_settings(folder: Path) -> None:
    """The settings of a user who wants SETTINGS."""
    for name, values in SETTINGS.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))


def command(lab: Lab, port: int, root: Path) -> list[str]:
    """How this Python starts JupyterLab; its kernels are of the same Python."""
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}"),
        f"--IdentityProvider.token={lab.token}",
        *(["--allow-root"] if getattr(os, "getuid", lambda: 1)() == 0 else []),
    ]


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's own Jupyter: neither settings nor kernels."""
    own = {
        f"JUPYTER_{name}_DIR": str(home / part)
        for name, part in {"CONFIG": "", "DATA": "data", "RUNTIME": "run"}.items()
    }
    return os.environ | own | {"IPYTHONDIR": str(home / "ipython"), "OMP_NUM_THREADS": "1"}


def wait_for_server(server: subprocess.Popen[bytes], lab: Lab, log: Path) -> None:
    """Wait until the server answers; raise RuntimeError with its log if it ends or takes too long."""
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        try:
            lab.ask("/api/status")
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab ended or did not answer within {START} s; its log:\n{log.read_text()}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server, which ends its kernels; a kernel also ends by itself when its server is gone."""
    server.terminate()
    try:
        server.wait(timeout=60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@pytest.fixture
def page(chromium: "Browser", lab: Lab) -> "Iterator[Page]":
    """An empty page; its kernel ends with it, so that memory holds one lesson at a time."""
    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    yield page
    page.close()
    for kernel in lab.ask("/api/kernels"):
        lab.ask(f"/api/kernels/{kernel['id']}", "DELETE")

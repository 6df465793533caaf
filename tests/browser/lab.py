"""A real JupyterLab or Notebook 7 in Debian's Chromium, driven from Python: server, notebook, cells.

Whoever tests in a browser uses the fixtures of ``conftest.py``; this module is what they are made of.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import nbformat
from playwright.sync_api import Locator, Page, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[2]
ARTEFACTS = REPOSITORY / "tests" / "artefacts"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
_TOKEN = "only-this-machine"
T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A running server: its address and the directory whose notebooks it serves."""

    url: str
    root: Path

    def get(self, path: str) -> Any:
        """What the server answers to GET ``path``, as Python objects."""
        with urllib.request.urlopen(f"{self.url}/{path}?token={_TOKEN}", timeout=5) as answer:
            return json.load(answer)

    def post(self, path: str) -> None:
        """Ask the server to do ``path``."""
        request = urllib.request.Request(f"{self.url}/{path}?token={_TOKEN}", method="POST")
        urllib.request.urlopen(request, timeout=10).close()


@contextmanager
def serve(home: Path, app: str = "lab") -> Iterator[Server]:
    """Run ``jupyter lab`` (or ``notebook``) with empty settings of its own under ``home``; stop it and its kernels.

    The project's front-end extension is linked to where ``pip install`` puts it, and kernels import the project from
    this checkout, so what is tested is what stands here, installed or not.
    """
    root = home / "notebooks"
    root.mkdir(parents=True)
    extensions = home / "data" / "labextensions"
    extensions.mkdir(parents=True)
    (extensions / "sqlmagic-xr").symlink_to(REPOSITORY / "sqlmagic_xr" / "labextension")
    _no_news(home / "settings")
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            _command(app, root), env=_environment(home), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            server = Server(_address(process, home), root)
            yield server
            with suppress(OSError):
                server.post("api/shutdown")  # the polite way also ends the kernels
            _end(process)
        finally:
            _end(process, patience=0)


def _command(app: str, root: Path) -> list[str]:
    return [
        sys.executable, "-m", "jupyter", app, "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root",
        f"--IdentityProvider.token={_TOKEN}", f"--ServerApp.root_dir={root}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip


def _environment(home: Path) -> dict[str, str]:
    places = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
    }  # fmt: skip
    # An environment has its own copy of the extension, from when the project was installed into it: ours comes first.
    ours = {"PYTHONPATH": str(REPOSITORY), "JUPYTER_PREFER_ENV_PATH": "0"}
    return {**os.environ, **ours, **{name: str(home / place) for name, place in places.items()}}


def _no_news(settings: Path) -> None:
    """Keep Lab from laying its "Jupyter news?" question over the page."""
    directory = settings / "@jupyterlab" / "apputils-extension"
    directory.mkdir(parents=True)
    (directory / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')


def _address(process: subprocess.Popen[bytes], home: Path) -> str:
    """Where the server answers; it chose its port itself and wrote it down."""

    def answering() -> str | None:
        if process.poll() is not None:
            raise RuntimeError(f"jupyter ended: {(home / 'server.log').read_text()[-3000:]}")
        for note in (home / "runtime").glob("jpserver-*.json"):
            url = json.loads(note.read_text().strip() or "{}").get("url", "").rstrip("/")
            with suppress(OSError):
                if url:  # or the note is there and not written yet
                    Server(url, home).get("api/status")
                    return str(url)
        return None

    return wait_for(answering, "the server answers", seconds=60)


def _end(process: subprocess.Popen[bytes], patience: float = 15) -> None:
    for end in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, end)  # its own session, so only what we started
            patience = 10
    process.wait()


@contextmanager
def browse(width: int = 1200, height: int = 1000) -> Iterator[Page]:
    """A page of a headless Chromium that keeps what the console says in ``page.errors``."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=_FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(30_000)
            yield page
        finally:
            browser.close()


def wait_for(question: Callable[[], T | None], what: str, seconds: float = 30) -> T:
    """Ask until the answer is true; TimeoutError names ``what`` did not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise TimeoutError(f"in {seconds} s it did not happen that {what}")


class Notebook:
    """A notebook open in a page.

    Args:
        server: what serves it.
        page: the page that shows it.
        name: its file name.
        cells: the sources of its code cells; written to the file before it is opened.
        app: "lab" or "notebook", the front end to open it in.
    """

    def __init__(self, server: Server, page: Page, name: str, cells: Sequence[str], app: str = "lab") -> None:
        self.server, self.page, self.name = server, page, name
        book = nbformat.v4.new_notebook()
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        book.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(book, server.root / name)
        address = f"lab/tree/{name}?reset&" if app == "lab" else f"notebooks/{name}?"
        page.goto(f"{server.url}/{address}token={_TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self._wait_for_kernel()

    def _wait_for_kernel(self) -> None:
        # The toolbar shows "idle" before the kernel has answered; a cell run then shows [*], then [ ], and never runs.
        # So ask the server, and then leave the front end the time for its own handshake (run() tries again anyway).
        def idle() -> bool:
            kernels = [s["kernel"] for s in self.server.get("api/sessions") if s["path"] == self.name]
            return bool(kernels) and kernels[0]["execution_state"] == "idle" and kernels[0]["connections"] >= 1

        wait_for(idle, "the kernel is idle", seconds=60)
        time.sleep(0.5)

    def cell(self, index: int) -> Locator:
        """The cell at ``index``, from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def prompt(self, index: int) -> str:
        """What stands left of a cell: "[ ]:", "[*]:", "[3]:"."""
        return self.cell(index).locator(".jp-InputPrompt").inner_text().strip()

    def start(self, index: int) -> None:
        """Run a cell and come back as soon as it is running or done; a key press that got lost is pressed again."""
        before = self.prompt(index)
        for _ in range(6):
            self.cell(index).locator(".jp-InputArea-prompt").click()
            self.page.keyboard.press("Shift+Enter")
            with suppress(TimeoutError):
                wait_for(lambda: self._started(index, before), f"cell {index} starts", seconds=2)
                return
        raise TimeoutError(f"cell {index} did not start")

    def _started(self, index: int, before: str) -> bool:
        if (prompt := self.prompt(index)) != before and "*" not in prompt:
            return True
        for _ in range(8):  # a [*] that stays; one that falls back to [ ] was never sent
            if "*" not in self.prompt(index):
                return bool(re.fullmatch(r"\[\d+\]:", self.prompt(index))) and self.prompt(index) != before
            time.sleep(0.05)
        return True

    def wait(self, index: int, seconds: float = 30) -> float:
        """Wait until a started cell has ended; returns the seconds that it took from now."""
        begin = time.monotonic()
        wait_for(lambda: re.fullmatch(r"\[\d+\]:", self.prompt(index)), f"cell {index} ends", seconds)
        return time.monotonic() - begin

    def run(self, index: int, seconds: float = 30) -> str:
        """Run a cell to its end; returns the text of its output."""
        self.start(index)
        self.wait(index, seconds)
        return self.output(index)

    def outputs(self, index: int) -> Locator:
        """The outputs of a cell."""
        return self.cell(index).locator(".jp-OutputArea-output")

    def output(self, index: int) -> str:
        """All the text that a cell's output shows."""
        return "\n".join(self.outputs(index).all_inner_texts())

    def type(self, index: int, text: str) -> None:
        """Click into a cell's editor and type at its end."""
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(text, delay=10)

    def complete(self) -> list[str]:
        """Press Tab until the menu is there (a kernel that is busy answers too late for it); returns what it offers."""
        menu = self.page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item .jp-Completer-match")
        for _ in range(6):
            self.page.keyboard.press("Tab")
            with suppress(TimeoutError):
                wait_for(menu.count, "the menu opens", seconds=5)
                break
        return menu.all_inner_texts()

    def interrupt(self) -> None:
        """Press the toolbar's stop button."""
        self.page.click('[data-jp-item-name="interrupt"]')

    def save(self) -> Any:
        """Save and read the file back, as nbformat sees it."""
        path = self.server.root / self.name
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        wait_for(lambda: path.stat().st_mtime_ns != before and path.read_bytes().endswith(b"}\n"), "the file is whole")
        return nbformat.read(path, 4)

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the page as ``tests/artefacts/NAME.png``, for a person to look at."""
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path

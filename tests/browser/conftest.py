"""Fixtures of the browser tests: one Lab and one Chromium for the whole directory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.browser.lab import ARTEFACTS, CHROMIUM, Notebook, Server, browse, serve

OpenNotebook = Callable[..., Notebook]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if "tests/browser" in item.path.as_posix()]
    for item in here:
        item.add_marker("browser")
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no chromium here: apt-get install chromium"))


# Package, not session: while Playwright's synchronous API is open, its event loop counts as running in this thread,
# and a test elsewhere that calls asyncio.run() would fail.
@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="package")
def page() -> Iterator[object]:
    with browse() as page:
        yield page


@pytest.fixture
def open_notebook(lab: Server, page, request: pytest.FixtureRequest) -> Iterator[OpenNotebook]:
    """Open a new notebook of the given cells in "lab" or in Notebook 7; a failing test leaves a picture."""
    numbers = itertools.count(1)
    name = request.node.name

    def open_it(cells: Sequence[str], app: str = "lab") -> Notebook:
        return Notebook(lab, page, f"{name}-{next(numbers)}.ipynb", cells, app)

    yield open_it
    if getattr(request.node, "failed", False):
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"failed-{name}.png")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    outcome = yield
    item.failed = getattr(item, "failed", False) or outcome.get_result().failed

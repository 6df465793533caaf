"""The notebooks as they are stored: whole, run from top to bottom, and nobody's machine in them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

pytest_plugins = ["pytester"]

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/(home|root|tmp|work|Users|usr|opt|var|mnt|private|content)/|\b[A-Z]:\\\\?\w")


def test_a_path_is_seen():
    assert ABSOLUTE_PATH.search("File /home/me/x.py")
    assert ABSOLUTE_PATH.search(r"in C:\Users\me")
    assert not ABSOLUTE_PATH.search("https://docs.example.org/home/x, a/tmp/b, 4/usr/2 and K:")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    """What a cell says and shows, its pictures apart."""
    yield cell.source
    for output in cell.get("outputs", []):
        yield "".join(output.get("text", ""))
        yield from ("".join(v) for kind, v in output.get("data", {}).items() if not kind.startswith("image/"))


def test_no_cell_holds_an_error(notebook):
    for cell in code(notebook):
        assert [o for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"] == [], cell.source


def test_no_cell_holds_an_absolute_path(notebook):
    for cell in notebook.cells:
        for text in texts(cell):
            assert not ABSOLUTE_PATH.search(text), text


def test_it_was_run_from_top_to_bottom(notebook):
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))


def test_it_uses_public_names_only(notebook):
    for cell in code(notebook):
        assert not re.search(r"(from|import) sqlmagic_xr\.|\b(context|ctx)\._|from _|import _", cell.source), (
            cell.source
        )


def test_links_lead_somewhere(notebook):
    for cell in notebook.cells:
        for name in re.findall(r"\]\((\w+\.ipynb)\)", cell.source) if cell.cell_type == "markdown" else ():
            assert (FOLDER / name).is_file(), name


def test_the_readme_shows_every_notebook_with_a_picture():
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert re.search(rf"\(notebooks/{path.name}\).*notebooks/images/{path.stem[3:]}\.png", readme), path.name
    for picture in re.findall(r"notebooks/images/\w+\.png", readme):
        assert (FOLDER.parent / picture).is_file(), picture


@pytest.mark.parametrize(("limit", "status"), [(0.05, 1), (100, 0)])
def test_a_slow_notebook_fails_the_run(pytester, monkeypatch, limit, status):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # what they import takes longer than all else here
    text = (FOLDER / "conftest.py").read_text(encoding="utf-8")
    assert "LIMIT = 120\n" in text
    pytester.makeconftest(text.replace("LIMIT = 120\n", f"LIMIT = {limit}\n"))
    pytester.makepyfile("import time\ndef test_a(): time.sleep(0.04)\ndef test_b(): time.sleep(0.04)")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == status
    result.stdout.fnmatch_lines(["*0 s of * s  test_a_slow_notebook_fails_the_run.py"])

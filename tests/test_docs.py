"""What is written leads somewhere and runs: links, the first screen of the README, the pages of the site."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from sqlmagic_xr import Context
from sqlmagic_xr.magics import shared
from sqlmagic_xr.relation.functions import FUNCTIONS

ROOT = Path(__file__).parents[1]
WRITTEN = [
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "sqlmagic_xr/DESIGN.md", "docs/engine-faults.md", "docs/how-to.md",
    "docs/statements.md",
]  # fmt: skip
PLACE = re.compile(r"`([a-z_]+/[a-z_/]*(?:\.(?:py|js|md))?)`")
"""A module, a file or a folder, by its path or the end of it."""
LINK = re.compile(r"(?:\]\(|src=\")(?!https?://|#|mailto:)([^)\"#]+)")


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"pages_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site():
    return loaded("site")


@pytest.mark.parametrize("name", WRITTEN)
def test_every_link_leads_to_a_file(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    lost = [link for link in LINK.findall(text) if not (ROOT / name).parent.joinpath(link).exists()]
    assert not lost


def test_every_place_that_the_design_names_is_there():
    text = (ROOT / "sqlmagic_xr" / "DESIGN.md").read_text(encoding="utf-8")
    folders = [ROOT / name for name in ("sqlmagic_xr", "tests", "docs")]
    there = {f"/{path.relative_to(ROOT).as_posix()}" for folder in folders for path in folder.rglob("[a-z]*")}
    named = {name.rstrip("/") for name in PLACE.findall(text)}
    lost = {name for name in named if not any(at.endswith((f"/{name}", f"/{name}.py")) for at in there)}
    assert len(named) > 100
    assert not lost


def test_the_pages_of_the_site_lead_to_each_other(site, tmp_path):
    site.main(tmp_path)
    nav = re.findall(r":\s+([\w/.-]+\.(?:md|ipynb))", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert len(nav) == 18
    for page in nav:
        assert (tmp_path / page).exists(), page
    for page in tmp_path.rglob("*.md"):
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    for book in tmp_path.rglob("*.ipynb"):  # each becomes a folder of its name
        for link in LINK.findall(book.read_text(encoding="utf-8")):
            if re.match(r"[\w./]+$", link) and "/" in link:
                place = (book.with_suffix("") / link).resolve()
                assert place.exists() or place.with_suffix(".ipynb").exists(), f"{book.name}: {link}"
        assert not re.search(r"\]\(\w+\.ipynb\)", book.read_text(encoding="utf-8"))
    listed = (tmp_path / "reference" / "functions.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in listed for name in FUNCTIONS)
    assert "--patience" in (tmp_path / "reference" / "magics.md").read_text(encoding="utf-8")


def test_formulas_of_notebooks_are_mathml_and_code_stays_code(site, tmp_path):
    text = "`$cold` and `$warm`, $e^{-x/4}$:\n$$a + b\\,u$$\n```\n$x$\n```\nfrom $5 on"
    found = site.with_formulas(text)
    assert found.startswith('`$cold` and `$warm`, <math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">')
    assert 'display="block"' in found
    assert found.endswith("```\n$x$\n```\nfrom $5 on")
    site.main(tmp_path)
    for book in tmp_path.rglob("*.ipynb"):
        for cell in json.loads(book.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                plain = re.sub(r"`[^`]*`", "", cell["source"])
                assert not re.search(r"\$[^$\n]+\$|\\[a-z]+", plain), f"{book.name}: {plain}"


def test_what_the_api_reference_names_is_there(site):
    import importlib

    for name in re.findall(r"::: (\S+)", site.python()):
        module, _, attribute = name.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except AttributeError:
            found = importlib.import_module(name)
        assert found.__doc__


def test_examples_in_docstrings_are_code_on_the_site(monkeypatch):
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object))
    text = "Rows.\n\nAs :meth:`.frame.Frame.rows`.\n\nExample:\n    >>> a = 1\n    >>> a\n    1\n\nArgs:\n    a: what"
    page = SimpleNamespace(docstring=SimpleNamespace(value=text))
    loaded("docstrings").Docstrings().on_instance(obj=page)
    head, code, rest = page.docstring.value.split("    ```")
    assert head == "Rows.\n\nAs `rows`.\n\nExample:\n"
    assert code == "pycon\n    >>> a = 1\n    >>> a\n    1\n"
    assert rest == "\n\nArgs:\n    a: what"


def test_every_block_of_the_readme_runs_as_pasted_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```(?:sql|python)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) >= 12
    shared.get_context.cache_clear()
    shell = InteractiveShell.instance()
    try:
        for block in blocks:
            with capture_output():
                result = shell.run_cell(block)
            assert result.success, block
        context = shared.get_context()
        for table in ("params", "weights"):
            assert context.sql(f"SELECT MAX(step) AS n FROM {table}").to_pandas().n[0] >= 200
        fitted = context.sql("SELECT n, val FROM weights ORDER BY step DESC, n LIMIT 3").to_pandas()
        assert fitted.val.tolist() == pytest.approx([1.0, 2.0, 0.0], abs=0.02)
        assert {path.name for path in tmp_path.iterdir()} >= {"north.zarr", "trajectory.zarr", "trajectory.duckdb"}
    finally:
        shell.run_line_magic("xsql", "--close")
        shell.run_line_magic("unload_ext", "sqlmagic_xr")
        InteractiveShell.clear_instance()
        shared.get_context.cache_clear()


@pytest.mark.parametrize("name", ["docs/how-to.md", "docs/statements.md"])
def test_the_examples_of_a_page_run_from_top_to_bottom(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / name).read_text(encoding="utf-8")
    space: dict[str, object] = {}
    context = Context(namespace=lambda: space)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 8
    for kind, block in blocks:
        if kind == "python":
            exec(block, space)
        elif kind == "train":
            assert context.train(block, steps=5).steps == 5
        else:
            for result in context.script(block):
                assert result.message or len(result) > 0

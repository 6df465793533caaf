"""SQL colours in the cells of a notebook, with nothing enabled."""

from __future__ import annotations

import pytest

from tests.browser.lab import Notebook, wait_for

SHORT = "%%xsql\nPIVOT d ON x; -- pivot\nSELECT sample, semi FROM t USING SAMPLE 3; SELECT 'pivot t' FROM t SEMI JOIN u"


def _language(notebook: Notebook, index: int) -> str:
    return notebook.cell(index).locator(".cm-content").get_attribute("data-language") or ""


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_xsql_cells_are_coloured_as_sql(open_notebook, app):
    minimize = "%%xsql_train\nMINIMIZE (SELECT 'per', 1) -- batch\nOVER p PER run BATCH x > 0"
    cells = ["%%xsql\nSELECT lat FROM ds", "%%xsql_train\nSELECT 1", "print(1)", "%%xsql_other\n1", minimize, SHORT]
    notebook = open_notebook(cells, app)
    wait_for(lambda: _language(notebook, 0) == "sql", "the first cell is SQL")
    assert [_language(notebook, i) for i in range(4)] == ["sql", "sql", "python", "python"]
    words = notebook.cell(0).locator(".cm-line >> nth=1").locator("span").all_inner_texts()
    assert {"SELECT", "FROM"} <= set(words), "keywords have a colour of their own"
    ours = notebook.cell(4).locator(".sqlmagic-xr-keyword")
    wait_for(lambda: ours.all_inner_texts() == ["MINIMIZE", "OVER", "PER", "BATCH"], "its clauses are keywords")
    short = notebook.cell(5).locator(".sqlmagic-xr-keyword")
    wait_for(lambda: short.all_inner_texts() == ["PIVOT", "SAMPLE", "SEMI"], "what is written shorter is keywords")
    notebook.screenshot(f"highlighting-{app}")


def test_a_cell_changes_its_colours_as_it_is_typed(open_notebook):
    notebook = open_notebook(["", "%%xsql\nSELECT 1"])
    notebook.type(0, "%%xsql\nSELECT 1")
    wait_for(lambda: _language(notebook, 0) == "sql", "the typed cell is SQL")
    notebook.page.keyboard.press("Control+a")
    notebook.page.keyboard.type("print(2)")
    wait_for(lambda: _language(notebook, 0) == "python", "the cell is Python again")


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_sql_behind_a_line_magic_is_coloured(open_notebook, app):
    notebook = open_notebook(["x = 1\nr = %xsql SELECT lat, 'a' FROM ds LIMIT 3\nselect = 2"], app)
    lines = notebook.cell(0).locator(".cm-line")
    wait_for(lambda: lines.nth(1).locator(".sqlmagic-xr-keyword").count(), "the line is coloured")
    assert lines.nth(1).locator(".sqlmagic-xr-keyword").all_inner_texts() == ["SELECT", "FROM", "LIMIT"]
    assert lines.nth(1).locator(".sqlmagic-xr-string").all_inner_texts() == ["'a'"]
    assert lines.nth(2).locator(".sqlmagic-xr-keyword").count() == 0
    keyword = lines.nth(1).locator(".sqlmagic-xr-keyword").first
    plain = lines.nth(1).locator(".sqlmagic-xr-plain").first
    weight = [each.evaluate("e => getComputedStyle(e).fontWeight") for each in (keyword, plain)]
    assert weight == ["700", "400"]
    notebook.screenshot(f"highlighting-line-{app}")

"""%%xsql as a person meets it: typed, completed, run, looked at, interrupted, saved."""

from __future__ import annotations

import re

from tests.browser.lab import wait_for

SETUP = """%load_ext sqlmagic_xr
import numpy as np, pandas as pd, xarray as xr
air = 280 + np.random.default_rng(0).normal(size=(400, 25, 53)).round(2)
coords = {"time": pd.date_range("2013", periods=400, freq="6h"), "lat": np.linspace(75, 15, 25), "lon": np.arange(53.0)}
ds = xr.Dataset({"air": (("time", "lat", "lon"), air, {"units": "K"})}, coords)"""
NO_WIDTH = "\u200b"  # before what is no column, so that the menu sorts it behind
TABLE = ".jp-OutputArea-output .sqlmagic-xr table"


def test_a_query_is_typed_completed_run_and_seen(open_notebook):
    notebook = open_notebook([SETUP, ""])
    page = notebook.page
    assert notebook.run(0, seconds=60) == ""
    notebook.type(1, "%%xsql\nSELECT * FROM d")
    wait_for(lambda: notebook.cell(1).locator(".cm-content").get_attribute("data-language") == "sql", "it is coloured")
    notebook.complete()
    page.keyboard.press("Enter")
    wait_for(lambda: "FROM ds" in notebook.cell(1).locator(".cm-content").inner_text(), "ds is completed")
    after = " FROM ds GROUP BY lat, lon ORDER BY lat, lon"
    page.keyboard.press("Control+a")
    page.keyboard.type("%%xsql\nSELECT l" + after)
    for _ in after:
        page.keyboard.press("ArrowLeft")
    offered = [text.lstrip(NO_WIDTH) for text in notebook.complete()]
    assert {"lat", "lon", "length"} <= set(offered)
    assert offered.index("lon") < offered.index("length"), "columns come before functions"
    assert "tarfile" not in offered
    assert not [text for text in offered if text.startswith("%")]
    notebook.screenshot("completion")
    page.keyboard.type("at")
    page.keyboard.press("Enter")
    page.keyboard.type(", lon, avg(air) AS air, NULL AS nothing, '' AS empty, '<b>x</b>' AS text")
    notebook.run(1)
    table = notebook.cell(1).locator(TABLE)
    table.wait_for()
    assert table.locator("thead th").nth(0).inner_text().split() == ["lat", "DOUBLE"]
    assert table.locator("tbody tr").count() == 10
    assert table.locator("b").count() == 0
    cells = table.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells[0:2] == ["15.0", "0.0"]
    assert cells[3:] == ["NULL", "''", "<b>x</b>"]
    assert "10 of 1,325 rows x 6 columns" in notebook.output(1)
    right = table.locator("tbody td").first.evaluate("e => getComputedStyle(e).textAlign")
    left = table.locator("tbody td").nth(5).evaluate("e => getComputedStyle(e).textAlign")
    assert (right, left) == ("right", "left")
    notebook.screenshot("result")


def test_an_error_is_short_and_stops_run_all(open_notebook):
    notebook = open_notebook([SETUP, "%%xsql\nSELECT lat,\n       latt\nFROM ds", "print('after')"])
    notebook.run(0, seconds=60)
    text = notebook.run(1)
    assert text.splitlines() == [
        "there is no column latt",
        "line 3:        latt",
        "               ^^^^",
        "Did you mean `lat`?",
    ]
    notebook.screenshot("error")
    saved = notebook.save()
    assert [o.output_type for o in saved.cells[1].outputs] == ["error"]
    assert saved.cells[1].outputs[0].ename == "UnknownNameError"


def test_tables_follow_the_theme_and_wide_ones_scroll(open_notebook):
    wide = "%%xsql\nSELECT " + ", ".join(f"{i} AS column_{i}" for i in range(300))
    notebook = open_notebook([SETUP, "%%xsql\nSELECT time, lat, air, NULL AS n FROM ds", "%xsql --tables", wide])
    notebook.run(0, seconds=60)
    notebook.run(1)
    notebook.run(2)
    assert "1 row x 40 of 300 columns" in notebook.run(3)
    table = notebook.cell(3).locator(TABLE)
    assert table.evaluate("e => e.scrollWidth > e.clientWidth")
    assert table.evaluate("e => e.getBoundingClientRect().right <= window.innerWidth")
    page = notebook.page
    light = notebook.cell(1).locator(f"{TABLE} td").first.evaluate("e => getComputedStyle(e).color")
    page.click("text=Settings")
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    page.locator(".lm-Menu-itemLabel", has_text="JupyterLab Dark").first.click()
    wait_for(lambda: page.locator("body").get_attribute("data-jp-theme-light") == "false", "the theme is dark")
    dark = notebook.cell(1).locator(f"{TABLE} td").first.evaluate("e => getComputedStyle(e).color")
    assert sum(map(int, re.findall(r"\d+", dark)[:3])) > sum(map(int, re.findall(r"\d+", light)[:3])) + 300
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    notebook.screenshot("dark")
    page.click("text=Settings")
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    page.locator(".lm-Menu-itemLabel", has_text="JupyterLab Light").first.click()


def test_a_long_query_shows_progress_stops_and_leaves_no_trace(open_notebook):
    cross = "%%xsql\nSELECT sum(sin(a.i * b.i)) AS s FROM numbers a CROSS JOIN numbers b"
    numbers = "import pyarrow as pa\nnumbers = pa.table({'i': list(range(50_000))})"
    notebook = open_notebook([SETUP, numbers, cross, "%%xsql\nSELECT count(*) AS n FROM numbers"])
    notebook.run(0, seconds=60)
    notebook.run(1)
    notebook.start(2)
    wait_for(lambda: "running for" in notebook.output(2), "progress is shown", 10)
    notebook.screenshot("progress")
    notebook.interrupt()
    assert notebook.wait(2) < 3
    assert re.fullmatch(r"Interrupted: the query ran for \d+\.\d s; tables are as .*", notebook.output(2))
    assert "50000" in notebook.run(3)
    saved = notebook.save()
    assert [o.output_type for o in saved.cells[2].outputs] == ["error"]
    assert "running for" not in str(saved)


def test_columns_come_before_functions_in_the_menu(open_notebook):
    frame = "%load_ext sqlmagic_xr\nimport pandas as pd\ndf = pd.DataFrame({'city': ['a'], 'zone': [1]})"
    notebook = open_notebook([frame, "%%xsql\nSELECT ceil(zone) FROM df"])  # the engine is imported by the first query
    page = notebook.page
    notebook.run(0, seconds=60)
    notebook.run(1, seconds=60)
    notebook.type(1, " WHERE c")
    offered = [text.lstrip(NO_WIDTH) for text in notebook.complete()]
    assert offered[0] == "city"
    assert "ceil" in offered
    page.keyboard.type("i")
    page.keyboard.press("Enter")
    wait_for(lambda: "WHERE city" in notebook.cell(1).locator(".cm-content").inner_text(), "it is completed")

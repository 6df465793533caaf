"""%xsql and %%xsql in a shell: every form, every option, and what is shown of a result."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr import Result, errors, get_context
from sqlmagic_xr.magics.options import options_of
from sqlmagic_xr.magics.request import XSqlOptions
from tests.magics.tables import table_of


def settings(notebook):
    return next(c for c in notebook.shell.configurables if type(c).__name__ == "XSqlMagic")


# Forms


@pytest.mark.parametrize(
    "cell",
    [
        "%%xsql\nSELECT 1 AS a",
        "%%xsql\nSELECT 1 AS a;",
        "%%xsql\n-- why\nSELECT 1 AS a -- and how\n;",
        "%%xsql SELECT 1 AS a\n;",
        "%%xsql SELECT 1\nAS a",
        "%xsql SELECT 1 AS a",
        "%xsql SELECT 1 AS a;",
        "%xsql SELECT 1 AS a\nprint('more')",
        "%%xsql --limit 3\nSELECT 1 AS a",
        "%%xsql x= <<\nSELECT 1 AS a",
        "%%xsql x = << SELECT\n1 AS a",
        "%%xsql -o x\nSELECT 1 AS a",
    ],
)
def test_every_form_shows_its_result_once(notebook, cell):
    output = notebook(cell)
    assert [d["text/plain"].splitlines()[-1] for d in output.data] == ["1 row x 1 column"]
    assert "text/html" in output.data[0]
    assert "Out[" not in output.printed


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("x = %xsql SELECT 1 AS a", 0),
        ("%%xsql x <<\nSELECT 1 AS a", 0),
        ("%%xsql x << SELECT\n1 AS a", 0),
        ("%%xsql x << --limit 2\nSELECT 1 AS a", 0),
        ("%%xsql\nx <<\nSELECT 1 AS a", 0),
        ("%%xsql\nx << SELECT 1 AS a", 0),
        ("%xsql x << SELECT 1 AS a", 0),
        ("%%xsql --limit 2 x= <<\nSELECT 1 AS a", 1),
        ("%%xsql --output x\nSELECT 1 AS a", 1),
        ("%%xsql -o x --no-display\nSELECT 1 AS a", 0),
    ],
)
def test_every_form_of_capture(notebook, cell, shown):
    output = notebook(cell)
    assert len(output.data) == shown
    assert output.printed == ""
    assert isinstance(notebook.names["x"], Result)
    assert notebook.names["x"].to_pandas()["a"].tolist() == [1]


def test_a_captured_result_is_lazy_and_holds_everything(notebook):
    notebook("%%xsql x <<\nSELECT * FROM ds")
    assert get_context().chunks_read == 0
    assert len(notebook.names["x"].to_pandas()) == 200
    output = notebook("x")
    assert "10 of 200 rows x 3 columns" in output.text


def test_of_several_statements_the_last_rows_are_kept(notebook):
    notebook("%%xsql x <<\nSELECT 1 AS a; SELECT 2 AS a; INSERT INTO params VALUES (1, 2.0)")
    assert notebook.names["x"].to_pandas()["a"].tolist() == [2]


def test_a_file_may_begin_with_a_mark_and_must_be_utf_8(notebook, tmp_path):
    (tmp_path / "marked.sql").write_bytes(b"\xef\xbb\xbfSELECT 'caf\xc3\xa9' AS a")
    notebook("x = %xsql -f marked.sql")
    assert notebook.names["x"].to_pandas().a.tolist() == ["café"]
    (tmp_path / "wide.sql").write_text("SELECT 1 AS a", encoding="utf-16")
    with pytest.raises(errors.UsageError, match=r"wide\.sql cannot be read: it is not UTF-8"):
        notebook("%xsql -f wide.sql")


def test_a_file_runs(notebook, tmp_path):
    (tmp_path / "query.sql").write_text("SELECT 1 AS a;\nSELECT 2 AS a")
    assert len(notebook("%xsql -f query.sql").data) == 2
    assert len(notebook("%%xsql --file=query.sql\n ").data) == 2
    with pytest.raises(errors.UsageError, match=r"nothing\.sql cannot be read: No such file or directory"):
        notebook("%xsql -f nothing.sql")
    with pytest.raises(errors.UsageError, match="do not go together"):
        notebook("%xsql -f query.sql SELECT 1")


def test_an_error_in_a_file_points_into_the_file(notebook, tmp_path):
    (tmp_path / "query.sql").write_text("SELECT 1 AS a;\nSELECT zzz FROM ds")
    with pytest.raises(errors.UnknownNameError) as caught:
        notebook("%xsql -f query.sql")
    assert str(caught.value).splitlines()[1] == "line 2: SELECT zzz FROM ds"


def test_options_end_where_sql_begins(notebook):
    assert table_of(notebook("%xsql SELECT -1 AS a")) == [["-1"]]
    assert table_of(notebook("%xsql -q SELECT 2 * -1 AS a")) == [["-2"]]
    assert table_of(notebook("""%xsql SELECT '{"a": 5}'->'a' AS a""")) == [["5"]]


def test_a_cell_without_statements_does_nothing(notebook):
    assert notebook("%%xsql\n-- nothing\n;").text == ""


@pytest.mark.parametrize("cell", ["%xsql --help", "%%xsql --help\nSELECT 1", "%xsql?", "%%xsql?"])
def test_help(notebook, cell):
    shown: list[str] = []
    notebook.shell.set_hook("show_in_pager", lambda shell, data, **_: shown.append(data["text/plain"]))
    text = notebook(cell).printed + "".join(shown)
    for option in options_of(XSqlOptions):
        assert option.shown in text
        assert option.help.split(",")[0] in text


def test_alone_it_shows_help_and_tables(notebook):
    output = notebook("%xsql")
    assert "--show-sql" in output.printed
    assert [row[0] for row in table_of(output)] == ["params", "ds"]
    assert len(output.text.splitlines()) <= 40


# Results


def test_every_statement_is_reported(notebook):
    output = notebook(
        "%%xsql\nCREATE TABLE t (a INT);\nINSERT INTO t VALUES (1), (2), (3);\n"
        "SELECT * FROM t ORDER BY a;\nDELETE FROM t"
    )
    assert [d["text/plain"].splitlines()[-1] for d in output.data] == [
        "t: table created", "t: 3 rows inserted", "3 rows x 1 column", "t: 3 rows deleted",
    ]  # fmt: skip


def test_an_empty_result_is_its_header_and_0_rows(notebook):
    assert notebook("%xsql SELECT * FROM params WHERE step > 9").text == (
        " step   │ a\n BIGINT │ DOUBLE\n────────┼────────\n0 rows x 2 columns"
    )


def test_the_limit_holds_in_every_output_type(notebook):
    output = notebook("%%xsql\nSELECT * FROM ds")
    assert output.text.endswith("10 of 200 rows x 3 columns")
    assert output.data[0]["text/html"].count("<tr>") == 11
    assert len(table_of(notebook("%xsql -l 3 SELECT * FROM ds"))) == 3
    assert notebook("%xsql --limit=0 SELECT * FROM ds").text.endswith("0 of 200 rows x 3 columns")
    notebook("%config XSqlMagic.displaylimit = 4")
    assert len(table_of(notebook("%xsql SELECT * FROM ds"))) == 4


def test_values_are_escaped(notebook):
    html = notebook("%xsql SELECT '<script>alert(1)</script>' AS \"<img onerror=x>\"").data[0]["text/html"]
    assert "<script" not in html
    assert "<img" not in html


@pytest.mark.parametrize(
    ("options", "kind"),
    [("", Result), ("-t frame", Result), ("-t pandas", pd.DataFrame), ("--type polars", pl.DataFrame),
     ("--type=arrow", pa.Table), ("-t xarray", xr.Dataset)],
)  # fmt: skip
def test_types(notebook, options, kind):
    notebook(f"x = %xsql {options} SELECT * FROM ds")
    assert isinstance(notebook.names["x"], kind)


def test_a_dataset_comes_back_whole(notebook):
    notebook("x = %xsql -t xarray SELECT * FROM ds WHERE time < 10")
    expected = notebook.names["ds"].isel(time=slice(10))
    xr.testing.assert_identical(notebook.names["x"].load(), expected)
    notebook("x = %xsql -t xarray --dims a,b SELECT 1 AS a, 2 AS b, 3 AS c")
    assert dict(notebook.names["x"].sizes) == {"a": 1, "b": 1}


def test_dims_that_cannot_be_inferred_are_asked_for(notebook):
    with pytest.raises(errors.UsageError) as caught:
        notebook("x = %xsql -t xarray SELECT 1 AS a, 2 AS b")
    assert "dims cannot be inferred" in str(caught.value)
    assert "--dims a,b" in str(caught.value)


def test_frames_by_config(notebook):
    notebook("%config XSqlMagic.autopandas = True")
    notebook("x = %xsql SELECT 1 AS a")
    assert isinstance(notebook.names["x"], pd.DataFrame)
    notebook("%config XSqlMagic.autopandas = False\n%config XSqlMagic.autopolars = True")
    notebook("%%xsql x <<\nSELECT 1 AS a")
    assert isinstance(notebook.names["x"], pl.DataFrame)
    notebook("x = %xsql -t frame SELECT 1 AS a")
    assert isinstance(notebook.names["x"], Result)


# Options and settings


def test_parameters_come_from_options_then_from_variables(notebook):
    notebook.names["lr"] = 0.25
    assert table_of(notebook("%xsql SELECT $lr AS lr, :lr AS again")) == [["0.25", "0.25"]]
    assert table_of(notebook("%xsql -p lr=0.5 SELECT $lr AS lr")) == [["0.5"]]
    assert table_of(notebook("""%xsql -p "name='; DROP TABLE params; --" SELECT $name AS n""")) == [
        ["'; DROP TABLE params; --"]
    ]
    assert "params" in get_context().tables.names()
    with pytest.raises(errors.ParameterError):
        notebook("%xsql SELECT $nothing")


def test_braces_and_slices_are_not_parameters(notebook):
    notebook.names["x"] = "never"
    assert table_of(notebook("%xsql SELECT '{x} {{x}} $x :x' AS a, [1, 2, 3][1:2] AS b")) == [
        ["{x} {{x}} $x :x", "[1, 2]"]
    ]


def test_show_sql_shows_what_ran(notebook):
    notebook.names["lr"] = 0.5
    output = notebook("%xsql --show-sql SELECT grad(a * a, a) * $lr AS g FROM params")
    assert output.data[0]["text/plain"].endswith("\nFROM params")
    assert "0.5" in output.data[0]["text/plain"]
    assert "grad" not in output.data[0]["text/plain"]


def test_the_statement_explain_shows_the_plan_and_can_be_kept(notebook):
    assert "XarrayScan" in notebook("%%xsql\nEXPLAIN SELECT avg(air) FROM ds").text
    notebook("%%xsql plan <<\nEXPLAIN SELECT avg(air) FROM ds")
    assert "XarrayScan" in notebook.names["plan"].plan
    assert len(notebook.names["plan"]) > 0


def test_executor_chooses_who_runs_a_query(notebook):
    assert table_of(notebook("%%xsql --executor dense\nSELECT lat, AVG(air) AS a FROM ds GROUP BY lat LIMIT 1"))
    with pytest.raises(errors.UnsupportedError, match="no array code for approx_median"):
        notebook("%%xsql --executor dense\nSELECT approx_median(air) FROM ds")
    shown = notebook("%%xsql --executor dense --explain\nSELECT lat, AVG(air) AS a FROM ds GROUP BY lat").text
    assert "executor: dense" in shown
    assert "median" in notebook("%%xsql --executor dense -e\nSELECT approx_median(air) FROM ds").text


def test_a_result_that_is_kept_has_not_run(notebook):
    before = get_context().chunks_read
    notebook("%%xsql kept <<\nSELECT avg(air) FROM ds WHERE time < 0")
    assert get_context().chunks_read == before
    notebook("%%xsql none <<\nSELECT 1 AS a; SELECT * FROM params WHERE step < 0; INSERT INTO params VALUES (7, 1)")
    assert notebook.names["none"].columns == ["step", "a"]


def test_explain_shows_plans_and_runs_nothing(notebook):
    output = notebook("%%xsql -e\nSELECT avg(air) FROM ds WHERE time < 3;\nDELETE FROM params")
    assert "XarrayScan: 1 of 1 chunks read, 0 pruned" in output.data[0]["text/plain"]
    assert get_context().chunks_read == 0
    assert len(get_context().scratch("params")) == 1
    with pytest.raises(errors.UnknownNameError) as caught:
        notebook("%%xsql -e\nSELECT 1;\nSELECT zzz FROM ds")
    lines = ["line 3: SELECT zzz FROM ds", "               ^^^"]
    assert str(caught.value).splitlines()[1:3] == lines
    assert str(caught.value).startswith("statement 2 of 2: ")


def test_explain_analyze_is_text_of_full_length(notebook):
    shown = notebook("%xsql EXPLAIN ANALYZE SELECT avg(air) FROM ds").data[0]["text/plain"]
    assert "output_rows=" in shown
    assert "characters)" not in shown

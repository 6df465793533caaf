"""%xsql and %%xsql in a session: errors, settings, listings, completion, interrupts."""

from __future__ import annotations

import _thread
import signal
import threading
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from IPython.core.completer import provisionalcompleter
from traitlets.config import Configurable
from xarray.backends import BackendArray
from xarray.core import indexing

from sqlmagic_xr import errors, get_context
from sqlmagic_xr.display import screen
from sqlmagic_xr.magics.errors import Interrupted
from sqlmagic_xr.magics.request import read
from sqlmagic_xr.magics.settings import XSqlMagic, take_project
from sqlmagic_xr.magics.shown import human_bytes
from sqlmagic_xr.magics.xsql import Words
from tests.magics.tables import table_of


def test_a_failed_transaction_says_that_it_is_rolled_back(notebook):
    with pytest.raises(errors.UnknownNameError) as caught:
        notebook("%%xsql\nBEGIN;\nINSERT INTO params VALUES (1, 2.0);\nSELECT zzz FROM params;\nCOMMIT")
    assert str(caught.value).splitlines()[-1] == "the transaction is rolled back"
    assert len(get_context().scratch("params")) == 1


def test_errors_of_changes_point_at_the_statement(notebook):
    with pytest.raises(errors.SqlError) as caught:
        notebook("%%xsql\nSELECT 1;\n  UPDATE params SET a = 'x'")
    assert "line 3:   UPDATE params" in str(caught.value)


def test_quiet_time_and_feedback(notebook):
    assert notebook("%%xsql -q\nINSERT INTO params VALUES (5, 1.0)").text == ""
    timed = notebook("%%xsql --time\nINSERT INTO params VALUES (6, 1.0)").data
    assert timed[0]["text/plain"] == "params: 1 row inserted"
    assert timed[1]["text/plain"].endswith(" s")
    notebook("%config XSqlMagic.feedback = 0")
    assert notebook("%%xsql\nINSERT INTO params VALUES (7, 1.0)").text == ""
    notebook("%config XSqlMagic.feedback = 2")
    assert notebook("%%xsql -o x\nSELECT 1 AS a").data[-1]["text/plain"] == "x: Result of a"
    notebook("%config XSqlMagic.timing = True")
    assert any(d["text/plain"].endswith(" s") for d in notebook("%xsql SELECT 1").data)


def test_style(notebook):
    notebook("%config XSqlMagic.style = 'markdown'")
    assert notebook("%xsql SELECT 1 AS a").text.splitlines()[0] == "| a |"


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM params", "INSERT INTO params VALUES (9, 1.0)", "CREATE TABLE t (a INT)", "DROP TABLE params",
     "UPDATE params SET a = 0", "TRUNCATE TABLE params", "COPY (SELECT 1) TO 'x.parquet'", "CREATE VIEW v AS SELECT 1",
     "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION 'x.csv'", "WITH q AS (SELECT 1) INSERT INTO params SELECT 9, 1.0",
     "SET datafusion.execution.batch_size = 1", "SELECT * INTO z FROM params", "(SELECT 1 AS a INTO z)",
     "SELECT 1 AS a INTO z UNION ALL SELECT 2", "WITH q AS (SELECT 1 AS a) SELECT * INTO z FROM q",
     "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.parquet'", "EXPLAIN ANALYZE VERBOSE COPY params TO 'x.csv' STORED AS CSV",
     "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'x.csv'", "COPY params TO 'x.csv' STORED AS CSV", "BEGIN",
     "COPY params TO 'x.zarr' STORED AS ZARR OPTIONS ('dims' 'step')", "EXPLAIN ANALYZE COPY params TO 'x.nc'",
     "PREPARE p AS SELECT 1", "EXPLAIN ANALYZE SELECT 1 AS a INTO z"],
)  # fmt: skip
def test_read_only_refuses_effects_before_anything_runs(notebook, tmp_path, statement):
    notebook("%config XSqlMagic.read_only = True")
    before = get_context().tables.names()
    with pytest.raises(errors.ImmutableError, match="this notebook is read-only"):
        notebook(f"%%xsql\nSELECT 1;\n{statement}")
    assert get_context().tables.names() == before
    assert get_context().scratch("params").version == 1
    assert not list(tmp_path.iterdir())
    assert notebook("%%xsql\nSELECT 1; EXPLAIN SELECT 1; SHOW TABLES; DESCRIBE params").data
    notebook("%%xsql\nEXPLAIN COPY params TO 'x.csv'; EXPLAIN COPY params TO 'x.zarr'")
    notebook("%%xsql\nEXPLAIN ANALYZE SELECT 1; EXPLAIN DELETE FROM params; VALUES (1)")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["--save x.duckdb", "--open x.duckdb", "--close"])
def test_read_only_leaves_files_and_the_tables_in_them_alone(notebook, tmp_path, line):
    notebook("%config XSqlMagic.read_only = True")
    with pytest.raises(errors.ImmutableError, match=f"{line.split()[0]} is refused: this notebook is read-only"):
        notebook(f"%xsql {line}")
    assert not list(tmp_path.iterdir())


def test_a_huge_grid_is_not_fetched_unasked(notebook):
    notebook("%config XSqlMagic.fetchlimit = 100")
    for cell in ("x = %xsql -t pandas SELECT * FROM ds", "%%xsql\nCREATE TABLE t AS SELECT * FROM ds",
                 "%%xsql\nINSERT INTO params SELECT time, air FROM ds"):  # fmt: skip
        with pytest.raises(errors.UsageError, match=r"would fetch 200 rows x \d columns into memory, about [34]"):
            notebook(cell)
    assert get_context().chunks_read == 0
    notebook("x = %xsql -t pandas --yes SELECT * FROM ds")
    assert len(notebook.names["x"]) == 200
    notebook("x = %xsql -t pandas SELECT * FROM ds LIMIT 150")
    assert len(notebook.names["x"]) == 150
    notebook("%%xsql\nCREATE TABLE means AS SELECT lat, avg(air) AS air FROM ds GROUP BY lat")
    shown = notebook("%xsql SELECT * FROM ds").text  # reads one chunk and says what the whole would be
    assert shown.endswith("10 of 200 rows x 3 columns; fetched whole they are about 4.8 kB")


def test_settings_come_from_the_nearest_pyproject(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.sqlmagic_xr]\ndisplaylimit = 3\nread_only = true\n")
    (tmp_path / "inner").mkdir()
    found = XSqlMagic()
    take_project(found, tmp_path / "inner")
    assert (found.displaylimit, found.read_only, found.feedback) == (3, True, 1)
    assert isinstance(found, Configurable)
    (tmp_path / "pyproject.toml").write_text("[tool.sqlmagic_xr]\ndisplaylimt = 3\nstyle = 'no'\nfeedback = 2\n")
    with pytest.warns(UserWarning) as warned:  # noqa: PT030 (both are looked at below)
        take_project(found, tmp_path)
    unknown, wrong = (str(w.message) for w in warned)
    assert "'displaylimt', which is no setting. Did you mean `displaylimit`?" in unknown
    assert "'style'" in wrong
    assert found.feedback == 2
    (tmp_path / "pyproject.toml").write_text("not [ toml")
    with pytest.warns(UserWarning, match="cannot be read"):
        take_project(found, tmp_path)


# Errors


def test_an_error_is_short_and_the_cell_fails(notebook):
    with pytest.raises(errors.UnknownNameError):
        notebook("%%xsql\nINSERT INTO params VALUES (1, 2.0);\nSELECT lat,\n  latt\nFROM ds;\nSELECT 1")
    assert notebook.output.text.splitlines() == [
        "params: 1 row inserted",
        "statement 2 of 3: there is no column latt",
        "line 4:   latt",
        "          ^^^^",
        "Did you mean `lat`?",
        "statement 1 did: params: 1 row inserted",
    ]


@pytest.mark.parametrize(
    ("cell", "pointed"),
    [
        ("%%xsql\nSELEC 1", ["line 2: SELEC 1", "        ^^^^^"]),
        ("%%xsql\nSELECT 1 FROM\n  nothing", ["line 3:   nothing", "          ^^^^^^^"]),
        ("%xsql SELECT sin(lat, 1) FROM ds", ["line 1: %xsql SELECT sin(lat, 1) FROM ds", "                     ^^^"]),
        ("x = %xsql -q SELECT zz FROM ds", ["line 1: %xsql -q SELECT zz FROM ds", "                        ^^"]),
        ("%%xsql -q SELECT 1,\nzz FROM ds", ["line 2: zz FROM ds", "        ^^"]),
        ("%%xsql --limit x\nSELECT 1", ["line 1: %%xsql --limit x", "                       ^"]),
        ("%%xsql 2x <<\nSELECT 1", ["line 1: %%xsql 2x <<", "               ^^"]),
        ("%%xsql\nSELECT grad(a * zz, a) FROM params", ["line 2: SELECT grad(a * zz, a) FROM params",
                                                         "                        ^^"]),
        ("%%xsql\nSELECT $nothing, 1", ["line 2: SELECT $nothing, 1", "               ^^^^^^^^"]),
        ("%%xsql\nINSERT INTO params SELECT zz, 1 FROM ds", ["line 2: INSERT INTO params SELECT zz, 1 FROM ds",
                                                              "                                  ^^"]),
    ],
)  # fmt: skip
def test_errors_point_into_the_cell(notebook, cell, pointed):
    with pytest.raises(errors.SqlError) as caught:
        notebook(cell)
    assert str(caught.value).splitlines()[1:3] == pointed
    assert "Traceback" not in notebook.output.text


def test_tracebacks_come_back_on_request(notebook):
    notebook("%config XSqlMagic.short_errors = False")
    with pytest.raises(errors.UnknownNameError):
        notebook("%xsql SELECT zz FROM ds")
    assert "Traceback (most recent call last)" in notebook.output.text


def test_a_statement_that_fails_while_it_runs_ends_the_script(notebook):
    with pytest.raises(errors.ExecutionError):
        notebook("%%xsql\nSELECT CAST('x' || lat AS INT) FROM ds;\nDELETE FROM params")
    assert len(get_context().scratch("params")) == 1


# The catalog


def test_tables_are_listed(notebook):
    notebook("%xsql SELECT 1 FROM ds")
    rows = {row[0]: row[1:] for row in table_of(notebook("%xsql --tables"))}
    assert rows["ds"] == ["Dataset variable", "200", "3", "time: 40, lat: 5", "1", "2.0 kB"]
    assert rows["params"] == ["scratch", "1", "2", "", "", "16 bytes"]


def test_a_schema_is_shown(notebook):
    output = notebook("%xsql --schema ds")
    assert table_of(output)[2] == ["air", "DOUBLE", "true", "", "K", ""]
    output = notebook("%xsql --schema params")
    assert table_of(output)[0] == ["step", "BIGINT", "false", "PRIMARY KEY"]
    assert "version 1, versions from 0 on can be restored" in output.text
    with pytest.raises(errors.UnknownNameError, match="Did you mean `params`"):
        notebook("%xsql --schema parms")


def test_show_and_describe_hide_the_engines_internals(notebook):
    assert table_of(notebook("%xsql SHOW TABLES")) == [["params", "scratch"], ["ds", "Dataset variable"]]
    assert table_of(notebook("%xsql SHOW COLUMNS FROM params"))[1] == ["a", "DOUBLE", "true", "NULL"]
    assert table_of(notebook("%xsql DESCRIBE ds"))[0][:2] == ["time", "BIGINT"]
    assert table_of(notebook("%xsql DESCRIBE SELECT time, 1.5 AS x FROM ds"))[1] == ["x", "DOUBLE", "false", "NULL"]
    assert table_of(notebook("%xsql SUMMARIZE SELECT 7 AS seven"))[0][:3] == ["seven", "BIGINT", "1"]
    with pytest.raises(errors.UnknownNameError) as caught:
        notebook("%%xsql\nDESCRIBE parms")
    assert str(caught.value).splitlines()[1:3] == ["line 2: DESCRIBE parms", "                 ^^^^^"]


def test_words_for_completion(notebook):
    words = Words()
    assert words.tables() == ["ds", "params"]
    assert words.columns(("ds",)) == {"time": "BIGINT", "lat": "DOUBLE", "air": "DOUBLE"}
    assert words.columns(("params",)) == {"step": "BIGINT", "a": "DOUBLE"}
    assert words.columns(("nothing",)) is None
    notebook.names.update(lr=0.1, module=pytest)
    assert "lr" in words.parameters()
    assert "module" not in words.parameters()
    assert words.functions()["grad"].kind == "derivative"


@pytest.mark.parametrize(
    ("marked", "found"),
    [
        ("%%xsql\nSELECT p.| FROM (SELECT step AS s FROM params) p", ["s"]),
        ("%%xsql\nSELECT lat| FROM ds", ["lat", "lateral"]),
        ("%xsql SELECT * FROM d|", ["ds"]),
        ("%xsql SELECT tarf|", []),
        ("%%xsql --sho|", ["--show-sql"]),
        ("%%xsql_train --sche|", ["--schedule"]),
    ],
)
def test_completion_in_the_shell(notebook, marked, found):
    completer = notebook.shell.Completer
    with provisionalcompleter():
        offered = list(completer.completions(marked.replace("|", ""), marked.index("|")))
    assert [c.text for c in offered] == found


# Interrupt and progress


def test_an_interrupt_is_one_line_and_changes_nothing(notebook):
    notebook.names["big"] = pa.table({"x": list(range(100_000))})
    timer = threading.Timer(0.5, _thread.interrupt_main, [signal.SIGINT])
    timer.start()
    begin = time.monotonic()
    with pytest.raises(Interrupted):
        notebook(
            "%%xsql\nINSERT INTO params SELECT 1, sum(sin(l.x * r.x)) FROM big l CROSS JOIN big r WHERE l.x < 2000"
        )
    assert time.monotonic() - begin < 1.5
    assert "Interrupted: the query ran for 0." in notebook.output.text
    assert "Traceback" not in notebook.output.text
    assert len(get_context().scratch("params")) == 1
    assert table_of(notebook("%xsql SELECT count(*) AS n FROM params")) == [["1"]]


class SlowArray(BackendArray):
    """Zeros that take their time to read."""

    shape, dtype = (8, 2), np.dtype(float)

    def __getitem__(self, key):
        time.sleep(0.3)
        zeros = np.zeros(self.shape)
        basic = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, basic, lambda index: zeros[index])


def test_progress_is_shown_and_wiped(notebook, monkeypatch):
    monkeypatch.setattr(screen, "PATIENCE", 0.05)
    data = indexing.LazilyIndexedArray(SlowArray())
    dataset = xr.Dataset({"air": (("time", "lat"), data)}, coords={"time": np.arange(8), "lat": np.arange(2)})
    get_context().from_dataset("slow", dataset, chunks={"time": 1})
    output = notebook("%xsql SELECT avg(air) AS air FROM slow")
    assert " of 8 chunks read" in output.stderr
    assert output.stderr.endswith("\r")
    assert output.text.endswith("1 row x 1 column")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (1_600_000_000, "1.6 GB"), (10**18, "1000.0 PB")]
)
def test_bytes_as_people_say_them(size, text):
    assert human_bytes(size) == text


def test_a_request_keeps_the_places_of_the_cell():
    request = read("-q x <<", "SELECT 1\nFROM t")
    assert request.source == "%%xsql -q x <<\nSELECT 1\nFROM t"
    assert len(request.script) == len(request.source)
    assert request.script.splitlines()[1:] == ["SELECT 1", "FROM t"]


def test_loading_twice_and_unloading(notebook):
    shell = notebook.shell
    notebook("%reload_ext sqlmagic_xr")
    matchers = [m for m in shell.Completer.custom_matchers if m.matcher_identifier == "sqlmagic_xr"]
    assert len(matchers) == 1
    assert len([c for c in shell.configurables if type(c).__name__ == "XSqlMagic"]) == 1


def test_max_recursion_is_a_setting(notebook):
    endless = "%%xsql\nWITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) AS n FROM r"
    notebook("%config XSqlMagic.max_recursion = 20")
    with pytest.raises(errors.ExecutionError, match="still gives rows after 20 rounds"):
        notebook(endless)
    notebook("%config XSqlMagic.max_recursion = 1_000_000")
    notebook(endless.replace("FROM r)", "FROM r WHERE n < 40)"))


def test_a_table_that_hides_a_variable_is_told_of_once(notebook):
    told = "`params` is the table of that name, which hides the DataFrame variable"
    notebook.names["params"] = 3
    assert told not in notebook("%xsql SELECT * FROM params").text
    notebook.names["params"] = pd.DataFrame({"q": [1]})
    assert told not in notebook("%xsql -q SELECT * FROM ds LIMIT 1").text
    assert notebook("%%xsql\nSELECT COUNT(*) FROM params;\nSELECT 1").text.count(told) == 1
    assert told not in notebook("%xsql SELECT * FROM params").text
    notebook.names["df"] = pd.DataFrame({"q": [1]})
    assert "it hides the DataFrame variable `df`" in notebook("%xsql CREATE TABLE df AS SELECT 1 AS q").text
    assert "hides" not in notebook("%xsql SELECT * FROM df").text


def test_a_result_is_drawn_or_summarised(notebook):
    drawn = notebook("%%xsql --plot\nSELECT time, AVG(air) AS air FROM ds GROUP BY time")
    assert any("image/png" in bundle for bundle in drawn.data)
    notebook.names["low"] = 20
    told = table_of(notebook("%%xsql --profile\nSELECT time FROM ds WHERE time > :low"))
    assert told[0][:3] == ["time", "BIGINT", "95"]


def test_options_take_variables(notebook):
    notebook.names["n"] = 2
    assert len(table_of(notebook("%xsql --limit $n SELECT * FROM ds"))) == 2
    notebook.names["steps"] = np.int64(3)
    notebook(
        "%%xsql_train --steps $steps --static -p lr=$n\n"
        "INSERT INTO params SELECT :next_step, a + :lr FROM params WHERE step = :k"
    )
    assert table_of(notebook("%xsql SELECT MAX(step) AS s, MAX(a) AS a FROM params")) == [["3", "7.5"]]


def test_time_counts_what_is_shown(notebook):
    shown = notebook("%%time\n%xsql SELECT 41 + 1 AS answer")
    assert table_of(shown) == [["42"]]
    assert shown.printed.index("CPU times") >= 0
    assert len(shown.data) == 1
    kept = notebook("%%time\nx = %xsql SELECT 41 + 1 AS answer")
    assert kept.data == []
    assert list(notebook.names["x"]) == [(42,)]
    notebook("%%time\ny = %xsql SELECT AVG(air) AS air FROM ds")
    assert notebook.names["y"]._previews, "it has run when the clock stops"

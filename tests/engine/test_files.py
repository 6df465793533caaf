"""Files as tables: whatever can be read is read by its name, follows the file, and says what is wrong with it."""

import os
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.engine.inventory import schema, tables
from sqlmagic_xr.errors import SqlError, StorageError, UnknownNameError, UnsupportedError, UsageError

FRAME = pd.DataFrame({"a": [1.0, 2.0, 2.5], "b": ["x", "y", "y"]})
GRID = xr.Dataset(
    {"v": (("x", "y"), np.arange(6.0).reshape(2, 3), {"units": "K"}), "w": ("x", [1.0, 2.0])}, {"x": [0, 1]}
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FRAME.to_parquet("f.parquet")
    FRAME.to_csv("part1.csv", index=False)
    FRAME.to_csv("part2.csv", index=False)
    FRAME.to_csv("odd.csv", index=False, header=False, sep=";")
    FRAME.to_csv("t.tsv", index=False, sep="\t")
    FRAME.to_csv("z.csv.gz", index=False)
    FRAME.to_json("j.jsonl", orient="records", lines=True)
    GRID.to_netcdf("several.nc")
    GRID[["v"]].to_netcdf("one.nc")
    return tmp_path


def rows(context, query):
    return [tuple(row.values()) for row in context.script(query)[-1].to_arrow_table().to_pylist()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT COUNT(*), SUM(a) FROM 'f.parquet'", [(3, 5.5)]),
        ("SELECT f.b FROM 'f.parquet' WHERE f.a > 2", [("y",)]),
        ("SELECT p.a FROM \"f.parquet\" AS p JOIN 'part1.csv' c ON p.a = c.a WHERE c.b = 'x'", [(1.0,)]),
        ("SELECT COUNT(*), SUM(a) FROM 'part*.csv'", [(6, 11.0)]),
        ("SELECT SUM(a) FROM 't.tsv'", [(5.5,)]),
        ("SELECT SUM(a) FROM 'z.csv.gz'", [(5.5,)]),
        ("SELECT SUM(a) FROM 'j.jsonl'", [(5.5,)]),
        ("SELECT SUM(column_1) FROM read_csv('odd.csv', delim = ';', header = false)", [(5.5,)]),
        ("SELECT SUM(column_1) FROM read_csv('odd.csv', delim => ';', header => false)", [(5.5,)]),
        ("SELECT COUNT(*) FROM read_csv(['part1.csv', 'part2.csv'])", [(6,)]),
        ("SELECT COUNT(*) FROM read_parquet(['f.parquet', 'f.parquet'])", [(6,)]),
        ("SELECT AVG(v) FROM 'one.nc'", [(2.5,)]),
        ("SELECT SUM(w), COUNT(*) FROM 'several.nc'", [(3.0, 2)]),
        ("WITH q AS (SELECT a FROM 'f.parquet') SELECT AVG(grad(a * a, a)) FROM q", [(11 / 3,)]),
        ("CREATE VIEW v AS SELECT a FROM 'f.parquet'; SELECT COUNT(*) FROM v", [(3,)]),
        ("CREATE TABLE t AS SELECT * FROM 'part1.csv'; SELECT SUM(a) FROM t", [(5.5,)]),
        ("CREATE TABLE t AS SELECT 2 AS a; SELECT SUM(a) FROM 't'", [(2,)]),
    ],
)
def test_a_file_is_a_table_under_its_name(folder, query, expected):
    assert rows(Context(), query) == [pytest.approx(row) for row in expected]


def test_a_zarr_store_is_read_lazily_with_its_attributes(folder):
    pytest.importorskip("zarr")
    (written,) = Context(namespace=lambda: {"g": GRID[["v"]]}).script("COPY g TO 'g.zarr'")
    assert "written" in written.message
    context = Context()
    (result,) = context.script("SELECT x, y, v FROM 'g.zarr' WHERE v > 2")
    found = result.to_dataset()
    assert found.v.attrs == {"units": "K"}
    np.testing.assert_array_equal(found.v, [[3, 4, 5]])


def test_it_is_read_anew_when_it_has_changed_also_through_a_view(folder):
    context = Context()
    context.script("CREATE VIEW v AS SELECT a FROM 'f.parquet'")
    assert rows(context, "SELECT COUNT(*) FROM v") == [(3,)]
    pd.concat([FRAME, FRAME]).to_parquet("f.parquet")
    os.utime("f.parquet", ns=(1, 1))
    assert rows(context, "SELECT COUNT(*) FROM v") == [(6,)]
    assert rows(context, "SELECT COUNT(*) FROM 'f.parquet'") == [(6,)]
    GRID[["w"]].to_netcdf("one.nc")
    assert rows(context, "SELECT SUM(w) FROM 'one.nc'") == [(3.0,)]


def test_it_is_listed_and_described(folder):
    context = Context()
    context.script("SELECT 1 FROM 'f.parquet'; SELECT w FROM 'several.nc'")
    listed = dict(zip(*(tables(context)[c].to_pylist() for c in ("name", "rows")), strict=True))
    assert listed == {"f.parquet": None, "several.nc.x": 2, "several.nc.x_y": 6}
    assert schema(context, "f.parquet").columns["column_name"].to_pylist() == ["a", "b"]
    assert rows(context, "DESCRIBE 'part1.csv'")[0][:2] == ("a", "DOUBLE")
    assert "v" in schema(context, "several.nc.x_y").columns["column_name"].to_pylist()


@pytest.mark.parametrize(
    ("query", "kind", "what", "hint"),
    [
        ("SELECT * FROM 'g.parquet'", StorageError, "there is no file g.parquet", "Did you mean `f.parquet`?"),
        ("SELECT * FROM 'f.parqet'", UnsupportedError, "no file that can be read", "Did you mean `f.parquet`?"),
        ("SELECT * FROM 'nothing*.csv'", StorageError, "there is no file", None),
        ("SELECT * FROM read_csv('odd.csv', dlim = ';')", UsageError, "no option `dlim`", "Did you mean `delim`?"),
        ("SELECT * FROM read_parquet()", UsageError, "a reader needs a file", "As in: read_csv('data.csv')"),
        ("SELECT * FROM 'several.nc'", UnknownNameError, "it is several tables", '"several.nc".x_y, "several.nc".x'),
        ("SELECT * FROM 'broken.parquet'", StorageError, "broken.parquet cannot be read", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(folder, query, kind, what, hint):
    (folder / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(kind, match=what) as raised:
        Context().script(query)
    if hint is not None:
        assert hint in raised.value.hint


def test_a_table_of_that_name_is_read_where_there_is_one(folder):
    context = Context()
    context.script('CREATE TABLE "f.parquet" AS SELECT 7 AS a')
    assert rows(context, 'SELECT a FROM "f.parquet"') == [(7,)]


def test_reading_has_no_effects_and_copying_has(folder):
    from sqlmagic_xr.sql.syntax import parse_one

    assert not parse_one("SELECT * FROM 'f.parquet'").has_effects
    assert not parse_one("SUMMARIZE 'f.parquet'").has_effects
    assert parse_one("COPY t TO 'f.csv' (HEADER)").has_effects


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ("(HEADER, DELIMITER ';')", "a;b"),
        ("(HEADER false, DELIM '|')", "1.0|x"),
        ("WITH (FORMAT csv, HEADER true)", "a,b"),
        ("(FORMAT parquet)", None),
        ("STORED AS CSV OPTIONS ('format.delimiter' ';')", "a;b"),
    ],
)
@pytest.mark.parametrize("query", ["df", "(SELECT a, b FROM df)", "(SELECT $one AS a, b FROM df LIMIT 1)"])
def test_copy_takes_options_as_people_write_them(folder, query, options, first):
    context = Context(namespace=lambda: {"df": FRAME, "one": 1.0})
    (result,) = context.script(f"COPY {query} TO 'out.csv' {options}")
    assert result.message == "out.csv: written"
    if first is not None:
        assert (folder / "out.csv").read_text().splitlines()[0] == first
    else:
        assert pd.read_parquet("out.csv")["a"][0] == 1.0


def test_a_wrong_option_of_copy_is_pointed_at(folder):
    context = Context(namespace=lambda: {"df": FRAME, "grid": GRID[["v"]]})
    with pytest.raises(UsageError, match="no option `headr`") as raised:
        context.script("COPY df TO 'out.csv' (HEADR)")
    assert raised.value.hint == "Did you mean `header`?"
    assert raised.value.span.column == 23
    with pytest.raises(SqlError, match="options are names with a value each"):
        context.script("COPY df TO 'out.csv' (HEADER true false)")
    context.script("COPY grid TO 'out.nc' (overwrite true)")
    assert rows(context, "SELECT SUM(v) FROM 'out.nc'") == [(15.0,)]


def test_an_error_about_a_file_points_at_its_name_and_says_what_is_there(folder):
    (folder / "sub").mkdir()
    for query, word, hint in [
        ("SELECT *\nFROM 'quite_other.csv'", "'quite_other.csv'", "There are: "),
        ("SELECT * FROM 'quite_other.json'", "'quite_other.json'", "No .json file is in "),
        ("SELECT * FROM 'nowhere/f.csv'", "'nowhere/f.csv'", "There is no folder nowhere in "),
        ("SELECT * FROM 'sub'", "'sub'", "It is a folder. What is in it is named by a pattern: 'sub/*.parquet'"),
        ("SELECT * FROM 'several.nc'", "'several.nc'", 'Name one of them: "several.nc".x_y'),
    ]:
        with pytest.raises(SqlError) as raised:
            Context().script(query)
        assert hint in raised.value.hint
        line = query.split("\n")[raised.value.span.line - 1]
        assert line[raised.value.span.column - 1 : raised.value.span.end_column - 1] == word
    assert rows(Context(), 'SELECT COUNT(*) FROM "several.nc".x_y'), "in a new kernel, too"


def test_the_columns_of_a_file_are_called_as_they_were_written(folder):
    context = Context()
    names = "SELECT SUM(a) FROM 'part1.csv'", "SELECT MAX(a) + 1, b AS c FROM read_csv('part*.csv') GROUP BY b"
    assert [context.script(query)[0].headers for query in names] == [["SUM(a)"], ["MAX(a) + 1", "c"]]
    assert context.script("SHOW TABLES")[0].to_arrow_table()["kind"].to_pylist() == ["file", "file"]
    with pytest.raises(UnknownNameError) as raised:
        context.script("SELECT * FROM nothing")
    assert "part" not in raised.value.hint


@pytest.mark.parametrize("options", ["FORMAT PARQUET, COMPRESSION ZSTD", "COMPRESSION 'gzip'", "COMPRESSION snappy"])
def test_parquet_is_compressed_as_it_is_asked_for(folder, options):
    Context(namespace=lambda: {"df": FRAME}).script(f"COPY df TO 'out.parquet' ({options})")
    column = pq.ParquetFile("out.parquet").metadata.row_group(0).column(0)
    assert column.compression.lower() in options.lower()
    assert rows(Context(), "SELECT SUM(a) FROM 'out.parquet'") == [(5.5,)]


def test_a_folder_of_parts_is_written_by_the_values_of_columns(folder):
    context = Context(namespace=lambda: {"df": FRAME.rename(columns={"b": "Kind"}), "x y": FRAME})
    context.script("COPY df TO 'parts' (FORMAT PARQUET, PARTITION_BY (\"Kind\"), COMPRESSION zstd)")
    assert sorted(path.name for path in (folder / "parts").iterdir()) == ["Kind=x", "Kind=y"]
    assert rows(context, "SELECT \"Kind\", SUM(a) FROM 'parts/*/*.parquet' GROUP BY 1 ORDER BY 1") == [
        ("x", 1.0), ("y", 4.5)
    ]  # fmt: skip
    for target, column, what in [("p", '"x y"', "plain names only"), ("p.zarr", "a", "not PARTITIONED BY")]:
        with pytest.raises(UnsupportedError, match=what):
            context.script(f"COPY df TO '{target}' (PARTITION_BY ({column}))")


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Files of one table whose columns differ, by place or by name."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "a1.csv": "x,y\n1,2\n", "a2.csv": "y,x\n3,4\n", "b1.csv": "x,y,z\n5,6,7\n", "semi.csv": "x;y\n1,5;2\n",
        "tab.txt": "x\ty\n1\t2\n", "bar.csv": "x|y\n1|2\n", "one.csv": "x\n1\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    for name in ("a1.csv", "a2.csv"):
        (tmp_path / "folder" / "inner").mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / ("inner" if name == "a2.csv" else ".") / name).write_text((tmp_path / name).read_text())
    (tmp_path / "folder" / "_SUCCESS").write_text("")
    for year, frame in ((2020, pd.DataFrame({"v": [1]})), (2021, pd.DataFrame({"v": [2], "w": [3]}))):
        (tmp_path / f"year={year}").mkdir()
        frame.to_parquet(f"year={year}/p.parquet")
    return Context()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT x, y FROM 'a*.csv' ORDER BY x", [(1, 2), (4, 3)]),
        ("SELECT x, y FROM read_csv('folder') ORDER BY x", [(1, 2), (4, 3)]),
        ("SELECT x, y, filename FROM read_csv('a*.csv', filename => true) ORDER BY x",
         [(1, 2, "a1.csv"), (4, 3, "a2.csv")]),
        ("SELECT x, y, z FROM read_csv(['b1.csv', 'a2.csv'], union_by_name = true) ORDER BY x",
         [(4, 3, None), (5, 6, 7)]),
        ("SELECT x, path FROM read_csv('one.csv', filename => 'path')", [(1, "one.csv")]),
        ("SELECT COUNT(*) FROM read_csv('a*.csv', header => false)", [(4,)]),
        ("SELECT x, y FROM 'semi.csv'", [("1,5", 2)]),
        ("SELECT x, y FROM 'tab.txt'", [(1, 2)]),
        ("SELECT x, y FROM 'bar.csv'", [(1, 2)]),
        ("SELECT x FROM read_csv('one.csv', separator => ';')", [(1,)]),
        ("SELECT year, v FROM '*/*.parquet' ORDER BY v", [(2020, 1), (2021, 2)]),
        ("SELECT * FROM read_parquet('*/*.parquet', hive_partitioning => false) ORDER BY v", [(1,), (2,)]),
        ("SELECT v, w, year, filename FROM read_parquet('*/*.parquet', union_by_name => true, filename => true)"
         " ORDER BY v", [(1, None, 2020, "year=2020/p.parquet"), (2, 3, 2021, "year=2021/p.parquet")]),
    ],
)  # fmt: skip
def test_parts_are_put_together_by_name(parts, query, expected):
    assert rows(parts, query) == expected


@pytest.mark.parametrize(
    ("query", "what", "hint"),
    [
        ("FROM '?1.csv'", "b1.csv has other columns than a1.csv: z", "union_by_name => true"),
        ("FROM read_csv('a1.csv', filename => 'x')", "a1.csv has a column x itself", "another name"),
        ("FROM read_csv('a1.csv', union_by_name => 1)", "union_by_name is true or false, not 1", ""),
        ("FROM read_csv('a1.csv', skip => 1)", "no option `skip`", "pandas reads such a file"),
        ("FROM read_csv('a1.csv', dateformat => '%d')", "no option `dateformat`", "to_date"),
        ("FROM read_csv('a1.csv', hive_partitioning => true)", "no option `hive_partitioning`", "filename => true"),
    ],
)
def test_what_parts_cannot_be_is_said(parts, query, what, hint):
    with pytest.raises(UsageError, match=re.escape(what)) as raised:
        parts.script("SELECT * " + query)
    assert hint in (raised.value.hint or "")


def test_a_file_with_its_path_is_read_anew_when_it_has_changed(parts, tmp_path):
    query = "SELECT SUM(x), MIN(filename) FROM read_csv('one.csv', filename => true)"
    assert rows(parts, query) == [(1, "one.csv")]
    (tmp_path / "one.csv").write_text("x\n20\n30\n")
    assert rows(parts, query) == [(50, "one.csv")]

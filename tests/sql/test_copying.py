"""COPY ... TO is taken apart where the user wrote it."""

import pytest

from sqlmagic_xr import errors
from sqlmagic_xr.sql.copying import copy_of, explained_copy
from sqlmagic_xr.sql.syntax import parse_one, split


@pytest.mark.parametrize(
    ("text", "target", "form", "query"),
    [
        ("COPY (SELECT 1 AS a) TO 'x.zarr'", "x.zarr", "zarr", "SELECT 1 AS a"),
        ("copy ( SELECT ')' AS a ) to 'x' stored as zarr", "x", "zarr", " SELECT ')' AS a "),
        ("COPY (SELECT 1 /* ) TO */) TO 'x.nc' -- TO", "x.nc", "netcdf", "SELECT 1 /* ) TO */"),
        ("COPY t TO 'it''s.nc'", "it's.nc", "netcdf", "FROM t"),
        ("COPY s.\"T\" TO 'x.ZARR/'", "x.ZARR/", "zarr", 'FROM s."T"'),
        ("COPY t TO 'x' STORED AS NETCDF4", "x", "netcdf", "FROM t"),
        ("COPY t TO 'x.zarr' STORED AS PARQUET", "x.zarr", "", "FROM t"),
        ("COPY t TO 'x.parquet' OPTIONS ('whatever' 3)", "x.parquet", "", "FROM t"),
        ("COPY t TO 'zarr'", "zarr", "", "FROM t"),
        ("COPY (WITH q AS (SELECT 1 AS a) SELECT a FROM q) TO '.zarr'", ".zarr", "", None),
    ],
)
def test_the_parts(text, target, form, query):
    copy = copy_of(parse_one(text))
    assert (copy.target, copy.form) == (target, form)
    assert query is None or copy.query.text == query


def test_options():
    copy = copy_of(parse_one("COPY t TO 'x.nc' STORED AS NC OPTIONS ('dims' 'time, lat', overwrite TRUE)"))
    assert (copy.dims, copy.overwrite) == (["time", "lat"], True)
    copy = copy_of(parse_one("COPY t TO 'x.nc'"))
    assert (copy.dims, copy.overwrite) == (None, False)
    assert copy_of(parse_one("COPY t TO 'x.nc' OPTIONS ('dims' '')")).dims == []


def test_a_table_is_selected_whole_and_stands_where_it_was_written():
    copy = copy_of(split("SELECT 1;\n  COPY  t TO 'x.nc'")[1])
    (table,) = copy.tree["Query"]["body"]["Select"]["from"]
    span = table["relation"]["Table"]["name"][0]["Identifier"]["span"]
    assert span["start"] == {"line": 2, "column": 9}
    assert "Wildcard" in copy.tree["Query"]["body"]["Select"]["projection"][0]


@pytest.mark.parametrize(
    "text",
    ["SELECT 1", "COPY t FROM 'x.zarr'", "COPY t TO x", "COPY TO 'x.zarr'", "COPYING TO 'x'",
     "COPY (SELECT 1 TO 'x.zarr'", "COPY (SELEC 1) TO 'x.parquet'", "COPY"],
)  # fmt: skip
def test_what_is_none_of_ours(text):
    assert copy_of(split(text)[0]) is None


@pytest.mark.parametrize(
    ("tail", "at", "says"),
    [
        ("PARTITIONED BY (a)", "PARTITIONED", "not PARTITIONED BY"),
        ("WITH (a)", "WITH", "may follow"),
        ("OPTIONS ('dims')", "OPTIONS", "may follow"),
        ("OPTIONS ('dims' 'a' 'overwrite' 'true')", "OPTIONS", "may follow"),
        ("OPTIONS ('dims' 'a'", "OPTIONS", "may follow"),
        ("OPTIONS", "OPTIONS", "may follow"),
        ("OPTIONS ('dimss' 'a')", "'dimss'", "no option `dimss`"),
        ("OPTIONS ('overwrite' 'maybe')", "'maybe'", "'true' or 'false'"),
    ],
)
def test_what_is_wrong_points_there(tail, at, says):
    text = f"COPY t TO 'x.zarr' {tail}"
    with pytest.raises(errors.SqlError, match=says) as caught:
        copy_of(parse_one(text))
    span = caught.value.span
    assert text[span.column - 1 : span.end_column - 1] == at


def test_a_query_that_cannot_be_read_is_an_error_of_ours():
    with pytest.raises(errors.ParseError) as caught:
        copy_of(split("SELECT 1;\nCOPY (SELEC 1) TO 'x.zarr'")[1])
    assert (caught.value.span.line, caught.value.span.column) == (2, 7)


def test_explain_of_a_copy_explains_its_query_in_its_place():
    asked = explained_copy(parse_one("EXPLAIN COPY\n (SELECT a FROM t) TO 'x' STORED AS ZARR"))
    assert asked.text == "EXPLAIN     \n  SELECT a FROM t"
    assert explained_copy(parse_one("EXPLAIN COPY t TO 'x.parquet'")) is None
    assert explained_copy(parse_one("EXPLAIN SELECT 1")) is None

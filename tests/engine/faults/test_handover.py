"""What DataFusion and xarray-sql hand over wrongly, still: where one of these fails, a workaround of ours can go."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from datafusion import SessionContext
from datafusion.dataframe_formatter import DataFrameHtmlFormatter
from xarray_sql.ds import XarrayDataFrame

MIXED = "SELECT 1 AS y UNION ALL SELECT 1.5"


def test_the_schema_of_a_frame_is_that_before_coercion():
    frame = SessionContext().sql(MIXED)
    assert frame.schema().field("y").type == pa.int64()
    assert frame.to_arrow_table().schema.field("y").type == pa.float64()


def test_the_stream_of_a_frame_reads_one_type_as_another():
    assert sorted(pa.table(SessionContext().sql(MIXED))["y"].to_pylist()) != [1, 1.5]


def test_a_view_in_a_lateral_within_a_lateral_loses_its_columns():
    session = SessionContext()
    session.from_pydict({"id": [1, 2]}, "rows")
    session.sql("CREATE VIEW seen AS SELECT * FROM rows").collect()
    inner = "LATERAL (SELECT seen.id AS n FROM seen WHERE seen.id = a.id) AS b"
    with pytest.raises(Exception, match="No field named"):
        session.sql(
            f"SELECT c.n FROM rows, LATERAL (SELECT b.n FROM rows AS a, {inner} WHERE a.id = rows.id) AS c"
        ).collect()


def test_a_result_without_rows_has_the_types_before_coercion():
    assert SessionContext().sql(f"{MIXED} LIMIT 0").to_arrow_table().schema.field("y").type == pa.int64()


def test_u_0000_in_a_name_ends_the_process():
    code = "from datafusion import SessionContext; SessionContext().sql('SELECT 1 AS \"a\\0b\"').schema()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0


def test_html_is_not_escaped():
    rows = pa.table({"a": ["<b>x</b>"]})
    assert "<b>x</b>" in DataFrameHtmlFormatter().format_html(rows.to_batches(), rows.schema)


def test_the_last_of_two_rows_wins():
    frame = SessionContext().from_pydict({"site": ["a", "a"], "n": [1, 2]})
    assert XarrayDataFrame(frame).to_dataset(dims=["site"]).sizes["site"] == 1


def test_cells_without_a_row_are_no_missing_values():
    frame = SessionContext().from_pydict({"a": [1, 2], "b": [1, 2], "n": [5, 7]})
    assert XarrayDataFrame(frame).to_dataset(dims=["a", "b"]).n.dtype == "int64"


def test_a_null_is_no_missing_value():
    frame = SessionContext().from_arrow(pa.table({"a": [1, 2], "ok": pa.array([True, None])}))
    assert not XarrayDataFrame(frame).to_dataset(dims=["a"]).ok.isnull().any()

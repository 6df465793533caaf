"""Names of our own: no table, view, column or result of the user's can have one or lose its own to it."""

import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UsageError


@pytest.fixture
def ctx():
    context = Context()
    context.script("CREATE TABLE t (a BIGINT PRIMARY KEY, b DOUBLE); INSERT INTO t VALUES (1, 5.0)")
    return context


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE __kept_0__ (a BIGINT)",
        "CREATE TABLE __values__ AS SELECT 1 AS a",
        "CREATE OR REPLACE VIEW __rows_0__ AS SELECT 1 AS a",
        "ALTER TABLE t RENAME TO __target__",
        "CREATE TABLE s (__row__ BIGINT)",
        "CREATE TABLE s AS SELECT 1 AS __row__",
        "ALTER TABLE t ADD COLUMN __row__ BIGINT",
        "ALTER TABLE t RENAME COLUMN b TO __row__",
        "WITH __target__ AS (SELECT 1 AS a, 9.0 AS b) UPDATE t SET b = 0",
    ],
)
def test_a_name_of_ours_is_refused(ctx, statement):
    with pytest.raises(UsageError, match="two underscores are reserved"):
        ctx.script(statement)
    assert ctx.scratch("t").to_arrow().to_pydict() == {"a": [1], "b": [5.0]}


def test_a_registered_table_cannot_have_a_name_of_ours(ctx):
    with pytest.raises(Exception, match="two underscores are reserved"):
        ctx.register_record_batches("__rows__", [pa.table({"a": [1]}).to_batches()])


def test_a_table_may_have_a_column_that_only_looks_like_one_of_ours(ctx):
    ctx.script(
        "CREATE TABLE s (__row BIGINT PRIMARY KEY, __v0 DOUBLE); INSERT INTO s VALUES (5, 1), (7, 2);"
        "UPDATE s SET __v0 = __v0 + __row WHERE __row = 7; DELETE FROM s WHERE __row = 5;"
        "INSERT INTO s VALUES (7, 3) ON CONFLICT (__row) DO UPDATE SET __v0 = excluded.__v0 * s.__row"
    )
    assert ctx.scratch("s").to_arrow().to_pydict() == {"__row": [7], "__v0": [21.0]}


def test_a_result_takes_no_name_from_a_table(ctx):
    ctx.script("CREATE TABLE result_rows (a BIGINT); INSERT INTO result_rows VALUES (7)")
    ctx.register_record_batches("others", [pa.table({"a": [1]}).to_batches()])
    ctx.script("SHOW TABLES; INSERT INTO t VALUES (2, 6.0) RETURNING a")
    names = ctx.store.schema.table_names
    assert ctx.sql("DELETE FROM t RETURNING a").to_arrow_table()["a"].to_pylist() == [1, 2]
    assert ctx.store.schema.table_names == names
    assert ctx.sql("SELECT a FROM result_rows").to_arrow_table()["a"].to_pylist() == [7]


def test_a_result_without_rows_keeps_its_columns(ctx):
    found = ctx.sql("DELETE FROM t WHERE a = 99 RETURNING a, b").to_arrow_table()
    assert (found.num_rows, found.column_names) == (0, ["a", "b"])

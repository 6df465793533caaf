"""Whichever way a lazy frame is run, what goes wrong is the error that script() gives."""

import asyncio

import pyarrow as pa
import pytest
from datafusion import SessionConfig

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ExecutionError, SqlError
from sqlmagic_xr.sql.syntax import Statement

PANICS = "SELECT array_length(array_repeat(k, b)) AS n FROM d"  # the engine has no room for so many
DIVIDES = "SELECT k / (b - b) AS n FROM d"
LATE = (
    f"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3), p AS ({PANICS}) SELECT * FROM r, p"
)


async def every(stream):
    return [batch async for batch in stream]


WAYS = {
    "collect": lambda f, path: f.collect(),
    "collect_partitioned": lambda f, path: f.collect_partitioned(),
    "collect_column": lambda f, path: f.collect_column("n"),
    "cache": lambda f, path: f.cache(),
    "to_pandas": lambda f, path: f.to_pandas(),
    "to_arrow_table": lambda f, path: f.to_arrow_table(),
    "to_pydict": lambda f, path: f.to_pydict(),
    "to_dataset": lambda f, path: f.to_dataset(dims=["n"]),
    "execute_stream": lambda f, path: list(f.execute_stream()),
    "execute_stream.next": lambda f, path: f.execute_stream().next(),
    "async": lambda f, path: asyncio.run(every(f.execute_stream())),
    "partitions": lambda f, path: [list(each) for each in f.execute_stream_partitioned()],
    "iteration": lambda f, path: list(f),
    "show": lambda f, path: f.show(),
    "repr": lambda f, path: repr(f),
    "html": lambda f, path: f._repr_html_(),
    "write_csv": lambda f, path: f.write_csv(str(path / "a.csv")),
    "write_parquet": lambda f, path: f.write_parquet(str(path / "a.parquet")),
    "write_json": lambda f, path: f.write_json(str(path / "a.json")),
    "filter": lambda f, path: f.filter("n > 0").collect(),
    "limit": lambda f, path: f.limit(1).to_arrow_table(),
    "count": lambda f, path: f.filter("n > 0").count(),
}


def said(caught):
    """The first line of an error; what follows a colon is not told by a stream that is awaited."""
    return str(caught.value).splitlines()[0].split(":")[0]


@pytest.fixture(scope="module")
def ctx():
    context = Context()
    context.script("CREATE TABLE d (k BIGINT, b BIGINT); INSERT INTO d VALUES (1, 9223372036854775807)")
    return context


@pytest.mark.parametrize("way", WAYS)
def test_an_error_is_that_of_script(ctx, way, tmp_path):
    for query in (PANICS, DIVIDES):
        with pytest.raises(SqlError) as wanted:
            ctx.script(query)[0].to_arrow_table()
        for frame in (ctx.sql(query), ctx.script(query)[0].frame):
            with pytest.raises(type(wanted.value)) as found:
                WAYS[way](frame, tmp_path)
            assert said(found) == said(wanted)


READERS = {
    "arrow": pa.table,
    "reader": lambda f: pa.RecordBatchReader.from_stream(f).read_all(),
    "polars": lambda f: pytest.importorskip("polars").DataFrame(f),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_stream_that_others_read_fails_alike(ctx, read):
    for query in (PANICS, DIVIDES):
        with pytest.raises(SqlError) as wanted:
            ctx.script(query)[0].to_arrow_table()
        with pytest.raises(type(wanted.value)) as found:
            read(ctx.sql(query))
        assert str(found.value) == str(wanted.value)


def test_a_stream_that_fails_on_the_way_says_it_in_our_words():
    """Arrow makes an error of its own of what is raised there."""
    context = Context(SessionConfig().with_target_partitions(1).with_batch_size(2))
    context.script("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2), (3), (4), (0)")
    stream = pa.RecordBatchReader.from_stream(context.sql("SELECT 12 / a AS n FROM t"))
    assert stream.read_next_batch().to_pydict() == {"n": [12, 6]}
    assert stream.read_next_batch().to_pydict() == {"n": [4, 3]}
    with pytest.raises(pa.ArrowException, match="division by zero\nline 1: SELECT 12 / a AS n FROM t") as caught:
        stream.read_next_batch()
    assert "Arrow error" not in str(caught.value)  # the engine's


def test_the_schema_of_a_frame_runs_nothing():
    assert pa.schema(Context().sql("SELECT 1 / 0 AS n")) == pa.schema([("n", pa.int64())])


def test_a_query_that_runs_in_parts(ctx):
    with pytest.raises(SqlError, match="capacity overflow"):
        ctx.sql(LATE).collect()


def test_a_failure_aborts_the_transaction(ctx):
    ctx.script("BEGIN")
    with pytest.raises(ExecutionError):
        list(ctx.sql(DIVIDES).execute_stream())
    with pytest.raises(SqlError, match=r"abort|ROLLBACK"):
        ctx.script("SELECT 1")
    ctx.script("ROLLBACK")


def test_a_wrong_argument_is_told_as_such(ctx):
    frame = ctx.sql("SELECT k FROM d")
    with pytest.raises(TypeError):
        frame.collect(1, 2, 3)
    assert [batch.to_pyarrow().num_rows for batch in frame.execute_stream()] == [1]
    assert [batch.to_pyarrow().num_rows for batch in asyncio.run(every(frame.execute_stream()))] == [1]


UNPLANNED = "SELECT k, (SELECT d.b FROM d WHERE d.k < t.k) AS n FROM d AS t"
PLANNING = {
    "schema": lambda f, path: f.schema(),
    "optimized_logical_plan": lambda f, path: f.optimized_logical_plan(),
    "execution_plan": lambda f, path: f.execution_plan(),
    "sorted": lambda f, path: f.sort("n").filter("n > 0").limit(3).drop("k").to_pandas(),
}


@pytest.mark.parametrize("way", {**WAYS, **PLANNING})
def test_what_cannot_be_planned_is_told_alike(ctx, tmp_path, way):
    with pytest.raises(SqlError) as caught:
        ctx.script(UNPLANNED)[-1].to_arrow_table()
    frame = ctx.sql(UNPLANNED)
    with pytest.raises(type(caught.value)) as again:
        {**WAYS, **PLANNING}[way](frame, tmp_path)
    assert said(again) == said(caught)


def test_planning_alone_aborts_no_transaction(ctx):
    ctx.script("BEGIN")
    frame = ctx.sql(UNPLANNED)
    with pytest.raises(SqlError):
        frame.schema()
    assert ctx.sql("SELECT count(*) AS n FROM d").to_pydict() == {"n": [1]}
    ctx.script("ROLLBACK")


@pytest.mark.parametrize("query", [UNPLANNED, PANICS, DIVIDES, "SELECT nope FROM d", "SELECT FROM WHERE"])
def test_the_rows_of_a_text_fail_alike(ctx, query):
    with pytest.raises(SqlError) as caught:
        ctx.script(query)[-1].to_arrow_table()
    with pytest.raises(type(caught.value)) as again:
        ctx.query(query)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("query", [UNPLANNED, PANICS, DIVIDES, "SELECT nope FROM d"])
def test_the_rows_of_a_tree_fail_alike(ctx, query):
    with pytest.raises(SqlError) as caught:
        ctx.query(query)
    with pytest.raises(type(caught.value)) as again:
        ctx.query(Statement(query, query).tree)
    assert said(again) == said(caught)
    assert again.value.span is not None

"""What a recursion refuses: with the reason, at the place; and how one that does not end is ended."""

import gc
import signal
import threading
import time

import pyarrow as pa
import pytest

import sqlmagic_xr
from sqlmagic_xr.engine.recursion.fit import MisfitInColumnError, fits, fitted
from sqlmagic_xr.engine.recursion.rounds import RecursionProgress
from sqlmagic_xr.errors import SqlError

BEGIN = "WITH RECURSIVE r AS (SELECT 1 AS n, 0.5 AS x, 'a' AS s UNION ALL "
REFUSED = """
BEGIN SELECT n / 2.0, x, s FROM r WHERE n < 3) SELECT * FROM r -> `n` of the recursion `r` begins as int64 @ n / 2.0
BEGIN SELECT n + 1, s, s FROM r WHERE n < 3) SELECT * FROM r -> `x` of the recursion `r` begins as double @ s, s
BEGIN SELECT n + 1, x, x FROM r WHERE n < 3) SELECT * FROM r -> `s` of the recursion `r` begins as string @ x FROM
BEGIN SELECT n + 1, x FROM r WHERE n < 3) SELECT * FROM r -> begins with 3 columns, and its term gives 2 @ SELECT n + 1
BEGIN SELECT m + 1, x, s FROM r WHERE n < 3) SELECT * FROM r -> there is no column m @ m + 1
BEGIN SELECT n + 1, x, s FROM r ORDER BY n) SELECT * FROM r -> ORDER BY of a recursive CTE as a whole @ n)
BEGIN SELECT n + 1, x, s FROM r LIMIT 1 + 1) SELECT * FROM r -> a LIMIT of a recursive CTE that is no number @ 1 + 1
WITH RECURSIVE r(a, b) AS (SELECT 1 UNION ALL SELECT a + 1 FROM r) TABLE r -> has 1 column, and 2 names @ r(a
WITH RECURSIVE r AS (SELECT n + 1 AS n FROM r) SELECT * FROM r -> nothing gives the first rows @ r AS
WITH RECURSIVE r AS (SELECT n FROM r UNION ALL SELECT 1) SELECT * FROM r -> rows of `r` that do not read it @ SELECT 1
WITH RECURSIVE r AS (SELECT 1 AS n EXCEPT SELECT n FROM r) SELECT * FROM r -> `r` is no UNION @ SELECT 1
BEGIN SELECT n, x, s FROM r UNION SELECT n, x, s FROM r) SELECT * FROM r -> UNION and UNION ALL between @ SELECT 1
WITH RECURSIVE a AS (SELECT n FROM b), b AS (SELECT n FROM a) SELECT * FROM a -> `a` and `b` read each other @ a AS
WITH RECURSIVE a AS (SELECT n FROM t), t AS (SELECT 1 AS n) SELECT * FROM a -> a table and a CTE further down @ a AS
SELECT (BEGIN SELECT t.n, x, s FROM r) SELECT 1) FROM t -> `t.n` is no column of what this recursive query reads @ t.n
"""


@pytest.fixture(scope="module")
def ctx():
    context = sqlmagic_xr.Context()
    context.script("CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (3)")
    return context


@pytest.mark.parametrize("case", REFUSED.strip().splitlines())
def test_it_says_what_and_where(ctx, case):
    sql, _, said = case.replace("BEGIN ", BEGIN).partition(" -> ")
    what, _, where = said.partition(" @ ")
    with pytest.raises(SqlError) as caught:
        ctx.sql(sql)
    assert what in caught.value.what
    span = caught.value.span
    assert sql[span.column - 1 :].startswith(where)


def test_a_value_that_does_not_fit_is_named(ctx):
    sql = """WITH RECURSIVE r AS (SELECT CAST(100 AS TINYINT) AS n UNION ALL
        SELECT n + 20 FROM r) SELECT n FROM r"""
    (result,) = ctx.script(sql)
    with pytest.raises(SqlError, match="begins as int8, and 140 does not fit") as caught:
        result.to_arrow_table()
    assert (caught.value.span.line, caught.value.span.column) == (2, 16)


@pytest.mark.parametrize(("clause", "hint"), [
    ("SEARCH DEPTH FIRST BY n SET o", "ORDER BY path"), ("CYCLE n SET c USING p", "NOT array_has"),
])  # fmt: skip
def test_what_the_parser_does_not_read_is_said_otherwise(ctx, clause, hint):
    with pytest.raises(SqlError) as caught:
        ctx.sql(f"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) {clause} SELECT n FROM r")
    assert hint in caught.value.hint


def test_a_recursive_view_is_written_with_its_query(ctx):
    with pytest.raises(SqlError) as caught:
        ctx.script("CREATE RECURSIVE VIEW v (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM v WHERE n < 3")
    assert "AS WITH RECURSIVE" in caught.value.hint


def test_what_fits():
    assert fits(pa.timestamp("ns"), pa.date32())
    assert not fits(pa.timestamp("ns", "UTC"), pa.timestamp("ns"))
    assert not fits(pa.date32(), pa.timestamp("s"))
    assert not fits(pa.bool_(), pa.int64())
    assert fits(pa.string(), pa.string_view())
    schema = pa.schema([("m", pa.decimal128(6, 1))])
    given = pa.table({"m": pa.array(["1.50"]).cast(pa.decimal128(6, 2))})
    assert str(fitted(given, schema)["m"][0]) == "1.5"
    with pytest.raises(MisfitInColumnError, match=r"1\.55"):
        fitted(pa.table({"m": pa.array(["1.55"]).cast(pa.decimal128(6, 2))}), schema)


ENDLESS = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"


def test_max_recursion_ends_it():
    context = sqlmagic_xr.Context()
    context.max_recursion = 20
    (result,) = context.script(ENDLESS)
    with pytest.raises(SqlError, match="still gives rows after 20 rounds, which is max_recursion") as caught:
        result.to_arrow_table()
    assert caught.value.span.column == ENDLESS.index("r AS") + 1
    assert len(context.sql(ENDLESS.replace("FROM r)", "FROM r WHERE n < 20)")).to_arrow_table()) == 20


def test_memory_ends_it(monkeypatch):
    monkeypatch.setattr("sqlmagic_xr.engine.recursion.rounds.default_budget", lambda: 10_000)
    with pytest.raises(SqlError, match="may have a quarter of the memory"):
        sqlmagic_xr.Context().sql(
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT p.n FROM r AS p, (VALUES (1), (2)) AS q)"
            " SELECT count(*) FROM r"
        ).to_arrow_table()


@pytest.fixture
def no_collector():
    """A signal that arrives within a callback of the collector, of which JAX has one, is told to nobody."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("query", [ENDLESS, ENDLESS.replace("1 AS n", "'ab' AS n").replace("n + 1", "reverse(n)")])
def test_an_interrupt_gives_control_back(query):
    (result,) = sqlmagic_xr.Context().script(query)
    sent = []

    def interrupt():
        deadline = time.monotonic() + 30
        while not result.frame.progress.rounds and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        result.to_arrow_table()
    assert time.monotonic() - sent[0] < 1.5
    rounds, deadline = 0, time.monotonic() + 10
    while rounds != result.frame.progress.rounds and time.monotonic() < deadline:  # a call of many rounds ends first
        rounds = result.frame.progress.rounds
        time.sleep(0.3)
    assert 0 < rounds == result.frame.progress.rounds


def test_progress_says_the_round_and_the_rows():
    frame = sqlmagic_xr.Context().sql(ENDLESS.replace("FROM r)", "FROM r WHERE n < 20)"))
    assert str(frame.progress) == ""
    frame.to_arrow_table()
    assert str(frame.progress) == ""
    assert [str(RecursionProgress("r", 0, rows)) for rows in (1, 2_000)] == [
        "r: round 0, 1 row",
        "r: round 0, 2,000 rows",
    ]

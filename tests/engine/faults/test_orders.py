"""An ORDER BY that the engine forgets: by what is not selected, beside a scalar subquery; before an OFFSET."""

import pyarrow as pa
import pytest
from datafusion import SessionConfig, SessionContext

import sqlmagic_xr
from sqlmagic_xr.errors import UnsupportedError

FRAMED = "(SELECT k, b, sum(b) OVER (PARTITION BY k ORDER BY k) AS w FROM d) AS q"

SORTED = [
    "SELECT b + (SELECT 1) AS x FROM d ORDER BY k",
    "SELECT b + (SELECT 1), b + (SELECT 2) AS y FROM d ORDER BY k",
    "SELECT b + (SELECT 1) AS b FROM d ORDER BY d.k",
    "SELECT b FROM d WHERE b >= (SELECT min(b) FROM d) ORDER BY k",
    "SELECT b FROM d ORDER BY k + (SELECT 1)",
    "SELECT sum(b) FROM d GROUP BY k HAVING sum(b) >= (SELECT 0) ORDER BY k",
    "SELECT sum(b) + (SELECT 0) AS x FROM d GROUP BY k ORDER BY max(k)",
    "SELECT CASE WHEN b > 0 THEN b + (SELECT 1) ELSE 0 END AS x FROM d ORDER BY k",
    "WITH c AS (SELECT (SELECT 1) AS one) SELECT b + one AS x FROM d, c ORDER BY k",
    "WITH c AS (SELECT (SELECT 1) AS one), e AS (SELECT one FROM c) SELECT b + e.one + c.one FROM d, c, e ORDER BY k",
    "SELECT b + one AS x FROM d, one ORDER BY k",
    "SELECT b + one AS x FROM d, above ORDER BY k",
    "SELECT b + one AS x FROM d, engines ORDER BY k",
    "SELECT b, g + (SELECT 1) AS y FROM d ORDER BY g * 0, k",
    "SELECT b + (SELECT 1) AS x, h FROM d WHERE h = 3 ORDER BY h, k",
    "SELECT b + h + (SELECT 1) AS x FROM d WHERE h = 3 ORDER BY h, k",
    "SELECT x FROM (SELECT k, b + (SELECT 1) AS x FROM d) AS q ORDER BY k",
    "SELECT q.x FROM (SELECT k, b + (SELECT 1) AS x FROM d) AS q ORDER BY q.k",
    "SELECT b + (SELECT 1) AS x, -k AS m, CAST(k AS VARCHAR) AS t FROM d ORDER BY d.k",
    "SELECT x FROM (SELECT k, b + (SELECT 1) AS x FROM d WHERE k % 2 = 0 UNION ALL SELECT k, b FROM d WHERE k % 2 = 1)"
    " AS q ORDER BY k",
    "SELECT w + (SELECT 1) AS x FROM " + FRAMED + " ORDER BY k",
    "SELECT row_number() OVER (ORDER BY k) + (SELECT 1) AS x FROM d ORDER BY k",
    "SELECT x FROM (SELECT DISTINCT b + (SELECT 1) AS x, k FROM d) AS q ORDER BY k",
    "SELECT x FROM (SELECT DISTINCT ON (k) k, b + (SELECT 1) AS x FROM d ORDER BY k, b) AS q ORDER BY k",
    "SELECT DISTINCT ON (k) b + (SELECT 1) AS x FROM d ORDER BY k, b",
    "SELECT d.b + (SELECT 1) AS x FROM d JOIN d AS e ON d.k = e.k ORDER BY e.k",
    "SELECT e.* FROM (SELECT b, k AS j FROM d) AS e JOIN d ON d.k = e.j WHERE d.b >= (SELECT 0) ORDER BY d.k",
    "SELECT * EXCEPT (k, g, h) FROM d WHERE b >= (SELECT 0) ORDER BY k",
    "SELECT -b + (SELECT 1) AS x FROM d ORDER BY k DESC",
    "SELECT b, map([k], [b]) AS m, [b] AS l, {'a': b} AS s FROM d WHERE b >= (SELECT 0) ORDER BY k",
    "SELECT [b] FROM d WHERE b >= (SELECT 0) ORDER BY k",
    "SELECT b + (SELECT 1) AS x FROM d ORDER BY k OFFSET 2",
    "SELECT b + (SELECT 1) AS x FROM d ORDER BY k LIMIT 9",
    "SELECT b + (SELECT 1) AS x FROM d ORDER BY k LIMIT 9 OFFSET 2",
    "SELECT w + (SELECT 1) AS x FROM " + FRAMED + " ORDER BY k LIMIT 9",
    "SELECT b FROM d WHERE EXISTS (SELECT 1 FROM d AS e WHERE e.k = d.k) ORDER BY k",
    "SELECT b + (SELECT max(e.b) FROM d AS e WHERE e.k = d.k) AS x FROM d ORDER BY k",
]  # fmt: skip

SKIPPED = [
    "SELECT max(x) AS x FROM (SELECT -b AS x FROM d ORDER BY k OFFSET 2) AS q",
    "SELECT max(x) AS x FROM (SELECT -b AS x, k FROM d ORDER BY k OFFSET 2) AS q",
    "SELECT -b AS x FROM (SELECT b, k FROM d ORDER BY k OFFSET 2) AS q WHERE b <= 200",
    "SELECT max(-b) AS x FROM d WHERE b IN (SELECT b FROM d ORDER BY k OFFSET 2)",
    "WITH q AS (SELECT -b AS x FROM d ORDER BY k OFFSET 2) SELECT max(x) AS x FROM q",
    "SELECT max(x) AS x FROM (SELECT -w AS x FROM " + FRAMED + " ORDER BY k OFFSET 2) AS p",
    "SELECT (SELECT -b FROM d WHERE k < 3 ORDER BY k OFFSET 2) AS x",
    "SELECT max(x) AS x FROM ((SELECT -b AS x FROM d ORDER BY k OFFSET 2) UNION ALL"
    " (SELECT -b FROM d ORDER BY k OFFSET 3)) AS q",
    "SELECT max(x) AS x FROM (SELECT -sum(b) AS x FROM d GROUP BY k ORDER BY k OFFSET 2) AS q",
    "SELECT max(x) AS x FROM (SELECT DISTINCT -b AS x FROM d ORDER BY x DESC OFFSET 2) AS q",
    "SELECT max(-d.b) AS x FROM d JOIN (SELECT k FROM d ORDER BY b OFFSET 2) AS q ON q.k = d.k",
    "SELECT max(-b) AS x FROM skipping",
    "SELECT min(x) AS x FROM (SELECT -b AS x FROM d ORDER BY k LIMIT 3) AS q",
    "SELECT max(x) AS x FROM (SELECT -b AS x FROM d ORDER BY k LIMIT 25000 OFFSET 2) AS q",
]

MANY = [
    "SELECT k FROM d GROUP BY k ORDER BY k LIMIT 2147483647",
    "SELECT k FROM d GROUP BY k ORDER BY max(b) DESC LIMIT 2147483647",
    "SELECT max(b) FROM d GROUP BY k ORDER BY max(b) LIMIT 9223372036854775807",
    "SELECT DISTINCT k AS x FROM d ORDER BY x LIMIT 2147483647",
    "SELECT count(*) FROM (SELECT k FROM d GROUP BY k ORDER BY k OFFSET 2) AS q",
    "SELECT * FROM (SELECT k FROM d GROUP BY k) AS q ORDER BY k LIMIT 2147483647",
    "WITH q AS (SELECT DISTINCT k FROM d) SELECT * FROM q ORDER BY 1 LIMIT 2147483647",
    "SELECT k FROM d UNION SELECT k FROM d ORDER BY k LIMIT 2147483647",
    "SELECT k AS x FROM d UNION SELECT k FROM d ORDER BY 1 LIMIT 2147483647",
    "SELECT k + 0 FROM (SELECT DISTINCT k FROM d) AS q ORDER BY 1 LIMIT 1000 * 2147483",
    "SELECT k FROM grouping ORDER BY k LIMIT CAST('2147483647' AS BIGINT)",
    "SELECT k FROM grouping AS q ORDER BY -(-k) LIMIT 2147483640",
    "SELECT g.k FROM grouping AS g JOIN d ON d.k = g.k GROUP BY g.k ORDER BY g.k LIMIT 2147483640",
]


def rows(n):
    """Rows that do not lie in the order of their keys: ``b`` is a hundred times the key."""
    keys = [(i * 7 + 3) % n for i in range(n)]
    return pa.table({"k": keys, "g": [k % 7 for k in keys], "h": [3] * n, "b": [k * 100 for k in keys]})


def set_up(ctx, n):
    SessionContext.register_record_batches(ctx, "d", [rows(n).to_batches()])
    SessionContext.register_view(ctx, "engines", SessionContext.sql(ctx, "SELECT (SELECT 1) AS one"))
    for view in ("one AS SELECT (SELECT 1) AS one", "above AS SELECT one FROM one",
                 "skipping AS SELECT b FROM d ORDER BY k OFFSET 2",
                 "grouping AS SELECT k FROM d GROUP BY k"):  # fmt: skip
        ctx.sql(f"CREATE VIEW {view}")
    return ctx


@pytest.fixture(scope="module", params=[(40, 2, 4), (30_000, 8192, 2)], ids=["by twos", "30,000 rows"])
def both(request):
    n, batch, partitions = request.param
    plain = SessionContext(SessionConfig().with_batch_size(batch).with_target_partitions(partitions))
    ours = sqlmagic_xr.Context(SessionConfig().with_batch_size(batch).with_target_partitions(partitions))
    return set_up(plain, n), set_up(ours, n)


def first(ctx, query):
    return [value for batch in ctx.sql(query).collect() for value in batch.column(0).to_pylist()]


def fails(ctx, query, right):
    try:
        return not right(first(ctx, query))
    except Exception:
        return True


def in_order(found):
    return found == sorted(found) and len(found) > 6


def test_the_engine_still_forgets_orders(both):
    """Where this fails the engine has mended it: the workaround can go, and its line in the docs."""
    wrong = [query for query in SORTED if fails(both[0], query, in_order)]
    assert len(wrong) > 20
    assert SORTED[0] in wrong
    assert sum(fails(both[0], query, lambda found: found == [-200]) for query in SKIPPED) > 8


@pytest.mark.parametrize("query", SORTED)
def test_rows_come_in_the_order_that_is_asked_for(both, query):
    assert in_order(first(both[1], query))
    assert both[1].sql(query).schema().names == both[0].sql(query).schema().names


@pytest.mark.parametrize("query", SKIPPED)
def test_the_rows_that_are_skipped_are_the_first_ones(both, query):
    assert first(both[1], query) == [-200]


@pytest.mark.parametrize("query", MANY)
def test_a_limit_of_many_groups_takes_no_room(both, query):
    found = first(both[1], query)
    n = both[1].sql("SELECT count(*) AS n FROM d").to_pydict()["n"][0]
    assert found == [n - 2] if "OFFSET" in query else sorted(found)[-1] in (n - 1, n * 100 - 100)
    assert len(found) in (1, n)


def test_rows_behind_more_groups_than_there_is_room_for(both):
    assert first(both[1], "SELECT k FROM d GROUP BY k ORDER BY k LIMIT 3 OFFSET 2147483647") == []


def test_a_number_that_stands_for_what_has_no_name_is_refused(both):
    with pytest.raises(UnsupportedError, match="ORDER BY 1 with a LIMIT of more than 1,000,000 rows"):
        both[1].sql("SELECT k + 1 FROM d UNION SELECT k FROM d ORDER BY 1 LIMIT 2147483647")

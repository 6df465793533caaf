"""What a primary key determines can be asked for: by GROUP BY of the key, and by a subquery that finds one row."""

import pyarrow as pa
import pytest

from sqlmagic_xr import Context, SqlError

ROWS = """
CREATE TABLE t (id BIGINT PRIMARY KEY, v DOUBLE NOT NULL, "Name" VARCHAR, tags INT[]);
INSERT INTO t VALUES (1, 1.5, 'a', [1]), (2, 2.5, NULL, NULL);
INSERT INTO t VALUES (3, 3.5, 'c', []);
CREATE TABLE u (id BIGINT, w BIGINT);
INSERT INTO u VALUES (1, 10), (1, 11), (3, 30), (4, 40), (NULL, 50);
CREATE TABLE pair ("a b" BIGINT, c VARCHAR, x BIGINT, PRIMARY KEY ("a b", c));
INSERT INTO pair VALUES (1, 'p', 5), (1, 'q', 6), (2, 'p', 7);
"""


@pytest.fixture
def ctx():
    context = Context()
    context.script(ROWS)
    return context


def rows(ctx, sql):
    return [tuple(row.values()) for row in ctx.script(sql)[-1].to_arrow_table().to_pylist()]


GOOD = [
    ("SELECT id, v, count(*) AS n FROM t GROUP BY id ORDER BY id", [(1, 1.5, 1), (2, 2.5, 1), (3, 3.5, 1)]),
    (
        'SELECT y.id, "Name", sum(w) AS s FROM t AS y JOIN u ON y.id = u.id GROUP BY y.id ORDER BY y.id',
        [(1, "a", 21), (3, "c", 30)],
    ),
    (
        'SELECT "a b", c, x, count(*) AS n FROM pair GROUP BY "a b", c ORDER BY x',
        [(1, "p", 5, 1), (1, "q", 6, 1), (2, "p", 7, 1)],
    ),
    ("SELECT id FROM t GROUP BY id HAVING v > 2 ORDER BY id", [(2,), (3,)]),
    (
        "SELECT w, (SELECT v FROM t WHERE t.id = u.id) AS v FROM u ORDER BY w",
        [(10, 1.5), (11, 1.5), (30, 3.5), (40, None), (50, None)],
    ),
    ("SELECT w, (SELECT z.v + 1 FROM t AS z WHERE z.id = u.id) AS v FROM u WHERE id = 3", [(30, 4.5)]),
    ("SELECT w FROM u WHERE (SELECT v FROM t WHERE id = u.id) > 2", [(30,)]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), GOOD, ids=range(len(GOOD)))
@pytest.mark.parametrize("settings", ["", "SET datafusion.execution.batch_size = 2; "])
def test_a_key_determines_its_row(ctx, sql, expected, settings):
    assert rows(ctx, settings + sql) == expected


@pytest.mark.parametrize(("sql", "expected"), GOOD, ids=range(len(GOOD)))
def test_in_views_and_statements_with_effects(ctx, sql, expected):
    ctx.script(f"CREATE VIEW seen AS {sql}; CREATE TABLE kept AS SELECT * FROM seen")
    for name in ("kept", "seen"):
        assert sorted(rows(ctx, f"SELECT * FROM {name}"), key=str) == sorted(expected, key=str)


def test_the_rows_are_those_of_now(ctx):
    query = "SELECT id, v, count(*) AS n FROM t GROUP BY id ORDER BY id"
    before = rows(ctx, query)
    ctx.script("BEGIN; DELETE FROM t WHERE id < 3; UPDATE t SET v = 9")
    assert rows(ctx, query) == [(3, 9.0, 1)]
    ctx.script("ROLLBACK")
    assert rows(ctx, query) == before
    ctx.script("DELETE FROM t")
    assert rows(ctx, query) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT v, id, count(*) FROM t GROUP BY v",
        "SELECT id, w, count(*) FROM u GROUP BY id",
        "SELECT w, (SELECT v FROM t WHERE t.v > u.w) AS v FROM u",
        "SELECT v, (SELECT w FROM u WHERE u.id = t.id) AS w FROM t",
    ],
)
def test_what_no_key_determines_is_refused(ctx, sql):
    with pytest.raises(SqlError, match=r"GROUP BY|aggregated"):
        rows(ctx, sql)


def test_a_large_table_keeps_its_rows_together():
    ctx = Context()
    count = 30_000
    ctx.script("CREATE TABLE big (id BIGINT PRIMARY KEY, v BIGINT)")
    for start in range(0, count, 10_000):
        part = pa.array(range(start, start + 10_000), pa.int64())
        ctx.scratch("big").append(pa.table({"id": part, "v": part}))
    found = ctx.script("SELECT count(*) AS n, sum(id - v) AS d FROM (SELECT id, v, count(*) FROM big GROUP BY id)")[0]
    assert found.to_arrow_table().to_pylist() == [{"n": count, "d": 0}]


def test_the_tables_stay_out_of_reach_of_the_engine_own_statements(ctx):
    query = "SELECT id, v, count(*) AS n FROM t GROUP BY id ORDER BY id"
    before = rows(ctx, query)
    with pytest.raises(Exception, match=r"not supported|not implemented"):
        ctx.table("t").write_table("t")
    assert rows(ctx, query) == before

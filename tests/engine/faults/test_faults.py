"""Each fault: the engine still has it, and we answer right, wherever the query stands."""

import math
import re
from pathlib import Path

import pyarrow as pa
import pytest
from datafusion import SessionContext

import sqlmagic_xr
from sqlmagic_xr.errors import SqlError, UnsupportedError
from sqlmagic_xr.sql.lexer import TokenKind, tokens
from tests.engine.faults.cases import ERROR, FAILING, FAULTS, REFUSED
from tests.engine.faults.fault import TABLES

QUERIES = [pytest.param(f.name, sql, rows, id=f"{f.name}: {sql}") for f in FAULTS for sql, rows in f.queries.items()]
PAGE = Path(__file__).parents[3] / "docs" / "engine-faults.md"


def register(ctx):
    for name, table in TABLES.items():
        SessionContext.register_record_batches(ctx, name, [table.to_batches()])
    return ctx


@pytest.fixture(scope="module")
def ctx():
    return register(sqlmagic_xr.Context())


def plain(table):
    """The rows of a table, numbers of every type as floats, sorted."""
    rows = [tuple(row.values()) for row in table.rename_columns([str(i) for i in range(table.num_columns)]).to_pylist()]
    return sorted((tuple(map(as_number, row)) for row in rows), key=repr)


def as_number(value):
    if isinstance(value, (bool, str)) or value is None:
        return value
    return "nan" if isinstance(value, float) and math.isnan(value) else float(value) + 0.0


def expected(rows):
    return sorted((tuple(map(as_number, row)) for row in rows), key=repr)


@pytest.mark.parametrize(("name", "sql", "rows"), QUERIES)
def test_the_engine_still_has_it(name, sql, rows):
    """Where this fails the engine has mended the fault: take the workaround out, and its line in the docs."""
    try:
        found = plain(register(SessionContext()).sql(sql).to_arrow_table())
    except Exception as error:
        found = str(error)
    assert found != expected(rows)


@pytest.mark.parametrize(("name", "sql", "rows"), QUERIES)
def test_it_is_answered_right(ctx, name, sql, rows):
    assert plain(ctx.sql(sql).to_arrow_table()) == expected(rows)


def with_comments(sql):
    """The query with a comment wherever a blank stands, and between a word and a parenthesis."""
    found = [" /* one */" if t.kind is TokenKind.SPACE else "/**/(" if t.text == "(" else t.text for t in tokens(sql)]
    return "".join(found)


def quoted_calls(sql):
    """The query with each function that is called by a small word in quotes."""
    return re.sub(r"\b(avg|max|min|sum|power|length|corr|reverse|count)(?=\()", r'"\1"', sql)


@pytest.mark.parametrize(("name", "sql", "rows"), QUERIES)
def test_it_is_answered_right_however_it_is_spaced_and_quoted(ctx, name, sql, rows):
    for text in {with_comments(sql), quoted_calls(sql)} - {sql}:
        assert plain(ctx.sql(text).to_arrow_table()) == expected(rows), text


@pytest.mark.parametrize(("name", "sql", "rows"), QUERIES)
def test_columns_are_called_as_the_engine_calls_them(ctx, name, sql, rows):
    try:
        names = register(SessionContext()).sql(sql).schema().names
    except Exception:
        pytest.skip("the engine cannot plan it")
    assert ctx.sql(sql).schema().names == names


@pytest.mark.parametrize(("name", "sql", "rows"), QUERIES)
def test_within_other_statements(ctx, name, sql, rows):
    count = max(len(rows[0]) if rows else 1, 1)
    names = ", ".join(f"c{i}" for i in range(count))
    inside = [
        f"SELECT * FROM ({sql}) AS q({names})",
        f"WITH q({names}) AS ({sql}) SELECT * FROM q",
        f"SELECT * FROM (SELECT * FROM ({sql}) AS p({names}) UNION ALL SELECT * FROM ({sql}) AS q WHERE 1 = 2)",
    ]
    for text in inside:
        assert plain(ctx.sql(text).to_arrow_table()) == expected(rows), text


@pytest.mark.parametrize(("name", "sql", "rows"), QUERIES)
def test_in_views_and_tables(ctx, name, sql, rows):
    count = max(len(rows[0]) if rows else 1, 1)
    names = ", ".join(f"c{i}" for i in range(count))
    ctx.script(f"CREATE VIEW seen ({names}) AS {sql}")
    try:
        assert plain(ctx.sql("SELECT * FROM seen").to_arrow_table()) == expected(rows)
    finally:
        ctx.script("DROP VIEW seen")
    ctx.script(f"CREATE TABLE made AS SELECT * FROM ({sql}) AS q({names})")
    try:
        assert plain(ctx.sql("SELECT * FROM made").to_arrow_table()) == expected(rows)
    finally:
        ctx.script("DROP TABLE made")


CONDITIONS = [
    (sql.split(" WHERE ", 1)[1], rows)
    for fault in FAULTS
    for sql, rows in fault.queries.items()
    if sql.startswith("SELECT i FROM t WHERE")
]


@pytest.mark.parametrize(("condition", "rows"), CONDITIONS)
def test_delete_and_update_take_the_same_rows(condition, rows):
    ctx = register(sqlmagic_xr.Context())
    ctx.sql("CREATE TABLE mine AS SELECT * FROM t")
    mine = re.sub(r"\bt\.", "mine.", condition)
    ctx.script(f"UPDATE mine SET n = 1000 WHERE {mine}")
    assert plain(ctx.sql("SELECT i FROM mine WHERE n = 1000").to_arrow_table()) == expected(rows)
    ctx.script("DROP TABLE mine")
    ctx.sql("CREATE TABLE mine AS SELECT * FROM t")
    ctx.script(f"DELETE FROM mine WHERE {mine}")
    assert ctx.sql("SELECT count(*) AS n FROM mine").to_pydict()["n"] == [4 - len(rows)]


@pytest.mark.parametrize(("sql", "rows"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_right_is_refused(ctx, sql, rows):
    found = plain(register(SessionContext()).sql(sql).to_arrow_table())
    assert rows is ERROR or found != expected(rows)  # the engine: other rows, or some where there is no answer
    with pytest.raises(UnsupportedError) as caught:
        ctx.sql(sql)
    assert caught.value.hint
    assert caught.value.span is not None


@pytest.mark.parametrize("sql", [sql for queries in FAILING.values() for sql in queries])
def test_what_has_no_room_fails(ctx, sql):
    assert register(SessionContext()).sql(sql).to_arrow_table().num_rows  # the engine: another number, without a word
    with pytest.raises(SqlError, match=r"beyond (BIGINT|DOUBLE)"):
        ctx.script(sql)[0].to_arrow_table()


def test_a_step_of_a_training_reads_the_same():
    ctx = sqlmagic_xr.Context()
    SessionContext.register_record_batches(ctx, "d", [pa.table({"s": pa.array([300, 200], pa.int16())}).to_batches()])
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a BIGINT); INSERT INTO p VALUES (0, 0)")
    for executor in ("relational", "auto"):
        ctx.script("DELETE FROM p WHERE step > 0")
        ctx.train("INSERT INTO p SELECT :next_step, SUM(d.s * d.s) FROM d", steps=3, executor=executor)
        assert ctx.sql("SELECT a FROM p WHERE step > 0").to_pydict()["a"] == [130_000] * 3, executor


@pytest.mark.parametrize("query", ["SELECT sum(x) FROM dec", "SELECT g, sum(x) FROM dec GROUP BY g",
                                   "SELECT sum(x) OVER (ORDER BY g) FROM dec"])  # fmt: skip
def test_a_sum_of_decimals_does_not_wrap(ctx, query):
    raw = register(SessionContext()).sql(query).to_arrow_table().columns[-1].to_pylist()
    assert max(raw, key=abs) != 34 * 10**37  # the engine: another number, without a word
    with pytest.raises(Exception, match=r"[Oo]verflow"):
        ctx.sql(query).to_arrow_table()


HELD = {  # condition -> a row that it holds for, and one that it does not
    "s * s > 0": ("s", 300, 0),
    "s * s = 90000": ("s", 300, 200),
    "-b > 0": ("b", -128, 1),
    "f >= 0": ("f", "-0.0", "-1.0"),
    "f <> 0": ("f", "1.0", "-0.0"),
    "f IN (0, 1) AND s NOT IN (2, NULL)": ("f", "-0.0", "2.0"),
    "power(n, 0) IS NULL": ("n", "NULL", "5"),
    "f IS NOT DISTINCT FROM 0 AND b IS NULL": ("f", "-0.0", "1.0"),
}


@pytest.mark.parametrize(("condition", "case"), HELD.items())
def test_checks_are_answered_right(condition, case):
    column, good, bad = case
    ctx = sqlmagic_xr.Context()
    ctx.script(f"CREATE TABLE c (s SMALLINT, b TINYINT, f DOUBLE, n BIGINT, CHECK ({condition}))")
    for _ in range(2):
        ctx.script(f"INSERT INTO c ({column}) VALUES ({good})")
        with pytest.raises(sqlmagic_xr.SqlError, match="CHECK"):
            ctx.script(f"INSERT INTO c ({column}) VALUES ({bad})")
    ctx.script(f"ALTER TABLE c RENAME COLUMN {column} TO other")
    ctx.script(f"INSERT INTO c (other) VALUES ({good})")
    assert ctx.sql("SELECT count(*) AS n FROM c").to_pydict()["n"] == [3]


def test_defaults_are_answered_right():
    ctx = sqlmagic_xr.Context()
    ctx.script(
        "CREATE TABLE d (i INT, a BIGINT DEFAULT CAST(300 AS SMALLINT) * CAST(300 AS SMALLINT),"
        " b DOUBLE DEFAULT power(NULL, 0), c BOOLEAN DEFAULT -0.0 = 0); INSERT INTO d (i) VALUES (1), (2)"
    )
    assert ctx.sql("SELECT a, b, c FROM d").to_pydict() == {"a": [90_000] * 2, "b": [None] * 2, "c": [True] * 2}


ZEROS = {
    "SUM(CASE WHEN d.f = 0 THEN 1 ELSE 0 END)": 2.0,
    "SUM(CASE WHEN d.f < p.a * 0 THEN 1 ELSE 0 END)": 1.0,
    "SUM(CASE WHEN d.f IN (-0.0, 7) THEN 1 ELSE 0 END)": 2.0,
    "SUM(nullif(d.f, 0))": 0.5,
    "SUM(CASE WHEN d.f <> 0 THEN power(d.f, -1) ELSE 0 END)": -1 / 3,
    "SUM(power(d.f, -1))": "zero",
}


@pytest.mark.parametrize("executor", ["relational", "auto", "dense"])
@pytest.mark.parametrize(("value", "right"), ZEROS.items())
def test_zeros_are_the_same_to_each_executor(value, right, executor):
    ctx = sqlmagic_xr.Context()
    ctx.script("CREATE TABLE d (f DOUBLE); INSERT INTO d VALUES (0.0), (-0.0), (1.5), (-1.0)")
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1)")
    train = f"INSERT INTO p SELECT :next_step, {value} FROM d, p WHERE p.step = :step"
    if right == "zero":
        with pytest.raises(sqlmagic_xr.SqlError, match="zero"):
            ctx.train(train, steps=1, executor=executor)
    else:
        ctx.train(train, steps=2, executor=executor)
        assert ctx.sql("SELECT a FROM p WHERE step = 1").to_pydict()["a"] == [pytest.approx(right)]


def test_an_error_is_told_in_the_users_words(ctx):
    with pytest.raises(sqlmagic_xr.SqlError, match="nothing"):
        ctx.sql("SELECT i FROM t WHERE EXISTS (SELECT max(nothing) FROM r WHERE r.i = t.i)")


def test_the_page_lists_every_fault():
    listed = re.findall(r"^\| `([a-z-]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted([*(f.name for f in FAULTS), *FAILING, *REFUSED])


@pytest.mark.parametrize(("query", "rows"), [
    ("SELECT DISTINCT n * n AS x FROM t ORDER BY n * n DESC", [(None,), (49.0,), (36.0,), (25.0,)]),
    ("SELECT DISTINCT -f FROM t ORDER BY -f", [(-1.5,), (0.0,), (None,)]),
    ("SELECT DISTINCT g, stddev_pop(x) FROM huge WHERE g < 3 GROUP BY g ORDER BY stddev_pop(x), g",
     [(2.0, 1e200), (1.0, 1e300)]),
    ("SELECT DISTINCT -i AS i FROM r ORDER BY i", [(-2.0,), (-1.0,), (None,)]),
])  # fmt: skip
def test_distinct_rows_are_sorted_by_what_is_selected(ctx, query, rows):
    table = ctx.sql(query).to_arrow_table()
    assert [tuple(map(as_number, row.values())) for row in table.to_pylist()] == rows


def test_a_checked_product_is_a_sort_key_of_a_sorted_file(tmp_path):
    ctx = sqlmagic_xr.Context()
    ctx.script(f"COPY (SELECT value - 9 AS t FROM generate_series(1, 20000) ORDER BY t) TO '{tmp_path}/t.parquet'")
    ctx.script(f"SET datafusion.execution.target_partitions = 4; CREATE EXTERNAL TABLE k STORED AS PARQUET "
               f"LOCATION '{tmp_path}/t.parquet'")  # fmt: skip
    assert ctx.sql("SELECT t FROM k ORDER BY t * t, t LIMIT 3").to_pydict() == {"t": [0, -1, 1]}
    ranks = "SELECT t, rank() OVER (ORDER BY t * t) AS r FROM k ORDER BY r DESC, t LIMIT 2"
    assert ctx.sql(ranks).to_pydict() == {"t": [19991, 19990], "r": [20000, 19999]}
    assert ctx.sql("SELECT t * t AS z FROM k GROUP BY t * t ORDER BY -(t * t), z LIMIT 1").to_pydict()["z"] == [
        19991**2
    ]


@pytest.mark.parametrize("query", [
    'SELECT "t.n * Int64(2)" + 1 AS x FROM (SELECT n * 2 FROM t) WHERE "t.n * Int64(2)" > 12',
    'WITH q AS (SELECT n * 2 FROM t) SELECT "t.n * Int64(2)" + 1 AS x FROM q WHERE "t.n * Int64(2)" > 12',
    'WITH p AS (SELECT n FROM t), q AS (SELECT n * 2 FROM p) SELECT max("p.n * Int64(2)") + 1 x FROM q',
])  # fmt: skip
def test_columns_of_subqueries_are_called_as_the_engine_calls_them(query):
    ctx = register(sqlmagic_xr.Context())
    assert ctx.sql(query).to_pydict()["x"] == [15]


def test_two_zeros_as_they_are_written_are_equal(ctx):
    found = ctx.sql("SELECT 0.0 > -0.0 AS a, -0.0 < 0.0 AS b, 0.0 <= -0.0 AS c, -0.0 >= 0.0 AS d").to_pylist()
    assert found == [{"a": False, "b": False, "c": True, "d": True}]

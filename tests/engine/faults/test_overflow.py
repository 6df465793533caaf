"""BIGINT that would wrap around is an error wherever it is calculated, and what does not is what it was."""

import random

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr
from datafusion import SessionContext

import sqlmagic_xr
from sqlmagic_xr.engine.faults import bounds, overflow
from sqlmagic_xr.errors import SqlError
from tests.dealt import MANY

TOP = 2**63 - 1
EDGES = [0, 1, -1, 2, 3, -7, 10**9, 2**31, -(2**32), 2**62, -(2**62), TOP, -TOP, -TOP - 1]


def context(rows, **settings):
    """A context with a table of which no bounds are known, and the same as a scratch table, a variable and a grid."""
    table = pa.table({name: pa.array(values, pa.int64()) for name, values in rows.items()})
    ctx = sqlmagic_xr.Context(namespace=lambda: {"arrow": table})
    for name, value in settings.items():
        ctx.sql(f"SET datafusion.execution.{name} = {value}")
    SessionContext.register_record_batches(ctx, "plain", [table.to_batches(max_chunksize=3)])
    ctx.sql("CREATE TABLE scratch AS SELECT * FROM plain")
    if not any(None in values for values in rows.values()):
        cells = {name: ("row", np.array(values, np.int64)) for name, values in rows.items()}
        ctx.from_dataset(
            "grid", xr.Dataset(cells, {"row": np.arange(table.num_rows)}), chunks={"row": max(3, table.num_rows // 9)}
        )
    return ctx


def answer(ctx, sql, executor="auto"):
    try:
        (result,) = ctx.script(sql, executor=executor)
        return [tuple(row.values()) for row in result.to_arrow_table().to_pylist()]
    except SqlError as error:
        return "beyond" if "beyond BIGINT" in str(error) or "verflow happened" in str(error) else str(error)


def fits(value):
    return value is None or -TOP - 1 <= value <= TOP


def expression(draw, depth):
    """An expression over a and b: its text, and what it is of a row in whole numbers without a limit."""
    if depth == 0 or draw.random() < 0.2:
        constant = draw.choice([1, 2, -3, 10**10, TOP])
        leaves = [("a", lambda a, b: a), ("b", lambda a, b: b), (str(constant), lambda a, b: constant)]
        return draw.choice(leaves)
    (left, one), (right, other) = (expression(draw, depth - 1) for _ in range(2))
    operator = draw.choice("+-*")
    act = {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y}[operator]

    def value(a, b):
        x, y = one(a, b), other(a, b)
        return None if x is None or y is None else act(x, y)

    return f"({left} {operator} {right})", value


@pytest.mark.parametrize("table", ["plain", "scratch", "arrow"])
@pytest.mark.parametrize("settings", [{}, {"batch_size": 2, "target_partitions": 4}], ids=["", "batches of two"])
def test_arithmetic_is_right_or_an_error(table, settings):
    draw = random.Random(f"{table}{settings}")
    rows = {"a": [draw.choice([*EDGES, None]) for _ in range(9)], "b": [draw.choice([*EDGES, None]) for _ in range(9)]}
    ctx = context({"i": list(range(9)), **rows}, **settings)
    for _ in range(40):
        text, value = expression(draw, draw.choice([1, 1, 2, 3]))
        for i, (a, b) in enumerate(zip(rows["a"], rows["b"], strict=True)):
            if draw.random() < 0.3:
                wanted = value(a, b)
                found = answer(ctx, f"SELECT {text} AS v FROM {table} WHERE i = {i}")
                assert found == ([(wanted,)] if fits(wanted) else "beyond") or (
                    found == "beyond" and is_long(text, a, b)
                )


def is_long(text, a, b):
    """Whether a step between may be beyond 128 bits, of which DECIMAL(38,0) has no room, or a term is -2^63."""
    return eval(text.replace("-", "+"), {}, {"a": abs(a), "b": abs(b)}) > 2**127 or -TOP - 1 in (a, b)


SUMS = [  # the query, and what it gives of whole numbers without a limit
    ("SELECT sum(n) FROM {}", lambda rows: [(sum(n for _, n in rows),)]),
    ("SELECT g, sum(n) FROM {} GROUP BY g ORDER BY g", lambda rows: of_groups(rows)),
    ("SELECT DISTINCT g, sum(n) OVER (PARTITION BY g) FROM {} ORDER BY g", lambda rows: of_groups(rows)),
    ("SELECT sum(n) FILTER (WHERE g = 0) FROM {}", lambda rows: [(sum(n for g, n in rows if g == 0),)]),
    ("SELECT sum(DISTINCT n) FROM {}", lambda rows: [(sum({n for _, n in rows}),)]),
    ("SELECT (SELECT sum(n) FROM {}) AS s", lambda rows: [(sum(n for _, n in rows),)]),
    ("SELECT sum(n * 2 - g) FROM {}", lambda rows: [(sum(n * 2 - g for g, n in rows),)]),
]


def of_groups(rows):
    return [(g, sum(n for h, n in rows if h == g)) for g in sorted({g for g, _ in rows})]


@pytest.mark.parametrize("table", ["plain", "scratch", "arrow", "grid"])
@pytest.mark.parametrize("settings", [{}, {"batch_size": 2, "target_partitions": 4}], ids=["", "batches of two"])
@pytest.mark.parametrize(("query", "of"), SUMS, ids=[query for query, _ in SUMS])
def test_a_sum_is_right_or_an_error(table, settings, query, of):
    draw = random.Random(f"{query}{table}")
    for size in (100, 2**59, 2**61):
        rows = [(i % 2, draw.randint(-size, size)) for i in range(9)]
        ctx = context({"g": [g for g, _ in rows], "n": [n for _, n in rows]}, **settings)
        wanted = of(rows)
        found = answer(ctx, query.format(table))
        inside = all(fits(v) for row in wanted for v in row)
        assert found == (wanted if inside else "beyond") or (found == "beyond" and "*" in query and size > 2**60)


@pytest.mark.parametrize(("size", "tables"), [(2**40, ("plain", "grid")), (2**61, ("scratch", "arrow"))])
def test_sums_of_many_rows_are_right_or_an_error(size, tables):
    draw = random.Random(size)
    rows = [(i % 2, draw.randint(-size, size)) for i in range(MANY)]
    ctx = context({"g": [g for g, _ in rows], "n": [n for _, n in rows]}, batch_size=64, target_partitions=4)
    for query, of in SUMS:
        wanted = of(rows)
        inside = all(fits(v) for row in wanted for v in row)
        for table in tables:
            found = answer(ctx, query.format(table))
            assert found == (wanted if inside else "beyond") or (found == "beyond" and "*" in query and size > 2**60)


def test_array_code_does_not_wrap_around():
    ctx = context({"n": [2**62, 2**62, 3]})
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a BIGINT); INSERT INTO p VALUES (0, 1)")
    sums = "INSERT INTO p SELECT :next_step, (SELECT SUM(n) FROM grid{})"
    powers = "INSERT INTO p SELECT :next_step, p.a * 16 FROM p WHERE p.step = :next_step - 1"
    for executor in ("auto", "relational"):
        ctx.script("DELETE FROM p WHERE step > 0")
        with pytest.raises(SqlError):
            ctx.train(sums.format(""), steps=2, executor=executor)
        ctx.script("DELETE FROM p WHERE step > 0")
        ctx.train(sums.format(" WHERE row > 0"), steps=2, executor=executor)
        assert ctx.sql("SELECT a FROM p WHERE step = 2").to_pydict()["a"] == [2**62 + 3]
        ctx.script("DELETE FROM p WHERE step > 0")
        with pytest.raises(SqlError):
            ctx.train(powers, steps=20, executor=executor)
        assert ctx.sql("SELECT max(a) AS a FROM p").to_pydict()["a"] == [2**60]


def test_bounds_follow_what_is_committed():
    ctx = sqlmagic_xr.Context()
    ctx.script("CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1), (2)")
    query = "SELECT sum(n) AS s, max(n + 1) AS m FROM t"
    assert "CASE" not in str(ctx.sql(query).logical_plan())
    assert answer(ctx, query) == [(3, 3)]
    ctx.script(f"CREATE VIEW v AS {query}; INSERT INTO t VALUES ({TOP})")
    assert answer(ctx, query) == "beyond"
    assert answer(ctx, "SELECT * FROM v") == "beyond"
    ctx.script("DELETE FROM t WHERE n > 2")
    assert answer(ctx, query) == answer(ctx, "SELECT * FROM v") == [(3, 3)]


def test_changes_do_not_wrap_around():
    ctx = sqlmagic_xr.Context()
    ctx.script(f"CREATE TABLE t (n BIGINT, CHECK (n * 2 > n - 5)); INSERT INTO t VALUES (1), ({TOP // 2})")
    for text in ("UPDATE t SET n = n * 3", "INSERT INTO t SELECT sum(n * 4) FROM t", f"INSERT INTO t VALUES ({TOP})"):
        with pytest.raises(SqlError, match="beyond BIGINT"):
            ctx.script(text)
    assert answer(ctx, "SELECT n FROM t ORDER BY n") == [(1,), (TOP // 2,)]


def test_thirty_thousand_rows_and_hundreds_of_terms():
    ctx = sqlmagic_xr.Context()
    SessionContext.register_record_batches(ctx, "d", [pa.table({"n": range(30_000)}).to_batches()])
    assert answer(ctx, "SELECT sum(n), max(n + n * 2) FROM d") == [(30_000 * 29_999 // 2, 3 * 29_999)]
    assert answer(ctx, f"SELECT max({'+'.join(['n'] * 300)}) FROM d") == [(29_999 * 300,)]


@pytest.mark.parametrize("value", ["coalesce(r, 7)", "CASE WHEN r > 1 THEN r ELSE 1 END", "greatest(r, -1)", "r + 0"])
def test_a_choice_between_signed_and_unsigned_is_a_decimal(value):
    query = f"SELECT sum({value}) AS v FROM (SELECT row_number() OVER () AS r FROM generate_series(1, 3))"
    assert answer(sqlmagic_xr.Context(), query) == [(6,)]


@pytest.mark.parametrize(
    ("value", "right"),
    [("r + n", TOP + 1), ("n - r", TOP - 1), ("r * n * 3", 3 * TOP), ("n + coalesce(r, 7)", TOP + 1)],
)
@pytest.mark.parametrize("settings", [{}, {"batch_size": 2, "target_partitions": 4}])
def test_signed_beside_unsigned_is_a_decimal_and_has_room(value, right, settings):
    query = f"SELECT {value} AS v FROM (SELECT row_number() OVER () AS r, CAST({TOP} AS BIGINT) AS n) q"
    ctx = context({"x": [1]}, **settings)
    assert answer(ctx, query) == [(right,)]
    assert answer(ctx, f"SELECT sum(v) AS v FROM ({query}) s") == [(right,)]


@pytest.mark.parametrize("table", ["plain", "arrow"])
def test_a_shift_is_right_or_an_error(table):
    rows = [(a, b) for a in [*EDGES[:8], TOP, -TOP - 1] for b in (0, 1, 31, 62, 63, 64, -1)]
    ctx = context({"i": range(len(rows)), "a": [a for a, _ in rows], "b": [b for _, b in rows]})
    good = {i: a << b for i, (a, b) in enumerate(rows) if 0 <= b < 64 and fits(a << b)}
    places = ", ".join(map(str, good))
    found = answer(ctx, f"SELECT i, a << b AS v FROM {table} WHERE i IN ({places})")
    assert dict(found) == good
    for i, (a, b) in enumerate(rows):
        if i not in good:
            for text in ("a << b", f"a << {b}"):
                found = answer(ctx, f"SELECT {text} AS v FROM {table} WHERE i = {i}")
                assert found.startswith("<< pushes digits out of BIGINT"), (a, b)


def test_what_a_list_holds_is_checked():
    ctx = context({"n": [2**62, 3]})
    lists = "(SELECT unnest([n]) AS x, unnest(make_array(n, n)) AS y FROM plain)"
    assert answer(ctx, f"SELECT x + y AS v FROM {lists}") == "beyond"
    assert answer(ctx, f"SELECT sum(y) AS v FROM {lists}") == "beyond"
    assert sorted(answer(ctx, f"SELECT x - 1 AS v FROM {lists} WHERE x < 9")) == [(2,)]


def test_what_is_pushed_out_is_told_apart_from_what_is_not():
    ctx = context({"i": [0, 1, 2], "n": [1, 2**60, -(2**60)]})
    assert answer(ctx, "SELECT 1 + (n << 1) << 1 AS v FROM arrow WHERE i < 1") == [(6,)]
    assert answer(ctx, "SELECT n << 2 AS v FROM arrow ORDER BY i") == [(4,), (2**62,), (-(2**62),)]
    assert answer(ctx, "SELECT (n << 1) << 2 AS v FROM arrow").startswith("<< pushes digits out of BIGINT")


def test_a_sum_of_more_rows_than_can_be_checked_is_refused(monkeypatch):
    ctx = context({"n": [2**40, 2, 3]})
    (query, unknown) = ("SELECT sum(n) AS v FROM {}", "(SELECT n FROM plain UNION ALL SELECT n FROM plain)")
    assert answer(ctx, query.format(unknown)) == [(2 * (2**40 + 5),)]
    monkeypatch.setattr(overflow, "ROWS", 4)
    assert answer(ctx, query.format(unknown) + " AS another") == "beyond"  # the text before is remembered


def test_integers_of_32_bits_are_counted_where_nobody_has(monkeypatch):
    ctx = context({"n": [2**30, 2, 3]})
    many = " UNION ALL ".join(["SELECT CAST(n AS INT) AS n FROM plain"] * 3)
    assert answer(ctx, f"SELECT sum(n) AS v FROM ({many})") == [(3 * (2**30 + 5),)]
    for room, name, value in ((bounds, "UNCOUNTED", 4), (overflow, "UNCOUNTED", 4), (overflow, "GREATEST", 2**34)):
        monkeypatch.setattr(room, name, value)  # so that 8 rows may be the limit, and not 2^32
    assert answer(ctx, f"SELECT sum(n) AS v FROM ({many}) AS another") == "beyond"
    assert answer(ctx, f"SELECT sum(n) AS v FROM ({many}) AS another WHERE n > 2") == [(3 * (2**30 + 3),)]
    assert answer(ctx, f"SELECT sum(DISTINCT n) AS v FROM ({many}) AS another") == [(2**30 + 5,)]


def test_sums_of_unsigned_integers_of_32_bits():
    ctx = sqlmagic_xr.Context()
    ctx.script("CREATE VIEW w AS SELECT arrow_cast(4294967290 + value % 2, 'UInt32') AS u FROM generate_series(1, 9)")
    total = 9 * 4294967290 + 5
    assert answer(ctx, "SELECT sum(u) AS v FROM (SELECT u FROM w)") == [(total,)]
    assert answer(ctx, "SELECT DISTINCT sum(u) OVER () AS v FROM w") == [(total,)]
    assert answer(ctx, "SELECT u % 2 AS g, sum(u) AS v FROM w GROUP BY u % 2 ORDER BY g") == [
        (0, 4 * 4294967290), (1, 5 * 4294967291),
    ]  # fmt: skip


def test_an_array_that_is_written_to_in_place_does_not_wrap_around():
    small, large = np.arange(9), np.arange(200_000)
    sets = {name: xr.Dataset({"n": ("x", array)}) for name, array in (("small", small), ("large", large))}
    ctx = sqlmagic_xr.Context(namespace=lambda: {**sets, "rows": pa.table({"n": pa.array(small)})})
    queries = {name: f"SELECT sum(n) AS v, max(n * n) AS w FROM {name}" for name in ("small", "large", "rows")}
    for query in queries.values():
        ctx.script(query)[0].to_arrow_table()
    lazy = ctx.script("SELECT sum(n) AS v FROM small")[0]
    small[:], large[-9:] = 2**60, 2**60
    with pytest.raises(SqlError, match="`n` was written to in place"):
        lazy.to_arrow_table()
    for query in queries.values():
        with pytest.raises(SqlError, match=r"beyond BIGINT|was written to in place"):
            ctx.script(query)[0].to_arrow_table()
        with pytest.raises(SqlError, match="beyond BIGINT"):
            ctx.script(query)[0].to_arrow_table()
    small[:], large[:] = 2, 2
    for query in queries.values():
        assert ctx.script(query)[0].to_arrow_table()["w"].to_pylist() == [4]

"""DECIMAL columns hold the digits that were written, of which a float has 16."""

import random
from decimal import ROUND_HALF_UP, Decimal, localcontext

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from tests.dealt import MANY, PACKED

LONG, WHOLE = "0.1234567890123456789", "9" * 38


@pytest.fixture
def ctx():
    context = Context()
    context.script("CREATE TABLE d (k BIGINT PRIMARY KEY, a DECIMAL(38,0), b DECIMAL(38,19), f DOUBLE)")
    return context


def rows(ctx):
    return [tuple(row) for row in ctx.script("SELECT k, a, b FROM d ORDER BY k")[0]]


@pytest.mark.parametrize(
    "values",
    [
        f"VALUES (1, {WHOLE}, {LONG}, 0.5), (2, -7, -0.5, 1), (3, NULL, 2, NULL)",
        f"VALUES (1, {WHOLE}, ({LONG}), 0.5), (2, 0 - 7, -0.5, 1), (3, NULL, 1 + 1, NULL)",
        f"SELECT 1, {WHOLE}, {LONG}, 0.5 UNION ALL SELECT 2, -7, -0.5, 1 UNION ALL SELECT 3, NULL, 2, NULL",
    ],
)
def test_an_insert(ctx, values):
    ctx.script(f"INSERT INTO d {values}")
    assert rows(ctx) == [(1, Decimal(WHOLE), Decimal(LONG)), (2, Decimal(-7), Decimal("-0.5")), (3, None, Decimal(2))]


def test_one_row_of_any_spelling(ctx):
    ctx.script(f"INSERT INTO d VALUES (1, {WHOLE}, -{LONG}, {LONG}) ON CONFLICT DO NOTHING")
    ctx.script(f"INSERT INTO d (b, a, k) SELECT {LONG} AS b, -{WHOLE}, 2")
    ctx.script(f"INSERT INTO d VALUES (3, 0, 0, 0); UPDATE d SET a = {WHOLE}, b = -{LONG} WHERE k = 3")
    assert rows(ctx) == [
        (1, Decimal(WHOLE), Decimal(f"-{LONG}")),
        (2, Decimal(f"-{WHOLE}"), Decimal(LONG)),
        (3, Decimal(WHOLE), Decimal(f"-{LONG}")),
    ]


def test_defaults_and_merges(ctx):
    ctx.script(f"CREATE TABLE e (k BIGINT PRIMARY KEY, x DECIMAL(38,19) DEFAULT {LONG})")
    ctx.script("INSERT INTO e (k) VALUES (1); INSERT INTO e VALUES (2, DEFAULT), (3, 0.5); INSERT INTO e VALUES (4, 0)")
    ctx.script("UPDATE e SET x = DEFAULT WHERE k = 4")
    ctx.script(
        f"MERGE INTO e USING (VALUES (3), (5)) AS s(k) ON e.k = s.k WHEN MATCHED THEN UPDATE SET x = -{LONG} "
        f"WHEN NOT MATCHED THEN INSERT (k, x) VALUES (s.k, {LONG})"
    )
    ctx.script("MERGE INTO e USING (VALUES (6)) AS s(k) ON e.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k)")
    ctx.script(f"INSERT INTO e VALUES (3, 0) ON CONFLICT (k) DO UPDATE SET x = {LONG}")
    ctx.script(f"ALTER TABLE e ADD COLUMN z DECIMAL(38,19) DEFAULT -{LONG}")
    found = [tuple(row) for row in ctx.script("SELECT x, z FROM e ORDER BY k")[0]]
    assert found == [(Decimal(LONG), Decimal(f"-{LONG}"))] * 6


def test_rows_dealt_out_by_two(ctx):
    ctx.script("SET datafusion.execution.batch_size = 2")
    ctx.script(f"INSERT INTO d VALUES {', '.join(f'({k}, {WHOLE}, {LONG}, NULL)' for k in range(9))}")
    assert rows(ctx) == [(k, Decimal(WHOLE), Decimal(LONG)) for k in range(9)]


def test_too_many_digits_are_rounded_or_an_error(ctx):
    ctx.script("CREATE TABLE e (x DECIMAL(10,2))")
    ctx.script("INSERT INTO e VALUES (3.14159265358979312), (-2.005000000000000001)")
    assert [x for (x,) in ctx.script("SELECT x FROM e ORDER BY x")[0]] == [Decimal("-2.01"), Decimal("3.14")]
    with pytest.raises(Exception, match="12345678901234567"):
        ctx.script("INSERT INTO e VALUES (12345678901234567.5)")


@pytest.fixture(scope="module")
def drawn():
    """A table of random decimals, and as many random numbers of 16 to 24 digits as texts, some of which it holds."""
    draw, context = random.Random(17), Context()
    numbers = [f"{draw.randrange(10**5)}.{draw.randrange(10**18, 10**19)}" for _ in range(40)]
    numbers += [f"{draw.randrange(10**5)}.{draw.randrange(10**15, 10**16)}" for _ in range(20)]
    rows = [f"({i}, {draw.choice(('', '-'))}{text}, {i}.5)" for i, text in enumerate(numbers[::2])]
    context.script("SET datafusion.execution.batch_size = 2; CREATE TABLE d (k BIGINT, b DECIMAL(38,19), f DOUBLE)")
    context.script(f"INSERT INTO d VALUES {', '.join(rows)}")
    held = [(k, b) for k, b in context.script("SELECT k, b FROM d ORDER BY k")[0]]
    assert [b for _, b in held] == [Decimal(row.split(", ")[1]) for row in rows]
    return context, numbers, held


MEETINGS = {
    "b + {}": lambda b, n: b + n,
    "-{} - b": lambda b, n: -n - b,
    "b % {}": lambda b, n: b % n,
    "b - ({} + 0.5)": lambda b, n: b - (n + Decimal("0.5")),
    "b = {}": lambda b, n: b == n,
    "-{} >= b": lambda b, n: -n >= b,
    "b BETWEEN -{0} AND {0}": lambda b, n: -n <= b <= n,
    "b IS DISTINCT FROM {}": lambda b, n: b != n,
    "b IN ({}, 0.5)": lambda b, n: b == n,
    "greatest(b, {}, 0.5)": lambda b, n: max(b, n, Decimal("0.5")),
    "least(-{}, b)": lambda b, n: min(b, -n),
    "coalesce(NULL, {}, b)": lambda b, n: n,
    "nullif(b, {})": lambda b, n: None if b == n else b,
    "CASE WHEN b < {0} THEN {0} ELSE b END": max,
    "CASE b WHEN {} THEN 1 ELSE 0 END": lambda b, n: int(b == n),
    "CAST({} + 1 AS DECIMAL(38,19)) + b": lambda b, n: n + 1 + b,
    "CAST(b AS DECIMAL(9,2)) * {}": lambda b, n: b.quantize(Decimal("0.01"), ROUND_HALF_UP) * n,
    "b + (SELECT {})": lambda b, n: b + n,
}


@pytest.mark.parametrize("spelling", MEETINGS)
def test_a_number_that_meets_a_decimal(drawn, spelling):
    ctx, numbers, held = drawn
    right = MEETINGS[spelling]
    each = numbers[::6] if "SELECT" in spelling else numbers
    columns = ", ".join(f"{spelling.format(text)} AS c{i}" for i, text in enumerate(each))
    with localcontext(prec=60):
        for row, (_, b) in zip(ctx.script(f"SELECT k, {columns} FROM d ORDER BY k")[0], held, strict=True):
            assert list(row)[1:] == [right(b, Decimal(text)) for text in each]


def test_numbers_that_meet_many_decimals(drawn):
    """Each row of 30,000 has what it has among thirty, also where its digits come in as text."""
    small, numbers, held = drawn
    columns = ", ".join(f"{spelling.format(numbers[0])} AS c{i}" for i, spelling in enumerate(MEETINGS))
    few = small.query(f"SELECT k, b, {columns} FROM d ORDER BY k")
    ctx = Context()
    ctx.from_arrow(few.select(["k", "b"]), "few")
    times = MANY // len(held)
    ctx.script(
        f"{PACKED}; CREATE TABLE d (n BIGINT, k BIGINT, b DECIMAL(38,19));"
        f"INSERT INTO d SELECT n.value * {len(held)} + few.k, few.k, CAST(few.b AS VARCHAR)"
        f" FROM generate_series(0, {times - 1}) AS n CROSS JOIN few"
    )
    found = ctx.query(f"SELECT k, b, {columns} FROM d ORDER BY n")
    assert found.equals(few.take(np.tile(np.arange(len(held)), times)))


def test_numbers_in_conditions_and_columns(drawn):
    ctx, numbers, held = drawn
    listed = ", ".join(numbers[:30])
    wanted = [k for k, b in held if b in set(map(Decimal, numbers[:30]))]
    values = ", ".join(f"({text})" for text in numbers[:30])
    assert wanted
    for query in (
        f"SELECT k FROM d WHERE b IN ({listed}) ORDER BY k",
        f"SELECT k FROM d JOIN (VALUES {values}) AS x(v) ON d.b = x.v ORDER BY k",
        f"WITH x AS (SELECT {' AS v UNION ALL SELECT '.join(numbers[:30])}) SELECT k FROM d, x WHERE b = v ORDER BY k",
        f"SELECT k FROM d WHERE b IN (SELECT {' UNION SELECT '.join(numbers[:30])}) ORDER BY k",
        f"SELECT k FROM d GROUP BY k HAVING {' OR '.join(f'sum(b) = {text}' for text in numbers[:30])} ORDER BY k",
    ):
        assert [k for (k,) in ctx.script(query)[0]] == wanted
    union = f"SELECT b FROM d WHERE k < 2 UNION ALL SELECT {' UNION ALL SELECT '.join(numbers)}"
    assert sorted(b for (b,) in ctx.script(union)[0]) == sorted([b for _, b in held[:2]] + [*map(Decimal, numbers)])


def test_a_number_that_meets_none_is_a_float(drawn):
    ctx, _, _ = drawn
    columns = (LONG, f"f * {LONG}", f"k + {LONG}", f"b + {LONG}e0", "b + :x", f"b / {LONG}")
    query = f"SELECT {', '.join(f'{column} AS c{i}' for i, column in enumerate(columns))} FROM d"
    result = ctx.script(query, {"x": 0.1 + 0.2})[0]
    assert set(result.to_arrow_table().schema.types) == {pa.float64()}
    assert next(iter(result))[0] == float(LONG)


def test_whole_numbers_beyond_64_bits():
    ctx = Context()
    ctx.script(f"CREATE TABLE w (a DECIMAL(38,0) PRIMARY KEY); INSERT INTO w VALUES ({WHOLE}), (-{2**63 + 1}), (1)")
    query = f"SELECT a = {WHOLE} AS x, a = -{2**63 + 1} AS y, a > {2**64} AS z, a - {2**70} AS s FROM w ORDER BY a"
    assert [tuple(row) for row in ctx.script(query)[0]] == [
        (False, True, False, Decimal(-(2**63) - 1 - 2**70)),
        (False, False, False, Decimal(1 - 2**70)),
        (True, False, True, Decimal(int(WHOLE) - 2**70)),
    ]
    ctx.script(f"DELETE FROM w WHERE a = {WHOLE}; UPDATE w SET a = a - {2**64} WHERE a IN (-{2**63 + 1})")
    assert [a for (a,) in ctx.script("SELECT a FROM w ORDER BY a")[0]] == [-(2**63) - 1 - 2**64, 1]

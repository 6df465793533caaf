"""DECIMAL columns hold the digits that were written, of which a float has 16."""

from decimal import Decimal

import pytest

from sqlmagic_xr import Context

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

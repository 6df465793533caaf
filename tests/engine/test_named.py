"""PREPARE, EXECUTE and DEALLOCATE: any statement under a name, with typed values, run as if it were written out."""

import numpy as np
import pytest
from datafusion import SessionContext

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ConstraintError, ParameterError, SqlError, UnknownNameError, UsageError

TABLE = (
    "CREATE TABLE t (id BIGINT PRIMARY KEY, x DOUBLE, s VARCHAR); INSERT INTO t VALUES (1, 0.5, 'a'), (2, 1.5, NULL)"
)


@pytest.fixture
def ctx():
    context = Context()
    context.script(TABLE)
    return context


def last(ctx, sql, params=None):
    return ctx.script(sql, params)[-1].to_arrow_table().to_pydict()


@pytest.mark.parametrize(
    ("statement", "run"),
    [
        ("SELECT id, $1 FROM t WHERE id > $1 ORDER BY id", "(1)"),
        ("SELECT $2, $1 FROM t ORDER BY id LIMIT 1", "(-1, 'it''s')"),
        ("SELECT sum(x) + $1 AS s FROM t", "(2.5)"),
        ("SELECT id FROM t WHERE s = $1 OR s IS NULL ORDER BY id", "('a')"),
        ("SELECT id FROM t ORDER BY id", ""),
        ("VALUES ($1), (2)", "(1)"),
        ("WITH q AS (SELECT id FROM t WHERE id = $1) SELECT count(*) AS n FROM q", "(2)"),
    ],
)
def test_a_query_gives_what_the_engine_gives(ctx, statement, run):
    plain = SessionContext()
    for sql in TABLE.split(";"):
        plain.sql(sql).collect()
    plain.sql(f"PREPARE q AS {statement}").collect()
    assert last(ctx, f"PREPARE q AS {statement}; EXECUTE q{run}") == plain.sql(f"EXECUTE q{run}").to_pydict()


def test_statements_with_effects_are_ours(ctx):
    ctx.script("PREPARE put (BIGINT, DOUBLE, VARCHAR) AS INSERT INTO t VALUES ($1, $2, $3); EXECUTE put(3, 1, 'b')")
    with pytest.raises(ConstraintError):
        ctx.script("EXECUTE put(3, 2, 'c')")
    ctx.script("PREPARE move AS UPDATE t SET x = x + $1 WHERE id = $2; EXECUTE move(10, 3)")
    ctx.script("PREPARE gone AS DELETE FROM t WHERE id < $1; EXECUTE gone(3)")
    assert last(ctx, "SELECT * FROM t") == {"id": [3], "x": [11.0], "s": ["b"]}
    ctx.script("BEGIN; EXECUTE gone(9); ROLLBACK")
    assert len(ctx.scratch("t")) == 1


def test_types_cast_and_derivatives_and_parameters_work(ctx):
    ctx.script("PREPARE slope (DOUBLE) AS SELECT id, grad($1 * x * x, x) * :by AS d FROM t ORDER BY id")
    assert last(ctx, "EXECUTE slope('2')", {"by": 10})["d"] == [20.0, 60.0]
    assert last(ctx, "EXECUTE slope(:v)", {"by": 1, "v": np.float32(1)})["d"] == [1.0, 3.0]
    ctx.script("PREPARE whole (INT) AS SELECT arrow_typeof($1) AS kind")
    assert last(ctx, "EXECUTE whole(1)") == {"kind": ["Int32"]}
    with pytest.raises(ParameterError, match="by"):
        ctx.script("EXECUTE slope(1)")


def test_the_table_is_read_when_it_is_run(ctx):
    ctx.script("PREPARE n AS SELECT count(*) AS n FROM t; INSERT INTO t VALUES (9, 9, 'z')")
    assert last(ctx, "EXECUTE n") == {"n": [3]}


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("EXECUTE q(1)", UnknownNameError, "no prepared statement `q`"),
        ("PREPARE p AS SELECT 1; PREPARE p AS SELECT 2", UsageError, "already"),
        ("PREPARE p AS SELECT $1; EXECUTE p", UsageError, "takes 1 values, not 0"),
        ("PREPARE p AS SELECT $2; EXECUTE p(1)", UsageError, "takes 2 values, not 1"),
        ("PREPARE p (INT) AS SELECT $1, $2", UsageError, "1 types, and the statement has 2"),
        ("PREPARE p (INT) AS SELECT nope, $1 FROM t", UnknownNameError, "no column nope"),
        ("PREPARE p AS SELECT $1; EXECUTE p(id)", UsageError, "constants"),
        ("PREPARE p AS SELECT $1; EXECUTE p((SELECT 1))", UsageError, "constants"),
        ("PREPARE p AS DROP TABLE t", SqlError, "PREPARE takes"),
        ("PREPARE p (INT) AS SELECT $1; EXECUTE p('x')", SqlError, "x"),
        ("PREPARE p AS SELECT 1; DEALLOCATE p; EXECUTE p", UnknownNameError, "no prepared statement"),
        ("PREPARE p AS SELECT 1; DEALLOCATE ALL; EXECUTE p", UnknownNameError, "no prepared statement"),
        ("DEALLOCATE p", UnknownNameError, "no prepared statement"),
    ],
)
def test_what_does_not_fit_is_refused(ctx, sql, error, message):
    with pytest.raises(error, match=message):
        last(ctx, sql)
    assert len(ctx.scratch("t")) == 2

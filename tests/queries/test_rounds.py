"""The rounds of a recursion as array code: the rows are those of the engine, whoever went through how many rounds."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import sqlmagic_xr
from sqlmagic_xr.engine import context as engine
from sqlmagic_xr.queries import rounds

D = [(i, (i * 7 % 5) / 4, (i * 3 % 7) / 8 - 0.25) for i in range(40)]
M = [(i, j, ((i + 2 * j) % 3 + (i == j)) / 4) for i in range(4) for j in range(4)]
E = [(i, (i + 1) % 40, 0.5) for i in range(40)] + [(i, i * i % 40, 0.25) for i in range(40)]
SCRIPT = (
    "CREATE TABLE e (s BIGINT, t BIGINT, w DOUBLE); INSERT INTO e VALUES " + ", ".join(map(str, E)) + ";"
    "CREATE TABLE d (i BIGINT, x DOUBLE, y DOUBLE); INSERT INTO d VALUES " + ", ".join(map(str, D)) + ";"
    "CREATE TABLE m (i BIGINT, j BIGINT, w DOUBLE, PRIMARY KEY (i, j)); INSERT INTO m VALUES " + ", ".join(map(str, M))
)
PARTS = (Path(__file__).parent / "rounds.sql").read_text(encoding="utf-8").strip().split("\n\n")[1:]
QUERIES = {title[3:]: recursion for title, recursion in (part.split("\n", 1) for part in PARTS)}


def fetched(context, name, recursion=None):
    return context.sql(f"WITH RECURSIVE {recursion or QUERIES[name]} SELECT * FROM r").to_arrow_table()


@pytest.fixture(scope="module")
def contexts():
    found = sqlmagic_xr.Context(), engine.Context()
    for context in found:
        context.script(SCRIPT)
    return found


@pytest.fixture
def gone(monkeypatch):
    """How many rows array code has given, for each recursion."""
    found, inner = [], rounds.ArrayRounds.go

    def go(self, most):
        found.append(0)
        for gone in inner(self, most):
            found[-1] += gone.rows
            yield gone

    monkeypatch.setattr(rounds.ArrayRounds, "go", go)
    return found


def plain(table):
    rows = zip(*(c.to_pylist() for c in table.columns), strict=True)
    return sorted(rows, key=lambda row: tuple((v is not None, v) for v in row[:2]))


@pytest.mark.parametrize("name", QUERIES)
def test_the_rows_are_those_of_the_engine(contexts, gone, name):
    mine, theirs = (fetched(context, name) for context in contexts)
    assert mine.schema.types == theirs.schema.types
    assert len(gone) <= 4  # what comes to nothing is tried again, and again after twice as many rounds
    if name.endswith(": arrays"):
        assert sum(gone) >= mine.num_rows // 2
    for one, other in zip(plain(mine), plain(theirs), strict=True):
        for a, b in zip(one, other, strict=True):
            assert a == b or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-14)


def test_thousands_of_rounds_are_put_together_in_their_order(contexts, gone):
    sql = """WITH RECURSIVE r AS
        (SELECT 0 AS k, 0.5 AS x UNION ALL SELECT k + 1, 3.5 * x * (1 - x) FROM r WHERE k < 10000) SELECT k, x FROM r"""
    found = contexts[0].sql(sql).to_arrow_table()
    assert gone[0] > 9_000
    np.testing.assert_array_equal(found["k"].to_numpy(), np.arange(10_001))
    x = 0.5
    for _ in range(10_000):
        x = 3.5 * x * (1 - x)
    assert math.isclose(found["x"][-1].as_py(), x, rel_tol=1e-9)


def test_a_table_that_has_changed_since_is_read_as_it_was(gone):
    table = pa.table({"x": [1.0, 2.0]})
    context = sqlmagic_xr.Context(namespace=lambda: {"v": table})
    context.script("CREATE TABLE t (x DOUBLE); INSERT INTO t VALUES (1.0), (3.0)")
    sql = """WITH RECURSIVE r AS (SELECT 0 AS k, 0.0 AS a UNION ALL
        SELECT k + 1, r.a + AVG(t.x) + AVG(v.x) FROM t CROSS JOIN v CROSS JOIN r WHERE k < 9 GROUP BY k, r.a)
        SELECT max(a) FROM r"""
    before = context.sql(sql)
    context.script("DELETE FROM t WHERE x = 1.0")
    assert before.to_arrow_table().column(0).to_pylist() == [9 * 3.5]
    assert gone == []
    assert context.sql(sql).to_arrow_table().column(0).to_pylist() == [9 * 4.5]
    context.script("BEGIN; INSERT INTO t VALUES (9.0)")
    assert context.sql(sql).to_arrow_table().column(0).to_pylist() == [9 * 7.5]
    context.script("ROLLBACK")


def test_max_recursion_ends_array_code_too(contexts, gone):
    context = contexts[0]
    context.max_recursion = 500
    try:
        with pytest.raises(sqlmagic_xr.errors.SqlError, match="after 500 rounds"):
            context.sql(
                "WITH RECURSIVE r AS (SELECT 0.5 AS x UNION ALL SELECT x / 2 FROM r) SELECT x FROM r"
            ).to_arrow_table()
    finally:
        context.max_recursion = 1_000_000

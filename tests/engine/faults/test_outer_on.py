"""ON inside a subquery that names the row around it: over scratch tables it means what it means in WHERE."""

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UnsupportedError


@pytest.fixture
def ctx():
    context = Context()
    context.script(
        "CREATE TABLE t (i BIGINT, k VARCHAR); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, NULL);"
        "CREATE TABLE r (i BIGINT, w BIGINT); INSERT INTO r VALUES (1, 10), (3, 30), (4, 40);"
        "CREATE TABLE u (i BIGINT, k VARCHAR); INSERT INTO u VALUES (1, 'a'), (2, 'b'), (3, 'x'), (4, NULL)"
    )
    return context


SUBQUERIES = [
    ("SELECT i FROM t WHERE EXISTS (SELECT * FROM r JOIN u ON u.i = r.i AND u.k = t.k)", [1]),
    ("SELECT i FROM t WHERE NOT EXISTS (SELECT * FROM r JOIN u ON (u.i = r.i AND u.k = t.k))", [2, 3, 4]),
    ("SELECT i FROM t WHERE EXISTS (SELECT * FROM r INNER JOIN u ON u.i = t.i AND u.k = t.k)", [1, 2]),
    ("SELECT i FROM t WHERE EXISTS (SELECT 1 FROM r JOIN u ON u.i = r.i AND t.k <> 'a' WHERE r.w > 10)", [2, 3]),
    ("SELECT i FROM t WHERE i IN (SELECT r.i FROM r JOIN u ON u.i = r.i AND u.k = t.k)", [1]),
    ("SELECT i FROM t AS o WHERE 10 = (SELECT max(w) FROM r JOIN u ON r.i = u.i AND u.k = o.k)", [1]),
    ("SELECT i FROM t WHERE EXISTS (SELECT 1 FROM r JOIN u ON u.i = r.i AND r.i = 1)", [1, 2, 3, 4]),
]


@pytest.mark.parametrize(("sql", "expected"), SUBQUERIES, ids=range(len(SUBQUERIES)))
def test_inner_joins(ctx, sql, expected):
    assert ctx.script(f"{sql} ORDER BY i")[0].to_arrow_table()["i"].to_pylist() == expected


def test_with_effects(ctx):
    ctx.script("DELETE FROM t WHERE EXISTS (SELECT 1 FROM r JOIN u ON u.i = r.i AND u.k = t.k)")
    assert len(ctx.scratch("t")) == 3


@pytest.mark.parametrize("kind", ["LEFT", "RIGHT", "FULL"])
def test_outer_joins_are_refused(ctx, kind):
    with pytest.raises(UnsupportedError, match="ON of an outer join"):
        ctx.script(f"SELECT i FROM t WHERE EXISTS (SELECT 1 FROM r {kind} JOIN u ON u.i = r.i AND u.k = t.k)")

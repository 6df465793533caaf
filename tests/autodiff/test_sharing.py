"""Long derivatives: their text grows with their distinct parts, and their values stay the same."""

import numpy as np
import pytest

from sqlmagic_xr.autodiff.rewrite import _KNOWN, rewrite
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.autodiff.functions import chain, growth, nested


def written(query, context):
    return to_sql(rewrite(parse_one(query).tree, context.tables))


def values(query, context):
    return context.sql(query).to_arrow_table().to_pandas().to_numpy(dtype=float)


def test_fifty_functions_through_layers(context):
    """The parser stops at 48 nested calls; a chain of 50 goes through a subquery."""
    inner = chain(25)
    query = f"SELECT x, grad({chain(25, 'u')}, x) AS g FROM (SELECT x, {inner} AS u FROM d) ORDER BY x"
    sql = written(query, context)
    assert len(sql) < 6 * len(query)
    order_3 = f"SELECT {nested(chain(25, 'u'), 3)} AS g FROM (SELECT x, {inner} AS u FROM d)"
    assert growth(written(order_3, context), chain(50)) < 27
    by_hand = (
        f"SELECT x, grad({chain(25, 'u')}, u) * grad({inner}, x) AS g FROM (SELECT x, {inner} AS u FROM d) ORDER BY x"
    )
    np.testing.assert_allclose(values(query, context), values(by_hand, context), rtol=1e-9)


PRODUCT, NEIGHBOURS = nested(chain(9, "d.x * p.a"), 2, "p.a"), nested(chain(9, "a.x * b.x"), 2, "a.x")
QUERIES = [
    f"SELECT x AS k, {nested(chain(9), 2)} AS g FROM d WHERE y > 0.2 ORDER BY x",
    f"SELECT *, {nested(chain(9), 2)} AS h FROM d ORDER BY d.i",
    f"SELECT t.*, {nested(chain(9, 't.x'), 2, 't.x')} AS h FROM d AS t ORDER BY t.i",
    f"SELECT g, AVG({nested(chain(9), 2)}) AS m, COUNT(*) AS n FROM d GROUP BY g HAVING AVG(x) > 0 ORDER BY g",
    f"SELECT d.i, {PRODUCT} AS g FROM d CROSS JOIN params p WHERE p.step = 1 ORDER BY d.i",
    f"SELECT p.step, SUM({PRODUCT}) AS g FROM d, params p GROUP BY p.step ORDER BY p.step",
    f"WITH w AS (SELECT x AS v, i FROM d) SELECT i, {nested(chain(9, 'v'), 2, 'v')} AS g FROM w ORDER BY i",
    f"SELECT i, SUM({nested(chain(9), 2)}) OVER (PARTITION BY g ORDER BY i) AS s FROM d ORDER BY i",
    f"SELECT i FROM d WHERE x > 0.1 ORDER BY {nested(chain(9), 2)}, i",
    f"SELECT a.i, b.i AS k, {NEIGHBOURS} AS g FROM d a JOIN d b ON a.i = b.i + 1 ORDER BY a.i",
    f"SELECT step, grad(AVG({nested(chain(9, 'a * x'), 2, 'a')}), a) AS g FROM d, params GROUP BY step ORDER BY step",
    f"SELECT x, {nested(chain(9), 2)} AS g FROM public.d ORDER BY public.d.i",
    f"SELECT k, {nested(chain(9), 2)} AS g FROM (SELECT x, i AS k FROM d) ORDER BY k",
    f"SELECT *, {nested(chain(9), 2)} AS g FROM (SELECT x, i AS k FROM d) ORDER BY k",
    f"SELECT k, {nested(chain(4, 'u'), 2)} AS g FROM (SELECT x, i AS k, {chain(5)} AS u FROM d) ORDER BY k",
    f"SELECT {nested(chain(9), 2)} AS g FROM d UNION ALL SELECT {nested(chain(8), 2)} FROM d ORDER BY g",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_sharing_changes_no_value(query, context, monkeypatch):
    shared = written(query, context)
    assert " s1 AS (SELECT" in shared
    assert written(f"INSERT INTO n {query}", context) == f"INSERT INTO n {shared}"
    got = values(query, context)
    for limit in ("WORTH", "LONG"):
        monkeypatch.setattr(f"sqlmagic_xr.autodiff.rebuild.{limit}", 1e9)
    _KNOWN.clear()  # else it is written as before
    plain = written(query, context)
    assert " s1 AS (SELECT" not in plain
    assert len(shared) < len(plain)
    np.testing.assert_allclose(got, values(query, context), rtol=1e-9, atol=1e-12)
    _KNOWN.clear()


def test_the_names_below_are_free(context):
    context.script("CREATE TABLE s1 (x DOUBLE, a DOUBLE); INSERT INTO s1 VALUES (0.5, 3.0)")
    try:
        query = f"SELECT *, {nested(chain(9), 2)} AS g FROM s1"
        sql = written(query, context)
        assert "WITH s2 AS" in sql
        (row,) = values(query, context)
        assert list(row[:2]) == [0.5, 3.0]
        assert len(row) == 3
    finally:
        context.script("DROP TABLE s1")


def test_short_derivatives_are_left_as_they_are(context):
    assert "WITH" not in written("SELECT grad(tanh(exp(sin(x * y))), x) FROM d", context)


def test_a_branch_that_is_not_taken_is_not_computed_below(context):
    """i / j at j = 0 fails in the engine; under CASE it is never asked for."""
    inner = "CASE WHEN j > 0 THEN " + chain(9, "x * CAST(i / nullif(j, 0) AS DOUBLE)") + " ELSE x END"
    query = f"SELECT {nested(inner, 2)} AS g FROM (SELECT x, i, j - 1 AS j FROM d) ORDER BY g"
    assert np.isfinite(values(query, context)).all()

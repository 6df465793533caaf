"""What jvp of a whole query means: how its columns change as the cells of a table move along tangents."""

import numpy as np
import pytest

from sqlmagic_xr.context import Context
from sqlmagic_xr.errors import DerivativeError


@pytest.fixture(scope="module")
def context():
    """p(g, k, a, v), with a NULL cell and a NULL tangent; t(g, k, v), which lacks a row; and many, without a key."""
    context = Context(namespace=dict)
    context.script("""
        CREATE TABLE p (g BIGINT, k BIGINT, a DOUBLE, v DOUBLE, PRIMARY KEY (g, k));
        INSERT INTO p VALUES (0, 0, 1.0, 10.0), (0, 1, 2.0, NULL), (1, 0, 3.0, 5.0), (1, 1, NULL, 7.0);
        CREATE TABLE t (g BIGINT, k BIGINT, v DOUBLE, PRIMARY KEY (g, k));
        INSERT INTO t VALUES (0, 0, 100.0), (0, 1, 1.0);
        CREATE TABLE many (g BIGINT, v DOUBLE)""")
    return context


def rows(context, query):
    return context.sql(query).to_arrow_table().to_pylist()


def test_each_row_of_a_loss_changes_by_the_cells_it_was_computed_from(context):
    found = rows(context, """
        WITH loss AS (SELECT g, SUM(a * a) AS l FROM p GROUP BY g)
        SELECT DISTINCT loss.g, jvp(loss.l, p.a, p.v) AS d, jvp(loss.l, p.a, 1.0) AS all_alike
        FROM loss JOIN p ON p.g = loss.g ORDER BY loss.g""")  # fmt: skip
    assert found == [{"g": 0, "d": 20.0, "all_alike": 6.0}, {"g": 1, "d": 30.0, "all_alike": 6.0}]


def test_a_tangent_may_be_of_another_relation_with_one_row_for_each_row(context):
    found = rows(context, """
        WITH loss AS (SELECT SUM(a * a * (1 + g)) AS l FROM p)
        SELECT p.k, jvp(loss.l, p.a, 2 * t.v) AS d FROM p JOIN t ON t.g = p.g AND t.k = p.k CROSS JOIN loss
        WHERE p.g = 0 ORDER BY p.k""")  # fmt: skip
    assert found == [{"k": 0, "d": 408.0}, {"k": 1, "d": 408.0}]  # along all cells, whichever row it stands in


def test_a_loss_without_a_value_does_not_change(context):
    query = """WITH loss AS (SELECT SUM(a) AS l FROM p WHERE g > 9)
               SELECT DISTINCT jvp(loss.l, p.a, 1.0) AS d FROM p CROSS JOIN loss"""
    assert rows(context, query) == [{"d": None}]


def test_an_expression_changes_as_its_columns_do(context):
    query = """WITH loss AS (SELECT SUM(a) AS s, SUM(a * a) AS q FROM p)
               SELECT DISTINCT jvp(q / s, p.a, p.v) AS d FROM p CROSS JOIN loss"""
    assert rows(context, query)[0]["d"] == pytest.approx((50 * 6 - 14 * 15) / 36)


def test_forward_and_back_are_adjoint_for_a_query_of_several_rows(context):
    forward = rows(context, """
        WITH loss AS (SELECT k, SUM(exp(a)) AS l FROM p GROUP BY k)
        SELECT DISTINCT loss.k, jvp(loss.l, p.a, p.v) AS d FROM loss CROSS JOIN p ORDER BY loss.k""")  # fmt: skip
    back = rows(context, """
        WITH loss AS (SELECT k, SUM(exp(a)) AS l FROM p GROUP BY k), one AS (SELECT SUM(l * (k + 3)) AS l FROM loss)
        SELECT v, grad(one.l, p.a) AS d FROM p CROSS JOIN one""")  # fmt: skip
    ours = sum(row["d"] * (row["k"] + 3) for row in forward)
    np.testing.assert_allclose(ours, sum(row["d"] * row["v"] for row in back if None not in row.values()), rtol=1e-13)


@pytest.mark.parametrize(("query", "reason"), [
    ("SELECT jvp(loss.l, p.a, m.v) FROM p JOIN many m ON m.g = p.g CROSS JOIN loss", "one row for each row"),
    ("SELECT jvp(loss.l, p.a, (SELECT MAX(v) FROM t)) FROM p CROSS JOIN loss", "a tangent is no query"),
    ("SELECT jvp(loss.l, p.a, random()) FROM p CROSS JOIN loss", "random"),
    ("SELECT jvp(loss.l + p.a, p.a, 1.0) FROM p CROSS JOIN loss", "stands in"),
    ("SELECT jvp(loss.l, p.a) FROM p CROSS JOIN loss", "is written jvp"),
])  # fmt: skip
def test_what_is_no_tangent_is_refused_with_the_reason(query, reason, context):
    with pytest.raises(DerivativeError, match=reason):
        context.sql(f"WITH loss AS (SELECT SUM(a * a) AS l FROM p) {query}")

"""Every operator says that it has a derivative, or why it is refused; derivatives are held against differences."""

import numpy as np
import pytest

from sqlmagic_xr.errors import DerivativeError
from tests.autodiff.reverse.operators import DERIVATIVE, REFUSED

SECOND = [
    "projection", "max with ties", "group by NULL", "left join, far side", "union all", "window over a partition",
    "correlated subquery", "running sum with ties", "limit by the parameter", "variance",
]  # fmt: skip
"""Operators whose derivatives of the second order are looked at: each in another way made of blocks."""
RELATIONAL = [
    "group by NULL", "left join, near side", "full join", "scalar subquery of no row", "exists whatever the row",
    "lag", "lead with a default", "running sum", "running sum with ties", "running average",
    "running average of nothing yet", "rows frame", "rows frame beside the row", "range frame",
    "window with a filter", "maximum of a frame", "minimum of a frame with ties", "maximum of a frame beside the row",
    "rank by what is no parameter", "first value", "first value of a frame", "last value", "two windows",
    "window of a join", "window of a group", "window of a window", "rank by the parameter as a filter",
    "limit by the parameter", "correlated IN", "correlated NOT IN", "standard deviation of a join", "no row",
]  # fmt: skip
"""Operators whose gradient array code leaves to DataFusion."""


@pytest.mark.parametrize("operator", DERIVATIVE)
def test_an_operator_has_its_derivative(operator, setting):
    ctes = f"WITH loss AS ({DERIVATIVE[operator]})"
    expected, _ = setting.along(ctes)
    found, by_arrays = setting.both(ctes)
    assert (by_arrays is None) == (operator in RELATIONAL)
    if by_arrays is not None:
        np.testing.assert_allclose(by_arrays, found, rtol=1e-11, atol=1e-13)
    back = sum(np.nansum(g * d) for g, d in zip(found, setting.direction, strict=True))
    forward = setting.forward(ctes)
    if operator == "no row":
        assert back == 0
        assert np.isnan(forward)
        return
    np.testing.assert_allclose(back, expected, rtol=2e-6, atol=1e-8)
    np.testing.assert_allclose(forward, back, rtol=1e-11, atol=1e-13)
    assert expected


@pytest.mark.parametrize("operator", SECOND)
def test_an_operator_has_its_derivative_of_the_second_order(operator, setting):
    loss = f"WITH loss AS ({DERIVATIVE[operator]})"
    ahead, back = (setting.gradient(loss, table)[0] for table in ("wp", "wm"))
    expected = (ahead - back) / (2 * setting.step)
    ctes = f"""{loss.format(w="w")},
        g AS (SELECT w.i, w.j, grad(loss.l, w.a) AS ga FROM w CROSS JOIN loss)"""
    query = f"""{ctes} SELECT w.i, w.j, jvp(g.ga, w.a, t.a, w.b, t.b) AS h
                FROM g JOIN w ON w.i = g.i AND w.j = g.j JOIN t ON t.i = w.i AND t.j = w.j ORDER BY w.i, w.j"""
    np.testing.assert_allclose(setting.column(query, "h"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("operator", ["case", "max with ties"])
def test_a_gradient_of_a_gradient_is_that_of_forward_over_reverse(operator, setting):
    loss = f"WITH loss AS ({DERIVATIVE[operator]})"
    ahead, back = (setting.gradient(loss, table)[0] for table in ("wp", "wm"))
    query = f"""{loss.format(w="w")}, along AS (
                    SELECT SUM(grad(loss.l, w.a) * t.a) + SUM(grad(loss.l, w.b) * t.b) AS s
                    FROM w CROSS JOIN loss JOIN t ON t.i = w.i AND t.j = w.j)
                SELECT w.i, w.j, grad(along.s, w.a) AS h FROM w CROSS JOIN along ORDER BY w.i, w.j"""
    expected = (ahead - back) / (2 * setting.step)
    np.testing.assert_allclose(setting.column(query, "h"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("operator", REFUSED)
def test_an_operator_is_refused_with_the_reason(operator, setting):
    text, reason = REFUSED[operator]
    with pytest.raises(DerivativeError, match=reason):
        setting.gradient(f"WITH loss AS ({text})")
    with pytest.raises(DerivativeError, match=reason):
        setting.forward(f"WITH loss AS ({text})")

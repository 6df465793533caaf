"""A shift that cancels owes nothing to the rows that it is calculated from; one that does not is taken back as ever."""

import numpy as np
import pytest

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.autodiff.reverse.conftest import gradient_of

GREATEST = """WITH v AS (SELECT i, j, a * (1 + b * b) AS z FROM {w}), m AS (SELECT i, MAX(z) AS m FROM v GROUP BY i),
    e AS (SELECT v.i, j, z, m, exp(z - m) AS e FROM v JOIN m ON m.i = v.i),
    s AS (SELECT i, SUM(e) AS s FROM e GROUP BY i)"""
SHIFTED = "FROM v JOIN s ON s.i = v.i JOIN m ON m.i = s.i"
CANCELS = {
    "log of a sum": f"SELECT SUM(power(ln(s) + m - z, 2)) AS l {SHIFTED}",
    "share of a sum": "SELECT SUM(z * e / s) AS l FROM e JOIN s ON s.i = e.i",
    "share and its logarithm": "SELECT SUM(e.e / s * (e.z - m - ln(s))) AS l FROM e JOIN s ON s.i = e.i",
    "twice": f"SELECT SUM((2 * m + ln(s * s)) / 2 - z) AS l {SHIFTED}",
    "a choice": f"SELECT SUM(CASE WHEN j > 1 THEN ln(s) + m ELSE ln(3 * s) + m END) AS l {SHIFTED}",
    "a power of ten": "SELECT AVG(ln(s * exp(m)) * z) AS l FROM e JOIN s ON s.i = e.i",
}  # fmt: skip
# ruff: noqa: E501 - a query a line
KEPT = {
    "the shift is missing": f"SELECT SUM(power(ln(s) - z, 2)) AS l {SHIFTED}",
    "twice the shift": f"SELECT SUM(ln(s) + 2 * m - z) AS l {SHIFTED}",
    "the shift of other rows": "SELECT SUM(ln(s) + m - z) AS l FROM v JOIN s ON s.i = v.i JOIN m ON m.i = v.j",
    "a constant beside it": f"SELECT SUM(ln(s + 1) + m - z) AS l {SHIFTED}",
    "a sum over several shifts": "SELECT SUM(m) + ln(SUM(e)) AS l FROM e",
    "a row without a partner": "SELECT SUM(coalesce(ln(s), 0.5) + m - z) AS l FROM v JOIN m ON m.i = v.i LEFT JOIN s ON s.i = v.i AND s.i > 1",
    "by another function": f"SELECT SUM(sin(ln(s)) + sin(m) - z) AS l {SHIFTED}",
    "where it is missing in one of two": f"SELECT l + k AS l FROM (SELECT SUM(ln(s) + m - z) AS l {SHIFTED}), (SELECT SUM(s) AS k FROM s)",
    "as often as there are rows": "SELECT SUM(ln(s)) + MAX(m) AS l FROM s JOIN m ON m.i = s.i",
    "in both parts of a union": "SELECT SUM(u) AS l FROM (SELECT ln(s) + m AS u FROM s JOIN m ON m.i = s.i UNION ALL SELECT m FROM m) q",
}  # fmt: skip


def gradient(setting, query):
    """The gradient's text, its product with the direction, and the same by central differences."""
    ctes = f"{GREATEST}, loss AS ({query})"
    text = to_sql(rewrite(parse_one(gradient_of(ctes)).tree, setting.context.tables))
    found, by_arrays = setting.both(ctes)
    assert by_arrays is not None
    np.testing.assert_allclose(by_arrays, found, rtol=1e-11, atol=1e-13)
    return text, sum(np.nansum(g * d) for g, d in zip(found, setting.direction, strict=True)), setting.along(ctes)[0]


@pytest.mark.parametrize("how", CANCELS)
def test_what_cancels_is_not_taken_back(how, setting):
    text, found, expected = gradient(setting, CANCELS[how])
    assert "ties" not in text
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-8)


@pytest.mark.parametrize("how", KEPT)
def test_what_does_not_cancel_is_taken_back(how, setting):
    text, found, expected = gradient(setting, KEPT[how])
    assert "ties" in text
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-8)

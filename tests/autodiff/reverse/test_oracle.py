"""Gradients of queries, cell by cell, against autograd on the same losses written in NumPy."""

from types import SimpleNamespace

import autograd
import autograd.numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.autodiff.reverse.conftest import KEYS
from tests.autodiff.reverse.operators import DERIVATIVE

KEY, SUB = (np.array(column) for column in zip(*KEYS, strict=True))
ROWS = range(len(KEYS))


def total(values, kept):
    """The sum of what is known; what is NULL is left out."""
    return np.sum(np.where(kept, values, 0.0))


def frame(values, kept, before, after):
    """Sums over the rows around each row, and whether a known one is among them."""
    near = np.array([[k - before <= m <= k + after for m in ROWS] for k in ROWS])
    return np.dot(near * kept, values), (near & kept).any(axis=1)


def variance(values, kept, fewer):
    count = kept.sum()
    return total((values - total(values, kept) / count) ** 2, kept) / (count - fewer)


def correlation(a, b, kept):
    ma, mb = total(a, kept) / kept.sum(), total(b, kept) / kept.sum()
    return total((a - ma) * (b - mb), kept) / np.sqrt(total((a - ma) ** 2, kept) * total((b - mb) ** 2, kept))


def partner(d, a, b, known):
    """For each row of the data the product of the cells at (i, 1), or 1."""
    found = 0.0
    for i, y in zip(d.i, d.y, strict=True):
        place = KEYS.index((i, 1)) if (i, 1) in KEYS else None
        found = found + y * (1.0 if place is None or not known[place] else a[place] * b[place])
    return found


def lagged(a, known):
    return sum(a[k] * a[k - 1] for k in ROWS if k and known[k] and known[k - 1])


def partition(values, kept, by):
    """For each row the sum over the rows that have its key."""
    return np.dot((by[:, None] == by[None, :]) * kept, values)


LOSSES = {
    "projection": lambda a, b, ka, kb, d: total(np.sin(a) * b, ka & kb),
    "where": lambda a, b, ka, kb, d: total(a * a, ka & (KEY > 0)),
    "where on the parameter": lambda a, b, ka, kb, d: total(a * a, ka & (a > -0.3)),
    "case": lambda a, b, ka, kb, d: total(np.where(KEY > 1, a, a * b), np.where(KEY > 1, ka, ka & kb)),
    "coalesce": lambda a, b, ka, kb, d: np.sum(np.where(ka, a, np.where(kb, b, 1.0))),
    "avg": lambda a, b, ka, kb, d: total(a * a, ka) / ka.sum(),
    "count": lambda a, b, ka, kb, d: ka.sum() * total(a, ka),
    "min": lambda a, b, ka, kb, d: np.min(np.where(ka & kb, a * b, np.inf)),
    "filter": lambda a, b, ka, kb, d: total(a * a, ka & (SUB == 1)) + total(b, kb & (b > 0)) / (kb & (b > 0)).sum(),
    "group by": lambda a, b, ka, kb, d: sum(total(a, ka & (i == KEY)) ** 2 for i in range(4)),
    "equi-join": lambda a, b, ka, kb, d: np.sum(a * ka * np.dot(d.i[None, :] == KEY[:, None], d.x)),
    "cross join": lambda a, b, ka, kb, d: total(a, ka) * np.sum(d.y),
    "non-equi join": lambda a, b, ka, kb, d: np.sum(a * ka * np.dot(d.i[None, :] > KEY[:, None], d.y)),
    "self join": lambda a, b, ka, kb, d: np.sum(np.dot((KEY[:, None] == SUB[None, :]) * 1.0, a * b * ka * kb) * a * ka),
    "left join, far side": lambda a, b, ka, kb, d: partner(d, a, b, ka & kb),
    "union all": lambda a, b, ka, kb, d: total(a * a, ka) + total((a * b) ** 2, ka & kb & (KEY > 0)),
    "window over a partition": lambda a, b, ka, kb, d: total(a / partition(np.exp(b), kb, KEY), ka),
    "log of a sum of exponentials": lambda a, b, ka, kb, d: total(np.log(partition(np.exp(a), ka, KEY)) - a, ka),
    "window over all": lambda a, b, ka, kb, d: total((a - total(a, ka) / ka.sum()) ** 2, ka),
    "scalar subquery": lambda a, b, ka, kb, d: total(a, ka) * total(b * b, kb & (KEY < 2)),
    "correlated subquery": lambda a, b, ka, kb, d: total(a * partition(b, kb, KEY), ka),
    "lag": lambda a, b, ka, kb, d: lagged(a, ka),
    "running sum": lambda a, b, ka, kb, d: (lambda s, k: total(s * s, k))(*frame(a, ka, len(KEYS), 0)),
    "rows frame": lambda a, b, ka, kb, d: (lambda s, k: total(s * s * a, k & ka))(*frame(b, kb, 2, 1)),
    "limit": lambda a, b, ka, kb, d: np.sum((a * a * ka)[1:4]),
    "variance": lambda a, b, ka, kb, d: variance(a, ka, 0) + variance(b, kb, 1),
    "correlation": lambda a, b, ka, kb, d: correlation(a, b, ka & kb),
}


@pytest.mark.parametrize("operator", LOSSES)
def test_a_gradient_is_what_autograd_finds(operator, setting):
    frames = {name: setting.context.query(f"SELECT * FROM {name}").to_pandas() for name in "wd"}
    w, data = frames["w"].sort_values(["i", "j"]), frames["d"]
    d = SimpleNamespace(i=data.i.fillna(-9).to_numpy(int), x=data.x.fillna(0).to_numpy(), y=data.y.to_numpy())
    d.y = np.where(d.i == -9, 0.0, d.y) if operator == "non-equi join" else d.y
    known = [column.notna().to_numpy() for column in (w.a, w.b)]
    start = [column.fillna(0.0).to_numpy() for column in (w.a, w.b)]
    expected = autograd.grad(lambda both: LOSSES[operator](*both, *known, d))(start)
    for found, wanted, k in zip(
        setting.gradient(f"WITH loss AS ({DERIVATIVE[operator]})"), expected, known, strict=True
    ):
        assert (np.isnan(found) == ~k).all()
        assert_allclose(found[k], wanted[k], rtol=1e-10, atol=1e-12)

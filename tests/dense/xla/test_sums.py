"""Sums over one long axis are made in one pass, and sums that show in what a step commits are not looked at."""

import jax
import numpy as np
import pytest

from sqlmagic_xr.dense.calls import Calls
from sqlmagic_xr.dense.xla import sums
from sqlmagic_xr.dense.xla.loop import XlaLoop
from sqlmagic_xr.train.start import train
from tests.train.test_devices import assert_near, numbers
from tests.train.test_many_steps import descend, line, options_of

FROM = "FROM d CROSS JOIN p cur WHERE cur.step = :k"
CELLS = {
    "a line": (descend(), [2]),
    "one of what others give": (
        f"INSERT INTO p WITH m AS (SELECT AVG(x * cur.a) AS x, AVG(y * cur.b) AS y {FROM}) SELECT :next_step, "
        f"cur.a + 0.01 * SUM((d.x - m.x) * d.y * cur.b), cur.b + 0.02 * AVG((d.y - m.y) * d.x * cur.a) "
        "FROM d CROSS JOIN m CROSS JOIN p cur WHERE cur.step = :k GROUP BY cur.a, cur.b",
        [2, 2],
    ),
    "of some rows": (
        "INSERT INTO p SELECT :next_step, cur.a + 0.01 * SUM(CASE WHEN x * cur.a < 0.3 THEN x * y END), "
        f"cur.b + 0.02 * SUM(y * cur.b - x) {FROM} AND d.y * cur.a < 0.4 GROUP BY cur.a, cur.b",
        [2],
    ),
}


@pytest.fixture
def loops(monkeypatch):
    """The programs that are compiled, of tables that count as long and end in the middle of a row of sums."""
    monkeypatch.setattr(sums, "LONG", 16)
    monkeypatch.setattr(sums, "_ROW", 8)
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    found, plain = [], XlaLoop._compile
    monkeypatch.setattr(XlaLoop, "_compile", lambda self: (found.append(self), plain(self))[1])
    return found


@pytest.mark.parametrize("name", CELLS)
def test_what_they_add_up_to_is_numpys(name, loops):
    cell, sizes = CELLS[name]
    alone, device = line(), line()
    train(alone, cell, steps=15, each_step=True, **options_of(cell))
    train(device, cell, steps=15, each_step=False, device="cpu", **options_of(cell))
    assert_near(numbers(device, "p"), numbers(alone, "p"))
    assert sorted(len(group) for group in set(loops[-1]._together.values())) == sizes


def test_any_length_is_added():
    with jax.enable_x64(True):
        for rows in (7, 2500):
            columns = [np.random.default_rng(n).normal(size=rows) for n in range(2)]
            found = jax.jit(sums.summed)(columns)
            np.testing.assert_allclose(found, [column.sum() for column in columns], rtol=1e-12, atol=1e-12)


def test_only_what_vanishes_on_its_way_is_looked_at(loops):
    """The sums of a line show in what it commits; one behind a tanh, or under a fraction, does not."""
    cells = (
        "INSERT INTO p SELECT :next_step, cur.a + 0.1 * AVG(exp(x * cur.a)), cur.b - SUM(sin(y * cur.b)) {FROM} "
        "GROUP BY cur.a, cur.b",
        "INSERT INTO p SELECT :next_step, cur.a + 0.1 * tanh(SUM(exp(x * cur.a))), "
        "cur.b - 1 / (99 + SUM(sin(y * cur.b))) {FROM} GROUP BY cur.a, cur.b",
    )
    for cell, unseen in zip(cells, (2, 0), strict=True):
        train(line(), cell.format(FROM=FROM), steps=6, each_step=False, device="cpu")
        (group,) = set(loops[-1]._together.values())
        assert sum(node in loops[-1]._unseen for node in group) == unseen

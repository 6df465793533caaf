"""Derivatives of random queries: reverse mode against central differences, against forward mode, and against arrays.

A query is one loss of random shape; twelve of them read one relation, of which each shape makes another.
Each runs over tables in order, and over other numbers in disorder and in several partitions.
"""

import gc
import os
from dataclasses import dataclass

import numpy as np
import pytest

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.errors import DerivativeError
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.autodiff.alone import Alone
from tests.autodiff.reverse.conftest import by_arrays, cells, gradient_of
from tests.autodiff.reverse.queries import Maker

SHAPES, LOSSES = 24, 12
"""How many relations a part has, each with its losses."""
WHOLE = "GRADIENT_PARTS" in os.environ
PARTS = int(os.environ.get("GRADIENT_PARTS", "10"))
"""How many parts there are: 2,880 queries; ``make proof`` has 8,928, each held against all there is."""
ARRAYS, AGAIN, FORWARD, DEEP = (1, 1, 1, 4) if WHOLE else (1, 13, 13, 40)
"""Every so many-th shape is given to array code, runs over the tables in disorder, is taken forward, is deep."""
BY_ARRAYS = 0.35 * SHAPES * LOSSES if WHOLE else 200
"""How many gradients of a part array code must have too: of ten parts, two thousand."""


@dataclass
class Compared:
    """How many gradients there were, and how many of them were held against what.

    Attributes:
        queries: against central differences, over the tables in order.
        again: over the others.
        forward: against forward mode.
        arrays: as array code.
        refused: the shapes through which no derivative goes.
    """

    queries: int = 0
    again: int = 0
    forward: int = 0
    arrays: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Place:
    """Tables, a session of the engine alone over them, and how the losses change there along the direction."""

    setting: object
    engine: Alone

    def slopes(self, ctes, names):
        """(the derivatives of losses by central differences, NaN where there is none; how large their parts are)."""
        query = f"{{}} SELECT {', '.join(names)} FROM loss"
        ahead, back, here = (numbers(self.rows(query.format(ctes.format(w=table)))) for table in ("wp", "wm", "w"))
        slope = (ahead - back) / (2 * self.setting.step)
        scale = 1 + np.abs(here) + np.abs(slope)
        return np.where(np.abs(ahead + back - 2 * here) <= 1e-7 * scale, slope, np.nan), scale

    def rows(self, query):
        """What the engine answers alone, or with what is mended of it, where an error within itself ends the query."""
        try:
            return self.engine.answer(query) if isinstance(query, str) else self.engine.rows(query)
        except Exception as error:
            if "Internal error" not in str(error):
                raise
            text = query if isinstance(query, str) else to_sql(query)
            return self.setting.context.sql(text).to_arrow_table()

    def gradient(self, tree, where):
        """The gradient by a and by b, which is NULL where the cell is, and nowhere else."""
        found = cells(self.rows(tree))
        assert [list(np.flatnonzero(np.isnan(g))) for g in found] == self.setting.gaps, where
        return found

    def along(self, gradient):
        """(a gradient times the direction, the size of what is added up)."""
        parts = np.concatenate([g * d for g, d in zip(gradient, self.setting.direction, strict=True)])
        return np.nansum(parts), 1 + np.nansum(np.abs(parts))


def numbers(rows):
    """One row as numbers, NaN for NULL."""
    (row,) = rows.to_pylist()
    return np.array([np.nan if value is None else value for value in row.values()], float)


@pytest.fixture(scope="module")
def places(setting, shuffled):
    """See :class:`Place`: in order, and in disorder."""

    return place(setting, 1), place(shuffled, 2)


def place(made, partitions, batch=8192):
    tables = {name: made.context.query(f"SELECT * FROM {name}") for name in ("w", "wp", "wm", "t", "d")}
    return Place(made, Alone(tables, partitions, batch))


@pytest.fixture
def without_collecting():
    """Trees are many and have no cycles worth looking for: a fifth of the time."""
    gc.disable()
    yield
    gc.enable()


def drawn(seed):
    """(the CTEs of a random relation and its losses, their names): half of operators that array code has."""
    newer = (0.0, 0.8, 0.0, 0.3)[seed % 4]
    return Maker(seed, newer=newer, simple=seed % DEEP > 0, grids=seed % 2 == 0).losses(LOSSES)


def check(places, seed, compared):
    """Hold a random relation's losses against what they must be.

    The gradients of all losses along a direction, each loss weighted, sum up to what central differences say that the
    losses change by; where forward mode is asked, to what it says: <J t, c> = <t, J' c>.
    """
    ctes, names = drawn(seed)
    home, other = places
    slope, scale = home.slopes(ctes, names)
    weights = np.where(np.isfinite(slope), np.cos(np.arange(LOSSES) + seed), 0.0)
    one = " + ".join(f"{float(c)!r} * loss.{n}" for c, n in zip(weights, names, strict=True) if c)
    if not one:
        return
    where, count = f"seed {seed}\n{ctes}", np.count_nonzero(weights)
    catalog = home.setting.context.tables
    try:
        tree = rewrite(parse_one(gradient_of(ctes, loss=one)).tree, catalog)
    except DerivativeError:
        compared.refused += 1  # an order over a FULL JOIN, whose rows have no key
        return
    found = home.gradient(tree, where)
    total, size = home.along(found)
    expected = np.nansum(weights * slope)
    assert abs(total - expected) <= 1e-5 * np.nansum(scale), f"{total} is not {expected}, {where}"
    compared.queries += count
    mine = None if seed % ARRAYS else by_arrays(tree, home.setting.grids)
    if mine is not None:
        np.testing.assert_allclose(mine, found, rtol=1e-9, atol=1e-9, err_msg=f"arrays, {where}")
        compared.arrays += count
    if seed % FORWARD == 0:
        forward = numbers(home.rows(rewrite(parse_one(home.setting.tangents(ctes, names)).tree, catalog)))
        bad = np.isfinite(slope) & ~(np.abs(forward - slope) <= 1e-5 * scale)
        assert not bad.any(), f"{np.array(names)[bad]}: {forward[bad]} is not {slope[bad]}, {where}"
        expected = (weights * np.where(weights, forward, 0.0)).sum()
        assert abs(total - expected) <= 1e-9 * size, f"{total} is not {expected} forward, {where}"
        compared.forward += count
    if seed % AGAIN == 0:
        slope, scale = other.slopes(ctes, names)
        if np.isfinite(slope[weights != 0]).all():
            total, _ = other.along(other.gradient(tree, where))
            expected = (weights * np.where(weights, slope, 0.0)).sum()
            assert abs(total - expected) <= 1e-5 * np.nansum(scale), f"in disorder {total} is not {expected}, {where}"
            compared.again += count


@pytest.mark.parametrize("part", range(PARTS))
def test_derivatives_of_random_queries(part, places, without_collecting):
    """What is not smooth has no central difference, and what array code declines has no other answer."""
    compared = Compared()
    for seed in range(SHAPES * part, SHAPES * (part + 1)):
        check(places, seed, compared)
    assert compared.queries >= 0.85 * SHAPES * LOSSES
    assert compared.arrays >= BY_ARRAYS
    assert min(compared.again, compared.forward) >= LOSSES
    assert compared.refused <= 1


def test_derivatives_of_random_queries_over_many_rows(numerous, without_collecting):
    """Those that read the data, which come in hundreds of batches, to several partitions."""
    compared, many = Compared(), place(numerous, 4, 64)
    for seed in [seed for seed in range(40, 120) if " d " in drawn(seed)[0]][:8]:
        check((many, many), seed, compared)
    assert compared.queries >= 40
    assert compared.arrays >= 8

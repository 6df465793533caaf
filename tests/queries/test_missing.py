"""What is missing in xarray (NaN, None, NaT) is NULL to array code and to the engine alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UnsupportedError

QUERIES = [
    "SELECT t, k, {v} AS v FROM d",
    "SELECT t, k, {v} AS v FROM d WHERE {v} IS NULL",
    "SELECT t, k, {v} AS v FROM d WHERE {v} IS NOT NULL AND k = 1",
    "SELECT t, k, {v} = {one} AS same, {v} <> {one} AS other FROM d",
    "SELECT t, k, x FROM d WHERE {v} = {one}",
    "SELECT t, k, x FROM d WHERE NOT ({v} = {one})",
    "SELECT t, k, x FROM d WHERE ({v} = {one}) IS NOT TRUE",
    "SELECT t, k, x FROM d WHERE {v} IN ({one})",
    "SELECT t, k, x FROM d WHERE {v} NOT IN ({one})",
    "SELECT COUNT(*) AS n, COUNT({v}) AS m FROM d",
    "SELECT k, COUNT({v}) AS m, COUNT(*) AS n, SUM(x) AS s FROM d GROUP BY k",
    "SELECT k, SUM(CASE WHEN {v} = {one} THEN x ELSE 1 END) AS s FROM d GROUP BY k",
    "SELECT k, SUM(x) AS s, AVG(x) AS a, MIN(x) AS low, MAX(x) AS high FROM d WHERE {v} = {one} GROUP BY k",
    "SELECT a.t, a.k, b.x FROM d a JOIN d b ON a.t = b.t AND a.k = b.k WHERE a.{v} = b.{v}",
    "SELECT d.t, d.k, e.y FROM d LEFT JOIN e ON d.{v} = e.{v}",
    "SELECT d.t, d.k, e.y FROM d JOIN e ON d.{v} = e.{v}",
]
NUMERIC = [
    "SELECT t, k, {v} * x + {v} AS v, -{v} AS w FROM d",
    "SELECT k, SUM({v}) AS s, AVG({v}) AS a, MIN({v}) AS low, MAX({v}) AS high FROM d GROUP BY k",
    "SELECT t, SUM({v} * x) AS s FROM d GROUP BY t",
    "SELECT t, k, COALESCE({v}, 7) AS v FROM d",
    "SELECT t, k, x FROM d WHERE {v} > 1 OR {v} < 0",
]
ONE = {
    "x": "1.5",
    "whole": "2",
    "small": "2",
    "text": "'a'",
    "wide": "'a'",
    "time": "TIMESTAMP '2001-01-02'",
    "truth": "true",
}


def dataset(seed):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), 3)

    def some(values, dtype):
        return (("t", "k"), rng.choice(np.array(values, dtype), shape))

    gaps = {
        "x": some([1.5, np.nan, -2.0, 4.0], float),
        "whole": some([2, None, 5], object),
        "small": some([2, 3, -7], np.int64),
        "text": some(["a", None, "b", ""], object),
        "wide": some(["a", "a\0", None, "é" * 9], object),
        "time": some(["2001-01-02", "NaT", "1999-05-06"], "M8[ns]"),
        "truth": some([True, None, False], object),
    }
    keyed = {name: ("r", pd.unique(values.ravel())) for name, (_, values) in gaps.items()}
    tables = {n: xr.Dataset({n: v, "y": ("r", rng.normal(size=len(v[1])))}) for n, v in keyed.items()}
    return xr.Dataset(gaps, {"t": np.arange(shape[0]) * 2, "k": [0, 1, 2]}), tables


def plain(table):
    return Counter(tuple(round(v, 9) if isinstance(v, float) else v for v in row.values()) for row in table.to_pylist())


@pytest.mark.parametrize("column", ONE)
@pytest.mark.parametrize("seed", range(3))
def test_array_code_and_the_engine_agree_on_what_is_missing(column, seed):
    data, keyed = dataset(seed)
    context = Context()
    context.from_dataset("d", data)
    context.from_dataset("e", keyed[column])
    ran = 0
    for template in QUERIES + (NUMERIC if column in ("x", "whole", "small") else []):
        query = template.format(v=column, one=ONE[column])
        (theirs,) = context.script(query, executor="relational")
        expected = theirs.to_arrow_table()
        try:
            (mine,) = context.script(query, executor="dense")
            found = mine.to_arrow_table()
        except UnsupportedError:
            continue
        ran += mine.executor == "dense"
        assert plain(found) == plain(expected), query
    assert ran >= 8

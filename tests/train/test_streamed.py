"""A dataset that is read a few chunks at a time in a run has the values that the same dataset kept has."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.engine.streaming import streamed
from sqlmagic_xr.train.steps import arrays, larder, plan

CELL = """
INSERT INTO found
SELECT :next_step, COUNT(*), COUNT(v), SUM(v * date_part('month', time)), MIN(date_part('year', edge)), SUM(w)
FROM d
"""


def run(monkeypatch, dataset, budget, executor):
    for module in (arrays, plan):
        monkeypatch.setattr(module, "default_budget", lambda: budget)
    read = []
    monkeypatch.setattr(larder, "streamed", lambda grid: read.append(grid) or streamed(grid))
    context = Context()
    context.from_dataset("d", dataset, chunks={"time": 100})
    context.script("CREATE TABLE found (step BIGINT, n BIGINT, m BIGINT, s DOUBLE, y DOUBLE, w DOUBLE)")
    context.script("INSERT INTO found VALUES (0, 0, 0, 0, 0, 0)")
    told = context.train(CELL, steps=2, stream=True, executor=executor)
    for _ in told:
        pass
    return context.sql("SELECT * FROM found ORDER BY step").to_arrow_table().to_pylist(), len(read)


@pytest.mark.parametrize("executor", ["relational", "auto"])
@pytest.mark.parametrize("calendar", ["noleap", "standard"])
def test_kept_and_streamed_are_the_same(monkeypatch, calendar, executor):
    time = xr.date_range("1999-12-01", periods=3000, freq="MS", calendar=calendar, use_cftime=True)
    v = np.where(np.arange(3000) % 7, np.arange(3000.0), np.nan)
    w = np.array([1, None, 3] * 1000, object)
    edges = ("time", np.array(time, object))
    dataset = xr.Dataset({"v": ("time", v), "w": ("time", w), "edge": edges}, {"time": time})
    kept, none = run(monkeypatch, dataset, 2**30, executor)
    chunkwise, some = run(monkeypatch, dataset, 0, executor)
    assert (none, some) == (0, 1)
    assert chunkwise == kept
    months = dataset.time.dt.month.values
    expected = (1, 3000, int(np.isfinite(v).sum()), float(np.nansum(v * months)), 1999.0, 4000.0)
    assert tuple(kept[1].values()) == expected

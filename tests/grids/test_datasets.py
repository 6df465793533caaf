"""A dataset as a grid: its own arrays, in the order of their labels, whatever that of the dataset is."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.dense.labels import Labels
from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.engine.gridtable import grid_tables
from sqlmagic_xr.grids.datasets import DatasetGrid
from sqlmagic_xr.grids.generations import Generations


def dataset():
    rng = np.random.default_rng(3)
    air = rng.normal(size=(6, 4, 5))
    gaps = rng.normal(size=(6, 4, 5)).astype(np.float32)
    gaps[2, 1] = np.nan
    return xr.Dataset(
        {"air": (("time", "lat", "lon"), air), "gaps": (("time", "lat", "lon"), gaps)},
        {"time": pd.date_range("2000", periods=6), "lat": [3.0, 1.0, -1.0, -3.0], "lon": [4, 0, 3, 1, 2],
         "height": ("lat", [1.0, 2.0, 3.0, 4.0]), "name": ("lon", list("abcde"))},
    )  # fmt: skip


def grid_of(found, names):
    ((_, table),) = grid_tables(found).items()
    return DatasetGrid(table, names, Labels())


def cells(made, name):
    return made._cells[name]


def test_cells_lie_in_the_order_of_their_labels():
    found = dataset()
    made = grid_of(found, ["time", "lat", "lon", "air", "gaps", "height"])
    ordered = found.sortby(["lat", "lon"])
    assert [list(axis) for axis in made._axes[1:]] == [[-3.0, -1.0, 1.0, 3.0], [0, 1, 2, 3, 4]]
    np.testing.assert_array_equal(cells(made, "air").data, ordered.air)
    assert cells(made, "air").valid is None
    np.testing.assert_array_equal(cells(made, "gaps").valid, ordered.gaps.notnull())
    np.testing.assert_array_equal(cells(made, "gaps").data, ordered.gaps.fillna(0))
    np.testing.assert_array_equal(cells(made, "height").data[0, :, 0], ordered.height)
    assert made.described.nulls == {"gaps"}


def test_nothing_is_copied_that_lies_right_and_nobody_can_write_into_it():
    found = dataset().drop_vars("lon")
    made = grid_of(found, ["time", "lat", "lon", "air"])
    assert np.shares_memory(cells(made, "air").data, found.air.values)
    with pytest.raises(ValueError, match="read-only"):
        cells(made, "air").data[0] = 1
    assert found.air.values.flags.writeable


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda d: d.assign_coords(lat=[1.0, 1.0, 2.0, 3.0]), "air"),
        (lambda d: d.assign_coords(lat=[1.0, np.nan, 2.0, 3.0]), "air"),
        (lambda d: d.stack(place=("lat", "lon")), "air"),
        (lambda d: d, "name"),
    ],
)
def test_what_is_no_grid_as_it_lies_is_refused(change, name):
    with pytest.raises(Refused):
        grid_of(change(dataset()), ["air", name])


def test_a_run_makes_no_rows_of_a_dataset(monkeypatch):
    step = """INSERT INTO p SELECT :next_step, p.a - 0.1 * AVG(2 * (p.a * d.air - d.gaps) * d.air)
              FROM d CROSS JOIN p WHERE p.step = :step AND d.lat > -2 GROUP BY p.a"""

    def trained(executor):
        context = Context()
        context.from_dataset("d", dataset())
        context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.5)")
        context.train(step, steps=5, executor=executor)
        return context.sql("SELECT a FROM p ORDER BY step").to_arrow_table()["a"].to_numpy()

    expected = trained("relational")

    def read(self, name):
        raise AssertionError(f"{name} is read as rows")

    monkeypatch.setattr(Generations, "_read", read)
    np.testing.assert_allclose(trained("dense"), expected, rtol=1e-12)

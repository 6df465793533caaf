"""The units of a curve's columns come from the variables that they are, however they got there."""

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.curves.units import units_of


@pytest.fixture(scope="module")
def context():
    air = xr.Dataset(
        {"t": ("x", np.arange(3.0), {"units": "K"}), "p": ("x", np.ones(3), {"units": "hPa"}), "n": ("x", np.ones(3))}
    )
    sea = xr.Dataset({"t": ("x", np.arange(3.0), {"units": "degC"})})
    found = Context(namespace=lambda: {"air": air, "sea": sea})
    found.script("SELECT * FROM air CROSS JOIN sea")
    found.script("CREATE VIEW warm AS SELECT x, t AS warmth FROM air WHERE t > 1")
    return found


@pytest.mark.parametrize(
    ("query", "units"),
    [
        ("SELECT x, t, n FROM air", {"t": "K"}),
        ("SELECT AVG(air.t) AS a, MAX(sea.t) AS s FROM air CROSS JOIN sea", {"a": "K", "s": "degC"}),
        ("SELECT x, SUM(warmth) AS w FROM warm GROUP BY x", {"w": "K"}),
        ("WITH q(u, v) AS (SELECT t, p FROM PUBLIC.air) SELECT v AS pressure, abs(u) AS u FROM q ORDER BY 1",
         {"pressure": "hPa", "u": "K"}),
        ("SELECT t * 2 AS twice, COUNT(t) AS n, t + p AS s FROM air GROUP BY t, p", {}),
    ],
)  # fmt: skip
def test_what_keeps_its_unit_has_one(context, query, units):
    assert units_of(context.tables.bound(parse_one(query).tree["Query"]), context.tables) == units

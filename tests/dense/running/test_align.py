"""Where cells stand among the coordinates of an axis, whatever numbers these are."""

import numpy as np
import pytest

from sqlmagic_xr.dense.running.align import Alignment, lookup, partner

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
AXES = {
    "from zero": [0, 1, 2, 3],
    "one": [7],
    "negative": [-2, -1, 0, 1],
    "descending": [3, 2, 1, 0],
    "with gaps": [0, 2, 3, 7],
    "as many as they span, out of order": [0, 2, 1, 3],
    "the least": [LEAST, LEAST + 1],
    "the most": [MOST - 1, MOST],
}
CELLS = [0, 1, 2, 3, 3, 7, -1, -2, 4, LEAST, LEAST + 1, MOST, MOST - 1]


@pytest.mark.parametrize("kind", ["int64", "int32", "uint64", "float64"])
@pytest.mark.parametrize("name", list(AXES))
def test_each_cell_stands_where_its_number_does(name, kind):
    held = np.array([n for n in CELLS if kind == "int64" or 0 <= n < 2**31], kind)
    coordinates = np.array([n for n in AXES[name] if kind == "int64" or 0 <= n < 2**31] or [7], kind)
    known = np.arange(len(held)) != 1
    rows, axis = Alignment(np.arange(len(held))), Alignment(coordinates)
    where = [list(coordinates).index(n) if n in coordinates and keep else None
             for n, keep in zip(held, known, strict=True)]  # fmt: skip
    found = lookup(rows, axis, held, known)
    there = [place for place, n in enumerate(where) if n is not None]
    assert found.coordinates.tolist() == there
    assert found.second.tolist() == [where[place] for place in there]
    partners = partner(rows, axis, held, known)
    assert partners.found.tolist() == [n is not None for n in where]
    assert [n for n, keep in zip(partners.second, partners.found, strict=True) if keep] == [where[p] for p in there]
    assert ((partners.second >= 0) & (partners.second < len(coordinates))).all()

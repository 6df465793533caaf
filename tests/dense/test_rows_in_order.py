"""The layout of rows that are all cells of a grid in their order: found by comparing, and the same as by sorting."""

import numpy as np
import pytest

from sqlmagic_xr.dense import grid
from sqlmagic_xr.dense.node import Refused

RNG = np.random.default_rng(0)


def layouts(keys, monkeypatch):
    """What is found with the comparison and without; None where it is no grid."""
    found = []
    for way in (grid._rows_in_order, lambda keys: None):
        monkeypatch.setattr(grid, "_rows_in_order", way)
        try:
            made = grid._layout(keys)
        except Refused:
            made = None
        found.append(made)
    return found


@pytest.mark.parametrize("number", range(60))
def test_it_is_what_sorting_finds(number, monkeypatch):
    shape = RNG.integers(1, 5, size=RNG.integers(1, 4))
    axes = [np.sort(RNG.choice(50, size=n, replace=False)) - 20 for n in shape]
    keys = [key.ravel() for key in np.meshgrid(*axes, indexing="ij")]
    if number % 3 == 1:  # out of order
        order = RNG.permutation(len(keys[0]))
        keys = [key[order] for key in keys]
    if number % 3 == 2:  # a key that is another one, or a row that is missing
        keys[-1] = keys[-1].copy()
        keys[-1][RNG.integers(len(keys[0]))] += RNG.integers(3)
        keys = [key[: len(key) - int(number % 2)] for key in keys]
    mine, other = layouts(tuple(keys), monkeypatch)
    assert (mine is None) == (other is None)
    if mine is not None:
        assert all(np.array_equal(a, b) for a, b in zip(mine.axes, other.axes, strict=True))
        assert (mine.order is None) == (other.order is None)
        assert (mine.present is None) == (other.present is None)

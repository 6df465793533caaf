"""Parts of dask arrays, made of no more of the graph than they need."""

import gc

import numpy as np
import pytest

from sqlmagic_xr.cluster import blocks

da = pytest.importorskip("dask.array")


def test_a_part_is_that_part_however_it_lies_to_the_chunks():
    rng = np.random.default_rng(0)
    cells = rng.random((30, 20, 5))
    array = da.from_array(cells, chunks=((7, 13, 10), (20,), (2, 3))) * 2 + 1
    for _ in range(300):
        index = []
        for length in cells.shape:
            if rng.random() < 0.5:
                start = int(rng.integers(length))
                index.append(slice(start, int(rng.integers(start, length)) + 1))
            else:
                index.append(rng.permutation(length)[: rng.integers(1, length + 1)])
        index = [slice(None) if rng.random() < 0.1 else each for each in index]
        expected = (cells * 2 + 1)[np.ix_(*(np.arange(n)[i] for n, i in zip(cells.shape, index, strict=True)))]
        np.testing.assert_array_equal(blocks.part(array, index), expected)


def test_only_the_chunks_that_it_touches_are_made_and_no_graph_outlives_its_array():
    made = []

    def noted(block, block_info=None):
        made.append(block_info[0]["chunk-location"])
        return block

    array = da.map_blocks(noted, da.ones((40, 4), chunks=(10, 4)), dtype=float, meta=np.empty((0, 0)))
    assert blocks.part(array, [slice(12, 15), slice(None)]).shape == (3, 4)
    assert made == [(1, 0)]
    held = len(blocks._known)
    del array
    gc.collect()
    assert len(blocks._known) < held

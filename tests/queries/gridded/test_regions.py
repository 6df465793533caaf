"""What array code over chunks reads: what is needed, a chunk for each thread at a time, until it is interrupted."""

import _thread
import threading
import time

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.queries.gridded.regions import parts
from tests.queries.gridded.same import assert_same, by_arrays

dask_array = pytest.importorskip("dask.array")


class Watched:
    """Chunks that are made when they are read; how many are at work at once is noted."""

    def __init__(self, chunks, shape=(8, 10), wait=0.0):
        self.read, self.most, self.now, self.wait, self.shape = [], 0, 0, wait, shape
        self.lock = threading.Lock()
        size = (chunks * shape[0], shape[1])
        self.array = dask_array.from_array(self.lazy(size), chunks=shape, asarray=False)
        self.read.clear()  # dask has looked at what a chunk is

    def lazy(self, size):
        outer = self

        class Lazy:
            shape, dtype, ndim = size, np.dtype(np.float64), 2

            def __getitem__(self, key):
                with outer.lock:
                    outer.read.append(key[0].start)
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                time.sleep(outer.wait)
                rows = np.arange(key[0].start, key[0].stop, dtype=float)[:, None]
                with outer.lock:
                    outer.now -= 1
                return rows + np.arange(outer.shape[1])[None, key[1]]

        return Lazy()

    def dataset(self, **others):
        size = self.array.shape
        return xr.Dataset({"v": (("t", "x"), self.array), **others}, {"t": np.arange(size[0]), "x": np.arange(size[1])})


def context(dataset):
    ctx = Context()
    ctx.from_dataset("d", dataset)
    return ctx


def test_a_chunk_is_read_once_and_those_left_out_are_not():
    watched = Watched(12)
    ctx = context(watched.dataset())
    rows = by_arrays(ctx, "SELECT x, SUM(v) AS s FROM d WHERE t BETWEEN 20 AND 43 OR t = 90 GROUP BY x")
    times = np.array([*range(20, 44), 90])
    assert rows["s"].to_pylist() == [float((times + x).sum()) for x in range(10)]
    assert sorted(n // 8 for n in watched.read) == [2, 3, 4, 5, 11]


def test_explain_lists_the_chunks_that_are_read():
    watched = Watched(12)
    ctx = context(watched.dataset())

    def told(sql):
        return ctx.script(f"EXPLAIN {sql}", executor="dense")[0].plan.split("\n")[0]

    assert "5 of 12 chunks (t 2 to 5, 11 of 0 to 11)" in told(
        "SELECT SUM(v) FROM d WHERE t BETWEEN 20 AND 43 OR t = 90"
    )
    assert "12 of 12 chunks" in told("SELECT SUM(v) FROM d")
    assert "each cell is a row" in told("SELECT t, x, LAG(v) OVER (PARTITION BY x ORDER BY t) AS w FROM d")
    assert watched.read == []


def test_only_the_variables_of_a_query_are_read():
    watched, other = Watched(3), Watched(3)
    ctx = context(watched.dataset(w=(("t", "x"), other.array)))
    found = by_arrays(ctx, "SELECT COUNT(w) AS n, MAX(t) AS t FROM d")
    assert found.to_pylist() == [{"n": 240, "t": 23}]
    assert watched.read == []
    assert len(other.read) == 3
    assert by_arrays(ctx, "SELECT t, COUNT(*) AS n FROM d WHERE x > 3 GROUP BY t")["n"].to_pylist() == [6] * 24
    assert len(other.read) == 3


def test_what_is_in_memory_is_a_chunk_for_each_thread(monkeypatch):
    monkeypatch.setattr("sqlmagic_xr.queries.gridded.regions.os.cpu_count", lambda: 2)
    watched = Watched(30, wait=0.002)
    by_arrays(context(watched.dataset()), "SELECT x, VAR_POP(v) AS s FROM d GROUP BY x")
    assert len(watched.read) == 30
    assert watched.most <= 2


def test_an_interrupt_ends_the_reading():
    watched = Watched(400, wait=0.02)
    ctx = context(watched.dataset())
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        by_arrays(ctx, "SELECT x, AVG(v) AS s FROM d GROUP BY x")
    assert time.monotonic() - begin < 2
    time.sleep(0.3)
    before = len(watched.read)
    time.sleep(0.3)
    assert len(watched.read) == before < 400
    assert by_arrays(ctx, "SELECT MAX(t) AS t FROM d").to_pylist() == [{"t": 3199}]


def test_a_failing_chunk_is_the_error_of_the_query():
    watched = Watched(2)

    def fail(key):
        raise OSError("the disk is gone")

    lazy = watched.lazy((16, 10))
    type(lazy).__getitem__ = lambda self, key: fail(key)
    ctx = context(xr.Dataset({"v": (("t", "x"), dask_array.from_array(lazy, chunks=(8, 10), asarray=False))}))
    with pytest.raises(OSError, match="the disk is gone"):
        by_arrays(ctx, "SELECT AVG(v) AS v FROM d")


def test_chunks_of_a_store_on_disk(tmp_path):
    pytest.importorskip("zarr")
    values = np.random.default_rng(0).normal(size=(20, 7, 5))
    values[3:9, 2] = np.nan
    made = xr.Dataset({"v": (("t", "y", "x"), values)}, {"y": np.arange(7)[::-1]})
    made.to_zarr(tmp_path / "s.zarr", encoding={"v": {"chunks": (6, 4, 5)}}, consolidated=False)
    for chunks in (None, {}):
        ctx = context(xr.open_zarr(tmp_path / "s.zarr", chunks=chunks, consolidated=False))
        assert_same(ctx, "SELECT y, AVG(v) AS m, COUNT(v) AS n, STDDEV(v) AS s FROM d WHERE y <> 2 GROUP BY y")
        assert_same(ctx, "SELECT t % 4 AS k, x, MIN(v) AS m FROM d WHERE v > 0 GROUP BY t % 4, x")


def test_chunks_of_a_store_are_read_without_a_graph(tmp_path, monkeypatch):
    pytest.importorskip("zarr")
    values = np.random.default_rng(1).normal(size=(20, 7)).astype(np.float32)
    xr.Dataset({"v": (("t", "y"), values)}).to_zarr(
        tmp_path / "s.zarr", encoding={"v": {"chunks": (6, 4)}}, consolidated=False
    )
    lazy = xr.open_zarr(tmp_path / "s.zarr", consolidated=False)
    changed = context(lazy + 0)

    def part(data, index):
        raise AssertionError("a graph is run")

    monkeypatch.setattr("sqlmagic_xr.queries.gridded.sweep.blocks.part", part)
    found = by_arrays(context(lazy), "SELECT y, SUM(v) AS s FROM d WHERE t <> 5 AND y IN (0, 1, 6) GROUP BY y")
    expected = np.delete(values, 5, axis=0).sum(axis=0, dtype=float)[[0, 1, 6]]
    np.testing.assert_allclose(found.sort_by("y")["s"].to_numpy(), expected, rtol=1e-12)
    with pytest.raises(AssertionError, match="a graph is run"):
        by_arrays(changed, "SELECT SUM(v) AS s FROM d")


def test_the_graph_of_very_many_chunks_is_not_written_out(monkeypatch):
    monkeypatch.setattr("sqlmagic_xr.cluster.blocks._MANY", 10)
    field = dask_array.map_blocks(lambda: np.ones((2, 3)), chunks=((2,) * 30, (3,)), dtype=float)
    ctx = context(xr.Dataset({"v": (("t", "x"), field)}))
    assert by_arrays(ctx, "SELECT SUM(v) AS s FROM d WHERE t IN (4, 5, 50)")["s"].to_pylist() == [9.0]
    assert not any(layer.is_materialized() for layer in field.dask.layers.values())


def test_the_pieces_of_a_region_are_all_of_it_and_no_larger_than_asked():
    rng = np.random.default_rng(2)
    for _ in range(200):
        lengths = rng.integers(1, 40, rng.integers(1, 5))
        whole = tuple(slice(int(s), int(s + n)) for s, n in zip(rng.integers(0, 9, len(lengths)), lengths, strict=True))
        size = int(rng.integers(1, 3000))
        folded = frozenset(int(a) for a in range(len(lengths)) if rng.random() < 0.5)
        seen = np.zeros([p.stop for p in whole], int)
        for part in parts(whole, size, folded):
            seen[part] += 1
            assert np.prod([p.stop - p.start for p in part]) <= size
        assert (seen[whole] == 1).all()
        assert seen.sum() == np.prod(lengths)

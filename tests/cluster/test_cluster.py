"""Queries on a dask cluster of two worker processes: the same rows as here, whatever happens to the workers."""

import threading

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ClusterError, ClusterWarning, UsageError
from sqlmagic_xr.queries.gridded.remote import Taking
from tests.cluster.data import context, slow
from tests.cluster.runs import UNHEARD, assert_the_same, finish, in_time, left, over, rows, told, trained, training
from tests.queries.gridded.same import by_arrays
from tests.queries.gridded.test_who_runs import BY_ARRAYS

distributed = pytest.importorskip("distributed")
pytestmark = UNHEARD
READ_HERE = {  # no chunk is read, and all of them at once
    "SELECT COUNT(*) FROM t",
    "SELECT date_part('month', time) AS m, median(hum) FILTER (WHERE wet) FROM t GROUP BY 1",
}


def test_the_same_rows_on_a_cluster_bit_by_bit_each_time(client, small, store, monkeypatch):
    here, there, large = context(small, client="none"), context(small), context(store)
    sent, states = [], Taking.states
    monkeypatch.setattr(Taking, "states", lambda *args: sent.append(sql) or states(*args))
    for sql in BY_ARRAYS:
        found = [rows(ctx, sql, "dense") for ctx in (here, there, there)]
        if sql not in sent:
            assert " OVER (" in sql or sql in READ_HERE, sql
            said = told(large, sql)
            assert "not on the cluster: " in said or ", 0 variables of each; each cell is a row" in said, sql
        order = [(name, "ascending") for name in found[0].column_names]
        mine, first, second = (each.sort_by(order) for each in found)
        assert first.equals(second), sql
        assert first.schema == mine.schema
        for one, other in zip(first.columns, mine.columns, strict=True):
            if str(one.type) in ("double", "float"):
                assert one.is_valid().equals(other.is_valid()), sql
                rtol = 1e-12 if str(one.type) == "double" else 1e-6
                np.testing.assert_allclose(one.drop_null().to_numpy(), other.drop_null().to_numpy(), rtol, 1e-12)
            else:
                assert one.equals(other), sql


def test_no_chunk_travels_to_the_notebook(client, store, monkeypatch):
    ctx = context(store)
    monkeypatch.setattr("sqlmagic_xr.queries.gridded.sweep.values_of", lambda variable: pytest.fail("read here"))
    before = ctx.chunks_read
    assert rows(ctx, "SELECT COUNT(air) AS n FROM t")["n"].to_pylist()[0] > 1_000_000
    assert ctx.chunks_read - before == 10


def test_explain_says_how_many_tasks_where_and_what_is_pruned(client, store):
    ctx = context(store)
    said = told(ctx, "SELECT AVG(air) FROM t WHERE time < TIMESTAMP '2000-02-01'")
    address = client.scheduler.address
    assert f"6 of 10 chunks (time 0 to 2 of 0 to 4); 6 tasks on 2 workers (4 threads) at {address}" in said
    assert "10 of 10 chunks; 10 tasks on 2 workers" in told(ctx, "SELECT AVG(air) FROM t")
    assert "cluster" not in told(context(store, client="none"), "SELECT AVG(air) FROM t")
    ctx.from_dataset("here", xr.open_zarr(store, consolidated=False, chunks={}).load(scheduler="synchronous"))
    assert "not on the cluster: the data are here" in told(ctx, "SELECT AVG(air) FROM here")
    window = "SELECT time, lat, lon, AVG(air) OVER (PARTITION BY lat, lon ORDER BY time) AS v FROM t"
    assert "each cell is a row, not on the cluster: its rows, one for each cell, are wanted here" in told(ctx, window)


def test_the_magic_says_whose_cluster_it_is(client, store, notebook):
    notebook.names.update(mine=client, far=xr.open_zarr(store, consolidated=False, chunks={}))
    for name, there in {"mine": True, "none": False, "auto": True}.items():
        said = notebook(f"%xsql --client {name} EXPLAIN SELECT AVG(air) FROM far").text
        assert ("10 tasks on 2 workers" in said) == there, name
    with pytest.raises(UsageError, match="there is no variable other"):
        notebook("%xsql --client other SELECT 1")


def test_a_client_is_one_or_none():
    with pytest.raises(UsageError, match="a client is a dask"):
        Context(client=3)


def test_what_dask_calculates_for_several_chunks_is_calculated_once(client, store):
    large = xr.open_zarr(store, consolidated=False, chunks={})
    ctx = Context()
    held = large[["hum"]].persist()
    distributed.wait(held.hum.data)
    ctx.from_dataset("held", held)
    ctx.from_dataset("anomaly", (large.hum - large.hum.mean("time")).rename("a").to_dataset())
    expected = large.hum.load(scheduler="synchronous").astype(float)
    assert "10 of 10 chunks; 10 tasks" in told(ctx, "SELECT AVG(hum) FROM held")
    np.testing.assert_allclose(rows(ctx, "SELECT AVG(hum) AS m FROM held")["m"][0].as_py(), float(expected.mean()))
    spread = rows(ctx, "SELECT lat, VAR_POP(a) AS v FROM anomaly GROUP BY lat ORDER BY lat")["v"].to_numpy()
    wanted = (expected - expected.mean("time")).var(("time", "lon"))
    np.testing.assert_allclose(spread, wanted, rtol=1e-5)


# What may go wrong


def test_a_chunk_that_cannot_be_read_is_named(client, store, tmp_path):
    import shutil

    path = shutil.copytree(store, tmp_path / "broken.zarr")
    (chunk,) = path.glob("air/c/3/1/0")
    chunk.write_bytes(b"no chunk")
    told = r"`air` \(time 45 to 59, lat 60 to 119, lon 0 to 119 of .*broken"
    for chunks in ({}, None):
        ctx = over(xr.open_zarr(path, consolidated=False, chunks=chunks))
        with pytest.raises(ClusterError, match=told):
            rows(ctx, "SELECT AVG(air) FROM d")
    ctx, run = training(path)
    with pytest.raises(ClusterError, match=told):
        finish(run)
    assert len(trained(ctx)) == 1


def test_a_store_that_workers_do_not_see_is_named_and_has_no_missing_values_instead(client):
    xr.Dataset({"v": (("t", "x"), np.ones((40, 5)))}).chunk(t=10).to_zarr("memory://here.zarr", consolidated=False)
    found = xr.open_zarr("memory://here.zarr", consolidated=False)
    told = r"the Zarr array .*here\.zarr.*/v cannot be read on the cluster at tcp.*: it is not there"
    for data in (found, found * 2, found - found.mean("t")):  # the last one is the scheduler's
        with pytest.raises(ClusterError, match=told):
            by_arrays(over(data), "SELECT AVG(v) AS m FROM d")


def test_what_a_store_says_is_told_although_it_cannot_be_sent(client):
    class OddError(Exception):
        def __init__(self, code, text):
            super().__init__(text)

    def made(block_info=None):
        raise OddError(3, "no such bucket")

    cells = da.map_blocks(made, chunks=((1,) * 4, (8,)), dtype=float, meta=np.empty((0, 0)))
    told = r"`v` \(t 0 to 0, x 0 to 7 of .* cannot be read on the cluster at tcp.*: OddError: no such bucket"
    with pytest.raises(ClusterError, match=told):
        by_arrays(over(xr.Dataset({"v": (("t", "x"), cells)})), "SELECT AVG(v) AS m FROM d")


def test_an_interrupt_cancels_the_tasks(client):
    import _thread

    ctx = over(slow(0.3, size=400))  # half a minute for four threads
    threading.Timer(1.0, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        by_arrays(ctx, "SELECT SUM(v) AS s FROM d")

    in_time(lambda: left(client) == ([], 0, 0))


def test_a_package_that_workers_lack_is_an_error_with_the_pip_line(client, store, monkeypatch):
    def hide(name):
        import sys

        sys.modules[name] = None

    def show(name):
        import sys

        del sys.modules[name]

    monkeypatch.setattr("sqlmagic_xr.cluster.client._checked", {})
    client.run(hide, "sqlmagic_xr.cluster.worker")
    try:
        with pytest.raises(ClusterError, match=r"lacks the package sqlmagic_xr\n.*pip install \"sqlmagic-xr\[dask\]=="):
            rows(context(store), "SELECT AVG(air) FROM t")
    finally:
        client.run(show, "sqlmagic_xr.cluster.worker")


def test_versions_of_workers_are_compared(client, store, monkeypatch):
    import sqlmagic_xr

    monkeypatch.setattr("sqlmagic_xr.cluster.client._checked", {})
    monkeypatch.setattr(sqlmagic_xr, "__version__", "99.0")
    with pytest.raises(ClusterError, match=r"has sqlmagic-xr .* and this notebook has 99.0\n.*sqlmagic-xr==99.0"):
        rows(context(store), "SELECT AVG(air) FROM t")


def test_a_fault_of_ours_is_told_and_the_rows_are_right(client, store, expected, monkeypatch):
    def fail(*_):
        raise TypeError("there is no such thing")

    monkeypatch.setattr("sqlmagic_xr.queries.gridded.remote.Taking.states", fail)
    told = r"not on the dask cluster at tcp://.*TypeError: there is no such thing\. This is a fault of sqlmagic_xr"
    (result,) = context(store).script("SELECT COUNT(hum) AS n FROM t")
    with pytest.warns(ClusterWarning, match=told):
        assert result.to_arrow_table()["n"].to_pylist() == [75 * 120 * 120]
    assert result.executor == "relational"
    ctx, run = training(store)
    with pytest.warns(ClusterWarning, match=told) as warned:
        finish(run)
    assert len(warned) == 1
    assert_the_same(ctx, expected)


def test_who_names_a_client_is_told_what_runs_here(client, store):
    told = r"not on the dask cluster at tcp://.*: no array code over chunks for approx_distinct\."
    with pytest.warns(ClusterWarning, match=told):
        rows(context(store, client=client), "SELECT approx_distinct(n) AS n FROM t")
    odd = "INSERT INTO w SELECT :next_step, w.a + approx_distinct(t.n), w.b FROM w CROSS JOIN t WHERE w.step = :k"
    _, run = training(store, f"{odd} GROUP BY w.a, w.b", steps=2, client=client)
    with pytest.warns(ClusterWarning, match=told) as warned:
        finish(run)
    assert len(warned) == 1

"""Queries on a dask cluster of two worker processes: the same rows as here, whatever happens to the workers."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.cluster import folding
from sqlmagic_xr.errors import ClusterError, ClusterWarning, UsageError
from tests.cluster import cells
from tests.cluster.data import context, made, noting, slow
from tests.queries.gridded.same import by_arrays
from tests.queries.gridded.test_who_runs import BY_ARRAYS

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of sockets, when a worker is killed
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def client():
    quick = {"distributed.scheduler.allowed-failures": 8, "distributed.comm.retry.count": 1}
    import dask

    with dask.config.set(quick), distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit="1GB"
    ) as cluster, distributed.Client(cluster) as found:  # fmt: skip
        warm(found)
        yield found


def warm(client):
    """Have the workers import what they need, so that no test waits for that."""
    import importlib

    client.run(lambda: importlib.import_module("sqlmagic_xr.queries.gridded.sweep") is not None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A million cells in ten chunks."""
    return made((75, 120, 120), tmp_path_factory.mktemp("cluster") / "air.zarr", (15, 60, 120))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Some thousand cells in four chunks."""
    return made((15, 24, 20), tmp_path_factory.mktemp("cluster") / "air.zarr", (8, 12, 20))


def rows(ctx, sql, executor="auto"):
    (result,) = ctx.script(sql, executor=executor)
    return result.to_arrow_table()


def tasks(client):
    """How many tasks of ours the workers have made so far."""
    return sum(client.run(lambda dask_worker: dask_worker.state.task_counter.new_tasks).values())


def told(ctx, sql):
    return ctx.script(f"EXPLAIN {sql}")[0].plan.splitlines()[0]


def test_the_same_rows_on_a_cluster_bit_by_bit_each_time(client, small):
    here, there = context(small, client="none"), context(small)
    for sql in BY_ARRAYS:
        found = [rows(ctx, sql, "dense") for ctx in (here, there, there)]
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
    assert f"6 of 10 chunks (time 0 to 2 of 0 to 4); 6 tasks on 2 workers (2 threads) at {address}" in said
    assert "10 of 10 chunks; 8 tasks on 2 workers" in told(ctx, "SELECT AVG(air) FROM t")
    assert "cluster" not in told(context(store, client="none"), "SELECT AVG(air) FROM t")
    ctx.from_dataset("here", xr.open_zarr(store, consolidated=False, chunks={}).load(scheduler="synchronous"))
    assert "not on the cluster: the data are here" in told(ctx, "SELECT AVG(air) FROM here")


def test_the_magic_says_whose_cluster_it_is(client, store, notebook):
    notebook.names.update(mine=client, far=xr.open_zarr(store, consolidated=False, chunks={}))
    for name, there in {"mine": True, "none": False, "auto": True}.items():
        said = notebook(f"%xsql --client {name} EXPLAIN SELECT AVG(air) FROM far").text
        assert ("8 tasks on 2 workers" in said) == there, name
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


def over(dataset, **options):
    ctx = Context(**options)
    ctx.from_dataset("d", dataset)
    return ctx


def pids(client):
    return [worker["pid"] for worker in client.run(lambda: {"pid": os.getpid()}).values()]


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


def test_an_interrupt_cancels_the_tasks(client):
    import _thread

    ctx = over(slow(0.3, size=400))  # a minute for two workers
    threading.Timer(1.0, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        by_arrays(ctx, "SELECT SUM(v) AS s FROM d")

    def left():
        held = client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])
        working = client.run(lambda dask_worker: len(dask_worker.state.executing))
        return [key for key in held if "sql_" in key], sum(working.values())

    in_time(lambda: left() == ([], 0))


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

    monkeypatch.setattr("sqlmagic_xr.queries.gridded.remote.Remote.taken", fail)
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


# Training

STEP = """INSERT INTO w SELECT :next_step, w.a - 0.1 * AVG(grad(power(w.a * t.hum + w.b - t.air / 100, 2), w.a)),
 w.b - 0.1 * AVG(grad(power(w.a * t.hum + w.b - t.air / 100, 2), w.b))
 FROM w CROSS JOIN t WHERE w.step = :k GROUP BY w.a, w.b"""


def training(store, text=STEP, steps=4, **options):
    ctx = context(store, **options)
    ctx.script("CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO w VALUES (0, 0.0, 0.0)")
    return ctx, ctx.train(text, steps=steps, stream=True)


def trained(ctx):
    return ctx.sql("SELECT * FROM w ORDER BY step").to_arrow_table()


def finish(training, each=lambda event: None):
    for event in training:
        each(event)
    return training


@pytest.fixture(scope="module")
def expected(store):
    """The generations of a run that is made here."""
    ctx, run = training(store, client="none")
    finish(run)
    return trained(ctx)


def assert_the_same(ctx, expected):
    found = trained(ctx)
    for name in ("step", "a", "b"):
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=1e-12)


def test_a_run_has_its_chunks_on_the_cluster_and_the_same_rows_as_here(client, store, expected):
    found = []
    for _ in range(2):
        ctx, run = training(store)
        explained = str(run.explain()[0])
        assert "executor: cluster" in explained
        assert "on the cluster: air, hum (8.6 MB in the memory of 2 workers" in explained
        before = ctx.chunks_read
        finish(run)
        assert ctx.chunks_read - before == 40  # ten chunks a step
        assert_the_same(ctx, expected)
        found.append(trained(ctx))
    assert found[0].equals(found[1])


def test_what_does_not_fit_the_workers_is_read_each_step_and_explain_says_so(client, store, expected, monkeypatch):
    monkeypatch.setattr("sqlmagic_xr.cluster.holding._SHARE", 0.001)
    ctx, run = training(store)
    assert "on the cluster: air, hum (read each step: 8.6 MB exceed the 2.0 MB" in str(run.explain()[0])
    finish(run)
    assert_the_same(ctx, expected)


def test_what_array_code_does_not_cover_runs_here_and_explain_says_so(client, store):
    odd = "INSERT INTO w SELECT :next_step, w.a + approx_distinct(t.n) / 100, w.b FROM w CROSS JOIN t WHERE w.step = :k"
    ctx, run = training(store, f"{odd} GROUP BY w.a, w.b", steps=1)
    assert "not cluster: runs here (no array code over chunks for approx_distinct)" in str(run.explain()[0])
    finish(run)
    assert len(trained(ctx)) == 2
    loss = "SELECT AVG(power(w.a * t.hum - 1, 2)) FROM t CROSS JOIN w WHERE w.step = :k"
    ctx, run = training(store, f"MINIMIZE ({loss}) OVER w.a USING lbfgs(memory_size => 2)", steps=1)
    searched = str(run.explain()[1])
    assert searched.startswith("INSERT INTO w (")
    assert "not cluster: runs here (what is joined is no table" in searched


@pytest.mark.parametrize("name", {**cells.ON_THE_CLUSTER, **cells.HERE})
def test_training_cells_leave_the_same_rows_on_a_cluster_bit_by_bit_each_time(client, store, name):
    found = []
    for options in ({"client": "none"}, {}, {}):
        ctx = context(store, **options)
        ctx.script(cells.CREATE)
        run = ctx.train({**cells.ON_THE_CLUSTER, **cells.HERE}[name], steps=3, params={"lr": 0.1}, stream=True)
        finish(run)
        executors = [explained.executor for explained in run.explain()]
        tables = [ctx.sql(f"SELECT * FROM {table}").to_arrow_table() for table in cells.TABLES]
        found.append([in_order(rows) for rows in (*tables, *run.run.curves)])
    here, *there = found
    assert all(one.equals(other) for one, other in zip(*there, strict=True))
    for one, other in zip(here, there[0], strict=True):
        for mine, column in zip(one.columns, other.columns, strict=True):
            np.testing.assert_allclose(column.to_numpy(), mine.to_numpy(), rtol=1e-12, atol=1e-300)
    assert ("cluster" in executors) == (name in cells.ON_THE_CLUSTER)


def in_order(rows):
    return rows.sort_by([(column, "ascending") for column in rows.column_names])


def test_a_run_and_its_curves_read_each_chunk_once(client, store, expected, tmp_path):
    """What workers read is noted in a file; the notebook reads none."""
    note = tmp_path / "reads"
    ctx = over(noting(xr.open_zarr(store, consolidated=False, chunks={}), note))
    ctx.script("CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO w VALUES (0, 0.0, 0.0)")
    loss = "SELECT w.step, AVG(power(w.a * t.hum + w.b - t.air / 100, 2)) AS loss FROM d t CROSS JOIN w GROUP BY w.step"
    run = ctx.train(f"{STEP.replace('CROSS JOIN t', 'CROSS JOIN d t')}; {loss}", steps=4, stream=True)
    for event in run:
        if type(event).__name__ == "Stepped":
            assert [len(there) for there in client.run(on_the_shelf).values()] == [10, 10]
            assert all(client.run(written_to_disk).values())
    assert run.run.curves[0].num_rows == 5
    assert len(note.read_text().split()) == 2 * 10
    assert str(os.getpid()) not in note.read_text().split()
    assert_the_same(ctx, expected)
    in_time(lambda: sum(map(len, client.run(on_the_shelf).values())) == 0)


def on_the_shelf(dask_worker):
    shelf = dask_worker.plugins.get("sqlmagic_xr")
    return [] if shelf is None else [values for chunks in shelf.chunks.values() for each in chunks for values in each]


def written_to_disk(dask_worker):
    """Have a worker write to disk what dask holds, as where its memory is full."""
    while dask_worker.data.fast:
        dask_worker.data.evict()
    return len(dask_worker.data.disk)


def test_parts_are_shared_out_by_threads_and_a_dead_workers_go_to_a_new_one():
    assert folding.placed(4, {"a": 1, "b": 3}) == ["a", "b", "b", "b"]
    assert folding.placed(2, {"a": 2, "b": 2}) == ["a", "b"]
    assert folding.placed(6, {"a": 1, "b": 1}) == ["a"] * 3 + ["b"] * 3
    held = folding.Held((), (), ["a", "b", "b", "b"])
    assert folding.moved(held, {"a": 1, "b": 3}) == {}
    assert folding.moved(held, {"a": 1, "c": 2}) == {1: "c", 2: "c"}
    assert folding.moved(held, {"b": 3}) == {}


def full(share):
    from sqlmagic_xr.cluster import shelf

    shelf._FULL = share


def test_what_a_worker_has_no_room_for_is_read_each_step(client, store, expected):
    client.run(full, 0.0)
    try:
        ctx, run = training(store)
        for _ in run:
            assert not any(client.run(on_the_shelf).values())
    finally:
        client.run(full, 0.75)
    assert_the_same(ctx, expected)


def in_time(holds):
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert holds()


# What the workers do not survive


def test_a_worker_that_is_killed_changes_nothing(client, store, expected, monkeypatch):
    """It is killed in the middle of a query, between two steps of a run whose chunks it held; a new one gets them."""
    monkeypatch.setattr("sqlmagic_xr.cluster.holding._LOOK", 0.0)
    ctx, run = training(store)
    events = iter(run)
    while type(next(events)).__name__ != "Stepped":
        pass
    victim, begin = pids(client)[0], time.monotonic()
    threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
    found = by_arrays(over(slow(0.1, size=20)), "SELECT x % 3 AS k, SUM(v) AS s FROM d GROUP BY 1")
    assert sorted(found.to_pylist(), key=lambda row: row["k"]) == [{"k": k, "s": 1_900_000.0} for k in range(3)]
    client.wait_for_workers(2, timeout=60)
    assert victim not in pids(client)
    shelves = []
    finish(events, lambda _: shelves.append(sorted(map(len, client.run(on_the_shelf).values()))))
    assert [10, 10] in shelves
    assert run.run.status == "done"
    assert_the_same(ctx, expected)
    assert time.monotonic() - begin < 60


def test_without_workers_a_query_says_so_and_a_run_goes_on_when_they_are_back(client, store, expected, monkeypatch):
    monkeypatch.setattr(folding, "GONE", 3.0)
    ctx, run = training(store)
    events = iter(run)
    for event in events:
        if type(event).__name__ == "Stepped" and event.step == 2:
            break
    slowly = over(slow(0.2))
    threading.Timer(0.5, client.cluster.scale, (0,)).start()
    begin = time.monotonic()
    try:
        with pytest.raises(ClusterError, match=r"the workers of the dask cluster at .* are gone"):
            by_arrays(slowly, "SELECT SUM(v) AS s FROM d")
        assert time.monotonic() - begin < 60
        with pytest.raises(ClusterError, match="has no worker"):
            by_arrays(slowly, "SELECT SUM(v) AS s FROM d")
        with pytest.raises(ClusterError, match=r"has no worker|are gone"):
            finish(events)
        assert run.run.status == "failed"
        assert len(trained(ctx)) == 3
    finally:
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
    finish(ctx.train(STEP, steps=2, stream=True))
    assert_the_same(ctx, expected)

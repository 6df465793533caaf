"""Workers that are threads of one process, this one: the same rows as here, bit by bit each time."""

import threading
import time

import numpy as np
import pytest

from sqlmagic_xr.cluster.client import states
from sqlmagic_xr.errors import ClusterError
from tests.cluster.data import context, slow
from tests.cluster.runs import UNHEARD, assert_the_same, finish, over, rows, trained, training
from tests.queries.gridded.same import by_arrays
from tests.queries.gridded.test_who_runs import BY_ARRAYS

distributed = pytest.importorskip("distributed")
pytestmark = UNHEARD


@pytest.fixture(scope="module")
def threads():
    """Two workers of two threads each, in this process, whose memory is that of all tests: it is not limited."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=False, dashboard_address=":0", memory_limit=0
    ) as cluster, distributed.Client(cluster, set_as_default=False) as found:  # fmt: skip
        yield found


def test_queries_have_the_same_rows(threads, small):
    here, there = context(small, client="none"), context(small, client=threads)
    for sql in BY_ARRAYS[::6]:
        found = [rows(ctx, sql, "dense") for ctx in (here, there, there)]
        order = [(name, "ascending") for name in found[0].column_names]
        mine, first, second = (each.sort_by(order) for each in found)
        assert first.equals(second), sql
        for one, other in zip(first.columns, mine.columns, strict=True):
            rtol = 1e-6 if str(one.type) == "float" else 1e-12
            if str(one.type) in ("double", "float"):
                np.testing.assert_allclose(one.drop_null().to_numpy(), other.drop_null().to_numpy(), rtol, 1e-12)
            else:
                assert one.equals(other), sql


def test_a_run_calls_each_of_them_by_itself(threads, store, expected):
    found = []
    for _ in range(2):
        ctx, run = training(store, client=threads)
        tasks = set()
        for event in run:
            if type(event).__name__ == "Stepped":
                tasks.add(threads.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter))
        assert len(tasks) == 1, "after the first step there are calls and no tasks: one that ends ends no other one"
        assert_the_same(ctx, expected)
        found.append(trained(ctx))
    assert found[0].equals(found[1])


def test_a_client_that_is_closed_in_the_middle_ends_a_run_and_a_query(threads, store):
    address = threads.scheduler.address
    with distributed.Client(address, set_as_default=False) as client:
        ctx, run = training(store, client=client)
        events = iter(run)
        while type(next(events)).__name__ != "Stepped":
            pass
        client.close()
        with pytest.raises(ClusterError, match=f"the dask cluster at {address} cannot be reached"):
            finish(events)
    assert run.run.status == "failed"
    assert len(trained(ctx)) == 2
    with distributed.Client(address, set_as_default=False) as client:
        ctx = over(slow(0.1), client=client)
        threading.Timer(0.3, client.close).start()
        with pytest.raises(ClusterError, match=f"the dask cluster at {address} (was closed|cannot be reached)"):
            by_arrays(ctx, "SELECT SUM(v) AS s FROM d")


def test_workers_whose_memory_is_full_end_a_query_with_that_word(small, monkeypatch):
    monkeypatch.setattr("sqlmagic_xr.cluster.tasks.GONE", 3.0)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", memory_limit="1MB"
    ) as cluster, distributed.Client(cluster, set_as_default=False) as client:  # fmt: skip
        while states(client) != {"paused"}:  # the process has more than that
            time.sleep(0.05)
        with pytest.raises(ClusterError, match=r"the workers of the dask cluster at .* are paused") as caught:
            by_arrays(context(small, client=client), BY_ARRAYS[0])
        assert "memory_limit" in caught.value.hint

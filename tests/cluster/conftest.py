"""A cluster of two worker processes of two threads, stores of chunks, a notebook for what its magic says of them."""

import pytest

from tests.cluster.data import made
from tests.cluster.runs import finish, trained, training
from tests.magics.conftest import notebook as notebook


@pytest.fixture(scope="package")
def client():
    quick = {"distributed.scheduler.allowed-failures": 8, "distributed.comm.retry.count": 1}
    import dask

    distributed = pytest.importorskip("distributed")
    with dask.config.set(quick), distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=":0", memory_limit="1GB"
    ) as cluster, distributed.Client(cluster) as found:  # fmt: skip
        warm(found)
        yield found


def warm(client):
    """Have the workers import what they need, so that no test waits for that."""
    import importlib

    client.run(lambda: importlib.import_module("sqlmagic_xr.queries.gridded.sweep") is not None)


@pytest.fixture(scope="package")
def store(tmp_path_factory):
    """A million cells in ten chunks."""
    return made((75, 120, 120), tmp_path_factory.mktemp("cluster") / "air.zarr", (15, 60, 120))


@pytest.fixture(scope="package")
def small(tmp_path_factory):
    """Some thousand cells in four chunks."""
    return made((15, 24, 20), tmp_path_factory.mktemp("cluster") / "air.zarr", (8, 12, 20))


@pytest.fixture(scope="package")
def expected(store):
    """The generations of a run that is made here."""
    ctx, run = training(store, client="none")
    finish(run)
    return trained(ctx)

"""What is sent to workers: the places of functions of this package, and plain data."""

import pickle
import pickletools

import numpy as np
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.cluster.sent import pickled
from sqlmagic_xr.queries.gridded import groupwise
from sqlmagic_xr.queries.gridded.regions import regions_of
from sqlmagic_xr.queries.gridded.sweep import Sweep
from tests.cluster.data import context, made
from tests.queries.gridded.test_who_runs import BY_ARRAYS

pytest.importorskip("cloudpickle")
pytest.importorskip("dask")
FORBIDDEN = ("datafusion", "sqlmagic_xr.engine.context", "sqlmagic_xr.storage", "IPython", "_io")


def names(payload):
    """The modules that a pickle names."""
    return {str(argument) for code, argument, _ in pickletools.genops(payload) if "UNICODE" in code.name}


def test_no_code_and_nothing_of_the_notebook_is_sent_and_what_arrives_does_the_same(tmp_path, monkeypatch):
    ctx = context(made((15, 24, 20), tmp_path / "air.zarr", (8, 12, 20)), client="none")
    sweeps = []
    taken = groupwise.taken

    def noting(grid, tallies, on_read, entire=frozenset()):
        sweeps.append((Sweep.of(grid, tallies, entire), list(regions_of(grid, entire))))
        return taken(grid, tallies, on_read, entire)

    monkeypatch.setattr(groupwise, "taken", noting)
    for sql in BY_ARRAYS:
        ctx.script(sql, executor="dense")[0].to_arrow_table()
    assert len(sweeps) >= 50
    for sweep, regions in sweeps:
        payload = pickled(sweep)
        found = names(payload)
        assert not [name for name in found if name.startswith(FORBIDDEN)], found
        assert not found & {"_make_function", "CodeType"}, found
        for one, other in zip(folded(sweep, regions), folded(pickle.loads(payload), regions), strict=True):
            for mine, his in zip(one, other, strict=True):
                np.testing.assert_array_equal(mine, his)


def folded(sweep, regions):
    state = sweep.fresh()
    for region in regions:
        sweep.add(state, region, [sweep.read(number, region) for number in range(sweep.variables)], {})
    return state


def test_a_function_of_the_user_is_sent_as_cloudpickle_does():
    by = 3
    assert pickle.loads(pickled(lambda x: x * by))(4) == 12


def test_a_context_cannot_be_sent():
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickled(Context())

"""Which dask arrays a task can make a chunk of by itself, and which the cluster makes as their graph says."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any


def is_made_alone(data: Any) -> bool:
    """Whether a chunk of an array is made for itself: nothing is calculated, or held by the cluster, for several.

    What is not goes through the cluster's own scheduler, which calculates once what several chunks need.

    Args:
        data: what a variable holds; what is no dask array is read from its store.
    """
    if not hasattr(data, "__dask_graph__"):
        return True
    found = _looked_at.get(id(data))
    if found is None:  # of a graph of a hundred chunks a look takes as long as a twentieth of a step
        found = _looked_at[id(data)] = _look(data)
        weakref.finalize(data, _looked_at.pop, id(data), None)
    return found


def _look(data: Any) -> bool:
    from dask.highlevelgraph import MaterializedLayer

    graph = data.__dask_graph__()
    written_out = [layer for layer in graph.layers.values() if isinstance(layer, MaterializedLayer)]
    if any(_is_held(task) for layer in written_out for task in layer.values()):
        return False  # it has the name that it had before it was persisted
    known = _known.get(data.name)  # which is the name of its content
    if known is None:
        while len(_known) >= _MOST:
            del _known[next(iter(_known))]
        known = _known[data.name] = _is_made_alone(dict(graph))
    return known


_looked_at: dict[int, bool] = {}
_known: dict[str, bool] = {}
_MOST = 256


def _is_made_alone(tasks: Mapping[Any, Any]) -> bool:
    from dask.core import get_dependencies

    readers: dict[Any, int] = {}
    for key in tasks:
        for needed in get_dependencies(tasks, key):
            readers[needed] = readers.get(needed, 0) + 1
    return not any(count > 1 and not _is_data(tasks[key]) for key, count in readers.items())


def _is_held(task: Any) -> bool:
    """Whether a chunk is in the memory of a worker, as after ``persist``."""
    from distributed import Future

    return isinstance(task, Future) or isinstance(getattr(task, "value", None), Future)


def _is_data(task: Any) -> bool:
    """Whether there is nothing to calculate: an opened store, which all chunks are read from."""
    if type(task).__module__ == "dask._task_spec":
        return type(task).__name__ == "DataNode"
    return not (type(task) is tuple and task and callable(task[0]))

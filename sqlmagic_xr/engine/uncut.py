"""The array on disk that dask's chunks are cut from: whoever reads one chunk after another has no need of a graph."""

from __future__ import annotations

from typing import Any

from xarray.core.indexing import ImplicitToExplicitIndexingAdapter


def uncut(data: Any) -> Any | None:
    """What xarray has opened and dask has cut into chunks, nothing having been done to these; None of anything else.

    It takes slices and arrays of positions along each dimension, and gives NumPy's arrays.

    Args:
        data: what lies in a variable.
    """
    name, graph = getattr(data, "name", None), getattr(data, "dask", None)
    if name is None or graph is None:
        return None
    layer = getattr(graph, "layers", {}).get(f"original-{name}")  # which dask.array.from_array calls it
    if layer is None or not layer.is_materialized():  # to look into any other would write out all of its tasks
        return None
    found = layer.get(f"original-{name}")
    found = getattr(found, "value", found)
    return found if isinstance(found, ImplicitToExplicitIndexingAdapter) else None

"""The order of a result's coordinates: SQL promises none, and a grid needs one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..sql.syntax import Statement, name_of, tables_named


def in_order(dataset: xr.Dataset, statement: Statement, sources: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The dataset with each coordinate in the order that its source has, and else ascending.

    A GROUP BY gives its groups in any order, so a grid made of its rows as they come is shuffled along its axes. A
    statement that ends in ORDER BY has said what it wants, and is left alone.

    Args:
        dataset: what a result was made into.
        statement: whose result it is.
        sources: the datasets that there are, by table; those that the statement names come first.

    Returns:
        The same data; ``dataset`` itself where nothing moves.
    """
    tree = statement.parsed[0]
    if not isinstance(tree, dict) or tree.get("Query", {}).get("order_by"):
        return dataset
    named = {".".join(name_of(parts)) for parts in tables_named(tree)}
    ranked = [sources[key] for key in sorted(sources, key=lambda key: key not in named)]
    moves = {dim: order for dim in dataset.dims if (order := _order(dataset, dim, ranked)) is not None}
    return dataset.isel(moves) if moves else dataset


def _order(dataset: xr.Dataset, dim: Any, sources: Iterable[xr.Dataset]) -> np.ndarray[Any, Any] | None:
    """The positions along a dim, in order; None where they are in order already."""
    if dim not in dataset.coords:
        return None
    values = dataset.indexes[dim]
    ranks = next((r for source in sources if (r := _ranks(values, source, dim)) is not None), None)
    order = np.argsort(values if ranks is None else ranks, kind="stable")
    return None if np.array_equal(order, np.arange(len(order))) else order


def _ranks(values: pd.Index, source: xr.Dataset, dim: Any) -> np.ndarray[Any, Any] | None:
    """Where in the source's coordinate each value stands; None where one does not stand in it."""
    index = source.indexes.get(dim)
    if index is None or not index.is_unique:
        return None
    ranks = index.get_indexer(values)
    return None if (ranks < 0).any() else ranks

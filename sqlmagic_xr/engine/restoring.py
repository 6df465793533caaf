"""What a dataset gets back of those its rows come from: attributes, coordinates beside its dimensions, an order."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import plans
from .meaning import Meaning, agreed

_PASS_ORDER_ON = ("Projection", "SubqueryAlias", "Limit")


def agree(found: xr.Dataset, read: Collection[xr.Dataset]) -> None:
    """Give the variables the attributes on which all datasets agree that have a variable of that name."""
    for name in found.variables:
        given = [Meaning(dataset[name].attrs) for dataset in read if name in dataset.variables]
        found[name].attrs = dict(agreed(given).attrs) if given else {}


def describe(found: xr.Dataset, columns: Collection[str], known: Mapping[str, Meaning]) -> None:
    """Give the variables that are columns of a query the attributes of what they are."""
    for name in columns:
        meaning = known.get(name, Meaning())
        found[name].attrs = dict(meaning.attrs)
        if meaning.variable != name:
            found[name].encoding = {}


def beside(dataset: xr.Dataset) -> list[Any]:
    """The coordinates that say nothing of where one is."""
    return [name for name in dataset.coords if name not in dataset.indexes and name not in dataset.dims]


def with_coordinates(
    found: xr.Dataset, columns: Collection[str], known: Mapping[str, Meaning], read: Mapping[str, xr.Dataset]
) -> xr.Dataset:
    """The dataset in which what was a coordinate is one again, along its own dimensions where these are all there.

    A query that reads one dataset gives those too that are not among its columns.
    """
    wanted = {name: known.get(name, Meaning()) for name in columns if name not in found.dims}
    for table, only in read.items() if len(read) == 1 else ():
        more = (name for name in beside(only) if name not in found.variables)
        wanted |= {name: Meaning(table=tuple(table.split(".")), variable=name) for name in more}
    for name, meaning in wanted.items():
        source = read.get(".".join(meaning.table))
        if source is None or meaning.variable not in source.coords:
            continue
        variable = source.variables[meaning.variable]
        places = {d: _places(found, source, d, known.get(str(d), Meaning()), meaning) for d in variable.dims}
        if all(place is not None for place in places.values()):
            found = found.drop_vars(name, errors="ignore").assign_coords({name: variable.isel(places)})
        elif name in columns:
            found = found.set_coords(name)
    return found


def _places(found: xr.Dataset, source: xr.Dataset, dim: Any, own: Meaning, meaning: Meaning) -> Any:
    """Where the labels of a dimension are in the dataset that they are from; None where they are not from there."""
    labels = source.indexes.get(dim, pd.RangeIndex(source.sizes[dim]))
    if dim not in found.indexes or (own.table, own.variable) != (meaning.table, dim) or not labels.is_unique:
        return None
    places = labels.get_indexer(found.indexes[dim])
    return places if (places >= 0).all() else None


def sort_of(plan: plans.PlanNode) -> str:
    """The sort keys of a query as its plan writes them; "" where it asks for no order."""
    while plan.name in _PASS_ORDER_ON and len(plan.children) == 1:
        plan = plan.children[0]
    return plan.line if plan.name == "Sort" else ""


def arranged(found: xr.Dataset, read: Collection[xr.Dataset], sort: str) -> xr.Dataset:
    """The dataset, every dimension in the order it shall have."""
    order = {}
    for dim in found.dims:
        values = found.indexes[dim]
        asked = sort and (_names(sort, str(dim)) or values.is_monotonic_increasing or values.is_monotonic_decreasing)
        if not asked:
            positions = _positions(values, [d.indexes[dim] for d in read if dim in d.indexes])
            if (positions != np.arange(len(positions))).any():
                order[dim] = positions
    return found.isel(order) if order else found


def _names(sort: str, column: str) -> bool:
    return re.search(rf"[\s.]{re.escape(column)} (ASC|DESC)\b", sort) is not None


def _positions(values: pd.Index, sources: Sequence[pd.Index]) -> Any:
    """The order of the values: that of the one index that has them all, or else ascending."""
    if len(sources) == 1 and sources[0].is_unique:
        places = sources[0].get_indexer(values)
        if (places >= 0).all():
            return np.argsort(places, kind="stable")
    return np.asarray(values.sort_values(return_indexer=True)[1])  # NULL comes last

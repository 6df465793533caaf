"""Whether a query's rows are cells of one dataset, as its plan tells: then they can be read lazily, chunk by chunk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import xarray as xr


@dataclass(frozen=True)
class Origin:
    """Where the rows of a query come from.

    Attributes:
        dataset: whose cells they are.
        columns: the columns that the query gives as they are, under their own names.
        whole: whether no cell is left out.
    """

    dataset: xr.Dataset
    columns: frozenset[str]
    whole: bool

    def is_grid(self, dims: Collection[str], schema: pa.Schema) -> bool:
        """Whether ``dims`` name each row, and what no row has is known to be NaN.

        Args:
            dims: the dimensions of the result.
            schema: its columns.
        """
        own = [str(dim) for dim in self.dataset.dims]
        if not set(own) <= set(dims) <= self.columns:
            return False
        if not all(dim in self.dataset.indexes and self.dataset.indexes[dim].is_unique for dim in own):
            return False
        beside = self.columns & set(map(str, self.dataset.coords))  # which are taken from the dataset itself
        others = [field for field in schema if field.name not in dims and field.name not in beside]
        return all(pa.types.is_floating(field.type) or self._is_full(field.name) for field in others)

    def _is_full(self, column: str) -> bool:
        """Whether a column is a variable of the dataset, unchanged, of a type that has no missing values."""
        known = self.whole and column in self.columns and column in self.dataset.variables
        return known and self.dataset[column].dtype.kind in "iubM"


def origin(frame: Any, datasets: Mapping[str, xr.Dataset]) -> Origin | None:
    """Where a query's rows come from, if it does no more than select and filter cells of one of ``datasets``."""
    plan = frame.optimized_logical_plan()
    columns, whole = frozenset(frame.schema().names), True
    while True:
        node = plan.to_variant()
        kind = type(node).__name__
        if kind == "TableScan":
            name = node.table_name()
            if node.fetch() is not None or name not in datasets:
                return None
            return Origin(datasets[name], columns, whole and not node.filters())
        if kind == "Projection":
            columns &= _plain(node)
        elif kind == "Filter":
            whole = False
        elif kind != "SubqueryAlias" and (kind != "Sort" or node.get_fetch_val() is not None):
            return None
        (plan,) = plan.inputs()


def _plain(projection: Any) -> frozenset[str]:
    """The columns that a projection hands on."""
    nodes = [item.to_variant() for item in projection.projections() if item.variant_name() == "Column"]
    return frozenset(node.name() for node in nodes)

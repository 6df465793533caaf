"""The way of a frame's rows into a dataset: read when they are needed, or at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr
from xarray_sql.ds import XarrayDataFrame, _finish_dataset

from ..errors import UsageError
from .grid import from_laid, grid, refuse_names
from .laid import Laid
from .provenance import origin


class WayBack:
    """The way of a frame's rows into a dataset, with xarray-sql's options."""

    def __init__(
        self, frame: XarrayDataFrame, dims: Sequence[str] | str | None, template: xr.Dataset | str | None, *,
        sparsity: str = "result", fill_value: Any = np.nan, chunks: Mapping[str, int] | str | None = "inherit",
    ) -> None:  # fmt: skip
        self._frame, self._schema = frame, frame.schema()
        self._template = template if isinstance(template, xr.Dataset) else frame._resolve_template(template)
        named = frame._infer_dimension_columns(self._template) if dims is None else dims
        self._dims = [named] if isinstance(named, str) else list(named)
        self._sparsity, self._fill_value, self._chunks = sparsity, fill_value, chunks
        if sparsity not in ("result", "template"):
            raise UsageError(f"sparsity is 'result' or 'template', not {sparsity!r}")
        if sparsity == "template" and self._template is None:
            raise UsageError("sparsity='template' needs a dataset whose labels to take", hint="Give template=.")
        refuse_names(self._schema.names, self._dims)

    def lazily(self, read: Mapping[str, xr.Dataset]) -> xr.Dataset | None:
        """The dataset, read when it is needed; None where that might invent or lose a cell."""
        floats = all(pa.types.is_floating(f.type) for f in self._schema if f.name not in self._dims)
        source = origin(self._frame, read) if self._sparsity == "result" or floats else None
        if source is None or not source.is_grid(self._dims, self._schema):
            return None
        options = {"sparsity": self._sparsity, "fill_value": self._fill_value, "chunks": self._chunks}
        made: xr.Dataset = self._frame.to_dataset(self._dims, self._template, **options)
        return made

    def as_laid(self, laid: Laid) -> xr.Dataset | None:
        """The dataset of rows that are arrays; None where its dims are others."""
        names = self._schema.names
        if self._sparsity != "result" or {names[number] for number in laid.axes} != set(self._dims):
            return None
        return self._finished(from_laid(laid, names).transpose(*self._dims), self._schema)

    def at_once(self, rows: pa.Table) -> xr.Dataset:
        """The dataset in memory, then in chunks where chunks are asked for."""
        labels = {}
        if self._sparsity == "template":
            known = self._template
            labels = {d: known[d].values for d in self._dims if d in known.coords and d in known.dims}
        return self._finished(grid(rows, self._dims, labels, self._fill_value), rows.schema)

    def _finished(self, found: xr.Dataset, schema: pa.Schema) -> xr.Dataset:
        kinds = {field.name: field.type for field in schema}
        chunks = self._frame._resolve_chunks(self._chunks, self._template, self._dims)
        made: xr.Dataset = _finish_dataset(found, self._dims, self._template, "result", None, chunks, kinds)
        return made

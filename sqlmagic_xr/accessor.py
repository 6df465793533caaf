"""``ds.xsql("SELECT ... FROM this")``: SQL over one dataset or array, without a context of one's own."""

from __future__ import annotations

from typing import Any

import xarray as xr

from .context import Context
from .engine.result import Result


@xr.register_dataset_accessor("xsql")
@xr.register_dataarray_accessor("xsql")
class Accessor:
    """SQL over an xarray object, which is the table ``this``.

    Args:
        this: the dataset or array.

    Example:
        >>> ds = xr.Dataset({"air": ("lat", [280.0, 290.0])}, {"lat": [10, 20]})
        >>> ds.xsql("SELECT MAX(air) AS warmest FROM this").df
           warmest
        0    290.0
    """

    def __init__(self, this: xr.Dataset | xr.DataArray) -> None:
        self._this = this

    def __call__(self, query: str, params: Any = None, **tables: Any) -> Result:
        """Run a query.

        Args:
            query: SQL; several statements give the last one's result.
            params: values of its parameters.
            tables: further tables, by name.

        Raises:
            SqlError: with the place in ``query``.
        """
        return Context(namespace=lambda: {**tables, "this": self._this}).script(query, params)[-1]

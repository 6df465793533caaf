"""What a statement gave: rows, or a line that says what it did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..sql.syntax import Statement

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import xarray as xr
    from xarray_sql.ds import XarrayDataFrame


@dataclass(frozen=True)
class Result:
    """The outcome of one statement.

    Attributes:
        statement: what was run, as the user wrote it.
        sql: what really ran, with derivatives and parameters worked out.
        frame: the rows, lazily; None for a statement that gives none.
        message: what the statement did ("params: 3 rows inserted"); "" for a query.
        rows: how many rows it changed; None for a query.
    """

    statement: Statement
    sql: str
    frame: XarrayDataFrame | None = None
    message: str = ""
    rows: int | None = None

    @cached_property
    def _table(self) -> pa.Table:
        import pyarrow as pa

        return pa.table({}) if self.frame is None else self.frame.to_arrow_table()

    def to_arrow_table(self) -> pa.Table:
        """All rows as an Arrow table; the query runs at the first call only."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """All rows as a pandas data frame."""
        return self._table.to_pandas()

    def to_dataset(self, dims: list[str] | None = None, **options: Any) -> xr.Dataset:
        """The rows as an ``xr.Dataset`` over ``dims``; see xarray-sql's ``to_dataset`` for the options.

        Raises:
            ValueError: the dims cannot be inferred; name them.
        """
        if self.frame is None:
            raise ValueError(f"the statement gave no rows: {self.message}")
        dataset: xr.Dataset = self.frame.to_dataset(dims, **options)
        return dataset

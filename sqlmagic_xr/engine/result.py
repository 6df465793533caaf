"""What a statement gave: rows, or a line that says what it did."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import SqlError, UsageError
from ..properties import kept_property, run_once, turn
from ..sql.syntax import Statement, Tree, to_sql
from ..storage.beside import beside, place_of
from ..storage.fetch import fetch, head, planned, reader, stream
from ..storage.gridfile import Form, library, write
from . import plans
from .headers import headers
from .interrupt import interruptible

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import polars as pl
    import xarray as xr

    from .answers import Answer
    from .frame import Frame
    from .laid import Laid


NAMING = "--dims a,b or to_dataset(dims=[...])"
"""How dimensions are named, for a hint."""


@dataclass(frozen=True)
class Preview:
    """The first rows of a result, and how many there are in all."""

    rows: pa.Table
    total: int


@dataclass(frozen=True)
class Result:
    """The outcome of one statement.

    A query runs when its rows are first asked for, and only as far as needed: :meth:`preview` fetches the first rows,
    everything else fetches all of them once and keeps them, whichever threads ask. Any library that reads Arrow takes
    a result as it is.

    Attributes:
        statement: what was run, as the user wrote it.
        ran: what really ran, with derivatives and parameters worked out, as a tree or as text; :attr:`sql` is its text.
        frame: the rows, lazily; None for a statement that gives none.
        message: what the statement did ("params: 3 rows inserted"); "" for a query.
        rows: how many rows it changed; None for a query.
        plan: the plan that an EXPLAIN asked for, as an indented tree; "" for anything else.
        limited: gives the query without its outermost LIMIT where it has one over rows that stream.
        explain_error: makes of an engine's error one that points into the statement.
        answer: gives the rows in another way than the frame, if there is one.

    Example:
        >>> from sqlmagic_xr import Context
        >>> (result,) = Context().script("SELECT 1 AS a UNION ALL SELECT 2")
        >>> len(result), result.columns, result.to_arrow_table()["a"].to_pylist()
        (2, ['a'], [1, 2])
    """

    statement: Statement
    ran: Tree | str
    frame: Frame | None = None
    message: str = ""
    rows: int | None = None
    plan: str = ""
    limited: Callable[[], plans.Limited | None] = field(default=lambda: None, repr=False, compare=False)
    explain_error: Callable[[Exception], Exception] = field(default=lambda error: error, repr=False, compare=False)
    answer: Answer | None = field(default=None, repr=False, compare=False)

    @property
    def schema(self) -> pa.Schema:
        """The names and types of the columns; nothing runs for it."""
        if self.frame is None:
            return pa.schema([])
        with self._explained():
            return self.frame.schema()

    @property
    def columns(self) -> list[str]:
        """The names of the columns, as SQL that reads the result calls them."""
        return [] if self.frame is None else list(planned(self.frame).names)

    @kept_property
    def headers(self) -> list[str]:
        """The names of the columns in data frames, datasets and tables: what has no name reads as it was written."""
        return headers(self.columns, self.statement.parsed[0] if self.statement.kind == "Query" else None)

    @property
    def _headed(self) -> pa.Table:
        return self._table.rename_columns(self.headers)

    @property
    def executor(self) -> str:
        """Who has run the query, which it does where nobody has: "dense" (array code) or "relational"."""
        return "dense" if "_arrays" in self.__dict__ or self._answered is not None else "relational"

    def __len__(self) -> int:
        return self._total

    @kept_property
    def sql(self) -> str:
        """The text of what really ran; made when it is asked for, since a training step seldom is."""
        return self.ran if isinstance(self.ran, str) else to_sql(self.ran)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows, each a tuple of Python's own values."""
        for batch in self._table.to_batches(max_chunksize=1024):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def __repr__(self) -> str:
        return f"Result({self.message or ', '.join(self.columns)})"

    def preview(self, limit: int) -> Preview:
        """The first ``limit`` rows and the number of all; asked again, it does not run again.

        Rows that stream are read until there are enough, from the first chunk on; a result that must be computed
        whole (an aggregate) is computed once and, where it is not large, kept.
        """
        with turn(self):
            known = self._previews.get(limit)
            if known is None:
                known = self._previews[limit] = self._preview(limit)
        return known

    def _preview(self, limit: int) -> Preview:
        if self.frame is None:
            return Preview(pa.table({}), 0)
        with self._explained():
            flow = "known" if self._is_fetched or self._answered is not None else plans.flow(self.frame)
            if flow == "sorted":
                frame = self.frame.limit(limit)
                return Preview(interruptible(lambda: fetch(frame), frame), self._total)
            if flow == "stream":
                limited = self._limited
                if limited is not None and limited.fetch <= limit:
                    return Preview(self._table, self._table.num_rows)
                rows = interruptible(lambda: head(self.frame, limit), self.frame)
                if rows.num_rows < limit:
                    self.__dict__["_table"] = rows
                return Preview(rows, self._total)
            if flow == "whole" and self._limited is None:
                kept, total = interruptible(lambda: stream(self.frame, limit), self.frame)
                if kept.num_rows < total:
                    self.__dict__["_total"] = total
                    return Preview(kept.slice(0, limit), total)
                self.__dict__["_table"] = kept
        return Preview(self._table.slice(0, limit), self._table.num_rows)

    @kept_property
    def _previews(self) -> dict[int, Preview]:
        return {}

    @property
    def _is_fetched(self) -> bool:
        return "_table" in self.__dict__

    @run_once
    def _table(self) -> pa.Table:
        if self.frame is None:
            return pa.table({})
        if self._answered is not None:
            return self._answered
        limited = self._limited
        with self._explained():
            if limited is None:
                return interruptible(lambda: fetch(self.frame), self.frame)
            return interruptible(lambda: head(limited.frame, limited.skip + limited.fetch), limited.frame).slice(
                limited.skip
            )

    @run_once
    def _answered(self) -> pa.Table | None:
        with self._explained():
            return None if self.answer is None else self.answer()

    @run_once
    def _limited(self) -> plans.Limited | None:
        with self._explained():  # it plans, and the engine folds constants then
            return self.limited()

    @run_once
    def _total(self) -> int:
        if (
            self._is_fetched or self.frame is None or self.plan or self._answered is not None
        ):  # a plan can be run, but not counted
            return int(self._table.num_rows)
        with self._explained():
            return int(interruptible(self.frame.count, self.frame))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            explained = self.explain_error(error)
            if explained is error:
                raise
            raise explained from error

    def to_arrow_table(self) -> pa.Table:
        """All rows as an Arrow table; the query runs at the first call only."""
        return self._table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> pd.DataFrame:
        """All rows as a pandas data frame."""
        return self._headed.to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """All rows as a polars data frame.

        Raises:
            ImportError: polars is not installed.
        """
        import polars

        return polars.DataFrame(polars.from_arrow(self._headed))

    @property
    def df(self) -> pd.DataFrame:
        """All rows as a pandas data frame."""
        return self.to_pandas()

    @property
    def pl(self) -> pl.DataFrame:
        """All rows as a polars data frame."""
        return self.to_polars()

    def __getattr__(self, name: str) -> Any:
        frames = getattr(sys.modules.get("pandas"), "DataFrame", None)
        if name.startswith("_") or not (hasattr(frames, name) or name in self.columns):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise AttributeError(f"a result has no {name}: its data frame has, .df.{name} (.pl.{name} in polars)")

    def plot(self, **options: Any) -> Any:
        """Draw the rows: a map, lines or bars by the kinds of their columns; see :func:`.chart.plot`.

        Raises:
            UsageError: there is no number in them.
        """
        from .chart import plot

        return plot(self, **options)

    def to_dataset(self, dims: Sequence[str] | None = None, **options: Any) -> xr.Dataset:
        """The rows as an ``xr.Dataset`` over ``dims``, coordinates, their order and attributes restored.

        Args:
            dims, options: as for :meth:`.frame.Frame.to_dataset`; a dim is named as its column is, here or in SQL.

        Raises:
            UsageError: the dims cannot be inferred, or do not name the rows.
        """
        if self.frame is None:
            raise UsageError(f"the statement gave no rows: {self.message}")
        frame = self.frame
        named = {old: new for old, new in zip(self.columns, self.headers, strict=True) if old != new}
        if named and dims is not None:
            own = {new: old for old, new in named.items()}
            dims = [own.get(dim, dim) for dim in ([dims] if isinstance(dims, str) else dims)]
        laid = self._laid()
        rows = None if laid is not None else self._table if self._is_fetched else self._answered
        with self._explained():
            try:
                found = interruptible(lambda: frame.to_dataset(dims, rows=rows, laid=laid, **options), frame)
                return found.rename(named) if named else found
            except SqlError:
                raise
            except ValueError as error:
                raise self._no_dims(error) or error from error

    def _laid(self) -> Laid | None:
        """The rows as arrays, where they are to be had so and are no rows yet."""
        if self.answer is None or self._is_fetched or "_answered" in self.__dict__:
            return None
        with self._explained():
            found = self.answer.laid()
        if found is not None:
            self.__dict__["_arrays"] = True  # who has run it, if somebody asks
        return found

    def _no_dims(self, error: ValueError) -> UsageError | None:
        """xarray-sql's complaint about dims, with what to do; None where the error is another."""
        what = str(error).split("\n")[0]
        if not re.search(r"\bdim(s|ension)?\b", what):
            return None
        names = ", ".join(self.headers)
        hint = f"Name the columns that are dimensions, {NAMING}, out of: {names}"
        return UsageError(re.split(r"[.:] | \(", what)[0], hint=hint)

    def to_zarr(
        self, path: str | Path, dims: Sequence[str] | None = None, *, overwrite: bool = False, **options: Any
    ) -> None:
        """Write the rows to a Zarr store as :meth:`to_dataset` gives them, whole or not at all.

        A query that only selects and filters cells of one dataset is read and written a block at a time; any other
        is in memory meanwhile.

        Args:
            path: the folder.
            dims, options: as for :meth:`.frame.Frame.to_dataset`; ``chunks`` apart.
            overwrite: whether to replace a store that is there.

        Raises:
            ImportError: zarr is not installed.
            StorageError: it is there already, or cannot be written.
            UnsupportedError: values that it has no type for.
            UsageError: the dims cannot be inferred, or do not name the rows.
        """
        self.write(path, "zarr", dims, overwrite=overwrite, **options)

    def to_netcdf(
        self, path: str | Path, dims: Sequence[str] | None = None, *, overwrite: bool = False, **options: Any
    ) -> None:
        """Write the rows to a netCDF file; see :meth:`to_zarr`.

        Raises:
            ImportError: netCDF4 is not installed.
        """
        self.write(path, "netcdf", dims, overwrite=overwrite, **options)

    def write(
        self, path: str | Path, form: Form, dims: Sequence[str] | None = None, *, overwrite: bool = False,
        **options: Any,
    ) -> dict[str, int]:  # fmt: skip
        """Write the rows as a dataset in one of the forms; see :meth:`to_zarr`.

        Returns:
            The sizes of the dimensions.
        """
        library(form)
        place = place_of(path)
        with beside(place, overwrite=overwrite) as part:
            dataset = self.to_dataset(dims, chunks=None, sparing=True, **options)
            chunks = self.frame.chunk_sizes() if self.frame is not None else {}
            with self._explained():
                interruptible(lambda: write(dataset, part, form, place.name, chunks), self.frame)
        return {str(dim): size for dim, size in dataset.sizes.items()}

    def to_parquet(self, path: str | Path) -> None:
        """Write all rows to one Parquet file, a batch at a time."""
        import pyarrow.parquet

        self._write(lambda schema: pyarrow.parquet.ParquetWriter(path, schema))

    def to_csv(self, path: str | Path) -> None:
        """Write all rows to a CSV file with a header, a batch at a time."""
        import pyarrow.csv

        self._write(lambda schema: pyarrow.csv.CSVWriter(path, schema))

    def _write(self, opened: Callable[[pa.Schema], Any]) -> None:
        with self._explained():
            known = self._is_fetched or self.frame is None or self._answered is not None
            rows = self._table.to_reader() if known else reader(self.frame)
            schema = pa.schema([f.with_name(name) for f, name in zip(rows.schema, self.headers, strict=True)])

            def write() -> None:
                with opened(schema) as writer:
                    for batch in rows:
                        writer.write_batch(batch.rename_columns(self.headers))

            interruptible(write, self.frame)

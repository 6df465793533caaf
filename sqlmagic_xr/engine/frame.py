"""The lazy rows of a query, and the way back to xarray: which dataset they come from, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pyarrow as pa
import xarray as xr
from datafusion import DataFrame, ExecutionPlan, LogicalPlan, SessionContext
from xarray_sql.ds import XarrayDataFrame

from ..errors import SqlError, UsageError, escape_controls, suggest
from ..properties import kept_property
from ..storage.fetch import coerced, fetch, fetch_brief, nullable, reader
from . import plans
from .calendars import counted, tell_numbers, with_times
from .guarding import ReentrantGuard, Stream
from .laid import Laid
from .markup import html, shown_rows
from .meaning import Meaning
from .ordered import in_order, limiting, skipping
from .projecting import derivation, derives
from .restoring import agree, arranged, beside, describe, sort_of, with_coordinates
from .streaming import kept_chunks
from .wayback import WayBack

if TYPE_CHECKING:
    import polars as pl

    from .answers import Answer

Means = Callable[[Mapping[str, xr.Dataset]], Mapping[str, Meaning]]
"""Gives what the columns of a query mean, by the datasets that it reads."""

Explain = Callable[[Exception], Exception]
"""Gives the error of ours for one of the engine's."""


class Frame(XarrayDataFrame):
    """xarray-sql's frame, whose way back looks at what the query reads and at the order that it asks for.

    Args:
        inner: DataFusion's frame.
        templates: the datasets that are registered.
        asked: the query whose rows these are, where they have been calculated by another way; its plan tells what it
            reads.
        fail: is called when the query fails while it runs, and aborts the transaction that it belongs to.
        sparing: whether what is streamed is read one chunk of a dataset after another, and never all at once.
        means: gives what the columns mean, as far as that is known.
        answer: gives the rows by another way than the engine, when they are asked for.
        explain: gives the error of ours for one that the engine raises while the query runs.
    """

    def __init__(
        self, inner: Any, templates: Mapping[str, xr.Dataset] | None = None, asked: XarrayDataFrame | None = None,
        fail: Callable[[], None] | None = None, sparing: bool = False, means: Means | None = None,
        answer: Answer | None = None, explain: Explain | None = None,
    ) -> None:  # fmt: skip
        super().__init__(inner, templates=dict(templates or {}))
        object.__setattr__(self, "_asked", asked)
        object.__setattr__(self, "_fail", fail)
        object.__setattr__(self, "_sparing", sparing)
        object.__setattr__(self, "_means", means)
        object.__setattr__(self, "_answer", answer)
        object.__setattr__(self, "_explain", explain)
        object.__setattr__(self, "_goes_on", False)

    def answered(self, answer: Answer) -> Frame:
        """The same, whose rows come by another way when they are asked for; what is derived of it is the engine's."""
        return Frame(
            self._inner, self._templates, self._asked, self._fail, self._sparing, self._means, answer, self._explain
        )

    def explained(self, explain: Explain) -> Frame:
        """This frame, whose errors, and those of what is derived of it, ``explain`` gives."""
        object.__setattr__(self, "_explain", explain)
        return self

    @property
    def _running(self) -> Any:
        """What gives the rows now: DataFusion's frame of the query, or of rows that are there."""
        rows = None if self._answer is None else self._answer()
        if rows is None:
            return self._whole
        return _holder.read_batches(rows.to_batches() or [pa.RecordBatch.from_pylist([], schema=rows.schema)])

    @kept_property
    def _whole(self) -> DataFrame:
        """DataFusion's frame of the query, as it is run."""
        return cast(DataFrame, in_order(self._inner) if self._goes_on else self._inner)

    def __getattr__(self, name: str) -> Any:
        """What DataFusion's frame has of that name; a frame that comes of it is a frame of ours again."""
        found = getattr(self._inner, name)
        if name in _RUN and callable(found):
            return self._asking(name)
        if callable(found) and derives(name):
            found = derivation(self._inner, name)
        return self._deriving(found, self._means if name in _KEEP_COLUMNS else None) if callable(found) else found

    def transform(self, function: Callable[..., Frame], *args: Any) -> Frame:
        """What a function makes of this frame."""
        return function(self, *args)

    def __getitem__(self, key: str | list[str]) -> Frame:
        return self._derived(skipping(self._inner)[key], goes_on=True)

    def _asking(self, name: str) -> Callable[..., Any]:
        """A method that runs the query, over the rows that the answer gives."""

        def ask(*args: Any, **options: Any) -> Any:
            with self._failing():
                found = getattr(self._running, name)(*args, **options)
            return self._derived(found, self._means) if isinstance(found, DataFrame) else found

        return ask

    def __iter__(self) -> Iterator[Any]:
        with self._failing():
            running = self._running
        return self._guarded(running)

    @property
    def meanings(self) -> Mapping[str, Meaning]:
        """What its columns mean, as far as that is known."""
        return {} if self._means is None else self._means(self.templates)

    @property
    def units(self) -> dict[str, str]:
        """The units of its columns, as far as they are known."""
        return {name: str(known.attrs["units"]) for name, known in self.meanings.items() if known.attrs.get("units")}

    @property
    def templates(self) -> Mapping[str, xr.Dataset]:
        """The datasets that are registered, by their tables' names."""
        found: Mapping[str, xr.Dataset] = self._templates
        return found

    def chunk_sizes(self) -> dict[Any, int]:
        """The sizes of the chunks in which the dataset that the query reads is kept; {} where it reads several."""
        asked = self if self._asked is None else self._asked
        read = {name for name in plans.tables_read(plans.logical(asked)) if name in self.templates}
        return kept_chunks(self.templates[read.pop()]) if len(read) == 1 else {}

    def _derived(self, inner: Any, means: Means | None = None, *, goes_on: bool = False) -> Frame:
        new = Frame(inner, self._templates, fail=self._fail, sparing=self._sparing, means=means, explain=self._explain)
        object.__setattr__(new, "_goes_on", goes_on)
        return new

    def execute_stream(self) -> Any:
        """The rows as they come; see DataFusion."""
        with self._failing():
            if not self._sparing:
                return Stream(self._running.execute_stream(), self._failing())
            streams = self._whole.execute_stream_partitioned()
        return self._guarded(batch for stream in streams for batch in stream)

    def execute_stream_partitioned(self) -> list[Stream]:
        """The rows of each partition as they come; see DataFusion."""
        with self._failing():
            return [Stream(each, self._failing()) for each in self._running.execute_stream_partitioned()]

    def _deriving(self, method: Callable[..., Any], means: Means | None) -> Callable[..., Any]:
        @wraps(method)
        def derive(*args: Any, **options: Any) -> Any:
            with ReentrantGuard(self._fail, None):  # what is wrong with an argument is not the statement's
                found = method(*args, **options)
            return self._derived(found, means, goes_on=True) if isinstance(found, DataFrame) else found

        return derive

    def _guarded(self, items: Iterable[Any]) -> Iterator[Any]:
        with self._failing():
            yield from items

    def _failing(self) -> ReentrantGuard:
        return ReentrantGuard(self._fail, self._explain)

    def _planning(self) -> ReentrantGuard:
        """Nothing runs, so that a transaction goes on."""
        return ReentrantGuard(None, self._explain)

    def failing(self, explain: Explain) -> Explain:
        """``explain``, the explanation of an error of this frame's query, which its transaction hears of first."""
        if self._fail is None:
            return explain

        def explained(error: Exception) -> Exception:
            self._fail()
            return explain(error)

        return explained

    def __repr__(self) -> str:
        with self._failing():
            return escape_controls(repr(self._running), keep="\n")

    def _repr_html_(self) -> str:
        most = shown_rows()
        with self._failing():
            running = self._running
            rows = fetch(running if plans.is_explained(running) else running.limit(most + 1))
        return html(rows, most)

    def show(self, num: int = 20) -> None:
        """Print the first rows.

        Args:
            num: how many.
        """
        with self._failing():
            running = self._running
            rows = fetch(running if plans.is_explained(running) else limiting(running, "limit")(num))
        text = DataFrame.default_str_repr(rows.to_batches(), rows.schema, has_more=False, table_uuid="")
        print(escape_controls(text, keep="\n"))

    def schema(self) -> pa.Schema:
        """The names and types of the rows; nothing runs for it."""
        with self._planning():
            return coerced(self._inner)

    def execution_plan(self) -> ExecutionPlan:
        """How the rows come to be; see DataFusion."""
        with self._planning():
            return self._whole.execution_plan()

    def optimized_logical_plan(self) -> LogicalPlan:
        """What the query means; see DataFusion."""
        with self._planning():
            found: LogicalPlan = self._inner.optimized_logical_plan()
        return found

    def to_arrow_table(self) -> pa.Table:
        """All rows as an Arrow table."""
        with self._failing():
            rows = None if self._answer is None else self._answer()
            return fetch_brief(self._whole) if rows is None else rows

    def to_pandas(self) -> pd.DataFrame:
        """All rows as a pandas data frame."""
        return self.to_arrow_table().to_pandas()

    def to_pydict(self) -> dict[str, list[Any]]:
        """The values of each column."""
        found: dict[str, list[Any]] = self.to_arrow_table().to_pydict()
        return found

    def to_pylist(self) -> list[dict[str, Any]]:
        """A dictionary for each row."""
        found: list[dict[str, Any]] = self.to_arrow_table().to_pylist()
        return found

    def to_polars(self) -> pl.DataFrame:
        """All rows as a polars data frame.

        Raises:
            ImportError: polars is not installed.
        """
        import polars

        return polars.DataFrame(polars.from_arrow(self.to_arrow_table()))

    def __arrow_c_schema__(self) -> object:
        return nullable(self.schema()).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows as they come, for any library that reads Arrow.

        The first batch is there before they are handed out: until then what goes wrong is an error of ours, and of what
        goes wrong later Arrow makes one of its own, with our words.
        """
        with self._failing():
            rows = reader(self._running)
            first = list(islice(rows, 1))
        told = pa.RecordBatchReader.from_batches(rows.schema, chain(first, self._with_our_errors(rows)))
        return told.__arrow_c_stream__(requested_schema)

    def _with_our_errors(self, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows; without the engine's words behind ours, since Arrow would show them with all that called us."""
        try:
            yield from self._guarded(rows)
        except SqlError as error:
            raise error from None

    def to_dataset(
        self, dims: Sequence[str] | None = None, template: xr.Dataset | str | None = None, *,
        rows: pa.Table | None = None, laid: Laid | None = None, sparing: bool = False, **options: Any,
    ) -> xr.Dataset:  # fmt: skip
        """The rows as an ``xr.Dataset``, coordinates and attributes restored.

        A variable has the attributes of the variable that the query takes it from, under whatever name: all of them
        where it is one, or a mean or an extreme of one; the unit where it is a sum, a spread or a difference. Those of
        the dataset are its where the query reads one. A coordinate that is no dimension is one again.
        A dimension that the query sorts by keeps that order; any other has its dataset's, or else ascends: without an
        ORDER BY, rows come in whatever order they are ready in.

        Args:
            dims: the columns that are dimensions; by default those of the datasets that the query reads, as far as
                they are among the columns.
            template: the dataset whose attributes to take, and the calendars of its dimensions, or its table's name.
            rows, laid: the rows, where they are known already, also as arrays.
            sparing: whether a dataset that does not fit into memory is read one chunk after another.
            options: ``sparsity``, ``fill_value`` and ``chunks``, as for xarray-sql's ``to_dataset``.

        What no row tells is missing, and ``isnull()`` finds it: NaN in numbers (whole ones become floats), NaT in
        times, None or NaN in text, truth values and decimals (which become objects). A query that only selects and
        filters cells of a dataset is read lazily.

        Raises:
            ValueError: the dims cannot be inferred, or do not name the rows.
        """
        if unknown := sorted(options.keys() - set(_OPTIONS)):
            raise UsageError(
                f"a dataset is made without an option `{unknown[0]}`", hint=f"There are {', '.join(_OPTIONS)}."
            )
        asked = self if self._asked is None else self._asked
        plan = plans.logical(asked)
        all_known = self.templates
        if isinstance(template, str) and template not in all_known:
            raise UsageError(f"there is no dataset `{template}`", hint=suggest(template, all_known))
        read = {name: all_known[name] for name in plans.tables_read(plan) if name in all_known}
        # xarray-sql would take the only dataset that is registered, read or not, and none where there are two.
        templates = {name: counted(d) for name, d in (read if template is None else all_known).items()}
        if template is None and asked._means is not None:  # or it would look for labels that the query has made up
            templates = {name: d.drop_vars(beside(d)) for name, d in templates.items()}
        source = (
            Frame(self._inner, self._templates, fail=self._fail, sparing=True, explain=self._explain)
            if sparing
            else self
        )
        way = WayBack(XarrayDataFrame(source, templates=templates), dims, template, **options)
        if self._answer is not None and rows is None and laid is None:
            with self._failing():
                laid = self._answer.laid()
                rows = self._answer() if laid is None else None
        found = way.as_laid(laid) if laid is not None else None
        rows = laid.rows(self.schema().names) if laid is not None and found is None else rows
        if found is None and rows is None and self._asked is None:
            found = way.lazily(read)
        if found is None:
            with self._failing():
                rows = fetch(self._inner) if rows is None else rows
            found = way.at_once(rows)
        if template is None and asked._means is not None:
            known = asked._means(self.templates)
            describe(found, self.schema().names, known)
            found = with_coordinates(found, self.schema().names, known, read)
        elif template is None and len(read) > 1:
            agree(found, read.values())
        given = all_known[template] if isinstance(template, str) else template
        found = with_times(found, [*read.values(), *([] if given is None else [given])])
        tell_numbers(found, all_known.values())
        return arranged(found, read.values(), sort_of(plan))


_RUN = frozenset({
    "collect", "collect_partitioned", "collect_column", "count", "cache", "describe", "explain",
    "write_csv", "write_json", "write_parquet", "write_parquet_with_options", "write_table",
})  # fmt: skip
"""The methods of a frame that run its query and are not ours."""

_holder = SessionContext()
"""A session of no tables, whose frames hold rows that are there."""

_KEEP_COLUMNS = ("filter", "limit", "head", "tail", "sort", "distinct", "repartition", "repartition_by_hash", "cache")
"""The methods of a frame that give one of the same columns."""

_OPTIONS = ("sparsity", "fill_value", "chunks")

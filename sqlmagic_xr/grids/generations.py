"""The grids of a context's tables while a step runs: data read once, state taken from what the last step wrote."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..dense.grid import Grid
from ..dense.node import Refused
from ..dense.ports import Form, GridOutput
from ..dense.reading import ScanReading, reading_of
from ..dense.tables import ColumnExtreme, ScanRead, TableShape
from ..properties import kept_property
from ..relation.reads import columns_read
from ..sql.build import quoted
from ..sql.syntax import Tree, local_name
from ..storage.scratch import Version
from ..storage.transaction import View
from .arrow import Grids, array_type, described
from .datasets import DatasetGrid, ReadDatasets
from .lookup import extreme, has_nulls, rows_where

if TYPE_CHECKING:
    from ..engine.context import Context
    from ..engine.gridtable import GridTable

Name = tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Written:
    """What a statement has appended to a table.

    Attributes:
        before, after: the table without it and with it.
        turn: the step that did it.
        outputs: the rows, their columns named as in the table.
        newer: the columns that are one value for all of the rows, greater than any that the table had: none of its
            earlier rows has that value.
        whole: whether the table consists of nothing else.
    """

    turn: int
    before: Version
    after: Version
    outputs: tuple[GridOutput, ...]
    newer: frozenset[str]
    whole: bool = False


_NARROW = 6  # columns of reals: so few are taken before it is worked out which of them are used


class Generations(Grids):
    """The grids of a context's tables.

    Args:
        context: whose.
        inserted: the tables to which a step adds rows; their whole history is not read.
        queries: those of the step; of data tables, only the columns that they mention are read.
        budget: how many bytes of data tables may be read.
        datasets: those that another reader has read just now, or is to be handed.
    """

    def __init__(
        self, context: Context, inserted: Collection[str], queries: Collection[Tree], budget: int,
        datasets: ReadDatasets | None = None,
    ) -> None:  # fmt: skip
        super().__init__(self._rows_of, self._key_of)
        self._context, self._inserted = context, frozenset(inserted)
        self._queries, self._handed = queries, ReadDatasets() if datasets is None else datasets
        self._budget, self._turn = budget, 0
        self._data: dict[Name, pa.Table | None] = {}
        self._datasets: dict[Name, DatasetGrid | None] = {}
        self._fleeting: set[Name] = set()
        self._scratch: dict[Name, tuple[Version, pa.Table]] = {}
        self._written: dict[Name, list[_Written]] = {}
        self._readings: dict[tuple[ScanRead, Form], ScanReading | None] = {}

    @kept_property
    def _columns(self) -> Mapping[Name, frozenset[str]] | None:
        """The columns that the queries mention of each table; None where they may mention any."""
        return columns_read(map(self._context.tables.bound, self._queries))

    def table(self, name: Name) -> TableShape | None:
        """See :class:`..dense.lowering.lower.Tables`."""
        version = self._version(name)
        if version is None and (direct := self._direct(name)) is not None:
            return direct.described
        if version is None or name[-1] not in self._inserted:
            return super().table(name)
        chunks = [version.chunks[0].batch.slice(0, 100_000)] if version.chunks else []
        found = pa.Table.from_batches(chunks, schema=version.definition.schema)
        return described(found, version.definition.key, self.labels, grows=True)

    def view(self, name: Name) -> Tree | None:
        """See :class:`.arrow.Grids`."""
        entry = self._context.store.entries().get(name[-1]) if len(name) == 1 or len(local_name(name)) == 1 else None
        query: Tree | None = entry.query["Query"] if isinstance(entry, View) else None
        return query

    def extreme(self, name: Name, what: ColumnExtreme) -> int | None:
        """See :class:`.arrow.Grids`."""
        version = self._version(name)
        if version is None:
            return super().extreme(name, what)
        if what.complete and has_nulls(version, what.column):
            raise Refused(f"{what.column} holds NULL")
        return extreme(version, what.column, what.which)

    def state(self, name: Name) -> Any:
        """See :class:`.arrow.Grids`."""
        version = self._version(name)
        return self._rows_of(name) if version is None else version.chunks  # which a commit leaves as they are

    def rows(self, name: Name, fixed: Mapping[str, Any]) -> pa.Table:
        """See :class:`.arrow.Grids`."""
        version = self._version(name)
        if version is None or (not fixed and name[-1] not in self._inserted):
            return super().rows(name, fixed)
        if not fixed:
            raise Refused(f"it reads the whole history of {name[-1]}")
        schema = version.definition.schema
        return pa.Table.from_batches(rows_where(version, self.plain(schema, fixed)), schema=schema)

    def grid(self, read: ScanRead, fixed: Mapping[str, Any]) -> Grid:
        """See :class:`..dense.ports.Source`."""
        found = self._last(read, fixed)
        if found is None and not fixed and (direct := self._direct(read.table)) is not None:
            found = direct.grid(read)
        return found or super().grid(read, fixed)

    def settled(self, table: Name) -> bool:
        """See :class:`..dense.ports.Source`: data are read once."""
        return self._version(table) is None and table not in self._fleeting

    def begin(self) -> None:
        """Begin a step; tables of which it cannot be told whether they have changed are read anew."""
        self._turn += 1
        for name in self._fleeting:
            self._data.pop(name, None)

    def remember(
        self, name: str, before: Version, after: Version, outputs: Sequence[GridOutput], newer: frozenset[str]
    ) -> None:
        """Note what has been appended to a table, so that it need not be read back.

        Args:
            name: the table.
            before, after: the table without the rows, and with them.
            outputs: the rows.
            newer: see :func:`newer_columns`.
        """
        earlier = self._written.get((name,), [])
        chain = [w for w in earlier if w.turn == self._turn] if earlier and earlier[-1].after is before else []
        found = _Written(self._turn, before, after, tuple(outputs), newer)
        self._written[(name,)] = [*chain, found]

    def remember_last(self, name: str, after: Version, outputs: Sequence[GridOutput], newer: frozenset[str]) -> None:
        """The same for the last of several steps, whose rows were appended together.

        Args:
            name: the table.
            after: the table with all of them.
            outputs: the rows of the last step.
            newer: see :class:`_Written`.
        """
        self._written[(name,)] = [_Written(self._turn, after, after, tuple(outputs), newer)]

    def remember_whole(self, name: str, after: Version, outputs: Sequence[GridOutput]) -> None:
        """The same for rows of which the table consists; of some that are NULL, or no rows, nothing is remembered.

        Args:
            name: the table.
            after: the table with them.
            outputs: the rows.
        """
        self._written.pop((name,), None)
        full = [output for output in outputs if output.present is None and all(map(_all, output.valid))]
        if len(full) == len(outputs):
            plain = tuple(GridOutput(o.form, o.axes, o.cells, (None,) * len(o.cells)) for o in full)
            self._written[(name,)] = [_Written(self._turn, after, after, plain, frozenset(), whole=True)]

    def trimmed(self, name: str, before: Version, after: Version, column: str) -> None:
        """Note that a table has lost old rows: what was remembered of it holds where that was newer."""
        written = self._written.get((name,))
        if not written or written[-1].after.chunks is not before.chunks or after is before:
            return
        low = extreme(after, column, "min")
        outputs = [output for each in written for output in each.outputs]
        if low is None or not all(_exceeds(output, column, low - 1) for output in outputs):
            self._written.pop((name,))
            return
        written[-1].after = after

    def reading(self, read: ScanRead, form: Form) -> ScanReading | None:
        """See :class:`..dense.reading.State`."""
        version = self._version(read.table)
        return None if version is None else self._reading(read, form, version)

    def newest(self, table: Name, column: str) -> int | None:
        """See :class:`..dense.reading.State`."""
        version = self._version(table)
        return None if version is None or has_nulls(version, column) else extreme(version, column, "max")

    @property
    def steady(self) -> bool:
        """See :class:`..dense.reading.State`."""
        return not self._fleeting

    def _last(self, read: ScanRead, fixed: Mapping[str, Any]) -> Grid | None:
        """The grid of rows that were written just now, if they are all that a scan asks for."""
        written = self._written.get(read.table)
        if not written or not (fixed or written[0].whole):
            return None
        version = self._version(read.table)
        if version is None or written[-1].after.chunks is not version.chunks:
            return None
        found = None
        for output in written[0].outputs if len(written) == 1 else [o for w in written for o in w.outputs]:
            if self._is_elsewhere(output, fixed, version):  # however it lies
                continue
            reading = self._reading(read, output.form, version)
            if reading is None:
                return None
            if reading.fits(output, fixed):
                if found is not None:
                    return None
                found = reading, output
        if (
            found is None
            or not self._among(read, written)
            or not (
                written[0].whole or written[0].newer.intersection(fixed) or self._none_before(written[0].before, fixed)
            )
        ):
            return None
        return found[0].grid(found[1], fixed)

    def _is_elsewhere(self, output: GridOutput, fixed: Mapping[str, Any], version: Version) -> bool:
        """Whether a column that is one value in all that was written is another one in what a scan asks for."""
        form = output.form
        for place in form.constants:
            name = form.names[place]
            other = name in fixed and bool(output.cells[place] != fixed[name])  # which is cheap to tell, and seldom so
            if other and form.types[place] == array_type(version.definition.schema.field(name).type):
                return True
        return False

    def _among(self, read: ScanRead, written: Sequence[_Written]) -> bool:
        """Whether all that was written is in the parts of which a scan asks for one."""
        if read.among is None:
            return True
        values = self._values(read.among)
        return all(_is_among(output, read.among.column, values) for each in written for output in each.outputs)

    def _none_before(self, before: Version, fixed: Mapping[str, Any]) -> bool:
        return not rows_where(before, self.plain(before.definition.schema, fixed))

    def _reading(self, read: ScanRead, form: Form, version: Version) -> ScanReading | None:
        key = (read, form)
        if key not in self._readings:
            types = {field.name: array_type(field.type) for field in version.definition.schema}
            self._readings[key] = reading_of(form, read, types)
        return self._readings[key]

    def _version(self, name: Name) -> Version | None:
        entry = self._context.store.entries().get(name[-1]) if len(name) == 1 or len(local_name(name)) == 1 else None
        return entry if isinstance(entry, Version) else None

    def _rows_of(self, name: Name) -> pa.Table | None:
        version = self._version(name)
        if version is not None:
            known = self._scratch.get(name)
            if known is None or known[0].chunks is not version.chunks:
                known = self._scratch[name] = (version, version.to_arrow())
            return known[1]
        if name not in self._data:
            self._data[name] = self._read(name)
            if not self._context.tables.is_followed(name):
                self._fleeting.add(name)
        return self._data[name]

    def _key_of(self, name: Name) -> tuple[str, ...]:
        version = self._version(name)
        if version is not None:
            return tuple(version.definition.key)
        relation = self._context.relation(name)
        return () if relation is None else tuple(relation.key)

    def _direct(self, name: Name) -> DatasetGrid | None:
        """The arrays of a dataset, where they are a grid as they lie; None of anything else."""
        if name not in self._datasets:
            self._datasets[name] = self._dataset(name)
        return self._datasets[name]

    def _dataset(self, name: Name) -> DatasetGrid | None:
        tables = self._context.tables
        table = tables.grid(name)
        own = len(local_name(name)) == 1 and local_name(name)[0] in self._context.store.entries()
        if table is None or own or not tables.is_followed(name):
            return None
        wanted = self._wanted(name, table)
        if table.rows * len(wanted) * 8 * 3 > self._budget:  # as cells, and as what is calculated of them
            return None
        try:
            return self._handed.grid(name, table, wanted, self.labels)
        except Refused:
            return None

    def _wanted(self, name: Name, table: GridTable) -> list[str]:
        """The columns of a dataset that the step may need; of one variable in memory it is not worked out whether."""
        alone = len(table.columns) - len(table.key) <= 1 and self._context.tables.rows_in_memory(name) is not None
        if alone or self._columns is None:
            return list(table.columns)
        used = self._columns.get(local_name(name), frozenset())
        return [column for column in table.columns if column in used or column in table.key]

    def _read(self, name: Name) -> pa.Table | None:
        """The columns of a data table that the step may need; None where it has none that arrays hold."""
        relation = self._context.relation(name)
        if relation is None or relation.kind == "view":
            return None
        # Of a long table whose key nobody has declared, its leading columns are the key if any are.
        leading = takewhile(lambda c: relation.columns[c] in ("integer", "text", "time"), relation.columns)
        key = set(relation.key or leading)
        others = [kind for c, kind in relation.columns.items() if c not in key]
        if len(others) <= _NARROW and set(others) <= {"real"}:
            held = self._held(name, list(relation.columns))
            if held is not None:
                return held
        used = relation.columns if self._columns is None else self._columns.get(local_name(name), frozenset())
        wanted = [c for c in relation.columns if c in used or c in key]
        if not wanted:
            wanted = list(relation.columns)[:1]
        held = self._held(name, wanted)
        if held is not None:
            return held
        template = "SELECT {} FROM {}"
        names = [quoted(c) for c in wanted]
        source = ".".join(quoted(part) for part in name)
        # Numbers and codes are held as rows, as cells and as what is calculated of them; texts once.
        texts = [f"COALESCE(SUM(octet_length({quoted(c)})), 0)" for c in wanted if relation.columns[c] == "text"]
        sizes = " + ".join([f"COUNT(*) * {len(wanted) * 8 * 3}", *texts])
        if self._context.rows_of(template.format(f"{sizes} AS n", source))["n"][0].as_py() > self._budget:
            raise Refused(f"{'.'.join(name)} does not fit the memory that is set aside")
        found = self._context.rows_of(template.format(", ".join(names), source))
        return found if all(array_type(found.schema.field(k).type) for k in relation.key) else None

    def _held(self, name: Name, wanted: Sequence[str]) -> pa.Table | None:
        """Numbers and times of a variable that lies in memory as the engine reads it; None where it has others."""
        name = local_name(name)
        rows = self._context.variables.read.get(name[0]) if len(name) == 1 else None
        if rows is None or any(array_type(rows.schema.field(c).type) in (None, "label") for c in wanted):
            return None
        return rows.select(wanted) if rows.num_rows * len(wanted) * 8 * 3 <= self._budget else None


def newer_columns(before: Version, outputs: Sequence[GridOutput]) -> frozenset[str]:
    """The columns that have one value in the rows of each output, a greater one than any in the table.

    Asked before the rows are added, the bounds that the table then knows are carried on to the table with them.
    """
    first, others, found = outputs[0], outputs[1:], []
    for place in first.form.constants:
        value, name = first.cells[place], first.form.names[place]
        if not isinstance(value, np.integer):
            continue
        span = before.span(before.definition.names.index(name))
        high = None if span is None else span.high
        if isinstance(high, int) and value > high and not (others and not all(_exceeds(o, name, high) for o in others)):
            found.append(name)
    return frozenset(found)


def _all(valid: Any) -> bool:
    """Whether nothing is NULL."""
    return valid is None or bool(np.all(valid))


def _is_among(output: GridOutput, column: str, values: Collection[int]) -> bool:
    """Whether a column of what was written is one of some numbers, or codes of texts, as far as it is one value."""
    place = output.form.names.index(column)
    return place in output.form.constants and output.cells[place].item() in values


def _exceeds(output: GridOutput, name: str, value: int) -> bool:
    place = output.form.names.index(name)
    return place in output.form.constants and bool(output.cells[place] > value)

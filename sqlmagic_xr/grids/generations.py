"""The grids of a context's tables while a step runs: data read once, state taken from what the last step wrote."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..dense.grid import Cells, Grid
from ..dense.node import Refused
from ..dense.ports import Form, Output
from ..dense.tables import Extreme, Read, Table
from ..relation.reads import columns_read
from ..sql.build import quoted
from ..sql.syntax import Tree, local_name
from ..storage.scratch import Version
from ..storage.transaction import View
from .arrow import Grids, array_type, described
from .lookup import extreme, has_nulls, rows_where

if TYPE_CHECKING:
    from ..engine.context import Context

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
    """

    turn: int
    before: Version
    after: Version
    outputs: tuple[Output, ...]
    newer: frozenset[str]


class Generations(Grids):
    """The grids of a context's tables.

    Args:
        context: whose.
        inserted: the tables to which a step adds rows; their whole history is not read.
        queries: those of the step; of data tables, only the columns that they mention are read.
        budget: how many bytes of data tables may be read.
    """

    def __init__(self, context: Context, inserted: Collection[str], queries: Collection[Tree], budget: int) -> None:
        super().__init__(self._rows_of, self._key_of)
        self._context, self._inserted = context, frozenset(inserted)
        self._columns = columns_read(map(context.tables.bound, queries))
        self._budget, self._turn = budget, 0
        self._data: dict[Name, pa.Table | None] = {}
        self._fleeting: set[Name] = set()
        self._scratch: dict[Name, tuple[Version, pa.Table]] = {}
        self._written: dict[Name, list[_Written]] = {}
        self._readings: dict[tuple[Read, Form], _Reading | None] = {}

    def table(self, name: Name) -> Table | None:
        """See :class:`..dense.lowering.lower.Tables`."""
        version = self._version(name)
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

    def extreme(self, name: Name, what: Extreme) -> int | None:
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

    def grid(self, read: Read, fixed: Mapping[str, Any]) -> Grid:
        """See :class:`..dense.ports.Source`."""
        return self._last(read, fixed) or super().grid(read, fixed)

    def settled(self, table: Name) -> bool:
        """See :class:`..dense.ports.Source`: data are read once."""
        return self._version(table) is None and table not in self._fleeting

    def begin(self) -> None:
        """Begin a step; tables of which it cannot be told whether they have changed are read anew."""
        self._turn += 1
        for name in self._fleeting:
            self._data.pop(name, None)

    def remember(self, name: str, before: Version, after: Version, outputs: Sequence[Output]) -> None:
        """Note what has been appended to a table, so that it need not be read back."""
        earlier = self._written.get((name,), [])
        chain = [w for w in earlier if w.turn == self._turn] if earlier and earlier[-1].after is before else []
        found = _Written(self._turn, before, after, tuple(outputs), _newer(before, outputs))
        self._written[(name,)] = [*chain, found]

    def _last(self, read: Read, fixed: Mapping[str, Any]) -> Grid | None:
        """The grid of rows that were written just now, if they are all that a scan asks for."""
        written = self._written.get(read.table)
        if not written or not fixed:
            return None
        version = self._version(read.table)
        if version is None or written[-1].after.chunks is not version.chunks:
            return None
        found = None
        for output in written[0].outputs if len(written) == 1 else [o for w in written for o in w.outputs]:
            reading = self._reading(read, output.form, version)
            if reading is None:
                return None
            if reading.fits(output, fixed):
                if found is not None:
                    return None
                found = reading, output
        if found is None or not (written[0].newer.intersection(fixed) or self._none_before(written[0].before, fixed)):
            return None
        return found[0].grid(found[1], fixed)

    def _none_before(self, before: Version, fixed: Mapping[str, Any]) -> bool:
        return not rows_where(before, self.plain(before.definition.schema, fixed))

    def _reading(self, read: Read, form: Form, version: Version) -> _Reading | None:
        key = (read, form)
        if key not in self._readings:
            self._readings[key] = _reading(form, read, version.definition.schema)
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
            if not self._context.tables.can_be_told(name):
                self._fleeting.add(name)
        return self._data[name]

    def _key_of(self, name: Name) -> tuple[str, ...]:
        version = self._version(name)
        if version is not None:
            return tuple(version.definition.key)
        relation = self._context.relation(name)
        return () if relation is None else tuple(relation.key)

    def _read(self, name: Name) -> pa.Table | None:
        """The columns of a data table that the step may need; None where it has none that arrays hold."""
        relation = self._context.relation(name)
        if relation is None or relation.kind == "view":
            return None
        # Of a long table whose key nobody has declared, its leading columns are the key if any are.
        leading = takewhile(lambda c: relation.columns[c] in ("integer", "text", "time"), relation.columns)
        key = set(relation.key or leading)
        used = relation.columns if self._columns is None else self._columns.get(local_name(name), frozenset())
        wanted = [c for c in relation.columns if c in used or c in key]
        if not wanted:
            wanted = list(relation.columns)[:1]
        template = "SELECT {} FROM {}"
        names = [quoted(c) for c in wanted]
        source = ".".join(quoted(part) for part in name)
        # Numbers and codes are held as rows, as cells and as what is calculated of them; texts once.
        texts = [f"COALESCE(SUM(octet_length({quoted(c)})), 0)" for c in wanted if relation.columns[c] == "text"]
        sizes = " + ".join([f"COUNT(*) * {len(wanted) * 8 * 3}", *texts])
        if self._context.query(template.format(f"{sizes} AS n", source))["n"][0].as_py() > self._budget:
            raise Refused(f"{'.'.join(name)} does not fit the memory that is set aside")
        found = self._context.query(template.format(", ".join(names), source))
        return found if all(array_type(found.schema.field(k).type) for k in relation.key) else None


def _newer(before: Version, outputs: Sequence[Output]) -> frozenset[str]:
    """See :class:`_Written`."""
    names = before.definition.names
    found = set()
    for place in outputs[0].form.constants:
        name = outputs[0].form.names[place]
        span = before.span(names.index(name)) if isinstance(outputs[0].cells[place], np.integer) else None
        if span is not None and isinstance(span.high, int) and all(_exceeds(o, name, span.high) for o in outputs):
            found.add(name)
    return frozenset(found)


def _exceeds(output: Output, name: str, value: int) -> bool:
    place = output.form.names.index(name)
    return place in output.form.constants and bool(output.cells[place] > value)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a scan reads what was written.

    Attributes:
        fixed: the scan's fixed columns that are one value in what was written, and where they stand.
        picked: those that are an axis of it, and which one.
        order: for each axis of the scan the axis that it is in what was written.
        columns: for each column of the scan where it stands, and along which axes of the scan it varies.
        key: the scan's axes.
    """

    fixed: tuple[tuple[str, int], ...]
    picked: tuple[tuple[str, int], ...]
    order: tuple[int, ...]
    columns: tuple[tuple[str, int, tuple[int, ...]], ...]
    key: tuple[str, ...]

    def fits(self, output: Output, fixed: Mapping[str, Any]) -> bool:
        """Whether the scan asks for what was written, as far as columns of one value tell."""
        return all(output.cells[place] == fixed[name] for name, place in self.fixed)

    def grid(self, output: Output, fixed: Mapping[str, Any]) -> Grid | None:
        """What was written, as the scan reads it; None where no coordinate has the value of a fixed column."""
        if not self.picked and output.present is None:
            cells, valid = output.cells, output.valid
            values = {name: Cells(new, cells[place], valid[place]) for name, place, new in self.columns}
            return Grid(tuple([output.axes[place] for place in self.order]), self.key, values)
        chosen: dict[int, int] = {}
        for name, axis in self.picked:
            (places,) = np.nonzero(output.axes[axis] == fixed[name])
            if len(places) != 1:
                return None
            chosen[axis] = int(places[0])
        dims = output.form.dims
        values = {
            name: Cells(
                new, _cut(output.cells[place], dims[place], chosen), _cut(output.valid[place], dims[place], chosen)
            )
            for name, place, new in self.columns
        }
        present = output.present
        if present is not None:
            kept = sorted(self.order)
            present = _cut(present, range(len(output.axes)), chosen).transpose([kept.index(p) for p in self.order])
        return Grid(tuple([output.axes[place] for place in self.order]), self.key, values, present)


def _reading(form: Form, read: Read, schema: pa.Schema) -> _Reading | None:
    """How a scan reads rows of that form; None where their axes or types are not those of the table."""
    if any(array_type(schema.field(n).type) != kind for n, kind in zip(form.names, form.types, strict=True)):
        return None
    places = {name: place for place, name in enumerate(form.names)}
    if read.key is None or not places.keys() >= {*read.columns, *read.fixed}:
        return None
    fixed = tuple((name, places[name]) for name in read.fixed if places[name] in form.constants)
    picked = tuple((name, form.coordinates[name]) for name in read.fixed if name in form.coordinates)
    order = tuple(form.coordinates[name] for name in read.key if name in form.coordinates)
    gone = {axis for _, axis in picked}
    if len(fixed) + len(picked) != len(read.fixed) or len(order) != len(read.key):
        return None
    if sorted([*order, *gone]) != list(range(form.axes)):
        return None
    new = {old: place for place, old in enumerate(order)}
    columns = tuple((n, places[n], tuple(new[d] for d in form.dims[places[n]] if d in new)) for n in read.columns)
    return _Reading(fixed, picked, order, columns, read.key)


def _cut(array: Any, dims: Sequence[int], chosen: Mapping[int, int]) -> Any:
    """An array at the chosen coordinates of some axes."""
    if array is None or chosen.keys().isdisjoint(dims):
        return array
    return array[tuple(chosen.get(d, slice(None)) for d in dims)]

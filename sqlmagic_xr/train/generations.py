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
from ..dense.seam import Output
from ..dense.tables import Extreme, Read, Table
from ..engine.query import quoted
from ..engine.scratch import Version
from ..engine.transaction import View
from ..sql.syntax import Tree
from .gridded import Grids, array_type, described
from .lookup import extreme, has_nulls, rows_where
from .mentioned import mentioned

if TYPE_CHECKING:
    from ..engine.context import Context

Name = tuple[str, ...]


@dataclass(frozen=True)
class _Written:
    """What a statement has appended to a table.

    Attributes:
        before, after: the table without it and with it.
        turn: the step that did it.
        outputs: the rows, their columns named as in the table.
    """

    turn: int
    before: Version
    after: Version
    outputs: tuple[Output, ...]


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
        self._columns = mentioned(queries, self.view)
        self._budget, self._turn = budget, 0
        self._data: dict[Name, pa.Table | None] = {}
        self._scratch: dict[Name, tuple[Version, pa.Table]] = {}
        self._written: dict[Name, list[_Written]] = {}

    def table(self, name: Name) -> Table | None:
        """See :class:`..dense.lower.Tables`."""
        version = self._version(name)
        if version is None or name[-1] not in self._inserted:
            return super().table(name)
        chunks = [version.chunks[0].batch.slice(0, 100_000)] if version.chunks else []
        found = pa.Table.from_batches(chunks, schema=version.definition.schema)
        return described(found, version.definition.key, grows=True)

    def view(self, name: Name) -> Tree | None:
        """See :class:`.gridded.Grids`."""
        entry = self._context.store.entries().get(name[-1]) if name[:-1] in ((), ("public",)) else None
        query: Tree | None = entry.query["Query"] if isinstance(entry, View) else None
        return query

    def extreme(self, name: Name, what: Extreme) -> int | None:
        """See :class:`.gridded.Grids`."""
        version = self._version(name)
        if version is None:
            return super().extreme(name, what)
        if what.complete and has_nulls(version, what.column):
            raise Refused(f"{what.column} holds NULL")
        return extreme(version, what.column, what.which)

    def state(self, name: Name) -> Any:
        """See :class:`.gridded.Grids`."""
        version = self._version(name)
        return self._rows_of(name) if version is None else version.chunks  # which a commit leaves as they are

    def rows(self, name: Name, fixed: Mapping[str, Any]) -> pa.Table:
        """See :class:`.gridded.Grids`."""
        version = self._version(name)
        if version is None or (not fixed and name[-1] not in self._inserted):
            return super().rows(name, fixed)
        if not fixed:
            raise Refused(f"it reads the whole history of {name[-1]}")
        keys = [(column, value.item()) for column, value in fixed.items()]
        return pa.Table.from_batches(rows_where(version, keys), schema=version.definition.schema)

    def grid(self, read: Read, fixed: Mapping[str, Any]) -> Grid:
        """See :class:`..dense.program.Source`."""
        return self._last(read, fixed) or super().grid(read, fixed)

    def begin(self) -> None:
        """Begin a step."""
        self._turn += 1

    def remember(self, name: str, before: Version, after: Version, outputs: Sequence[Output]) -> None:
        """Note what has been appended to a table, so that it need not be read back."""
        earlier = self._written.get((name,), [])
        chain = [w for w in earlier if w.turn == self._turn] if earlier and earlier[-1].after is before else []
        self._written[(name,)] = [*chain, _Written(self._turn, before, after, tuple(outputs))]

    def _last(self, read: Read, fixed: Mapping[str, Any]) -> Grid | None:
        """The grid of rows that were written just now, if they are all that a scan asks for."""
        written = self._written.get(read.table)
        version = self._version(read.table)
        if not written or not fixed or version is None or written[-1].after.chunks is not version.chunks:
            return None
        found = []
        for output in (o for w in written for o in w.outputs):
            constants = output.constants
            if any(name not in constants and name not in output.coordinates for name in fixed):
                return None
            if all(constants.get(name, value) == value for name, value in fixed.items()):
                found.append(output)
        keys = [(column, value.item()) for column, value in fixed.items()]
        if len(found) != 1 or rows_where(written[0].before, keys):
            return None
        return _as_read(found[0], read, fixed, written[-1].after.definition.schema)

    def _version(self, name: Name) -> Version | None:
        entry = self._context.store.entries().get(name[-1]) if name[:-1] in ((), ("public",)) else None
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
        wanted = [c for c in relation.columns if self._columns is None or c in self._columns or c in key]
        if not wanted:
            wanted = list(relation.columns)[:1]
        template = "SELECT {} FROM {}"
        names = [quoted(c) for c in wanted]
        source = ".".join(quoted(part) for part in name)
        count = self._context.query(template.format("COUNT(*) AS n", source))["n"][0].as_py()
        if count * len(wanted) * 8 * 3 > self._budget:
            raise Refused(f"{'.'.join(name)} does not fit the memory that is set aside")
        found = self._context.query(template.format(", ".join(names), source))
        return found if all(array_type(found.schema.field(k).type) for k in relation.key) else None


def _as_read(output: Output, read: Read, fixed: Mapping[str, Any], schema: pa.Schema) -> Grid | None:
    """What was written, as a scan reads it; None where its axes or types differ from the table's."""
    if any(array_type(schema.field(name).type) != kind for name, kind, _ in output.columns):
        return None
    axes, coordinates = output.grid.axes, output.coordinates
    picked = {}
    for name in fixed.keys() & coordinates.keys():
        (places,) = np.nonzero(axes[coordinates[name]] == fixed[name])
        if len(places) != 1:
            return None
        picked[coordinates[name]] = int(places[0])
    order = [coordinates[name] for name in read.key or () if name in coordinates]
    columns = {name: cells for name, _, cells in output.columns}
    if len(order) != len(read.key or ()) or sorted([*order, *picked]) != list(range(len(axes))):
        return None
    if read.key is None or not columns.keys() >= set(read.columns):
        return None
    new = {old: place for place, old in enumerate(order)}

    def cut(array: Any, dims: Sequence[int]) -> Any:
        return array[tuple(picked.get(d, slice(None)) for d in dims)] if picked.keys() & set(dims) else array

    values = {}
    for name in read.columns:
        cells = columns[name]
        valid = None if cells.valid is None else cut(cells.valid, cells.dims)
        values[name] = Cells(tuple(new[d] for d in cells.dims if d in new), cut(cells.data, cells.dims), valid)
    present = output.grid.present
    if present is not None:
        kept = sorted(order)
        present = cut(present, range(len(axes))).transpose([kept.index(place) for place in order])
    return Grid(tuple(axes[place] for place in order), read.key, values, present)

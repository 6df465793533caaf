"""Arrow tables as grids and back: what stands between the array executor and the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..dense.grid import Grid, GridCells, Layout, MaskedColumn, grid, key_of, rows
from ..dense.labels import Labels
from ..dense.node import INSTANTS, WHOLE, Refused, Type
from ..dense.ports import Changed, GridOutput
from ..dense.tables import ColumnExtreme, Parts, ScanRead, TableShape
from ..sql.syntax import Tree

ARROW: Mapping[Type, pa.DataType] = {
    "int64": pa.int64(), "float64": pa.float64(), "boolean": pa.bool_(), "int32": pa.int32(),
    "float32": pa.float32(), "uint64": pa.uint64(), "label": pa.string(), "int8": pa.int8(), "int16": pa.int16(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "date": pa.date32(),
    "timestamp[s]": pa.timestamp("s"), "timestamp[ms]": pa.timestamp("ms"), "timestamp[us]": pa.timestamp("us"),
    "timestamp[ns]": pa.timestamp("ns"),
}  # fmt: skip
"""The type in which Arrow has what arrays hold."""
# A column of whole numbers of 64 unsigned bits is left to the engine; only ROW_NUMBER() gives one here.
_TYPES: Mapping[pa.DataType, Type] = {
    **{kind: name for name, kind in ARROW.items() if name != "uint64"},
    pa.large_string(): "label", pa.string_view(): "label",
}  # fmt: skip
"""The type in which Arrow has what arrays hold."""


def array_type(kind: pa.DataType) -> Type | None:
    """The type that arrays know an Arrow type by, or None."""
    return _TYPES.get(kind)


def parameter_types(values: Mapping[str, Any]) -> dict[str, Type]:
    """The types that parameters have as literals; those that arrays do not hold are left out."""
    found: dict[str, Type] = {}
    for name, value in values.items():
        if isinstance(value, (bool, np.bool_)):
            found[name] = "boolean"
        elif isinstance(value, (int, np.integer)) and -(2**63) <= int(value) < 2**63:
            found[name] = "int64"
        elif isinstance(value, (float, np.float64)):
            found[name] = "float64"
        elif isinstance(value, str):
            found[name] = "label"
    return found


class Grids:
    """The grids of Arrow tables: the :class:`..dense.ports.Source` and the ``Tables`` of a program.

    Args:
        fetch: gives the rows of a table as they are now, the same object as long as nothing has changed; None for none.
        key: gives the columns that name a row, or () where that is not known.

    Attributes:
        labels: the codes of their texts.
    """

    def __init__(
        self, fetch: Callable[[tuple[str, ...]], pa.Table | None], key: Callable[[tuple[str, ...]], Sequence[str]]
    ) -> None:
        self._fetch, self._key = fetch, key
        self.labels = Labels()
        self._grids: dict[ScanRead, tuple[Any, Mapping[str, Any], Grid]] = {}
        self._layouts: dict[ScanRead, Layout | None] = {}
        self._tables: dict[tuple[str, ...], tuple[Any, TableShape | None]] = {}

    def table(self, name: tuple[str, ...]) -> TableShape | None:
        """What a program is to know of a table."""
        found = self._fetch(name)
        known = self._tables.get(name)
        if known is None or known[0] is not found:
            known = (found, None if found is None else described(found, tuple(self._key(name)), self.labels))
            self._tables[name] = known
        return known[1]

    def view(self, name: tuple[str, ...]) -> Tree | None:
        """The inside of a view's query; None for what is no view."""
        return None

    def extreme(self, name: tuple[str, ...], what: ColumnExtreme) -> int | None:
        """The greatest or least number of a column of a table; None where there is none."""
        found = self._fetch(name)
        if found is None:
            raise Refused(f"{'.'.join(name)} is gone")
        if what.complete and found[what.column].null_count:
            raise Refused(f"{what.column} holds NULL")
        number: int | None = pc.min_max(found[what.column])[what.which].as_py()
        return number

    def state(self, name: tuple[str, ...]) -> Any:
        """An object that stands for the rows of a table: another one as soon as they change."""
        return self._fetch(name)

    def settled(self, table: tuple[str, ...]) -> bool:
        """See :class:`..dense.ports.Source`."""
        return False

    def rows(self, name: tuple[str, ...], fixed: Mapping[str, Any]) -> pa.Table:
        """The rows of a table in which some columns have these values."""
        found = self._fetch(name)
        if found is None:
            raise Refused(f"{'.'.join(name)} is gone")
        for column, value in self.plain(found.schema, fixed):
            cells = _readable(found[column])
            found = found.filter(pc.equal(cells, pa.scalar(value, cells.type)))
        return found

    def plain(self, schema: pa.Schema, fixed: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """The values of some columns as Python's own: a text, where arrays have its code."""
        texts = {name for name in fixed if array_type(schema.field(name).type) == "label"}
        return [(n, self.labels.texts(v).item() if n in texts else v.item()) for n, v in fixed.items()]

    def grid(self, read: ScanRead, fixed: Mapping[str, Any]) -> Grid:
        """See :class:`..dense.ports.Source`."""
        state, known = self.state(read.table), self._grids.get(read)
        if known is not None and known[0] is state and known[1] == fixed:
            return known[2]
        if read.among is not None:
            self._refuse_others(read, read.among, fixed)
        made = self._extreme(read, read.extreme) if read.extreme else self._made(read, self.rows(read.table, fixed))
        self._grids[read] = (state, dict(fixed), made)
        return made

    def _values(self, parts: Parts) -> frozenset[int]:
        """The values of parts as arrays have them."""
        return frozenset(self.labels.code(value) if isinstance(value, str) else value for value in parts.values)

    def _refuse_others(self, read: ScanRead, parts: Parts, fixed: Mapping[str, Any]) -> None:
        """Refuse rows in other parts than those that are known.

        Raises:
            Changed: there are some.
        """
        found = self.rows(read.table, {name: value for name, value in fixed.items() if name != parts.column})
        if not set(found[parts.column].unique().to_pylist()) <= set(parts.values):
            raise Changed(read.table, None, read)

    def _extreme(self, read: ScanRead, what: ColumnExtreme) -> Grid:
        number = self.extreme(read.table, what)
        if number is None:
            raise Refused(f"{'.'.join(read.table)} has no row")
        return Grid((), (), {what.column: GridCells((), np.asarray(np.int64(number)))})

    def _made(self, read: ScanRead, found: pa.Table) -> Grid:
        columns = columns_of(found, (*(read.key or ()), *read.columns), self.labels)
        if read.key is None and not columns:
            return Grid((np.arange(found.num_rows),), ("",), {})
        if read.key is None:
            return rows(columns, read.columns)
        if not read.key and found.num_rows != 1:
            raise Refused(f"{'.'.join(read.table)} has {found.num_rows} rows to read where one is expected")
        made, layout = grid(columns, read.key, read.columns, self._layouts.get(read))
        self._layouts[read] = layout
        return made


def described(found: pa.Table, key: tuple[str, ...], labels: Labels, *, grows: bool = False) -> TableShape | None:
    """What a program is to know of a table.

    Args:
        found: its rows; where it grows, those at the beginning.
        key: the columns that name a row, or () where that is to be found out.
        labels: the codes of its texts.
        grows: whether rows are added to it, so that one row is no sign of a relation of one row.
    """
    types = {field.name: array_type(field.type) for field in found.schema}
    nulls = frozenset(n for n, c in zip(found.column_names, found.columns, strict=True) if c.null_count)
    if any(types.get(column) is None for column in key):
        return None
    if not key and found.num_rows == 1 and not grows:
        return TableShape(types, (), nulls)
    if not key:
        candidates = [n for n, kind in types.items() if kind in _KEYS and n not in nulls]
        return TableShape(types, key_of(columns_of(found, candidates, labels), candidates) or None, nulls, grows=grows)
    return TableShape(types, key, nulls, grows=grows)


_KEYS = WHOLE | INSTANTS | {"label"}


def columns_of(table: pa.Table, names: Sequence[str], labels: Labels) -> dict[str, MaskedColumn]:
    """Columns of a table as arrays; texts as their codes."""
    return {name: _column(table[name], labels) for name in names}


def _column(column: pa.ChunkedArray, labels: Labels) -> MaskedColumn:
    kind = array_type(column.type)
    if kind == "label":
        return _coded(column, labels)
    if kind in INSTANTS:
        column = column.cast(pa.int32() if kind == "date" else pa.int64())
    valid = None
    if column.null_count:
        valid = column.is_valid().to_numpy()
        column = pc.fill_null(column, False if kind == "boolean" else pa.scalar(0, column.type))
    return MaskedColumn(column.to_numpy(), valid)


def _coded(column: pa.ChunkedArray, labels: Labels) -> MaskedColumn:
    """Texts as codes, each distinct one being looked up once."""
    valid = column.is_valid().to_numpy() if column.null_count else None
    encoded = pa.chunked_array(_readable(column).chunks, pa.large_string()).combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    # The dictionary's last entry stands for NULL, whose place is read as -1.
    codes = labels.codes([*encoded.dictionary.to_pylist(), ""])
    return MaskedColumn(codes[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)], valid)


def _readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in a type that Arrow's own functions know; of views of texts, few do."""
    return column.cast(pa.large_string()) if array_type(column.type) == "label" else column


def arrow(outputs: Sequence[GridOutput]) -> pa.Table:
    """The rows of a query."""
    return pa.concat_tables([_arrow(output) for output in outputs])


def _arrow(output: GridOutput) -> pa.Table:
    fields, arrays = [], []
    found = output.rows()
    for name, kind in zip(output.form.names, output.form.types, strict=True):
        data, valid = found[name]
        fields.append(pa.field(name, ARROW[kind]))
        values = data.tolist() if kind == "label" else data
        mask = None if valid is None else ~valid
        if kind in INSTANTS:
            number = pa.array(values, pa.int32() if kind == "date" else pa.int64(), mask=mask)
            arrays.append(number.view(ARROW[kind]))
        else:
            arrays.append(pa.array(values, ARROW[kind], mask=mask))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

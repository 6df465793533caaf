"""What tables there are and what is in them, for a person to read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from xarray_sql.df import default_table_name, group_vars_by_dims

from ..errors import UnknownNameError
from ..sql.syntax import described, local_name, name_of, span_of, to_sql
from ..statements.effect import counted
from ..storage.fetch import planned
from ..storage.scratch import Version
from ..storage.transaction import View
from ..storage.types import type_name
from .findings import KnownNames
from .messages import explain, table_hint
from .plans import chunks_to_read

if TYPE_CHECKING:
    from .context import Context
    from .frame import Frame


@dataclass(frozen=True)
class TableLine:
    """One line of the list of tables.

    Attributes:
        name: as SQL writes it.
        kind: "xarray", "scratch", "view", "file", "table", or the type of a notebook variable.
        rows: None for a view, whose rows nobody has counted.
        columns: how many.
        dims: of an xarray table: ``time: 2920, lat: 25``.
        chunks: of an xarray table: in how many parts it is read.
        bytes: of the data, in memory or on disk; None where nobody knows.
        kept_in: of a scratch table, where a file is open: that file, and how many rows are not in it yet.
    """

    name: str
    kind: str
    rows: int | None
    columns: int | None
    dims: str | None = None
    chunks: int | None = None
    bytes: int | None = None
    kept_in: str | None = None


def tables(context: Context) -> pa.Table:
    """Every table and view, and every notebook variable that SQL can read; nothing is read for it."""
    lines = list(_tables(context))
    texts = ("name", "kind", "dims", "kept_in")
    names = [f.name for f in fields(TableLine) if f.name != "kept_in" or any(line.kept_in for line in lines)]
    kinds = [pa.string() if name in texts else pa.int64() for name in names]
    return pa.table(
        {n: pa.array([getattr(line, n) for line in lines], kind) for n, kind in zip(names, kinds, strict=True)}
    )


def _tables(context: Context) -> Iterator[TableLine]:
    context.variables.refresh()
    known = context.tables.names()
    for name in known:
        yield from _guarded(name, partial(_alone, context, name))
    namespace = context.variables.namespace
    values: Mapping[str, Any] = namespace() if namespace is not None else {}
    for name in sorted(set(context.variables.names()) - set(known)):
        if not any(table.startswith(f"{name}.") for table in known):
            yield from _guarded(name, partial(_variable, name, values[name]))


def _guarded(name: str, lines: Callable[[], Iterable[TableLine]]) -> list[TableLine]:
    """The lines of a table; where it cannot be looked at, one that says why, since the others are no worse for it."""
    try:
        return list(lines())
    except Exception as error:
        return [TableLine(name, f"cannot be read: {explain(str(error), KnownNames()).what}", None, None)]


def _alone(context: Context, name: str) -> Iterator[TableLine]:
    yield _line(context, name)


def _line(context: Context, name: str) -> TableLine:
    parts = parts_of(context, name)
    relation = context.relation(parts)
    columns = len(relation.columns) if relation is not None else None
    dataset = context.tables.dataset(parts)
    entry = context.store.entries().get(name)
    variable = context.variables.kind_of(parts[0])
    if isinstance(entry, Version):
        size = sum(c.nbytes for c in entry.chunks)
        hidden = context.variables.hidden_by(name)
        kind = "scratch" if hidden is None else f"scratch, hides the {hidden} variable"
        return TableLine(name, kind, entry.rows, columns, bytes=size, kept_in=_kept_in(context, name, entry))
    if dataset is not None:
        chunks = chunks_to_read(context.table(".".join(f'"{part}"' for part in parts)))
        kind = "xarray" if variable is None else f"{variable} variable"
        return TableLine(name, kind, _cells(dataset), columns, _dims(dataset), chunks, dataset.nbytes)
    if isinstance(entry, View):
        why = "" if relation is not None else f" that cannot be read: {context.tables.why_broken(name)}"
        return TableLine(name, f"view{why}", None, columns)
    kind = relation.kind if relation is not None else "table"
    kind = "file" if parts[0] in context.files else kind
    return TableLine(name, kind if variable is None else f"{variable} variable", _count(context, parts), columns)


def _count(context: Context, parts: tuple[str, ...]) -> int | None:
    """How many rows a table has; None for a file, which would be read for it."""
    return None if parts[0] in context.files else context.table(".".join(f'"{part}"' for part in parts)).count()


def _kept_in(context: Context, name: str, version: Version) -> str | None:
    keeper = context.store.durable.keeper
    if version.definition.grown is not None:
        return version.definition.grown.store.path.name
    if keeper is None:
        return None
    missing = keeper.pending(name, version)
    return keeper.path.name + (f" but for {counted(missing, '').strip()}" if missing else "")


def _variable(name: str, value: Any) -> Iterator[TableLine]:
    """A variable that no query has named yet; of a dataset, a line for each of its tables."""
    kind = f"{type(value).__name__} variable"
    if not hasattr(value, "sizes") or not hasattr(value, "nbytes"):
        shape = getattr(value, "shape", (None, None))
        yield TableLine(name, kind, shape[0], shape[1] if len(shape) > 1 else None)
        return
    groups = group_vars_by_dims(value) if hasattr(value, "data_vars") else {value.dims: []}
    for dims, names in groups.items():
        table = name if len(groups) == 1 else f"{name}.{default_table_name(dims)}"
        part = value[names] if names else value
        beside = [c for c in part.coords if c not in dims]
        columns = len(dims) + len(beside) + max(1, len(names))
        yield TableLine(table, kind, _cells(part), columns, _dims(part), None, part.nbytes)


def _cells(dataset: Any) -> int:
    return math.prod(dataset.sizes.values())


def _dims(dataset: Any) -> str:
    return ", ".join(f"{name}: {size}" for name, size in dataset.sizes.items())


def columns(context: Context, name: tuple[str, ...]) -> Mapping[str, str] | None:
    """The columns of a table with their SQL types, for completion; None where there is no such table.

    A notebook variable that no query has named yet is asked for its columns, and not registered for it.
    """
    name = local_name(name)
    relation = context.relation(name)
    if relation is None:
        namespace = context.variables.namespace
        value = namespace().get(name[0]) if namespace is not None and len(name) == 1 else None
        return _columns_of(value) or None
    if relation.kind == "scratch":
        return {c.name: c.sql_type for c in context.scratch(name[0]).definition.columns}
    with context.store.reading():
        fields = context.table(".".join(f'"{part}"' for part in name)).schema()
    return {field.name: type_name(field.type) for field in fields}


def _columns_of(value: Any) -> dict[str, str]:
    if hasattr(value, "data_vars"):
        return {str(name): _dtype_name(value[name].dtype) for name in (*value.sizes, *value.data_vars, *value.coords)}
    found = getattr(value, "columns", getattr(value, "column_names", ()))
    return {} if callable(found) else {str(name): "" for name in found}


def _dtype_name(dtype: Any) -> str:
    """SQL's name for a NumPy type, "" where Arrow has none (dates of other calendars)."""
    try:
        return type_name(pa.from_numpy_dtype(dtype))
    except pa.ArrowNotImplementedError:
        return ""


@dataclass(frozen=True)
class Schema:
    """The columns of one table, and what else is to be said of it.

    Attributes:
        columns: one row a column: column_name, data_type, nullable, key, and units and long_name where xarray has them;
            of a dataset of several tables, table_name too.
        notes: lines of text.
    """

    columns: pa.Table
    notes: tuple[str, ...]


def schema(context: Context, name: str | tuple[str, ...]) -> Schema:
    """What is in a table.

    Args:
        context: where it is.
        name: as SQL writes it, or its parts.

    Raises:
        UnknownNameError: there is none of that name.
    """
    parts = name if isinstance(name, tuple) else parts_of(context, name)
    name = ".".join(parts)
    asked = [{"Identifier": {"value": part, "quote_style": None}} for part in parts]
    context.variables.follow(context.reads({"Table": {"name": asked, "args": None}}))
    folded = tuple(part.lower() for part in parts)
    if len(parts) == 1 and (known := context.several.get(parts[0]) or context.several.get(folded[0])):
        return _several(context, parts[0] if parts[0] in context.several else folded[0], known)
    parts = parts if context.relation(parts) is not None else folded
    if len(parts) == 1 and isinstance(context.store.entries().get(parts[0]), View) and context.relation(parts) is None:
        why = context.tables.why_broken(parts[0])
        raise UnknownNameError(f"the view {parts[0]} cannot be read: {why}", hint=f"DROP VIEW {parts[0]}; removes it.")
    if context.relation(parts) is None:
        raise UnknownNameError(f"there is no table {name}", hint=table_hint(name, context.tables.known((), ())))
    parts = local_name(parts)
    entry = context.store.entries().get(parts[0]) if len(parts) == 1 else None
    if isinstance(entry, Version):
        return _scratch(context, entry)
    fields = context.table(".".join(f'"{part}"' for part in parts)).schema()
    dataset = context.tables.dataset(parts)
    columns = _columns_in(fields, context.relation(parts).key)
    notes: tuple[str, ...] = ()
    if dataset is not None:
        for attribute in ("units", "long_name"):
            columns[attribute] = [_attribute(dataset, n, attribute) for n in fields.names]
        unread = context.tables.unread(parts)
        kind = _line(context, ".".join(parts)).kind
        notes = (f"{kind}, {_dims(dataset)}", *(f"{name}{_UNREAD}{why}" for name, why in unread.items()))
    return Schema(_texts(columns), notes)


def parts_of(context: Context, name: str) -> tuple[str, ...]:
    """The parts of a name as a person writes it: the name of a file has points of its own."""
    if name.strip('"') in context.store.schema.names:
        return (name.strip('"'),)
    head = next((known for known in context.several if name.startswith(f"{known}.")), None)
    if head is not None:
        return head, name[len(head) + 1 :]
    return tuple(part.strip('"') for part in name.split("."))


_UNREAD = " is not read: "


def _several(context: Context, name: str, tables: Sequence[str]) -> Schema:
    """The columns of a dataset of several tables, with the table of each."""
    found = {table: schema(context, (name, table)) for table in tables}
    columns = [
        of.columns.add_column(0, "table_name", pa.array([f"{name}.{table}"] * of.columns.num_rows, pa.string()))
        for table, of in found.items()
    ]
    read = {column for of in found.values() for column in of.columns["column_name"].to_pylist()}
    notes = [
        f"{name}.{table}: {note}"
        for table, of in found.items()
        for note in of.notes
        if note.partition(_UNREAD)[0] not in read  # another of the tables has it
    ]
    return Schema(pa.concat_tables(columns), tuple(notes))


def _texts(columns: Mapping[str, list[Any]]) -> pa.Table:
    """Columns of text, of which some may be empty throughout; ``nullable`` alone is none."""
    return pa.table({n: pa.array(v, pa.bool_() if n == "nullable" else pa.string()) for n, v in columns.items()})


def _attribute(dataset: Any, variable: str, name: str) -> str | None:
    return str(dataset[variable].attrs[name]) if variable in dataset and name in dataset[variable].attrs else None


def listed(context: Context, tree: Any) -> pa.Table | None:
    """The rows of a SHOW TABLES, SHOW COLUMNS or DESCRIBE, without the engine's internals.

    Returns:
        None for any other statement, and for one with a filter, which is the engine's.

    Raises:
        UnknownNameError: there is no such table.
    """
    kind, node = next(iter(tree.items())) if isinstance(tree, dict) else ("", {})
    if kind == "ShowTables" and not any(node.get("show_options", {}).values()):
        return tables(context).select(["name", "kind"])
    query = described(tree)
    if query is not None:
        return _texts(_columns_in(_planned(context.plan(to_sql(query), query))))
    parts = node.get("table_name") if kind == "ExplainTable" else None
    if kind == "ShowColumns":
        options = node["show_options"]
        parts = (options.get("show_in") or {}).get("parent_name") if not options.get("filter_position") else None
    if not parts:
        return None
    try:
        return schema(context, name_of(parts)).columns
    except UnknownNameError as error:
        error.span = span_of(parts)
        raise


def _planned(frame: Frame) -> pa.Schema:
    """The types of a query's rows, also where a constant in it cannot be calculated: nobody has asked for its value."""
    try:
        return frame.schema()
    except Exception:
        return planned(frame)


def _columns_in(fields: pa.Schema, key: Sequence[str] = ()) -> dict[str, list[Any]]:
    return {
        "column_name": fields.names,
        "data_type": [type_name(f.type) for f in fields],
        "nullable": [f.nullable for f in fields],
        "key": ["dim" if n in key else None for n in fields.names],
    }


def _scratch(context: Context, version: Version) -> Schema:
    definition = version.definition
    columns: dict[str, list[Any]] = {
        "column_name": [c.name for c in definition.columns],
        "data_type": [c.sql_type for c in definition.columns],
        "nullable": [c.nullable for c in definition.columns],
        "key": ["PRIMARY KEY" if c.name in definition.key else None for c in definition.columns],
    }
    history = context.scratch(version.name).history()
    kept = version.lineage.past(version.number)
    oldest = f", versions from {min(kept)} on can be restored" if kept else ""
    last = f"; the last commit: {history[-1].statement}" if history else ""
    return Schema(
        _texts(columns),
        (f"scratch table, {counted(version.rows, '').strip()}, version {version.number}{oldest}{last}",),
    )

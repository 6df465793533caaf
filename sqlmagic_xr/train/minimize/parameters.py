"""The tables behind OVER: what is optimized, in which generation, and whether the loss belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import TypeMismatchError, UnknownNameError, suggest
from ...grids.lookup import rows_where
from ...storage.definition import Definition
from ...storage.scratch import Version
from ...storage.transaction import LOST
from .loss import Loss
from .statement import Excerpt, Minimize, Target
from .text import quoted

if TYPE_CHECKING:
    from ...engine.context import Context


@dataclass(frozen=True)
class ParameterTable:
    """A table of parameters.

    Attributes:
        name: its name in the store.
        step: the column that counts the generations.
        keys: the other columns of its key.
        columns: what is optimized.
        definition: its definition.
        newest: the generation that the run begins with.
        rows: how many rows it has.
    """

    name: str
    step: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    definition: Definition
    newest: int
    rows: int

    @property
    def sql(self) -> str:
        """Its name as SQL writes it."""
        return quoted(self.name)

    def column(self, name: str) -> str:
        """One of its columns, with the table's name in front."""
        return f"{self.sql}.{quoted(name)}"


def parameters_of(context: Context, minimize: Minimize, *, restart: bool) -> tuple[ParameterTable, ...]:
    """The tables behind OVER, in their order, each with its columns."""
    wanted: dict[str, list[tuple[str, Target]]] = {}
    for target in minimize.over:
        table, names = _columns_of(context, minimize, target)
        wanted.setdefault(table, []).extend((name, target) for name in names)
    return tuple(_table(context, minimize, name, found, restart=restart) for name, found in wanted.items())


def _columns_of(context: Context, minimize: Minimize, target: Target) -> tuple[str, list[str]]:
    entries = context.store.entries()
    parts = target.parts[1:] if len(target.parts) > 1 and target.parts[0] == "public" else target.parts
    if len(parts) > 2 or not isinstance(entries.get(parts[0]), Version):
        tables = [name for name, entry in entries.items() if isinstance(entry, Version)]
        error = UnknownNameError(f"`{parts[0]}` is no scratch table", hint=suggest(parts[0], tables) or LOST)
        raise minimize.statement.place(error, target.piece.span)
    definition = context.store.table(parts[0]).definition
    if len(parts) == 2:
        if parts[1] not in definition.names:
            error = UnknownNameError(
                f"`{parts[0]}` has no column `{parts[1]}`", hint=suggest(parts[1], definition.names)
            )
            raise minimize.statement.place(error, target.piece.span)
        return parts[0], [parts[1]]
    found = [c.name for c in definition.columns if pa.types.is_floating(c.type) and c.name not in definition.key]
    if not found:
        raise minimize.refused(
            f"`{parts[0]}` has no column of floating-point numbers outside its key", "Make one: a DOUBLE.", target.piece
        )
    return parts[0], found


def _table(
    context: Context, minimize: Minimize, name: str, wanted: Sequence[tuple[str, Target]], *, restart: bool
) -> ParameterTable:  # fmt: skip
    version = context.store.table(name)
    definition = version.definition
    step = "step" if "step" in definition.key or not definition.key else definition.key[0]
    piece = wanted[0][1].piece
    kinds = {c.name: c.type for c in definition.columns}
    if step not in kinds or not pa.types.is_integer(kinds[step]):
        raise minimize.refused(f"`{name}` has no column that counts the generations",
                               "Give it one: `step BIGINT`, in its PRIMARY KEY.", piece)  # fmt: skip
    bounds = version.span(definition.names.index(step)) if version.rows else None
    if bounds is None:
        raise minimize.refused(f"`{name}` is empty: there is no generation to step from",
                               f"Insert the first one: INSERT INTO {name} VALUES (0, ...)", piece)  # fmt: skip
    for column, target in wanted:
        if not pa.types.is_floating(kinds[column]) or column in definition.key:
            what = "part of the key" if column in definition.key else str(kinds[column])
            error = TypeMismatchError(
                f"`{name}.{column}` is {what}, and cannot be optimized",
                hint="What is optimized is a DOUBLE outside of the key.",
            )
            raise minimize.statement.place(error, target.piece.span)
    keys = tuple(key for key in definition.key if key != step)
    newest = int(bounds.low if restart else bounds.high)
    columns = tuple(dict.fromkeys(c for c, _ in wanted))
    nulls, rows = _count(context, name, step, newest, columns)
    for column, count in nulls.items():
        if count:
            raise minimize.refused(
                f"`{name}.{column}` is NULL in {count} rows of generation {newest}",
                "A NULL has no derivative: give it a value first.", _piece_of(minimize, name, column),
            )  # fmt: skip
    return ParameterTable(name, step, keys, columns, definition, newest, rows)


def _count(
    context: Context, name: str, step: str, newest: int, columns: Sequence[str]
) -> tuple[dict[str, int], int]:  # fmt: skip
    """How many NULLs the columns of a generation have, and how many rows there are."""
    found = _generation(context, name, step, newest)
    return {column: found[column].null_count for column in columns}, found.num_rows


def _generation(context: Context, name: str, step: str, newest: int) -> pa.Table:
    """The rows of one generation of a table."""
    version = context.store.table(name)
    return pa.Table.from_batches(rows_where(version, [(step, newest)]), version.definition.schema)


def check_fit(context: Context, minimize: Minimize, loss: Loss, tables: Sequence[ParameterTable]) -> None:
    """Look whether the loss and the parameters belong together.

    Raises:
        SqlError: a parameter is NULL, is not read by the loss, or has no loss of its key; or the loss is not one of a
            generation.
    """
    for table in tables:
        for column in table.columns:
            if not loss.reads(table.name, column):
                raise minimize.refused(
                    f"the loss does not read `{table.name}.{column}`, so nothing pulls on it",
                    "Leave it out behind OVER, or let the loss depend on it.", _piece_of(minimize, table.name, column),
                )  # fmt: skip
        if not loss.reads(table.name, table.step):
            raise minimize.refused(
                f"the loss reads all generations of `{table.name}` together, and not the newest",
                f"Say which: WHERE {table.step} = :k.", minimize.loss,
            )  # fmt: skip
        missing = [key for key in loss.per if key not in table.keys]
        if missing:
            raise minimize.refused(
                f"`{missing[0]}` behind PER is no part of the key of `{table.name}`",
                f"Make it one: PRIMARY KEY ({', '.join((table.step, *loss.per))}).", minimize.per[0].piece,
            )  # fmt: skip
        _check_keys(context, minimize, loss, table)


def _check_keys(context: Context, minimize: Minimize, loss: Loss, table: ParameterTable) -> None:
    if not loss.per:
        return
    keys = list(loss.per)
    found = _generation(context, table.name, table.step, table.newest).select(keys)
    if _have_all(loss.rows.select(keys), found):
        return
    have, wanted = set(_tuples(loss.rows, keys)), dict.fromkeys(_tuples(found, keys))
    without = [key for key in wanted if key not in have]
    if without:
        shown = ", ".join(f"{key} = {value}" for key, value in zip(keys, without[0], strict=True))
        raise minimize.refused(
            f"{len(without)} of {len(wanted)} keys of `{table.name}` have no loss ({shown}, for example)",
            "Give them data, or delete their rows of the newest generation.", minimize.per[0].piece,
        )  # fmt: skip


def _have_all(rows: pa.Table, keys: pa.Table) -> bool:
    """Whether there is a row for each key, as far as a join tells: NULL is no key to it, and -0.0 is not 0.0."""
    if any(pa.types.is_floating(field.type) for field in keys.schema):
        return False
    try:
        missing = keys.join(rows.cast(keys.schema), keys.column_names, join_type="left anti", use_threads=False)
    except (ValueError, pa.ArrowNotImplementedError):  # types that are not compared
        return False
    return bool(missing.num_rows == 0)


def _tuples(rows: pa.Table, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[key].to_pylist() for key in keys), strict=True)


def _piece_of(minimize: Minimize, table: str, column: str) -> Excerpt:
    named = [t for t in minimize.over if t.parts[-1] == column]
    return (named or [t for t in minimize.over if table in t.parts] or list(minimize.over))[0].piece

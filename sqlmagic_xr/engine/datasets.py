"""Datasets as tables of a context: under which names, in which schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr
from datafusion.catalog import Schema
from xarray_sql.df import resolve_table_names

from .calendars import numbered
from .counted_times import cftime_functions
from .gridtable import GridTable, grid_tables
from .streaming import chunked

if TYPE_CHECKING:
    from .context import Context


def register(
    context: Context, name: str, dataset: xr.Dataset, table_names: Any = None, chunks: Any = None, *, folds: bool = True
) -> list[str]:
    """Make the tables of a dataset: one, or a schema of several where its variables differ in their dims.

    Args:
        context: where.
        name: of the table or of the schema.
        dataset: what they read.
        table_names: dims -> name of the table in the schema.
        chunks: dimension -> size.
        folds: whether the engine folds the name of a table; that of a schema it takes as it is.

    Returns:
        The names under which the context files them.

    Raises:
        ValueError: nothing in it can be read, or two tables would have one name.
    """
    tables = grid_tables(dataset)
    context.several.pop(name, None)
    if len(tables) == 1:
        (table,) = tables.values()
        context.register_table(name if folds else f'"{name}"', _provider(context, table, chunks))
        made = {name: table}
    else:
        names = resolve_table_names(dataset, table_names)
        schema = Schema.memory_schema(context)
        context.catalog().register_schema(name, schema)
        for dims, table in tables.items():
            schema.register_table(names[dims], _provider(context, table, chunks))
        made = {f"{name}.{names[dims]}": table for dims, table in tables.items()}
        context.several[name] = tuple(names[dims] for dims in tables)
    context.grids |= made
    context._registered_datasets |= {key: table.dataset for key, table in made.items()}
    _register_cftime(context, made)
    return list(made)


def _provider(context: Context, table: GridTable, chunks: Any) -> Any:
    def count() -> None:
        context.chunks_read += 1

    return chunked(table, chunks, count)


def _register_cftime(context: Context, made: Mapping[str, GridTable]) -> None:
    before = len(context.calendars)
    context.calendars |= {c for table in made.values() for c in table.calendars if numbered(c)}
    if len(context.calendars) > before:
        for function in cftime_functions(frozenset(context.calendars)):
            context.register_udf(function)
        context.__dict__.pop("functions", None)  # which has some more now

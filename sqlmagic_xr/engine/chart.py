"""A picture of a result by the kinds of its columns: a line, a map or bars, by xarray's and pandas' own plotting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as pt

from ..errors import UsageError
from .calendars import counting, years

if TYPE_CHECKING:
    import pandas as pd

    from .result import Result

_LATITUDES = ("lat", "latitude", "y", "rlat", "nav_lat")
_BESIDE = 50  # letters, in all, of names that stand beside one another under bars
_LONGITUDES = ("lon", "longitude", "lng", "x", "rlon", "nav_lon")


def plot(result: Result, **options: Any) -> Any:
    """Draw a result.

    Columns of latitude and longitude (or y and x, or all four) make a map of the first number beside them, places of no
    grid points in its colours; a text or truth value first makes bars; else the first column is the horizontal axis, a
    text column tells the lines apart, and the numbers are lines.

    Args:
        result: with rows.
        options: for xarray's or pandas' ``plot``; ``ax`` is where to draw.

    Returns:
        What that gives: the axes, or the mesh of a map.

    Raises:
        UsageError: there is no number in it, or a line would have two values at one place.
    """
    table = result.to_arrow_table().rename_columns(result.headers)
    table, options = _with_years(table, result, options)
    numbers = [field.name for field in table.schema if _is_number(field.type)]
    if not numbers or not table.num_rows:
        raise UsageError("there is no number to draw", hint="Select a column of numbers, and rows.")
    lats, lons = ([n for n in numbers if n.lower() in names] for names in (_LATITUDES, _LONGITUDES))
    values = [name for name in numbers if name not in (*lats, *lons)]
    if lats and lons and values:
        grid = next(((lat, lon) for lat in lats for lon in lons if _is_grid(table, lat, lon)), None)
        if grid is not None:
            return _map(result, grid, [n for n in lats if n not in grid], [n for n in lons if n not in grid], values[0],
                        options)  # fmt: skip
        if _are_places(table, lats[-1], lons[-1]):
            shown = {"x": lons[-1], "y": lats[-1], "c": values[0], "colormap": "viridis", **options}
            return table.to_pandas().plot.scatter(**shown)
    drawn = [name for name in values if name != table.column_names[0]]
    return _drawn(table.to_pandas(), table.schema, numbers, _labelled(result, drawn or values, options))


def _with_years(table: pa.Table, result: Result, options: dict[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
    """The rows with years where they have times of another calendar as numbers, of which an axis tells nothing."""
    frame = result.frame
    for place, name in enumerate(table.column_names):
        known = None if frame is None else frame.meanings.get(result.columns[place])
        variable = known.variable if known is not None else ""
        calendar = counting(frame.templates.get(".".join(known.table)), variable) if frame and known else None
        if calendar is None or table[name].null_count:
            continue
        table = table.set_column(place, name, pa.array(years(table[name].to_numpy(), calendar)))
        options = {"xlabel": f"{name} [year, {calendar}]", **options} if place == 0 else options
    return table, options


def _map(
    result: Result, grid: tuple[str, str], lats: list[str], lons: list[str], value: str, options: dict[str, Any]
) -> Any:
    """A mesh over the rows and columns of a grid, where they are told over their latitudes and longitudes."""
    cells = result.to_dataset(list(grid))
    lat, lon = grid
    if lats and lons:
        lat, lon = lats[0], lons[0]
        cells = cells.set_coords([lat, lon])
    return cells[value].plot(**{"x": lon, "y": lat, **options})


def _labelled(result: Result, values: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """The options with the name and the unit of what is drawn, where that is one."""
    units = {} if result.frame is None else result.frame.units
    if len(values) != 1 or values[0] not in units:
        return options
    return {"ylabel": f"{values[0]} [{units[values[0]]}]", **options}


def _drawn(frame: pd.DataFrame, schema: pa.Schema, numbers: list[str], options: dict[str, Any]) -> Any:
    first, texts = schema[0], [field.name for field in schema if _is_label(field.type)]
    values = [name for name in numbers if name != first.name] or numbers
    if _is_label(first.type):
        beside = frame[first.name].astype(str).str.len().sum() <= _BESIDE
        return frame.plot.bar(x=first.name, y=values, **{"rot": 0 if beside else 90, **options})
    if first.name in values:  # one column of numbers, over its own order
        return frame[values].plot(**options)
    if texts:
        if frame.duplicated([first.name, texts[0]]).any():
            raise UsageError(
                f"several rows have the same {first.name} and {texts[0]}", hint="Aggregate: GROUP BY both of them."
            )
        wide = frame.pivot(index=first.name, columns=texts[0], values=values[0])
        return wide.plot(**{"ylabel": values[0], **options})
    return frame.sort_values(first.name).plot(x=first.name, y=values, **options)


def _is_grid(table: pa.Table, lat: str, lon: str) -> bool:
    """Whether the rows are cells of a grid, each there once: two places apart at least in each direction."""
    places = table.group_by([lat, lon]).aggregate([]).num_rows
    counts = [len(table[name].unique()) for name in (lat, lon)]
    return places == table.num_rows and min(counts) > 1 and places * 4 >= counts[0] * counts[1]


def _are_places(table: pa.Table, lat: str, lon: str) -> bool:
    """Whether the rows are places on a map, each there once: stations, or cells of a grid of no rows and columns."""
    named = lat.lower() != "y" and lon.lower() != "x"  # which are two numbers as any
    return named and 1 < table.num_rows == table.group_by([lat, lon]).aggregate([]).num_rows


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def _is_label(kind: pa.DataType) -> bool:
    return bool(
        pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind) or pt.is_boolean(kind)
        or pt.is_dictionary(kind)
    )  # fmt: skip

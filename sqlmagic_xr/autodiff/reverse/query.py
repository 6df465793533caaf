"""The query that gives the gradient of another, with ``grad`` in it."""

from __future__ import annotations

from ...errors import DerivativeError
from ...relation.bind import bind
from ...relation.catalog import Catalog
from ...relation.nodes import Opaque
from ...sql.build import quoted
from ...sql.expression import Column, parse
from ...sql.syntax import parse_one
from .rows import free


def gradient_of(query: str, column: str, tables: Catalog) -> str:
    """The rows of a table, by their key, with the derivative of a query's one number by a cell of each.

    Args:
        query: a query of one column.
        column: the table's column: ``t.x``.
        tables: what tables there are.

    Raises:
        DerivativeError: a column that is not of a table, or a query of several columns.
    """
    path = parse(column)
    table = tables.table(path.path[:-1]) if isinstance(path, Column) and len(path.path) > 1 else None
    if not isinstance(path, Column) or table is None or path.name not in table.columns:
        raise DerivativeError(f"{column} is no column of a table", hint="Name both: t.x")
    bound = bind(parse_one(query).tree["Query"], tables)
    if isinstance(bound, Opaque) or bound.names is None or len(bound.names) != 1:
        what = bound.why if isinstance(bound, Opaque) else f"it has {len(bound.names or ())} columns"
        raise DerivativeError(f"no derivative goes through this query: {what}", hint="Select one number.")
    name = ".".join(map(quoted, path.path[:-1]))
    loss = free("loss", {*path.path[:-1], *tables.names()})
    shown = [f"{name}.{quoted(k)}" for k in (table.key or table.columns)]
    return (f"WITH {loss}(l) AS ({query}) SELECT {', '.join(shown)}, grad({loss}.l, {name}.{quoted(path.name)}) "
            f"AS {quoted(f'd_{path.name}')} FROM {name} CROSS JOIN {loss}")  # fmt: skip

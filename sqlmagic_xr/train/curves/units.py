"""The units of a curve's columns, as far as the data says them and the query keeps them."""

from __future__ import annotations

from ...engine.catalog import Catalog
from ...relation.columns import Field
from ...relation.nodes import Aggregate, Limit, Relation, Scan, Select, Shared, Sort
from ...sql.expression import Call, Expression

_KEEP = {"avg", "mean", "min", "max", "median", "sum", "stddev", "stddev_pop", "first_value", "last_value", "abs"}
"""Functions whose value has the unit of what they are given."""


def units_of(query: Relation, tables: Catalog) -> dict[str, str]:
    """Column of the result -> unit, from the ``units`` attribute of the xarray variables that a query reads.

    Only what keeps its unit surely has one here: a variable alone, or its mean, extreme, sum or spread.

    Args:
        query: bound.
        tables: whose datasets are read.
    """
    names = (name for name in query.names or () if name is not None and query.has(name))
    found = {name: _unit(Field(query, name), tables) for name in names}
    return {name: unit for name, unit in found.items() if unit is not None}


def _unit(expression: Expression | None, tables: Catalog) -> str | None:
    """The unit of an expression: that of the variable which it is, or is a mean (or the like) of."""
    while expression is not None:
        if isinstance(expression, Field) and isinstance(expression.relation, Scan):
            return _written(expression.relation, expression.name, tables)
        if isinstance(expression, Field):
            expression = _below(expression)
        elif isinstance(expression, Call) and expression.name in _KEEP and len(expression.args) == 1:
            expression = expression.args[0]
        else:
            return None
    return None


def _written(scan: Scan, column: str, tables: Catalog) -> str | None:
    dataset = tables.dataset(scan.table.name)
    name = scan.column(column)
    variable = None if dataset is None else dataset.variables.get(name)
    unit = None if variable is None else variable.attrs.get("units")
    return str(unit) if unit else None


def _below(column: Field) -> Expression | None:
    """What a column of a query is inside the query; None where that is not one expression."""
    match column.relation:
        case Select(outputs=outputs):
            return next(output.expression for output in outputs if output.name == column.name)
        case Aggregate(keys=keys, measures=measures):
            own = {key.name: key.expression for key in keys} | {m.name: m.call for m in measures}
            return own[column.name]
        case Shared(query=query) as shared:
            name = (query.names or ())[shared.inner(column.name)]
            return Field(query, name) if name is not None and query.has(name) else None
        case Sort(source=source) | Limit(source=source):
            return Field(source, column.name)
    return None

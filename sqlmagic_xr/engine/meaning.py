"""What the columns of a query mean: the attributes of the variables that they are, as far as the query keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..relation.columns import Field
from ..relation.nodes import Aggregate, Limit, Relation, Scan, Select, Shared, Sort, Union, Window
from ..sql.expression import Call, Cast, Expression
from ..sql.syntax import Statement, Tree, local_name

if TYPE_CHECKING:
    from .context import Context

Name = tuple[str, ...]
Datasets = Callable[[Name], "xr.Dataset | None"]
"""Gives the dataset of an xarray table."""

_SAME = {
    "avg", "mean", "min", "max", "median", "first_value", "last_value", "nth_value", "any_value", "lag", "lead",
    "approx_median", "round", "floor", "ceil", "trunc",
}  # fmt: skip
"""Functions whose value is one of, or like, those that they are given: all attributes hold of it."""

_UNIT = {"sum", "stddev", "stddev_pop", "stddev_samp", "abs"}
"""Functions whose value has the unit of what they are given, and nothing else of it."""


@dataclass(frozen=True)
class Meaning:
    """What is known of a value.

    Attributes:
        attrs: the attributes that hold of it.
        table, variable: the table and its column which it is, unchanged; () and "" where it is computed.
    """

    attrs: Mapping[Any, Any] = field(default_factory=dict)
    table: Name = ()
    variable: str = ""

    @property
    def computed(self) -> Meaning:
        """The same of a value that is like it."""
        return replace(self, table=(), variable="")

    @property
    def unit(self) -> Meaning:
        """The same of a value that has no more than its unit."""
        return Meaning({name: value for name, value in self.attrs.items() if name == "units"})


def meanings(query: Relation, datasets: Datasets) -> dict[str, Meaning]:
    """Column of a query -> what it means; a column that means nothing known has no attributes.

    Args:
        query: bound.
        datasets: the tables' datasets.
    """
    names = (name for name in query.names or () if name is not None and query.has(name))
    return {name: _meaning(Field(query, name), datasets) for name in names}


def meanings_in(context: Context, tree: Tree | None, sql: str, tables: Mapping[str, xr.Dataset]) -> dict[str, Meaning]:
    """As :func:`meanings`, of a statement; nothing where it is no query, or cannot be bound.

    Args:
        context: whose tables it reads.
        tree: the statement, where it has been read.
        sql: its text.
        tables: the datasets by their tables' names.
    """
    query = tree if tree is not None else Statement(sql, sql).parsed[0]
    if not isinstance(query, dict) or "Query" not in query:
        return {}
    return meanings(context.tables.bound(query["Query"]), lambda name: tables.get(".".join(local_name(name))))


def agreed(found: Sequence[Meaning]) -> Meaning:
    """The attributes that hold of all."""
    first, *others = (meaning.attrs for meaning in found)
    return Meaning({k: v for k, v in first.items() if all(k in a and np.array_equal(v, a[k]) for a in others)})


def _meaning(expression: Expression | None, datasets: Datasets) -> Meaning:
    match expression:
        case Field(relation=Scan() as scan, name=name):
            return _variable(scan, name, datasets)
        case Field(relation=Union(parts=parts, operator="union") as union, name=name):
            place = (union.names or ()).index(name)
            return agreed([_column(part, place, datasets) for part in parts])
        case Field():
            return _meaning(_below(expression), datasets)
        case Cast(value=value):
            return _meaning(value, datasets).unit
        case Call(name="+" | "-", args=(left, right)):
            return agreed([_meaning(side, datasets).unit for side in (left, right)])
        case Call(name="+" | "-", args=(one,)):
            return _meaning(one, datasets).unit
        case Call(name=name, args=(first, *_)) if name in _SAME:
            return _meaning(first, datasets).computed
        case Call(name=name, args=(first,)) if name in _UNIT:
            return _meaning(first, datasets).unit
    return Meaning()


def _variable(scan: Scan, column: str, datasets: Datasets) -> Meaning:
    name = scan.column(column)
    dataset = datasets(scan.table.name)
    variable = None if dataset is None else dataset.variables.get(name)
    return Meaning({} if variable is None else dict(variable.attrs), scan.table.name, name)


def _column(relation: Relation, place: int, datasets: Datasets) -> Meaning:
    name = (relation.names or ())[place]
    return _meaning(Field(relation, name), datasets) if name is not None and relation.has(name) else Meaning()


def _below(column: Field) -> Expression | None:
    """What a column of a query is inside the query; None where that is not one expression."""
    match column.relation:
        case Select(outputs=outputs):
            return next(output.expression for output in outputs if output.name == column.name)
        case Aggregate(keys=keys, measures=measures):
            own = {key.name: key.expression for key in keys} | {m.name: m.call for m in measures}
            return own[column.name]
        case Window(measures=measures):
            return next(measure.call for measure in measures if measure.name == column.name)
        case Shared(query=query) as shared:
            name = (query.names or ())[shared.inner(column.name)]
            return Field(query, name) if name is not None and query.has(name) else None
        case Sort(source=source) | Limit(source=source):
            return Field(source, column.name)
    return None

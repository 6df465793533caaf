"""The newest generation: what ``MAX(step)`` of a whole table is, and ``ORDER BY step DESC LIMIT 1``.

Either would go through all rows; the table's owner knows the greatest number of a column at once.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from ...sql.expression import Call, Column, descend, from_tree
from ...sql.syntax import Tree, identifier, name_of, span_of
from ..node import Refused
from ..tables import Extreme, Name, Table
from .clauses import order_keys
from .grouping import is_aggregate
from .joins import Scope
from .relation import Named, Relation
from .scans import Scans

_EXTREMES: dict[str, Literal["max", "min"]] = {"max": "max", "min": "min"}


class Queries(Protocol):
    """What is asked of the lowering around."""

    @property
    def scans(self) -> Scans:
        """Makes the nodes that read tables."""

    def stored(self, name: Name) -> Table | Relation | None:
        """A table, or the relation that a view is."""


def extremes(queries: Queries, select: Tree, scope: Scope) -> Relation | None:
    """``SELECT MAX(step), MIN(step) FROM params`` as the numbers that they are; None for any other SELECT."""
    found = _whole_table(queries, select, scope)
    if found is None or found[1].key == ():
        return None
    name, table, qualifier = found
    asked: list[tuple[str, Extreme]] = []
    for item in select["projection"]:
        named = item.get("ExprWithAlias") if isinstance(item, dict) else None
        tree = named["expr"] if named else item.get("UnnamedExpr") if isinstance(item, dict) else None
        call = None if tree is None else from_tree(tree)
        if not (isinstance(call, Call) and call.name in _EXTREMES and len(call.args) == 1):
            return None
        column = _column(call.args[0], qualifier, table)
        if column is None or call.filter is not None or call.window is not None:
            return None
        asked.append((identifier(named["alias"]) if named else "", Extreme(column, _EXTREMES[call.name])))
    values = [(label, *queries.scans.extreme(name, what)) for label, what in asked]
    columns = tuple(Named((), label, value) for label, _, value in values)
    return Relation((), columns, scans=tuple(dict.fromkeys(scan for _, scan, _ in values)))


def first_row(queries: Queries, query: Tree, scope: Scope) -> Relation:
    """The row that ``FROM table ORDER BY column DESC LIMIT 1`` means, where the column is the table's key.

    Raises:
        Refused: it means another row, or several may be the first.
    """
    refusal = Refused(
        "LIMIT is not array code, except LIMIT 1 of one table ordered by its only key", span_of(query["limit_clause"])
    )
    keys, select = order_keys(query["order_by"]), query["body"].get("Select")
    if len(keys) != 1 or select is None or query["with"] or not _is_one(query["limit_clause"]):
        raise refusal
    found = _whole_table(queries, select, scope)
    labels = {identifier(i["ExprWithAlias"]["alias"]) for i in select["projection"] if "ExprWithAlias" in i}
    if found is None or _aggregates(select):
        raise refusal
    name, table, qualifier = found
    column = _column(keys[0], qualifier, table)
    if column is None or column in labels or table.key != (column,):
        raise refusal
    options = query["order_by"]["kind"]["Expressions"][0]["options"]
    scan, value = queries.scans.extreme(name, Extreme(column, "max" if options["asc"] is False else "min", True))
    row = queries.scans.scan(name, table, {column: value.cells})
    return Relation(row.axes, row.columns, row.present, scans=(scan, *row.scans)).renamed(qualifier)


def _whole_table(queries: Queries, select: Tree, scope: Scope) -> tuple[Name, Table, Name] | None:
    """The one table that a SELECT reads as a whole, and the name by which it calls it."""
    tables = select["from"]
    clauses = ("selection", "having", "distinct", "qualify")
    if len(tables) != 1 or tables[0]["joins"] or any(select[clause] for clause in clauses):
        return None
    if select["group_by"].get("Expressions") is None or select["group_by"]["Expressions"][0]:
        return None
    factor = tables[0]["relation"].get("Table")
    if factor is None or factor["args"] is not None or factor["sample"] or factor["version"]:
        return None
    name, alias = name_of(factor["name"]), factor["alias"]
    if (len(name) == 1 and name[0] in scope) or (alias is not None and alias["columns"]):
        return None
    table = queries.stored(name)
    return (name, table, name if alias is None else (identifier(alias["name"]),)) if isinstance(table, Table) else None


def _column(expression: Any, qualifier: Name, table: Table) -> str | None:
    """The column of whole numbers that an expression is."""
    if not isinstance(expression, Column) or table.columns.get(expression.name) != "int64":
        return None
    mine = expression.qualifier == qualifier[len(qualifier) - len(expression.qualifier) :]
    return expression.name if mine else None


def _aggregates(select: Tree) -> bool:
    for item in select["projection"]:
        tree = (item.get("ExprWithAlias") or {}).get("expr") or item.get("UnnamedExpr")
        if tree is not None and any(is_aggregate(e) or _is_window(e) for e in descend(from_tree(tree))):
            return True
    return False


def _is_window(expression: Any) -> bool:
    return isinstance(expression, Call) and expression.window is not None


def _is_one(limit: Tree) -> bool:
    """Whether a LIMIT is LIMIT 1, without OFFSET."""
    body = limit.get("LimitOffset")
    if body is None or body["offset"] or body["limit_by"]:
        return False
    value = body["limit"].get("Value", {}).get("value") if body["limit"] else None
    return isinstance(value, dict) and list(value.get("Number") or ())[:1] == ["1"]

"""The newest row: what ``MAX(step)`` of a whole table is, and ``ORDER BY step DESC LIMIT 1``.

Either would go through all rows; a table's owner knows the greatest number of a column at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..sql.expression import Expression, Literal
from .columns import Field
from .nodes import Aggregate, Limit, Relation, Scan, Select, Sort


@dataclass(frozen=True)
class Extreme:
    """The greatest or the least of a table's column.

    Attributes:
        scan: the reading of the table.
        column: the table's own name of it.
        greatest: whether it is the greatest.
    """

    scan: Scan
    column: str
    greatest: bool


def extremes(select: Select) -> tuple[Extreme, ...]:
    """What ``SELECT MAX(step), MIN(step) FROM params`` asks for, column by column; () for any other SELECT."""
    group = select.source
    if not isinstance(group, Aggregate) or group.grouped or select.condition is not None or select.distinct:
        return ()
    scan = group.source
    if group.condition is not None or not isinstance(scan, Scan):
        return ()
    known: dict[Expression, Extreme] = {}
    for measure in group.measures:
        call = measure.call
        column = _column(call.args[0], scan) if len(call.args) == 1 else None
        if call.name in ("max", "min") and column is not None and call.filter is None:
            known[Field(group, measure.name)] = Extreme(scan, column, call.name == "max")
    found = [known.get(output.expression) for output in select.outputs]
    return () if None in found else tuple(one for one in found if one is not None)


def first_row(limit: Limit) -> tuple[Select, Extreme] | None:
    """The SELECT of ``SELECT ... FROM table ORDER BY column DESC LIMIT 1``, and what the column is in its row.

    Returns:
        None for any other query.
    """
    ordered = limit.source
    one = limit.count == Literal(1) and limit.skip is None
    if not one or not isinstance(ordered, Sort) or len(ordered.keys) != 1:
        return None
    select, (key,) = ordered.source, ordered.keys
    if not isinstance(select, Select) or not isinstance(select.source, Scan):
        return None
    column = _column(_computed(select, key.expression), select.source)
    if column is None or select.condition is not None or select.distinct:
        return None
    return select, Extreme(select.source, column, key.descending)


def _computed(select: Select, key: Expression) -> Expression:
    """What is sorted by, said in the columns that a SELECT reads."""
    if isinstance(key, Field) and key.relation is select:
        return select.outputs[select.names.index(key.name)].expression
    return key


def _column(expression: Expression, relation: Relation) -> str | None:
    """The table's own name of the column that an expression is."""
    if not isinstance(expression, Field) or expression.relation is not relation or not isinstance(relation, Scan):
        return None
    return relation.column(expression.name)

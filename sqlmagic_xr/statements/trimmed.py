"""A DELETE of old generations: of the rows in which a column is below a number, and of no others."""

from __future__ import annotations

from dataclasses import dataclass

from ..sql import build
from ..sql.syntax import Tree, local_name, name_of

_SIDES = {
    "Lt": ("left", "right", 0), "LtEq": ("left", "right", 1), "Gt": ("right", "left", 0), "GtEq": ("right", "left", 1),
}  # fmt: skip
"""Of a comparison where the column stands, where the bound, and by how much the least that stays is more than it."""


@dataclass(frozen=True)
class Trimmed:
    """``DELETE FROM table WHERE column < bound``, and nothing else to it.

    Attributes:
        table: the table.
        column: of whole numbers, if it is to be one of ours.
        query: the least number that stays, as the one column of the inside of a query.
    """

    table: str
    column: str
    query: Tree


def trimmed(tree: Tree | None) -> Trimmed | None:
    """A statement as a DELETE of old generations; None for any other."""
    if not isinstance(tree, dict) or "Delete" not in tree:
        return None
    body = tree["Delete"]
    (tables,) = body["from"].values()
    said = [key for key in ("using", "returning", "tables", "order_by", "limit") if body.get(key)]
    if said or len(tables) != 1 or tables[0]["joins"] or "Table" not in tables[0]["relation"]:
        return None
    condition = body["selection"]
    while isinstance(condition, dict) and "Nested" in condition:
        condition = condition["Nested"]
    comparison = condition.get("BinaryOp") if isinstance(condition, dict) else None
    sides = _SIDES.get(comparison["op"]) if comparison and isinstance(comparison["op"], str) else None
    parts = local_name(name_of(tables[0]["relation"]["Table"]["name"]))
    if comparison is None or sides is None or len(parts) != 1:
        return None
    column, bound, more = comparison[sides[0]], comparison[sides[1]], sides[2]
    if "Identifier" not in column:
        return None
    least = build.added(bound, more) if more else bound
    return Trimmed(parts[0], name_of([column])[-1], build.select([build.item(least, "least")])["Query"])

"""What ORDER BY says: its keys, and the columns that they name by their places."""

from __future__ import annotations

from collections.abc import Sequence

from ..sql.expression import Expression
from ..sql.syntax import Tree
from .columns import SortKey
from .scope import Unsure


def sort_key(tree: Tree, expression: Expression) -> SortKey:
    """A key of ORDER BY."""
    if tree.get("with_fill"):
        raise Unsure("WITH FILL is not bound")
    options = tree["options"]
    return SortKey(expression, options["asc"] is False, options["nulls_first"], tree)


def order_keys(clause: Tree | None) -> Sequence[Tree]:
    """The keys of an ORDER BY, as trees; none where there is none."""
    if clause is None:
        return ()
    keys = clause["kind"].get("Expressions") if isinstance(clause["kind"], dict) else None
    if keys is None or clause["interpolate"]:
        raise Unsure("ORDER BY ALL is not bound")
    found: Sequence[Tree] = keys
    return found


def place_named(tree: Tree, count: int) -> int | None:
    """The column that a number in ORDER BY or GROUP BY names; None for anything else."""
    value = tree["Value"]["value"] if "Value" in tree else None
    if not isinstance(value, dict) or "Number" not in value or not value["Number"][0].isdigit():
        return None
    place = int(value["Number"][0]) - 1
    if not 0 <= place < count:
        raise Unsure(f"there is no column {place + 1}")
    return place

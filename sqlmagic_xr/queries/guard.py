"""The condition under which a recursion over one row goes on, apart from what it gives then.

``SELECT step + 1, ... FROM d CROSS JOIN r WHERE step < 2000 AND x > 0 GROUP BY ...``: of a working table of one row,
``step < 2000`` says the same of every row of the join. So it is asked once in each round, and not for each row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import SqlError
from ..relation.layers import Environment, Query, Scope, aggregates
from ..sql.build import item
from ..sql.clauses import conjunction, conjuncts
from ..sql.syntax import Tree, identifier, walk

if TYPE_CHECKING:
    from ..engine.context import Context

_NAMES = ("Identifier", "CompoundIdentifier")
_INNER = ("Subquery", "Exists", "InSubquery", "Query")
_CALLS = ("Function",)


@dataclass(frozen=True)
class Guard:
    """The condition of a term on its working table.

    Attributes:
        query: asks for it, as one value.
        rest: the term without it.
        conditions: the conditions that must all hold.
    """

    query: Tree
    rest: Tree
    conditions: tuple[Tree, ...]

    def compared(self, whole: Collection[str]) -> list[tuple[str, Compare, int]] | None:
        """The same as comparisons of columns with numbers; None where it says anything else.

        Args:
            whole: the columns of whole numbers.
        """
        found = []
        for condition in self.conditions:
            body = condition.get("BinaryOp") or {}
            sign, number = _COMPARED.get(str(body.get("op"))), _whole(body.get("right"))
            name = _name(body.get("left"))
            if sign is None or number is None or name not in whole:
                return None
            found.append((name, sign, number))
        return found


Compare = Callable[[Any, Any], Any]
_COMPARED: dict[str, Compare] = {"Lt": operator.lt, "LtEq": operator.le, "Gt": operator.gt, "GtEq": operator.ge}


def _whole(tree: Any) -> int | None:
    value = tree["Value"]["value"] if isinstance(tree, dict) and "Value" in tree else None
    text = str(value["Number"][0]) if isinstance(value, dict) and "Number" in value else ""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _name(tree: Any) -> str:
    if not isinstance(tree, dict):
        return ""
    parts = tree.get("CompoundIdentifier") or ([tree["Identifier"]] if "Identifier" in tree else [])
    return identifier(parts[-1]) if parts else ""


def apart(context: Context, term: Tree, working: str) -> Guard | None:
    """The condition of a term on its working table, apart from the rest of it.

    Args:
        context: knows the tables.
        term: the inside of a query.
        working: the name of its working table, which has one row.

    Returns:
        None where there is no such condition, or where it says more than whether there are rows.
    """
    select = term["body"].get("Select")
    if select is None or select["selection"] is None or not _is_empty_without_rows(select):
        return None
    query = Query(term, Environment(context.tables))
    scope = query.scope(select)
    readers = [one for one in scope.items if _reads(one, working)]
    if len(readers) != 1 or readers[0].nullable:
        return None
    terms = list(conjuncts(select["selection"]))
    ours = [each for each in terms if _is_of(each, scope, readers[0])]
    if not ours:
        return None
    rest = [each for each in terms if not any(each is other for other in ours)]
    given = {
        **select,
        "projection": [item(conjunction(ours), "go")],
        "selection": None,
        "from": _only(select, readers[0]),
    }
    guard = {**given, "group_by": {"Expressions": ([], [])}, "having": None, "qualify": None, "distinct": None}
    asked = {**term, "body": {"Select": guard}, "order_by": None, "limit_clause": None}
    return Guard(asked, {**term, "body": {"Select": {**select, "selection": conjunction(rest)}}}, tuple(ours))


def _is_empty_without_rows(select: Tree) -> bool:
    """Whether a SELECT gives no row where its FROM gives none: an aggregate without GROUP BY gives one."""
    groups = select["group_by"].get("Expressions")
    if groups is None or groups[1]:
        return False
    return bool(groups[0]) or not (aggregates(select["projection"]) or select["having"])


def _reads(one: Any, working: str) -> bool:
    if one.query is None or one.query.first is None:
        return False
    return any(i.relation is not None and i.relation.name == (working,) for i in one.query.first.items)


def _only(select: Tree, one: Any) -> list[Tree]:
    return [{"relation": one.tree, "joins": []}]


def _is_of(condition: Tree, scope: Scope, one: Any) -> bool:
    """Whether a condition mentions nothing but columns of one relation, and calls nothing."""
    names = 0
    for node in walk(condition):
        if any(key in node for key in (*_INNER, *_CALLS)):
            return False
        if any(key in node for key in _NAMES):
            parts = node.get("CompoundIdentifier") or [node["Identifier"]]
            try:
                found, _ = scope.resolve(tuple(identifier(part) for part in parts))
            except SqlError:
                return False
            if found is not one:
                return False
            names += 1
    return names > 0

"""The condition under which a recursion goes on, apart from what it gives then.

``SELECT step + 1, ... FROM d CROSS JOIN r WHERE step < 2000 AND x > 0 GROUP BY ...``: where ``step`` is the same in
all rows of the working table, ``step < 2000`` says the same of every row of the join. So it is asked once in each
round, and not for each row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SqlError
from ..relation.functions import function, names_of_functions
from ..relation.layers import Environment, Item, Query, Scope, aggregates
from ..sql.clauses import conjunction, conjuncts, element, selected, with_body, with_subquery
from ..sql.syntax import Tree, identifier, to_sql, walk

if TYPE_CHECKING:
    from ..engine.context import Context

_NAMES = ("Identifier", "CompoundIdentifier")
_INNER = ("Subquery", "Exists", "InSubquery", "Query")


@dataclass(frozen=True)
class Guard:
    """The condition of a term on its working table.

    Attributes:
        queries: ask for it, one for each query of a UNION ALL; each says the same of every row that it gives.
        rest: the term without it.
    """

    queries: tuple[Tree, ...]
    rest: Tree


def apart(context: Context, term: Tree, working: str, single: Collection[str]) -> Guard | None:
    """The condition of a term on its working table, apart from the rest of it.

    Args:
        context: knows the tables.
        term: the inside of a query.
        working: the name of its working table.
        single: the columns of the working table that are the same in all its rows.

    Returns:
        None where there is no such condition, or where it says more than whether there are rows.
    """
    found = _Conditions(working, single).of(Query(term, Environment(context.tables)), term["body"])
    if found is None:
        return None
    asked, rest = found
    queries = [with_body(term, body, alone=True) for body in asked]
    if len(queries) > 1:
        queries = list({to_sql({"Query": query}): query for query in queries}.values())
    return Guard(tuple(queries), with_body(term, rest))


@dataclass(frozen=True)
class _Conditions:
    """Takes conditions on one value of a working table out of the bodies of queries."""

    working: str
    single: Collection[str]

    def of(self, query: Query, body: Tree) -> tuple[list[Tree], Tree] | None:
        """The bodies that ask for the conditions, and the body without these; None where one of its parts has none."""
        ((kind, node),) = body.items()
        if kind == "Select":
            return self._of_select(query, node)
        if kind == "Query" and node["limit_clause"] is None:
            inner = self.of(query.nested(node), node["body"])
            if inner is None:
                return None
            asked = [{"Query": with_body(node, one, alone=True)} for one in inner[0]]
            return asked, {"Query": with_body(node, inner[1])}
        if kind == "SetOperation" and node["op"] == "Union" and node["set_quantifier"] == "All":
            left, right = (self.of(query, node[side]) for side in ("left", "right"))
            if left is None or right is None:
                return None
            return [*left[0], *right[0]], {kind: {**node, "left": left[1], "right": right[1]}}
        return None

    def _of_select(self, query: Query, select: Tree) -> tuple[list[Tree], Tree] | None:
        if not _is_empty_without_rows(select):
            return None
        scope = query.scope(select)
        return self._own(scope, select) or self._inner(scope, select)

    def _inner(self, scope: Scope, select: Tree) -> tuple[list[Tree], Tree] | None:
        """Those of a subquery in FROM, without whose rows there are none."""
        for one in scope.items:
            if "Derived" not in one.tree or one.query is None or one.nullable:
                continue
            inner = one.query.tree
            found = None if inner["limit_clause"] is not None else self.of(one.query, inner["body"])
            if found is not None:
                asked = [{"Query": with_body(inner, body, alone=True)} for body in found[0]]
                return asked, {"Select": {**select, "from": with_subquery(select["from"], one.tree, found[1])}}
        return None

    def _own(self, scope: Scope, select: Tree) -> tuple[list[Tree], Tree] | None:
        """Those of its WHERE."""
        if select["selection"] is None:
            return None
        readers = [one for one in scope.items if _reads(one, self.working) and not one.nullable]
        ours: list[Tree] = []
        read: list[Item] = []
        for condition in conjuncts(select["selection"]):
            found = _read_by(condition, scope, self.single)
            if found and all(any(one is reader for reader in readers) for one in found):
                ours.append(condition)
                read += [one for one in found if not any(one is other for other in read)]
        if not ours:
            return None
        rest = [each for each in conjuncts(select["selection"]) if not any(each is other for other in ours)]
        chosen = conjunction([each for each in rest if _chooses(each, scope, read)])
        asked = selected([(conjunction(ours), "go")], [element(one.tree) for one in read], chosen)
        return [asked["body"]], {"Select": {**select, "selection": conjunction(rest)}}


def _is_empty_without_rows(select: Tree) -> bool:
    """Whether a SELECT gives no row where its FROM gives none: an aggregate without GROUP BY gives one."""
    groups = select["group_by"].get("Expressions")
    if groups is None or groups[1]:
        return False
    return bool(groups[0]) or not (aggregates(select["projection"]) or select["having"])


def _reads(one: Item, working: str) -> bool:
    return one.relation is not None and one.relation.name == (working,)


def _chooses(condition: Tree, scope: Scope, read: Sequence[Item]) -> bool:
    """Whether a condition chooses rows of these relations by a key: rows that have one value lie in one grid then."""
    sides = condition.get("BinaryOp") or {}
    if str(sides.get("op")) != "Eq" or not any("Value" in sides[side] for side in ("left", "right")):
        return False
    found = _read_by(condition, scope, None)
    return bool(found) and all(any(one is other for other in read) for one in found)


def _read_by(condition: Tree, scope: Scope, single: Collection[str] | None) -> Sequence[Item]:
    """The relations whose columns a condition mentions; none where it mentions or calls anything else than it may."""
    if not all(map(_is_steady, names_of_functions(condition))):
        return ()
    found: list[Item] = []
    for node in walk(condition):
        if any(key in node for key in _INNER):
            return ()
        if any(key in node for key in _NAMES):
            parts = node.get("CompoundIdentifier") or [node["Identifier"]]
            try:
                one, name = scope.resolve(tuple(identifier(part) for part in parts))
            except SqlError:
                return ()
            if single is not None and one.inner(name) not in single:
                return ()
            found.append(one)
    return found


def _is_steady(name: str) -> bool:
    """Whether a function is known, and gives equal values for equal arguments."""
    known = function(name)
    return known is not None and known.kind == "scalar" and known.varies == "never"

"""A statement read once for all faults: its places, and at each what the names in it mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from ...properties import kept_property
from ...relation.layers import Environment, Query, Scope
from ...sql.expression import Reader
from ...sql.places import EXPRESSIONS, around, inside
from ...sql.selects import own_select
from ...sql.syntax import Tree, identifier
from .tables import GivenTables
from .types import TableTypes

SELECT, QUERY, CTE = "select", "query", "cte"


class Place(NamedTuple):
    """A node that rules may change.

    Attributes:
        kind: which: an expression by the parser's name, ``SELECT``, ``QUERY`` or ``CTE``.
        node: it.
        parent: the place around it, by its number; -1 where there is none.
        means: the scope that its names stand in, of a query its layer; None where that is not known, as behind LIMIT.
    """

    kind: str
    node: Tree
    parent: int
    means: Any


Rule = Callable[[dict[str, Any], Any], Tree | None]
"""A node, all in it done already, and its scope (of a query its layer) -> what stands in its place; None to keep it."""

Rules = Mapping[str, Rule]
"""What a rewrite does with each node of a kind."""


def plain(rule: Callable[[dict[str, Any]], Tree | None], *kinds: str) -> Rules:
    """The rules for nodes of some kinds that ask no names for their meaning."""
    return dict.fromkeys(kinds, lambda node, means: rule(node))


class Reading:
    """A statement as all faults read it.

    Args:
        tree: the statement, or a node of one query where ``layer`` is given.
        tables: what is known of the tables that it reads.
        reader: reads expressions; that of the statement that this one has been made of.
        layer: a query that stands in another.
        of_view: whether it is a view's, so that other queries read it.
    """

    def __init__(
        self, tree: Tree, tables: TableTypes | None = None, reader: Reader | None = None, layer: Query | None = None,
        of_view: bool = False,
    ) -> None:  # fmt: skip
        self.tree = tree
        self.of_view = of_view
        self.tables: TableTypes = GivenTables() if tables is None else tables
        self._reader = reader or Reader()
        self._layer = layer

    def changed(self, tree: Tree) -> Reading:
        """The reading of a statement that has been made of this one; of this one itself, this."""
        return self if tree is self.tree else Reading(tree, self.tables, self._reader, of_view=self.of_view)

    @kept_property
    def places(self) -> list[Place]:
        """The places, each one before those in it; those further right are first."""
        scope = Scope((), Environment(self.tables, reader=self._reader))
        walk = _Walk()
        if self._layer is not None:
            return walk.run(walk.query, self.tree, self._layer)
        return walk.run(walk.look, self.tree, scope)

    def of_kind(self, kind: str) -> list[Place]:
        """The places of a kind."""
        return [self.places[at] for at in self._kinds.get(kind, ())]

    def rewritten(self, rules: Rules, *, named: bool = True) -> Tree:
        """The tree with the rules applied, the inner places first; what is not changed is shared.

        Args:
            rules: what is done with which nodes.
            named: whether the rules ask what names mean, so that nothing is done where nobody can tell.
        """
        changes: dict[int, dict[int, Tree]] = {}
        places, todo = self.places, [-at for kind in rules for at in self._kinds.get(kind, ())]
        heapify(todo)
        while todo:
            at = -heappop(todo)
            kind, old, parent, means = places[at]
            node = around(old, self._inner(at) | changes.pop(at)) if at in changes else old
            rule = rules.get(kind)
            made = None if rule is None or (named and means is None) else rule(node, means)
            node = node if made is None else made
            if node is not old:
                if parent >= 0 and parent not in changes and places[parent].kind not in rules:
                    heappush(todo, -parent)
                changes.setdefault(parent, {})[id(old)] = node
        return around(self.tree, self._inner(-1) | changes[-1]) if changes else self.tree

    @kept_property
    def _kinds(self) -> dict[str, list[int]]:
        """The numbers of the places of each kind."""
        found: dict[str, list[int]] = {}
        for at, place in enumerate(self.places):
            found.setdefault(place.kind, []).append(at)
        return found

    def _inner(self, parent: int) -> dict[int, Tree]:
        """The nodes directly in a place, by their ids."""
        return {id(node): node for node in self._children.get(parent, ())}

    @kept_property
    def _children(self) -> dict[int, list[Tree]]:
        found: dict[int, list[Tree]] = {}
        for place in self.places:
            found.setdefault(place.parent, []).append(place.node)
        return found


_Step = Callable[[Any, Any, int, bool], None]


class _Walk:
    """Finds the places: what is to be looked at stands in a list, since a chain of terms is deep."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        # Who looks, at what, its scope or layer, the place around it, and whether names are known to mean that.
        self._todo: list[tuple[_Step, Any, Any, int, bool]] = []

    def run(self, step: _Step, node: Any, context: Scope | Query) -> list[Place]:
        """The places, beginning with one step."""
        todo = self._todo
        todo.append((step, node, context, -1, True))
        while todo:
            step, node, context, parent, sure = todo.pop()
            step(node, context, parent, sure)
        return self.places

    def _place(self, place: Place) -> int:
        self.places.append(place)
        return len(self.places) - 1

    def look(self, node: dict[str, Any], scope: Scope, parent: int, sure: bool) -> None:
        """Look at any node."""
        if len(node) == 1:
            kind = next(iter(node))
            if kind in EXPRESSIONS:
                parent = self._place(Place(kind, node, parent, scope if sure else None))
            elif kind == "Derived":
                self._derived(node, scope, parent)
                return
        elif "body" in node and "with" in node and "limit_clause" in node:
            self.query(node, Query(node, scope.environment, scope if scope.items else scope.outer), parent, True)
            return
        look = self.look
        self._todo += [(look, each, scope, parent, sure) for each in inside(node)]

    def _derived(self, node: dict[str, Any], scope: Scope, parent: int) -> None:
        """A subquery in a FROM, which sees its neighbours only if it is LATERAL."""
        body = node["Derived"]
        known = next((item.query for item in scope.items if item.tree is node), None)
        outer = scope if body["lateral"] else scope.outer
        self.query(body["subquery"], known or Query(body["subquery"], scope.environment, outer), parent, True)

    def query(self, node: dict[str, Any], layer: Query, parent: int, sure: bool) -> None:
        """Look at a query."""
        parent = self._place(Place(QUERY, node, parent, layer))
        for cte in (node["with"] or {}).get("cte_tables", ()):
            name = identifier(cte["alias"]["name"])
            self._todo.append((self._cte, cte, layer.environment.ctes[name], parent, sure))
        self._todo.append((self._body, node["body"], layer, parent, sure))
        order, select = node["order_by"], own_select(node)
        if order:
            scope = Scope((), layer.environment, layer.outer) if select is None else layer.scope(select)
            self._todo.append((self.look, order, scope, parent, select is not None))
        rest = [node[key] for key in ("limit_clause", "fetch") if isinstance(node[key], dict)]
        self._todo += [(self.look, part, Scope((), layer.environment), parent, False) for part in rest]

    def _cte(self, node: dict[str, Any], layer: Query, parent: int, sure: bool) -> None:
        self.query(node["query"], layer, self._place(Place(CTE, node, parent, None)), sure)

    def _body(self, body: Tree, layer: Query, parent: int, sure: bool) -> None:
        ((kind, node),) = body.items()
        if kind == "Select":
            scope = layer.scope(node)
            parent = self._place(Place(SELECT, node, parent, scope))
            self._todo += [(self.look, value, scope, parent, sure) for value in inside(node)]
        elif kind == "Query":
            self.query(node, layer.nested(node), parent, sure)
        elif kind == "SetOperation":
            self._todo += [(self._body, node[side], layer, parent, sure) for side in ("left", "right")]
        else:
            self.look(node, Scope((), layer.environment, layer.outer), parent, sure)

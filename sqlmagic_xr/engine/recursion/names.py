"""Which relations a piece of a query reads that it does not define itself, and in which order CTEs come to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...sql.syntax import Tree, identifier, name_of

_INNER = frozenset((dict, list, tuple))
_BARREN = frozenset(("span", "select_token", "Identifier", "CompoundIdentifier", "Value"))
"""What no relation stands in."""


def is_query(node: Any) -> bool:
    """Whether a node is the inside of a query."""
    return isinstance(node, dict) and "body" in node and "with" in node and "limit_clause" in node


def cte_name(cte: Tree) -> str:
    """The name of a common table expression."""
    return identifier(cte["alias"]["name"])


def names_read(tree: Tree) -> frozenset[str]:
    """The names without a schema of the relations that a tree reads, those of its own CTEs left out.

    >>> from ...sql.syntax import parse_one
    >>> query = "WITH a AS (SELECT * FROM t) SELECT * FROM a, u, s.v WHERE EXISTS (SELECT 1 FROM w)"
    >>> sorted(names_read(parse_one(query).tree))
    ['t', 'u', 'w']
    """
    found: set[str] = set()
    _collect(tree, frozenset(), found)
    return frozenset(found)


def _collect(tree: Tree, hidden: frozenset[str], found: set[str]) -> None:
    todo = [tree]
    while todo:
        node = todo.pop()
        if type(node) is not dict:
            todo += [value for value in node if type(value) in _INNER]
            continue
        if node.get("with") and is_query(node):
            inner = _collect_ctes(node["with"], hidden, found)
            _collect([v for k, v in node.items() if k != "with" and type(v) in _INNER], inner, found)
            continue
        name = name_read(node) if "Table" in node else None
        if name is not None and name not in hidden:
            found.add(name)
        todo += [v for k, v in node.items() if type(v) in _INNER and v and k not in _BARREN]


def _collect_ctes(clause: Tree, hidden: frozenset[str], found: set[str]) -> frozenset[str]:
    """Collect from a WITH clause; returns what is hidden behind it."""
    every = hidden | {cte_name(cte) for cte in clause["cte_tables"]}
    for cte in clause["cte_tables"]:
        _collect(cte["query"], every if clause["recursive"] else hidden, found)
        hidden = hidden | {cte_name(cte)}
    return every


def name_read(node: dict[str, Any]) -> str | None:
    """The name of the relation that a node stands for, if it has one without a schema."""
    table = node.get("Table")
    if not isinstance(table, dict) or not isinstance(table.get("name"), list) or table.get("args") is not None:
        return None
    parts = name_of(table["name"])
    return parts[0] if len(parts) == 1 else None


def grouped(reads: Mapping[str, frozenset[str]]) -> list[tuple[str, ...]]:
    """Names in an order in which each comes after those it reads; names that read each other are one group.

    Args:
        reads: name -> the names that it reads, others than those that are ordered among them; Tarjan's algorithm.

    >>> grouped({"a": frozenset("b"), "b": frozenset("bt"), "c": frozenset("d"), "d": frozenset("c")})
    [('b',), ('a',), ('c', 'd')]
    """
    number: dict[str, int] = {}
    least: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []
    order = list(reads)

    def visit(name: str) -> None:
        number[name] = least[name] = len(number)
        stack.append(name)
        for other in sorted(reads[name] & reads.keys(), key=order.index):
            if other not in number:
                visit(other)
                least[name] = min(least[name], least[other])
            elif other in stack:
                least[name] = min(least[name], number[other])
        if least[name] == number[name]:
            place = stack.index(name)
            found.append(tuple(sorted(stack[place:], key=order.index)))
            del stack[place:]

    for name in order:
        if name not in number:
            visit(name)
    return found


def with_needed(body: Tree, layers: Sequence[Sequence[Tree]], template: Tree) -> Tree:
    """The inside of a query of that body, behind those of the CTEs around it that it needs.

    Args:
        body: a query's body.
        layers: the CTEs of the WITH clauses around it, the outermost clause first; each clause's in order.
        template: the inside of any query that has a WITH clause.
    """
    needed = set(names_read(body))
    query = _plain(body, template, [])
    for layer in reversed(layers):
        kept: list[Tree] = []
        for cte in reversed(layer):
            if cte_name(cte) in needed:
                kept.insert(0, cte)
                needed.discard(cte_name(cte))
                needed |= names_read(cte["query"])
        if kept and query["with"] is None:
            query = _plain(body, template, kept)
        elif kept:
            query = _plain({"Query": query}, template, kept)
    return query


_KEPT = ("with", "body")


def _plain(body: Tree, template: Tree, ctes: list[Tree]) -> Tree:
    clause = {**template["with"], "recursive": False, "cte_tables": ctes} if ctes else None
    empty: dict[str, Any] = {
        key: [] if isinstance(value, list) else None for key, value in template.items() if key not in _KEPT
    }
    return {**empty, "with": clause, "body": body}

"""Which relations a piece of a query reads that it does not define itself, and in which order CTEs come to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...sql.reads import cte_name, table_read, tables_read
from ...sql.syntax import Tree, name_of


def is_query(node: Any) -> bool:
    """Whether a node is the inside of a query."""
    return isinstance(node, dict) and "body" in node and "with" in node and "limit_clause" in node


def names_read(tree: Tree) -> frozenset[str]:
    """The names without a schema of the relations that a tree reads, those of its own CTEs left out.

    >>> from ...sql.syntax import parse_one
    >>> query = "WITH a AS (SELECT * FROM t) SELECT * FROM a, u, s.v WHERE EXISTS (SELECT 1 FROM w)"
    >>> sorted(names_read(parse_one(query).tree))
    ['t', 'u', 'w']
    """
    names = map(name_of, tables_read(tree))
    return frozenset(name[0] for name in names if len(name) == 1)


def name_read(node: dict[str, Any]) -> str | None:
    """The name of the relation that a node stands for, if it has one without a schema."""
    name = table_read(node)
    return name_of(name)[0] if name is not None and len(name) == 1 else None


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

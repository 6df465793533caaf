"""Which tables a piece of SQL reads that it does not define itself: a CTE hides the table of its name."""

from __future__ import annotations

from typing import Any

from .syntax import Tree, identifier, name_of
from .traversal import INNER, LEAVES


def cte_name(cte: Tree) -> str:
    """The name of a common table expression."""
    return identifier(cte["alias"]["name"])


def tables_read(tree: Tree) -> list[list[Tree]]:
    """The names of the tables and views that a tree reads, as they are written; those of its own CTEs left out.

    >>> from .syntax import name_of, parse_one
    >>> query = "WITH a AS (SELECT * FROM t), t AS (SELECT 1) SELECT * FROM a, t, s.v WHERE EXISTS (SELECT 1 FROM w)"
    >>> sorted(map(name_of, tables_read(parse_one(query).tree)))
    [('s', 'v'), ('t',), ('w',)]
    """
    found: list[list[Tree]] = []
    _collect(tree, frozenset(), found)
    return found


def _collect(tree: Tree, hidden: frozenset[str], found: list[list[Tree]]) -> None:
    todo = [tree]
    while todo:
        node = todo.pop()
        if type(node) is not dict:
            todo += [value for value in node if type(value) in INNER]
            continue
        if node.get("with") and "body" in node and "limit_clause" in node:
            inner = _collect_ctes(node["with"], hidden, found)
            _collect([v for k, v in node.items() if k != "with" and type(v) in INNER], inner, found)
            continue
        name = table_read(node) if "Table" in node else None
        if name is not None and not (len(name) == 1 and name_of(name)[0] in hidden):
            found.append(name)
        todo += [v for k, v in node.items() if type(v) in INNER and v and k not in LEAVES]


def _collect_ctes(clause: Tree, hidden: frozenset[str], found: list[list[Tree]]) -> frozenset[str]:
    """Collect from a WITH clause; returns what is hidden behind it."""
    every = hidden | {cte_name(cte) for cte in clause["cte_tables"]}
    for cte in clause["cte_tables"]:
        _collect(cte["query"], every if clause["recursive"] else hidden, found)
        hidden = hidden | {cte_name(cte)}
    return every


def table_read(node: dict[str, Any]) -> list[Tree] | None:
    """The name of the relation that a node in a FROM stands for; None of a table function, and of any other node."""
    table = node.get("Table")
    if not isinstance(table, dict) or not isinstance(table.get("name"), list) or table.get("args") is not None:
        return None
    name: list[Tree] = table["name"]
    return name

"""CTEs that hide others, under names of their own: an engine may refuse a CTE with the name of one that is in sight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from .build import table
from .syntax import Tree, identifier, make_identifier, name_of, replace


def with_ctes_renamed(tree: Tree) -> Tree:
    """The tree in which a CTE that would hide another has a name of its own; who reads it calls it as before.

    >>> from .syntax import parse_one, to_sql
    >>> tree = parse_one("WITH r AS (SELECT 1) SELECT (WITH r AS (SELECT 2 AS b) SELECT r.b FROM r) FROM r").tree
    >>> to_sql(with_ctes_renamed(tree))
    'WITH r AS (SELECT 1) SELECT (WITH __cte_1__ AS (SELECT 2 AS b) SELECT r.b FROM __cte_1__ AS r) FROM r'
    """
    return _visit(tree, {}, count(1))


def _visit(tree: Tree, seen: Mapping[str, str], numbers: Iterator[int]) -> Tree:
    """A tree in which the CTEs in sight have been renamed, ``seen`` being what each is called now."""

    def change(node: dict[str, Any]) -> Tree | None:
        if "body" in node and node.get("with"):
            return _with(node, seen, numbers)
        return _read(node, seen)

    return replace(tree, change)


def _with(query: dict[str, Any], seen: Mapping[str, str], numbers: Iterator[int]) -> Tree:
    """A query with CTEs of its own."""
    clause, ctes, within = query["with"], [], dict(seen)
    names = [identifier(cte["alias"]["name"]) for cte in clause["cte_tables"]]
    new = {name: f"__cte_{next(numbers)}__" if name in seen else name for name in names}
    for name, cte in zip(names, clause["cte_tables"], strict=True):
        inner = _visit(cte["query"], {**within, **new} if clause["recursive"] else within, numbers)
        label = cte["alias"] if new[name] == name else {**cte["alias"], "name": make_identifier(new[name])}
        ctes.append({**cte, "alias": label, "query": inner})
        within[name] = new[name]
    rest = {key: _visit(value, within, numbers) for key, value in query.items() if key != "with"}
    return {**rest, "with": {**clause, "cte_tables": ctes}}


def _read(node: dict[str, Any], seen: Mapping[str, str]) -> Tree | None:
    """A relation that reads a CTE which has been renamed."""
    body = node.get("Table")
    if not isinstance(body, dict) or not isinstance(body.get("name"), list) or body.get("args") is not None:
        return None
    path = name_of(body["name"])
    known = seen.get(path[0]) if len(path) == 1 else None
    if known is None or known == path[0]:
        return None
    alias = body["alias"] or table(known, path[0])["relation"]["Table"]["alias"]
    return {"Table": {**body, "name": [{"Identifier": make_identifier(known)}], "alias": alias}}

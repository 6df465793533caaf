"""``EXISTS (SELECT * FROM r, u WHERE u.i = t.i)``: where r has an i as well, the engine compares that one.

It takes the condition out of the subquery and finds the column there by its name alone. What EXISTS selects does not
matter, so that columns are selected as 1; then no other column of that name is in the way.
"""

from __future__ import annotations

from typing import Any

from ...sql.syntax import Tree, parse_one, transform

SIGNS = r"\bEXISTS\s*\(\s*SELECT\b"

_COLUMNS = ("Wildcard", "QualifiedWildcard")


def without_columns(tree: Tree) -> Tree:
    """The tree in which no EXISTS selects columns.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> sql = "SELECT 1 FROM t WHERE EXISTS (SELECT * FROM r, u WHERE u.i = t.i)"
    >>> to_sql(without_columns(parse_one(sql).tree)).partition("EXISTS ")[2]
    '(SELECT 1 FROM r, u WHERE u.i = t.i)'
    """
    return transform(tree, _rewritten)


def _rewritten(node: dict[str, Any]) -> Tree | None:
    exists = node.get("Exists")
    if not isinstance(exists, dict):
        return None
    query = exists["subquery"]
    select = query["body"].get("Select") if isinstance(query.get("body"), dict) else None
    if select is None or query.get("order_by") or _joined(select) < 2 or not all(map(_is_column, select["projection"])):
        return None
    one = parse_one("SELECT 1").tree["Query"]["body"]["Select"]["projection"]
    body = {"Select": {**select, "projection": one}}
    return {**node, "Exists": {**exists, "subquery": {**query, "body": body}}}


def _joined(select: Tree) -> int:
    return sum(1 + len(item["joins"]) for item in select["from"])


def _is_column(item: Tree) -> bool:
    if isinstance(item, str) or any(kind in item for kind in _COLUMNS):
        return True
    expression = item.get("UnnamedExpr") or (item.get("ExprWithAlias") or {}).get("expr")
    return isinstance(expression, dict) and bool({"Identifier", "CompoundIdentifier"} & set(expression))

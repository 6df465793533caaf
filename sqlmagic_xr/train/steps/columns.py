"""Short names for the columns of a step's query, whose own texts would be parsed and planned with it each time."""

from __future__ import annotations

from ...sql.syntax import Tree, identifier, make_identifier, replace_branches, walk


def labelled(query: Tree) -> Tree:
    """A query whose columns have short names, unless something in it uses theirs; an INSERT never does."""
    if query["order_by"]:
        return query
    return {**query, "body": replace_branches(query["body"], _labelled_select)}


def _labelled_select(body: Tree) -> Tree:
    if "Select" not in body:
        return body
    used = {identifier(n["Identifier"]) for n in walk(body) if isinstance(n.get("Identifier"), dict)}
    items = []
    for place, item in enumerate(body["Select"]["projection"]):
        named = item.get("ExprWithAlias")
        expression = item.get("UnnamedExpr") or (
            named["expr"] if named is not None and identifier(named["alias"]) not in used else None
        )
        alias = make_identifier(f"__{place}__")
        items.append(item if expression is None else {"ExprWithAlias": {"expr": expression, "alias": alias}})
    return {"Select": {**body["Select"], "projection": items}}

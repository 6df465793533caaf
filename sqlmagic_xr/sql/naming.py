"""Names of ours for the columns of a query that the engine would give one name, which it refuses."""

from __future__ import annotations

from .syntax import Tree, expression_sql, make_identifier, replace_branches


def told_apart(body: Tree, columns: int | None = None) -> Tree:
    """A body whose computed columns have names, and those of one name others: the engine refuses two of one name.

    Args:
        body: of a query.
        columns: how many of its columns are given names anyway; None for all.
    """
    return replace_branches(body, lambda branch: _told_apart(branch, columns) if "Select" in branch else branch)


def _told_apart(branch: Tree, columns: int | None) -> Tree:
    select, seen, items = branch["Select"], set[str](), []
    for place, item in enumerate(select["projection"]):
        named = columns is None or place < columns
        computed = "UnnamedExpr" in item and not _is_column(item)  # CAST(0 AS INT) has the name of 0
        text = expression_sql(item["UnnamedExpr"]) if "UnnamedExpr" in item and not (named and computed) else ""
        if named and (computed or (text and text.rpartition(".")[2] in seen)):
            alias = make_identifier(f"__column_{place}__")
            item = {"ExprWithAlias": {"expr": item["UnnamedExpr"], "alias": alias}}
        elif "ExprWithAlias" in item:
            seen.add(expression_sql({"Identifier": item["ExprWithAlias"]["alias"]}))
        elif text:
            seen.add(text.rpartition(".")[2])
        items.append(item)
    return {"Select": {**select, "projection": items}}


def _is_column(item: Tree) -> bool:
    expression = item.get("UnnamedExpr")
    return isinstance(expression, dict) and ("Identifier" in expression or "CompoundIdentifier" in expression)

"""Names of columns: of ours, where the engine would give several one name and refuses; and as they were written."""

from __future__ import annotations

from typing import Any

from .syntax import Tree, expression_sql, make_identifier, replace_branches, walk


def with_distinct_names(body: Tree, columns: int | None = None) -> Tree:
    """A body whose computed columns have names, and those of one name others: the engine refuses two of one name.

    Args:
        body: of a query.
        columns: how many of its columns are given names anyway; None for all.
    """
    return replace_branches(body, lambda branch: _with_names(branch, columns) if "Select" in branch else branch)


def _with_names(branch: Tree, columns: int | None) -> Tree:
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


def texts(tree: Tree | None, width: int) -> list[str | None]:
    """The text of each column of a statement that has no name, by its place; None of one that has, or is not known.

    Args:
        tree: the statement; None where it could not be read.
        width: how many columns it has.

    >>> from .syntax import parse_one
    >>> texts(parse_one("SELECT a + 1, *, b AS c, 2 FROM t").tree, 5)
    ['a + 1', None, None, None, '2']
    """
    items = _items(tree)
    stars = [at for at, item in enumerate(items) if "UnnamedExpr" not in item and "ExprWithAlias" not in item]
    if len(stars) > 1 or (not stars and len(items) != width) or len(items) - len(stars) > width:
        return [None] * width
    found = [expression_sql(item["UnnamedExpr"]) if "UnnamedExpr" in item else None for item in items]
    if not stars:
        return found
    before, behind = found[: stars[0]], found[stars[0] + 1 :]
    return [*before, *[None] * (width - len(before) - len(behind)), *behind]


def _items(tree: Tree | None) -> Any:
    """The select items of a query, or of the first of those that a UNION puts together."""
    body = (tree.get("Query") or {}).get("body") if isinstance(tree, dict) else None
    while isinstance(body, dict) and "Select" not in body:
        inner = body.get("SetOperation")
        body = inner["left"] if inner else (body.get("Query") or {}).get("body")
    return body["Select"]["projection"] if isinstance(body, dict) else ()


def reads_files(tree: Tree | None) -> bool:
    """Whether a statement names a file, or what a function reads, and gives it no name of its own."""
    return tree is not None and any(map(_is_file, walk(tree)))


def _is_file(node: Tree) -> bool:
    table = node.get("Table")
    if not isinstance(table, dict) or table.get("alias") or "name" not in table:
        return False
    quoted = (table["name"][-1].get("Identifier") or {}).get("quote_style") == "'"
    return quoted or bool(table.get("args"))

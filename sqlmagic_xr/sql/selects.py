"""The SELECT of a query, the elements of its list, and relations in FROM with other columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .build import item
from .expression import Column, from_tree
from .pieces import filled, path_of
from .syntax import Tree, identifier, make_identifier, name_of, parse_one, walk


def own_select(query: Tree) -> Any:
    """The SELECT that the inside of a ``Query`` node is; None where it is a UNION or the like."""
    return query["body"].get("Select")


def with_own_select(query: Tree, select: Tree) -> Tree:
    """The inside of a ``Query`` node with another SELECT."""
    return {**query, "body": {"Select": select}}


def value_of(element: Tree) -> Tree | None:
    """The expression of an element of a SELECT; None of a star."""
    if "UnnamedExpr" in element:
        return element["UnnamedExpr"]
    return element["ExprWithAlias"]["expr"] if "ExprWithAlias" in element else None


def alias_of(element: Tree) -> str | None:
    """The name that an element of a SELECT is given; None where it is given none."""
    return identifier(element["ExprWithAlias"]["alias"]) if "ExprWithAlias" in element else None


def is_any_star(element: Tree) -> bool:
    """Whether an element of a SELECT is a star, or the star of a relation."""
    return isinstance(element, str) or "Wildcard" in element or "QualifiedWildcard" in element


def star_of(element: Tree) -> tuple[str, ...] | None:
    """The relation whose columns a star stands for, () for those of all; None of what is no star."""
    if "QualifiedWildcard" not in element:
        return () if "Wildcard" in element else None
    subject = element["QualifiedWildcard"][0]
    return name_of((subject[0] if isinstance(subject, (list, tuple)) else subject)["ObjectName"])


def star_without(element: Tree, names: Iterable[str]) -> Tree:
    """A star that leaves out further columns."""
    ((kind, body),) = element.items()
    options = body if kind == "Wildcard" else body[1]
    already = [n for key in ("opt_exclude", "opt_except") for n in walk(options[key]) if "quote_style" in n]
    left_out = {"Multiple": [*already, *(make_identifier(name) for name in dict.fromkeys(names))]}
    options = {**options, "opt_exclude": left_out, "opt_except": None}
    return {kind: options if kind == "Wildcard" else (body[0], options)}


def elements(select: Tree) -> list[Tree]:
    """The elements of a SELECT's list."""
    return list(select["projection"])


def with_elements(select: Tree, new: Sequence[Tree]) -> Tree:
    """A SELECT of other elements."""
    return {**select, "projection": list(new)}


def named_as_before(before: Tree, after: Tree) -> Tree:
    """An element that is called as before, also where its column got another name."""
    column = before.get("UnnamedExpr")
    path = () if column is None or after["UnnamedExpr"] == column else path_of(column)
    return item(after["UnnamedExpr"], path[-1]) if path else after


def with_value(element: Tree, value: Tree) -> Tree:
    """An element of a SELECT, no star, that is another expression; a column keeps its name.

    >>> from .build import column
    >>> from .syntax import expression_sql
    >>> found = with_value(item(column("t", "x")), filled("x + 0.0"))
    >>> expression_sql(value_of(found)), alias_of(found)
    ('x + 0.0', 'x')
    """
    if "ExprWithAlias" in element:
        return {"ExprWithAlias": {**element["ExprWithAlias"], "expr": value}}
    old = from_tree(element["UnnamedExpr"])
    return item(value, old.name if isinstance(old, Column) else None)


def with_columns(relation: Tree, label: str, columns: Mapping[str, Tree]) -> Tree:
    """``(SELECT * REPLACE (...) FROM table) AS label``: a relation in FROM with some columns changed."""
    template = filled("(SELECT * REPLACE (0 AS a) FROM x)")["Subquery"]
    select = template["body"]["Select"]
    star = select["projection"][0]["Wildcard"]
    one = star["opt_replace"]["items"][0]
    listed = [{**one, "expr": tree, "column_name": make_identifier(name)} for name, tree in columns.items()]
    projection = [{"Wildcard": {**star, "opt_replace": {"items": listed}}}]
    inner = {**select, "projection": projection, "from": [{"relation": relation, "joins": []}]}
    derived = filled("(SELECT 0 FROM (SELECT 0) AS a)")["Subquery"]["body"]["Select"]["from"][0]["relation"]["Derived"]
    alias = {**derived["alias"], "name": make_identifier(label)}
    return {"Derived": {**derived, "subquery": with_own_select(template, inner), "alias": alias}}


def alias_with_columns(label: str, names: Sequence[str]) -> Tree:
    """What stands behind AS in ``t AS label(names)``."""
    template = parse_one("SELECT 0 FROM a AS a (b)").tree["Query"]["body"]["Select"]["from"][0]["relation"]
    alias = template["Table"]["alias"]
    columns = [{**alias["columns"][0], "name": make_identifier(name)} for name in names]
    return {**alias, "name": make_identifier(label), "columns": columns}


def body_of(query: Tree) -> Tree:
    """What a query gives its rows by: a SELECT, a UNION, VALUES, ..."""
    return query["body"]


def takes_once(select: Tree) -> bool:
    """Whether a SELECT is DISTINCT, or DISTINCT ON."""
    return bool(select["distinct"])


def from_of(select: Tree) -> list[Tree]:
    """The elements of a SELECT's FROM."""
    return list(select["from"])


def where_of(select: Tree) -> Tree | None:
    """The condition of a SELECT's WHERE; None without."""
    return select.get("selection")


def having_of(select: Tree) -> Tree | None:
    """The condition of a SELECT's HAVING; None without."""
    return select["having"]


def qualify_of(select: Tree) -> Tree | None:
    """The condition of a SELECT's QUALIFY; None without."""
    return select["qualify"]


def with_source(select: Tree, elements: Sequence[Tree], where: Tree | None) -> Tree:
    """A SELECT of another FROM and WHERE."""
    return {**select, "from": list(elements), "selection": where}


def with_from(select: Tree, elements: Sequence[Tree]) -> Tree:
    """A SELECT of another FROM."""
    return {**select, "from": list(elements)}


def also_where(select: Tree, condition: Tree) -> Tree:
    """A SELECT of those of its rows for which a condition holds, of its groups where it has GROUP BY."""
    place = "having" if groups_rows(select) else "selection"
    whole = condition if select[place] is None else filled("A AND B", A=select[place], B=condition)
    return {**select, place: whole}


def is_select(node: Tree) -> bool:
    """Whether a node is the inside of a SELECT."""
    return "projection" in node and "selection" in node


# The parser writes tuples, and who puts a tree together lists.
_NO_GROUP: tuple[Tree, ...] = ({"Expressions": ([], [])}, {"Expressions": [[], []]})


def groups_rows(select: Tree) -> bool:
    """Whether a SELECT has a GROUP BY."""
    return select["group_by"] not in _NO_GROUP


def group_keys(select: Tree) -> list[Tree] | None:
    """The expressions of a GROUP BY, those inside ROLLUP, CUBE and GROUPING SETS too; None of GROUP BY ALL."""
    written = select["group_by"].get("Expressions")
    if written is None:
        return None
    found: list[Tree] = []
    for key in written[0]:
        kind = next(iter(key)) if isinstance(key, dict) else ""
        sets = kind in ("Rollup", "Cube", "GroupingSets")
        found += [inner for part in key[kind] for inner in part] if sets else [key]
    return found


def behind_groups(select: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """A SELECT whose GROUP BY and HAVING are changed."""
    return {**select, "group_by": change(select["group_by"]), "having": change(select["having"])}


def with_results(select: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """A SELECT whose list and HAVING are changed: what is computed of its groups; itself where nothing changes."""
    new = {key: change(select[key]) for key in ("projection", "having")}
    return {**select, **new} if any(new[key] is not select[key] for key in new) else select


def distinct_keys(select: Tree) -> list[Tree] | None:
    """The expressions of DISTINCT ON; None of any other SELECT."""
    return list(select["distinct"]["On"]) if isinstance(select["distinct"], dict) else None


def with_distinct_keys(select: Tree, keys: Sequence[Tree]) -> Tree:
    """A SELECT with DISTINCT ON other expressions."""
    return {**select, "distinct": {"On": list(keys)}}


def compared_selects(body: Tree) -> Iterator[Tree]:
    """The SELECTs in a query's body whose rows a set operation takes for one where they are equal."""
    todo = [body]
    while todo:
        node = todo.pop().get("SetOperation")
        if node is not None:
            if not (node["op"] == "Union" and "All" in str(node["set_quantifier"])):
                yield from _branches(node)
            todo += [node["left"], node["right"]]


def _branches(operation: Tree) -> Iterator[Tree]:
    """The SELECTs that a set operation puts together, of queries in parentheses too."""
    for side in (operation["left"], operation["right"]):
        while "Query" in side:
            side = side["Query"]["body"]
        if "Select" in side:
            yield side["Select"]
        elif "SetOperation" in side:
            yield from _branches(side["SetOperation"])

"""What a query sorts by and what of it it selects; what a statement reads to find out."""

from __future__ import annotations

from collections.abc import Iterator

from .clauses import is_star, sort_keys
from .expression import from_tree
from .pieces import path_of
from .selects import alias_of, groups_rows, own_select, value_of
from .syntax import Tree, name_of, walk


def hides_a_key(query: Tree) -> bool:
    """Whether a query that selects sorts by something that is none of its columns.

    >>> from .syntax import parse_one
    >>> [hides_a_key(parse_one(f"SELECT a AS x, b * 2 FROM t ORDER BY {key}").tree["Query"]) for key in
    ...  ("x", "1", "b * 2", "a", "b", "a + b")]
    [False, False, False, False, True, True]
    """
    select, keys = own_select(query), sort_keys(query)
    if select is None or select["distinct"] == "Distinct" or not keys:
        return False
    items = select["projection"]
    if any(_starred(item) == () for item in items):
        return False
    values = [(value, alias_of(item)) for item in items if (value := value_of(item)) is not None]
    names = {(path_of(value) or ("",))[-1] if name is None else name for value, name in values}
    selected = {from_tree(value) for value, _ in values}
    return not all(
        "Value" in key or (len(path_of(key)) == 1 and path_of(key)[0] in names) or from_tree(key) in selected
        for key in keys
    )


def is_grouped(query: Tree) -> bool:
    """Whether a query has a GROUP BY."""
    select = own_select(query)
    return select is not None and groups_rows(select)


def is_distinct(query: Tree) -> bool:
    """Whether a query is a SELECT DISTINCT, on all that it selects."""
    select = own_select(query)
    return select is not None and select["distinct"] == "Distinct"


def elements(query: Tree) -> list[tuple[Tree | None, str | None, tuple[str, ...] | None]]:
    """What a query selects: an expression and its given name; of a star None and the relation that it names.

    () stands for a star of all relations, and None for one that leaves something out or exchanges it.
    """
    return [(value_of(item), alias_of(item), _starred(item)) for item in own_select(query)["projection"]]


def _starred(item: Tree) -> tuple[str, ...] | None:
    if is_star(item):
        return None if _is_changed(item["Wildcard"]) else ()
    named, options = item.get("QualifiedWildcard", ({}, {}))
    return name_of(named["ObjectName"]) if "ObjectName" in named and not _is_changed(options) else None


def _is_changed(star: Tree) -> bool:
    return any(value for option, value in star.items() if option.startswith("opt_"))


def reads(tree: Tree) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """Each scalar subquery of a statement, as True, and the name of each relation in a FROM of it."""
    for node in walk(tree):
        if "Subquery" in node:
            yield True, ()
        elif "Table" in node:
            yield False, name_of(node["Table"]["name"])


def is_window(call: Tree) -> bool:
    """Whether a node is a function's call over a window."""
    return bool(call.get("Function", {}).get("over"))

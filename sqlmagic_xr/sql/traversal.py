"""Ways through a tree: none is recursive, since a chain of three thousand terms is a tree three thousand deep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Tree = Any
"""A node of sqlparser's syntax tree: a dict of one variant, a list, a string, a number, a bool or None."""

Change = Callable[[dict[str, Any]], Tree | None]
"""What stands in a node's place, or None to keep it."""

INNER = frozenset((dict, list, tuple))
"""The types of what has nodes in it."""
_SPAN = frozenset(("span",))
_BARREN = frozenset(("span", "token"))
"""The keys of what no change is made in: where a node stands, which is a third of a tree, and words as they stood."""


def walk(tree: Tree) -> Iterator[dict[str, Any]]:
    """Every dictionary of a tree but the spans, the outer one first, in the order of the text."""
    return _walk(tree, _SPAN)


LEAVES = frozenset(("span", "Value", "Identifier", "CompoundIdentifier", "select_token", "alias", "data_type", "token"))
"""The keys of what no relation and no query can be in; these make up most of a tree."""


def walk_clauses(tree: Tree) -> Iterator[dict[str, Any]]:
    """As :func:`walk`, without the dictionaries of names, literals and types: every one that may name a relation."""
    return _walk(tree, LEAVES)


def _walk(tree: Tree, leaves: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Every dictionary of a tree that is not under one of those keys."""
    todo = [tree]
    pop, push = todo.pop, todo.append
    while todo:
        node = pop()
        if type(node) is dict:
            yield node
            for key in reversed(node):
                value = node[key]
                if (value or type(value) is dict) and type(value) in INNER and key not in leaves:
                    push(value)
        elif type(node) in INNER:
            todo += reversed(node)


def transform(tree: Tree, change: Change) -> Tree:
    """A tree in which ``change`` has replaced nodes; what is not changed is shared, and no input is altered.

    Args:
        tree: where to start.
        change: called on every dictionary but spans, the inner ones first, with a node whose children are changed
            already; returns what stands in its place, or None to keep it.
    """
    new: dict[int, Tree] = {}
    for old in reversed(_nodes(tree)):
        node = rebuilt(old, new) if new else old
        if type(node) is dict:
            changed = change(node)
            node = node if changed is None else changed
        if node is not old:
            new[id(old)] = node
    return new.get(id(tree), tree)


def replace(tree: Tree, change: Change) -> Tree:
    """As :func:`transform`, but the outer node is asked first, and what ``change`` returns is not looked into."""
    new: dict[int, Tree] = {}
    kept: list[Tree] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if type(node) is dict:
            changed = change(node)
            if changed is not None:
                if changed is not node:
                    new[id(node)] = changed
                continue
            todo += [v for k, v in reversed(node.items()) if type(v) in INNER and v and k not in _BARREN]
        elif type(node) in INNER:
            todo += [value for value in reversed(node) if type(value) in INNER]
        kept.append(node)
    if new:
        for old in reversed(kept):
            node = rebuilt(old, new)
            if node is not old:
                new[id(old)] = node
    return new.get(id(tree), tree)


def is_query(node: Tree) -> bool:
    """Whether a node is the inside of a query: its WITH, its body and what stands behind."""
    return "body" in node and "with" in node


def replace_branches(body: Tree, change: Callable[[dict[str, Any]], Tree]) -> Tree:
    """A query's body in which ``change`` has replaced each of the queries that UNION and the like put together."""
    return replace(body, lambda node: None if _OPERATION & node.keys() else change(node))


_OPERATION = frozenset({"SetOperation", "set_quantifier"})


def rebuilt(node: Tree, new: dict[int, Tree]) -> Tree:
    """A node around its children, of which some have something new in their place, by their id; else itself."""
    if type(node) is dict:
        if new.keys().isdisjoint(map(id, node.values())):
            return node
        return {key: new.get(id(value), value) if type(value) in INNER else value for key, value in node.items()}
    if type(node) in INNER and not new.keys().isdisjoint(map(id, node)):
        return type(node)(new.get(id(value), value) if type(value) in INNER else value for value in node)
    return node


def _nodes(tree: Tree) -> list[Tree]:
    """All dictionaries and lists of a tree, the outer one before what is in it, the last one in the text first."""
    found: list[Tree] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if type(node) is dict:
            found.append(node)
            todo += [v for k, v in node.items() if type(v) in INNER and v and k not in _BARREN]
        elif type(node) in INNER:
            found.append(node)
            todo += node
    return found

"""Ways through a tree: none is recursive, since a chain of three thousand terms is a tree three thousand deep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Tree = Any
"""A node of sqlparser's syntax tree: a dict of one variant, a list, a string, a number, a bool or None."""

Change = Callable[[dict[str, Any]], Tree | None]
"""What stands in a node's place, or None to keep it."""

_INNER = (dict, list, tuple)


def walk(tree: Tree) -> Iterator[dict[str, Any]]:
    """Every dictionary of a tree but the spans, the outer one first, in the order of the text."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
            inner = [value for key, value in node.items() if key != "span" and isinstance(value, _INNER)]
            todo += reversed(inner)
        elif isinstance(node, (list, tuple)):
            todo += reversed(node)


def transform(tree: Tree, change: Change) -> Tree:
    """A tree in which ``change`` has replaced nodes; what is not changed is shared, and no input is altered.

    Args:
        tree: where to start.
        change: called on every dictionary, the inner ones first, with a node whose children are changed already;
            returns what stands in its place, or None to keep it.
    """
    new: dict[int, Tree] = {}
    for old in reversed(_nodes(tree)):
        node = rebuilt(old, new) if new else old
        if isinstance(node, dict):
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
        if isinstance(node, dict):
            changed = change(node)
            if changed is not None:
                if changed is not node:
                    new[id(node)] = changed
                continue
            todo += [value for value in reversed(node.values()) if isinstance(value, _INNER)]
        elif isinstance(node, (list, tuple)):
            todo += [value for value in reversed(node) if isinstance(value, _INNER)]
        kept.append(node)
    if new:
        for old in reversed(kept):
            node = rebuilt(old, new)
            if node is not old:
                new[id(old)] = node
    return new.get(id(tree), tree)


def replace_branches(body: Tree, change: Callable[[dict[str, Any]], Tree]) -> Tree:
    """A query's body in which ``change`` has replaced each of the queries that UNION and the like put together."""
    return replace(body, lambda node: None if _OPERATION & node.keys() else change(node))


_OPERATION = frozenset({"SetOperation", "set_quantifier"})


def rebuilt(node: Tree, new: dict[int, Tree]) -> Tree:
    """A node around its children, of which some have something new in their place, by their id; else itself."""
    if isinstance(node, dict):
        if not any(id(value) in new for value in node.values() if isinstance(value, _INNER)):
            return node
        return {key: new.get(id(value), value) if isinstance(value, _INNER) else value for key, value in node.items()}
    if isinstance(node, (list, tuple)) and any(id(value) in new for value in node if isinstance(value, _INNER)):
        return type(node)(new.get(id(value), value) if isinstance(value, _INNER) else value for value in node)
    return node


def _nodes(tree: Tree) -> list[Tree]:
    """All dictionaries and lists of a tree, the outer one before what is in it, the last one in the text first."""
    found: list[Tree] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            found.append(node)
            todo += [value for value in node.values() if isinstance(value, _INNER)]
        elif isinstance(node, (list, tuple)):
            found.append(node)
            todo += node
    return found

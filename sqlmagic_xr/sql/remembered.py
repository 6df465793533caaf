"""What was found out, remembered for the very tree, node or column that it was asked of."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

from .traversal import Tree

Found = TypeVar("Found")
Node = TypeVar("Node")


class _Itself:
    """A tree that equals nothing but itself; trees are never changed."""

    __slots__ = ("tree",)

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def __hash__(self) -> int:
        return id(self.tree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.tree is other.tree


def once_a_tree(find: Callable[[Tree], Found]) -> Callable[[Tree], Found]:
    """A function of a tree that goes through each of the last trees once; what it returns must not be changed.

    Example:
        >>> seen = []
        >>> find = once_a_tree(lambda tree: seen.append(tree) or len(tree))
        >>> tree = {"a": 1}
        >>> find(tree), find(tree), find({"a": 1}), len(seen)
        (1, 1, 1, 2)
    """

    @lru_cache(maxsize=64)
    def found(of: _Itself) -> Found:
        return find(of.tree)

    @wraps(find)
    def asked(tree: Tree) -> Any:
        return found(_Itself(tree))

    return asked


def once_a_node(find: Callable[[Node], Found]) -> Callable[[Node], Found]:
    """A function of a frozen node that is asked once for each; what it finds is kept on the node."""
    place = f"{find.__module__}.{find.__qualname__}"  # two rooms may call two things alike

    @wraps(find)
    def asked(node: Node) -> Found:
        if place not in node.__dict__:
            node.__dict__[place] = find(node)
        found: Found = node.__dict__[place]
        return found

    return asked


def once_a_column(find: Callable[[Node, str], Found]) -> Callable[[Node, str], Found]:
    """The same of a node and the name of one of its columns."""
    place = f"{find.__module__}.{find.__qualname__}"  # two rooms may call two things alike

    @wraps(find)
    def asked(node: Node, name: str) -> Found:
        known: dict[str, Found] = node.__dict__.setdefault(place, {})
        if name not in known:
            known[name] = find(node, name)
        return known[name]

    return asked

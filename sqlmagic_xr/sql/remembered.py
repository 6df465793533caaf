"""What is found in a whole tree, remembered for the very tree: a statement is asked the same several times a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

from .traversal import Tree

Found = TypeVar("Found")


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

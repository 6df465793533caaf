"""Ways through an expression: none is recursive, since a chain of three thousand terms is that deep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .algebra import Call, Column, Expression, Verbatim, settle
from .syntax import Tree, identifier, walk


def descend(expression: Expression) -> Iterator[Expression]:
    """The expression and all inside it, each distinct object once, the outer ones first.

    >>> from .reading import parse
    >>> [e.name for e in descend(parse("exp(x) + y")) if isinstance(e, (Call, Column))]
    ['+', 'exp', 'x', 'y']
    """
    seen: set[int] = set()
    todo = [expression]
    while todo:
        node = todo.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            todo += reversed(node.parts)


def columns(expression: Expression) -> frozenset[tuple[str, ...]]:
    """The paths of all columns that an expression mentions, those inside opaque pieces too (worked out once)."""
    if "_columns" not in expression.__dict__:
        settle(expression, "_columns", _columns)
    found: frozenset[tuple[str, ...]] = expression.__dict__["_columns"]
    return found


def _columns(expression: Expression) -> frozenset[tuple[str, ...]]:
    cached: frozenset[tuple[str, ...]]
    if isinstance(expression, Column):
        cached = frozenset((expression.path,))
    elif isinstance(expression, Verbatim):
        cached = frozenset(tree_columns(expression.tree))
    else:
        inside = [columns(part) for part in expression.parts]
        if isinstance(expression, Call):
            inside += [columns(kept) for kept in (expression.window, expression.order) if kept is not None]
        cached = inside[0] if len(inside) == 1 else frozenset().union(*inside)
    return cached


def tree_columns(tree: Tree) -> Iterator[tuple[str, ...]]:
    """The paths of what a tree mentions as columns, subqueries' own included."""
    for node in walk(tree):
        if "CompoundIdentifier" in node:
            yield tuple(identifier(part) for part in node["CompoundIdentifier"])
        elif isinstance(node.get("Identifier"), dict):
            yield (identifier(node["Identifier"]),)


class Made:
    """What one way of making has made of expressions, for those that come later and share parts with them."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._kept: list[Expression] = []  # an id means nothing once its object is gone

    def of(
        self,
        expression: Expression,
        make: Callable[[Expression, list[Any]], Any],
        parts: Callable[[Expression], Sequence[Expression]] = lambda node: node.parts,
    ) -> Any:
        """What ``make`` makes of an expression, the inner parts first; not recursive, since a chain of terms is deep.

        Args:
            expression: where to start.
            make: is given each distinct object once, and what was made of its parts; always the same function.
            parts: which parts of a node are looked into; always the same as well.
        """
        done = self._done
        self._kept.append(expression)
        todo = [expression]
        while todo:
            node = todo[-1]
            if id(node) in done:
                todo.pop()
                continue
            inner = parts(node)
            missing = [part for part in inner if id(part) not in done]
            if missing:
                todo += reversed(missing)
            else:
                todo.pop()
                done[id(node)] = make(node, [done[id(part)] for part in inner])
        return done[id(expression)]


def bottom_up(
    expression: Expression,
    make: Callable[[Expression, list[Any]], Any],
    parts: Callable[[Expression], Sequence[Expression]] = lambda node: node.parts,
) -> Any:
    """What ``make`` makes of one expression, see :meth:`Made.of`."""
    return Made().of(expression, make, parts)


def replace_parts(expression: Expression, change: Callable[[Expression], Expression | None]) -> Expression:
    """An expression in which ``change`` has replaced parts, the inner ones first; shared parts stay shared.

    Args:
        expression: where to start.
        change: is given every node, its parts changed already; returns what stands in its place, or None to keep it.
    """

    def made(node: Expression, parts: list[Expression]) -> Expression:
        same = all(a is b for a, b in zip(parts, node.parts, strict=True))
        new = node if same else node.rebuilt(parts)
        changed = change(new)
        return new if changed is None else changed

    found: Expression = bottom_up(expression, made)
    return found


def unique(expression: Expression, one: dict[Expression, Expression], done: Made | None = None) -> Expression:
    """The expression with one object for each of its distinct parts, so that comparing them is quick.

    Args:
        expression: any expression.
        one: the parts that there are already; what is new is added.
        done: what was visited, for whoever calls this with several expressions.
    """

    known = one.get(expression)
    if known is not None:
        return known

    def made(node: Expression, parts: list[Expression]) -> Expression:
        same = all(a is b for a, b in zip(parts, node.parts, strict=True))
        new = node if same else node.rebuilt(parts)
        return one.setdefault(new, new)

    found: Expression = (Made() if done is None else done).of(expression, made)
    return found

"""Expressions with other parts: a walk that goes along chains of any length, and shares what stays."""

from __future__ import annotations

from collections.abc import Callable

from ..sql.expression import Expression


def substituted(expression: Expression, change: Callable[[Expression], Expression | None]) -> Expression:
    """An expression in which ``change`` has replaced parts, the outer ones first; what is put in is not looked into.

    Args:
        expression: where to start; returned itself where nothing is replaced.
        change: is given each part; returns what stands in its place, or None to go on inside.
    """
    done: dict[int, Expression] = {}
    todo = [(expression, False)]
    while todo:
        node, ready = todo.pop()
        if id(node) in done:
            continue
        if ready:
            parts = [done[id(part)] for part in node.parts]
            same = all(a is b for a, b in zip(parts, node.parts, strict=True))
            done[id(node)] = node if same else node.rebuilt(parts)
            continue
        found = change(node)
        if found is not None:
            done[id(node)] = found
        elif not node.parts:
            done[id(node)] = node
        else:
            todo += [(node, True), *((part, False) for part in node.parts)]
    return done[id(expression)]

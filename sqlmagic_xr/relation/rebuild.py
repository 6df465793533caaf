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
            new = [done[id(part)] for part in node.parts]
            same = all(a is b for a, b in zip(new, node.parts, strict=True))
            done[id(node)] = node if same else node.rebuilt(new)
            continue
        found = change(node)
        parts = node.parts if found is None else ()
        if parts:
            todo.append((node, True))
            todo += [(part, False) for part in parts]
        else:
            done[id(node)] = node if found is None else found
    return done[id(expression)]

"""Conditions as the parts that must all hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..sql.expression import Call, Expression


def conjuncts(condition: Expression | None) -> Iterator[Expression]:
    """What a condition is the conjunction of, in its order; nothing for None.

    >>> from ..sql.expression import parse
    >>> [part.args[0].name for part in conjuncts(parse("a > 1 AND (b > 2 AND c > 3)"))]
    ['a', 'b', 'c']
    """
    todo = [] if condition is None else [condition]
    while todo:
        part = todo.pop()
        if isinstance(part, Call) and part.name == "and":
            todo += reversed(part.args)
        else:
            yield part


def equal_sides(conditions: Iterable[Expression]) -> list[tuple[Expression, Expression]]:
    """The pairs that must be equal for all conditions to hold."""
    pairs = []
    for condition in conditions:
        for part in conjuncts(condition):
            match part:
                case Call("=", (left, right)):
                    pairs.append((left, right))
    return pairs


def conjunction(parts: Iterable[Expression]) -> Expression | None:
    """A condition that holds where all parts hold; None for no part."""
    whole: Expression | None = None
    for part in parts:
        whole = part if whole is None else Call("and", (whole, part))
    return whole


def restricted(
    condition: Expression | None, without: Iterable[Expression], more: Iterable[Expression] = ()
) -> Expression | None:
    """A condition without some of its parts and with others; itself where that changes nothing.

    Args:
        condition: or None.
        without: parts of it, the very objects.
        more: further ones.
    """
    gone = {id(part) for part in without}
    old = list(conjuncts(condition))
    new = [*(part for part in old if id(part) not in gone), *more]
    return (
        condition if len(new) == len(old) and all(a is b for a, b in zip(old, new, strict=True)) else conjunction(new)
    )

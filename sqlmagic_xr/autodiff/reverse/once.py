"""Values that several outputs of a block share, so that each is calculated, and written, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...sql.expression import Column, Expression, descend, replace_parts
from ...sql.expression import columns as paths
from ...sql.identity import IdentityMap


@dataclass(frozen=True, eq=False)
class Once(Expression):
    """A shared value; whoever goes through the parts of an output does not go through it, but knows its columns.

    Attributes:
        value: what it stands for.
    """

    value: Expression

    def moved(self, new: Mapping[tuple[str, ...], Expression], change: Callable[[Expression], Expression]) -> Once:
        """It where ``change`` has put others in the place of columns: one object for all that share it."""
        last = self.__dict__.get("_moved")
        if last is None or last[0] is not new:
            last = (new, once(change(self.value)))
            object.__setattr__(self, "_moved", last)
        made: Once = last[1]
        return made


def once(value: Expression) -> Once:
    """A value that is shared."""
    made = Once(value)
    object.__setattr__(made, "_columns", paths(value))
    return made


def shared_by(outputs: Iterable[Expression]) -> list[Once]:
    """The values that outputs share, of those that share none themselves: what is calculated first."""
    found: dict[Once, None] = {}
    seen: set[Once] = set()
    todo = list(outputs)
    while todo:
        for each in _inside(todo.pop()):
            if each in seen:
                continue
            seen.add(each)
            if _inside(each.value):
                todo.append(each.value)
            else:
                found[each] = None
    return list(found)


def called(expression: Expression, names: Mapping[Once, Column], known: IdentityMap[Once, Once]) -> Expression:
    """An expression with columns in the place of shared values.

    Args:
        expression: any.
        names: the columns.
        known: what another shared value became; what is made is added.
    """

    def change(part: Expression) -> Expression | None:
        if not isinstance(part, Once):
            return None
        if part in names:
            return names[part]
        if part not in known:
            known[part] = once(called(part.value, names, known))
        return known[part]

    return replace_parts(expression, change)


def written_out(expression: Expression) -> Expression:
    """An expression in which nothing is shared."""
    return replace_parts(expression, lambda part: written_out(part.value) if isinstance(part, Once) else None)


def _inside(expression: Expression) -> list[Once]:
    return [part for part in descend(expression) if isinstance(part, Once)]

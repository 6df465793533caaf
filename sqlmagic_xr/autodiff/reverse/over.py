"""Window functions that look along an order, as values of an algebra: what they read, their frame, and its mirror."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ...relation.columns import SortKey
from ...relation.functions import SAME
from ...relation.write import expression_tree
from ...sql.build import window
from ...sql.expression import Call, Expression, Verbatim, replace_parts
from ...sql.syntax import Tree

LINEAR = frozenset({"sum", "lag", "lead"})
"""The window functions through which derivatives go; others are made of them."""

RANKS = frozenset({"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile"})
"""The window functions that say where a row stands: staircases."""


@dataclass(frozen=True, eq=False)
class Over(Expression):
    """``call OVER (PARTITION BY partition ORDER BY order frame)``.

    Attributes:
        call: the function with its arguments.
        partition: the expressions of PARTITION BY.
        order: those of ORDER BY.
        ways: for each of ``order`` whether it descends, and whether NULLs come first (None for as usual).
        frame: the tree of the frame, or None.
    """

    call: Call
    partition: tuple[Expression, ...] = ()
    order: tuple[Expression, ...] = ()
    ways: tuple[tuple[bool, bool | None], ...] = ()
    frame: Tree = field(default=None, repr=False)

    @property
    def parts(self) -> tuple[Expression, ...]:  # noqa: D102 - see Expression
        return (self.call, *self.partition, *self.order)

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:  # noqa: D102 - see Expression
        call, *rest = parts
        assert isinstance(call, Call)
        count = len(self.partition)
        return replace(self, call=call, partition=tuple(rest[:count]), order=tuple(rest[count:]))

    @property
    def _key(self) -> tuple[object, ...]:
        return (self.call, self.partition, self.order, self.ways, Verbatim(self.frame)._key)

    @property
    def is_linear(self) -> bool:
        """Whether derivatives go through it."""
        return self.call.name in LINEAR

    @property
    def is_counted(self) -> bool:
        """Whether it depends on which rows are neighbours, so that rows that tie change its value."""
        by_place = self.frame is not None and self.frame["units"] != "Range"
        return by_place or SAME.get(self.call.name, self.call.name) in {"row_number", "ntile", "lag", "lead"} or (
            self.call.name in {"first_value", "last_value", "nth_value"})  # fmt: skip


def mirrored(over: Over, call: Call) -> Over:
    """The window in which a row sees the rows that see it.

    Args:
        over: a sum over a frame.
        call: what is summed.
    """
    if not over.order and over.frame is None:
        return replace(over, call=call)
    frame = over.frame or {"units": "Range", "start_bound": {"Preceding": None}, "end_bound": "CurrentRow"}
    bounds = {"start_bound": _turned(frame["end_bound"] or "CurrentRow"), "end_bound": _turned(frame["start_bound"])}
    return replace(over, call=call, frame={**frame, **bounds})


def _turned(bound: Tree) -> Tree:
    if bound == "CurrentRow":
        return bound
    ((side, distance),) = bound.items()
    return {"Following" if side == "Preceding" else "Preceding": distance}


def reversed_order(over: Over) -> Over:
    """The same window, its rows the other way round."""
    return replace(over, ways=tuple((not down, None if first is None else not first) for down, first in over.ways))


def with_trees(expression: Expression) -> Expression:
    """An expression in which each window function is a call that can be written."""
    return replace_parts(expression, lambda part: _call(part) if isinstance(part, Over) else None)


def _call(over: Over) -> Call:
    keys = [SortKey(e, *way) for e, way in zip(over.order, over.ways, strict=True)]
    partition = [expression_tree(each) for each in over.partition]
    return replace(over.call, window=Verbatim(window(partition, [_key_tree(key) for key in keys], over.frame)))


def _key_tree(key: SortKey) -> Tree:
    options = {"asc": False if key.descending else None, "nulls_first": key.nulls_first}
    return {"expr": expression_tree(key.expression), "options": options, "with_fill": None}

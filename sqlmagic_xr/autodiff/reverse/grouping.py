"""A GROUP BY being put together: each aggregate as sums, counts and extremes, of which the way back is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...relation.conditions import conjunction
from ...relation.functions import SAME
from ...sql.expression import Call, Cast, Column, Expression, Parameter, replace_parts
from ..doubles import REAL
from ..rules import read
from .blocks import Block, FromLeaf, active, label
from .keys import may_be_null
from .refusing import refused
from .rows import free
from .shares import same
from .slopes import kind_of_expression

SUMMED = frozenset({"sum", "count", "min", "max"})
"""The aggregates that are taken back; an average is a sum divided by a count."""

MOMENTS: Mapping[str, str] = {
    "var_pop": "CASE WHEN :n > 0 THEN :xx / :n END",
    "var_samp": "CASE WHEN :n > 1 THEN :xx / (:n - 1.0) END",
    "stddev_pop": "CASE WHEN :n > 0 THEN sqrt(:xx / :n) END",
    "stddev_samp": "CASE WHEN :n > 1 THEN sqrt(:xx / (:n - 1.0)) END",
    "covar_pop": "CASE WHEN :n > 0 THEN :xy / :n END",
    "covar_samp": "CASE WHEN :n > 1 THEN :xy / (:n - 1.0) END",
    "corr": "CASE WHEN :n > 1 THEN :xy / sqrt(:xx * :yy) END",
    "regr_avgx": "CASE WHEN :n > 0 THEN :x / :n END",
    "regr_avgy": "CASE WHEN :n > 0 THEN :y / :n END",
    "regr_count": ":n",
    "regr_sxx": ":xx",
    "regr_syy": ":yy",
    "regr_sxy": ":xy",
    "regr_slope": "CASE WHEN :n > 1 THEN :xy / :xx END",
    "regr_intercept": "CASE WHEN :n > 1 THEN :y / :n - :xy / :xx * (:x / :n) END",
    "regr_r2": "CASE WHEN :n > 1 THEN :xy * :xy / (:xx * :yy) END",
}
"""Aggregate -> the same of what is summed over the rows in which no argument is NULL: how many they are (n), the values
(x, y; in SQL the first argument is y), and products of their distances to the mean (xx, xy, yy)."""

_OF_SOME_ROW = frozenset({"first_value", "last_value", "nth_value", "array_agg", "string_agg"})


class Group:
    """A group's keys and aggregates.

    Args:
        rows: what is grouped.
        keys: what it is grouped by; nothing for one group, whatever rows there are.
        grouped: whether there is a GROUP BY.
    """

    def __init__(self, rows: Block, keys: Mapping[str, Expression], *, grouped: bool = True) -> None:
        self.rows, self.keys, self.grouped = rows, keys, grouped
        self.measures: dict[str, Expression] = {}
        self._leaf = label(rows.name)
        self._means: dict[Expression | None, tuple[str, dict[Expression, str]]] = {}

    def column(self, name: str) -> Expression:
        """A column of the group as it is read."""
        return FromLeaf(self._leaf, self.rows).column(name)

    def made(self) -> FromLeaf:
        """The group as a relation."""
        block, where = self.rows, [*self.rows.where]
        means = [self._mean(held) for held in self._means]
        for leaf in means:
            where += [same(e, leaf.column(k), may_be_null(self.rows, e)) for k, e in self.keys.items()]
        block = replace(block, source=(*block.source, *means), where=tuple(where))
        keys = tuple(self.keys) if self.grouped else ()
        return FromLeaf(self._leaf, replace(block, outputs={**self.keys, **self.measures}, keys=keys))

    def measure(self, call: Call, name: str) -> Expression:
        """Add what an aggregate of the rows is calculated from.

        Args:
            call: the aggregate.
            name: what it may be called.

        Returns:
            Its value where the group is read.
        """
        call = replace(call, name=SAME.get(call.name, call.name))
        live = bool(active(replace(self.rows, outputs={str(n): e for n, e in enumerate(call.args)}, keys=None)))
        if call.name in _OF_SOME_ROW:
            raise refused(f"{call.name} without an order takes any row", "Use MIN or MAX.", call)
        if live and call.distinct and call.name != "count":
            raise refused(f"{call.name} of DISTINCT values has no derivative", "Leave DISTINCT out.", call)
        if not live or call.name in SUMMED:
            return self._added(name, call)
        if call.name == "avg":
            total = self._added(f"sum_{name}", replace(call, name="sum", args=(self._real(call.args[0]),)))
            return Call("/", (total, Cast(self._added(f"count_{name}", replace(call, name="count")), REAL)))
        if call.name in MOMENTS:
            return self._moment(call, name)
        raise refused(f"{call.name} has no derivative through a whole query",
                      "Write it with SUM, AVG, COUNT, MIN and MAX.", call)  # fmt: skip

    def _added(self, name: str, call: Call) -> Expression:
        known = next((n for n, e in self.measures.items() if e == call), None)
        if known is None:
            known = free(name, {*self.measures, *self.keys})
            self.measures[known] = call
        return self.column(known)

    def _moment(self, call: Call, name: str) -> Expression:
        """A variance, a covariance, a regression: of distances to the mean, so that no digits are lost."""
        y, x = map(self._real, call.args if len(call.args) == 2 else call.args * 2)
        known = [Call("is not null", (e,)) for e in dict.fromkeys((x, y)) if may_be_null(self.rows, e)]
        held = conjunction([*([] if call.filter is None else [call.filter]), *known])
        sums: dict[str, Expression] = {"n": Call("count", (x,)), "x": Call("sum", (x,)), "y": Call("sum", (y,))}

        def value(part: Expression) -> Expression | None:
            if not isinstance(part, Parameter):
                return None
            what = part.name.lstrip(":")
            if what not in sums:
                one, other = (self._distance({"x": x, "y": y}[letter], held) for letter in what)
                sums[what] = Call("sum", (Call("*", (one, other)),))
            made = sums[what]
            assert isinstance(made, Call)
            found = self._added(f"{name}_{what}", replace(made, filter=held))
            return Cast(found, REAL) if what == "n" else found

        return replace_parts(read(MOMENTS[call.name]), value)

    def _distance(self, value: Expression, held: Expression | None) -> Expression:
        """The distance of a value to the mean of its group; the means of equal rows are one relation."""
        label_, known = self._means.setdefault(held, (label(f"means_{self.rows.name}"), {}))
        name = known.setdefault(value, free(f"mean_{len(known)}", self.keys))
        return Call("-", (value, Column((label_, name))))

    def _mean(self, held: Expression | None) -> FromLeaf:
        """The means that distances are to."""
        label_, known = self._means[held]
        means = {n: Call("avg", (e,), filter=held) for e, n in known.items()}
        keys = tuple(self.keys) if self.grouped else ()
        name = label_.split("#")[0]
        return FromLeaf(
            label_, Block(name, self.rows.source, self.rows.where, {**self.keys, **means}, keys, still=True)
        )

    def _real(self, expression: Expression) -> Expression:
        """A number that is summed as a double, as AVG does."""
        return expression if kind_of_expression(self.rows, expression) == "real" else Cast(expression, REAL)

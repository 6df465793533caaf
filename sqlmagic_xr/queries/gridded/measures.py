"""The aggregates of a query: what each takes of the groups, and its column in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ...dense.node import Refused
from ...relation.columns import Measure, SortKey
from ...relation.functions import SAME, is_given
from ...sql.expression import Call, Expression, Literal, Star
from .axes import INSIDE, coding
from .cells import DTYPES, FLOATS, INTEGERS, NUMBERS, Array, Cells, both, is_instant
from .codings import ordered
from .elementwise import cast
from .grid import CellGrid
from .groups import Groups, lengths
from .members import End, Median, Percentile
from .moments import Moments
from .scalars import CellScalars
from .tallies import Count, ExtremeTally, RealExtreme, RowCount, State, Sum, Tally, sum_type

Known = Callable[[Tally], State]
"""What a tally has come to."""


@dataclass(frozen=True)
class MeasuredColumn:
    """The column of an aggregate over all groups.

    Attributes:
        values: its cells.
        known: where they are not NULL; None for everywhere.
        type: its Arrow type.
    """

    values: Array
    known: Array | None
    type: pa.DataType

    def rows(self, places: Array, shape: Sequence[int]) -> pa.Array:
        """The cells of some groups, by their number."""
        values = np.broadcast_to(self.values, shape).reshape(-1)[places]
        mask = None if self.known is None else ~np.broadcast_to(self.known, shape).reshape(-1)[places]
        if is_instant(str(self.type)):
            bits = pa.int32() if self.type == pa.date32() else pa.int64()
            return pa.array(values.astype(bits.to_pandas_dtype()), bits, mask=mask).view(self.type)
        return pa.array(values, self.type, mask=mask)


Column = Callable[[Known], MeasuredColumn]


def refuse_unknown(measure: Measure) -> None:
    """Refuse an aggregate that is none that is known here.

    Raises:
        Refused: it is none.
    """
    call = measure.call
    known = (SAME.get(call.name, call.name), call.distinct) in _RULES and not is_given(call.name)
    if not known or measure.over or bool(measure.order) != (call.name in _ENDS):
        raise Refused(f"no array code over chunks for {call.name}{' of DISTINCT' * call.distinct}", call.span)


class Measures:
    """The aggregates of one GROUP BY.

    Args:
        grid: what they are taken of.
        scalars: lowers what stands in them.
        groups: the groups.
        where: the condition that is asked of each cell; None for none.

    Attributes:
        tallies: what has to be taken of the groups.
        entire: the axes that a block must have all positions of.
    """

    def __init__(self, grid: CellGrid, scalars: CellScalars, groups: Groups, where: Cells | None) -> None:
        self.grid, self.scalars, self.groups, self.where = grid, scalars, groups, where
        self.tallies: dict[Any, Tally] = {}
        self.entire: frozenset[int] = frozenset()
        self._masks: dict[Expression | None, Cells | None] = {None: where}

    def rows(self, mask: Cells | None, groups: Groups | None = None) -> Callable[[Known], Array]:
        """How many rows each group has for which a condition holds."""
        groups = self.groups if groups is None else groups
        if mask is None:
            count = lengths(groups, self.grid.shape)
            return lambda known: count
        tally = self._tally(RowCount(groups, mask), "rows", groups, mask)
        return lambda known: known(tally)[0]

    def column(self, measure: Measure) -> Column:
        """The column that an aggregate is.

        Raises:
            Refused: it is none that is known here.
        """
        call = measure.call
        name = SAME.get(call.name, call.name)
        rule = _RULES[(name, call.distinct)]
        mask = self._mask(call.filter)
        if call.name in _ENDS:
            return self.end(name, call, measure.order, mask)
        return rule(self, name, replace(call, filter=None), mask)

    def _mask(self, condition: Expression | None) -> Cells | None:
        if condition not in self._masks:
            assert condition is not None
            holds = self.scalars.holds(condition)
            self._masks[condition] = holds if self.where is None else both(self.where, holds)
        return self._masks[condition]

    def _tally(self, tally: Tally, *key: Any) -> Tally:
        return self.tallies.setdefault((type(tally), *key), tally)

    def _number(self, call: Call, place: int = 0) -> Cells:
        value = self.scalars.lower(call.args[place])
        if value.type not in NUMBERS and value.type != "halffloat":
            raise Refused(f"{call.name} of {value.type}", call.span)
        return value

    # The aggregates

    def count(self, name: str, call: Call, mask: Cells | None) -> Column:
        """COUNT: the rows, or those that have a value."""
        rows = self.rows(mask)
        if not call.args or isinstance(call.args[0], Star):
            return lambda known: MeasuredColumn(rows(known), None, pa.int64())
        if len(call.args) != 1:
            raise Refused("COUNT of several values", call.span)
        value = self._countable(call.args[0])
        if value.valid is None:
            return lambda known: MeasuredColumn(rows(known), None, pa.int64())
        tally = self._tally(Count(self.groups, value, mask), value, mask)
        whole = lengths(self.groups, self.grid.shape)
        return lambda known: MeasuredColumn(whole - known(tally)[0], None, pa.int64())

    def _countable(self, expression: Expression) -> Cells:
        axis = self.grid.axis(expression)
        if axis is None:
            return self.scalars.lower(expression)
        known = self.grid.along(axis, expression).is_valid()
        return self.grid.present(axis, np.asarray(known))

    def distinct(self, name: str, call: Call, mask: Cells | None) -> Column:
        """COUNT(DISTINCT x) of what varies along one axis."""
        axis = self.grid.axis(call.args[0]) if len(call.args) == 1 else None
        if axis is None:
            raise Refused("COUNT(DISTINCT ...) of what varies along several axes", call.span)
        values = self.grid.along(axis, call.args[0])
        own = self.groups.codings[axis]
        if own is not None and (own is INSIDE or own.axes):
            raise Refused("COUNT(DISTINCT ...) along an axis whose groups are those of several", call.span)
        keys = [values] if own is None else [pa.array(own.codes), values]
        finer = coding(keys)
        codings = list(self.groups.codings)
        codings[axis] = finer
        rows = self.rows(mask, Groups(codings))
        counts = np.asarray(finer.keys[-1].is_valid())
        place = np.zeros(finer.count, np.int64) if own is None else np.asarray(finer.keys[0])

        def found(known: Known) -> MeasuredColumn:
            there = np.moveaxis(rows(known) > 0, axis, 0) & counts.reshape(-1, *(1,) * (len(codings) - 1))
            total = np.zeros((self.groups.shape[axis], *there.shape[1:]), np.int64)
            np.add.at(total, place, there.astype(np.int64))
            return MeasuredColumn(np.moveaxis(total, 0, axis), None, pa.int64())

        return found

    def sum(self, name: str, call: Call, mask: Cells | None) -> Column:
        """SUM and AVG."""
        value = self._number(call)
        dtype = np.float64 if name == "avg" else sum_type(value.type)
        tally = self._tally(Sum(self.groups, value, mask, dtype=dtype), value, mask, np.dtype(dtype).name)
        whole = lengths(self.groups, self.grid.shape)
        kind = pa.from_numpy_dtype(np.dtype(dtype))

        def found(known: Known) -> MeasuredColumn:
            total, lost = known(tally)
            count = whole - lost
            with np.errstate(all="ignore"):
                values = total / np.maximum(count, 1) if name == "avg" else total
            return MeasuredColumn(values, count > 0, kind)

        return found

    def extreme(self, name: str, call: Call, mask: Cells | None) -> Column:
        """MIN and MAX, which of truth values are BOOL_AND and BOOL_OR."""
        value = self.scalars.lower(call.args[0])
        truths = name.startswith("bool_") and value.type != "bool"
        if truths or (value.type not in DTYPES and not is_instant(value.type)):
            raise Refused(f"{call.name} of {value.type}", call.span)
        low = name in ("min", "bool_and")
        kind = arrow_kind(value.type)
        if RealExtreme.takes(value):
            real = self._tally(
                RealExtreme(self.groups, value, mask, ufunc=np.fmin if low else np.fmax), value, mask, name
            )
            return lambda known: MeasuredColumn(known(real)[0], ~np.isnan(known(real)[0]), kind)
        tally = self._tally(
            ExtremeTally(self.groups, value, mask, ufunc=np.minimum if low else np.maximum), value, mask, name
        )
        whole = lengths(self.groups, self.grid.shape)

        def found(known: Known) -> MeasuredColumn:
            values, lost = known(tally)
            return MeasuredColumn(values, whole - lost > 0, kind)

        return found

    def spread(self, name: str, call: Call, mask: Cells | None) -> Column:
        """VAR and STDDEV."""
        value = self._number(call)
        tally = self._tally(Moments(self.groups, value, mask), value, mask)
        formula = _SPREADS[name]

        def found(known: Known) -> MeasuredColumn:
            sums = known(tally)
            _refuse_infinite(sums[2])
            return _found(*formula(*sums))

        return found

    def pair(self, name: str, call: Call, mask: Cells | None) -> Column:
        """COVAR, CORR and the regressions, which count the rows that have both values."""
        y, x = self._number(call, 0), self._number(call, 1)
        squares = not name.startswith(("covar", "regr_sxy", "regr_avg", "regr_count"))
        tally = self._tally(Moments(self.groups, y, mask, other=x, squares=squares), y, x, mask, squares)
        formula = _PAIRS[name]
        kind = pa.uint64() if name == "regr_count" else pa.float64()

        def found(known: Known) -> MeasuredColumn:
            sums = known(tally)
            if not name.startswith(("regr_avg", "regr_count")):
                _refuse_infinite(sums[5], *((sums[2], sums[4]) if squares else ()))
            if name == "regr_r2":
                _refuse_infinite(sums[5] * sums[5], sums[2] * sums[4])
            return _found(*formula(*sums), kind)

        return found

    def percentile(self, name: str, call: Call, mask: Cells | None) -> Column:
        """MEDIAN and PERCENTILE_CONT."""
        value = self._number(call)
        value = value if value.type in FLOATS else cast(value, "double")
        if name == "median":
            tally = self._tally(Median(self.groups, value, mask), value, mask)
        else:
            share = call.args[1] if len(call.args) == 2 else None
            if not isinstance(share, Literal) or not isinstance(share.value, float):
                raise Refused(f"this {call.name}", call.span)
            tally = self._tally(Percentile(self.groups, value, mask, share.value), value, mask, share.value)
        return self._whole(tally, value)

    def end(self, name: str, call: Call, order: Sequence[SortKey], mask: Cells | None) -> Column:
        """FIRST_VALUE and LAST_VALUE in an order along an axis."""
        value = self.scalars.lower(call.args[0])
        axis, places = ordered(self.grid, order[0])
        if self.groups.folded - {axis} - {a for a, n in enumerate(self.grid.shape) if n == 1}:
            raise Refused("several rows have the same place in an order", call.span)
        if axis not in self.groups.folded or len(call.args) != 1:
            raise Refused(f"this {call.name}", call.span)
        rank = np.empty(len(places), np.int64)
        rank[places if name == "first_value" else places[::-1]] = np.arange(len(places))
        tally = self._tally(End(self.groups, value, mask, axis, rank), name, value, mask, order[0].expression, axis)
        return self._whole(tally, value)

    def _whole(self, tally: Tally, value: Cells) -> Column:
        """The column of a tally that wants groups whole."""
        self.entire |= self.groups.folded
        kind = arrow_kind(value.type)

        def found(known: Known) -> MeasuredColumn:
            values, there = known(tally)
            return MeasuredColumn(values, there, kind)

        return found


def _found(values: Array, known: Array, kind: pa.DataType = pa.float64()) -> MeasuredColumn:  # noqa: B008 - a constant
    return MeasuredColumn(values.astype(np.uint64) if kind == pa.uint64() else values, known, kind)


def _over(number: Array, by: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(number / by)


Quantities = tuple[Array, Array]


def _refuse_infinite(*squares: Array) -> None:
    """Sums of squares that are no numbers: of what is too large the engine's query has an answer all the same."""
    if not all(np.isfinite(each).all() for each in squares):
        raise Refused("squares that are no numbers")


def _correlation(n: Array, y: Array, yy: Array, x: Array, xx: Array, xy: Array) -> Quantities:
    """CORR, which is NULL where a value does not vary."""
    return _over(xy, np.sqrt(xx) * np.sqrt(yy)), (n > 1) & (xx > 0) & (yy > 0)


_SPREADS: Mapping[str, Callable[[Array, Array, Array], Quantities]] = {
    "var_pop": lambda n, m, s: (_over(s, n), n > 0),
    "var_samp": lambda n, m, s: (_over(s, n - 1), n > 1),
    "stddev_pop": lambda n, m, s: (np.sqrt(_over(s, n)), n > 0),
    "stddev_samp": lambda n, m, s: (np.sqrt(_over(s, n - 1)), n > 1),
}
"""Of the count, the mean and the sum of squares: a value, and where there is one."""

_PAIRS: Mapping[str, Callable[..., Quantities]] = {
    "covar_pop": lambda n, y, yy, x, xx, xy: (_over(xy, n), n > 0),
    "covar_samp": lambda n, y, yy, x, xx, xy: (_over(xy, n - 1), n > 1),
    "corr": _correlation,
    "regr_count": lambda n, y, yy, x, xx, xy: (n, n >= 0),
    "regr_avgx": lambda n, y, yy, x, xx, xy: (x, n > 0),
    "regr_avgy": lambda n, y, yy, x, xx, xy: (y, n > 0),
    "regr_sxx": lambda n, y, yy, x, xx, xy: (xx, n > 0),
    "regr_syy": lambda n, y, yy, x, xx, xy: (yy, n > 0),
    "regr_sxy": lambda n, y, yy, x, xx, xy: (xy, n > 0),
    "regr_slope": lambda n, y, yy, x, xx, xy: (_over(xy, xx), (n > 1) & (xx != 0)),
    "regr_intercept": lambda n, y, yy, x, xx, xy: (y - _over(xy, xx) * x, (n > 1) & (xx != 0)),
    "regr_r2": lambda n, y, yy, x, xx, xy: (_over(xy * xy, xx * yy), (n > 1) & (xx != 0) & (yy != 0)),
}

_ENDS = ("first_value", "last_value")

_RULES: Mapping[tuple[str, bool], Callable[..., Column]] = {
    ("count", False): Measures.count, ("count", True): Measures.distinct,
    ("sum", False): Measures.sum, ("avg", False): Measures.sum,
    **{(name, distinct): Measures.extreme for name in ("min", "max") for distinct in (False, True)},
    **{(name, False): Measures.extreme for name in ("bool_and", "bool_or")},
    **{(name, False): Measures.spread for name in _SPREADS},
    **{(name, False): Measures.pair for name in _PAIRS},
    **{(name, False): Measures.percentile for name in ("median", "percentile_cont", "quantile_cont")},
    **{(name, False): Measures.end for name in _ENDS},
}  # fmt: skip

_ARROW = {
    **{name: getattr(pa, name)() for name in INTEGERS}, "float": pa.float32(), "double": pa.float64(),
    "halffloat": pa.float16(), "bool": pa.bool_(), "date32[day]": pa.date32(),
}  # fmt: skip


def arrow_kind(kind: str) -> pa.DataType:
    """The Arrow type of a name of one.

    Raises:
        Refused: array code does not make values of it.
    """
    found = _ARROW.get(kind)
    if found is not None:
        return found
    if "[" not in kind:
        raise Refused(f"values of type {kind}")
    name, unit = kind.rstrip("]").split("[")
    if name not in ("timestamp", "duration") or "," in unit:
        raise Refused(f"values of type {kind}")
    return getattr(pa, name)(unit)

"""Window functions over the cells of a grid: along one axis in its order, or over all cells of a partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dense.node import Refused
from ...relation.columns import Field, Measure
from ...relation.frames import Frame
from ...relation.functions import SAME, is_given
from ...sql.expression import Call, Expression, Literal, Star
from .axes import INSIDE
from .cells import DTYPES, Array, CellBlock, Cells, is_instant
from .codings import codings_of, ordered
from .frames import folded, frame_of, limits, moved
from .grid import CellGrid
from .scalars import CellScalars
from .tallies import sum_type

Rows = tuple[Array, Array | None]
"""Values along the first axis, and where they are not NULL; None for everywhere."""


@dataclass(frozen=True, eq=False)
class Order:
    """How the rows of each partition follow one another.

    Attributes:
        axis: the axis along which they lie.
        runs: the positions of each partition in their order; None where all of them are one in the order of the axis.
    """

    axis: int
    runs: tuple[Array, ...] | None

    def along(self, block: CellBlock, arrays: Sequence[Array | None], rule: Callable[..., Rows]) -> Rows:
        """What a rule makes of arrays over a block, partition by partition."""
        ahead = [None if a is None else np.moveaxis(_full(a, block), self.axis, 0) for a in arrays]
        if self.runs is None:
            return self._back(rule(*ahead))
        parts = [rule(*(None if a is None else a[run] for a in ahead)) for run in self.runs]
        first = parts[0][0]
        shape = (block.shape[self.axis], *first.shape[1:])
        values = np.empty(shape, first.dtype)
        known = None if all(k is None for _, k in parts) else np.ones(shape, np.bool_)
        for run, (part, there) in zip(self.runs, parts, strict=True):
            values[run] = part
            if known is not None and there is not None:
                known[run] = there
        return self._back((values, known))

    def _back(self, rows: Rows) -> Rows:
        values, known = rows
        return np.moveaxis(values, 0, self.axis), None if known is None else np.moveaxis(known, 0, self.axis)


def _full(values: Array, block: CellBlock) -> Array:
    return values if np.shape(values) == block.shape else np.broadcast_to(values, block.shape)


class Windows:
    """The window functions of one SELECT as cells.

    Args:
        grid: whose cells they go over.
        scalars: lowers what stands in them.

    Attributes:
        entire: the axes that a block must have all positions of.
    """

    def __init__(self, grid: CellGrid, scalars: CellScalars) -> None:
        self._grid, self._scalars = grid, scalars
        self.entire: set[int] = set()

    def cells(self, measure: Measure) -> Cells:
        """The values of a window function.

        Raises:
            Refused: there is no array code for it.
        """
        name = SAME.get(measure.call.name, measure.call.name)
        rule = _RULES.get(name)
        if rule is None or measure.call.distinct or is_given(name):
            raise Refused(f"no array code over chunks for {measure.call.name} over a window", measure.call.span)
        order = self._order(measure)
        self.entire.add(order.axis)
        return rule(self, name, measure, order)

    def _order(self, measure: Measure) -> Order:
        axis = self._axis(measure)
        codes = self._partitions(measure, axis)
        if not measure.order:
            return Order(axis, None if codes is None else _split(np.arange(len(codes)), codes))
        _, places = ordered(self._grid, measure.order[0])
        if codes is not None:
            return Order(axis, _split(places, codes[places]))
        return Order(axis, None if (places == np.arange(len(places))).all() else (places,))

    def _axis(self, measure: Measure) -> int:
        """The axis along which the rows of a partition lie.

        Raises:
            Refused: they lie along several.
        """
        if measure.order:
            return ordered(self._grid, measure.order[0])[0]
        _, codings = self._codings(measure)
        open_ = [a for a, c in enumerate(codings) if (c is None or not c.plain) and self._grid.shape[a] > 1]
        if len(open_) > 1:
            raise Refused("a window over several axes", measure.call.span)
        return open_[0] if open_ else 0

    def _codings(self, measure: Measure) -> Any:
        return codings_of(self._grid, [self._grid.source.resolved(key) for key in measure.partition])

    def _partitions(self, measure: Measure, axis: int) -> Array | None:
        """The number of the partition of each position along an axis; None where all of them are in one."""
        _, codings = self._codings(measure)
        for other, coding in enumerate(codings):
            if coding is INSIDE or (coding is not None and coding.axes):
                raise Refused("PARTITION BY what varies along several axes", measure.call.span)
            if other != axis and self._grid.shape[other] > 1 and (coding is None or not coding.plain):
                raise Refused("a window over several axes", measure.call.span)
        own = codings[axis]
        return None if own is None or own.count == 1 else own.codes

    # The functions

    def number(self, name: str, measure: Measure, order: Order) -> Cells:
        """ROW_NUMBER, and what ranks, as no two rows share a place in the order."""
        if measure.frame is not None or measure.call.args or measure.call.filter or not measure.order:
            raise Refused(f"this {measure.call.name.upper()}", measure.call.span)
        nothing = np.zeros((1,) * len(self._grid.axes))
        share = _SHARES.get(name)

        def rule(rows: Array) -> Rows:
            places = np.arange(1, len(rows) + 1, dtype=np.uint64)
            values = places if share is None else share(places.astype(np.float64), len(rows))
            return np.broadcast_to(values.reshape(-1, *(1,) * (rows.ndim - 1)), rows.shape), None

        return _made("uint64" if share is None else "double", order, [lambda block: nothing], rule, always=True)

    def fold(self, name: str, measure: Measure, order: Order) -> Cells:
        """SUM, AVG, COUNT, MIN and MAX."""
        frame, call = frame_of(measure), measure.call
        value, known = self._argument(call)
        always = known is None and _holds_itself(frame)
        if name == "count":
            return _made("int64", order, [value.of, _of(known)], _counting(frame), always=True)
        if name in ("sum", "avg"):
            if value.type not in DTYPES or value.type == "bool":
                raise Refused(f"{call.name} of {value.type}", call.span)
            dtype = np.dtype(np.float64 if name == "avg" else sum_type(value.type))
            rule = _summing(frame, dtype, mean=name == "avg")
            return _made(_KINDS[dtype], order, [value.of, _of(known)], rule, always=always)
        if value.type not in DTYPES and not is_instant(value.type):
            raise Refused(f"{call.name} of {value.type}", call.span)
        kind = np.dtype(np.int64) if is_instant(value.type) else DTYPES[value.type]
        ufunc = np.minimum if name == "min" else np.maximum
        rule = _extreme(frame, ufunc, kind, value.real)
        return _made(value.type, order, [value.of, _of(known)], rule, always=always, real=value.real)

    def _argument(self, call: Call) -> tuple[Cells, Cells | None]:
        """The argument of an aggregate, and where it counts."""
        nothing = np.zeros((1,) * len(self._grid.axes))
        value = Cells("int64", lambda block: nothing)
        if call.args and not isinstance(call.args[0], Star):
            (value,) = (self._scalars.lower(self._grid.source.resolved(argument)) for argument in call.args)
        elif call.name != "count":
            raise Refused(f"{call.name} of nothing", call.span)
        masks = [] if value.valid is None else [value.valid]
        if call.filter is not None:
            masks.append(self._scalars.holds(self._grid.source.resolved(call.filter)))
        return value, self._scalars.all(masks)

    def away(self, name: str, measure: Measure, order: Order) -> Cells:
        """LAG and LEAD."""
        call = measure.call
        args = [self._grid.source.resolved(argument) for argument in call.args]
        value = self._value(args[0], call)
        by = _whole(args[1]) if len(args) > 1 else 1
        other = args[2] if len(args) > 2 else Literal(None)
        if not measure.order or measure.frame is not None or call.filter or by is None:
            raise Refused(f"this {call.name.upper()}", call.span)
        if not isinstance(other, Literal) or (other.value is not None and value.type not in ("double", "int64")):
            raise Refused(f"the default of {call.name.upper()}", call.span)
        if isinstance(other.value, (bool, str)) or (isinstance(other.value, float) and value.type == "int64"):
            raise Refused(f"the default of {call.name.upper()}", call.span)
        filling = 0 if other.value is None else other.value
        by = by if name == "lead" else -by

        def rule(rows: Array, there: Array | None) -> Rows:
            found = moved(rows, by, filling)
            inside = moved(np.ones(rows.shape, np.bool_) if there is None else there, by, other.value is not None)
            return found, inside

        return _made(value.type, order, [value.of, _of(value.valid)], rule, always=False, real=value.real)

    def end(self, name: str, measure: Measure, order: Order) -> Cells:
        """FIRST_VALUE and LAST_VALUE."""
        call, frame = measure.call, frame_of(measure)
        if not measure.order or call.filter or len(call.args) != 1:
            raise Refused(f"this {call.name.upper()}", call.span)
        value = self._value(self._grid.source.resolved(call.args[0]), call)

        def rule(rows: Array, there: Array | None) -> Rows:
            low, high = limits(frame, len(rows))
            places = np.minimum(low, len(rows) - 1) if name == "first_value" else np.maximum(high - 1, 0)
            filled = (high > low).reshape(-1, *(1,) * (rows.ndim - 1))
            return rows[places], filled & (np.True_ if there is None else there[places])

        always = value.valid is None and _holds_itself(frame)
        return _made(value.type, order, [value.of, _of(value.valid)], rule, always=always, real=value.real)

    def _value(self, expression: Expression, call: Call) -> Cells:
        value = self._scalars.lower(expression)
        if value.type not in DTYPES and not is_instant(value.type):
            raise Refused(f"{call.name} of {value.type}", call.span)
        return value


_SHARES: Mapping[str, Callable[[Array, int], Array]] = {
    "percent_rank": lambda places, length: (places - 1) / max(length - 1, 1),
    "cume_dist": lambda places, length: places / length,
}


def _split(places: Array, codes: Array) -> tuple[Array, ...]:
    """Positions by the number of their partition, each in their order."""
    by_code = np.argsort(codes, kind="stable")
    return tuple(np.split(places[by_code], np.flatnonzero(np.diff(codes[by_code])) + 1))


def _holds_itself(frame: Frame) -> bool:
    """Whether each row is in its own frame."""
    begin, end = frame
    return (begin is None or begin <= 0) and (end is None or end >= 0)


def _whole(expression: Expression) -> int | None:
    if isinstance(expression, Call) and expression.name == "-" and len(expression.args) == 1:
        found = _whole(expression.args[0])
        return None if found is None else -found
    value = expression.value if isinstance(expression, Literal) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _of(cells: Cells | None) -> Callable[[CellBlock], Array | None]:
    return lambda block: None if cells is None else cells.of(block)


_KINDS = {DTYPES[kind]: kind for kind in ("double", "int64", "uint64")}


def _made(
    kind: str, order: Order, reads: Sequence[Callable[[CellBlock], Any]], rule: Callable[..., Rows], *,
    always: bool, real: bool = False,
) -> Cells:  # fmt: skip
    """A window function as cells; ``always`` says that it is NULL nowhere."""
    key = object()

    def both(block: CellBlock) -> Rows:
        found = block.known.get(key)
        if found is None:
            found = block.known[key] = order.along(block, [read(block) for read in reads], rule)
        return found

    def known(block: CellBlock) -> Array:
        there = both(block)[1]
        return np.True_ if there is None else there

    return Cells(kind, lambda block: both(block)[0], None if always else Cells("bool", known), real=real)


def _often(there: Array | None, frame: Frame, shape: tuple[int, ...]) -> Array:
    """How many rows of each frame count."""
    if there is None:
        low, high = limits(frame, shape[0])
        return (high - low).reshape(-1, *(1,) * (len(shape) - 1))
    return folded(np.add, there.astype(np.int32), frame, 0)


def _missing(there: Array | None) -> Array | None:
    """Where values are not NULL; None where that is everywhere, as in most blocks."""
    return None if there is None or there.all() else there


def _counting(frame: Frame) -> Callable[..., Rows]:
    def rule(rows: Array, there: Array | None) -> Rows:
        return np.broadcast_to(_often(_missing(there), frame, rows.shape), rows.shape).astype(np.int64), None

    return rule


def _summing(frame: Frame, dtype: Any, *, mean: bool) -> Callable[..., Rows]:
    def rule(rows: Array, there: Array | None) -> Rows:
        there = _missing(there)
        cells = rows if there is None else np.where(there, rows, rows.dtype.type(0))
        total, count = folded(np.add, cells, frame, 0, dtype), _often(there, frame, rows.shape)
        return (total / np.maximum(count, 1) if mean else total), count > 0

    return rule


def _extreme(frame: Frame, ufunc: Any, dtype: Any, real: bool) -> Callable[..., Rows]:
    low = ufunc is np.maximum
    if dtype.kind == "f":
        nothing = dtype.type(-np.inf if low else np.inf)
    elif dtype.kind == "b":
        nothing = np.bool_(not low)
    else:
        nothing = dtype.type(np.iinfo(dtype).min if low else np.iinfo(dtype).max)

    def rule(rows: Array, there: Array | None) -> Rows:
        there = _missing(there)
        cells = rows if there is None else np.where(there, rows, nothing)
        if not real and np.isnan(cells).any():
            raise Refused("the least or greatest of NaN is asked for")
        return folded(ufunc, cells, frame, nothing), _often(there, frame, rows.shape) > 0

    return rule


_RULES: Mapping[str, Callable[[Windows, str, Measure, Order], Cells]] = {
    **dict.fromkeys(("row_number", "rank", "dense_rank", "percent_rank", "cume_dist"), Windows.number),
    **dict.fromkeys(("sum", "avg", "count", "min", "max"), Windows.fold),
    **dict.fromkeys(("lag", "lead"), Windows.away),
    **dict.fromkeys(("first_value", "last_value"), Windows.end),
}


class ColumnsWithWindows:
    """The columns of a grid with window functions beside them (:class:`.scalars.Columns`)."""

    def __init__(self, grid: CellGrid) -> None:
        self._grid = grid
        self.windows: dict[Field, Cells] = {}

    def column(self, column: Field) -> Cells:
        """See :class:`.scalars.Columns`."""
        found = self.windows.get(column)
        return self._grid.column(column) if found is None else found

    def settled(self, expression: Expression) -> Cells | None:
        """See :class:`.scalars.Columns`."""
        return self._grid.settled(expression)

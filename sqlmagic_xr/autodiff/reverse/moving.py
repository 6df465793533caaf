"""Window functions along an order: as sums over frames and values of other rows, of which the way back is known.

An average is a sum over a count, the first value of a frame that of its partition or that of another row. What has no
derivative, such as a number that is counted, stands beside the rows as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ...relation import columns as bound
from ...relation import nodes
from ...relation.functions import SAME
from ...sql.expression import Call, Case, Cast, Column, Expression, Literal, from_tree
from ...sql.syntax import Tree
from ..doubles import REAL
from .blocks import Block, FromLeaf, Path, active, label, names, substituted
from .over import Over, reversed_order
from .refusing import refused, require_free
from .rows import is_total

if TYPE_CHECKING:
    from .reading import BlockReader

Whole = Callable[[tuple[Expression, ...], Expression], Expression]
"""What an aggregate over a partition is in each row."""

_ENDS = frozenset({"first_value", "last_value"})
_EXTREMES = {"min": "least", "max": "greatest"}
_FRAME = 64
"""So many rows of a frame are written out one by one."""


@dataclass
class MovingWindows:
    """The window functions along an order of one SELECT.

    Attributes:
        reader: says what columns mean.
        base: the rows.
        own: whether these rows are read here alone, so that they may get further columns.
        select: the SELECT.
        needed: the columns that the rows get.
    """

    reader: BlockReader
    base: FromLeaf
    own: bool
    select: nodes.Select
    needed: dict[str, Over] = field(default_factory=dict)
    _values: dict[str, Callable[[FromLeaf, Whole], Expression]] = field(default_factory=dict)
    _inside: dict[str, Expression] = field(default_factory=dict)

    # What is asked for

    def add(self, measure: bound.Measure) -> None:
        """Ask for a window function.

        Raises:
            DerivativeError: one through which no derivative goes.
        """
        over = self._over(measure)
        name = over.call.name
        if self._is_live(*over.call.args[1:]):
            raise refused(f"{name} has no derivative by its offset or default", "Make those constants.", measure.call)
        live = self._is_live(*over.call.args)
        if over.is_counted and not is_total(self._known(), over):
            raise refused(f"{name} looks at rows in an order in which it is not known that none tie",
                          "Add columns to its ORDER BY that name a row.", measure.call)  # fmt: skip
        self._values[measure.name] = self._made(over, measure) if live else self._shown(over)

    def _over(self, measure: bound.Measure) -> Over:
        call = self.reader.expression(measure.call)
        assert isinstance(call, Call)
        call = replace(call, name=SAME.get(call.name, call.name))
        if call.filter is not None and self._is_live(*call.args):
            kept = Case(((call.filter, call.args[0]),), None)
            call = replace(call, args=(kept, *call.args[1:]), filter=None)
        if call.distinct and self._is_live(*call.args):
            raise refused(f"{call.name} of DISTINCT values has no derivative", "Leave DISTINCT out.", measure.call)
        by = [self._column(self.reader.expression(e)) for e in measure.partition]
        keys = [self._column(self.reader.expression(k.expression)) for k in measure.order]
        computed = {str(n): self._inside.get(e.path[1], e) for n, e in enumerate(by)}
        require_free(Block("rows", (self.base,), (), computed), "PARTITION BY", self.select)
        ways = tuple((k.descending, k.nulls_first) for k in measure.order)
        args = [self._column(e) if self._is_live(e) else e for e in call.args]
        return Over(replace(call, args=tuple(args)), tuple(by), tuple(keys), ways, measure.frame)

    def _column(self, expression: Expression) -> Column:
        """A column of the rows that an expression is."""
        if isinstance(expression, Column):
            return expression
        for known, e in self._inside.items():
            if e == expression:
                return self.base.column(known)
        name = _free("x", len(self._inside), names(self.base.node))
        self._inside[name] = expression
        return self.base.column(name)

    def _is_live(self, *expressions: Expression) -> bool:
        own = [self._inside.get(e.path[1], e) if isinstance(e, Column) else e for e in expressions]
        return bool(active(Block("rows", (self.base,), (), {str(n): e for n, e in enumerate(own)})))

    # What it is made of

    def _made(self, over: Over, measure: bound.Measure) -> Callable[[FromLeaf, Whole], Expression]:
        name = over.call.name
        if name in ("sum", "count") or (name in ("lag", "lead") and _is_whole_number(over.call.args[1:2])):
            return self._shown(over)
        if name == "avg":
            total = self._shown(replace(over, call=Call("sum", (self._real(over.call.args[0]),))))
            count = self._shown(replace(over, call=replace(over.call, name="count")))
            return lambda rows, whole: Call("/", (total(rows, whole), Cast(count(rows, whole), REAL)))
        if name in _ENDS:
            return self._end(over, measure)
        if name in _EXTREMES:
            return self._extreme(over, measure)
        raise refused(f"{name} over a window that moves has no derivative through a whole query",
                      "SUM, AVG, COUNT, LAG, LEAD, FIRST_VALUE and LAST_VALUE have.", measure.call)  # fmt: skip

    def _extreme(self, over: Over, measure: bound.Measure) -> Callable[[FromLeaf, Whole], Expression]:
        """MIN or MAX over a frame of some rows: of the values that LAG and LEAD find in them."""
        value = over.call.args[0]
        offsets = _offsets(over.frame)
        if offsets is None:
            raise refused(f"{over.call.name} over a window that moves has a derivative over a frame of {_FRAME} ROWS "
                          "at most", "Say how many ROWS are PRECEDING and FOLLOWING.", measure.call)  # fmt: skip

        def at(offset: int) -> Callable[[FromLeaf, Whole], Expression]:
            if offset == 0:
                return lambda rows, whole: self._moved(value, rows)
            shift = Call("lag" if offset < 0 else "lead", (value, Literal(abs(offset))))
            return self._shown(replace(over, call=shift, frame=None))

        found = [at(offset) for offset in offsets]
        if len(found) == 1:
            return found[0]
        return lambda rows, whole: Call(_EXTREMES[over.call.name], tuple(each(rows, whole) for each in found))

    def _shown(self, over: Over) -> Callable[[FromLeaf, Whole], Expression]:
        shown = next((n for n, e in self.needed.items() if e == over), "")
        if not shown:
            shown = _free(over.call.name, len(self.needed), names(self.base.node))
            self.needed[shown] = over
        return lambda rows, whole: rows.column(shown)

    def _end(self, over: Over, measure: bound.Measure) -> Callable[[FromLeaf, Whole], Expression]:
        """The value of the first or the last row of a frame."""
        first = over.call.name == "first_value"
        value = over.call.args[0]
        frame = over.frame or {"units": "Range", "start_bound": {"Preceding": None}, "end_bound": "CurrentRow"}
        near: Tree = frame["start_bound" if first else "end_bound"] or "CurrentRow"
        far: Tree = frame["end_bound" if first else "start_bound"] or "CurrentRow"
        outward = "Preceding" if first else "Following"
        if not _holds_its_row(near, far, outward):
            raise refused(f"{over.call.name} over a frame that may be without its own row has no derivative",
                          "LAG and LEAD have.", measure.call)  # fmt: skip
        if near == "CurrentRow":
            return lambda rows, whole: self._moved(value, rows)
        edge = self._edge(over, value, first=first)
        distance = near[outward]
        if distance is None:
            return edge
        steps = from_tree(distance)
        if frame["units"] != "Rows" or not _is_whole_number((steps,)):
            raise refused(f"{over.call.name} over a RANGE of values has no derivative", "Use ROWS.", measure.call)
        shift = self._shown(replace(over, call=Call("lag" if first else "lead", (value, steps)), frame=None))
        number = self._number(over, first=first)
        return lambda rows, whole: Case(
            ((Call(">", (number(rows, whole), steps)), shift(rows, whole)),), edge(rows, whole)
        )  # fmt: skip

    def _edge(self, over: Over, value: Expression, *, first: bool) -> Callable[[FromLeaf, Whole], Expression]:
        """The value of the first or the last row of a partition: the sum over its one row of that number."""
        number = self._number(over, first=first)

        def made(rows: FromLeaf, whole: Whole) -> Expression:
            taken = Case(((Call("=", (number(rows, whole), Literal(1))), self._moved(value, rows)),), None)
            return whole(tuple(self._moved(e, rows) for e in over.partition), Call("sum", (taken,)))

        return made

    def _number(self, over: Over, *, first: bool) -> Callable[[FromLeaf, Whole], Expression]:
        numbered = replace(over, call=Call("row_number", ()), frame=None)
        return self._shown(numbered if first else reversed_order(numbered))

    def _real(self, expression: Expression) -> Expression:
        return self._column(Cast(expression, REAL)) if self._kind(expression) != "real" else expression

    def _kind(self, expression: Expression) -> str | None:
        from .slopes import kind_of_expression

        assert isinstance(expression, Column)
        own = self._inside.get(expression.path[1], expression)
        return kind_of_expression(Block("rows", (self.base,), (), {}), own)

    # The rows

    def _known(self) -> FromLeaf:
        """The rows with what is computed for windows."""
        if not self._inside:
            return self.base
        node = self.base.node
        shown: Mapping[str, Expression]
        if self.own and isinstance(node, Block):
            back: dict[Path, Expression] = {(self.base.label, n): e for n, e in node.outputs.items()}
            shown = {**node.outputs, **{n: substituted(e, back) for n, e in self._inside.items()}}
            return FromLeaf(self.base.label, replace(node, outputs=shown))
        shown = {**{n: self.base.column(n) for n in names(node)}, **self._inside}
        return FromLeaf(self.base.label, Block(f"{node.name}_rows", (self.base,), (), shown))

    def rows(self) -> tuple[FromLeaf, dict[Path, Expression]]:
        """The rows with the windows as columns, and what their columns are called there."""
        base = self._known()
        if base is not self.base and base.node.__class__ is Block and self.base in base.node.source:
            base = FromLeaf(label(base.node.name), base.node)
        inside: dict[Path, Expression] = {(self.base.label, n): base.column(n) for n in names(base.node)}
        outputs: dict[str, Expression] = {n: base.column(n) for n in names(base.node)}
        outputs |= {n: substituted(e, inside) for n, e in self.needed.items()}
        block = Block(f"{self.base.node.name}_windows", (base,), (), outputs)
        found = FromLeaf(label(block.name), block)
        return found, {(self.base.label, n): found.column(n) for n in names(base.node)}

    def _moved(self, expression: Expression, rows: FromLeaf) -> Expression:
        """An expression over the rows, over those with windows."""
        return substituted(expression, {(self.base.label, n): rows.column(n) for n in names(rows.node)})

    def value(self, measure: bound.Measure, rows: FromLeaf, whole: Whole) -> Expression:
        """What a window function is, over the rows with windows."""
        return self._values[measure.name](rows, whole)


def _holds_its_row(near: Tree, far: Tree, outward: str) -> bool:
    """Whether a frame from a bound on one side to another holds the row itself."""
    inward = "Following" if outward == "Preceding" else "Preceding"
    return (near == "CurrentRow" or outward in near) and (far == "CurrentRow" or inward in far)


def _offsets(frame: Tree) -> range | None:
    """How far the rows of a frame are from its own row; None unless it has some rows, and not many."""
    if frame is None or frame["units"] != "Rows":
        return None
    ends = [_distance(frame["start_bound"]), _distance(frame["end_bound"] or "CurrentRow")]
    if ends[0] is None or ends[1] is None or not 0 <= ends[1] - ends[0] < _FRAME:
        return None
    return range(ends[0], ends[1] + 1)


def _distance(bound_: Tree) -> int | None:
    """How many rows behind its own row a frame begins or ends; None where that is not written as a number."""
    if bound_ == "CurrentRow":
        return 0
    ((side, distance),) = bound_.items()
    steps = None if distance is None else from_tree(distance)
    if not isinstance(steps, Literal) or not isinstance(steps.value, int) or steps.value < 0:
        return None
    return steps.value if side == "Following" else -steps.value


def _is_whole_number(arguments: tuple[Expression, ...]) -> bool:
    """Whether an offset, if there is one, is written as a number of rows."""
    return all(isinstance(e, Literal) and isinstance(e.value, int) and e.value >= 0 for e in arguments)


def _free(name: str, number: int, taken: Collection[str]) -> str:
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"

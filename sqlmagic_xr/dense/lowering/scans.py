"""Tables as relations: which of their rows a query asks for, and what of the step's own writes it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...relation.columns import Field, Nested, Piece
from ...relation.names import Name
from ...relation.nodes import Scan
from ...sql.expression import Call, Expression, descend
from ..node import FLOATS, Axis, Graph, Node, Refused, Value, ancestors
from ..tables import ColumnExtreme, ScanRead, TableShape
from .relation import LoweredRelation, NamedColumn
from .scalar import Scalars

Constant = Callable[[Expression], Value]
"""Lowers an expression without columns; a subquery in it is one of one value."""

Writes = Mapping[Name, Sequence["Sequence[Mapping[str, Node]] | None"]]


@dataclass(frozen=True)
class Scans:
    """Makes the nodes that read tables.

    Attributes:
        graph: where they are made.
        writes: see :class:`.lower.Lowering`.
    """

    graph: Graph
    writes: Writes

    def scan(self, name: Name, table: TableShape, fixed: Mapping[str, Node]) -> LoweredRelation:
        """The grid of the rows of a table in which some columns of its key have these values."""
        fixed = {column: fixed[column] for column in table.columns if column in fixed}  # one order, so one node
        over = frozenset(fixed)
        key = None if table.key is None else tuple(k for k in table.key if k not in fixed)
        known = {*(table.key or ()), *fixed}
        columns = tuple(n for n, kind in table.columns.items() if kind is not None and n not in known)
        version, guards = self._version(name, fixed)
        read = ScanRead(name, version, tuple(fixed), key, columns, over in table.holes, among=table.among(over))
        scan = self.graph.make("scan", tuple(fixed.values()), data=read)
        return replace(self._scanned(scan, read, table, fixed), scans=(*guards, scan))

    def extreme(self, name: Name, what: ColumnExtreme) -> tuple[Node, Value]:
        """The greatest or least whole number of a column: the scan that reads it, and its value."""
        version, _ = self._version(name, {})
        scan = self.graph.make("scan", (), data=ScanRead(name, version, (), (), (what.column,), extreme=what))
        return scan, Value(self.graph.make("cells", (scan,), (), "int64", (what.column, False)))

    def _version(self, name: Name, fixed: Mapping[str, Node]) -> tuple[int, tuple[Node, ...]]:
        """How many writes a scan may see, and what must hold so that it does not see the others.

        A generation is written at ``:next_step`` and read at ``:k``: as long as the two differ, the rows that are read
        are those that were there before.
        """
        guards: list[Node] = []
        for place, parts in reversed(list(enumerate(self.writes.get(name, ())))):
            apart = [self._apart(part, fixed) for part in parts] if parts is not None else [None]
            if None in apart:
                return place + 1, tuple(guards)
            guards += [guard for guard in apart if guard is not None]
        return 0, tuple(guards)

    def _apart(self, part: Mapping[str, Node], fixed: Mapping[str, Node]) -> Node | None:
        """What says that the rows written are none of those read; None where they may be."""
        for column, wanted in fixed.items():
            written = part.get(column)
            if written is None or written is wanted or {written.type, wanted.type} != {"int64"}:
                continue
            if not any(node.op == "scan" for node in ancestors([wanted])):  # the newest generation may be the one
                return self.graph.make("differ", (written, wanted), (), "boolean")
        return None

    def _scanned(self, scan: Node, read: ScanRead, table: TableShape, fixed: Mapping[str, Node]) -> LoweredRelation:
        make = self.graph.make
        names = ("",) if read.key is None else read.key
        origins = [self.graph.axis(scan, place) for place in range(len(names))]
        axes = tuple(Axis(origin, origins[:place].count(origin)) for place, origin in enumerate(origins))
        columns = []
        for name, kind in table.columns.items():
            if kind is None:
                value = Value(make("unheld", (), (), "null", name))
            elif name in names:
                value = Value(self.graph.coordinate(axes[names.index(name)], kind))
            elif name in fixed:
                number = Scalars(self.graph, no_column, {})
                value = Value(number.to(fixed[name], kind) if kind != "label" else fixed[name])
            else:
                along = () if name in table.single else axes
                valid = make("known", (scan,), along, "boolean", name) if name in table.nulls else None
                value = Value(make("cells", (scan,), along, kind, (name, name in table.nulls)), valid)
            columns.append(NamedColumn(None, name, value))
        present = make("present", (scan,), axes, "boolean") if read.holes else None
        return LoweredRelation(axes, tuple(columns), present, scans=(scan,))


def equations(condition: Expression) -> tuple[tuple[Expression, Expression], ...]:
    """The two sides of a condition that says that they are equal, both ways round; () for any other."""
    if isinstance(condition, Call) and condition.name == "=":
        left, right = condition.args
        return (left, right), (right, left)
    return ()


def equal_columns(condition: Expression) -> tuple[tuple[Field, Field], ...]:
    """The two columns that a condition says are equal, both ways round; () for any other."""
    return tuple((a, b) for a, b in equations(condition) if isinstance(a, Field) and isinstance(b, Field))


@dataclass(frozen=True)
class Fixing:
    """A condition that says which value a column has.

    Attributes:
        column: the column.
        value: an expression without columns.
        condition: the condition as it was written; None for one that follows from others.
    """

    column: Field
    value: Expression
    condition: Expression | None


def fixing(condition: Expression) -> Fixing | None:
    """A condition as one that fixes a column; None where it is none."""
    for column, other in equations(condition):
        if isinstance(column, Field) and all(_is_constant(part) for part in descend(other)):
            return Fixing(column, other, condition)
    return None


def _is_constant(part: Expression) -> bool:
    return part.kind == "scalar" if isinstance(part, Nested) else not isinstance(part, (Field, Piece))


def fixed_by(
    table: TableShape, fixings: Sequence[Fixing], constant: Constant
) -> tuple[dict[str, Node], list[Expression]]:
    """The columns whose values are fixed, by which a table's rows are chosen, and the conditions that say no more."""
    found: dict[str, Node] = {}
    used: list[Expression] = []
    for each in fixings:
        assert isinstance(each.column.relation, Scan)
        name = each.column.relation.column(each.column.name)
        chooses = name in (table.key or ()) or (table.key is None and table.grows)
        if not chooses:
            continue
        value, kind = constant(each.value), table.columns[name]
        exact = (
            {value.type, kind} <= {"int32", "int64"}
            or value.type == kind == "label"
            or (value.type == kind == "boolean")
        )
        if exact and value.valid is None and not value.dims and kind not in FLOATS:
            found.setdefault(name, value.cells)
            if each.condition is not None and found[name] is value.cells:
                used.append(each.condition)
    return {name: found[name] for name in table.columns if name in found}, used


def no_column(column: Field) -> Value:
    """What a column means where none may stand.

    Raises:
        Refused: always.
    """
    raise Refused("a column where a constant was expected", column.span)

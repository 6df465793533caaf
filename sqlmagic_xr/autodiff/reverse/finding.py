"""Which derivatives in a statement go through whole queries: those of what was computed from other readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import SqlError
from ...relation import nodes
from ...relation.bind import Binder, BoundSelect
from ...relation.catalog import Catalog, Table
from ...relation.columns import Field, fields
from ...relation.facts import filled_by, key
from ...sql.clauses import outermost
from ...sql.expression import Call, Expression, descend
from ...sql.remembered import once_a_node
from ...sql.syntax import Tree, expression_sql
from .given import CellTable
from .refusing import refused


class Remembered:
    """The tables of a catalog, each asked for once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tables: dict[tuple[str, ...], Table | None] = {}

    def table(self, name: tuple[str, ...]) -> Table | None:
        """The table or view of that name, or None."""
        if name not in self._tables:
            self._tables[name] = self._catalog.table(name)
        return self._tables[name]

    def names(self) -> list[str]:
        """The names of all tables and views."""
        return self._catalog.names()


@dataclass(frozen=True)
class WholeQueryCalls:
    """A SELECT with derivatives of whole queries, and the calls."""

    reading: BoundSelect
    calls: tuple[Called | Directed, ...]


@dataclass(frozen=True)
class Called:
    """A call of grad or vjp.

    Attributes:
        call: the call.
        expression: what is derived.
        leaf: the relation in the FROM by whose column it is taken.
        name: that column's name there.
        origin: the reading of a table, or of a query, whose cell that column is: ``leaf`` itself, or one below it.
        shown: column of the origin -> what ``leaf`` calls it, of those that it shows.
    """

    call: Call
    expression: Expression
    leaf: nodes.Leaf
    name: str
    origin: nodes.Leaf
    shown: Mapping[str, str] = field(compare=False)

    @property
    def cell(self) -> str:
        """The column's name in the origin."""
        return next(inner for inner, outer in self.shown.items() if outer == self.name)


@dataclass(frozen=True)
class Directed:
    """A call of jvp: its expression, and for each column the relation, its name there and the tangent."""

    call: Call
    expression: Expression
    pairs: tuple[tuple[nodes.Leaf, str, Expression], ...]


def selects(tree: Tree, catalog: Catalog) -> Iterator[WholeQueryCalls]:
    """The SELECTs of a statement that have such calls, the inner ones first."""
    binder = Binder(catalog, rows=True)
    for query in outermost(tree):
        try:
            binder.query(query, {}, None)
        except SqlError:
            continue  # whoever runs it says what is wrong
    for reading in binder.selects:
        calls = tuple(_calls(reading))
        if calls:
            yield WholeQueryCalls(reading, calls)


_ARGUMENTS = {"grad": 2, "vjp": 3}
_DERIVATIVES = frozenset([*_ARGUMENTS, "jvp"])


def _calls(reading: BoundSelect) -> Iterator[Called | Directed]:
    seen: set[Expression] = set()
    for expression in expressions(reading.relation):
        for part in descend(expression):
            # Comparing each link of a chain with its equals would take the square of its length.
            if not isinstance(part, Call) or part.name not in _DERIVATIVES or part in seen:
                continue
            seen.add(part)
            found: Called | Directed | None = None
            if _ARGUMENTS.get(part.name) == len(part.args):
                found = _whole(part, part.args[1], reading)
            elif part.name == "jvp" and len(part.args) > 2 and len(part.args) % 2:
                found = _directed(part, reading)
            if found is not None:
                yield found


def _directed(call: Call, reading: BoundSelect) -> Directed | None:
    """A call of jvp, if it is taken through whole queries."""
    pairs = list(zip(call.args[1::2], call.args[2::2], strict=True))
    found = [(_whole(call, column, reading), column, tangent) for column, tangent in pairs]
    if not any(called for called, _, _ in found):
        return None
    for called, column, _ in found:
        direct = isinstance(column, Field) and any(f.relation is column.relation for f in fields(call.args[0]))
        if called is None and direct:
            raise refused(f"{_text(call)} is of this row by one column, and through whole queries by another",
                          "Add two calls of jvp.", call)  # fmt: skip
        if called is not None and called.origin is not called.leaf:
            raise refused(
                f"{called.name} is a cell of {called.origin.path[-1]}, not all of whose rows are here",
                f"Derive by a column of {called.origin.path[-1]}, with a tangent for each of its rows.",
                call,
            )
    kept = tuple((called.leaf, called.name, tangent) for called, _, tangent in found if called is not None)
    return Directed(call, call.args[0], kept)


def expressions(relation: nodes.Relation) -> Iterator[Expression]:
    """The expressions of a SELECT and of what it groups, windows and sorts."""
    todo = [relation]
    while todo:
        node = todo.pop()
        yield from node.expressions
        if isinstance(node, (nodes.Sort, nodes.Filtering)):
            todo.append(node.source)
        elif isinstance(node, nodes.Join):
            todo += node.inputs


def _whole(call: Call, variable: Expression, reading: BoundSelect) -> Called | None:
    """The call, if it is taken through whole queries by a column."""
    expression = call.args[0]
    if not isinstance(variable, Field) or not isinstance(variable.relation, nodes.Leaf):
        return None
    leaf = variable.relation
    others = [f for f in fields(expression) if f.relation is not leaf]
    in_sight = nodes.leaves(source_of(reading.relation))
    levels = list(_origins(leaf, variable.name))
    read = (level for level in levels if any(reads(f.relation, level[0]) for f in others))
    origin, shown = next(read, levels[-1])
    computed = [f for f in others if reads(f.relation, origin)]
    _require_one_meaning(call, origin, in_sight)
    if not computed:
        return None
    if leaf not in in_sight:
        raise refused(f"{variable.name} is of a query around this one", "Join the two in one FROM.", call)
    same = {variable.name} if isinstance(leaf, nodes.Scan) else set(leaf.names or ()) - set(key(leaf) or ())
    own = [f for f in fields(expression) if f.relation is leaf and f.name in same]
    if own:
        raise refused(
            f"{variable.name} stands in {_text(call)}, and {computed[0].name} was computed from other readings of it",
            f"Through all readings: compute the expression in a CTE and derive its column. In this row alone: "
            f"name {computed[0].name} and {variable.name} in one subquery and derive there.", call,
        )  # fmt: skip
    return Called(call, expression, leaf, variable.name, origin, shown)


def _origins(leaf: nodes.Leaf, name: str) -> Iterator[tuple[nodes.Leaf, dict[str, str]]]:
    """What a column is a cell of: its own relation, and those below through which it is only handed on."""
    shown = {n: n for n in leaf.names or () if n is not None and leaf.has(n)}
    yield leaf, shown
    while isinstance(leaf, nodes.Shared):
        inner = next(n for n, outer in shown.items() if outer == name)
        query = leaf.query.source if isinstance(leaf.query, nodes.Sort) else leaf.query
        if not isinstance(query, nodes.Select) or query.distinct or isinstance(query.source, nodes.Filtering):
            return
        cell = query.outputs[leaf.inner(inner)].expression
        if not isinstance(cell, Field) or not isinstance(cell.relation, nodes.Leaf) or cell.relation in filled_by(
                query.source):  # fmt: skip
            return
        below: dict[str, str] = {}
        for place, output in enumerate(query.outputs):
            e, here = output.expression, (leaf.names or ())[place]
            if isinstance(e, Field) and e.relation is cell.relation and here in shown:
                below.setdefault(e.name, shown[here])
        if shown[inner] != below.get(cell.name):
            below[cell.name] = name
        leaf, shown = cell.relation, below
        yield leaf, shown


def _require_one_meaning(call: Call, leaf: nodes.Leaf, in_sight: Sequence[nodes.Leaf]) -> None:
    """Raise DerivativeError for a bare name that is a column, and a loss of one column too."""
    first = call.args[0]
    if not isinstance(first, Field) or first.origin is None:
        return
    name = expression_sql(first.origin).strip('"')
    for other in in_sight:
        if other is not first.relation and other.path and other.path[-1] == name and reads(other, leaf):
            columns = ", ".join(f"{name}.{n}" for n in other.names or () if n is not None)
            raise refused(f"{name} is a column here, and a relation too", f"Write {columns} for the relation's.", call)


def source_of(relation: nodes.Relation) -> nodes.Relation:
    """What the FROM of a SELECT reads."""
    while isinstance(relation, (nodes.RowsOf, nodes.Filtering)):
        relation = relation.source
    return relation


def reads(relation: nodes.Relation, leaf: nodes.Leaf) -> bool:
    """Whether a relation computes from another reading of what a leaf reads."""
    if not isinstance(relation, nodes.Shared):
        return False
    cells = cells_of(leaf, "")
    return any(map(cells.of, _below(relation.query))) if cells is not None else False


@once_a_node
def _below(relation: nodes.Relation) -> tuple[nodes.Relation, ...]:
    """The relation and all below it: each column of each call asks for them."""
    return tuple(nodes.relations(relation))


def cells_of(leaf: nodes.Leaf, name: str) -> CellTable | None:
    """The cells that a column of a relation is."""
    if isinstance(leaf, nodes.Scan):
        return CellTable(leaf.table.name, None, frozenset({leaf.column(name)} if name else ()))
    if isinstance(leaf, nodes.Shared):
        return CellTable(None, leaf.query, frozenset({name} if name else ()))
    return None


def _text(call: Call) -> str:
    return "grad" if call.origin is None else expression_sql(call.origin)

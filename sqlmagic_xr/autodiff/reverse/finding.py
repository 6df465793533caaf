"""Which derivatives in a statement go through whole queries: those of what was computed from other readings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import SqlError
from ...relation import nodes
from ...relation.bind import Binder, Reading
from ...relation.catalog import Catalog, Table
from ...relation.columns import Field, fields
from ...sql.clauses import outermost
from ...sql.expression import Call, Expression, descend
from ...sql.syntax import Tree, expression_sql
from .reading import Cells
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
class Found:
    """A SELECT with derivatives of whole queries, and the calls."""

    reading: Reading
    calls: tuple[Called, ...]


@dataclass(frozen=True)
class Called:
    """A call: its expression, the relation in the FROM by whose column it is taken, and that column's name there."""

    call: Call
    expression: Expression
    leaf: nodes.Leaf
    name: str


def selects(tree: Tree, catalog: Catalog) -> Iterator[Found]:
    """The SELECTs of a statement that have such calls, the inner ones first."""
    binder = Binder(catalog)
    for query in outermost(tree):
        try:
            binder.query(query, {}, None)
        except SqlError:
            continue  # whoever runs it says what is wrong
    for reading in binder.selects:
        calls = tuple(_calls(reading))
        if calls:
            yield Found(reading, calls)


def _calls(reading: Reading) -> Iterator[Called]:
    seen: set[Expression] = set()
    for expression in expressions(reading.relation):
        for part in descend(expression):
            if not isinstance(part, Call) or part.name != "grad" or len(part.args) != 2 or part in seen:
                continue
            seen.add(part)
            found = _whole(part, reading)
            if found is not None:
                yield found


def expressions(relation: nodes.Relation) -> Iterator[Expression]:
    """The expressions of a SELECT and of what it groups, windows and sorts."""
    todo = [relation]
    while todo:
        node = todo.pop()
        yield from node.expressions
        if isinstance(node, (nodes.Sort, nodes.Reader)):
            todo.append(node.source)
        elif isinstance(node, nodes.Join):
            todo += node.inputs


def _whole(call: Call, reading: Reading) -> Called | None:
    """The call, if it is taken through whole queries."""
    expression, variable = call.args
    if not isinstance(variable, Field) or not isinstance(variable.relation, nodes.Leaf):
        return None
    leaf = variable.relation
    others = [f for f in fields(expression) if f.relation is not leaf]
    computed = [f for f in others if reads(f.relation, leaf)]
    if not computed:
        return None
    own = [f for f in fields(expression) if f.relation is leaf and f.name == variable.name]
    if own:
        raise refused(
            f"{variable.name} stands in {_text(call)}, and {computed[0].name} was computed from other readings of it",
            f"Through all readings: compute the expression in a CTE and derive its column. In this row alone: "
            f"name {computed[0].name} and {variable.name} in one subquery and derive there.", call,
        )  # fmt: skip
    return Called(call, expression, leaf, variable.name)


def reads(relation: nodes.Relation, leaf: nodes.Leaf) -> bool:
    """Whether a relation computes from another reading of what a leaf reads."""
    if not isinstance(relation, nodes.Shared):
        return False
    cells = cells_of(leaf, "")
    return any(map(cells.of, nodes.relations(relation.query))) if cells is not None else False


def cells_of(leaf: nodes.Leaf, name: str) -> Cells | None:
    """The cells that a column of a relation is."""
    if isinstance(leaf, nodes.Scan):
        return Cells(leaf.table.name, None, frozenset({leaf.column(name)} if name else ()))
    if isinstance(leaf, nodes.Shared):
        return Cells(None, leaf.query, frozenset({name} if name else ()))
    return None


def _text(call: Call) -> str:
    return "grad" if call.origin is None else expression_sql(call.origin)

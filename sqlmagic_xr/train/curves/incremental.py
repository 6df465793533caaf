"""When a curve can be had generation by generation: the query that gives only the new ones.

A query falls apart by generation where every one of its rows comes from one generation of the trajectory, and says
which: it groups by the step column, or carries it along row by row, on every level between the trajectory and the
result. Then the rows of the generations from ``a`` to ``b`` are the same query over those generations alone.
Whatever is not surely so is declined, and evaluated whole.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ...relation.change import exchanged_tree
from ...relation.columns import Field, subqueries
from ...relation.names import Name
from ...relation.nodes import Aggregate, Join, Opaque, Relation, Scan, Select, Shared, Sort, Window
from ...relation.reads import parameters, tables_read
from ...sql.syntax import Tree, make_identifier, parse_one, replace

AFTER, UPTO = "generation_after", "generation_upto"
"""The parameters of the restricted query: the generations behind the first, up to and with the second."""
MADE = "generation_made"
"""The parameter of the query over one generation."""


class _WholeError(Exception):
    """The query does not fall apart; says why."""


def restrict(
    query: Tree, bound: Relation, table: str, column: str, *, changing: frozenset[str], varying: frozenset[str]
) -> tuple[Tree, str] | None:
    """The query over the generations behind ``:generation_after`` up to ``:generation_upto``.

    Args:
        query: a statement's tree.
        bound: what it means.
        table, column: the trajectory and its step column.
        changing: the other tables that a step changes.
        varying: the parameters whose value changes from step to step.

    Returns:
        The restricted query, and the name of the result's column that is the step; None where the query has to be
        evaluated whole.
    """
    trajectory: Name = (table,)
    try:
        if not tables_read(bound).isdisjoint((name,) for name in changing) or parameters(bound) & varying:
            return None
        steps = _Carried(trajectory, column).names(bound)
    except _WholeError:
        return None
    return _over(query, bound, trajectory, column, _SEVERAL), min(steps)


def over_one(query: Tree, bound: Relation, table: str, column: str) -> Tree:
    """A query that can be restricted (:func:`restrict`), over the generation ``:generation_made`` alone."""
    return _over(query, bound, (table,), column, f"c = :{MADE}")


def _over(query: Tree, bound: Relation, trajectory: Name, column: str, condition: str) -> Tree:
    def part(scan: Scan) -> Tree | None:
        return _part(scan, column, condition) if scan.table.name == trajectory else None

    return {"Query": exchanged_tree(query["Query"], bound, part)}


def step_of(bound: Relation, table: str, column: str) -> str | None:
    """The column of a query's result that is a table's step; None where a row comes from several steps, or tells none.

    Args:
        bound: the query.
        table, column: the table and its step column.
    """
    try:
        return min(_Carried((table,), column).names(bound))
    except _WholeError:
        return None


@dataclass(frozen=True)
class _Carried:
    """Finds the columns that tell the generation which a row comes from.

    Attributes:
        table, column: the trajectory and its step column.
    """

    table: Name
    column: str

    def names(self, relation: Relation) -> frozenset[str]:
        """The columns of a query that are the step.

        Raises:
            _WholeError: the query does not fall apart, or does not read the trajectory.
        """
        found = self._of(relation)
        if not found:
            raise _WholeError("it does not say which generation a row belongs to")
        return frozenset(field.name for field in found)

    def _reads(self, relation: Relation) -> bool:
        return self.table in tables_read(relation)

    def _of(self, relation: Relation) -> frozenset[Field]:
        """The columns in sight of a reader of this relation that are the step; none where it reads no trajectory."""
        if isinstance(relation, Opaque):
            raise _WholeError(relation.why)
        if not self._reads(relation):
            return frozenset()
        if any(self._reads(nested) for e in relation.expressions for nested in subqueries(e)):
            raise _WholeError("a subquery reads the trajectory")
        match relation:
            case Scan():
                return frozenset(f for n in relation.names if n is not None and relation.column(n) == self.column
                                 for f in [relation[n]])  # fmt: skip
            case Shared(query=query) if relation.kind != "working":
                inside = self.names(query)
                renamed = zip(query.names or (), relation.names or (), strict=True)
                return frozenset(relation[str(outer)] for inner, outer in renamed if inner in inside)
            case Join():
                return self._joined(relation)
            case Sort():
                return frozenset(relation.source[name] for name in self.names(relation.source))
            case Aggregate():
                return self._grouped(relation)
            case Window():
                return self._windowed(relation)
            case Select():
                return self._selected(relation)
        raise _WholeError("a clause that is not known to fall apart")

    def _joined(self, join: Join) -> frozenset[Field]:
        """The step of the one side that has it, if the join keeps no row without it."""
        left, right = self._of(join.left), self._of(join.right)
        if left and right:
            raise _WholeError("it reads the trajectory twice")
        if join.kind == "full" or (join.kind == "left" and right) or (join.kind == "right" and left):
            raise _WholeError("a join that keeps rows without a partner")
        return left | right

    def _grouped(self, group: Aggregate) -> frozenset[Field]:
        steps = self._of(group.source)
        found = [key for key in group.keys if key.expression in steps]
        if not found or group.sets:
            raise _WholeError("it groups across generations")
        return frozenset(group[str(key.name)] for key in found)

    def _windowed(self, window: Window) -> frozenset[Field]:
        steps = self._of(window.source)
        if any(steps.isdisjoint(measure.partition) for measure in window.measures):
            raise _WholeError("a window looks at several generations")
        return steps

    def _selected(self, select: Select) -> frozenset[Field]:
        steps = self._of(select.source)
        names: Collection[str] = [o.name for o in select.outputs if o.expression in steps and o.name is not None]
        if not names or isinstance(select.distinct, tuple) or not all(map(select.has, names)):
            # Without the step among its columns DISTINCT, or whoever reads them, looks at all generations at once.
            raise _WholeError("it does not say which generation a row belongs to")
        return frozenset(map(select.__getitem__, names))


_SEVERAL = f"c > :{AFTER} AND c <= :{UPTO}"


def _part(scan: Scan, column: str, condition: str) -> Tree:
    """Some of the trajectory's generations, as a relation in FROM."""
    pattern = parse_one(
        f"SELECT * FROM (SELECT * FROM t WHERE {condition}) AS a"
    ).tree["Query"]["body"]["Select"]["from"][0]["relation"]["Derived"]  # fmt: skip
    own = scan.tree["Table"]

    def fill(inner: dict[str, Tree]) -> Tree | None:
        if set(inner) == {"Table"}:
            return {"Table": {**own, "alias": None}}
        if set(inner) == {"Identifier"} and inner["Identifier"]["value"] == "c":
            return {"Identifier": make_identifier(column)}
        return None

    alias = own["alias"] or {**pattern["alias"], "name": make_identifier(scan.path[-1])}
    return {"Derived": {**pattern, "subquery": replace(pattern["subquery"], fill), "alias": alias}}

"""What an aggregate reads: the datasets and small relations of its FROM, which columns are equal, and what must hold.

Subqueries, CTEs and views that only select and filter are looked through, so that their columns are expressions of what
they read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ...dense.node import Refused
from ...relation.columns import Field, subqueries
from ...relation.conditions import conjuncts
from ...relation.facts import using_pairs
from ...relation.nodes import Aggregate, Join, Leaf, Relation, Select, Shared, Values, Window
from ...relation.rebuild import substituted
from ...sql.expression import Call, Expression


@dataclass
class AggregateSource:
    """The rows that an aggregate reads.

    Attributes:
        leaves: the relations that are joined.
        optional: those of them that a LEFT JOIN adds, with the conditions of that join.
        conditions: what holds of each row, in pieces.
        meanings: column of a relation that is looked through -> what it is.
    """

    leaves: list[Leaf] = field(default_factory=list)
    optional: dict[Leaf, list[Expression]] = field(default_factory=dict)
    conditions: list[Expression] = field(default_factory=list)
    meanings: dict[Field, Expression] = field(default_factory=dict)

    def resolved(self, expression: Expression) -> Expression:
        """An expression over the leaves."""
        return substituted(expression, self._meaning)

    def unjoined(self, datasets: Collection[Leaf], main: Leaf) -> list[Leaf]:
        """The relations, no datasets, none of whose columns is said to be equal to one of another relation."""
        pairs = [pair for condition in self.conditions if (pair := equal_columns(condition)) is not None]
        joined = {column.relation for pair in pairs for column in pair}
        return [leaf for leaf in self.leaves if leaf not in (main, *datasets, *self.optional) and leaf not in joined]

    def _meaning(self, part: Expression) -> Expression | None:
        return self.meanings.get(part) if isinstance(part, Field) else None

    def add(self, condition: Expression | None) -> None:
        """One more condition."""
        if condition is not None:
            self.conditions += map(self.resolved, conjuncts(condition))


def source_of(reader: Aggregate | Window) -> AggregateSource:
    """What an aggregate or a window reads.

    Raises:
        Refused: it is not made of tables, and of what selects and filters them.
    """
    found = AggregateSource()
    _walk(reader.source, found)
    found.add(reader.condition)
    return found


def _walk(relation: Relation, found: AggregateSource) -> None:
    match relation:
        case Join(kind="cross" | "inner"):
            _walk(relation.left, found)
            _walk(relation.right, found)
            found.add(relation.on)
            for one, other in using_pairs(relation):
                found.add(Call("=", (one, other)))
        case Join(kind="left", right=Leaf() as right):
            _walk(relation.left, found)
            pairs = [Call("=", pair) for pair in using_pairs(relation)]
            conditions = [*pairs, *conjuncts(relation.on)]
            found.leaves.append(right)
            found.optional[right] = [found.resolved(condition) for condition in conditions]
        case Shared(query=Select() as select) if _is_plain(relation, select):
            _look_through(relation, select, found)
        case Values(rows=((),)):
            pass  # one row without a column, which a SELECT without FROM reads
        case Leaf():
            found.leaves.append(relation)
        case _:
            raise Refused(f"{type(relation).__name__.lower()} below a GROUP BY", relation.span)


def _is_plain(shared: Shared, select: Select) -> bool:
    """Whether a relation only selects and filters."""
    if shared.kind == "working" or select.distinct or isinstance(select.source, (Aggregate, Window)):
        return False
    return shared.names is not None and not any(True for e in select.expressions for _ in subqueries(e))


def _look_through(shared: Shared, select: Select, found: AggregateSource) -> None:
    _walk(select.source, found)
    found.add(select.condition)
    for name, output in zip(shared.names or (), select.outputs, strict=True):
        if name is not None and shared.has(name):
            found.meanings[Field(shared, name)] = found.resolved(output.expression)


def equal_columns(condition: Expression) -> tuple[Field, Field] | None:
    """The two columns of different relations that a condition says are equal."""
    if isinstance(condition, Call) and condition.name == "=":
        one, other = condition.args
        if isinstance(one, Field) and isinstance(other, Field) and one.relation is not other.relation:
            return one, other
    return None

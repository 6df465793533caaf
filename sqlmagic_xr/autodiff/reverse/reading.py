"""Bound queries -> blocks: what reads the cells is taken apart, what does not is read as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from ...relation import columns as bound
from ...relation import nodes
from ...relation.bind import Cte
from ...relation.catalog import Catalog
from ...relation.conditions import conjuncts
from ...relation.facts import always_one_row, key, using_pairs
from ...relation.rebuild import substituted as rebuilt
from ...relation.write import written
from ...sql.build import cte_names
from ...sql.expression import Call, Expression
from .blocks import Block, BlockUnion, From, FromLeaf, Joined, Node, Path, label, labels, leaves, names, substituted
from .correlated import value_by_row
from .given import CellTable, Givens, called_so
from .keys import kind_of
from .refusing import refused, require_steady
from .selecting import first_of_each, limited, selected


@dataclass(frozen=True)
class SubqueryValue:
    """The value of a query inside an expression, as one more relation.

    Attributes:
        leaf: it.
        on: for one that depends on the row, by what its rows are joined; None for one row.
    """

    leaf: FromLeaf
    on: tuple[Expression, ...] | None = None


class BlockReader(Givens):
    """Makes blocks of bound queries; what is read twice becomes one block.

    Args:
        cells: by what derivatives are taken.
        ctes: the CTEs that may be named where the derivative is written.
        catalog: what tables there are.
    """

    def __init__(self, cells: CellTable, ctes: Mapping[str, Cte], catalog: Catalog) -> None:
        super().__init__(cells, ctes, catalog)
        self._queries: dict[nodes.Relation, Node] = {}
        self.beside: list[SubqueryValue] = []
        self.columns: dict[nodes.Relation, Callable[[str], Expression]] = {}

    def query(self, query: nodes.Relation, name: str) -> Node:
        """The block, or the UNION of blocks, that a query is."""
        if query not in self._queries:
            self._queries[query] = self._query(query, name)
        return self._queries[query]

    def _query(self, query: nodes.Relation, name: str) -> Node:
        match query:
            case nodes.Sort(source=nodes.Select(distinct=tuple()) as select):
                return first_of_each(self, select, query.keys, self._alone(select, name))
            case nodes.Sort():
                return self.query(query.source, name)
            case nodes.Select(distinct=tuple()):
                return first_of_each(self, query, (), self._alone(query, name))
            case nodes.Select():
                return self._alone(query, name)
            case nodes.Shared():
                return self.query(query.query, name)
            case nodes.Union(operator="union", all=True):
                parts = [self.query(part, name) for part in query.parts]
                return BlockUnion(name, tuple(_plain(part, query, name) for part in parts))
            case nodes.Union():
                raise refused(f"no derivative goes through {query.operator.upper()} of distinct rows",
                              "UNION ALL can be; or derive inside its branches.", query)  # fmt: skip
            case nodes.Limit():
                return limited(self, query, self.query(query.source, name))
            case nodes.Recursive():
                raise refused(f"no derivative goes through the recursion {query.name}",
                              "Write its steps out, or train step by step.", query)  # fmt: skip
            case nodes.Opaque():
                raise refused(f"no derivative goes through this query: {query.why}",
                              "Write that part in another way, or derive inside it.", query)  # fmt: skip
        raise refused("no derivative goes through this query", "Write it as a SELECT.", query)

    # FROM

    def _leaf(self, leaf: nodes.Relation) -> FromLeaf:
        name = called_so(leaf)
        node: Node | None = self.given(leaf) if self.cells.of(leaf) or not self.reads(leaf) else None
        if node is None:
            if not isinstance(leaf, nodes.Shared):
                raise refused(f"no derivative goes through {name}: it is not known what it reads",
                              "Write it as a SELECT.", leaf)  # fmt: skip
            node = self.query(leaf.query, name)
        found = FromLeaf(label(name), node)
        self.columns[leaf] = lambda column: found.column(self.inner(leaf, column))
        return found

    def source(self, source: nodes.Relation, where: list[Expression]) -> tuple[From, ...]:
        """What a FROM reads, side by side; the conditions of inner joins go to ``where``."""
        if isinstance(source, nodes.Values) and source.rows == ((),):
            return ()
        if not isinstance(source, nodes.Join):
            return (self._leaf(source),)
        if source.kind in ("cross", "inner"):
            sides = (*self.source(source.left, where), *self.source(source.right, where))
            where += self._on(source)
            return sides
        sides = tuple(self._side(side) for side in (source.left, source.right))
        return (Joined(sides[0], sides[1], source.kind, tuple(self._on(source))),)  # type: ignore[arg-type]

    def _side(self, source: nodes.Relation) -> From:
        """A side of an outer join, as one part."""
        if isinstance(source, nodes.Join) and source.kind in ("cross", "inner"):
            left, right = self._side(source.left), self._side(source.right)
            return Joined(left, right, "inner", tuple(self._on(source)))
        (part,) = self.source(source, [])
        return part

    def _on(self, join: nodes.Join) -> list[Expression]:
        found: list[Expression] = [Call("=", (self.expression(a), self.expression(b))) for a, b in using_pairs(join)]
        found += self.conditions(join.on)
        if join.kind not in ("cross", "inner"):
            self.require_none_beside(join)
        return found

    def conditions(self, condition: Expression | None) -> list[Expression]:
        """What a condition is the conjunction of, over labels."""
        return [] if condition is None else list(conjuncts(self.expression(condition)))

    def expression(self, expression: Expression) -> Expression:
        """A bound expression as one over labels."""
        return self.over(expression, lambda part: None)

    def over(self, expression: Expression, first: Callable[[Expression], Expression | None]) -> Expression:
        """A bound expression as one over labels, but for the parts that ``first`` says otherwise of."""
        require_steady(expression)

        def change(part: Expression) -> Expression | None:
            found = first(part)
            if found is not None:
                return found
            if isinstance(part, bound.Field):
                column = self.columns.get(part.relation)
                if column is None:
                    raise refused(f"{part.name} is of a query around this one", "Join the two instead.", part)
                return column(part.name)
            return self._nested(part) if isinstance(part, bound.Nested) else None

        return rebuilt(expression, change)

    def _nested(self, part: bound.Nested) -> Expression | None:
        """A query inside an expression; None for one that stays there."""
        if part.query.free:
            joined, value = value_by_row(self, part)
            self.beside += [SubqueryValue(*each) for each in joined]
            return value
        if part.kind == "scalar" and self.reads(part.query):
            return self._value_of(part)
        self.require_rows(part.query)  # a condition: it says which rows there are, and has no derivative
        self.require_seen(part.query, cte_names(written(part.query)), part)
        return None

    def _value_of(self, part: bound.Nested) -> Expression:
        """The one value of a query inside an expression, as a column of one more relation beside those of the FROM."""
        node = self.query(part.query, "value")
        if not isinstance(node, Block) or key(part.query) != ():
            raise refused("a query inside an expression that may have several rows has no derivative",
                          "Give it an aggregate, or conditions on its whole key.", part)  # fmt: skip
        name = next(iter(node.outputs))
        if not always_one_row(part.query):
            inner = FromLeaf(label(node.name), node)
            if kind_of(node, name) not in ("real", "integer"):
                raise refused("a query inside an expression that is no number has no derivative", "Join it.", part)
            # of one row the sum is its value, and of none there is one row with NULL, as SQL says
            node = Block(node.name, (inner,), (), {name: Call("sum", (inner.column(name),))}, ())
        leaf = FromLeaf(label(node.name), node)
        self.beside.append(SubqueryValue(leaf))
        return leaf.column(name)

    def taken(self, block: Block) -> Block:
        """A block with the values of queries inside its expressions beside what its FROM reads."""
        source = [*block.source]
        for beside in self.beside:
            if beside.on is None:
                source.append(beside.leaf)
                continue
            used = frozenset().union(*map(labels, beside.on)) - {beside.leaf.label}
            near = [part for part in source if not used.isdisjoint(x.label for x in leaves(part))] or source[:1]
            whole = reduce(lambda a, b: Joined(a, b, "inner"), near)
            made = Joined(whole, beside.leaf, "left", beside.on)
            source = [made if part is near[0] else part for part in source if part is near[0] or part not in near]
        self.beside = []
        return replace(block, source=tuple(source))

    def require_none_beside(self, where: object) -> None:
        """Raise DerivativeError where a query inside an expression stands where it cannot be joined."""
        if self.beside:
            raise refused("a query inside ON of an outer join, or inside a window, has no derivative",
                          "Join it in a subquery first.", where)  # fmt: skip

    # SELECT

    def _alone(self, select: nodes.Select, name: str) -> Node:
        around, self.beside = self.beside, []
        try:
            return selected(self, select, name)
        finally:
            self.beside = around

    def rename(self, new: Mapping[Path, Expression]) -> None:
        """Let the columns of a FROM be those of the rows that a group or windows look at."""
        if new:
            for relation, old in list(self.columns.items()):
                self.columns[relation] = _through(old, new)


def _through(old: Callable[[str], Expression], new: Mapping[Path, Expression]) -> Callable[[str], Expression]:
    return lambda name: substituted(old(name), new)


def _plain(node: Node, query: nodes.Relation, name: str) -> Block:
    """A branch of a UNION, with no column but those that it shows."""
    if isinstance(node, Block):
        if node.groups:
            leaf = FromLeaf(label(name), node)
            return Block(name, (leaf,), (), {n: leaf.column(n) for n in list(node.outputs)[: len(query.names or ())]})
        return node
    leaf = FromLeaf(label(name), node)
    return Block(name, (leaf,), (), {n: leaf.column(n) for n in names(node)})

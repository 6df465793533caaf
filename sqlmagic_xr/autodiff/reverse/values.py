"""What stands in the place of a derivative of whole queries: an expression, and the relations that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from ...relation import nodes
from ...relation.catalog import Catalog
from ...relation.columns import Field, fields
from ...relation.conditions import conjuncts
from ...relation.facts import field_nullable, field_type, filled_by, key
from ...relation.rebuild import substituted as rebuilt
from ...relation.write import expression_tree
from ...sql.expression import Call, Case, Column, Expression
from ...sql.identity import IdentityMap
from ...sql.syntax import Tree
from ..rules import Rules
from ..simplify import ZERO, add, multiply
from .backward import Pass
from .blocks import Block, FromLeaf, Given, label, renamed, substituted
from .directions import Pairs, directions
from .finding import Called, Directed, WholeQueryCalls, cells_of, reads, source_of
from .flattening import flattened
from .forward import Tangents
from .given import kind_of_type
from .keys import key_of
from .once import written_out
from .pushing import Pushing
from .reading import BlockReader
from .refusing import refused
from .rows import free
from .shares import Share, or_zero, placed, same
from .slopes import slope
from .writing import Writing


@dataclass(frozen=True)
class _Placed:
    """What a share adds in each row, by column of the parameter."""

    values: Mapping[str, Expression]


@dataclass(frozen=True)
class _Loss:
    """A relation whose column is derived.

    Attributes:
        leaf: its reading in the FROM.
        block: it.
        shown: column of the reading -> that of the block.
        outer: the other way round.
    """

    leaf: nodes.Shared
    block: Block
    shown: Mapping[str, str]
    outer: Mapping[str, str]


class SelectDerivatives:
    """The derivatives in one SELECT.

    Args:
        found: the SELECT and its calls.
        catalog: what tables there are.
        rules: function -> partial derivatives.
        writing: writes the relations that they are joined from.

    Attributes:
        joins: what the FROM is joined with: a relation's name, its alias, the conditions.
        numbers: by a relation's tree in the FROM, the same with a number for each row.
    """

    def __init__(self, found: WholeQueryCalls, catalog: Catalog, rules: Rules, writing: Writing) -> None:
        self.reading, self.calls, self.catalog, self.rules, self.writing = (
            found.reading, found.calls, catalog, rules, writing)  # fmt: skip
        self.joins: list[tuple[str, str, list[Tree]]] = []
        self.numbers: IdentityMap[Tree, Tree] = IdentityMap()
        self._shares: dict[tuple[nodes.Leaf, nodes.Leaf, Expression], list[_Placed]] = {}
        self._tangents: dict[tuple[nodes.Relation, nodes.Leaf, Pairs], dict[str, Expression]] = {}
        self._losses: dict[tuple[nodes.Relation, nodes.Leaf, frozenset[str]], _Loss] = {}

    def of(self, called: Called | Directed) -> Expression:
        """What a call is in each row."""
        return self._along(called) if isinstance(called, Directed) else self._value(called)

    def _value(self, called: Called) -> Expression:
        """The derivative in each row: the slope by each column of a loss, times that column's derivative."""
        columns = list(dict.fromkeys(f for f in fields(called.expression) if reads(f.relation, called.origin)))
        total: Expression = ZERO
        if len(columns) > 1 and len({f.relation for f in fields(called.expression)}) == 1:
            total = self._gradient(called.expression, columns[0], called)  # one pass takes all of them back
        else:
            for column in columns:
                by = self._slope(called.expression, column)
                if by is not None:
                    total = add(total, multiply(by, self._gradient(column, column, called)))
        if len(called.call.args) > 2:
            total = multiply(called.call.args[2], total)
        cell = Field(called.leaf, called.name)
        if field_nullable(cell) or cell.relation in filled_by(source_of(self.reading.relation)):
            return Case(((Call("is not null", (cell,)), total),), None)
        return total

    def _along(self, called: Directed) -> Expression:
        """How fast an expression changes in each row along the tangents of ``jvp``."""
        total: Expression = ZERO
        for leaf in dict.fromkeys(leaf for leaf, _, _ in called.pairs):
            pairs = tuple((name, tangent) for other, name, tangent in called.pairs if other is leaf)
            for column in dict.fromkeys(f for f in fields(called.expression) if reads(f.relation, leaf)):
                by = self._slope(called.expression, column)
                if by is not None:
                    total = add(total, multiply(by, self._tangent(column, leaf, pairs)))
        empty = filled_by(source_of(self.reading.relation))
        if any(field_nullable(f) or f.relation in empty for f in fields(called.expression)):
            return Case(((Call("is not null", (called.expression,)), total),), None)
        return total

    def _tangent(self, column: Field, leaf: nodes.Leaf, pairs: Pairs) -> Expression:
        """How fast a loss's column changes, as a column that is joined with the loss."""
        place = (column.relation, leaf, pairs)
        if place not in self._tangents:
            names = frozenset(self._reader(leaf).inner(leaf, name) for name, _ in pairs)
            reader = self._reader(leaf, names)
            loss = self._loss(column, reader, leaf)
            wanted = dict.fromkeys(f for c in self.calls for f in fields(c.expression) if f.relation is column.relation)
            around: nodes.Relation = self.reading.relation
            while isinstance(around, nodes.RowsOf) or (
                isinstance(around, nodes.Filtering) and isinstance(around.source, nodes.Filtering)
            ):
                around = around.source
            given = directions(leaf, pairs, around, reader)
            made, along = Tangents(self.rules, given).along(loss.block, [loss.shown[f.name] for f in wanted])
            keys = [k for k in made.outputs if k not in along.values()]
            columns = self._joined_with(made, lambda new: [(Field(loss.leaf, loss.outer[k]), new[k]) for k in keys])
            self._tangents[place] = {f.name: columns[along[loss.shown[f.name]]] for f in wanted}
        return self._tangents[place][column.name]

    def _joined_with(
        self, block: Block, pairs: Callable[[Mapping[str, Expression]], Iterable[tuple[Expression, Expression]]]
    ) -> dict[str, Expression]:
        """A relation joined with the FROM, and what its columns are called then.

        Args:
            block: the relation.
            pairs: what must be equal, in the FROM and among those columns.
        """
        alias = self.writing.name("g")
        new = {n: self._apart(f"{alias}_{n}") for n in block.outputs}
        name = self.writing.add(renamed(block, new))
        columns: dict[str, Expression] = {n: Column((alias, new[n])) for n in block.outputs}
        on = [same(a, b, isinstance(a, Field) and field_nullable(a)) for a, b in pairs(columns)]
        self.joins.append((name, alias, [expression_tree(e) for e in on]))
        return columns

    def _loss(self, column: Field, reader: BlockReader, origin: nodes.Leaf) -> _Loss:
        """The relation that a column was computed by; one for all derivatives of its columns by the same cells."""
        relation = column.relation
        assert isinstance(relation, nodes.Shared)
        place = (relation, origin, reader.cells.columns)
        if place not in self._losses:
            node = reader.query(relation.query, (relation.name or relation.path or ("loss",))[-1])
            if not isinstance(node, Block):
                raise refused(f"{column.name} is of a UNION", "Put a SELECT with one aggregate around it.", column)
            pushed = Pushing().pushed(node)
            assert isinstance(pushed, Block)
            outer = {o: n for n, o in zip(relation.names or (), node.outputs, strict=False) if n is not None}
            self._losses[place] = _Loss(relation, flattened(pushed), {n: o for o, n in outer.items()}, outer)
        return self._losses[place]

    def _slope(self, expression: Expression, column: Field) -> Expression | None:
        """The derivative of an expression by a column, everything else in the row being constant."""
        used = list(dict.fromkeys(fields(expression)))
        names = {f: f"c{n}" for n, f in enumerate(used)}
        kinds = {names[f]: kind_of_type(_type(f)) for f in used}
        row = Given("row", None, kinds, frozenset(), ())
        block = Block("row", (FromLeaf("row", row),), (), {})
        plain = rebuilt(expression, lambda e: Column(("row", names[e])) if isinstance(e, Field) else None)
        found = slope(block, plain, ("row", names[column]), self.rules)
        back: dict[tuple[str, ...], Expression] = {("row", n): f for f, n in names.items()}
        return None if found is None else substituted(found, back)

    def _gradient(self, expression: Expression, column: Field, called: Called) -> Expression:
        """The derivative of an expression of a loss's columns by the cell of each row.

        Args:
            expression: it; a column alone.
            column: one of those in it.
            called: by which cell.
        """
        place = (called.leaf, called.origin, expression)
        if place not in self._shares:
            self._shares[place] = self._passed(expression, column, called)
        inner = self._reader(called.origin).inner(called.origin, called.cell)
        total: Expression = ZERO
        for share in self._shares[place]:
            total = add(total, share.values.get(inner, ZERO))
        return total

    def _reader(self, leaf: nodes.Leaf, columns: frozenset[str] = frozenset()) -> BlockReader:
        cells = cells_of(leaf, "")
        assert cells is not None
        return BlockReader(replace(cells, columns=columns), self.reading.ctes, self.catalog)

    def _passed(self, expression: Expression, column: Field, called: Called) -> list[_Placed]:
        """The backward pass from a loss, its sums joined with the rows of the parameter."""
        origin = called.origin
        mine = [c for c in self.calls if isinstance(c, Called) and c.leaf is called.leaf and c.origin is origin]
        reader = self._reader(origin, frozenset(self._reader(origin).inner(origin, c.cell) for c in mine))
        loss = self._loss(column, reader, origin)
        block, shown = loss.block, loss.shown[column.name]
        if expression is not column:
            leaf = FromLeaf(label(block.name), block)
            value = rebuilt(expression, lambda e: leaf.column(loss.shown[e.name]) if isinstance(e, Field) else None)
            keys = {k: leaf.column(k) for k in key_of(block) or ()}
            shown = free("value", keys)
            block = Block(block.name, (leaf,), (), {**keys, shown: value})
        return [self._join(share, called, loss, reader) for share in Pass(self.rules).shares(block, shown)]

    def _join(self, share: Share, called: Called, loss: _Loss, reader: BlockReader) -> _Placed:
        """A sum, joined with the rows of the parameter; and its value there, 0 where it has none."""
        leaf, origin = called.leaf, called.origin
        outer = {reader.inner(origin, n): shown for n, shown in called.shown.items()}
        mine: dict[str, Expression] = {inner: Field(leaf, n) for inner, n in outer.items()}
        hidden = [k for k in (*share.key, *share.said) if k not in mine]
        if key(origin) is None and share.key and origin is leaf:
            mine |= {row: Column((leaf.path[-1], row)) for row in share.key}
            self._number(leaf, list(outer.items()), reader)
        elif hidden:
            raise refused(f"{leaf.path[-1]} does not show what names a row of {origin.path[-1]}",
                          f"Let it show {', '.join(hidden)}.", leaf)  # fmt: skip
        block: dict[str, Expression] = {}
        if share.block is not None:
            keys = [(mine[k], c) for k, c in share.key.items()]
            keys += [(Field(loss.leaf, loss.outer[b]), c) for b, c in share.batch.items()]
            block = self._joined_with(share.block, lambda new: [(e, new[c]) for e, c in keys])
        conditions = [e for k, v in share.said.items() if not self._holds(e := Call("=", (mine[k], v)))]
        values = {}
        for column, value in share.values.items():
            made = or_zero(written_out(placed(value, block, mine)))
            if conditions:
                made = Case(((reduce(lambda a, b: Call("and", (a, b)), conditions), made),), ZERO)
            values[column] = made
        return _Placed(values)

    def _number(self, leaf: nodes.Leaf, names: Sequence[tuple[str, str]], reader: BlockReader) -> None:
        """Let a relation without a key have the number of each row, by which it is joined with its derivatives."""
        if any(inner != n for inner, n in names):
            raise refused(f"{leaf.path[-1]} has no key, and its columns other names here", "Leave these out.", leaf)
        self.numbers[leaf.tree] = reader.numbered(leaf, leaf.path[-1])

    def _apart(self, name: str) -> str:
        """A column's name that nothing in the FROM has, so that the user's own names stay clear."""
        known = {n for leaf in nodes.leaves(source_of(self.reading.relation)) for n in leaf.names or ()}
        while name in known:
            name += "_1"
        return name

    def _holds(self, condition: Call) -> bool:
        """Whether the SELECT's own WHERE says a condition."""
        relation = self.reading.relation
        while isinstance(relation, nodes.RowsOf):
            relation = relation.source
        todo = [relation]
        while todo:
            node = todo.pop()
            if isinstance(node, nodes.Filtering):
                if any(_same_condition(condition, e) for e in conjuncts(node.condition)):
                    return True
                if isinstance(node.source, nodes.Filtering):
                    todo.append(node.source)
        return False


def _same_condition(one: Call, other: Expression) -> bool:
    if not isinstance(other, Call) or other.name != "=":
        return False

    def plain(e: Expression) -> object:
        return (e.relation, e.name) if isinstance(e, Field) else e

    mine = [plain(e) for e in one.args]
    return mine in ([plain(e) for e in other.args], [plain(e) for e in other.args[::-1]])


def _type(column: Field) -> str | None:
    return field_type(column)

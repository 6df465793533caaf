"""Finds the derivatives of whole queries in a statement and puts ordinary SQL in their place.

``grad(e, t.c)`` goes through whole queries where ``e`` is made of columns that were computed from another reading of
what ``t`` reads. A SELECT with such calls gets CTEs (what is needed of the forward pass, the cotangents, the sums by
key), a LEFT JOIN for each sum, and an expression in the place of each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from ...errors import SqlError
from ...relation import nodes
from ...relation.catalog import Catalog
from ...relation.columns import Field, fields
from ...relation.conditions import conjuncts
from ...relation.facts import always_one_row, field_nullable, field_type, filled_by, key
from ...relation.rebuild import substituted as rebuilt
from ...relation.write import expression_tree, from_tree_of, without_stars
from ...sql.clauses import called as called_as
from ...sql.clauses import joined, named_table, names_given, with_select
from ...sql.expression import Call, Case, Column, Expression, descend
from ...sql.syntax import Tree, walk
from ...sql.syntax import replace as replaced
from ..reading import is_call
from ..rules import Rules
from ..simplify import ZERO, add, multiply
from .backward import Pass
from .blocks import Block, Given, Leaf, renamed, substituted
from .finding import Called, Found, Remembered, cells_of, expressions, reads, selects, source_of
from .flattening import flattened
from .given import kind_of_type
from .pushing import Pushing
from .reading import Reader
from .refusing import refused
from .shares import Share, or_zero, placed
from .slopes import slope
from .writing import Writing


def rewrite_whole(tree: Tree, catalog: Catalog, rules: Rules) -> Tree:
    """A statement in which every ``grad`` of whole queries is ordinary SQL; row-wise derivatives stay as they are.

    Args:
        tree: the statement.
        catalog: what tables there are.
        rules: function -> partial derivatives.

    Raises:
        DerivativeError: a query through which no derivative goes, with the reason and the place.
    """
    catalog = Remembered(catalog)
    left = sum(map(is_call, walk(tree)))
    while left:
        found = next(selects(tree, catalog), None)
        if found is None:
            break
        rewriting = _Rewriting(tree, found, catalog, rules)
        tree = rewriting.made()
        left -= rewriting.replaced  # what was written has no calls, and is long: it is not looked through
    return tree


class _Rewriting:
    """One SELECT rewritten."""

    def __init__(self, tree: Tree, found: Found, catalog: Catalog, rules: Rules) -> None:
        self.tree, self.reading, self.catalog, self.rules = tree, found.reading, catalog, rules
        self.calls = found.calls
        self.writing = Writing(names_given(tree))
        self.numbers: dict[int, Tree] = {}
        self.replaced = 0
        self.joins: list[tuple[str, str, list[Tree]]] = []
        self._shares: dict[tuple[int, nodes.Relation, str], tuple[Any, list[_Placed]]] = {}

    def made(self) -> Tree:
        """The statement with the calls replaced."""
        new: dict[Expression, Expression] = {}
        for called in self.calls:
            try:
                new[called.call] = self._value(called)
            except SqlError as error:
                error.span = called.call.span or error.span
                raise
        return self._put(new)

    # What stands in the place of a call

    def _value(self, called: Called) -> Expression:
        """The derivative in each row: the slope by each column of a loss, times that column's derivative."""
        total: Expression = ZERO
        for column in dict.fromkeys(f for f in fields(called.expression) if reads(f.relation, called.leaf)):
            by = self._slope(called.expression, column)
            if by is not None:
                total = add(total, multiply(by, self._gradient(column, called)))
        if len(called.call.args) > 2:
            total = multiply(called.call.args[2], total)
        cell = Field(called.leaf, called.name)
        if field_nullable(cell) or cell.relation in filled_by(source_of(self.reading.relation)):
            return Case(((Call("is not null", (cell,)), total),), None)
        return total

    def _slope(self, expression: Expression, column: Field) -> Expression | None:
        """The derivative of an expression by a column, everything else in the row being constant."""
        used = list(dict.fromkeys(fields(expression)))
        names = {f: f"c{n}" for n, f in enumerate(used)}
        kinds = {names[f]: kind_of_type(_type(f)) for f in used}
        row = Given("row", None, kinds, frozenset(), ())
        block = Block("row", (Leaf("row", row),), (), {})
        plain = rebuilt(expression, lambda e: Column(("row", names[e])) if isinstance(e, Field) else None)
        found = slope(block, plain, ("row", names[column]), self.rules)
        back: dict[tuple[str, ...], Expression] = {("row", n): f for f, n in names.items()}
        return None if found is None else substituted(found, back)

    def _gradient(self, column: Field, called: Called) -> Expression:
        """The derivative of a loss's column by the cell of each row."""
        total: Expression = ZERO
        for share in self._joined(column, called):
            total = add(total, share)
        return total

    def _joined(self, column: Field, called: Called) -> list[Expression]:
        place = (id(called.leaf), column.relation, column.name)
        if place not in self._shares:
            self._shares[place] = (called.leaf, self._passed(column, called))
        found = []
        for placed_share in self._shares[place][1]:
            value = placed_share.values.get(self._inner(called))
            if value is not None:
                found.append(value)
        return found

    def _inner(self, called: Called) -> str:
        return called.leaf.column(called.name) if isinstance(called.leaf, nodes.Scan) else self._name_of(called)

    def _name_of(self, called: Called) -> str:
        return self._reader(called).inner(called.leaf, called.name)

    def _reader(self, called: Called) -> Reader:
        cells = cells_of(called.leaf, "")
        assert cells is not None
        return Reader(cells, self.reading.ctes, self.catalog)

    def _passed(self, column: Field, called: Called) -> list[_Placed]:
        """The backward pass from a loss, its sums joined with the rows of the parameter."""
        leaf = called.leaf
        wanted = frozenset(self._inner(c) for c in self.calls if c.leaf is leaf)
        cells = cells_of(leaf, "")
        assert cells is not None
        reader = Reader(replace(cells, columns=wanted), self.reading.ctes, self.catalog)
        relation = column.relation
        assert isinstance(relation, nodes.Shared)
        node = reader.query(relation.query, (relation.name or relation.path or ("loss",))[-1])
        if not isinstance(node, Block):
            raise refused(f"{column.name} is of a UNION", "Put a SELECT with one aggregate around it.", column)
        name = (relation.query.names or ())[relation.inner(column.name)]
        names_ = list(relation.query.names or ())
        shown = list(node.outputs)[names_.index(name)]
        pushed = Pushing().pushed(node)
        assert isinstance(pushed, Block)
        shares = Pass(self.rules).shares(flattened(pushed), shown)
        batch = {o: n for n, o in zip(relation.names or (), node.outputs, strict=False) if n is not None}
        return [self._join(share, leaf, relation, batch, reader) for share in shares]

    def _join(
        self, share: Share, leaf: nodes.Leaf, loss: nodes.Leaf, batch: Mapping[str, str], reader: Reader
    ) -> _Placed:
        """A sum, joined with the rows of the parameter; and its value there, 0 where it has none."""
        outer = {reader.inner(leaf, n): n for n in leaf.names or () if n is not None}
        mine: dict[str, Expression] = {inner: Field(leaf, n) for inner, n in outer.items()}
        if key(leaf) is None and share.key:
            mine |= {row: Column((leaf.path[-1], row)) for row in share.key}
            self._number(leaf, list(outer.items()), reader)
        block: dict[str, Expression] = {}
        if share.block is not None:
            alias = self.writing.name("g")
            new = {n: self._apart(f"{alias}_{n}") for n in share.block.outputs}
            name = self.writing.add(renamed(share.block, new))
            block = {n: Column((alias, new[n])) for n in share.block.outputs}
            pairs = [(e := mine[k], block[c], isinstance(e, Field) and field_nullable(e)) for k, c in share.key.items()]
            for b, c in share.batch.items():
                other = Field(loss, batch[b])
                pairs.append((other, block[c], field_nullable(other)))
            on = [Call("is not distinct from" if null else "=", (a, b)) for a, b, null in pairs]
            self.joins.append((name, alias, [expression_tree(e) for e in on]))
        conditions = [e for k, v in share.said.items() if not self._holds(e := Call("=", (mine[k], v)))]
        values = {}
        for column, value in share.values.items():
            made = or_zero(placed(value, block, mine))
            if conditions:
                made = Case(((reduce(lambda a, b: Call("and", (a, b)), conditions), made),), ZERO)
            values[column] = made
        return _Placed(values)

    def _number(self, leaf: nodes.Leaf, names: Sequence[tuple[str, str]], reader: Reader) -> None:
        """Let a relation without a key have the number of each row, by which it is joined with its derivatives."""
        if any(inner != n for inner, n in names):
            raise refused(f"{leaf.path[-1]} has no key, and its columns other names here", "Leave these out.", leaf)
        self.numbers[id(leaf.tree)] = reader.numbered(leaf, leaf.path[-1])

    def _apart(self, name: str) -> str:
        """A column's name that nothing in the FROM has, so that the user's own names stay clear."""
        known = {n for leaf in nodes.leaves(source_of(self.reading.relation)) for n in leaf.names or ()}
        while name in known:
            name += "_1"
        return name

    def _holds(self, condition: Call) -> bool:
        """Whether the SELECT's own WHERE says a condition."""
        relation = self.reading.relation
        while isinstance(relation, (nodes.Sort, nodes.Limit)):
            relation = relation.source
        todo = [relation]
        while todo:
            node = todo.pop()
            if isinstance(node, nodes.Reader):
                if any(_same_condition(condition, e) for e in conjuncts(node.condition)):
                    return True
                if isinstance(node.source, nodes.Reader):
                    todo.append(node.source)
        return False

    # The tree

    def _put(self, new: Mapping[Expression, Expression]) -> Tree:
        select = self.reading.select
        values = {id(call.origin): expression_tree(e) for call, e in self._trees(new)}
        self.replaced = len(values)
        relation = self.reading.relation
        while not isinstance(relation, nodes.Select):
            relation = relation.source  # type: ignore[attr-defined]
        changed = replaced(without_stars(relation), lambda node: values.get(id(node)))
        read, unread = source_of(self.reading.relation), self._unread(new)
        for leaf in unread:
            read = _without(read, leaf)
        (whole,) = from_tree_of(read)
        whole = replaced(whole, lambda node: self.numbers.get(id(node)))
        for name, alias, on in self.joins:
            whole = joined(whole, called_as(named_table((name,)), alias), "left", on)
        spare = {r.name[0] for leaf in unread for r in nodes.relations(leaf)
                 if isinstance(r, nodes.Shared) and r.kind == "cte"}  # fmt: skip
        return with_select(self.tree, select, {**changed, "from": [whole]}, self.writing.ctes(), spare)

    def _unread(self, new: Mapping[Expression, Expression]) -> list[nodes.Leaf]:
        """The losses of one row of which nothing is read any more."""
        losses = dict.fromkeys(f.relation for c in self.calls for f in fields(c.expression))
        used = {f.relation for e in new.values() for f in fields(e)}
        for expression in expressions(self.reading.relation):
            used |= {f.relation for f in fields(rebuilt(expression, lambda e: ZERO if e in new else None))}
        return [r for r in losses if isinstance(r, nodes.Shared) and r not in used and always_one_row(r)]

    def _trees(self, new: Mapping[Expression, Expression]) -> Iterator[tuple[Call, Expression]]:
        """Every call in the SELECT, also those that are written twice, and what stands in its place."""
        for expression in expressions(self.reading.relation):
            for part in descend(expression):
                if isinstance(part, Call) and part in new:
                    yield part, new[part]


def _without(source: nodes.Relation, leaf: nodes.Leaf) -> nodes.Relation:
    """A FROM without a relation of one row that it has a product with."""
    if not isinstance(source, nodes.Join):
        return source
    for one, other in ((source.left, source.right), (source.right, source.left)):
        if one is leaf and source.kind in ("cross", "inner") and source.on is None and not source.using:
            return other
    if source.kind not in ("cross", "inner"):
        return source
    left, right = _without(source.left, leaf), _without(source.right, leaf)
    return source if left is source.left and right is source.right else replace(source, left=left, right=right)


@dataclass(frozen=True)
class _Placed:
    """What a share adds in each row, by column of the parameter."""

    values: Mapping[str, Expression]


def _same_condition(one: Call, other: Expression) -> bool:
    if not isinstance(other, Call) or other.name != "=":
        return False

    def plain(e: Expression) -> object:
        return (e.relation, e.name) if isinstance(e, Field) else e

    mine = [plain(e) for e in one.args]
    return mine in ([plain(e) for e in other.args], [plain(e) for e in other.args[::-1]])


def _type(column: Field) -> str | None:
    return field_type(column)

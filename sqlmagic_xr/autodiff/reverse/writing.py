"""Blocks as CTEs of ordinary SQL: each relation once, without the columns that nobody reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ...relation.layers import ColumnType
from ...relation.write import expression_tree, key_tree
from ...sql.build import union_all
from ...sql.clauses import called, conjunction, cte, element, in_parentheses, joined, named_table, selected
from ...sql.expression import Call, Column, Expression, Literal
from ...sql.expression import columns as paths
from ...sql.syntax import Tree
from .blocks import (
    Block,
    BlockUnion,
    From,
    FromLeaf,
    Given,
    Joined,
    Node,
    Path,
    inputs,
    labels,
    leaves,
    names,
    substituted,
)
from .levels import levels
from .over import with_trees
from .slopes import kind_of_expression


class Writing:
    """Writes relations, the inner ones first, under names that nothing else has.

    Args:
        taken: the names that stand for something already.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._roots: list[Node] = []
        self._names: dict[Block | BlockUnion, str] = {}
        self._asked: dict[Node, set[str]] = {}

    def name(self, base: str) -> str:
        """A name that nothing has."""
        found, number = base, 1
        while found in self._taken:
            number += 1
            found = f"{base}_{number}"
        self._taken.add(found)
        return found

    def add(self, block: Block) -> str:
        """The name of a relation that shall be written with all its columns."""
        self._roots.append(block)
        self._asked.setdefault(block, set()).update(block.outputs)
        if block not in self._names:
            self._names[block] = self.name(block.name)
        return self._names[block]

    def ctes(self) -> list[Tree]:
        """The trees of the CTEs, in an order in which each reads those before it."""
        order: list[Block | BlockUnion] = []
        seen: set[Node] = set()
        for root in self._roots:
            _inner_first(root, seen, order)
        for node in reversed(order):
            self._ask(node)
        for node in order:
            if node not in self._names:
                self._names[node] = self.name(node.name)
        return [cte(name, query) for node in order for name, query in self._queries(node)]

    def _queries(self, node: Block | BlockUnion) -> Iterator[tuple[str, Tree]]:
        """A relation as a query, behind those of the rows in which what its outputs share is calculated."""
        if isinstance(node, BlockUnion):
            yield self._names[node], self._union(node)
            return
        asked = self._asked[node]
        *below, whole = levels(replace(node, outputs={n: e for n, e in node.outputs.items() if n in asked}))
        for rows in below:
            self._names[rows] = self.name(rows.name)
            yield self._names[rows], self._select(rows, set(rows.outputs))
        yield self._names[node], self._select(whole, asked)

    def _ask(self, node: Block | BlockUnion) -> None:
        """Note which columns a relation reads of those below it."""
        asked = self._asked.setdefault(node, set())
        if isinstance(node, BlockUnion):
            places = [n for n, name in enumerate(names(node)) if name in asked]
            for part in node.parts:
                self._asked.setdefault(part, set()).update(names(part)[n] for n in places)
            return
        if node.keys is not None:
            asked |= set(node.keys)
        if not asked and node.outputs:
            asked.add(next(iter(node.outputs)))  # a SELECT has a column
        used = [node.outputs[n] for n in node.outputs if n in asked]
        used += [*node.where, *(e for part in node.source for e in _conditions(part))]
        for leaf in node.leaves:
            wanted = {path[1] for e in used for path in paths(e) if path[0] == leaf.label}
            self._asked.setdefault(leaf.node, set()).update(wanted)

    def _union(self, node: BlockUnion) -> Tree:
        asked = self._asked[node]
        first = [n for n in names(node) if n in asked] or list(names(node))[:1]
        places = [names(node).index(n) for n in first]
        parts = []
        for part in node.parts:
            leaf = FromLeaf("part", part)
            outputs = {n: leaf.column(names(part)[p]) for n, p in zip(first, places, strict=True)}
            parts.append({"Query": self._select(Block(part.name, (leaf,), (), outputs), set(outputs))})
        return union_all(parts)["Query"]

    def _select(self, block: Block, asked: set[str]) -> Tree:
        alias = self._aliases(block)
        new: dict[Path, Expression] = {
            (leaf.label, n): Column((alias[leaf.label], n)) for leaf in block.leaves for n in names(leaf.node)
        }
        block = replace(block, where=tuple(part for e in block.where for part in _null_safe(block, e)))
        at, rest = _placed(block)
        place = _Place(alias, lambda e: expression_tree(with_trees(substituted(e, new))))
        tables: list[Tree] = []
        for part, conditions in zip(block.source, at, strict=True):
            if not tables:
                tables = [self._element(part, place)]
            else:
                on = [place.tree(e) for e in conditions]
                tables = [joined(tables[0], self._factor(part, place), "inner", on)]
        outputs = {n: e for n, e in block.outputs.items() if n in asked}
        columns = [(place.tree(e), None if isinstance(e, Column) and e.path[1] == n else n) for n, e in outputs.items()]
        keys = [_key(block.outputs[k], place) for k in block.keys or ()]
        return selected(columns, tables, conjunction(map(place.tree, rest)), keys)

    def _aliases(self, block: Block) -> dict[str, str]:
        found: dict[str, str] = {}
        for leaf in block.leaves:
            base, number = leaf.label.split("#")[0], 1
            name = base
            while name in found.values():
                number += 1
                name = f"{base}_{number}"
            found[leaf.label] = name
        return found

    def _element(self, part: From, place: _Place) -> Tree:
        """An element of FROM."""
        if isinstance(part, FromLeaf):
            return element(self._factor(part, place))
        on = [place.tree(e) for e in part.on]
        return joined(self._element(part.left, place), self._factor(part.right, place), part.kind, on)

    def _factor(self, part: From, place: _Place) -> Tree:
        """A relation in FROM, joins in parentheses."""
        if isinstance(part, Joined):
            return in_parentheses(self._element(part, place))
        own = part.node.factor if isinstance(part.node, Given) else named_table((self._names[part.node],))
        return called(own, place.alias[part.label])


@dataclass(frozen=True)
class _Place:
    """What a SELECT calls its relations, and how its expressions are written."""

    alias: Mapping[str, str]
    tree: Callable[[Expression], Tree]


_NONE: Mapping[ColumnType | None, Expression] = {
    "integer": Literal(0), "real": Literal(0.0), "decimal": Literal(0.0), "text": Literal(""),
    "boolean": Literal(False),
}  # fmt: skip


def _null_safe(block: Block, condition: Expression) -> Iterator[Expression]:
    """``a IS NOT DISTINCT FROM b`` of two relations in another form: in a chain of joins DataFusion makes = of it."""
    if not isinstance(condition, Call) or condition.name != "is not distinct from" or len(labels(condition)) < 2:
        yield condition
        return
    one, other = condition.args
    nothing = _NONE.get(kind_of_expression(block, one))
    empty = [Call("is null", (e,)) for e in (one, other)]
    if nothing is None:
        yield Call("or", (Call("=", (one, other)), Call("and", tuple(empty))))
        return
    yield Call("=", tuple(empty))
    yield Call("=", tuple(Call("coalesce", (e, nothing)) for e in (one, other)))


def _key(expression: Expression, place: _Place) -> Tree:
    """A key of GROUP BY; a number alone would name a column."""
    return key_tree(expression) if isinstance(expression, Literal) else place.tree(expression)


def _placed(block: Block) -> tuple[list[list[Expression]], list[Expression]]:
    """The conditions of WHERE, each at the first join that has all its relations; the rest."""
    at: list[list[Expression]] = [[] for _ in block.source]
    rest = []
    seen: list[set[str]] = []
    for part in block.source:
        seen.append({*(seen[-1] if seen else ()), *(leaf.label for leaf in leaves(part))})
    for condition in block.where:
        used = labels(condition)
        place = next((n for n, known in enumerate(seen) if used <= known), 0)
        columns = isinstance(condition, Call) and all(isinstance(part, Column) for part in condition.args)
        if place and len(used) > 1 and columns:
            at[place].append(condition)
        else:
            rest.append(condition)
    return at, rest


def _inner_first(root: Node, seen: set[Node], order: list[Block | BlockUnion]) -> None:
    todo = [(root, False)]
    while todo:
        node, ready = todo.pop()
        if isinstance(node, Given):
            continue
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo += [(node, True), *((n, False) for n in reversed(inputs(node)))]


def _conditions(part: From) -> list[Expression]:
    return [] if isinstance(part, FromLeaf) else [*part.on, *_conditions(part.left), *_conditions(part.right)]

"""Forward mode over blocks: each relation gets, beside a column that depends on the cells, how fast it changes.

The rows are the same, and each is computed once. It begins where the way back (:mod:`.backward`) ends: at the cells,
which move along given tangents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from ...relation.conditions import conjunction
from ...sql.expression import Call, Case, Column, Expression
from ..collect import tidied
from ..rules import Rules
from ..simplify import ZERO, add, multiply
from .blocks import (
    Block,
    BlockUnion,
    FromLeaf,
    Given,
    Node,
    Path,
    active,
    exchanged,
    label,
    names,
    reads_cells,
    staircase,
)
from .extremes import attains
from .keys import column_null, key_of, may_be_null
from .known import known
from .over import Over
from .refusing import refused
from .rows import free
from .shares import or_zero, same
from .slopes import slope


@dataclass(frozen=True)
class TangentRelation:
    """A relation with its tangents.

    Attributes:
        node: the relation; its columns are those that it had, and others.
        tangents: column -> the column that says how fast it changes.
    """

    node: Node
    tangents: Mapping[str, str]


class Tangents:
    """Takes the tangents of cells forward.

    Args:
        rules: function -> partial derivatives, as everywhere.
        cells: gives the relation of the cells with their tangents.
    """

    def __init__(self, rules: Rules, cells: Callable[[Given], TangentRelation]) -> None:
        self._rules, self._cells = rules, cells
        self._done: dict[Node, TangentRelation] = {}

    def along(self, loss: Block, columns: Sequence[str]) -> tuple[Block, dict[str, str]]:
        """How fast columns of a query change, by the query's key.

        Args:
            loss: the query.
            columns: some of its columns.

        Returns:
            The columns of the key and those that say so; and for each column which does.

        Raises:
            DerivativeError: a part through which no derivative goes, or rows that cannot be told apart.
        """
        if not staircase(loss).isdisjoint(columns):
            raise refused("where a row stands by a value that depends on the parameter is a staircase: it has no "
                          "derivative", "It may choose rows: WHERE rank = 1.")  # fmt: skip
        key = key_of(loss)
        if key is None:
            raise refused(f"it is not known what names a row of {loss.name}",
                          "Group it by what does, or make it one row.")  # fmt: skip
        moved = self.moved(loss)
        leaf = FromLeaf(label(loss.name), moved.node)
        outputs: dict[str, Expression] = {k: leaf.column(k) for k in key}
        found: dict[str, str] = {}
        for column in columns:
            tangent = moved.tangents.get(column)
            found[column] = free(f"d_{column}", outputs)
            outputs[found[column]] = ZERO if tangent is None else leaf.column(tangent)
        return Block(f"d_{loss.name}", (leaf,), (), outputs), found

    def moved(self, node: Node) -> TangentRelation:
        """A relation with its tangents.

        Raises:
            DerivativeError: a part through which no derivative goes, with the reason.
        """
        if node not in self._done:
            self._done[node] = self._moved(node)
        return self._done[node]

    def _moved(self, node: Node) -> TangentRelation:
        if isinstance(node, Given):
            return self._cells(node) if node.cells else TangentRelation(node, {})
        if isinstance(node, BlockUnion):
            return self._union(node)
        if not reads_cells(node) or node.still:
            return TangentRelation(node, {})
        block, tangents = self._read(node)
        outputs: dict[str, Expression] = dict(block.outputs)
        found: dict[str, str] = {}
        for name in node.outputs:
            if name not in active(node):
                continue
            block, made = self._output(node, block, name, tangents)
            if made is not None:
                found[name] = free(f"d_{name}", outputs)
                outputs[found[name]] = made
        return TangentRelation(replace(block, outputs=outputs), found)

    def _read(self, block: Block) -> tuple[Block, dict[Path, Expression]]:
        """A block that reads relations with their tangents, and what these are for each column."""
        tangents: dict[Path, Expression] = {}
        for leaf in block.leaves:
            moved = self.moved(leaf.node)
            new = FromLeaf(leaf.label, moved.node)
            block = replace(block, source=tuple(exchanged(part, leaf, new) for part in block.source))
            tangents |= {(leaf.label, n): new.column(d) for n, d in moved.tangents.items()}
        # That of a NULL is none, whatever was calculated with it: an average of no rows is divided by 0.
        none = {p: Call("is null", (Column(p),)) for p in tangents if column_null(block, p)}
        return block, {p: Case(((none[p], ZERO),), e) if p in none else e for p, e in tangents.items()}

    def _output(
        self, old: Block, block: Block, name: str, tangents: Mapping[Path, Expression]
    ) -> tuple[Block, Expression | None]:
        """How fast an output changes; of an extreme value, of rows that are joined with it."""
        expression = old.outputs[name]
        if isinstance(expression, Over):
            return block, self._window(block, expression, tangents)
        if not old.groups:
            return block, self._along(block, expression, tangents)
        assert isinstance(expression, Call)
        value = expression.args[0]
        along = self._along(block, value, tangents)
        if along is None:
            return block, None
        held = [] if expression.filter is None else [expression.filter]
        if expression.name == "sum":
            held += known(block, value, along)
            return block, Call("sum", (along,), filter=conjunction(held))
        best, block = _beside(old, block)
        return block, Call("avg", (along,), filter=conjunction([*held, attains(old, expression, best.column(name))]))

    def _along(self, block: Block, expression: Expression, tangents: Mapping[Path, Expression]) -> Expression | None:
        """How fast an expression over a block's FROM changes."""
        terms = []
        for path in sorted(tangents):
            by = slope(block, expression, path, self._rules)
            if by is not None:
                terms.append(multiply(by, tangents[path]))
        return tidied(reduce(add, terms)) if terms else None

    def _window(self, block: Block, over: Over, tangents: Mapping[Path, Expression]) -> Expression | None:
        value = over.call.args[0]
        along = self._along(block, value, tangents)
        if along is None:
            return None
        if over.call.name == "sum":
            if may_be_null(block, value):
                along = Case(((Call("is not null", (value,)), along),), None)
            return replace(over, call=Call("sum", (along,)))
        rest = over.call.args[1:2] or ()
        return or_zero(replace(over, call=Call(over.call.name, (along, *rest))))

    def _union(self, union: BlockUnion) -> TangentRelation:
        parts = list(self._parts(union))
        first = names(union)
        live = [n for n, name in enumerate(first) if any(names(p)[n] in m.tangents for p, m in parts)]
        made = []
        for part, moved in parts:
            leaf = FromLeaf(label(part.name), moved.node)
            shown = {n: leaf.column(n) for n in names(part)}
            along = {free(f"d_{n}", shown): leaf.column(moved.tangents[n]) if n in moved.tangents else ZERO
                     for n in (names(part)[place] for place in live)}  # fmt: skip
            made.append(Block(part.name, (leaf,), (), {**shown, **along}))
        tangents = {first[place]: names(made[0])[len(first) + n] for n, place in enumerate(live)}
        return TangentRelation(BlockUnion(union.name, tuple(made)), tangents)

    def _parts(self, union: BlockUnion) -> Iterator[tuple[Block, TangentRelation]]:
        for part in union.parts:
            yield part, self.moved(part)


def _beside(old: Block, block: Block) -> tuple[FromLeaf, Block]:
    """The extreme values of a group beside its rows: of the very relations that the rows are of, to the last digit."""
    for leaf in block.leaves:
        if isinstance(leaf.node, Block) and leaf.node.outputs is old.outputs:
            return leaf, block
    best = FromLeaf(label(old.name), replace(block, outputs=old.outputs))
    on = [same(block.outputs[k], best.column(k), may_be_null(block, block.outputs[k])) for k in old.keys or ()]
    return best, replace(block, source=(*block.source, best), where=(*block.where, *on))

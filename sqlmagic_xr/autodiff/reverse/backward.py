"""The backward pass: what a query's column owes to each cell, taken back from relation to relation.

Each relation is visited once, when all that reads it has been: its cotangents are then complete. A SELECT without
groups is put into what reads it, unless several read it and it has a key; a group keeps its cotangents by its keys.
What goes to a reading is a sum over the rows of the FROM around it, by the reading's key::

    d_L(key) = SELECT L.key, SUM(d(group) * slope of the summand by L)
               FROM ... JOIN d ON the group's keys GROUP BY L.key

What is the same in all rows of a key stands outside of the sum, and a reading of which nothing but its key is left is
read no more, where other columns equal it: so a layer's backward pass is one JOIN and one GROUP BY.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

from ...sql.expression import Call, Case, Expression
from ...sql.expression import columns as paths
from ...sql.remembered import once_a_node
from ..collect import tidied
from ..rules import Rules
from ..simplify import ONE, ZERO, add, divide, multiply
from .blocks import (
    Block,
    BlockUnion,
    FromLeaf,
    Given,
    Node,
    Path,
    active,
    filled,
    inputs,
    label,
    names,
    requiring,
    staircase,
)
from .cancelling import cancelled
from .contributing import contributed
from .extremes import attains, tied
from .flattening import inlined, is_inside, readers
from .keys import key_of, may_be_null
from .known import known
from .many import MANY, CotangentTerms, weighted
from .refusing import refused
from .shares import Share, same, total
from .slopes import slope
from .transposing import transposed


class Pass:
    """Takes the column of one query back to the cells that it reads.

    Args:
        rules: function -> partial derivatives, as everywhere.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._pending: dict[Block, list[Share]] = {}
        self._readers: Counter[Node] = Counter()
        self._found: list[Share] = []
        self._cancelled: frozenset[Node] = frozenset()

    def shares(self, loss: Block, column: str) -> list[Share]:
        """What the readings of the cells contribute to the derivative of a query's column by each cell.

        Args:
            loss: the query; of several rows each has a derivative of its own, by its key.
            column: one of its columns.

        Raises:
            DerivativeError: a part through which no derivative goes, with the reason.
        """
        if loss.moves:
            leaf = FromLeaf(label(loss.name), loss)
            loss = Block(loss.name, (leaf,), (), {n: leaf.column(n) for n in loss.outputs})
        if column in staircase(loss):
            raise refused("where a row stands by a value that depends on the parameter is a staircase: it has no "
                          "derivative", "It may choose rows: WHERE rank = 1.")  # fmt: skip
        self._readers, self._cancelled = readers(loss), cancelled(loss, column)
        key = key_of(loss)
        if key is None:
            raise refused(f"it is not known what names a row of {loss.name}",
                          "Group it by what does, or make it one row.")  # fmt: skip
        self._take(loss, Share(None, {}, {column: ONE}), key)
        while self._pending:
            node = max(self._pending, key=_height)
            shares = self._pending.pop(node)
            self._take(node, total(node, shares, key_of(node) or ()), ())
        return self._found

    # One relation

    def _take(self, block: Block, cotangent: Share, seeds: Sequence[str]) -> None:
        """Go from a relation's cotangents to what its FROM reads.

        Args:
            block: the relation.
            cotangent: of its columns.
            seeds: of the loss itself, the columns by which its rows are told apart.
        """
        if block.moves:
            (leaf,) = block.leaves
            self._owe(leaf, transposed(block, leaf, cotangent))
            return
        source, where = [*block.source], [*block.where]
        weights: Mapping[str, Expression] = cotangent.values
        batch = {name: block.outputs[name] for name in seeds}
        if cotangent.block is not None:
            leaf = FromLeaf(label(cotangent.block.name), cotangent.block)
            source.append(leaf)
            new: dict[Path, Expression] = {("", n): leaf.column(n) for n in cotangent.block.outputs}
            weights = {c: _replaced(e, new) for c, e in weights.items()}
            for k, c in cotangent.key.items():
                null = may_be_null(block, block.outputs[k])
                where.append(same(block.outputs[k], leaf.column(c), null))
            batch = {b: leaf.column(c) for b, c in cotangent.batch.items()}
        terms: dict[str, Expression] = {f"by {b}": e for b, e in batch.items()}
        work = Block(block.name, tuple(source), tuple(where), {})
        for number, (column, weight) in enumerate(weights.items()):
            expression = block.outputs[column]
            if column not in active(block):
                continue
            if block.groups:
                assert isinstance(expression, Call)
                work, weight, held = self._of_aggregate(block, work, column, expression, weight)
                expression = expression.args[0]
                terms |= {f"if {number}": held} if held is not None else {}
                terms[f"known {number}"] = expression
            terms |= {f"value {number}": expression, f"weight {number}": weight}
        self._spread(replace(work, outputs=terms), None, frozenset())

    def _of_aggregate(
        self, block: Block, work: Block, column: str, call: Call, weight: Expression
    ) -> tuple[Block, Expression, Expression | None]:
        """What reaches the argument of an aggregate: the rows' source, the weight, and for which rows."""
        held = call.filter
        if call.name == "sum":
            return work, weight, held
        assert call.name in ("min", "max")
        best, ties = tied(block, column, call)
        own = (*work.source, best, ties)
        keys = block.keys or ()
        on = [same(block.outputs[k], leaf.column(k), may_be_null(block, block.outputs[k]))
              for leaf in (best, ties) for k in keys]  # fmt: skip
        met = attains(block, call, best.column(column))
        held = met if held is None else Call("and", (held, met))
        count = Call("*", (ties.column("ties"), ONE))
        return replace(work, source=own, where=(*work.where, *on)), divide(weight, count), held

    # To the readings

    def _spread(self, work: Block, only: frozenset[str] | None, done: frozenset[str]) -> None:
        """Contribute to each reading that the terms depend on.

        Args:
            work: the rows, with the terms as outputs.
            only: the readings that are asked for; None for all.
            done: readings that have been contributed to.
        """
        while True:
            live = [leaf for leaf in _live(work) if leaf.label not in done and (only is None or leaf.label in only)
                    and leaf.node not in self._cancelled]  # fmt: skip
            plain = next((x for x in live if self._is_inside(x.node) and x.label not in filled(work)), None)
            if plain is None:
                break
            assert isinstance(plain.node, Block)
            work, inner = inlined(work, plain, plain.node)
            only = None if only is None else (only - {plain.label}) | inner
        for leaf in live:
            whole = requiring(work, leaf.label) if leaf.label in filled(work) else work
            if isinstance(leaf.node, BlockUnion):
                for part in leaf.node.parts:
                    columns = dict(zip(names(leaf.node), names(part), strict=True))
                    made, inner = inlined(whole, leaf, part, columns)
                    self._spread(made, inner, frozenset())
            elif self._is_inside(leaf.node):
                self._spread(whole, frozenset({leaf.label}), frozenset())
            else:
                self._contribute(whole, leaf)

    def _is_inside(self, node: Node) -> bool:
        """Whether a relation is put into what reads it."""
        return is_inside(node, self._readers)

    def _contribute(self, work: Block, leaf: FromLeaf) -> None:
        key = key_of(leaf.node)
        if key is None:
            raise refused(f"{leaf.node.name} has no key, so that its rows cannot be told apart",
                          "Give it a PRIMARY KEY.")  # fmt: skip
        sums = {}
        wanted = _wanted(work, leaf)
        many = self._many(work, leaf) if len(wanted) >= MANY else {}
        for column in wanted:
            work, found = self._summand(work, leaf, column, many, alone=len(wanted) == 1)
            if found is not None:
                sums[column] = found
        if not sums:
            return
        self._owe(leaf, contributed(work, leaf, key, sums))

    def _owe(self, leaf: FromLeaf, share: Share) -> None:
        """Note what a reading's relation is owed."""
        if isinstance(leaf.node, Given):
            self._found.append(share)
        else:
            assert isinstance(leaf.node, Block)
            self._pending.setdefault(leaf.node, []).append(share)

    def _many(self, work: Block, leaf: FromLeaf) -> dict[str, CotangentTerms]:
        """By the number of a term, what it adds to the columns of a reading, if these are many."""
        found: dict[str, CotangentTerms] = {}
        for number in _numbers(work):
            held = work.outputs.get(f"if {number}")
            made = weighted(
                work, leaf, work.outputs[f"value {number}"], work.outputs[f"weight {number}"],
                [] if held is None else [held], self._rules, counted=_is_counted(work, leaf, number),
            )  # fmt: skip
            found |= {} if made is None else {number: made}
        return found

    def _summand(
        self, work: Block, leaf: FromLeaf, column: str, many: Mapping[str, CotangentTerms], *, alone: bool
    ) -> tuple[Block, Expression | None]:
        """What is summed for a column of a reading, and the rows in which it counts."""
        found: list[tuple[Expression, list[Expression]]] = []
        numbers = _numbers(work)
        for number in numbers:
            if number in many:
                if column in many[number].terms:
                    found.append((many[number].terms[column], many[number].held))
                continue
            value, weight = work.outputs[f"value {number}"], work.outputs[f"weight {number}"]
            by = slope(work, value, (leaf.label, column), self._rules)
            if by is None:
                continue
            held = work.outputs.get(f"if {number}")
            term = multiply(weight, by)
            counted = known(work, value, term) if _is_counted(work, leaf, number) else ()
            found.append((term, [*([held] if held is not None else []), *counted]))
        if not found:
            return work, None
        if len(numbers) == 1 and alone:
            ((term, conditions),) = found
            return replace(work, where=tuple(dict.fromkeys([*work.where, *conditions]))), tidied(term)
        parts = []
        for each, conditions in found:
            term = tidied(each)
            guarded: Expression = term
            if conditions:
                whole = reduce(lambda a, b: Call("and", (a, b)), conditions)
                guarded = Case(((whole, term),), ZERO)
            null = len(found) > 1 and may_be_null(work, term)
            parts.append(Call("coalesce", (guarded, ZERO)) if null else guarded)
        # A condition stays as it is: calculated in another order, the row that attains a maximum would not attain it.
        return work, reduce(add, parts)


def _numbers(work: Block) -> list[str]:
    """The numbers of the terms."""
    return [name.removeprefix("value ") for name in work.outputs if name.startswith("value ")]


def _is_counted(work: Block, leaf: FromLeaf, number: str) -> bool:
    """Whether a row in which a term's value is NULL is left out.

    What a window owes reaches other rows: a row of which the value is NULL has nothing to pass on, not 0 / 0.
    """
    passes_on = isinstance(leaf.node, Block) and leaf.node.moves
    return passes_on or f"known {number}" in work.outputs


def _live(work: Block) -> list[FromLeaf]:
    """The readings that the terms depend on."""
    return [leaf for leaf in work.leaves if _wanted(work, leaf)]


def _wanted(work: Block, leaf: FromLeaf) -> list[str]:
    """The columns of a reading by which the terms are derived."""
    terms = [e for n, e in work.outputs.items() if n.startswith("value ")]
    used = frozenset(path for e in terms for path in paths(e))
    return [c for c in sorted(active(leaf.node)) if (leaf.label, c) in used]


def _replaced(expression: Expression, new: Mapping[Path, Expression]) -> Expression:
    from .blocks import substituted

    return substituted(expression, new)


@once_a_node
def _height(node: Node) -> int:
    """How many relations stand below one: what reads it stands higher."""
    return 1 + max(map(_height, inputs(node)), default=0)

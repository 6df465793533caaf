"""Derivatives by many columns of one reading: the backward pass within an expression.

Of ``sum(power(p.w0 * d.x0 + ... + p.w99 * d.x99 - d.y, 2))`` the derivative by each weight has the whole residual in
it: written out, the text is a hundred times a hundred terms long. So the cotangent of what all columns stand in, a sum
as a rule, is one value that they share (:mod:`.once`), and each term of the sum is derived by its own columns. Terms
that are sums themselves go the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from ...sql.expression import Call, Case, Column, Expression, replace_parts
from ...sql.expression import columns as paths
from ..rules import Rules
from ..simplify import add, multiply, negative
from .blocks import Block, FromLeaf, Given, Path, label, substituted
from .keys import may_be_null
from .known import known
from .once import once
from .slopes import kind_of_expression, slope

MANY = 8
"""By fewer columns each derivative is written out: that is shorter, and reads better."""


@dataclass(frozen=True)
class CotangentTerms:
    """What a value adds to the cotangents of many columns.

    Attributes:
        terms: column -> what is summed for it.
        held: the conditions under which there is something.
    """

    terms: Mapping[str, Expression]
    held: list[Expression]


def weighted(
    work: Block, leaf: FromLeaf, value: Expression, weight: Expression, conditions: Iterable[Expression], rules: Rules,
    *, counted: bool,
) -> CotangentTerms | None:  # fmt: skip
    """The derivatives of a value by many columns of a reading, times a weight; None where they are few.

    Args:
        work: the rows.
        leaf: the reading.
        value: over these rows.
        weight: its cotangent.
        conditions: for which rows it counts.
        rules: function -> partial derivatives.
        counted: whether a row in which the value is NULL has nothing to pass on.
    """
    wanted = frozenset(path for path in paths(value) if path[0] == leaf.label)
    found = _cotangent(work, value, weight, wanted, rules) if len(wanted) >= MANY else None
    if found is None:
        return None
    inner, cotangent = found
    met = [*conditions, *(known(work, value, cotangent) if counted else ())]
    if met:
        cotangent = Case(((reduce(lambda a, b: Call("and", (a, b)), met), cotangent),), None)
    shared = once(cotangent)
    terms: dict[str, Expression] = {}
    _spread(work, inner, shared, wanted, rules, terms)
    return CotangentTerms(terms, [Call("is not null", (shared,))] if met else [])


def _spread(
    work: Block, inner: Expression, cotangent: Expression, wanted: frozenset[Path], rules: Rules,
    found: dict[str, Expression],
) -> None:  # fmt: skip
    """Add what the terms of a sum give to each column."""
    for term, negated in _terms(inner):
        own = wanted & paths(term)
        weight = negative(cotangent) if negated else cotangent
        for alone in _held_by_one_part(term, own):
            below = _cotangent(work, term, weight, alone, rules)
            if below is not None and below[0] is not term:
                _spread(work, below[0], once(below[1]), alone, rules, found)
                own -= alone
        for path in sorted(own):
            by = slope(work, term, path, rules)
            if by is not None:
                more = multiply(weight, by)
                found[path[1]] = add(found[path[1]], more) if path[1] in found else more


def _held_by_one_part(term: Expression, wanted: frozenset[Path]) -> Iterator[frozenset[Path]]:
    """Of each part of a term that holds many columns, those that stand in no other part."""
    if len(wanted) < MANY:
        return
    held = [wanted & paths(part) for part in term.parts]
    counts = Counter(path for each in held for path in each)
    for each in held:
        alone = frozenset(path for path in each if counts[path] == 1)
        if len(alone) >= MANY:
            yield alone


def _cotangent(
    work: Block, value: Expression, weight: Expression, wanted: frozenset[Path], rules: Rules
) -> tuple[Expression, Expression] | None:
    """The smallest part of a value in which all columns stand, and its cotangent; None where it has none."""
    inner = _smallest(value, wanted)
    if inner is value:
        return value, weight
    sure = frozenset() if may_be_null(work, inner) else frozenset({"value"})
    part = FromLeaf(label("part"), Given("part", None, {"value": kind_of_expression(work, inner)}, sure, ()))
    column = part.column("value")
    outer = replace_parts(value, lambda e: column if e is inner else None)
    by = slope(replace(work, source=(*work.source, part)), outer, column.path, rules)
    return None if by is None else (inner, multiply(weight, substituted(by, {column.path: inner})))


def _smallest(value: Expression, wanted: frozenset[Path]) -> Expression:
    while True:
        holding = [part for part in value.parts if not wanted.isdisjoint(paths(part))]
        if len(holding) != 1 or isinstance(holding[0], Column) or not isinstance(value, (Call, Case)):
            return value
        (value,) = holding


def _terms(expression: Expression) -> Iterator[tuple[Expression, bool]]:
    """The terms of a sum, and which of them are subtracted."""
    todo = [(expression, False)]
    while todo:
        node, negated = todo.pop()
        if isinstance(node, Call) and node.name in ("+", "-") and len(node.args) == 2:
            todo += [(node.args[1], negated != (node.name == "-")), (node.args[0], negated)]
        else:
            yield node, negated

"""Finds the derivatives of whole queries in a statement and puts ordinary SQL in their place.

``grad(e, t.c)`` goes through whole queries where ``e`` is made of columns that were computed from another reading of
what ``t`` reads; so do ``vjp`` and ``jvp``. A SELECT with such calls gets CTEs (what is needed of the forward pass, the
cotangents, the sums by key), a LEFT JOIN for each sum, and an expression in the place of each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...errors import SqlError
from ...relation import nodes
from ...relation.catalog import Catalog
from ...relation.columns import fields
from ...relation.facts import always_one_row
from ...relation.reads import may_compute_columns
from ...relation.rebuild import substituted as rebuilt
from ...relation.write import expression_tree, from_tree_of, without_stars
from ...sql.clauses import called as called_as
from ...sql.clauses import joined, named_table, names_given, with_select
from ...sql.expression import Call, Expression, descend
from ...sql.identity import IdentityMap
from ...sql.syntax import Tree, walk
from ...sql.syntax import replace as replaced
from ..reading import is_call
from ..rules import Rules
from ..simplify import ZERO
from .finding import Remembered, WholeQueryCalls, expressions, selects, source_of
from .values import SelectDerivatives
from .writing import Writing


def rewrite_whole(tree: Tree, catalog: Catalog, rules: Rules) -> Tree:
    """A statement in which derivatives of whole queries are ordinary SQL; row-wise ones stay as they are.

    Args:
        tree: the statement.
        catalog: what tables there are.
        rules: function -> partial derivatives.

    Raises:
        DerivativeError: a query through which no derivative goes, with the reason and the place.
    """
    catalog = Remembered(catalog)
    left = sum(map(is_call, walk(tree))) if may_compute_columns(tree, catalog) else 0
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

    def __init__(self, tree: Tree, found: WholeQueryCalls, catalog: Catalog, rules: Rules) -> None:
        self.tree, self.reading, self.catalog, self.rules = tree, found.reading, catalog, rules
        self.calls = found.calls
        self.values = SelectDerivatives(found, catalog, rules, Writing(names_given(tree)))
        self.replaced = 0

    def made(self) -> Tree:
        """The statement with the calls replaced."""
        new: dict[Expression, Expression] = {}
        for called in self.calls:
            try:
                new[called.call] = self.values.of(called)
            except SqlError as error:
                error.span = called.call.span or error.span
                raise
        return self._put(new)

    # The tree

    def _put(self, new: Mapping[Expression, Expression]) -> Tree:
        select = self.reading.select
        values = IdentityMap((call.origin, expression_tree(e)) for call, e in self._trees(new))
        self.replaced = len(values)
        relation = self.reading.relation
        while not isinstance(relation, nodes.Select):
            relation = relation.source  # type: ignore[attr-defined]
        changed = replaced(without_stars(relation), values.get)
        read, unread = source_of(self.reading.relation), self._unread(new)
        for leaf in unread:
            read = _without(read, leaf)
        (whole,) = from_tree_of(read)
        whole = replaced(whole, self.values.numbers.get)
        for name, alias, on in self.values.joins:
            whole = joined(whole, called_as(named_table((name,)), alias), "left", on)
        spare = {r.name[0] for leaf in unread for r in nodes.relations(leaf)
                 if isinstance(r, nodes.Shared) and r.kind == "cte"}  # fmt: skip
        return with_select(self.tree, select, {**changed, "from": [whole]}, self.values.writing.ctes(), spare)

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

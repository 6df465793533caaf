"""Where the engine is wrong, we stand between it and the user: rewrites of a statement before it is planned.

Each module knows one fault. It fires only where the fault can occur: a pattern tells by the statement's text, which
costs a few microseconds, whether its tree is looked at at all. ``docs/engine-faults.md`` lists the faults; a test fails
as soon as the engine has mended one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
from datafusion import SessionContext

from ...relation.functions import given_here, of_session
from ...relation.recalled import Asked, Recalled
from ...sql.renaming import named
from ...sql.syntax import Tree, to_sql
from . import (
    decimals,
    digits,
    distinct,
    ends,
    extremes,
    formats,
    guards,
    hidden,
    integers,
    lists,
    merged,
    moments,
    moving,
    negations,
    orders,
    outer_on,
    overflow,
    powers,
    products,
    qualifiers,
    repeated,
    sort_keys,
    subqueries,
    subquery_columns,
    texts,
    truths,
    unordered,
    windows,
    years,
    zeros,
)
from .reading import Reading
from .signs import Signs, spellings
from .tables import EngineTables
from .types import TableTypes

if TYPE_CHECKING:
    from ..context import Context


@dataclass(frozen=True)
class Workaround:
    """A rewrite and the sign of what it is for.

    Attributes:
        signs: found in the text of every statement that the rewrite may change.
        rewrite: the statement, read once for all -> the tree that the engine answers right.
        needs: words and marks of which one stands in every text with the signs in it (see :class:`.signs.Signs`).
    """

    signs: str
    rewrite: Callable[[Reading], Tree]
    needs: str = ""


WORKAROUNDS = (
    Workaround(qualifiers.SIGNS, qualifiers.checked, "( ."),
    Workaround(texts.SIGNS, texts.refused, texts.NEEDS),
    Workaround(formats.SIGNS, formats.refused, formats.NEEDS),
    Workaround(hidden.SIGNS, hidden.with_ctes_renamed, "WITH"),
    Workaround(unordered.SIGNS, unordered.without_order, "ORDER"),
    Workaround(merged.SIGNS, merged.written_out, "USING NATURAL"),
    Workaround(sort_keys.SIGNS, sort_keys.once, "DISTINCT ORDER"),
    Workaround(distinct.SIGNS, distinct.by_place, "DISTINCT"),
    Workaround(outer_on.SIGNS, outer_on.moved_to_where, "JOIN"),
    Workaround(products.SIGNS, products.remembered, "JOIN"),
    Workaround(subquery_columns.SIGNS, subquery_columns.with_distinct_names, "("),
    Workaround(lists.SIGNS, lists.without_nulls, "IN"),
    Workaround(subqueries.SIGNS, subqueries.answered, "EXISTS IN"),
    Workaround(guards.SIGNS, guards.asked_first, "/ %"),
    Workaround(years.SIGNS, years.kept_as_numbers, "DATE_PART DATEPART EXTRACT"),
    Workaround(powers.SIGNS, powers.guarded, "POWER POW LOG"),
    Workaround(negations.SIGNS, negations.subtracted, "& | ^ XOR"),
    Workaround(windows.SIGNS, windows.slid, "OVER"),
    Workaround(moving.SIGNS, moving.summed_anew, "ROWS RANGE GROUPS"),
    Workaround(moments.SIGNS, moments.scaled, moments.NEEDS),
    Workaround(extremes.SIGNS, extremes.unbounded, "MIN MAX"),
    Workaround(digits.SIGNS, digits.kept),
    Workaround(truths.SIGNS, truths.compared, "TRUE FALSE UNKNOWN"),
    Workaround(integers.SIGNS, integers.widened, "* + - <"),
    Workaround(overflow.SIGNS, overflow.checked, "SUM * + - <"),
    Workaround(decimals.SIGNS, decimals.lengthened, "SUM AVG MEAN"),
    Workaround(zeros.SIGNS, zeros.signless, zeros.NEEDS),
    Workaround(repeated.SIGNS, repeated.with_named_subqueries, "("),
    Workaround(ends.SIGNS, ends.kept, "OFFSET LIMIT"),
    Workaround(orders.SIGNS, orders.shown, "ORDER"),
)
"""In their order: names are told apart first, subqueries are written anew before what stands in them is looked at,
types are asked for last."""

_SIGNS = Signs((w.signs, w.needs) for w in WORKAROUNDS)
NO_TYPES: Mapping[str, pa.DataType] = MappingProxyType({})
_REMEMBERED = 256  # statements; a notebook has fewer, and a text that differs each time is not worth more
_INTEGERS = next(number for number, w in enumerate(WORKAROUNDS) if w.rewrite is integers.widened)


def rewritten(tree: Tree, sql: str, tables: TableTypes, *, of_view: bool = False) -> Tree:
    """A statement's tree without what the engine answers wrongly; ``tree`` itself where there is nothing of it.

    Args:
        tree: the statement.
        sql: its text.
        tables: what is known of the tables that it reads.
        of_view: whether it is a view's, so that other queries read it.

    Raises:
        UnsupportedError: something that the engine answers wrongly and that cannot be had otherwise.
    """
    reading = Reading(tree, tables, of_view=of_view)
    for number in _found(sql):
        reading = reading.changed(WORKAROUNDS[number].rewrite(reading))
    return reading.tree


class Mending:
    """The rewrites as a context applies them to what it plans.

    Args:
        context: knows the tables, and what the engine calls a column.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tables = EngineTables(context)
        self._done: dict[Any, tuple[Mapping[tuple[str, ...], Any], Tree | None]] = {}

    def mended(
        self, tree: Tree, sql: str, *, at_once: bool = False, of_view: bool = False,
        parameters: Mapping[str, pa.DataType] = NO_TYPES,
    ) -> Tree:  # fmt: skip
        """A statement's tree as the engine shall plan it; ``tree`` itself where nothing is to be mended.

        Args:
            tree: the statement.
            sql: its text.
            at_once: whether it is planned now, and not again when its tables are others.
            of_view: whether it is a view's, so that other queries read it.
            parameters: the types of placeholders, where they are known.
        """
        if not suspicious(sql):
            return tree
        # What a SET or a function of the user's has changed may be what a rewrite, or a name, depends on.
        key = (sql, at_once, of_view, tuple(parameters.items()), self._context.alterations)
        known = self._done.get(key)
        if known is not None and all(self._tables.rows_identity(name) is was for name, was in known[0].items()):
            return tree if known[1] is None else known[1]
        with of_session(self._context), self._tables.noting(at_once, parameters) as asked:
            after = rewritten(tree, sql, self._tables, of_view=of_view)
        after = tree if after is tree else named(after, tree, self._names)
        if len(self._done) >= _REMEMBERED:
            self._done.clear()
        self._done[key] = (asked, None if after is tree else after)
        return after

    def widened(self, tree: Tree, sql: str) -> Tree:
        """A statement's tree with integers that do not wrap around, for every executor; see :mod:`.integers`."""
        if _INTEGERS not in _found(sql):
            return tree
        with of_session(self._context):
            after = _widened(tree, self._tables)
        return tree if after is tree else named(after, tree, self._names)

    def rows_identities(self, names: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Any]:
        """For each of some relations what stands for its columns: another object as soon as they may be others."""
        return {name: self._tables.rows_identity(name) for name in names}

    def _names(self, query: Tree) -> list[str]:
        return list(SessionContext.sql(self._context, to_sql(query)).schema().names)


_WIDENED = Recalled[Tree | None](most=64)  # None of a statement that stays as it is


def _widened(tree: Tree, tables: EngineTables) -> Tree:
    asked, same = Asked(tables), (tables.parameters, given_here())
    known = _WIDENED.find(tree, same, asked.again)
    if known is None:
        known = integers.widened(Reading(tree, cast(TableTypes, asked)))
        _WIDENED.keep(tree, same, asked.answers, known)
    return known


@lru_cache(maxsize=64)
def _found(sql: str) -> tuple[int, ...]:
    """The numbers of the rewrites that a statement of that text may need, in their order."""
    first, *others = (_SIGNS.found(text) for text in spellings(sql))
    return tuple(sorted({*first, *others[0]})) if others else first


def suspicious(sql: str) -> bool:
    """Whether a statement of that text may hold what a rewrite changes."""
    return bool(_found(sql))


__all__ = ["NO_TYPES", "WORKAROUNDS", "Mending", "rewritten", "suspicious"]

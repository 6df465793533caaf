"""Finds grad, jvp and vjp in a statement, works them out and puts the derivative in their place.

The tree is read once, every call in the scope it stands in, and then built anew: calls replaced, companions (see
:mod:`.layers`) added to the queries that compute what is derived, wildcards kept from showing them.
"""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

from ..errors import DerivativeError, SqlError
from ..relation.catalog import Catalog as Tables
from ..relation.functions import given_here
from ..relation.layers import Environment, Item, LayerCatalog, Scope
from ..relation.recalled import Asked, Recalled
from ..sql.expression import (
    Column,
    parse,
    to_sql,
)
from ..sql.syntax import Tree, parse_one, walk
from ..sql.syntax import to_sql as statement_sql
from .collect import tidied
from .dissolve import plain
from .layers import Layers, NoTables
from .reading import WorkedStatement, is_call
from .rebuild import Rebuilding
from .reverse.query import gradient_of
from .reverse.statement import rewrite_whole
from .rules import RULES, Rules
from .simplify import ZERO
from .view import Variable


def rewrite(tree: Tree, catalog: LayerCatalog, *, rules: Rules = RULES) -> Tree:
    """A statement's tree with every derivative worked out; ``tree`` itself where there is none.

    Args:
        tree: the statement; parameters in it are constants.
        catalog: what its tables' names mean.
        rules: function -> partial derivatives, see :mod:`.rules`.

    Raises:
        DerivativeError: a part that depends on the variable and has no derivative.
        UnknownNameError: a column that nothing has, or more than one relation.
    """
    if not any(is_call(node) for node in walk(tree)):
        return tree
    whole, same, asked = isinstance(catalog, Tables), (rules, given_here()), Asked(catalog)
    known = _KNOWN.find((tree, whole), same, asked.again)
    if known is None:
        known = _rewritten(tree, cast(LayerCatalog, asked), rules, whole=whole)
        _KNOWN.keep((tree, whole), same, asked.answers, known)
    return known


def _rewritten(tree: Tree, catalog: LayerCatalog, rules: Rules, *, whole: bool) -> Tree:
    if whole:
        tree = rewrite_whole(tree, cast(Tables, catalog), rules)
        if not any(is_call(node) for node in walk(tree)):
            return tree
    reading = WorkedStatement(catalog, rules)
    reading.statement(tree)
    return Rebuilding(reading).statement(tree)


_KNOWN = Recalled[Tree](most=64)  # statements; a notebook's cells have fewer that hold derivatives


def differentiate(
    expression: str, column: str | None = None, *, tables: LayerCatalog | HasTables | None = None, rules: Rules = RULES
) -> str:
    """The derivative of a SQL expression by one of its columns, or of a whole query by a column of a table, as SQL.

    Every name in an expression is taken for a column of real numbers. The result is one expression, so it repeats
    what a statement would compute once, in CTEs below its SELECT: SQL names a value only in a FROM, and DataFusion
    plans no scalar subquery that reads the row outside it. Of a chain of functions it is longer than what ``grad``
    becomes in a statement, by about the chain's length for each order.

    Args:
        expression: any scalar SQL expression; grad, jvp and vjp may stand in it. With ``tables`` a query of one number,
            whose derivative by each cell is a query with the table's key; or without a column a whole statement.
        column: the column's name as written in the expression: ``x``, ``t.x``, ``"X"``; of a table that a query reads
            always ``t.x``.
        tables: what a query's names mean: a :class:`~sqlmagic_xr.Context`.
        rules: function -> partial derivatives, see :mod:`.rules`.

    Raises:
        DerivativeError: a part that depends on the column and has no derivative.
        ParseError: a text that is not one expression, or one statement.

    >>> differentiate("power(y - (a * x + b), 2)", "a")
    '-2.0 * (y - (a * x + b)) * x'
    >>> from sqlmagic_xr import Context
    >>> context = Context()
    >>> _ = context.script("CREATE TABLE p (k BIGINT PRIMARY KEY, a DOUBLE NOT NULL)")
    >>> print(differentiate("SELECT SUM(a * a) FROM p", "p.a", tables=context))  # doctest: +NORMALIZE_WHITESPACE
    WITH d_p AS (SELECT p.k AS g_k, 2.0 AS g_d_a FROM p)
    SELECT p.k, coalesce(p.a * g.g_d_a, 0.0) AS d_a FROM p LEFT JOIN d_p AS g ON p.k = g.g_k
    """
    if tables is not None:
        known = tables.tables if isinstance(tables, HasTables) else tables
        assert isinstance(known, Tables)
        text = expression if column is None else gradient_of(expression, column, known)
        return statement_sql(rewrite(parse_one(text).tree, known, rules=rules))
    if column is None:
        raise DerivativeError("a derivative is taken by a column", hint="For example: differentiate('x * x', 'x')")
    item = Item({}, ("",))
    scope = _AnyColumn([item], Environment(NoTables()))
    variable = parse(column)
    if not isinstance(variable, Column):
        raise DerivativeError(f"a derivative is taken by a column, not by {column}", hint="For example: x, t.x")
    layers = Layers(rules)
    text = f"SELECT {expression}"
    try:
        found = layers.derivative(parse(expression), scope, Variable(item, ".".join(variable.path)))
    except SqlError as error:
        raise error.locate(text, error.span) from None
    return to_sql(tidied(plain(found.expression)) if found else ZERO)


@runtime_checkable
class HasTables(Protocol):
    """Whoever knows what tables there are, such as a context."""

    @property
    def tables(self) -> LayerCatalog:
        """What tables there are."""


class _AnyColumn(Scope):
    """A scope in which every name is a column of one relation."""

    def _resolve(self, path: tuple[str, ...]) -> tuple[Item, str]:
        return self.items[0], ".".join(path)

    def owns(self, item: Item) -> bool:
        return False  # so that the column is a constant to every aggregate

"""What an expression's names mean to a derivative: one scope, one variable, and the layers below."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..relation.frames import is_whole
from ..relation.layers import ColumnType, Item, Query, Scope, item_key
from ..sql.build import window
from ..sql.expression import Call, Column, Expression, Verbatim, columns, to_tree
from .names import refused
from .simplify import ONE

if TYPE_CHECKING:
    from .layers import Layers


@dataclass(frozen=True)
class Variable:
    """What a derivative is taken by: a column of one item of a scope."""

    item: Item
    name: str


@dataclass(eq=False)
class Companion:
    """The derivative of a query's column, as a further column of the query.

    Attributes:
        query: the query that gets it.
        name: its name there.
        source: the column that it is the derivative of.
        branches: what it is in each of the query's SELECTs.
        needs: the companions of inner queries that ``branches`` read.
        wanted: whether the statement reads it; only then it is written.
    """

    query: Query
    name: str
    source: str
    branches: list[Expression] = field(default_factory=list)
    needs: set[Companion] = field(default_factory=set)
    wanted: bool = False


@dataclass(frozen=True)
class Worked:
    """A derivative that was worked out, and the companions that it reads."""

    expression: Expression
    needs: frozenset[Companion] = frozenset()


class ScopeNames:
    """An expression's names as :class:`.names.Meanings` asks for them: one scope, one variable."""

    def __init__(self, layers: Layers, scope: Scope, variable: Variable) -> None:
        self.layers = layers
        self.scope = scope
        self.variable = variable
        self.needs: dict[tuple[str, ...], Companion] = {}
        self._known: dict[tuple[str, ...], Expression | None] = {}
        self._active: set[tuple[str, ...]] = set()

    def derivative(self, column: Column) -> Expression | None:
        """The derivative of a column by the variable; None where it does not depend on it."""
        if column.path not in self._known:
            self._known[column.path] = self._derivative(column)
        return self._known[column.path]

    def _derivative(self, column: Column) -> Expression | None:
        item, name = self.scope.resolve(column.path)
        if item is not self.variable.item:
            return None
        if name == self.variable.name:
            return ONE
        if item.query is None:
            return None
        if self._is_state(item.query, item.inner(self.variable.name)):
            return None
        found = self.layers.through(item.query, item.inner(name), item.inner(self.variable.name))
        if not isinstance(found, Companion):
            return found
        path = (*column.path[:-1], found.name)
        self.needs[path] = found
        return Column(path)

    def _is_state(self, query: Query, name: str) -> bool:
        """Whether a query is the working table of the term that the scope stands in, and computes the variable anew.

        Then its columns are what the round before has left, as those of a table are: no column depends on another.
        """
        if query not in self.scope.environment.within:
            return False
        terms = None if query.branches is None else query.branches[1:]
        return terms is None or not all(isinstance(query.output(term, name), Column) for term in terms)

    def depends(self, expression: Expression) -> bool:
        """Whether any column in an expression depends on the variable."""
        return not columns(expression).isdisjoint(self._active)

    def find_dependent_columns(self, expression: Expression) -> None:
        """Find out which of an expression's columns depend on the variable."""
        stored = self.variable.item.query is None  # a table's column depends on no other
        for path in self.layers.paths(self.scope, expression).get(self.variable.item, ()):
            if stored and self.scope.resolve(path)[1] != self.variable.name:
                continue
            if path not in self._active and self.derivative(Column(path)) is not None:
                self._active.add(path)

    def type_of(self, column: Column) -> ColumnType | None:
        """What kind of value a column holds."""
        return self.layers.type_of(self.scope, column)

    def is_real(self, column: Column) -> bool:
        """Whether a column is known to hold floating-point numbers, or no numbers."""
        kind = self.type_of(column)
        if kind is None:  # of a table function, of VALUES; but not of an expression that stands alone
            return not self.scope.resolve(column.path)[0].tree
        return kind not in ("integer", "decimal")

    def is_key(self, expression: Expression) -> bool:
        """Whether an expression is what its SELECT groups by, so that it stands there as it is."""
        return expression in self.scope.keys_grouped_by

    def never_null(self, column: Column) -> bool:
        """Whether a column cannot be NULL: part of a table's key that no outer join fills."""
        item, name = self.scope.resolve(column.path)
        return item.relation is not None and not item.nullable and name in item.relation.key

    def rows_of(self, call: Call) -> Verbatim | None:
        """The window with the very rows that an aggregate reads; None where no window below its SELECT has them."""
        if not self.layers.may_share(self.scope):
            return None
        if call.window is not None:
            return call.window if is_whole(call.window.tree) else None
        keys = self.scope.group_keys or ()
        if not self.scope.plain_keys or any(isinstance(key, Verbatim) for key in keys):
            return None  # GROUPING SETS and the like, where a row is in several groups; GROUP BY ALL
        return Verbatim(window(list(map(to_tree, keys)), [], None))

    def require_constant(self, call: Call) -> None:
        """Raise DerivativeError unless the variable has one value in all rows that an aggregate reads."""
        item, name = self.variable.item, self.variable.name
        if not self.scope.owns(item) or item_key(item) == ():
            return
        keys: tuple[Expression, ...] = self.scope.group_keys or ()
        if call.window is not None:
            keys = self.layers.partition(self.scope, call)
        if (item, name) in self.scope.fixed(keys):
            return
        what = f"{name} may differ between the rows that {call.name} reads, so that there is no one {name} to derive by"
        where = "PARTITION BY" if call.window is not None else "GROUP BY"
        hint = f"Put it into {where}, read it from a relation of one row, or derive inside it: avg(grad(..., {name}))."
        raise refused(call, what, hint)

"""The chain rule through the layers that SQL puts between an expression and its columns.

A column that a subquery, a CTE or a view computes gets a companion: one more column of that query, its derivative. What
is outside reads the companion as it reads the column, so nothing is computed twice and no text is copied outwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import DerivativeError, SqlError, UnknownNameError
from ..relation.frames import partition_of
from ..relation.layers import ColumnType, Environment, Item, KnownTable, Query, Scope
from ..sql.expression import (
    Call,
    Column,
    Expression,
    Literal,
    columns,
    from_tree,
    replace_parts,
    to_sql,
    unique,
)  # fmt: skip
from ..sql.syntax import identifier
from .collect import collected
from .derivative import Derivative, Kinds, real
from .names import refused
from .rules import CALLS, Rules
from .simplify import ONE, ZERO, add, multiply
from .view import Companion, ScopeNames, Variable, Worked

USAGE = {
    "grad": "grad(expression, column)",
    "jvp": "jvp(expression, column, tangent [, column, tangent ...])",
    "vjp": "vjp(expression, column, cotangent)",
}


class NoTables:
    """A catalog without tables."""

    def relation(self, name: tuple[str, ...]) -> KnownTable | None:
        """None: there is no table of any name."""
        return None


_NOTHING = Item({}, ())
_NO_TABLES = Environment(NoTables())


class Layers:
    """The derivatives of the columns of a statement's queries, each worked out once.

    Args:
        rules: function -> partial derivatives.
        may_share: whether a SELECT can read a CTE instead of its FROM.
    """

    def __init__(self, rules: Rules, may_share: Callable[[Scope], bool] = lambda scope: False) -> None:
        self.rules = rules
        self.may_share = may_share
        self.companions: list[Companion] = []
        self._called: dict[tuple[Scope, Call], Worked] = {}
        self._one: dict[Expression, Expression] = {}
        self._expanded: dict[tuple[Scope, Expression], Worked] = {}
        self._paths: dict[tuple[Scope, Expression], dict[Item, list[tuple[str, ...]]]] = {}
        self._partials: dict[tuple[str, Call], Expression] = {}
        self._kinds: dict[Scope, Kinds] = {}
        self._found: dict[tuple[Query, str, str], Companion | Expression | None] = {}
        self._views: dict[tuple[Scope, Item, str], tuple[ScopeNames, Derivative]] = {}

    def by(self, scope: Scope, variable: Variable) -> tuple[ScopeNames, Derivative]:
        """What works out derivatives in a scope by a variable."""
        key = (scope, variable.item, variable.name)
        if key not in self._views:
            view = ScopeNames(self, scope, variable)
            self._views[key] = (
                view,
                Derivative(view, self.rules, self._partials, self._kinds.setdefault(scope, Kinds())),
            )
        return self._views[key]

    def one(self, call: Call) -> Call:
        """A call around the one object that there is for each of its distinct parts."""
        return replace(call, args=tuple(unique(arg, self._one) for arg in call.args))

    def call(self, call: Call, scope: Scope) -> Worked:
        """What a call of grad, jvp or vjp in a scope is equal to.

        Raises:
            DerivativeError: a part that has no derivative, or a call that is none.
            UnknownNameError: a column that nothing has, or more than one relation.
        """
        call = self.one(call)
        key = (scope, call)
        if key not in self._called:
            try:
                self._called[key] = self._call(call, scope)
            except SqlError as error:
                error.span = error.span or call.span
                raise
        return self._called[key]

    def _call(self, call: Call, scope: Scope) -> Worked:
        pairs = _arguments(call)
        total: Expression = ZERO
        needs: frozenset[Companion] = frozenset()
        for column, direction in pairs:
            variable = self._variable(column, scope)
            found = self.derivative(call.args[0], scope, variable)
            if found is None:
                self._require_no_other_reading(call.args[0], scope, variable)
                continue
            factor = self.expanded(direction, scope)
            total = add(total, multiply(found.expression, factor.expression))
            needs |= found.needs | factor.needs
        return Worked(real(total, self.by(scope, Variable(_NOTHING, ""))[1]), needs)

    def _variable(self, column: Expression, scope: Scope) -> Variable:
        if not isinstance(column, Column):
            error = DerivativeError(
                f"a derivative is taken by a column, not by {described(column)}",
                hint="Name the value in a subquery, and take the derivative by that column outside.",
            )
            error.span = column.span
            raise error
        item, name = _resolve(column, scope)
        kind = self.type_of(scope, column)
        if kind in ("text", "time", "boolean"):
            raise refused(column, f"{name} is {kind}: only by numbers is there a derivative", "")
        return Variable(item, name)

    def _require_no_other_reading(self, expression: Expression, scope: Scope, variable: Variable) -> None:
        """Raise DerivativeError where a zero would mislead: the same column was read elsewhere, and computed with."""
        mine = self.roots_of(variable)
        for path in sorted(columns(expression)):
            try:
                item, name = scope.resolve(path)
            except UnknownNameError:
                continue
            computed = item.query is not None and item is not variable.item
            if computed and mine & self.roots(scope, Column(path)):
                what = f"{name} was computed from another reading of {variable.name}, not from this one"
                hint = f"Select {variable.name} beside {name} in the same subquery, and derive by that column."
                raise DerivativeError(what, hint=hint)

    def paths(self, scope: Scope, expression: Expression) -> dict[Item, list[tuple[str, ...]]]:
        """The columns that an expression mentions, by their item."""
        key = (scope, expression)
        if key not in self._paths:
            found: dict[Item, list[tuple[str, ...]]] = {}
            for path in columns(expression):
                try:
                    found.setdefault(scope.resolve(path)[0], []).append(path)
                except UnknownNameError:
                    continue  # a name of a subquery's own, inside a piece that is kept as it is
            self._paths[key] = found
        return self._paths[key]

    def expanded(self, expression: Expression, scope: Scope) -> Worked:
        """An expression in a scope with the derivatives inside it worked out, and its names looked up."""
        key = (scope, expression)
        if key not in self._expanded:
            self._expanded[key] = self._expand(expression, scope)
        return self._expanded[key]

    def _expand(self, expression: Expression, scope: Scope) -> Worked:
        needs: set[Companion] = set()

        def change(node: Expression) -> Expression | None:
            if isinstance(node, Column):
                _resolve(node, scope)
            elif isinstance(node, Call) and node.name in CALLS:
                worked = self.call(node, scope)
                needs.update(worked.needs)
                return worked.expression
            return None

        return Worked(replace_parts(expression, change), frozenset(needs))

    def derivative(self, expression: Expression, scope: Scope, variable: Variable) -> Worked | None:
        """The derivative of an expression; None where it does not depend on the variable."""
        inner = self.expanded(expression, scope)
        view, derivative = self.by(scope, variable)
        view.find_dependent_columns(inner.expression)
        found = derivative.of(inner.expression)
        if found is None:
            return None
        made = real(collected(found), derivative)
        read = {view.needs[path] for path in columns(made) if path in view.needs}
        return Worked(made, frozenset(read) | inner.needs)

    def through(self, query: Query, name: str, by: str) -> Companion | Expression | None:
        """The derivative of a query's column by another of its columns: a number, None for zero, or a companion."""
        key = (query, name, by)
        if key not in self._found:
            companion = Companion(query, self._free_name(query, f"d_{name}_d_{by}"), name)
            query.added[companion.name] = companion
            self._found[key] = companion  # a recursive CTE asks for it while it is worked out
            self._found[key] = self._through(companion, name, by)
        return self._found[key]

    def _through(self, companion: Companion, name: str, by: str) -> Companion | Expression | None:
        query = companion.query
        if query.branches is None:
            _require_given(query, name)
            return None
        found: list[Worked | None] = []
        for branch in query.branches:
            output, variable = self._output(query, branch, name), self._output(query, branch, by)
            if not isinstance(variable, Column):
                self._require_unrelated(branch, name, output, by, variable)
                found.append(None)
                continue
            item, column = branch.resolve(variable.path)
            found.append(self.derivative(output, branch, Variable(item, column)))
        known = [worked.expression if worked else ZERO for worked in found]
        companion.branches = known
        companion.needs = {need for worked in found if worked for need in worked.needs}
        self.companions.append(companion)
        if all(worked is None for worked in found):
            return None
        if isinstance(known[0], Literal) and all(other == known[0] for other in known):
            return known[0]
        for branch in query.branches:
            _require_plain(branch, name)
        return companion

    def _output(self, query: Query, branch: Scope, name: str) -> Expression:
        added = query.added.get(name)
        if isinstance(added, Companion) and query.branches is not None:
            return added.branches[query.branches.index(branch)]
        output = query.output(branch, name)
        if output is None:
            raise DerivativeError(
                f"what {name} is computed from cannot be seen",
                hint="Name the columns of the subquery instead of `*`, so that its derivative can be followed.",
            )
        return output

    def _require_unrelated(self, branch: Scope, name: str, output: Expression, by: str, variable: Expression) -> None:
        shared = self.roots(branch, output) & self.roots(branch, variable)
        if name != by and shared:
            what = f"{by} is computed itself, and {name} from the same columns, so that there is no derivative by it"
            source = sorted(column for _, column in shared)[0]
            raise DerivativeError(what, hint=f"Derive by a column that is not computed, such as {source}.")

    def roots_of(self, variable: Variable) -> set[tuple[tuple[str, ...], str]]:
        """As :meth:`roots`, of a variable."""
        alone = Scope([variable.item], _NO_TABLES)
        return self.roots(alone, Column((variable.name,)))

    def roots(self, scope: Scope, expression: Expression) -> set[tuple[tuple[str, ...], str]]:
        """The columns of tables, as (table, column), that an expression is computed from."""
        found: set[tuple[tuple[str, ...], str]] = set()
        seen: set[tuple[Item, str]] = set()
        todo = [(scope, path) for path in columns(expression)]
        while todo:
            inside, path = todo.pop()
            try:
                item, name = inside.resolve(path)
            except UnknownNameError:
                continue
            if (item, name) in seen:
                continue
            seen.add((item, name))
            if item.relation is not None:
                found.add((item.relation.name, item.inner(name)))
            elif item.query is not None:
                for branch in item.query.branches or ():
                    output = item.query.output(branch, item.inner(name))
                    todo += [(branch, inner) for inner in columns(output)] if output is not None else []
        return found

    def type_of(self, scope: Scope, column: Column) -> ColumnType | None:
        """What kind of value a column holds, seen through the layers; None where that is not known."""
        item, name = scope.resolve(column.path)
        inner = item.inner(name)
        if item.relation is not None:
            return item.relation.columns.get(inner)
        if item.query is None:
            return None
        if item.query.view is not None:
            return item.query.view.columns.get(inner, "real")
        if inner in item.query.added:
            return "real"
        if item.query.branches is None:
            return None
        branch = item.query.branches[0]
        output = item.query.output(branch, inner)
        return self.by(branch, Variable(item, ""))[1].type_of(output) if output is not None else None

    def partition(self, scope: Scope, call: Call) -> tuple[Expression, ...]:
        """What an aggregate's window is partitioned by."""
        tree = call.window.tree if call.window is not None else {}
        if "NamedWindow" in tree:
            wanted = identifier(tree["NamedWindow"])
            named = {identifier(name): spec for name, spec in scope.select["named_window"]}
            tree = named.get(wanted, {})
        return tuple(map(from_tree, partition_of(tree)))

    def want(self, needs: frozenset[Companion]) -> None:
        """Mark companions as read, and those that they read."""
        for companion in needs:
            if not companion.wanted:
                companion.wanted = True
                self.want(frozenset(companion.needs))

    def _free_name(self, query: Query, name: str) -> str:
        number, free = 1, name
        while free in query.added or free in (query.names or ()):
            number += 1
            free = f"{name}_{number}"
        return free


def _arguments(call: Call) -> list[tuple[Expression, Expression]]:
    """The pairs (column, direction) of a call; a direction of 1 for grad."""
    count = len(call.args)
    fits = {"grad": count == 2, "vjp": count == 3, "jvp": count >= 3 and count % 2 == 1}[call.name]
    if not fits or call.distinct or call.filter is not None or call.window is not None:
        hint = "It takes no DISTINCT, FILTER or OVER." if fits else f"Not with {count} arguments."
        raise DerivativeError(f"{call.name} is written {USAGE[call.name]}", hint=hint)
    if call.name == "grad":
        return [(call.args[1], ONE)]
    return list(zip(call.args[1::2], call.args[2::2], strict=True))


def _resolve(column: Column, scope: Scope) -> tuple[Item, str]:
    """As Scope.resolve, with errors that point at the column."""
    try:
        return scope.resolve(column.path)
    except UnknownNameError as error:
        error.span = error.span or column.span
        raise


def _require_given(query: Query, name: str) -> None:
    """Raise DerivativeError unless a query's rows are given (VALUES), not computed."""
    if not query.given:
        raise DerivativeError(
            f"{name} comes from a UNION, INTERSECT or EXCEPT, through which no derivative can be followed",
            hint="UNION ALL can be; or derive inside its branches.",
        )


def _require_plain(branch: Scope, name: str) -> None:
    """Raise DerivativeError for a SELECT DISTINCT: a companion would change which rows are distinct."""
    if branch.select["distinct"] is not None:
        raise DerivativeError(
            f"{name} comes from a SELECT DISTINCT, through which no derivative can be followed",
            hint="Derive inside it, or use GROUP BY.",
        )


def described(expression: Expression) -> str:
    """An expression's text for an error, cut to a line."""
    text = to_sql(expression)
    return text if len(text) <= 40 else text[:37] + "..."

"""Derivatives of aggregates and of window functions: of the rows they read, and of no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..relation.functions import usual, varies
from ..sql.expression import (
    Call,
    Case,
    Cast,
    Column,
    Expression,
    Literal,
    Made,
    Parameter,
    Verbatim,
    descend,
    replace_parts,
    to_sql,
    to_tree,
)  # fmt: skip
from ..sql.syntax import Tree
from .dissolve import plain
from .intermediate import Below, Intermediate
from .names import Meanings, refused
from .rules import AGGREGATES, DEFINED, EXTREMES, OVER_WINDOWS, read
from .simplify import ZERO, add, build, is_zero, multiply


@dataclass
class AggregateFacts:
    """What was found out of expressions of a scope: what they are without intermediates, and which NULLs show."""

    plain: Made = field(default_factory=Made)
    strict: Made = field(default_factory=Made)


class Aggregates:
    """The derivatives of aggregates in one scope by one variable.

    Args:
        scope: what the names mean.
        of: the derivative of any expression by the variable; None where it does not depend on it.
        known: what was found out of expressions of the scope, whatever they are derived by.
    """

    def __init__(self, scope: Meanings, of: Callable[[Expression], Expression | None], known: AggregateFacts) -> None:
        self.scope = scope
        self.of = of
        self.known = known

    def derivative(self, node: Call, name: str) -> Expression | None:
        """That of an aggregate, whose usual name is ``name``."""
        if AGGREGATES.get(name) == "0":
            return None
        # Which rows a FILTER takes is a condition, and conditions are not differentiated.
        tangents = [self.of(arg) for arg in node.args]
        if not any(tangents):
            return None
        self.scope.require_constant(node)
        if name in EXTREMES:
            return self._extreme(node, tangents[0], ascending=EXTREMES[name])
        if name in DEFINED:
            return self.of(_same_rows(_substitute(read(DEFINED[name]), node), node))
        if node.distinct:
            hint = f"Leave DISTINCT out, or select the distinct rows in a subquery and take {node.name} of them."
            raise refused(node, f"{node.name}(DISTINCT ...) has no derivative", hint)
        return self._linear(read(AGGREGATES[name]), node, tangents)

    def _extreme(self, node: Call, tangent: Expression | None, *, ascending: bool) -> Expression:
        """That of the row that MIN or MAX takes, the mean where several rows do."""
        assert tangent is not None
        rows = self.scope.rows_of(node)
        value = plain(node.args[0])  # one text in both places, so that the row that attains it is equal to it
        if rows is not None and not any(isinstance(e, Call) and varies(e.name) == "call" for e in descend(value)):
            extreme = Below(Call(node.name, (value,), filter=node.filter, window=rows))
            taken: Expression = Call("=", (value, extreme))
            condition = taken if node.filter is None else Call("and", (node.filter, taken))
            return Call("avg", (tangent,), filter=condition, window=node.window)
        if node.window is not None:
            hint = f"Leave its ORDER BY out, or take the {node.name} in a subquery with GROUP BY, and join it."
            raise refused(node, f"{node.name} over a window that slides has no derivative that we know", hint)

        def first(least: bool) -> Expression:
            order = Verbatim([_ordered(value, ascending), _ordered(plain(tangent), least)])
            return self._masked(Call("first_value", (tangent,), filter=node.filter, order=order), node)

        # Halfway from the least to the greatest: the mean of one row and of two, and the best that can be said here.
        return multiply(Literal(0.5), add(first(True), first(False)))

    def _linear(self, template: Expression, node: Call, tangents: Sequence[Expression | None]) -> Expression:
        """A template of AGGREGATES, filled in; what holds a tangent that is zero falls away."""
        if isinstance(template, Parameter) and template.name == "$0":
            return node
        if isinstance(template, Parameter):
            place = int(template.name[-1]) - 1
            return node.args[place] if template.name.startswith("$") else tangents[place] or ZERO
        if not isinstance(template, Call):
            return template
        parts = [self._linear(part, node, tangents) for part in template.args]
        if template.name not in AGGREGATES:
            return build(template.name, parts)
        if any(is_zero(part) for part in parts):
            return ZERO
        new = Call(template.name, tuple(parts))
        if node.window is None or template.name not in OVER_WINDOWS:
            return self._masked(replace(new, filter=node.filter, window=node.window), node)

        def masked(part: Expression) -> Expression | None:
            if not isinstance(part, Call) or part.name not in AGGREGATES:
                return None
            return self._masked(replace(part, filter=node.filter, window=node.window), node)

        return replace_parts(_substitute(read(OVER_WINDOWS[template.name]), new), masked)

    def _masked(self, new: Call, node: Call) -> Call:
        """The new aggregate with no row that the old one left out because an argument was NULL."""
        missing: list[Expression] = []
        for arg in node.args:
            if not any(self._covers(part, arg) for part in new.args):
                seen = frozenset().union(*(self._strict(part) or frozenset() for part in new.args))
                needed = self._strict(arg)
                missing += [arg] if needed is None else sorted(needed - seen, key=to_sql)
        condition = new.filter
        for part in dict.fromkeys(missing):
            known = Call("is not null", (part,))
            condition = known if condition is None else Call("and", (condition, known))
        return replace(new, filter=condition)

    def _covers(self, new: Expression, old: Expression) -> bool:
        """Whether ``new`` is surely NULL wherever ``old`` is."""
        new, old = plain(new, self.known.plain), plain(old, self.known.plain)
        if new == old:
            return True
        if isinstance(new, Case) and isinstance(old, Case) and new.operand == old.operand:
            asked = [condition for condition, _ in old.branches] == [condition for condition, _ in new.branches]
            ends = (new.default is None) == (old.default is None)
            if asked and ends:
                pairs = [(a, b) for (_, a), (_, b) in zip(new.branches, old.branches, strict=True)]
                if new.default is not None and old.default is not None:
                    pairs.append((new.default, old.default))
                return all(self._covers(a, b) for a, b in pairs)
        needed = self._strict(old)
        return needed is not None and needed <= (self._strict(new) or frozenset())

    def _strict(self, node: Expression) -> frozenset[Column] | None:
        """The columns of which any NULL makes an expression NULL; None where something else may too."""
        found: frozenset[Column] | None = self.known.strict.of(node, self._needed, _calculated_from)
        return found

    def _needed(self, node: Expression, parts: list[frozenset[Column] | None]) -> frozenset[Column] | None:
        match node:
            case Literal(value):
                return None if value is None else frozenset()
            case Parameter():
                return frozenset()
            case Column():
                return frozenset() if self.scope.never_null(node) else frozenset((node,))
        known = [part for part in parts if part is not None]
        return frozenset().union(*known) if parts and len(known) == len(parts) else None

    def shift(self, node: Call) -> Expression | None:
        """That of a value of another row: the other row's."""
        tangent = self.of(node.args[0])
        if any(self.of(arg) is not None for arg in node.args[1:]):
            raise refused(node, f"{node.name} has no derivative by its offset or default", "Make those constants.")
        if tangent is None:
            return None
        self.scope.require_constant(node)
        rest = node.args[1:2] if node.name in ("lag", "lead", "nth_value") else ()
        default = (ZERO,) if len(node.args) > 2 else ()
        return Call(node.name, (tangent, *rest, *default), filter=node.filter, window=node.window, order=node.order)


_STRICT = frozenset({"+", "-", "*", "/", "%", "power", "abs", "signum", "floor", "ceil", "round", "trunc"}) | frozenset(
    {"sqrt", "cbrt", "exp", "ln", "log", "log2", "log10", "sin", "cos", "tan", "cot", "asin", "acos", "atan", "atan2"}
) | frozenset({"sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "degrees", "radians"})  # fmt: skip


def _calculated_from(node: Expression) -> tuple[Expression, ...]:
    """The parts of which any NULL makes a node NULL; none where that is not so."""
    match node:
        case Cast():
            return () if node.kind == "TryCast" else node.parts
        case Intermediate():
            return node.parts
        case Call() if usual(node.name) in _STRICT and node.window is None:
            return node.args
    return ()


def _ordered(expression: Expression, ascending: bool) -> Tree:
    """An element of an ORDER BY; NULLs, which MIN and MAX leave out, come last."""
    options = {"asc": ascending, "nulls_first": False}
    return {"expr": to_tree(expression), "options": options, "with_fill": None}


def _substitute(template: Expression, call: Call) -> Expression:
    def change(node: Expression) -> Expression | None:
        return call.args[int(node.name[1:]) - 1] if isinstance(node, Parameter) and node.name[0] == "$" else None

    return replace_parts(template, change)


def _same_rows(expression: Expression, call: Call) -> Expression:
    """An expression whose aggregates have the FILTER and the window of a call."""

    def change(node: Expression) -> Expression | None:
        if isinstance(node, Call) and node.name in AGGREGATES and node.args == call.args:
            return Call(node.name, node.args, False, call.filter, call.window, origin=call.origin)
        return None

    return replace_parts(expression, change)

"""The derivative of one expression by one variable: forward mode over the expression's distinct parts.

A derivative is ``None`` where the expression does not depend on the variable: a zero is a symbol here and never built.
What a column's derivative is, and what is constant within a group, only a scope knows; see :class:`Scope`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ..errors import DerivativeError
from ..sql.expression import (
    Call,
    Case,
    Cast,
    Column,
    Expression,
    Literal,
    Opaque,
    Parameter,
    descend,
    replace_parts,
    to_sql,
    to_tree,
)  # fmt: skip
from ..sql.scope import ColumnType
from ..sql.syntax import Tree
from .collect import collected
from .intermediate import Below, Intermediate
from .rules import (
    AGGREGATES,
    DEFINED,
    EXTREMES,
    FOLDED,
    NONE,
    OVER_WINDOWS,
    SAME,
    SHIFTS,
    UNARY,
    VOLATILE,
    Rules,
    nearest,
    read,
)
from .simplify import (
    ZERO,
    add,
    build,
    choose,
    divide,
    factors,
    intermediate,
    is_logistic,
    is_sum,
    is_zero,
    multiply,
    negative,
    number,
    plain,
    subtract,
)  # fmt: skip

REAL = Opaque({"Double": "None"})
_INTEGER_TYPES = ("TinyInt", "SmallInt", "MediumInt", "Int", "Integer", "BigInt", "Unsigned", "UInt", "HugeInt", "INT")
_REAL_TYPES = ("Double", "Float", "Real", "Numeric", "Decimal", "Dec")


class Scope(Protocol):
    """What a derivative asks about the names in an expression."""

    def derivative(self, column: Column) -> Expression | None:
        """The derivative of a column by the variable; None where it does not depend on it."""

    def depends(self, expression: Expression) -> bool:
        """Whether any column in an expression, also inside pieces that are kept opaque, depends on the variable."""

    def type_of(self, column: Column) -> ColumnType | None:
        """What kind of value a column holds; None where that is not known."""

    def never_null(self, column: Column) -> bool:
        """Whether a column cannot be NULL."""

    def rows_of(self, call: Call) -> Opaque | None:
        """The window with the very rows that an aggregate reads; None where no window below its SELECT has them."""

    def require_constant(self, call: Call) -> None:
        """Raise DerivativeError unless the variable has one value in all rows that an aggregate reads."""


class Derivative:
    """Derivatives of expressions in one scope by one variable, each distinct part worked out once.

    Args:
        scope: what the names mean.
        rules: function -> partial derivatives, see :mod:`.rules`.
        partials: the rules that were filled in already, shared between the variables of a statement.
    """

    def __init__(self, scope: Scope, rules: Rules, partials: dict[tuple[str, Call], Expression]) -> None:
        self.partials = partials
        self.scope = scope
        self.rules = rules
        self.done: dict[Expression, Expression | None] = {}
        self.types: dict[Expression, ColumnType | None] = {}

    def of(self, node: Expression) -> Expression | None:
        """The derivative of an expression; None for a symbolic zero.

        Raises:
            DerivativeError: a part that depends on the variable and has no derivative.
        """
        if node not in self.done:
            found = self._of(node)
            self.done[node] = None if found is None or is_zero(found) else found
        return self.done[node]

    def _of(self, node: Expression) -> Expression | None:
        if isinstance(node, Column):
            return self.scope.derivative(node)
        if isinstance(node, Intermediate):
            found = self.of(node.value)
            return None if found is None else intermediate(collected(found))
        if not self.scope.depends(node):
            return None
        match node:
            case Case():
                return self._case(node)
            case Cast():
                return self._cast(node)
            case Call():
                return self._call(node)
        raise refused(node, "this has no derivative", "Only what is computed from numbers has one.")

    def _case(self, node: Case) -> Expression | None:
        results = [self.of(result) for _, result in node.branches]
        default = None if node.default is None else self.of(node.default)
        if default is None and not any(results):
            return None
        branches = tuple(
            (condition, _null_or_zero(old) if result is None else result)
            for result, (condition, old) in zip(results, node.branches, strict=True)
        )
        otherwise = None if node.default is None else default if default is not None else _null_or_zero(node.default)
        return choose(Case(branches, otherwise, node.operand))

    def _cast(self, node: Cast) -> Expression | None:
        kind = node.type.tree if isinstance(node.type.tree, str) else next(iter(node.type.tree))
        if str(kind).startswith(_INTEGER_TYPES):
            return None
        if not str(kind).startswith(_REAL_TYPES):
            raise refused(node, f"a CAST to {str(kind).upper()} has no derivative", "Numbers have one.")
        return self.of(node.value)

    def _call(self, node: Call) -> Expression | None:
        name = SAME.get(node.name, node.name)
        partials = self.rules.get(node.name) or self.rules.get(name)
        if partials and node.window is None and node.filter is None and not node.distinct:
            return self._function(node, name, partials)
        if name in AGGREGATES or name in DEFINED or name in EXTREMES:
            return self._aggregate(node, name)
        if name in SHIFTS and (node.window is not None or node.order is not None):
            return self._shift(node)
        raise self._unknown(node)

    def _function(self, node: Call, name: str, partials: tuple[str, ...]) -> Expression | None:
        args = node.args
        if name in FOLDED and len(args) != 2:
            return self.of(_fold(node))
        if len(args) == 1 and name in UNARY:
            partials = UNARY[name]
        if len(args) > len(partials):
            what = f"{node.name} with {len(args)} arguments has no derivative"
            raise refused(node, what, f"It is known with {len(partials)}.")
        if name == "/":
            self._check_division(node)
            return self._quotient(node)
        total: Expression = ZERO
        whole = name not in _ARITHMETIC
        for partial, arg in zip(partials, args, strict=False):
            tangent = None if partial == "0" else self.of(arg)
            if tangent is not None:
                tangent = intermediate(tangent) if whole else tangent
                total = add(total, multiply(self._partial(partial, node), tangent))
        if not whole:
            return total
        total = collected(total)
        # exp(u)' is exp(u) * u', spread out: all its derivatives are multiples of exp(u)
        return total if node in factors(total).over else intermediate(total)

    def _quotient(self, node: Call) -> Expression | None:
        """That of y = a / b as (a1 - y * b1) / b: the value is there already, and b is not squared."""
        a, b = node.args
        above, below = self.of(a), self.of(b)
        if above is None and below is None:
            return None
        below = None if below is None else intermediate(below)
        if below is None:
            return intermediate(divide(above or ZERO, b))
        value = intermediate(node)
        if above is None or is_logistic(b):  # 1 + exp(z) goes with each exp(z) apart, so that none overflows
            rest = multiply(divide(negative(value), b), below)
            return intermediate(rest if above is None else add(divide(above, b), rest))
        return intermediate(divide(collected(subtract(above, multiply(value, below))), b))

    def _partial(self, text: str, node: Call) -> Expression:
        """A rule's text, filled in for a call."""
        key = (text, node)
        if key not in self.partials:
            made = fill(read(text), node)
            self.partials[key] = intermediate(made) if is_sum(made) and made.origin is None else made
        return self.partials[key]

    def _check_division(self, node: Call) -> None:
        kinds = [self.type_of(arg) for arg in node.args]
        if "real" not in kinds and "integer" in kinds:
            raise refused(
                node, "a division of integers is a staircase: it has no derivative that means anything",
                "Make one side real: 1.0 * a / b, or CAST(a AS DOUBLE) / b.",
            )  # fmt: skip

    def type_of(self, node: Expression) -> ColumnType | None:
        """What kind of number an expression is: "integer", "real", or None where that depends on a parameter."""
        if node not in self.types:
            self.types[node] = self._type_of(node)
        return self.types[node]

    def _type_of(self, node: Expression) -> ColumnType | None:
        match node:
            case Literal():
                return "text" if isinstance(node.value, str) else "integer" if isinstance(node.value, int) else "real"
            case Parameter():
                return None
            case Column():
                return self.scope.type_of(node) or "real"
            case Cast():
                kind = node.type.tree if isinstance(node.type.tree, str) else next(iter(node.type.tree))
                return "integer" if str(kind).startswith(_INTEGER_TYPES) else "real"
            case Intermediate():
                return self.type_of(node.value)
            case Case():
                results = [result for _, result in node.branches] + ([node.default] if node.default else [])
                return self._common(results)
            case Call():
                if node.name in ("count", "length", "row_number", "rank", "dense_rank", "ntile", "regr_count"):
                    return "integer"
                if SAME.get(node.name, node.name) in _TYPE_OF_ARGUMENTS:
                    return self._common(node.args)
        return "real"

    def _common(self, nodes: Sequence[Expression]) -> ColumnType | None:
        kinds = {self.type_of(node) for node in nodes}
        return "real" if "real" in kinds else None if None in kinds else "integer" if "integer" in kinds else "text"

    def _aggregate(self, node: Call, name: str) -> Expression | None:
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
        if rows is not None and not any(isinstance(part, Call) and part.name in VOLATILE for part in descend(value)):
            extreme = Below(Call(node.name, (value,), filter=node.filter, window=rows))
            taken: Expression = Call("=", (value, extreme))
            condition = taken if node.filter is None else Call("and", (node.filter, taken))
            return Call("avg", (tangent,), filter=condition, window=node.window)
        if node.window is not None:
            hint = f"Leave its ORDER BY out, or take the {node.name} in a subquery with GROUP BY, and join it."
            raise refused(node, f"{node.name} over a window that slides has no derivative that we know", hint)

        def first(least: bool) -> Expression:
            order = Opaque([_ordered(value, ascending), _ordered(plain(tangent), least)])
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
        new, old = plain(new), plain(old)
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
        match node:
            case Literal(value):
                return None if value is None else frozenset()
            case Parameter():
                return frozenset()
            case Column():
                return frozenset() if self.scope.never_null(node) else frozenset((node,))
            case Cast():
                return None if node.kind == "TryCast" else self._strict(node.value)
            case Intermediate():
                return self._strict(node.value)
            case Call() if SAME.get(node.name, node.name) in _STRICT and node.window is None:
                parts = [self._strict(part) for part in node.args]
                known = [part for part in parts if part is not None]
                return frozenset().union(*known) if len(known) == len(parts) else None
        return None

    def _shift(self, node: Call) -> Expression | None:
        tangent = self.of(node.args[0])
        if any(self.of(arg) is not None for arg in node.args[1:]):
            raise refused(node, f"{node.name} has no derivative by its offset or default", "Make those constants.")
        if tangent is None:
            return None
        self.scope.require_constant(node)
        rest = node.args[1:2] if node.name in ("lag", "lead", "nth_value") else ()
        default = (ZERO,) if len(node.args) > 2 else ()
        return Call(node.name, (tangent, *rest, *default), filter=node.filter, window=node.window, order=node.order)

    def _unknown(self, node: Call) -> DerivativeError:
        known = node.name in NONE
        hint = nearest(node)
        if known:
            return refused(node, f"{node.name} has no derivative: {hint.split(';')[0]}", hint.partition("; ")[2])
        hint += "." if hint and not hint.endswith(("?", ".")) else ""
        registered = f'ctx.register_derivative("{node.name}", [...]) gives it one'
        return refused(node, f"{node.name} has no derivative that we know", f"{hint} {registered}.".strip())


_ARITHMETIC = frozenset({"+", "-", "*"})
_TYPE_OF_ARGUMENTS = frozenset(
    {"+", "-", "*", "/", "%", "abs", "greatest", "least", "coalesce", "nullif", "sum", "min", "max", *SHIFTS}
)
_STRICT = frozenset({"+", "-", "*", "/", "%", "power", "abs", "signum", "floor", "ceil", "round", "trunc"}) | frozenset(
    {"sqrt", "cbrt", "exp", "ln", "log", "log2", "log10", "sin", "cos", "tan", "cot", "asin", "acos", "atan", "atan2"}
) | frozenset({"sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "degrees", "radians"})  # fmt: skip


def fill(template: Expression, call: Call) -> Expression:
    """A rule's template with a call's arguments for ``$1``, ... and the call itself for ``$0``, simplified."""
    match template:
        case Parameter(name):
            place = int(name[1:])
            return call if place == 0 else call.args[place - 1]
        case Case():
            branches = tuple((fill(c, call), fill(r, call)) for c, r in template.branches)
            default = None if template.default is None else fill(template.default, call)
            operand = None if template.operand is None else fill(template.operand, call)
            return choose(Case(branches, default, operand))
        case Call():
            return build(template.name, [fill(arg, call) for arg in template.args])
        case Cast():
            return template.rebuilt([fill(template.value, call)])
    return template


def real(expression: Expression | None, derivative: Derivative) -> Expression:
    """A derivative as a real number, also where all in it is integer: no ``/`` of ours divides integers."""
    if expression is None:
        return ZERO
    if (n := number(expression)) is not None:
        return Literal(n)

    done: dict[int, Expression] = {}

    def visit(node: Expression) -> Expression:
        if node.origin is not None:
            return node  # the user's own division is what SQL says it is
        if id(node) not in done:
            parts = [visit(part) for part in node.parts]
            same = all(a is b for a, b in zip(parts, node.parts, strict=True))
            done[id(node)] = divided(node if same else node.rebuilt(parts))
        return done[id(node)]

    def divided(node: Expression) -> Expression:
        if not (isinstance(node, Call) and node.name == "/"):
            return node
        whole = "real" not in {derivative.type_of(part) for part in node.args}
        return Call("/", (Cast(node.args[0], REAL), node.args[1])) if whole else node

    expression = visit(expression)
    return expression if derivative.type_of(expression) == "real" else Cast(expression, REAL)


def refused(node: Expression, what: str, hint: str) -> DerivativeError:
    """An error that points at the part of the user's text that has no derivative."""
    error = DerivativeError(what, hint=hint or None)
    error.span = node.span
    return error


def _ordered(expression: Expression, ascending: bool) -> Tree:
    """An element of an ORDER BY; NULLs, which MIN and MAX leave out, come last."""
    options = {"asc": ascending, "nulls_first": False}
    return {"expr": to_tree(expression), "options": options, "with_fill": None}


def _null_or_zero(result: Expression) -> Expression:
    return result if isinstance(result, Literal) and result.value is None else ZERO


def _fold(node: Call) -> Expression:
    """f(a, b, c) as f(f(a, b), c), and f(a) as a."""
    folded = node.args[0]
    for arg in node.args[1:]:
        folded = Call(node.name, (folded, arg), origin=node.origin)
    return folded


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

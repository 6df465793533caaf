"""The derivative of one expression by one variable: forward mode over the expression's distinct parts.

A derivative is ``None`` where the expression does not depend on the variable: a zero is a symbol here and never built.
What a column's derivative is, and what is constant within a group, only a scope knows; see :class:`.names.Meanings`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from ..errors import DerivativeError
from ..relation.functions import is_given, usual
from ..relation.layers import ColumnType
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
    bottom_up,
    descend,
)  # fmt: skip
from .aggregates import AggregateFacts, Aggregates
from .choices import MANY, chosen
from .collect import collected
from .dissolve import intermediate
from .doubles import REAL, in_doubles
from .edges import at_zero
from .filling import fill
from .intermediate import Intermediate
from .names import Meanings, refused
from .products import derived, long_product
from .rules import (
    AGGREGATES,
    DEFINED,
    EXTREMES,
    NONE,
    RULES,
    SHIFTS,
    UNARY,
    Rules,
    nearest,
    read,
)
from .simplify import (
    ZERO,
    add,
    choose,
    divide,
    factors,
    is_logistic,
    is_sum,
    is_zero,
    multiply,
    negative,
    number,
    product,
    subtract,
)

_INTEGER_TYPES = ("TinyInt", "SmallInt", "MediumInt", "Int", "Integer", "BigInt", "Unsigned", "UInt", "HugeInt", "INT")
_DECIMAL_TYPES = ("Numeric", "Decimal", "Dec")
_REAL_TYPES = ("Double", "Float", "Real", "Numeric", "Decimal", "Dec")


@dataclass
class Kinds:
    """What was found out about the expressions of a scope, whatever they are derived by.

    Attributes:
        types: what kinds of number they are.
        integers: whether anything in them is an integer.
        doubles: the same expressions, calculated in doubles.
        divided: the same in which no division of ours is one of integers, apart where anything is an integer.
        aggregates: what was found out while aggregates were derived.
    """

    types: dict[Expression, ColumnType | None] = field(default_factory=dict)
    integers: dict[Expression, bool] = field(default_factory=dict)
    doubles: Made = field(default_factory=Made)
    divided: dict[bool, Made] = field(default_factory=lambda: {False: Made(), True: Made()})
    aggregates: AggregateFacts = field(default_factory=AggregateFacts)


class Derivative:
    """Derivatives of expressions in one scope by one variable, each distinct part worked out once.

    Args:
        scope: what the names mean.
        rules: function -> partial derivatives, see :mod:`.rules`.
        partials: the rules that were filled in already, shared between the variables of a statement.
        kinds: what kinds of value expressions of the scope have, shared between the variables of the scope.
    """

    def __init__(
        self, scope: Meanings, rules: Rules, partials: dict[tuple[str, Call], Expression], kinds: Kinds
    ) -> None:
        self.partials = partials
        self.scope = scope
        self.rules = rules
        self.aggregates = Aggregates(scope, self.of, kinds.aggregates)
        self.done: dict[Expression, Expression | None] = {}
        self.kinds = kinds
        self.types = kinds.types
        self.integers = kinds.integers

    def of(self, node: Expression) -> Expression | None:
        """The derivative of an expression; None for a symbolic zero.

        Raises:
            DerivativeError: a part that depends on the variable and has no derivative.
        """
        for inner in reversed(_links(node, self.done)):  # a chain of terms is deep
            found = self.done[inner.parts[0]] if self._hands_on(inner) else self._of(inner)
            self.done[inner] = None if found is None or is_zero(found) else found
        return self.done[node]

    def _hands_on(self, node: Expression) -> bool:
        """Whether the derivative is that of the first term: of 200 terms most do not depend on the variable."""
        if not (isinstance(node, Call) and node.name in _SUMS and self.rules.get(node.name) is RULES[node.name]):
            return False
        return len(node.args) == 2 and node.args[0] in self.done and not self.scope.depends(node.args[1])

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
        name = usual(node.name)
        partials = self.rules.get(node.name) or self.rules.get(name)
        if is_given(node.name) and partials is RULES.get(name):
            raise self._unknown(node)  # the rule is that of the function which it hides
        if partials and node.window is None and node.filter is None and not node.distinct:
            return self._function(node, name, partials)
        if name in AGGREGATES or name in DEFINED or name in EXTREMES:
            return self.aggregates.derivative(node, name)
        if name in SHIFTS and (node.window is not None or node.order is not None):
            return self.aggregates.shift(node)
        raise self._unknown(node)

    def _function(self, node: Call, name: str, partials: tuple[str, ...]) -> Expression | None:
        args = node.args
        if name in MANY and len(args) != 2:
            return chosen(node, name, self.of, fill)
        if len(args) == 1 and name in UNARY:
            partials = UNARY[name]
        if len(args) > len(partials):
            what = f"{node.name} with {len(args)} arguments has no derivative"
            raise refused(node, what, f"It is known with {len(partials)}.")
        if partials is RULES.get(name):
            partials = at_zero(name, args, partials)
        if name == "/":
            self._check_division(node)
            return self._quotient(node)
        if name == "*" and (many := long_product(node)) is not None:
            return derived(many, self.of)
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
        if (
            not {"real", "decimal"}.intersection(kinds)
            and "integer" in kinds
            and not any(map(self._is_open, node.args))
        ):
            raise refused(
                node, "a division of integers is a staircase: it has no derivative that means anything",
                "Make one side real: 1.0 * a / b, or CAST(a AS DOUBLE) / b.",
            )  # fmt: skip

    def _is_open(self, node: Expression) -> bool:
        """Whether it is not known what kind of number an expression is, whatever values parameters have."""
        return self.type_of(node) is None and not any(isinstance(part, Parameter) for part in descend(node))

    def type_of(self, node: Expression) -> ColumnType | None:
        """What kind of number an expression is: "integer", "real", or None where that is not known."""
        for inner in reversed(_chain(node, self.types)):
            self.types[inner] = self._type_of(inner)
        return self.types[node]

    def _type_of(self, node: Expression) -> ColumnType | None:
        match node:
            case Literal():
                return "text" if isinstance(node.value, str) else "integer" if isinstance(node.value, int) else "real"
            case Parameter():
                return None
            case Column():
                return self.scope.type_of(node) or ("real" if self.scope.is_real(node) else None)
            case Cast():
                kind = node.type.tree if isinstance(node.type.tree, str) else next(iter(node.type.tree))
                exact: ColumnType = "decimal" if str(kind).startswith(_DECIMAL_TYPES) else "real"
                return "integer" if str(kind).startswith(_INTEGER_TYPES) else exact
            case Intermediate():
                return self.type_of(node.value)
            case Case():
                results = [result for _, result in node.branches] + ([node.default] if node.default else [])
                return self._common(results)
            case Call():
                if node.name in ("count", "length", "row_number", "rank", "dense_rank", "ntile", "regr_count"):
                    return "integer"
                if usual(node.name) in _TYPE_OF_ARGUMENTS:
                    return self._common(node.args)
                return "real" if usual(node.name) in _REAL or node.name in self.rules else None
            case Verbatim():
                return None
        return "real"

    def reads_integers(self, node: Expression) -> bool:
        """Whether anything in an expression is an integer, numbers aside."""
        known = self.integers

        def made(inner: Expression, parts: list[bool]) -> bool:
            if inner not in known:
                own = not isinstance(inner, (Literal, Parameter)) and self.type_of(inner) == "integer"
                known[inner] = own or any(parts)
            return known[inner]

        return bool(bottom_up(node, made, lambda inner: () if inner in known else inner.parts))

    def _common(self, nodes: Sequence[Expression]) -> ColumnType | None:
        kinds = {self.type_of(node) for node in nodes}
        order: tuple[ColumnType | None, ...] = ("real", None, "decimal", "integer", "text")
        for kind in order:
            if kind in kinds:
                return kind
        return "text"

    def _unknown(self, node: Call) -> DerivativeError:
        known = node.name in NONE
        hint = nearest(node)
        if known:
            return refused(node, f"{node.name} has no derivative: {hint.split(';')[0]}", hint.partition("; ")[2])
        hint += "." if hint and not hint.endswith(("?", ".")) else ""
        registered = f'ctx.register_derivative("{node.name}", [...]) gives it one'
        return refused(node, f"{node.name} has no derivative that we know", f"{hint} {registered}.".strip())


_ARITHMETIC = frozenset({"+", "-", "*"})
_SUMS = frozenset({"+", "-"})
_REAL = frozenset({*RULES, *AGGREGATES, *DEFINED, "random", "pi", "median", "approx_median", "percentile_cont"})
_TYPE_OF_ARGUMENTS = frozenset(
    {"+", "-", "*", "/", "%", "abs", "greatest", "least", "coalesce", "nullif", "sum", "min", "max", *SHIFTS}
)


def _chain(node: Expression, known: Collection[Expression]) -> list[Expression]:
    """A sum or product and the first operands of its first operands, as far as they are not known; itself first."""
    found: list[Expression] = []
    while node not in known:
        found.append(node)
        if not (isinstance(node, Call) and node.name in _TERMS):
            break
        node = node.args[0]
    return found


def _links(node: Expression, known: Collection[Expression]) -> list[Expression]:
    """A chain, but for the products within a long product, whose derivatives nobody asks for."""
    found, inside = [], False
    for link in _chain(node, known):
        product = isinstance(link, Call) and link.name == "*"
        if not (product and inside):
            found.append(link)
            inside = product and long_product(link) is not None
    return found


_TERMS = frozenset({"+", "-", "*", "/", "%", "||"})


def real(expression: Expression | None, derivative: Derivative) -> Expression:
    """A derivative as a real number, also where all in it is integer: no ``/`` of ours divides integers."""
    if expression is None:
        return ZERO
    if (n := number(expression)) is not None:
        return Literal(n)

    def own_parts(node: Expression) -> tuple[Expression, ...]:
        return () if node.origin is not None else node.parts  # the user's own division is what SQL says it is

    def visit(node: Expression, parts: list[Expression]) -> Expression:
        if node.origin is not None:
            return node
        same = all(a is b for a, b in zip(parts, node.parts, strict=True))
        return divided(node if same else node.rebuilt(parts))

    def divided(node: Expression) -> Expression:
        if not (isinstance(node, Call) and node.name == "/"):
            return node
        if integers:
            f = factors(node)
            under = tuple(part if derivative.type_of(part) == "real" else Cast(part, REAL) for part in f.under)
            return node if under == f.under else product(replace(f, under=under))
        whole = "real" not in {derivative.type_of(part) for part in node.args}
        return Call("/", (Cast(node.args[0], REAL), node.args[1])) if whole else node

    # x * i / j is real, but i / j is not, should x be taken out when equal terms are collected: so j is made real.
    expression = in_doubles(expression, derivative, derivative.kinds.doubles)
    integers = derivative.reads_integers(expression)
    made: Expression = derivative.kinds.divided[integers].of(expression, visit, own_parts)
    return made if derivative.type_of(made) == "real" else Cast(made, REAL)


def _null_or_zero(result: Expression) -> Expression:
    return result if isinstance(result, Literal) and result.value is None else ZERO

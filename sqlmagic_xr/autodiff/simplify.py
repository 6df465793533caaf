"""Arithmetic on expressions that leaves nothing behind to tidy: no zero term, no ``x * 1``, constants folded.

Numbers that a fold makes are real (``2 * 3`` is ``6.0``), since derivatives are. A product has its number in front and
leans to the left, so that a long chain needs no nested parentheses. Assumptions, each beside its fold:

- a factor that is the number 0 makes the product 0, whatever the other is (NULL, NaN and Infinity included);
- products and sums of numbers are regrouped, which may change the last bit of a result.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

from ..sql.expression import Call, Case, Expression, Literal, settle
from .intermediate import Intermediate

ZERO = Literal(0.0)
ONE = Literal(1.0)


def number(expression: Expression) -> float | None:
    """The value of a number, else None."""
    return float(expression.number) if isinstance(expression, Literal) and expression.number is not None else None


def is_zero(expression: Expression) -> bool:
    """Whether it is the number 0."""
    return number(expression) == 0


def negative(x: Expression) -> Expression:
    """``-x``."""
    match x:
        case Call("-", (a, b)):
            return subtract(b, a)
    return multiply(Literal(-1.0), x)


def add(x: Expression, y: Expression) -> Expression:
    """``x + y``."""
    if is_zero(x):
        return y
    if is_zero(y):
        return x
    if (folded := _fold(x, y, lambda a, b: a + b)) is not None:
        return folded
    if isinstance(x, Case) and isinstance(y, Case) and (merged := _merge(x, y)) is not None:
        return merged
    a, b = factors(x), factors(y)
    if a.same_but_number(b):
        return product(replace(a, number=a.number + b.number))
    if b.number < 0:
        return Call("-", (x, negative(y)))
    if a.number < 0:
        return Call("-", (y, negative(x)))
    return _collected(x, y) or Call("+", (x, y))


def _collected(x: Expression, y: Expression) -> Expression | None:
    """``x + y`` as one sum, where a term of one is a multiple of a term of the other; else None."""
    mine, others = terms(x), terms(y)
    if len(mine) + len(others) > _TERMS or not any(_alike(a, b) for a in mine for b in others):
        return None
    merged = list(mine)
    for term in others:
        place = next((i for i, known in enumerate(merged) if _alike(known, term)), None)
        if place is None:
            merged.append(term)
        else:
            merged[place] = replace(term, number=merged[place].number + term.number)
    total: Expression | None = None
    for term in sorted((t for t in merged if t.number), key=lambda t: t.number < 0):
        new = product(term)
        if total is None:
            total = new
        else:
            total = Call("-", (total, product(_minus(term)))) if term.number < 0 else Call("+", (total, new))
    return total or ZERO


def terms(x: Expression) -> list[Factors]:
    """An expression as a sum; what is none is its own only term, and a sum of more than is searched is one, too."""
    found: list[Factors] = []
    todo = [(x, False)]
    while todo:
        node, negated = todo.pop()
        if len(found) + len(todo) > _TERMS:
            return [factors(x)] * (_TERMS + 1)
        match node:
            case Call("+" | "-" as name, (a, b)):
                todo += [(b, negated != (name == "-")), (a, negated)]
            case _:
                found.append(_minus(factors(node)) if negated else factors(node))
    return found


def _alike(a: Factors, b: Factors) -> bool:
    return _same(a.over, b.over) and _same(a.under, b.under)


def _same(a: Sequence[Expression], b: Sequence[Expression]) -> bool:
    """Whether two products have the same factors, in any order."""
    return a == b or (len(a) == len(b) and Counter(a) == Counter(b))


def _minus(f: Factors) -> Factors:
    return replace(f, number=-f.number)


def subtract(x: Expression, y: Expression) -> Expression:
    """``x - y``."""
    if isinstance(y, Call) and y.name == "-" and len(y.args) == 2 and is_zero(x):
        return subtract(y.args[1], y.args[0])
    if is_zero(y):
        return x
    if is_zero(x):
        return negative(y)
    if (folded := _fold(x, y, lambda a, b: a - b)) is not None:
        return folded
    a, b = factors(x), factors(y)
    if a.same_but_number(b):
        return product(replace(a, number=a.number - b.number))  # x - x is 0: assumes that x is finite
    return Call("+", (x, negative(y))) if b.number < 0 else _collected(x, negative(y)) or Call("-", (x, y))


def multiply(x: Expression, y: Expression) -> Expression:
    """``x * y``."""
    a, b = number(x), number(y)
    if a == 0 or b == 0:
        return ZERO  # whatever the other factor is: 0 * NULL and 0 * NaN are 0 here
    if a == 1:
        return y
    if b == 1:
        return x
    for case, other in ((x, y), (y, x)):
        if isinstance(case, Case) and _is_choice(case):
            return map_case(case, partial(multiply, other))
    p, q = factors(x), factors(y)
    return product(Factors(p.number * q.number, p.over + q.over, p.under + q.under))


def divide(x: Expression, y: Expression) -> Expression:
    """``x / y``, as real numbers."""
    if is_zero(x):
        return ZERO  # whatever y is: 0 / 0 is 0 here
    if is_zero(y):
        return Call("/", (x, y))
    p, q = factors(x), factors(y)
    return product(Factors(p.number / q.number, p.over + q.under, p.under + q.over))


_MANY = 4
"""A product of more factors stays one factor in a larger one, so that what it shares with others stays shared."""


_TERMS = 8
"""A longer sum is not searched for terms that are multiples of each other."""


@dataclass(frozen=True)
class Factors:
    """A product taken apart: ``number * over... / under...``."""

    number: float
    over: tuple[Expression, ...] = ()
    under: tuple[Expression, ...] = ()

    def same_but_number(self, other: Factors) -> bool:
        """Whether two products are multiples of each other."""
        return _alike(self, other) and bool(self.over or self.under)

    def times(self, number: float) -> Factors:
        """The product with another number in front."""
        return replace(self, number=self.number * number)


def factors(x: Expression) -> Factors:
    """An expression as a product; what is none is its own only factor.

    A division that the user wrote is a factor of its own, since one of integers must not be regrouped.
    """
    if "_factors" not in x.__dict__:
        settle(x, "_factors", _factors)
    found: Factors = x.__dict__["_factors"]
    return found


def _factors(x: Expression) -> Factors:
    if (n := number(x)) is not None:
        return Factors(n)
    match x:
        case Call("-", (inner,)):
            f = factors(inner)
            return replace(f, number=-f.number)
        case Call("*", (a, b)):
            p, q = factors(a), factors(b)
            if len(p.over) + len(p.under) + len(q.over) + len(q.under) > _MANY:
                n = number(a)  # a number in front is taken off also here
                return Factors(1.0, (x,)) if n is None else Factors(n, (b,))
            return Factors(p.number * q.number, p.over + q.over, p.under + q.under)
        case Call("/", (a, b)) if x.origin is None and not is_zero(b):
            p, q = factors(a), factors(b)
            return Factors(p.number / q.number, p.over + q.under, p.under + q.over)
    return Factors(1.0, (x,))


def product(f: Factors) -> Expression:
    """The expression of a product, its number in front."""
    f = _shortened(without_overflow(f))
    if f.number == 0:
        return ZERO
    over, under = (_chain(side) for side in (f.over, f.under))
    sign = f.number < 0
    size = Literal(abs(f.number))
    if over is None:
        return Literal(f.number) if under is None else Call("/", (Literal(f.number), under))
    if size.value == 1:
        new = over
    else:
        sign = False
        new = _chain((Literal(f.number), *f.over)) or size
    new = new if under is None else Call("/", (new, under))
    return Call("-", (new,)) if sign else new


def _chain(parts: Sequence[Expression]) -> Expression | None:
    return reduce(lambda a, b: Call("*", (a, b)), parts) if parts else None


def _opened(part: Expression, wanted: Expression) -> list[Expression]:
    """A factor; or the factors of a long product, where ``wanted`` is one of them."""
    leaves, todo = [], [part]
    while todo:
        match todo.pop():
            case Call("*", (a, b)):
                todo += [b, a]
            case Intermediate(value=Call("*", (a, b))):
                todo += [b, a]
            case leaf:
                leaves.append(leaf)
    return leaves if wanted in leaves else [part]


def without_overflow(f: Factors) -> Factors:
    """``exp(z) / (1 + exp(z))`` as ``1 / (1 + exp(-z))``: the sigmoid, which does not become Infinity / Infinity."""
    for under in f.under:
        match under:
            case Call("+", (c, Call("exp", (z,)) as e)) | Call("+", (Call("exp", (z,)) as e, c)) if number(c) == 1:
                over, below = [leaf for part in f.over for leaf in _opened(part, e)], list(f.under)
                if e in over:
                    over.remove(e)
                    below[below.index(under)] = Call("+", (ONE, Call("exp", (negative(z),))))
                    return without_overflow(Factors(f.number, tuple(over), tuple(below)))
    return f


def _shortened(f: Factors) -> Factors:
    """``y / (y * y)`` as ``1 / y``, and ``sqrt(z) * sqrt(z) * sqrt(z)`` as ``z * sqrt(z)``.

    One of each stays, so that NULL and the NaN of a root still show.
    """
    if len(f.under) < 2:
        return f
    over, under = list(f.over), list(f.under)
    for factor in f.over:
        if under.count(factor) > 1:
            over.remove(factor)
            under.remove(factor)
    for side in (over, under):
        for root in [part for part in dict.fromkeys(side) if isinstance(part, Call) and part.name == "sqrt"]:
            while side.count(root) > 2:
                place = side.index(root)
                side.remove(root)
                side[place if side[place] == root else side.index(root)] = root.args[0]
    return replace(f, over=tuple(over), under=tuple(under))


def is_logistic(x: Expression) -> bool:
    """Whether a product has a factor 1 + exp(z), which :func:`product` may cancel against an exp(z)."""
    f = factors(x)
    for part in f.over + f.under:
        match part:
            case Call("+", (c, Call("exp"))) | Call("+", (Call("exp"), c)) if number(c) == 1:
                return True
    return False


def power(x: Expression, y: Expression) -> Expression:
    """``power(x, y)``."""
    exponent = number(y)
    if exponent == 0:
        return ONE
    if exponent == 1:
        return x
    base = number(x)
    if base is not None and exponent is not None and base > 0:
        value = math.pow(base, exponent) if abs(exponent * math.log(base)) < 700 else math.inf
        if math.isfinite(value):
            return Literal(value)
    return Call("power", (x, y))


def choose(case: Case) -> Expression:
    """A CASE without the branches whose condition is known, and plain where all its results are one."""
    branches = []
    default = case.default
    for condition, result in case.branches:
        truth = None if case.operand is not None else _truth(condition)
        if truth is None:
            branches.append((condition, result))
        elif truth:
            default = result
            break
    results = {result for _, result in branches}
    if default is not None and (not branches or results == {default}):
        return default
    return Case(tuple(branches), default, case.operand)  # assumes nothing: a NULL condition goes to ELSE


def map_case(case: Case, change: Callable[[Expression], Expression]) -> Expression:
    """The CASE whose results are changed; a missing ELSE stays missing."""
    branches = tuple((condition, change(result)) for condition, result in case.branches)
    return choose(Case(branches, None if case.default is None else change(case.default), case.operand))


BUILD: dict[tuple[str, int], Callable[..., Expression]] = {
    ("-", 1): negative, ("+", 2): add, ("-", 2): subtract, ("*", 2): multiply, ("/", 2): divide, ("power", 2): power,
}  # fmt: skip
"""(operator or function, number of arguments) -> what builds it."""


def build(name: str, args: Sequence[Expression]) -> Expression:
    """A call, simplified."""
    make = BUILD.get((name, len(args)))
    return make(*args) if make else Call(name, tuple(args))


def is_sum(node: Expression) -> bool:
    """Whether it is a sum or a difference."""
    return isinstance(node, Call) and node.name in ("+", "-") and len(node.args) == 2


def _fold(x: Expression, y: Expression, operation: Callable[[float, float], float]) -> Expression | None:
    a, b = number(x), number(y)
    if a is None or b is None:
        return None
    value = operation(a, b)
    return Literal(value) if math.isfinite(value) else None


def _is_choice(case: Case) -> bool:
    """Whether all results of a CASE are numbers or NULL, so that a factor can move into it."""
    results = [result for _, result in case.branches] + ([case.default] if case.default is not None else [])
    return all(isinstance(result, Literal) for result in results)


def _merge(x: Case, y: Case) -> Expression | None:
    """The sum of two CASEs that ask the same questions."""
    asked = [condition for condition, _ in x.branches]
    same = asked == [condition for condition, _ in y.branches] and x.operand == y.operand
    if not same or (x.default is None) != (y.default is None):
        return None
    branches = tuple((c, add(a, b)) for (c, a), (_, b) in zip(x.branches, y.branches, strict=True))
    default = None if x.default is None or y.default is None else add(x.default, y.default)
    return choose(Case(branches, default, x.operand))


def _truth(condition: Expression) -> bool | None:
    """Whether a condition on numbers alone holds; None where that is not known."""
    match condition:
        case Literal(bool() as value):
            return value
        case Call("is null", (Literal(value),)):
            return value is None
        case Call("and", (a, b)):
            both = {_truth(a), _truth(b)}
            return False if False in both else None if None in both else True
        case Call("=" | "<" | ">" as name, (a, b)) if number(a) is not None and number(b) is not None:
            left, right = float(number(a) or 0), float(number(b) or 0)
            return {"=": left == right, "<": left < right, ">": left > right}[name]
    return None

"""The calculus that we know, as tables of SQL: one line for each function.

A rule is SQL text, in the language that ``Context.register_derivative`` takes from a user: ``$1``, ``$2``, ... are the
arguments, ``$0`` is the call's own value, and there is one text for each argument, the partial derivative by it.
``"0"`` is a zero that never shows in the output. ``$1 + 0.0`` is the argument without the sign of a zero: DataFusion
orders -0.0 before 0.0, and 1 / -0.0 is another infinity. How powers and roots are derived at the edge of where they
have a derivative is chosen in :mod:`.edges`.

Conventions, where mathematics leaves a choice (each is pinned by a row of ``tests/autodiff/test_special_values.py``):

==========================  ==========================================================================================
where                       the derivative is
==========================  ==========================================================================================
``abs`` at 0                0
``greatest``, ``least``     half of each where two are equal, as 0.0 and -0.0 are, a third of three; NULL takes no part
``floor ceil round trunc``  0 everywhere, also at the jumps; so are ``signum`` and a CAST to an integer
``sqrt``, ``cbrt`` at 0     Infinity, also at -0.0
... of ``abs(x)`` at 0      0, as of ``abs``; so of its multiples and sums, and of ``power(abs(x), y)``
... of ``x * x`` at 0       NaN, as 0 / 0 is
``ln`` outside its domain   1 / x, also where ln(x) is NaN (``log10``, ``log2`` likewise)
``asin`` ... at the edge    Infinity (``acos``: -Infinity), and NaN outside
``power(x, 0)``             0 by x, also at x = 0
``power(0, y)``             0 by y; by x Infinity where y is between 0 and 1, 1 where y is 1, and 0 beyond
``x % y``                   1 by x, and -trunc(x / y) by y, also at the jumps
``CASE``                    that of the branch that is taken; a condition is not differentiated; no branch gives NULL
``coalesce``, ``nvl``       that of the argument that is taken
``nullif(x, y)``            NULL where the two are equal, otherwise that of x
``nanvl(x, y)``             that of y where x is NaN, otherwise that of x
CAST between reals          that of what is cast
integer columns             as if they were real; the result is always a real number
integer division            refused: it is a staircase, and its 0 would be a trap
``x / y`` at y = 0          what floating point makes of 1 / y and x / (y * y)
``MIN``, ``MAX``            that of the row that attains it, the mean where several do (in a correlated subquery, a
                            recursive CTE and GROUPING SETS: halfway from the least to the greatest of them)
... of what was summed      through a whole query, that of all rows within 1e-10 of it, as a part of it: a sum has other
                            last digits each time that it is evaluated
``STDDEV`` of equal values  NaN (0 / 0)
NULL                        NULL only where the derivative still reads the NULL operand: that of a * x by a is x
... inside an aggregate     rows that the aggregate left out for a NULL are left out of its derivative too
a product with a number 0   0, whatever the other factor is (NULL, NaN and Infinity included)
==========================  ==========================================================================================

Where SQL has no convention of its own they are those of JAX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ..errors import UsageError, suggest
from ..relation.functions import FUNCTIONS, SAME
from ..sql.expression import Call, Expression, Parameter, columns, descend, parse

RULES: dict[str, tuple[str, ...]] = {
    # operators
    "+": ("1", "1"),
    "-": ("1", "-1"),
    "*": ("$2", "$1"),
    "/": ("1 / $2", "-$0 / $2"),
    "%": ("1", "-trunc($1 / $2)"),
    # powers and roots
    "power": (
        "CASE WHEN $2 = 0 THEN 0.0 ELSE $2 * power($1, $2 - 1) END",
        "CASE WHEN $1 = 0 THEN 0.0 ELSE $0 * ln($1) END",
    ),
    "sqrt": ("0.5 / $0",),
    "cbrt": ("1 / (3 * $0 * $0)",),
    "abs": ("signum($1)",),
    # exponentials and logarithms
    "exp": ("$0",),
    "ln": ("1 / $1",),
    "log2": ("1.4426950408889634 / $1",),     # 1 / ln(2)
    "log10": ("0.4342944819032518 / $1",),    # 1 / ln(10)
    "log": ("-$0 / ($1 * ln($1))", "1 / ($2 * ln($1))"),
    # angles
    "sin": ("cos($1)",),
    "cos": ("-sin($1)",),
    "tan": ("1 + $0 * $0",),
    "cot": ("-(1 + $0 * $0)",),
    "asin": ("1 / sqrt(1 - $1 * $1)",),
    "acos": ("-1 / sqrt(1 - $1 * $1)",),
    "atan": ("1 / (1 + $1 * $1)",),
    "atan2": ("$2 / ($1 * $1 + $2 * $2)", "-$1 / ($1 * $1 + $2 * $2)"),
    "degrees": ("57.29577951308232",),        # 180 / pi
    "radians": ("0.017453292519943295",),     # pi / 180
    # hyperbolic functions
    "sinh": ("cosh($1)",),
    "cosh": ("sinh($1)",),
    "tanh": ("1 - $0 * $0",),
    "asinh": ("1 / sqrt(1 + $1 * $1)",),
    "acosh": ("1 / sqrt(($1 - 1) * ($1 + 1))",),
    "atanh": ("1 / (1 - $1 * $1)",),
    # steps
    "signum": ("0",),
    "floor": ("0",),
    "ceil": ("0",),
    "round": ("0", "0"),
    "trunc": ("0", "0"),
    # choices
    "greatest": (
        "CASE WHEN $1 + 0.0 = $2 + 0.0 THEN 0.5 WHEN $1 > $2 OR $2 IS NULL THEN 1.0 ELSE 0.0 END",
        "CASE WHEN $1 + 0.0 = $2 + 0.0 THEN 0.5 WHEN $1 > $2 OR $2 IS NULL THEN 0.0 ELSE 1.0 END",
    ),
    "least": (
        "CASE WHEN $1 + 0.0 = $2 + 0.0 THEN 0.5 WHEN $1 < $2 OR $2 IS NULL THEN 1.0 ELSE 0.0 END",
        "CASE WHEN $1 + 0.0 = $2 + 0.0 THEN 0.5 WHEN $1 < $2 OR $2 IS NULL THEN 0.0 ELSE 1.0 END",
    ),
    "coalesce": ("CASE WHEN $1 IS NULL THEN 0.0 ELSE 1.0 END", "CASE WHEN $1 IS NULL THEN 1.0 ELSE 0.0 END"),
    "nvl2": ("0", "CASE WHEN $1 IS NULL THEN 0.0 ELSE 1.0 END", "CASE WHEN $1 IS NULL THEN 1.0 ELSE 0.0 END"),
    "nullif": ("CASE WHEN $1 = $2 THEN NULL ELSE 1.0 END", "0"),
    "nanvl": ("CASE WHEN isnan($1) THEN 0.0 ELSE 1.0 END", "CASE WHEN isnan($1) THEN 1.0 ELSE 0.0 END"),
}  # fmt: skip
"""Name -> the partial derivative by each argument. Fewer arguments than texts are allowed where the first ones suffice
(``round(x)``); what may have more is in :mod:`.choices`."""

CALLS = frozenset({"grad", "jvp", "vjp"})
"""The functions that are worked out here; none of them ever reaches the engine."""

UNARY: dict[str, tuple[str, ...]] = {"-": ("-1",), "log": RULES["log10"]}
"""Rules for one argument of what has another with two."""

ROOT = "$2 * power(1.0 / $1, 1.0 - $2)"
"""The rule of ``power(x, y)`` where y is a number between 0 and 1: DataFusion refuses 0 to a negative power."""

SIGNLESS = "0.5 / ($0 + 0.0)"
"""The rule of ``sqrt(x)`` where x may be -0.0, whose root is -0.0."""

NOUGHT = "CASE WHEN $1 = 0 THEN 0.0 ELSE {} END"
"""The rule of a root of what has the derivative 0 where it is 0."""

AGGREGATES: dict[str, str] = {
    "count": "0",
    "sum": "sum(:d1)",
    "avg": "avg(:d1)",
    "var_pop": "2 * covar_pop($1, :d1)",
    "var_samp": "2 * covar_samp($1, :d1)",
    "stddev_pop": "covar_pop($1, :d1) / $0",
    "stddev_samp": "covar_samp($1, :d1) / $0",
    "covar_pop": "covar_pop(:d1, $2) + covar_pop($1, :d2)",
    "covar_samp": "covar_samp(:d1, $2) + covar_samp($1, :d2)",
    "regr_count": "0",
    "regr_avgx": "avg(:d2)",
    "regr_avgy": "avg(:d1)",
    "regr_sxx": "2 * regr_sxy($2, :d2)",
    "regr_syy": "2 * regr_sxy($1, :d1)",
    "regr_sxy": "regr_sxy(:d1, $2) + regr_sxy($1, :d2)",
}
"""Aggregate -> its derivative, where ``:d1`` is the derivative of the first argument. In the regressions the first
argument is y and the second x, as in SQL."""

OVER_WINDOWS: dict[str, str] = {
    "covar_pop": "regr_sxy($1, $2) / regr_count($1, $2)",
    "covar_samp": "regr_sxy($1, $2) / (regr_count($1, $2) - 1)",
}
"""Aggregate -> the same for a window: DataFusion cannot slide a covariance, though it can a variance."""

DEFINED: dict[str, str] = {
    "corr": "regr_sxy($1, $2) / sqrt(regr_sxx($1, $2) * regr_syy($1, $2))",
    "regr_slope": "regr_sxy($1, $2) / regr_sxx($1, $2)",
    "regr_intercept": "regr_avgy($1, $2) - regr_sxy($1, $2) / regr_sxx($1, $2) * regr_avgx($1, $2)",
    "regr_r2": "regr_sxy($1, $2) * regr_sxy($1, $2) / (regr_sxx($1, $2) * regr_syy($1, $2))",
}
"""Aggregate -> the same in terms of AGGREGATES."""

EXTREMES = {"min": True, "max": False}
"""Aggregates that take one row's value, the first in ascending or descending order: the derivative is that row's."""

SHIFTS = frozenset({"lag", "lead", "first_value", "last_value", "nth_value"})
"""Window functions that pass a value of another row on: the derivative is that row's."""

VOLATILE = frozenset(name for name, row in FUNCTIONS.items() if row.varies == "call")
"""Functions that have another value at each call."""

NONE: dict[str, str] = {
    "median": "its value jumps between rows; use avg, or differentiate a smooth quantile loss",
    "approx_median": "it is an estimate that jumps between rows; use avg",
    "approx_percentile_cont": "it is an estimate that jumps between rows; use avg",
    "percentile_cont": "its value jumps between rows; use avg",
    "quantile_cont": "its value jumps between rows; use avg",
    "factorial": "it is defined on integers only",
    "gcd": "it is defined on integers only",
    "lcm": "it is defined on integers only",
    "||": "it makes text",
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "between", "not between", "in", "not in",
                     "is null", "is not null", "isnan", "iszero"),
                    "it is true or false; use CASE WHEN ... THEN ... ELSE ... END, or a smooth step such as tanh"),
    **dict.fromkeys(("&", "|", "^"), "it works on bits; x to the power of y is power(x, y)"),
    **dict.fromkeys(VOLATILE, "it is another value at each call"),
}  # fmt: skip
"""What has no derivative, and why."""

Rules = Mapping[str, tuple[str, ...]]


def register(rules: Rules, name: str, partials: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The rules and one more.

    Args:
        rules: the rules so far; they are not changed.
        name: the function that gets a derivative.
        partials: one SQL text for each argument, as in RULES.

    Raises:
        ParseError: a text that is not one expression.
        UsageError: no text, or one that mentions a column or an argument that the function has not.

    >>> register({}, "relu", ["CASE WHEN $1 > 0 THEN 1.0 ELSE 0.0 END"])
    {'relu': ('CASE WHEN $1 > 0 THEN 1.0 ELSE 0.0 END',)}
    """
    if isinstance(partials, str) or not partials:
        raise UsageError(f"the derivative of {name} is a list of SQL texts, one for each argument",
                         hint=f'For example: register_derivative("{name}", ["2 * $1"])')  # fmt: skip
    known = {f"${i}" for i in range(len(partials) + 1)}
    for text in partials:
        template = read(text)
        for node in descend(template):
            if isinstance(node, Parameter) and node.name not in known:
                raise UsageError(f"the derivative of {name} mentions {node.name}, which {name} has not: {text}",
                                 hint="$1, $2, ... are the arguments, one text for each; $0 is the value.")  # fmt: skip
        if names := columns(template):
            raise UsageError(f"the derivative of {name} mentions the column {'.'.join(min(names))}: {text}",
                             hint="It is written in $1, $2, ... (the arguments) and $0 (the value).")  # fmt: skip
    return {**rules, name.lower(): tuple(partials)}


@lru_cache(maxsize=1024)
def read(text: str) -> Expression:
    """The expression of a rule's text."""
    return parse(text)


def _words() -> list[str]:
    return [name for name in (*RULES, *SAME, *AGGREGATES, *EXTREMES, *DEFINED) if name.isidentifier()]


def nearest(call: Call) -> str:
    """What could be used instead of a function that has no derivative."""
    return NONE.get(call.name) or suggest(call.name, _words()) or ""

"""Squares of numbers beyond 1e149 overflow: VAR and STDDEV are NaN, a correlation is 0, where there is a right answer.

- A spread that is no number is calculated once more, of numbers that are smaller by a power of two. What is beyond
  DOUBLE even so is infinite.
- Regressions and correlations of numbers so large are an error, found by the largest of them.
"""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.types as pt
from datafusion import SessionContext

from ...relation.functions import is_given
from ...relation.layers import Scope
from ...sql.pieces import arguments, filled, function_name, with_arguments, with_function
from ...sql.places import CALL
from ...sql.syntax import Tree
from .magnitudes import magnitude_of
from .overflow import register_failing
from .reading import Reading
from .types import TableTypes, kind_of

_SPREADS = {
    **dict.fromkeys(("stddev", "stddev_samp", "stddev_pop"), 1),
    **dict.fromkeys(("var", "var_samp", "var_sample", "var_pop", "var_population"), 2),
    **dict.fromkeys(("covar", "covar_samp", "covar_pop", "regr_sxx", "regr_syy", "regr_sxy"), 2),
}
"""Name -> which power of the numbers it grows with."""
_MOST = 1e149
"""The squares of 2^32 differences of numbers up to here have a sum below 1.8e308."""
_RATIOS = {**dict.fromkeys(("corr", "regr_r2"), (_MOST, 1e143)),
           **dict.fromkeys(("regr_slope", "regr_intercept"), (math.inf, 1e290))}  # fmt: skip
"""Name -> up to where its first argument may go, and the product of both: two sums of squares are multiplied or not."""

SIGNS = rf"\b({'|'.join([*_SPREADS, *_RATIOS])})\s*\("
NEEDS = " ".join([*_SPREADS, *_RATIOS]).upper()

BEYOND = "sqlmagic: squares are beyond DOUBLE"
"""What the engine's error says, for who translates it."""

_DOWN = 2.0**-600  # exact, and the square of the largest number's is a number
_UP = 2.0**600
_INFINITE = "CAST('Infinity' AS DOUBLE)"
_FAIL = "sqlmagic_squares"


def register(session: SessionContext) -> None:
    """Give a session what fails where squares are beyond DOUBLE."""
    register_failing(session, _FAIL, pa.float64(), BEYOND)


def scaled(reading: Reading) -> Tree:
    """The tree with moments of numbers that may be large calculated without an overflow, or failing.

    >>> import pyarrow as pa
    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"x": pa.float64(), "f": pa.float32()}})
    >>> def show(sql):
    ...     print(to_sql(scaled(Reading(parse_one(sql).tree, tables))))
    >>> show("SELECT stddev(f) AS a, corr(f, f + 1) AS b FROM d")
    SELECT stddev(f) AS a, corr(f, f + 1) AS b FROM d
    >>> show("SELECT stddev(x) AS a FROM d")
    SELECT CASE WHEN abs(stddev(x)) < CAST('Infinity' AS DOUBLE) THEN stddev(x) \
ELSE stddev(x * 2.409919865102884e-181) * 4.149515568880993e+180 END AS a FROM d
    """

    def change(node: dict[str, Any], scope: Scope) -> Tree | None:
        name = function_name(node)
        if (name not in _SPREADS and name not in _RATIOS) or is_given(name):
            return None
        args = arguments(node)
        if len(args) != (1 if name.startswith(("std", "var")) else 2):
            return None
        sizes = _sizes(args, scope, reading.tables)
        if name in _SPREADS:
            return _spread(node, args, _SPREADS[name]) if max(sizes) > _MOST else None
        first, together = _RATIOS[name]
        large = sizes[1] > _MOST or sizes[0] > first or sizes[0] * sizes[1] > together
        return _ratio(node, args, first, together) if large else None

    return reading.rewritten({CALL: change})


def _sizes(args: list[Tree], scope: Scope, tables: TableTypes) -> list[float]:
    """How large the arguments may be; 0 for what is no number, of which there are no moments."""
    sizes = []
    for arg in map(scope.read, args):
        kind = kind_of(arg, scope, tables)
        number = kind is None or pt.is_floating(kind) or pt.is_integer(kind) or pt.is_decimal(kind)
        sizes.append(magnitude_of(arg, scope, tables) if number else 0.0)
    return sizes


def _spread(node: Tree, args: list[Tree], power: int) -> Tree:
    smaller = with_arguments(node, [filled(f"X * {_DOWN!r}", X=arg) for arg in args])
    back = " * ".join([repr(_UP)] * power)
    return filled(f"CASE WHEN abs(S) < {_INFINITE} THEN S ELSE T * {back} END", S=node, T=smaller)


def _ratio(node: Tree, args: list[Tree], first: float, together: float) -> Tree:
    """The call, failing where the numbers are too large. Of infinities the engine's NaN stays."""
    a, b = (with_arguments(with_function(node, "max"), [filled("abs(X)", X=arg)]) for arg in args)
    beyond = f"B > {_MOST!r} OR A * B > {together!r}" + (f" OR A > {first!r}" if first < math.inf else "")
    finite = f"greatest(A, B) < {_INFINITE}"
    return filled(f"CASE WHEN ({beyond}) AND {finite} THEN {_FAIL}(M) ELSE M END", M=node, A=a, B=b)

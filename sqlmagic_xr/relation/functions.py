"""The one table of functions: what each is, whether it differs at each call, what it makes of NULL, its type.

Whether a function has array code or a derivative is data here too; the rooms that have them are tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from ..sql.syntax import Tree, name_of, walk
from .catalog import Type

Kind = Literal["scalar", "aggregate", "window"]
Varies = Literal["never", "statement", "call"]
"""Whether equal arguments give another value in another statement (``now()``) or at each call (``random()``)."""

Result = Callable[[Sequence[Type | None]], Type | None]


@dataclass(frozen=True)
class Function:
    """What is known of a function.

    Attributes:
        name: its usual name; other names of it have the same row.
        kind: "aggregate" for what makes one value of a group of rows, "window" for what needs OVER.
        varies: see :data:`Varies`.
        strict: whether it is NULL where an argument is, and only there; of an aggregate, whether it passes NULLs over.
        result: the type of its value by those of its arguments; None for a type that is not known.
        arrays: whether it has array code.
        derivative: whether it has a derivative (which may be zero).
        given: whether a session has been given it; then nothing of ours stands for it.
    """

    name: str
    kind: Kind = "scalar"
    varies: Varies = "never"
    strict: bool = False
    result: Result = lambda types: None
    arrays: bool = False
    derivative: bool = False
    given: bool = False


@cache
def fixed(kind: Type) -> Result:
    """The result of what has one type, whatever its arguments are."""
    return lambda types: kind


def _real(types: Sequence[Type | None]) -> Type | None:
    """Of float32 float32, of any other number float64."""
    first = types[0] if len(types) == 1 else None
    return first if first in ("float", "double") else "double" if first in INTEGERS else None


def _double(types: Sequence[Type | None]) -> Type | None:
    return "double" if set(types) == {"double"} else None


def _first(types: Sequence[Type | None]) -> Type | None:
    return types[0] if types else None


def _one(types: Sequence[Type | None]) -> Type | None:
    """The one type of all arguments; that of a mixture is not known, but for int64 and float64."""
    kinds = set(types) - {"null"}
    if kinds == {"int64", "double"}:
        return "double"
    return next(iter(kinds)) if len(kinds) == 1 else None


def _number(types: Sequence[Type | None]) -> Type | None:
    return types[0] if types and types[0] in NUMBERS else None


def _sum(types: Sequence[Type | None]) -> Type | None:
    first = types[0] if types else None
    if first in INTEGERS:
        return "uint64" if first.startswith("u") else "int64"
    return "double" if first in ("float", "double") else None


INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
NUMBERS = INTEGERS | {"float", "double"}


def _rows(names: str, **what: object) -> dict[str, Function]:
    return {name: replace(Function(name), **what) for name in names.split()}  # type: ignore[arg-type]


_SAME = {
    "pow": "power", "ceiling": "ceil", "sign": "signum", "ifnull": "coalesce", "nvl": "coalesce", "mean": "avg",
    "var": "var_samp", "var_sample": "var_samp", "var_population": "var_pop", "stddev": "stddev_samp",
    "covar": "covar_samp", "rand": "random",
}  # fmt: skip

_SCALARS: dict[str, Function] = {
    **_rows("exp ln log2 log10 sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh degrees radians",
            strict=True, result=_real, arrays=True, derivative=True),
    **_rows("signum floor ceil round trunc", strict=True, result=_real, arrays=True, derivative=True),
    **_rows("cot", strict=True, result=_real, derivative=True),
    **_rows("log", strict=True, result=_double, arrays=True, derivative=True),
    **_rows("power", strict=True, arrays=True, derivative=True,
            result=lambda types: "double" if list(types) in (["double", "double"], ["int64", "int64"],
                                                             ["double", "int64"]) else None),
    **_rows("atan2", strict=True, result=_double, arrays=True, derivative=True),
    **_rows("abs", strict=True, result=_number, arrays=True, derivative=True),
    **_rows("greatest least", result=_one, arrays=True, derivative=True),
    **_rows("coalesce", result=_one, arrays=True, derivative=True),
    **_rows("nullif", result=_one, arrays=True, derivative=True),
    **_rows("nanvl", strict=True, result=_double, derivative=True),
    **_rows("nvl2", derivative=True),
    **_rows("isnan", strict=True, result=fixed("bool"), arrays=True),
    **_rows("iszero", strict=True, result=fixed("bool")),
    **_rows("pi", strict=True, result=fixed("double"), arrays=True),
    **_rows("factorial gcd lcm", strict=True, result=fixed("int64")),
    **_rows("random", varies="call", strict=True, result=fixed("double")),
    **_rows("uuid", varies="call", strict=True),
    **_rows("now current_date current_time current_timestamp today localtime localtimestamp", varies="statement",
            strict=True),
    **_rows("date_part datepart extract", strict=True, result=lambda types: None),
    **_rows("length char_length character_length octet_length bit_length strpos instr position ascii levenshtein",
            strict=True),
    **_rows("lower upper trim btrim ltrim rtrim replace reverse initcap repeat substr substring left right lpad rpad "
            "split_part translate", strict=True),
    **_rows("starts_with ends_with contains", strict=True, result=fixed("bool")),
}  # fmt: skip

_AGGREGATES: dict[str, Function] = {
    **_rows("sum", kind="aggregate", strict=True, result=_sum, arrays=True, derivative=True),
    **_rows("avg", kind="aggregate", strict=True, arrays=True, derivative=True,
            result=lambda types: "double" if types and types[0] in NUMBERS else None),
    **_rows("count", kind="aggregate", strict=True, result=fixed("int64"), arrays=True, derivative=True),
    **_rows("min max", kind="aggregate", strict=True, result=_first, arrays=True, derivative=True),
    **_rows("var_samp var_pop stddev_samp stddev_pop", kind="aggregate", strict=True, result=fixed("double"),
            arrays=True, derivative=True),
    **_rows("covar_samp covar_pop corr regr_avgx regr_avgy regr_sxx regr_syy regr_sxy regr_slope regr_intercept "
            "regr_r2", kind="aggregate", strict=True, result=fixed("double"), derivative=True),
    **_rows("regr_count", kind="aggregate", strict=True, result=fixed("uint64"), derivative=True),
    **_rows("median", kind="aggregate", strict=True),
    **_rows("bool_and bool_or", kind="aggregate", strict=True, result=fixed("bool")),
    **_rows("bit_and bit_or bit_xor", kind="aggregate", strict=True, result=_first),
    **_rows("first_value last_value nth_value", kind="aggregate", result=_first, derivative=True),
    **_rows("array_agg string_agg percentile_cont quantile_cont approx_median approx_distinct grouping "
            "approx_percentile_cont approx_percentile_cont_with_weight", kind="aggregate"),
}  # fmt: skip

_WINDOWS: dict[str, Function] = {
    **_rows("row_number", kind="window", result=fixed("uint64"), arrays=True),
    **_rows("rank dense_rank", kind="window", result=fixed("uint64"), arrays=True),
    **_rows("ntile", kind="window", result=fixed("uint64")),
    **_rows("percent_rank cume_dist", kind="window", result=fixed("double"), arrays=True),
    **_rows("lag lead", kind="window", result=_first, derivative=True),
}

_OWN = {**_SCALARS, **_AGGREGATES, **_WINDOWS}
FUNCTIONS: Mapping[str, Function] = MappingProxyType(_OWN | {name: _OWN[same] for name, same in _SAME.items()})
"""Every function that is more than a scalar function, and the scalar functions of which more is known than that."""

SAME: Mapping[str, str] = MappingProxyType(_SAME)
"""Other names of the same function."""

SUMS = frozenset({"sum", "avg", "mean", "count"})
"""The aggregates that arrays take as products of matrices."""


Asked = Callable[[], Function | None]


class _Given(NamedTuple):
    """A function that a session was given.

    Attributes:
        session: gives the session, or None when that is gone.
        row: what is known of it, or who says that.
    """

    session: Callable[[], object | None]
    row: Function | Asked


_GIVEN: dict[str, list[_Given]] = {}
_AT_WORK: ContextVar[object | None] = ContextVar("session", default=None)


@contextmanager
def of_session(session: object) -> Iterator[None]:
    """Within this block the functions that a session was given are known, and those of no other.

    Where nobody says whose statement is read, those of all are: of two of one name what holds of both is certain.
    """
    before = _AT_WORK.set(session)
    try:
        yield
    finally:
        _AT_WORK.reset(before)


def give(name: str, row: Asked, session: Callable[[], object | None]) -> None:
    """Enter a function that a session has been given: there it hides one of ours of that name.

    Args:
        name: its name.
        row: says what is known of it, or None if its session is gone; asked when somebody wants to know.
        session: gives the session, or None when that is gone.
    """
    _GIVEN.setdefault(name.lower(), []).append(_Given(session, row))


def is_given(name: str) -> bool:
    """Whether the session has been given a function of that name, which may be anything."""
    name = name.lower()
    return name in _GIVEN and bool(_here(name))


def given_here() -> frozenset[str]:
    """The names of the functions that the session has been given."""
    return frozenset(name for name in list(_GIVEN) if _here(name))


def _here(name: str) -> list[_Given]:
    """The functions of a name that are known to the session at work."""
    session = _AT_WORK.get()
    return [given for given in _GIVEN[name] if session is None or given.session() is session]


def function(name: str) -> Function | None:
    """The row of a function by any of its names, in any case; None where only that it is a scalar function is known."""
    name = name.lower()
    return (_given(name) if name in _GIVEN else None) or FUNCTIONS.get(name)


def _given(name: str) -> Function | None:
    rows = list(dict.fromkeys(row for given in _here(name) if (row := _row(name, given)) is not None))
    if not rows:
        return None
    if len(rows) == 1:
        return rows[0]
    kinds = [row.kind for row in rows if row.kind != "scalar"]
    return Function(name, kinds[0] if kinds else "scalar", varies="call", given=True)


def _row(name: str, given: _Given) -> Function | None:
    """What is known of a function, which is remembered; one whose session is gone is forgotten."""
    if isinstance(given.row, Function) and given.session() is not None:
        return given.row
    row = None if given.session() is None or isinstance(given.row, Function) else given.row()
    others = [other for other in _GIVEN[name] if other is not given]
    known = [] if row is None else [_Given(given.session, row)]
    if [*others, *known]:
        _GIVEN[name] = [*others, *known]
    else:
        del _GIVEN[name]
    return row


def usual(name: str) -> str:
    """The usual name of a function of ours; the name itself of any other.

    >>> usual("mean"), usual("relu")
    ('avg', 'relu')
    """
    return name if is_given(name) else SAME.get(name, name)


def is_aggregate(name: str) -> bool:
    """Whether a function without OVER makes one value of a group of rows.

    >>> is_aggregate("AVG"), is_aggregate("exp")
    (True, False)
    """
    found = function(name)
    return found is not None and found.kind == "aggregate"


def varies(name: str) -> Varies:
    """Whether a function gives other values for equal arguments.

    >>> varies("random"), varies("now"), varies("exp")
    ('call', 'statement', 'never')
    """
    found = function(name)
    return "never" if found is None else found.varies


def names_of_functions(tree: Tree) -> set[str]:
    """The functions that a tree calls, by their last name in lower case, those of its subqueries too."""
    return {
        name_of(node["Function"]["name"])[-1].lower() for node in walk(tree) if isinstance(node.get("Function"), dict)
    }

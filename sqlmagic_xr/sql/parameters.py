"""``$x`` and ``:x`` -> typed literals in the syntax tree; never text, so a value can never become SQL.

A slice (``a[1:k]``), a cast (``x::INT``) and whatever stands inside quotes are no parameters: the parser says what is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np

from ..errors import ParameterError, Span, suggest
from .exact import of_float
from .remembered import once_a_tree
from .syntax import NOWHERE, Tree, replace, span_of, walk

KINDS = (
    "int, float, bool, str, bytes, None, date, time, datetime, timedelta, Decimal, a numpy scalar, "
    "or a list or 1-D array of these"
)
"""What can be a parameter, as error messages say it."""

_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)
_MAX_DECIMAL128 = 38  # digits
_MAX_DECIMAL256 = 76

# numpy's type -> the SQL type whose literal it becomes. int64 and float64 are what a bare number is in DataFusion.
_NARROW = {
    "int8": "Int8",
    "int16": "Int16",
    "int32": "Int32",
    "uint8": "UInt8",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
    "float16": "Float16",
    "float32": "Float32",
}
_UNITS = ("s", "ms", "us", "ns")  # what numpy and Arrow both have


def parameters_of(tree: Tree) -> dict[str, Span | None]:
    """The parameters of a tree: name (without ``$`` or ``:``) -> where it first stands.

    >>> from .syntax import parse_one
    >>> list(parameters_of(parse_one("SELECT a[1:2], :lr, x::int, ':no' FROM t WHERE k = $k").tree))
    ['lr', 'k']
    """
    found: dict[str, Span | None] = {}
    for node in walk(tree):
        name = placeholder(node)
        if name is not None:
            found.setdefault(name, span_of(node))
    return found


@once_a_tree
def parameter_names(tree: Tree) -> frozenset[str]:
    """The names of a statement's parameters."""
    return frozenset(parameters_of(tree))


def has_parameters(text: str) -> bool:
    """Whether SQL text may hold a parameter, at a glance: where it has neither ``:`` nor ``$`` there is none.

    >>> has_parameters("SELECT a FROM t"), has_parameters("SELECT :a")
    (False, True)
    """
    return ":" in text or "$" in text


def bind(tree: Tree, lookup: Callable[[str], Any]) -> Tree:
    """The tree with every parameter replaced by the literal of its value.

    Args:
        tree: a statement or an expression; it is not changed.
        lookup: the value of a name; raises KeyError where there is none.

    Returns:
        The new tree; ``tree`` itself where there is no parameter.

    Raises:
        ParameterError: no value, or one that SQL has no literal for.
    """
    values: dict[str, Any] = {}
    for name, span in parameters_of(tree).items():
        try:
            values[name] = lookup(name)
        except KeyError as error:
            problem = error if isinstance(error, ParameterError) else missing(name, ())
            problem.span = problem.span or span
            raise problem from None
    return replace(tree, lambda node: _bound(node, values)) if values else tree


def missing(name: str, known: Iterable[str]) -> ParameterError:
    """The error of a parameter without a value, with the names that have one."""
    near = suggest(name, known) or ""
    give = f"Give it one: -p {name}=..., params={{'{name}': ...}}, or a variable {name} = ..."
    return ParameterError(f"parameter :{name} has no value", hint=near if near.startswith("Did") else give)


def can_be_parameter(value: Any) -> bool:
    """Whether a value is of a kind that SQL has a literal for; what a list holds is not looked at."""
    return value is None or isinstance(value, (bool, np.generic, np.ndarray, list, tuple, *_LITERALS))


def values_of(params: Mapping[str, Any] | Sequence[Any] | None) -> dict[str, Any]:
    """Parameters by name; a sequence gives ``$1``, ``$2``, ..."""
    if params is None:
        return {}
    if isinstance(params, Mapping):
        return {str(name).lstrip("$:"): value for name, value in params.items()}
    return {str(i): value for i, value in enumerate(params, start=1)}


def literal(value: Any, span: Any = NOWHERE) -> Tree:
    """The expression that means exactly ``value``, with its type.

    Args:
        value: one of :data:`KINDS`; 0-d and 1-D arrays of any library that numpy can read count as scalars and lists.
        span: what the literal points at in errors: the placeholder's own.

    Raises:
        ParameterError: SQL has no literal for it.

    >>> from .syntax import expression_sql
    >>> expression_sql(literal("it's; DROP TABLE t")), expression_sql(literal(np.float32(0.5)))
    ("'it''s; DROP TABLE t'", "arrow_cast(0.5, 'Float32')")
    """
    value = _unwrapped(value)
    if value is None or value is np.ma.masked or type(value).__name__ == "NAType":  # the last is pandas' NA
        return _value("Null", span)
    if isinstance(value, (bool, np.bool_)):
        return _value({"Boolean": bool(value)}, span)
    if isinstance(value, (np.number, np.datetime64, np.timedelta64)):
        return _numpy_literal(value, span)
    for kind, make in _LITERALS.items():
        if isinstance(value, kind):
            return make(value, span)
    if isinstance(value, np.ndarray):
        return _array_literal(value, span)
    if isinstance(value, (list, tuple)):
        return {"Array": {"elem": [literal(item, span) for item in value], "named": False}}
    return _refuse(f"a {type(value).__name__} cannot be a parameter")


def _bound(node: dict[str, Any], values: Mapping[str, Any]) -> Tree | None:
    name = placeholder(node)
    if name is not None:
        return literal(values[name], node["Value"]["span"])
    if "InList" in node and any(placeholder(item) is not None for item in node["InList"]["list"]):
        return _in_list(node["InList"], values)
    return None


def _in_list(node: dict[str, Any], values: Mapping[str, Any]) -> Tree:
    """``x IN (:ids, 7)``: a list is spread out, since IN over one array would compare x with the array itself."""
    subject = replace(node["expr"], lambda inner: _bound(inner, values))
    members: list[Tree] = []
    for item in node["list"]:
        bound = replace(item, lambda inner: _bound(inner, values))
        members += _members(values[placeholder(item) or ""], item) if placeholder(item) is not None else [bound]
    if not members:  # SQL cannot write an empty list; membership in one is false whatever x is
        return _value({"Boolean": bool(node["negated"])}, NOWHERE)
    return {"InList": {**node, "expr": subject, "list": members}}


def _members(value: Any, item: Tree) -> list[Tree]:
    value = _unwrapped(value)
    span = item["Value"]["span"]
    if isinstance(value, (list, tuple, np.ndarray)):
        return [literal(member, span) for member in value]
    return [literal(value, span)]


def placeholder(node: Tree) -> str | None:
    """The name of the parameter that a node is, without its ``$`` or ``:``; None where it is none."""
    inner = node.get("Value")
    kind = inner.get("value") if isinstance(inner, dict) else None
    return str(kind["Placeholder"])[1:] if isinstance(kind, dict) and "Placeholder" in kind else None


def _unwrapped(value: Any) -> Any:
    """Plain Python or numpy out of what other libraries wrap: 0-d arrays, series, pandas' and Arrow's scalars."""
    if hasattr(value, "asm8"):  # pandas' Timestamp and Timedelta count nanoseconds; NaT has none of both
        return value if getattr(value, "tzinfo", None) is not None else value.asm8
    if hasattr(value, "as_py"):  # Arrow's scalars
        return value.as_py()
    if hasattr(value, "__array__") and not isinstance(value, (np.generic, np.ma.core.MaskedConstant)):
        value = np.asarray(value)
        return value[()] if value.ndim == 0 else value
    return value


def _value(value: Any, span: Any) -> Tree:
    return {"Value": {"value": value, "span": span}}


def _number(text: str, span: Any) -> Tree:
    if text.startswith("-"):  # in parentheses, so that no minus before it makes a comment of both
        number = _value({"Number": [text[1:], False]}, span)
        return {"Nested": {"UnaryOp": {"op": "Minus", "expr": number}}}
    return _value({"Number": [text, False]}, span)


def _string(text: str, span: Any) -> Tree:
    return _value({"SingleQuotedString": text}, span)


def _integer(value: int, span: Any) -> Tree:
    if value not in _INT64 and value not in _UINT64:
        _refuse(f"the integer {value} does not fit 64 bits", hint="Pass it as a Decimal or a float.")
    return _number(str(value), span)


def _real(value: float, span: Any) -> Tree:
    if math.isfinite(value):
        return _number(of_float(repr(value)), span)
    name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return _arrow_cast(_string(name, span), "Float64")


def _decimal(value: Decimal, span: Any) -> Tree:
    if not value.is_finite():
        _refuse(f"the Decimal {value} has no SQL literal", hint="Pass it as a float.")
    text = format(value, "f")
    whole, _, fraction = text.lstrip("-").partition(".")
    digits = max(len(whole.lstrip("0")) + len(fraction), 1)
    if digits > _MAX_DECIMAL256:
        _refuse(f"a Decimal of {digits} digits does not fit the {_MAX_DECIMAL256} that SQL has")
    width = 128 if digits <= _MAX_DECIMAL128 else 256
    return _arrow_cast(_string(text, span), f"Decimal{width}({digits}, {len(fraction)})")


def _moment(value: datetime, span: Any) -> Tree:
    zone = value.tzinfo
    if zone is None:
        return _arrow_cast(_string(value.isoformat(), span), "Timestamp(us)")
    instant = value.astimezone(UTC)
    unit = "ns" if hasattr(value, "asm8") else "us"  # pandas' own counts nanoseconds
    return _arrow_cast(_string(instant.isoformat(), span), f'Timestamp({unit}, "UTC")')


def _duration(value: timedelta, span: Any) -> Tree:
    count = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    return _arrow_cast(_integer(count, span), "Duration(us)")


def _typed_string(data_type: Tree, text: str, span: Any) -> Tree:
    value = {"value": {"SingleQuotedString": text}, "span": span}
    return {"TypedString": {"data_type": data_type, "value": value, "uses_odbc_syntax": False}}


_LITERALS: dict[type, Callable[[Any, Any], Tree]] = {
    int: _integer,
    float: _real,
    str: _string,
    bytes: lambda value, span: _value({"HexStringLiteral": value.hex()}, span),
    Decimal: _decimal,
    datetime: _moment,  # before date, of which it is a kind
    date: lambda value, span: _typed_string("Date", value.isoformat(), span),
    time: lambda value, span: _typed_string({"Time": [None, "None"]}, value.isoformat(), span),
    timedelta: _duration,
}


def _numpy_literal(value: Any, span: Any) -> Tree:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return _numpy_time(value, span)
    if isinstance(value, np.complexfloating):
        _refuse("a complex number cannot be a parameter", hint="Pass its real and imaginary part.")
    item = value.item()
    if value.dtype.name not in _NARROW:
        return literal(item, span) if isinstance(item, (int, float)) else _real(float(value), span)
    return _arrow_cast(literal(item, span), _NARROW[value.dtype.name])


def _numpy_time(value: Any, span: Any) -> Tree:
    if np.isnat(value):
        return _value("Null", span)
    unit, count = np.datetime_data(value.dtype)
    if unit not in _UNITS or count != 1:
        finer = "ns" if unit in ("ps", "fs", "as") else "s"
        converted = value.astype(f"{value.dtype.kind}8[{finer}]")
        if converted.astype(value.dtype) != value:
            _refuse(f"{value!r} has no exact SQL literal", hint="Convert it to nanoseconds first.")
        value, unit = converted, finer
    if isinstance(value, np.datetime64):
        return _arrow_cast(_string(str(value), span), f"Timestamp({unit})")
    return _arrow_cast(_integer(int(value.astype(np.int64)), span), f"Duration({unit})")


def _array_literal(value: np.ndarray[Any, Any], span: Any) -> Tree:
    if value.ndim != 1:
        _refuse(f"an array of {value.ndim} dimensions cannot be a parameter", hint="Pass it flat, or as a table.")
    members = list(value) if value.dtype.kind != "O" else value.tolist()
    return literal(members, span)


def _arrow_cast(value: Tree, arrow_type: str) -> Tree:
    """``arrow_cast(value, 'Type')``: a literal of a type that SQL has no word for, or only an ambiguous one."""

    def argument(tree: Tree) -> Tree:
        return {"Unnamed": {"Expr": tree}}

    return {
        "Function": {
            "name": [{"Identifier": {"value": "arrow_cast", "quote_style": None, "span": NOWHERE}}],
            "uses_odbc_syntax": False,
            "parameters": "None",
            "args": {
                "List": {
                    "duplicate_treatment": None,
                    "args": [argument(value), argument(_string(arrow_type, NOWHERE))],
                    "clauses": [],
                }
            },
            "filter": None,
            "null_treatment": None,
            "over": None,
            "within_group": [],
        }
    }


def _refuse(what: str, hint: str | None = None) -> NoReturn:
    raise ParameterError(what, hint=hint or f"A parameter is {KINDS}.")

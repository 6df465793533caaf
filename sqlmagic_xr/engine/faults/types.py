"""What kind of value an expression is, as far as the engine's faults depend on it: asked only where one may occur."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.types as pt

from ...errors import SqlError
from ...relation.layers import LayerCatalog, Query, Scope
from ...sql.expression import Call, Case, Cast, Column, Expression, Literal, Parameter, Verbatim
from ...sql.memberships import scalar_query
from ...sql.pieces import function_name
from ...sql.selects import body_of
from ...sql.syntax import Tree

_T = TypeVar("_T")


class TableTypes(LayerCatalog, Protocol):
    """What is known of the tables that a statement reads."""

    @property
    def parameters(self) -> Mapping[str, pa.DataType]:
        """The types of placeholders, where they are known."""

    def hides_query(self, name: tuple[str, ...]) -> bool:
        """Whether that is a view of the engine's, whose query nobody here sees."""

    def columns(self, name: tuple[str, ...]) -> Mapping[str, pa.DataType]:
        """The type of each column of a table."""

    def positive_zeros(self, name: tuple[str, ...], column: str) -> bool:
        """Whether a column is known to hold no -0.0."""

    def bounds(self, name: tuple[str, ...], column: str) -> tuple[int, int] | None:
        """The least and the greatest value of a column of integers, where that is known and stays."""

    def magnitude(self, name: tuple[str, ...], column: str) -> float | None:
        """The largest absolute value of a column of numbers, where that is known and stays; NaN is no value."""

    def rows(self, name: tuple[str, ...]) -> int | None:
        """How many rows a table has, where that is known and stays."""


def kind_of(expression: Expression, scope: Scope, tables: TableTypes) -> pa.DataType | None:
    """The Arrow type of an expression; None where that is not known.

    Numbers are told apart as far as arithmetic goes; of anything else only that it is no number.
    """
    match expression:
        case Literal(value):
            return _LITERALS.get(type(value))
        case Column(path):
            return once("kind", path, scope, lambda: _column(path, scope, tables))
    known = scope.facts.get(("kind", id(expression)))
    if known is None:  # not by ``once``: an expression may be deep, and each call counts
        known = scope.facts["kind", id(expression)] = _kind(expression, scope, tables), expression
    kind: pa.DataType | None = known[0]
    return kind


def once(fact: str, about: Any, scope: Scope, find: Callable[[], _T]) -> _T:
    """What is found of a column's path or of an expression in a scope, found once."""
    key = fact, about if isinstance(about, tuple) else id(about)
    known = scope.facts.get(key)
    if known is None:
        known = scope.facts[key] = find(), about  # which is kept, since the id of one that is gone may be another's
    found: _T = known[0]
    return found


def _kind(expression: Expression, scope: Scope, tables: TableTypes) -> pa.DataType | None:
    match expression:
        case Parameter(name):
            return tables.parameters.get(name.lstrip(":$"))
        case Cast(_, type=Verbatim(tree)):
            return _named_type(tree)
        case Case(branches, default):
            results = [result for _, result in branches] + ([default] if default is not None else [])
            return together([kind_of(result, scope, tables) for result in results])
        case Call():
            return _call(expression, scope, tables)
        case Verbatim(tree):
            return _opaque(tree, scope, tables)
    return None


def has_negative_zero(expression: Expression, scope: Scope, tables: TableTypes) -> bool:
    """Whether a real expression may be -0.0."""
    about = expression.path if isinstance(expression, Column) else expression
    return once("zero", about, scope, lambda: _has_negative_zero(expression, scope, tables))


def _has_negative_zero(expression: Expression, scope: Scope, tables: TableTypes) -> bool:
    match expression:
        case Column(path):
            each = of_column(
                "zero", path, scope, lambda table, name: not tables.positive_zeros(table, name),
                lambda e, s: has_negative_zero(e, s, tables),
            )  # fmt: skip
            return each is None or any(each)
        case Literal(value):
            return isinstance(value, float) and value == 0.0 and str(value).startswith("-")
        case Call("+", (_, _)):  # only where all of its terms may be
            return all(has_negative_zero(term, scope, tables) for term in operands(expression, frozenset("+")))
        case Call(("exp" | "abs" | "cos" | "pi" | "random" | "min" | "max") as name, args):
            return name in ("min", "max") and any(has_negative_zero(a, scope, tables) for a in args)
        case Cast(value):
            kind = kind_of(value, scope, tables)
            return kind is None or not pt.is_integer(kind)
    return True


def _column(path: tuple[str, ...], scope: Scope, tables: TableTypes) -> pa.DataType | None:
    kinds = of_column(
        "kind", path, scope, lambda table, name: tables.columns(table).get(name), lambda e, s: kind_of(e, s, tables)
    )
    return None if kinds is None else kinds[0] if len(kinds) == 1 else together(kinds)


def of_column(
    fact: str, path: tuple[str, ...], scope: Scope, of_table: Callable[[tuple[str, ...], str], _T],
    ask: Callable[[Expression, Scope], _T], *, grows: bool = True,
) -> list[_T] | None:  # fmt: skip
    """What is to be said of a column: of a table's one thing, of a query's one for each branch; None of an unknown one.

    A query is asked once: through layers that each read a column of the one below twice, it would be asked 2^layers
    times.

    Args:
        fact: what it is, in a word.
        path: the column's name.
        scope: where it stands.
        of_table: says it of a table's column.
        ask: says it of an expression in a scope.
        grows: whether what is so where a recursion begins is so wherever it goes, as a type is.
    """
    try:
        item, name = scope.resolve(path)
    except SqlError:
        return None
    query, name = item.query, item.inner(name)
    if item.relation is not None:
        return [of_table(item.relation.name, name)]
    if query is None or not (grows or query.recursive is None):
        return None
    if (fact, name) not in query.facts:
        found = branches(query, name)
        query.facts[fact, name] = None if found is None else [ask(e, s) for e, s in found]
    said: list[_T] | None = query.facts[fact, name]
    return said


def branches(query: Query | None, name: str) -> list[tuple[Expression, Scope]] | None:
    """What each SELECT and each row of VALUES in a query gives for a column, with the scope that it is read in."""
    if query is None or query.names is None or name not in query.names:
        return None
    place = query.names.index(name)
    found: list[tuple[Expression, Scope]] = []
    todo = [(query, body_of(query.tree))]
    while todo:
        query, body = todo.pop()
        ((kind, node),) = body.items()
        if kind == "Select":
            scope = query.scope(node)
            if scope.outputs is None or place >= len(scope.outputs):
                return None
            found.append((scope.outputs[place].expression, scope))
        elif kind == "Query":
            inner = query.nested(node)
            todo.append((inner, body_of(inner.tree)))
        elif kind == "SetOperation" and not node["set_quantifier"].endswith("ByName"):
            # Only the first branch of a recursive query: the others name itself.
            sides = (node["left"],) if query.recursive is not None else (node["right"], node["left"])
            todo += [(query, side) for side in sides]
        elif kind == "Values":
            scope = Scope((), query.environment, query.outer)
            found += [(scope.read(row[place]), scope) for row in node["rows"]]
        else:
            return None
    return found


_LITERALS = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_(), type(None): pa.null()}
_ARITHMETIC = frozenset("+-*/%") | {"&", "|", "^", "<<", ">>"}
_SAME = frozenset(
    ["abs", "least", "greatest", "coalesce", "nullif", "nvl", "ifnull", "min", "max", "first_value", "last_value",
     "nth_value", "lag", "lead", "median", "any_value", "-", "round", "floor", "ceil", "trunc"]
)  # fmt: skip
_REAL = frozenset(
    ["sqrt", "cbrt", "exp", "ln", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh",
     "cosh", "tanh", "asinh", "acosh", "atanh", "power", "pow", "degrees", "radians", "cot", "avg", "mean", "var",
     "var_pop", "var_samp", "stddev", "stddev_pop", "stddev_samp", "corr", "covar_pop", "covar_samp", "random", "pi",
     "percent_rank", "cume_dist", "nanvl", "approx_percentile_cont", "percentile_cont"]
)  # fmt: skip
_FIXED = {
    **dict.fromkeys(("count", "approx_count"), pa.int64()),
    **dict.fromkeys(("date_part", "datepart", "length", "char_length", "character_length", "octet_length", "ascii",
                     "strpos", "position", "bit_length", "levenshtein"), pa.int32()),
    **dict.fromkeys(("row_number", "rank", "dense_rank", "ntile", "cardinality", "array_length", "approx_distinct",
                     "array_position"), pa.uint64()),
}  # fmt: skip


def operands(expression: Expression, names: frozenset[str]) -> list[Expression]:
    """The operands of a chain of operators, which leans to the left and may be thousands long."""
    found: list[Expression] = []
    while isinstance(expression, Call) and expression.name in names and len(expression.args) == 2:
        found.append(expression.args[1])
        expression = expression.args[0]
    return [*(expression.args if isinstance(expression, Call) and expression.name in names else [expression]), *found]


def gives_reals(tree: Tree) -> bool:
    """Whether an expression is a call that gives floating-point numbers, told without a look at its arguments."""
    return function_name(tree) in _REAL


def _call(call: Call, scope: Scope, tables: TableTypes) -> pa.DataType | None:
    if call.name in _FIXED:
        return _FIXED[call.name]
    if call.name in _ARITHMETIC:
        return widest([kind_of(term, scope, tables) for term in operands(call, _ARITHMETIC)])
    if call.name in _SAME:
        args = call.args[:1] if call.name in ("lag", "lead", "nth_value", "round", "trunc") else call.args
        return together([kind_of(a, scope, tables) for a in args])
    if call.name in _REAL:
        kinds = [kind_of(a, scope, tables) for a in call.args]
        return pa.float32() if kinds and all(k == pa.float32() for k in kinds) else pa.float64()
    if call.name == "sum":
        kind = kind_of(call.args[0], scope, tables)
        if kind is None:
            return None
        return pa.int64() if pt.is_signed_integer(kind) else pa.uint64() if pt.is_integer(kind) else kind
    if call.name == "make_array":
        return _list_of([kind_of(arg, scope, tables) for arg in call.args])
    if call.name == "unnest":
        kind = kind_of(call.args[0], scope, tables)
        return kind.value_type if kind is not None and (pt.is_list(kind) or pt.is_large_list(kind)) else None
    if call.name == "arrow_cast" and isinstance(call.args[-1], Literal):
        return _ARROW.get(str(call.args[-1].value))
    return None


def _opaque(tree: Tree, scope: Scope, tables: TableTypes) -> pa.DataType | None:
    if isinstance(tree, dict) and "Extract" in tree:
        return pa.int32()
    if isinstance(tree, dict) and "Array" in tree:
        return _list_of([kind_of(scope.read(each), scope, tables) for each in tree["Array"]["elem"]])
    inner = scalar_query(tree)
    if inner is None:
        return None
    query = Query(inner, scope.environment, scope)
    found = branches(query, query.names[0]) if query.names else None
    return None if found is None else together([kind_of(e, s, tables) for e, s in found])


def _list_of(kinds: list[pa.DataType | None]) -> pa.DataType | None:
    kind = together(kinds)
    return None if kind is None else pa.list_(kind)


_ARROW = {
    "Int8": pa.int8(), "Int16": pa.int16(), "Int32": pa.int32(), "Int64": pa.int64(), "UInt8": pa.uint8(),
    "UInt16": pa.uint16(), "UInt32": pa.uint32(), "UInt64": pa.uint64(), "Float16": pa.float16(),
    "Float32": pa.float32(), "Float64": pa.float64(),
}  # fmt: skip
_SQL = {
    "TinyInt": pa.int8(), "SmallInt": pa.int16(), "Int": pa.int32(), "Integer": pa.int32(), "BigInt": pa.int64(),
    "TinyIntUnsigned": pa.uint8(), "SmallIntUnsigned": pa.uint16(), "IntUnsigned": pa.uint32(),
    "IntegerUnsigned": pa.uint32(), "BigIntUnsigned": pa.uint64(), "Real": pa.float32(), "Float": pa.float32(),
    "Double": pa.float64(), "DoublePrecision": pa.float64(), "Boolean": pa.bool_(), "Date": pa.date32(),
    "Varchar": pa.string(), "Text": pa.string(), "Timestamp": pa.timestamp("ns"),
}  # fmt: skip


def _named_type(tree: Tree) -> pa.DataType | None:
    return _SQL.get(tree if isinstance(tree, str) else str(next(iter(tree))))


def together(kinds: list[pa.DataType | None]) -> pa.DataType | None:
    """The type that branches of these types have together; None where that is not known.

    They are not operands: of a number and a text, or of what may be one, a text comes out.

    >>> together([pa.float32(), pa.int8()]), together([pa.float64(), pa.string()]), together([pa.float64(), None])
    (DataType(float), None, None)
    """
    known = [kind for kind in kinds if kind is None or not pt.is_null(kind)]
    numbers = [kind for kind in known if kind is not None and (pt.is_floating(kind) or pt.is_integer(kind))]
    if len(numbers) == len(known):
        return widest(kinds)
    decimal = common_decimal([as_decimal(kind) for kind in known])
    if decimal is not None:
        return decimal
    return known[0] if all(kind == known[0] for kind in known) else None


_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}


def as_decimal(kind: pa.DataType | None) -> pa.Decimal128Type | None:
    """What a decimal is, and what integers are beside decimals; None of anything else."""
    if kind is None or not (pt.is_integer(kind) or pt.is_decimal128(kind)):
        return None
    return pa.decimal128(_DIGITS[kind.bit_width], 0) if pt.is_integer(kind) else kind


def common_decimal(kinds: list[pa.Decimal128Type | None]) -> pa.Decimal128Type | None:
    """The decimal that has room for the digits of all, as far as there is; None where one of them is none."""
    known = [kind for kind in kinds if kind is not None]
    if len(known) < len(kinds) or not known:
        return None
    whole, scale = max(kind.precision - kind.scale for kind in known), max(kind.scale for kind in known)
    return pa.decimal128(min(max(whole + scale, 1), 38), scale)


def widest(kinds: list[pa.DataType | None]) -> pa.DataType | None:
    """The type that values of these types have together, as the engine makes it; None where that is not known."""
    known = [kind for kind in kinds if kind is not None and not pt.is_null(kind)]
    if len(known) < len([k for k in kinds if k is None or not pt.is_null(k)]) or not known:
        # Of a real number and what is not known, a real number comes out.
        return next((k for k in known if pt.is_float64(k)), None)
    first = known[0]
    if all(kind == first for kind in known):
        return first
    reals = [kind for kind in known if pt.is_floating(kind)]
    if reals:
        return max(reals, key=lambda kind: int(kind.bit_width))
    if not all(map(pt.is_integer, known)):
        return None
    return _widest_integer(known)


def _widest_integer(kinds: list[pa.DataType]) -> pa.DataType | None:
    signed = [k for k in kinds if pt.is_signed_integer(k)]
    unsigned = [k for k in kinds if not pt.is_signed_integer(k)]
    width = max([int(k.bit_width) for k in signed] + [int(k.bit_width) * (2 if signed else 1) for k in unsigned])
    if width > 64:
        return None  # a decimal
    return _ARROW[f"{'Int' if signed else 'UInt'}{width}"]

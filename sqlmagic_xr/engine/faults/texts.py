"""Lists in functions of text: the engine takes ``[1, 2]`` for the six characters of its text.

``length([1, 2])`` is 6 there, and 2 in other engines; its elements or its text, one has to say which.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from ...errors import UnsupportedError
from ...relation.layers import Scope
from ...sql.expression import Call, Expression
from ...sql.pieces import arguments, function_name
from ...sql.places import CALL
from ...sql.printing import expression_sql
from ...sql.syntax import Tree, span_of
from .reading import Reading
from .types import TableTypes, kind_of

_INSTEAD = {
    **dict.fromkeys(("length", "char_length", "character_length"), "array_length(X) counts its elements"),
    "reverse": "array_reverse(X) turns it around",
    "concat": "array_concat(X, ...) joins lists",
    **dict.fromkeys(("left", "right"), "X[1:2] is a part of it"),
    "find_in_set": "array_position(X, ...) finds an element",
    **dict.fromkeys(
        ("lpad", "rpad", "translate", "regexp_replace", "regexp_match", "regexp_count", "substr_index",
         "substring_index", "overlay"), "X[1] is its first element",
    ),
}  # fmt: skip
"""Of each function that the engine gives a list's text to, what somebody with a list means. Any other function of
text refuses lists itself; CONCAT_WS and STRING_AGG write values of any type."""

_GIVES_LISTS = frozenset(
    ["array_agg", "array_append", "array_cat", "array_concat", "array_distinct", "array_except", "array_intersect",
     "array_pop_back", "array_pop_front", "array_positions", "array_prepend", "array_push_back", "array_push_front",
     "array_remove", "array_remove_all", "array_repeat", "array_replace", "array_resize", "array_reverse",
     "array_slice", "array_sort", "array_union", "arrays_zip", "flatten", "generate_series", "make_list", "map_keys",
     "map_values", "range", "regexp_match", "string_to_array", "string_to_list"]
)  # fmt: skip

SIGNS = rf"\b({'|'.join(_INSTEAD)})\s*\("
NEEDS = " ".join(_INSTEAD).upper()

_LISTS = (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view, pt.is_large_list_view)


def refused(reading: Reading) -> Tree:
    """The tree itself.

    Raises:
        UnsupportedError: a list stands where a text is meant.
    """

    def check(node: dict[str, Any], scope: Scope) -> None:
        name = function_name(node)
        if name not in _INSTEAD:
            return
        for tree in arguments(node):
            if _is_list(scope.read(tree), scope, reading.tables):
                written = expression_sql(tree)
                raise UnsupportedError(
                    f"{name} is a function of text, and {written} is a list",
                    hint=f"{_INSTEAD[name].replace('X', written)}; CAST({written} AS VARCHAR) is its text.",
                    span=span_of(node),
                )

    return reading.rewritten({CALL: check})


def _is_list(expression: Expression, scope: Scope, tables: TableTypes) -> bool:
    if isinstance(expression, Call) and expression.name in _GIVES_LISTS:
        return True
    kind: pa.DataType | None = kind_of(expression, scope, tables)
    return kind is not None and any(is_kind(kind) for is_kind in _LISTS)

"""SQL text with holes: bound anew at each step for the price of joining strings."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import pyarrow as pa

from ...sql.parameters import literal, placeholder
from ...sql.syntax import Tree, expression_sql, replace, to_sql


class Template:
    """A query's text, cut where its parameters stand.

    Args:
        tree: the query; every parameter still in it becomes a hole.

    Attributes:
        names: the parameters, each once.

    Example:
        >>> from ...sql.syntax import parse_one
        >>> Template(parse_one("SELECT :a - x * $b FROM t").tree).text({"a": "1", "b": "(-2.5)"})
        'SELECT 1 - x * (-2.5) FROM t'
    """

    def __init__(self, tree: Tree) -> None:
        self.names: list[str] = []
        mark = f"hole{uuid4().hex}x"

        def cut(node: dict[str, Any]) -> Tree | None:
            name = placeholder(node)
            if name is None:
                return None
            if name not in self.names:
                self.names.append(name)
            return {"Value": {**node["Value"], "value": {"Placeholder": f"${mark}{self.names.index(name)}x"}}}

        pieces = re.split(rf"\${mark}(\d+)x", to_sql(replace(tree, cut)))
        self._texts = pieces[::2]
        self._holes = [self.names[int(i)] for i in pieces[1::2]]

    def text(self, values: Mapping[str, str]) -> str:
        """The SQL text with these literals in the holes."""
        out = [self._texts[0]]
        for name, text in zip(self._holes, self._texts[1:], strict=True):
            out.append(values[name])
            out.append(text)
        return "".join(out)


def parameter_text(value: Any) -> str:
    """The literal that a parameter's value is bound as."""
    if type(value) is int and abs(value) < 2**63:
        return str(value) if value >= 0 else f"({value})"
    if type(value) is float and math.isfinite(value):
        return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"
    return expression_sql(literal(value))


def stored_text(value: Any, kind: pa.DataType) -> str:
    """The literal of a value that a column of this type holds; NULL has the column's type too."""
    if value is None:
        return f"arrow_cast(NULL, '{_TYPES[kind]}')"
    if kind in (pa.int64(), pa.float64()) and not (kind == pa.int64() and value == -(2**63)):
        return parameter_text(value)
    if kind == pa.bool_():
        return "TRUE" if value else "FALSE"
    if kind == pa.string():
        return "'" + str(value).replace("'", "''") + "'"
    plain = f"'{value}'" if isinstance(value, int) else parameter_text(value)
    return f"arrow_cast({plain}, '{_TYPES[kind]}')"


_TYPES = {
    pa.int8(): "Int8", pa.int16(): "Int16", pa.int32(): "Int32", pa.int64(): "Int64",
    pa.uint8(): "UInt8", pa.uint16(): "UInt16", pa.uint32(): "UInt32", pa.uint64(): "UInt64",
    pa.float32(): "Float32", pa.float64(): "Float64", pa.bool_(): "Boolean", pa.string(): "Utf8",
}  # fmt: skip
"""The types whose values have an exact literal, and their names in ``arrow_cast``."""


def can_be_text(kinds: Iterable[pa.DataType]) -> bool:
    """Whether the values of columns of these types can be written as literals that mean exactly them."""
    return all(kind in _TYPES for kind in kinds)

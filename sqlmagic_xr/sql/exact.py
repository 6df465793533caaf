"""Numbers of more digits than a float holds, where a decimal is asked for: the engine reads each number as a float."""

from __future__ import annotations

import re

from .pieces import bare, filled, minus_of
from .traversal import Tree

MANY = r"(?:\d\.?){16}"
"""What a text with such a number in it has."""

_MOST = 38  # digits of a decimal
_PLAIN = re.compile(r"(\d*)\.?(\d*)")
_MANY = re.compile(MANY)


def is_long(text: str) -> bool:
    """Whether a text has a number in it of more digits than a float is sure to keep."""
    return _MANY.search(text) is not None


def exact(expression: Tree, *, short: bool = False) -> Tree:
    """A number of more than 15 digits as the decimal that is written; anything else, and what has no room, as it is.

    Args:
        expression: a value.
        short: whether numbers of fewer digits are decimals too, as those beside one of many have to be.

    >>> from .syntax import expression_sql
    >>> [expression_sql(exact(filled(text))) for text in ("-0.1234567890123456789", "0.5")]
    ["CAST('-0.1234567890123456789' AS DECIMAL(20,19))", '0.5']
    """
    inner = minus_of(bare(expression))
    text = _written(bare(expression if inner is None else inner))
    found = None if text is None or not (short or is_long(text)) else _PLAIN.fullmatch(text)
    if text is None or found is None or len(found[1]) + len(found[2]) > _MOST:
        return expression
    sign = "" if inner is None else "-"
    return filled(f"CAST('{sign}{text}' AS DECIMAL({len(found[1]) + len(found[2])},{len(found[2])}))")


def _written(node: Tree) -> str | None:
    value = node["Value"]["value"] if isinstance(node, dict) and "Value" in node else None
    return str(value["Number"][0]) if isinstance(value, dict) and "Number" in value else None

"""Numbers of more digits than a float holds, where a decimal is asked for: the engine reads each number as a float."""

from __future__ import annotations

import re
from typing import NamedTuple

from .pieces import bare, filled, minus_of
from .traversal import Tree

MANY = r"(?:\d\.?){16}"
"""What a text with such a number in it has."""

_MOST = 38  # digits of a decimal
_PLAIN = re.compile(r"(\d*)\.?(\d*)")
_GIVEN = re.compile(r"(\d*)\.?(\d*)(?:e0)?")
_MANY = re.compile(MANY)


class WrittenNumber(NamedTuple):
    """A number as it is written, without a sign.

    Attributes:
        whole: its digits before the point.
        fraction: those behind it.
    """

    whole: str
    fraction: str

    @property
    def is_long(self) -> bool:
        """Whether the engine may read another number: it takes what is no BIGINT for a float."""
        if not self.fraction:
            return len(self.whole) > 18 and int(self.whole) >= 2**63
        return len(self.whole) + len(self.fraction) > 15

    @property
    def type(self) -> tuple[int, int] | None:
        """Precision and scale of the decimal that it is; None where there is no room for it."""
        digits = len(self.whole.lstrip("0")) + len(self.fraction)
        return (max(digits, 1), len(self.fraction)) if digits <= _MOST else None


def is_long(text: str) -> bool:
    """Whether a text has a number in it of more digits than a float is sure to keep."""
    return _MANY.search(text) is not None


def of_float(text: str) -> str:
    """A number that is a float, as a literal that is one also beside decimals: with an exponent, if it is long."""
    return f"{text}e0" if is_long(text) and "e" not in text else text


def written(node: Tree) -> WrittenNumber | None:
    """The number that a literal is written as; None of anything else, and of one with an exponent, which is a float."""
    text = _text(node)
    found = None if text is None else _PLAIN.fullmatch(text)
    return None if found is None else WrittenNumber(found[1], found[2])


def decimal(node: Tree, number: WrittenNumber) -> Tree:
    """A literal as the decimal that is written; one that has no room, as it is."""
    if number.type is None:
        return node
    precision, scale = number.type
    return filled(f"CAST('{_text(node)}' AS DECIMAL({precision},{scale}))")


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
    text = _text(bare(expression if inner is None else inner))
    found = None if text is None or not (short or is_long(text)) else _GIVEN.fullmatch(text)
    if text is None or found is None or len(found[1]) + len(found[2]) > _MOST:
        return expression
    sign, text = "" if inner is None else "-", text.removesuffix("e0")
    return filled(f"CAST('{sign}{text}' AS DECIMAL({len(found[1]) + len(found[2])},{len(found[2])}))")


def _text(node: Tree) -> str | None:
    value = node["Value"]["value"] if isinstance(node, dict) and "Value" in node else None
    return str(value["Number"][0]) if isinstance(value, dict) and "Number" in value else None

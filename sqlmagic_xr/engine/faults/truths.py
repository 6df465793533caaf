"""``c IS NOT TRUE`` in two aggregates: what they share is planned as NULL here and as never NULL there."""

from __future__ import annotations

from typing import Any

from ...relation.functions import is_aggregate
from ...sql.pieces import filled, function_name
from ...sql.places import CALL
from ...sql.syntax import Tree, transform
from .reading import Reading, plain

SIGNS = r"\bIS\s+(?:NOT\s+)?(?:TRUE|FALSE|UNKNOWN)\b"

_MEANING = {
    "IsTrue": "(X IS NOT DISTINCT FROM true)", "IsNotTrue": "(X IS DISTINCT FROM true)",
    "IsFalse": "(X IS NOT DISTINCT FROM false)", "IsNotFalse": "(X IS DISTINCT FROM false)",
    "IsUnknown": "(X IS NULL)", "IsNotUnknown": "(X IS NOT NULL)",
}  # fmt: skip


def compared(reading: Reading) -> Tree:
    """The tree with what aggregates ask of truth values as comparisons, for which the engine has one opinion.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> to_sql(compared(Reading(parse_one("SELECT sum(x) FILTER (WHERE (x > 1) IS NOT TRUE) AS a FROM d").tree)))
    'SELECT sum(x) FILTER (WHERE ((x > 1) IS DISTINCT FROM true)) AS a FROM d'
    """
    return reading.rewritten(plain(_rewritten, CALL), named=False)


def _rewritten(call: dict[str, Any]) -> Tree | None:
    name = function_name(call)
    return transform(call, _meant) if name and is_aggregate(name) else None


def _meant(node: dict[str, Any]) -> Tree | None:
    for kind, meaning in _MEANING.items():
        if kind in node:
            return filled(meaning, X=node[kind])
    return None

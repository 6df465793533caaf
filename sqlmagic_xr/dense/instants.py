"""Points in time: whole numbers of a unit since 1970, and the literals that are compared with them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from ..relation.columns import Piece
from .node import INSTANTS, Graph, Node, Refused, Type

_UNITS: Mapping[Type, str] = {
    "date": "D", "timestamp[s]": "s", "timestamp[ms]": "ms", "timestamp[us]": "us", "timestamp[ns]": "ns",
}  # fmt: skip
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d)?")


def typed_string(graph: Graph, literal: Piece) -> Node:
    """``TIMESTAMP '2000-01-01'`` or ``DATE '2000-01-01'``.

    Raises:
        Refused: another type, or a text in another form.
    """
    body = literal.piece["TypedString"]
    kind, value = body["data_type"], body["value"]["value"]
    text = value.get("SingleQuotedString") if isinstance(value, dict) else None
    wanted: Type | None = "date" if kind == "Date" else None
    if isinstance(kind, dict) and tuple(kind.get("Timestamp", ())) == (None, "None"):
        wanted = "timestamp[ns]"
    if wanted is None or text is None:
        raise Refused("no array code for this literal", literal.span)
    return _constant(graph, text, wanted)


def instants(graph: Graph, left: Node, right: Node) -> tuple[Node, Node]:
    """Two points in time as numbers of one unit; a literal takes that of the other side, as DataFusion has it.

    Raises:
        Refused: they have different units, or one is no point in time.
    """
    if left.type == right.type:
        return left, right
    for one, other, swapped in ((left, right, False), (right, left, True)):
        if one.type in INSTANTS and other.op == "constant":
            written = _written_as(graph, other, one.type)
            return (written, one) if swapped else (one, written)
    raise Refused(f"{left.type} is compared with {right.type}")


def _written_as(graph: Graph, literal: Node, kind: Type) -> Node:
    value = literal.data[1]
    if literal.type == "label":
        return _constant(graph, value, kind)
    if literal.type not in INSTANTS or (kind == "date" and literal.type != "date"):
        raise Refused(f"{kind} is compared with {literal.type}")
    exact = np.asarray(value, f"datetime64[{_UNITS[literal.type]}]")
    moved = exact.astype(f"datetime64[{_UNITS[kind]}]")
    if moved.astype(exact.dtype) != exact:
        raise Refused("a point in time between two that the column can hold")
    return graph.constant(int(moved.astype(np.int64)), kind)


def _constant(graph: Graph, text: str, kind: Type) -> Node:
    if _WRITTEN.fullmatch(text) is None or (kind == "date" and len(text) > 10):
        raise Refused(f"the point in time {text!r} is written in a form that arrays do not read")
    try:
        found = np.asarray(text.replace(" ", "T"), f"datetime64[{_UNITS[kind]}]")
    except ValueError as error:
        raise Refused(f"the point in time {text!r}") from error
    if not 1700 < int(text[:4]) < 2200:  # what nanoseconds of 64 bits hold
        raise Refused(f"the point in time {text!r} is far away")
    return graph.constant(int(found.astype(np.int64)), kind)

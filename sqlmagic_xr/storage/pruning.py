"""Which rows of a scratch table a statement can see at all: those whose chunk, or stretch of a chunk, may pass WHERE.

A comparison of a column with a number (``step = 7``, ``step > 3 AND step <= 5``, ``BETWEEN``, ``IN``) leaves out every
chunk whose bounds lie outside, and of a chunk that ascends in the column all but the stretch in question. The engine
still applies the whole WHERE; this only spares it rows that cannot pass. Where a statement names a table several
times, what any of the places can see is kept; where one of them says nothing, all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import pyarrow as pa

from ..sql.clauses import conjuncts
from ..sql.syntax import Tree, identifier, local_name, name_of
from ..sql.traversal import walk_clauses
from .scratch import Version

_FLOAT = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

Stretch = tuple[int, int, int]
"""Rows ``start`` to ``stop`` (exclusive) of the chunk of that number."""

_MIRRORED = {"Lt": "Gt", "Gt": "Lt", "LtEq": "GtEq", "GtEq": "LtEq", "Eq": "Eq"}


@dataclass(frozen=True)
class ValueRange:
    """The values that can pass: from ``low`` to ``high``, both included."""

    low: float = -inf
    high: float = inf

    def __and__(self, other: ValueRange) -> ValueRange:
        return ValueRange(max(self.low, other.low), min(self.high, other.high))


Ranges = dict[str, ValueRange]
"""Column -> what can pass."""


def visible(tree: Tree, versions: Mapping[str, Version]) -> dict[str, list[Stretch]]:
    """What a statement can see of each table, for the tables of which it cannot see all.

    Args:
        tree: the statement, its parameters bound.
        versions: the tables by the name that the statement calls them.
    """
    named: dict[str, int] = {}
    hidden: set[str] = set()
    selects: list[Any] = []
    for key, value in _parts(tree):
        if key == "Table" and (name := _table_name(value)) in versions:
            named[name] = named.get(name, 0) + 1  # TABLE t counts too, and no WHERE restricts it
        elif key == "with":
            hidden |= {identifier(cte["alias"]["name"]) for cte in value["cte_tables"]}
        elif key == "Select" and value.get("selection") is not None:
            selects.append(value)
    if not named:
        return {}
    seen: dict[str, list[Ranges]] = {}
    for select in selects:
        for name, ranges in _restricted(select, versions):
            seen.setdefault(name, []).append(ranges)
    out: dict[str, list[Stretch]] = {}
    for name, found in seen.items():
        if len(found) == named.get(name) and name not in hidden:
            stretches = _stretches(versions[name], found)
            if sum(stop - start for _, start, stop in stretches) < versions[name].rows:
                out[name] = stretches
    return out


_PARTS = frozenset({"Table", "with", "Select"})


def _parts(tree: Tree) -> Iterator[tuple[str, Any]]:
    """The tables, WITH clauses and SELECTs of a tree."""
    for node in walk_clauses(tree):
        if not _PARTS.isdisjoint(node):
            for key in _PARTS & node.keys():
                if isinstance(node[key], dict):
                    yield key, node[key]


def batches(version: Version, stretches: list[Stretch]) -> list[pa.RecordBatch]:
    """The rows of some stretches, without a copy."""
    return [version.chunks[n].batch.slice(start, stop - start) for n, start, stop in stretches]


def _table_name(table: Any) -> str:
    if isinstance(table.get("table_name"), str):
        return str(table["table_name"]).lower()
    parts = name_of(table["name"]) if isinstance(table.get("name"), list) else ()
    return parts[-1] if len(local_name(parts)) == 1 else ""


def _restricted(select: Any, versions: Mapping[str, Version]) -> Iterator[tuple[str, Ranges]]:
    """Each table in a SELECT's FROM of which its WHERE restricts a column: its name, and to what.

    This holds for any kind of join: a row that WHERE will drop, or that an outer join has filled with NULL in its
    place, does not pass a comparison.
    """
    factors = [r for item in select["from"] for r in (item["relation"], *(j["relation"] for j in item["joins"]))]
    terms = list(conjuncts(select["selection"]))
    for factor in factors:
        table = factor.get("Table")
        if table is None or (name := _table_name(table)) not in versions or table.get("sample"):
            continue
        label = identifier(table["alias"]["name"]) if table["alias"] else name
        if table["alias"] and table["alias"]["columns"]:
            continue
        ranges: Ranges = {}
        for term in terms:
            found = _comparison(term)
            if found is None:
                continue
            column = _column(found[0], label, alone=len(factors) == 1)
            if column is not None and _fits(column, found[1], versions[name]):
                ranges[column] = ranges.get(column, ValueRange()) & found[1]
        if ranges:
            yield name, ranges


def _comparison(term: Tree) -> tuple[Tree, ValueRange] | None:
    """The column's node and the range of ``column op number``, or None for anything else."""
    kind, body = next(iter(term.items()))
    if kind == "BinaryOp" and body["op"] in _MIRRORED:
        left, right, op = body["left"], body["right"], body["op"]
        number = _number(right)
        if number is None:
            left, number, op = right, _number(left), _MIRRORED[op]
        if number is None:
            return None
        return left, ValueRange(-inf if op in ("Lt", "LtEq") else number, inf if op in ("Gt", "GtEq") else number)
    if kind == "Between" and not body["negated"]:
        low, high = _number(body["low"]), _number(body["high"])
        return None if low is None or high is None else (body["expr"], ValueRange(low, high))
    if kind == "InList" and not body["negated"]:
        numbers = [_number(item) for item in body["list"]]
        known = [n for n in numbers if n is not None]
        return (body["expr"], ValueRange(min(known), max(known))) if known and len(known) == len(numbers) else None
    return None


def _column(node: Tree, label: str, *, alone: bool) -> str | None:
    if "Identifier" in node:
        return identifier(node["Identifier"]) if alone else None
    parts = [identifier(p) for p in node["CompoundIdentifier"]] if "CompoundIdentifier" in node else []
    return parts[1] if len(parts) == 2 and parts[0] == label else None


def _fits(name: str, found: ValueRange, version: Version) -> bool:
    """Whether a comparison with these numbers is exact for the column: the engine compares an integer with a float
    as floats, of which several integers may be one."""
    definition = version.definition
    if name not in definition.names:
        return False
    kind = definition.columns[definition.names.index(name)].type
    whole = all(isinstance(n, int) or n in (inf, -inf) for n in (found.low, found.high))
    return bool(pa.types.is_floating(kind) or (pa.types.is_integer(kind) and whole))


def _number(tree: Tree) -> int | float | None:
    """The value of a number, of a sum or difference of whole ones, or None."""
    kind, body = next(iter(tree.items()))
    if kind == "Nested":
        return _number(body)
    if kind == "Value" and isinstance(body["value"], dict) and "Number" in body["value"]:
        text = body["value"]["Number"][0]
        if text.isdecimal():
            return int(text) if len(text) < 19 else None
        return float(text) if _FLOAT.fullmatch(text) else None
    if kind == "UnaryOp" and body["op"] == "Minus":
        inner = _number(body["expr"])
        return None if inner is None else -inner
    if kind == "BinaryOp" and body["op"] in ("Plus", "Minus"):
        left, right = _number(body["left"]), _number(body["right"])
        if isinstance(left, int) and isinstance(right, int):
            return left + right if body["op"] == "Plus" else left - right
    return None


def _stretches(version: Version, places: list[Ranges]) -> list[Stretch]:
    """What any of several places can see, as one stretch of each chunk."""
    indices = {name: version.definition.names.index(name) for ranges in places for name in ranges}
    out: list[Stretch] = []
    for number, chunk in enumerate(version.chunks):
        starts, stops = [], []
        for ranges in places:
            start, stop = 0, chunk.rows
            for name, allowed in ranges.items():
                bounds = chunk.bounds(indices[name])
                if bounds is None:
                    continue
                if bounds.high < allowed.low or bounds.low > allowed.high:
                    start, stop = 0, 0
                elif bounds.ascending:
                    values = chunk.column(indices[name]).to_numpy(zero_copy_only=False)
                    # A number of the column's own type, or searchsorted would copy the whole column to another.
                    if allowed.low > bounds.low:
                        start = max(start, int(np.searchsorted(values, values.dtype.type(allowed.low), "left")))
                    if allowed.high < bounds.high:
                        stop = min(stop, int(np.searchsorted(values, values.dtype.type(allowed.high), "right")))
            if start < stop:
                starts.append(start)
                stops.append(stop)
        if starts:
            out.append((number, min(starts), max(stops)))
    return out

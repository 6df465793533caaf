"""SUMMARIZE: a row for each column of a table or a query, with what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as pt

from ..sql import build
from ..sql.mending import SUMMARIZE
from ..sql.syntax import Tree, parse_one, to_sql
from ..storage.types import type_name

if TYPE_CHECKING:
    from .context import Context

_FIELDS = [
    ("column_name", pa.string()), ("column_type", pa.string()), ("count", pa.int64()),
    ("null_percentage", pa.float64()), ("min", pa.string()), ("max", pa.string()), ("approx_unique", pa.uint64()),
    ("avg", pa.float64()), ("std", pa.float64()), ("q25", pa.float64()), ("q50", pa.float64()), ("q75", pa.float64()),
]  # fmt: skip


def summarized(tree: Tree) -> Tree | None:
    """The query that a SUMMARIZE is about; None for any other statement."""
    kind = next(iter(tree)) if isinstance(tree, dict) else ""
    if kind not in ("ExplainTable", "Explain") or not tree[kind].get(SUMMARIZE):
        return None
    if kind == "Explain":
        return tree["Explain"]["statement"]
    source = build.table("t")
    named = {**source["relation"]["Table"], "name": tree["ExplainTable"]["table_name"]}
    return build.select([build.star()], [{"relation": {"Table": named}, "joins": []}])


def summary(query: Tree, context: Context) -> pa.Table:
    """What the columns of a query hold, in one pass over its rows.

    Args:
        query: its tree.
        context: runs it.
    """
    schema = context.plan(to_sql(query), query).schema()
    wanted = [("count(*)", "n")]
    for place, field in enumerate(schema):
        wanted += [(text, f"{name}{place}") for name, text in _measures(field).items()]
    asked = ", ".join(f"{text} AS {name}" for text, name in wanted)
    tree = parse_one(f"SELECT {asked} FROM (SELECT 1) AS q").tree
    select = tree["Query"]["body"]["Select"]
    over = {**select, "from": [build.derived(query["Query"], "q")]}
    (row,) = context.rows_of({"Query": {**tree["Query"], "body": {"Select": over}}}).to_pylist()
    rows = [_row(place, field, row) for place, field in enumerate(schema)]
    return pa.Table.from_pylist(rows, schema=pa.schema(_FIELDS))


def _measures(field: pa.Field) -> dict[str, str]:
    """What is asked of a column: name -> SQL."""
    name, kind = build.quoted(field.name), field.type
    found = {"count": f"count({name})"}
    if pt.is_nested(kind):
        return found
    plain = pt.is_integer(kind) or pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    found["unique"] = f"approx_distinct({name})" if plain else f"approx_distinct(CAST({name} AS VARCHAR))"
    found |= {"low": f"CAST(min({name}) AS VARCHAR)", "high": f"CAST(max({name}) AS VARCHAR)"}
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
        value = f"CAST({name} AS DOUBLE)"
        found |= {"avg": f"avg({value})", "std": f"stddev({value})"}
        shares = (("low_quarter", 0.25), ("middle", 0.5), ("high_quarter", 0.75))
        found |= {n: f"approx_percentile_cont({s}) WITHIN GROUP (ORDER BY {value})" for n, s in shares}
    return found


def _row(place: int, field: pa.Field, found: dict[str, Any]) -> dict[str, Any]:
    total, count = found["n"], found[f"count{place}"]
    value = {name: found.get(f"{name}{place}") for name in _measures(field)}
    return {
        "column_name": field.name, "column_type": type_name(field.type), "count": count,
        "null_percentage": 100 * (total - count) / total if total else None,
        "min": value.get("low"), "max": value.get("high"), "approx_unique": value.get("unique"),
        "avg": value.get("avg"), "std": value.get("std"), "q25": value.get("low_quarter"), "q50": value.get("middle"),
        "q75": value.get("high_quarter"),
    }  # fmt: skip

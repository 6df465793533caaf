"""PIVOT and UNPIVOT as plain SQL: an aggregate with FILTERs, a UNION ALL.

Values that a PIVOT does not list are asked of its table when the statement is read, in their order; NULL is no column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from ..errors import Span, SqlError, UnsupportedError
from . import build
from .parameters import parameters_of
from .pivot_statements import ON, ROWS
from .syntax import NOWHERE, Tree, expression_sql, identifier, name_of, parse_one, span_of, walk

MOST = 1000
"""So many columns a PIVOT may make of the values that it finds."""


@dataclass(frozen=True)
class ShorthandQuestions:
    """What is asked of the engine while shorthand is written out.

    Attributes:
        names: the names of a query's columns.
        texts: the texts in the one column of a query.
        given: whether the session has been given a function of a name.
        stays: whether the statement is kept and read again later, as a view is.
    """

    names: Callable[[Tree], Sequence[str]]
    texts: Callable[[Tree], Sequence[str]] = lambda query: ()
    given: Callable[[str], bool] = lambda name: False
    stays: bool = False


@dataclass(frozen=True)
class _PivotedValue:
    condition: Tree
    label: str


def pivoted(pivot: Tree, asked: ShorthandQuestions, ctes: Tree | None) -> Tree:
    """``t PIVOT (SUM(a) FOR b IN ('x', 'y'))``: a column for each of the values, a row for the other columns.

    Args:
        pivot: the factor.
        asked: the engine.
        ctes: the WITH clause that the factor can see.
    """
    source = {"relation": pivot["table"], "joins": []}
    on = pivot.get(ON)
    if on is None:
        _refuse_more(pivot)
        on = [(pivot["value_column"][0], pivot["value_source"])]
    measures = pivot["aggregate_functions"] or [{"expr": _COUNT, "alias": None}]
    for measure in measures:
        if "Function" not in measure["expr"]:
            raise _unsupported(measure["expr"], "PIVOT takes one aggregate", "As in: SUM(a), COUNT(*) AS n")
    keys = pivot.get(ROWS)
    if keys is None:
        used = _columns_of([[e for e, _ in on], [measure["expr"] for measure in measures]])
        every = asked.names(build.select([build.star()], [source], ctes=ctes))
        keys = [build.column(name) for name in every if name not in used]
    items = [build.item(key, _own_name(key)) for key in keys]
    found = [_values(expression, of, source, asked, ctes) for expression, of in on]
    made = len(measures) * prod(len(values) for values in found)
    if made > MOST and any("List" not in of for _, of in on):
        what = f"PIVOT would make more than {MOST:,} columns"
        raise _unsupported(on[0][0], what, "List the values that you want: ON b IN ('x', 'y')")
    for values in product(*found):
        for measure in measures:
            label = _label("_".join(v.label for v in values), measure, alone=len(measures) == 1)
            items.append(build.item(_filtered(measure["expr"], [v.condition for v in values]), label))
    return _named_as(build.grouped(build.select(items, [source])["Query"], keys), pivot)


_COUNT = parse_one("SELECT COUNT(*)").tree["Query"]["body"]["Select"]["projection"][0]["UnnamedExpr"]
_VARCHAR = parse_one("SELECT CAST(a AS VARCHAR)").tree["Query"]["body"]["Select"]["projection"][0]["UnnamedExpr"]


def _own_name(key: Tree) -> str | None:
    """What the column of a key is called that is computed: as it was written."""
    return None if "Identifier" in key or "CompoundIdentifier" in key else expression_sql(key)


def _refuse_more(pivot: Tree) -> None:
    if pivot["value_source"] is None or len(pivot["value_column"]) != 1 or pivot["default_on_null"]:
        what, hint = "PIVOT needs one column and its values", "As in: FROM t PIVOT (SUM(a) FOR b IN ('x', 'y'))"
        raise _unsupported(pivot["value_column"], what, hint)


def _values(
    expression: Tree, of: Any, source: Tree, asked: ShorthandQuestions, ctes: Tree | None
) -> list[_PivotedValue]:
    """The values of which each has a column: those listed, or those that a query finds."""
    if "List" in of:
        return [_PivotedValue(_equal(expression, value["expr"]), _shown(value)) for value in of["List"]]
    text = _text_of(expression)
    if "Subquery" in of:
        inner = build.derived(of["Subquery"], "v")
        names = asked.names(build.select([build.star()], [inner], ctes=ctes))
        if len(names) != 1:
            raise _unsupported(expression, "the values of a PIVOT are one column", "As in: ON b IN (SELECT b FROM t)")
        query = _distinct(build.column(names[0]), inner, ctes)
    else:
        query = _distinct(expression, source, ctes)
    for reason, so in (("a view", asked.stays), ("a query with parameters", bool(parameters_of(query)))):
        if so:
            name = expression_sql(expression)
            what = f"the columns of {reason} must not depend on rows: PIVOT needs the values of {name}"
            raise _unsupported(expression, what, f"As in: ON {name} IN ('x', 'y')")
    return [_PivotedValue(_equal(text, _literal(value)), value) for value in dict.fromkeys(asked.texts(query))]


def _distinct(expression: Tree, source: Tree, ctes: Tree | None) -> Tree:
    """The texts of the values of an expression, in the order of the values, and one more than may be."""
    text = _text_of(expression)
    items = [build.item(text, "v"), build.item(build.call("min", [expression]), "k")]
    found = build.grouped(build.select(items, [source], {"IsNotNull": expression})["Query"], [text])
    query = build.select([build.item(build.column("v"))], [build.derived(found, "d")], ctes=ctes)["Query"]
    return {"Query": build.limited(query, build.column("k"), _number(MOST + 1))}


def _text_of(expression: Tree) -> Tree:
    return {"Cast": {**_VARCHAR["Cast"], "expr": expression}}


def _equal(left: Tree, right: Tree) -> Tree:
    return {"BinaryOp": {"left": left, "op": "Eq", "right": right}}


def _literal(value: str) -> Tree:
    return {"Value": {"value": {"SingleQuotedString": value}, "span": NOWHERE}}


def _number(value: int) -> Tree:
    return {"Value": {"value": {"Number": [str(value), False]}, "span": NOWHERE}}


def _filtered(measure: Tree, conditions: Sequence[Tree]) -> Tree:
    """An aggregate of the rows for which all conditions hold, beside its own FILTER."""
    call = measure["Function"]
    whole = call["filter"]
    for condition in conditions:
        whole = condition if whole is None else build.both(whole, condition)
    return {"Function": {**call, "filter": whole}}


def _columns_of(trees: Tree) -> set[str]:
    """The columns that expressions name; a function's name is none."""
    found: set[str] = set()
    todo = [trees]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            if "Identifier" in node:
                found.add(identifier(node["Identifier"]))
            elif "CompoundIdentifier" in node:
                found.add(identifier(node["CompoundIdentifier"][-1]))
            else:
                inner = node.get("Function", node)
                todo += [value for key, value in inner.items() if key not in ("span", "name")]
    return found


def _shown(value: Tree) -> str:
    if value["alias"]:
        return identifier(value["alias"])
    literal = (value["expr"].get("Value") or {}).get("value")
    shown = literal.get("SingleQuotedString") if isinstance(literal, dict) else None
    return expression_sql(value["expr"]) if shown is None else str(shown)


def _label(value: str, measure: Tree, *, alone: bool) -> str:
    if alone and not measure["alias"]:
        return value
    return f"{value}_{identifier(measure['alias']) if measure['alias'] else expression_sql(measure['expr'])}"


def unpivoted(unpivot: Tree, asked: ShorthandQuestions, ctes: Tree | None) -> Tree:
    """``t UNPIVOT (v FOR n IN (a, b))``: a row for each of the columns, those that are NULL left out.

    Several values may stand in a row, ``(v, w) FOR n IN ((a, b), (c, d))``; it is left out where one of them is NULL.

    Args:
        unpivot: the factor.
        asked: the engine.
        ctes: the WITH clause that the factor can see.
    """
    source = {"relation": unpivot["table"], "joins": []}
    every = asked.names(build.select([build.star()], [source], ctes=ctes))
    columns = [c for entry in unpivot["columns"] for c in _written(entry, every)]
    values = [identifier(value["Identifier"]) for value in _parts(unpivot["value"])]
    gone = _columns_of([entry["expr"] for entry in columns])
    rest = [build.item(build.column(name)) for name in every if name not in gone]
    queries = []
    for entry in columns:
        parts = _parts(entry["expr"])
        if len(parts) != len(values):
            what = f"UNPIVOT gives {len(parts)} columns to {len(values)} names"
            raise _unsupported(entry["expr"], what, "As in: ON (a, b), (c, d) INTO NAME n VALUE v, w")
        label = identifier(entry["alias"]) if entry["alias"] else "_".join(_shortly(part) for part in parts)
        named = [build.item(part, value) for part, value in zip(parts, values, strict=True)]
        keep = None if unpivot["null_inclusion"] == "IncludeNulls" else _all_there(parts)
        items = [*rest, build.item(_literal(label), identifier(unpivot["name"])), *named]
        queries.append(build.select(items, [source], keep))
    if not queries:
        raise _unsupported(unpivot["name"], "UNPIVOT needs a column at least", "As in: UNPIVOT t ON a, b")
    return _named_as(build.union_all(queries)["Query"], unpivot)


def _written(entry: Tree, every: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The columns that an entry of ON names; ``*`` names all but those behind EXCLUDE, COLUMNS('a.*') what matches."""
    pattern = _pattern(entry)
    if "Wildcard" in entry:
        left_out = {identifier(n) for n in walk(entry["Wildcard"]["opt_exclude"]) if "quote_style" in n}
        names = [name for name in every if name not in left_out]
    elif pattern is not None:
        names = [name for name in every if re.search(pattern, name)]
    else:
        yield entry
        return
    yield from ({"expr": build.column(name), "alias": None} for name in names)


def _pattern(entry: Tree) -> str | None:
    """The regular expression in ``COLUMNS('a.*')``."""
    call = (entry.get("expr") or {}).get("Function")
    if not call or build.name(call["name"]) != "columns":
        return None
    value = ((call["args"]["List"]["args"][0].get("Unnamed") or {}).get("Expr") or {}).get("Value") or {}
    pattern = value.get("value", {}).get("SingleQuotedString")
    return None if pattern is None else str(pattern)


def _parts(expression: Tree) -> list[Tree]:
    return list(expression["Tuple"]) if "Tuple" in expression else [expression]


def _shortly(expression: Tree) -> str:
    """What a row says of where its value is from: the column's name."""
    names = _columns_of(expression)
    return next(iter(names)) if len(names) == 1 else expression_sql(expression)


def _all_there(parts: Sequence[Tree]) -> Tree:
    whole: Tree = {"IsNotNull": parts[0]}
    for part in parts[1:]:
        whole = build.both(whole, {"IsNotNull": part})
    return whole


def _named_as(query: Tree, factor: Tree) -> Tree:
    inner = next(iter(factor["table"].values()))
    label = factor["alias"] or inner["alias"]
    name = identifier(label["name"]) if label else name_of(inner["name"])[-1] if "name" in inner else "pivot"
    return build.derived(query, name)["relation"]


def _unsupported(place: Tree, what: str, hint: str) -> SqlError:
    return _placed(UnsupportedError(what, hint=hint), span_of(place))


def _placed(error: SqlError, span: Span | None) -> SqlError:
    error.span = span
    return error

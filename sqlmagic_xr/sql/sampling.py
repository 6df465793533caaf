"""Samples of a relation, ``TABLESAMPLE`` and DuckDB's ``USING SAMPLE``, as plain SQL.

A share is taken row by row (``bernoulli``), or as so many rows (``reservoir``). With a seed, rows are numbered in the
order of their columns, and a row's chance is the MD5 of the seed and its number: the same rows give the same sample,
whatever threads read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import Span, SqlError, UnsupportedError
from . import build
from .sample_clause import SAMPLED, Sample
from .syntax import NOWHERE, Tree, identifier, name_of, parse_one, span_of

_HINT = "As in: FROM t TABLESAMPLE (10 PERCENT), FROM t USING SAMPLE 10 ROWS, ... REPEATABLE (42)"


def sampled(factor: Tree, names: Callable[[Tree], Sequence[str]], ctes: Tree | None) -> Tree | None:
    """The relation that a sample of a relation is; None where it is no sample.

    Args:
        factor: the inside of a table's or a subquery's node.
        names: the names of a query's columns.
        ctes: the WITH clause that the relation can see.
    """
    if not factor.get("sample"):
        return None
    kind = "Table" if "args" in factor else "Derived"
    name = name_of(factor["name"])[-1] if kind == "Table" else "sample"
    label = identifier(factor["alias"]["name"]) if factor["alias"] else name
    asked = _checked(_of_factor(factor), factor)
    inner = {"relation": {kind: {**factor, "sample": None}}, "joins": []}
    if asked.seed is None and not (asked.share and asked.exact):
        query = _drawn(asked, inner)
    else:
        query = _numbered(asked, inner, names(build.select([build.star()], [inner], ctes=ctes)))
    return build.derived(query, label)["relation"]


def sampled_from(select: dict[str, Any]) -> Tree:
    """A SELECT whose ``USING SAMPLE`` is that of its one relation, or a condition on the rows of several."""
    asked: Sample = select[SAMPLED]
    plain = {key: value for key, value in select.items() if key != SAMPLED}
    tables = select["from"]
    kind, factor = next(iter(tables[0]["relation"].items())) if len(tables) == 1 else ("", None)
    if factor is not None and not tables[0]["joins"] and kind in ("Table", "Derived") and not factor["sample"]:
        relation = {kind: {**factor, "sample": {"BeforeTableAlias": {SAMPLED: asked}}}}
        return {**plain, "from": [{**tables[0], "relation": relation}]}
    if asked.share and not asked.exact and asked.seed is None:
        where = _chance(_checked(asked, tables))
        return {**plain, "selection": build.both(plain["selection"], where) if plain["selection"] else where}
    what = "so many rows, or a sample with a seed, can be had of one relation"
    raise _unsupported(
        tables, what, "Put the join into a subquery: FROM (SELECT ... FROM a JOIN b ...) USING SAMPLE ..."
    )


def _of_factor(factor: Tree) -> Sample | None:
    """What a relation says; None for what has no meaning here."""
    sample = next(iter(factor["sample"].values()))
    if SAMPLED in sample:
        found: Sample = sample[SAMPLED]
        return found
    quantity = sample["quantity"]
    number = quantity and ((quantity["value"].get("Value") or {}).get("value") or {}).get("Number")
    if number is None or sample["bucket"] or quantity["unit"] not in (None, "Rows", "Percent"):
        return None
    share = quantity["unit"] == "Percent" or (quantity["unit"] is None and sample["name"] in ("Bernoulli", "System"))
    asked = Sample(float(number[0]), share)
    if sample["seed"] is None:
        return asked
    seed = sample["seed"]["value"].get("Number")
    return None if seed is None else replace(asked, seed=int(float(seed[0])))


def _checked(asked: Sample | None, place: Tree) -> Sample:
    if asked is None or (asked.share and asked.amount > 100) or not (asked.share or asked.amount.is_integer()):
        raise _unsupported(place, "a sample is so many rows or so many percent of a table", _HINT)
    return asked


def _drawn(asked: Sample, inner: Tree) -> Any:
    """A sample without a seed: another one each time."""
    if asked.share:
        return build.select([build.star()], [inner], _chance(asked))["Query"]
    query = build.select([build.star()], [inner])["Query"]
    return build.limited(query, build.call("random", []), _number(int(asked.amount)))


def _chance(asked: Sample) -> Tree:
    return _less(build.call("random", []), _number(asked.amount / 100))


_CHANCE, _PLACE = "__chance", "__place"
_PARTS: Mapping[str, str] = {"number": "ROW_NUMBER() OVER (ORDER BY a)", "all": "COUNT(*) OVER ()"}


def _numbered(asked: Sample, inner: Tree, columns: Sequence[str]) -> Any:
    """A sample that hangs on a number of each row."""
    number = _ordered("number", [build.column(name) for name in columns])
    chance = build.call("random", [])
    if asked.seed is not None:
        text = build.call("concat", [_text(f"{asked.seed}/"), number])
        chance = build.call("md5", [text])
    items = [build.item(build.column(name)) for name in columns]
    one = build.select([build.star(), build.item(chance, _CHANCE)], [inner])["Query"]
    table = build.derived(one, "s")
    if not asked.share:
        query = build.select(items, [table])["Query"]
        return build.limited(query, build.column(_CHANCE), _number(int(asked.amount)))
    if not asked.exact:
        return build.select(items, [table], _below(asked.amount / 100))["Query"]
    place = _ordered("number", [build.column(_CHANCE)])
    two = [build.star(), build.item(place, _PLACE), build.item(_piece(_PARTS["all"]), "__all")]
    ranked = build.derived(build.select(two, [table])["Query"], "s")
    share = {"BinaryOp": {"left": build.column("__all"), "op": "Multiply", "right": _number(asked.amount / 100)}}
    most = build.call("round", [share])
    condition = {"BinaryOp": {"left": build.column(_PLACE), "op": "LtEq", "right": most}}
    return build.select(items, [ranked], condition)["Query"]


def _below(share: float) -> Tree | None:
    """Whether 128 bits as hexadecimal digits are below a share of all that there are."""
    if share >= 1:
        return None
    return _less(build.column(_CHANCE), _text(f"{int(share * 2**128):032x}"))


def _ordered(part: str, keys: Sequence[Tree]) -> Tree:
    """``ROW_NUMBER() OVER (ORDER BY keys)``."""
    call = _piece(_PARTS[part])["Function"]
    spec = call["over"]["WindowSpec"]
    order = [{**spec["order_by"][0], "expr": key} for key in keys]
    return {"Function": {**call, "over": {"WindowSpec": {**spec, "order_by": order}}}}


def _piece(sql: str) -> Any:
    return parse_one(f"SELECT {sql}").tree["Query"]["body"]["Select"]["projection"][0]["UnnamedExpr"]


def _less(left: Tree, right: Tree) -> Tree:
    return {"BinaryOp": {"left": left, "op": "Lt", "right": right}}


def _number(value: float) -> Tree:
    return {"Value": {"value": {"Number": [str(value), False]}, "span": NOWHERE}}


def _text(value: str) -> Tree:
    return {"Value": {"value": {"SingleQuotedString": value}, "span": NOWHERE}}


def _unsupported(place: Tree, what: str, hint: str) -> SqlError:
    error: SqlError = UnsupportedError(what, hint=hint)
    span: Span | None = span_of(place)
    error.span = span
    return error

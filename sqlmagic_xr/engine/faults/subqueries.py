"""EXISTS and IN over subqueries: a subquery that always has one row, and NOT IN where NULL is told from FALSE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import UnsupportedError
from ...relation.functions import is_aggregate, varies
from ...relation.layers import NO_GROUP, aggregates
from ...sql.build import item
from ...sql.clauses import is_star, operation, parted, with_operands
from ...sql.expression import Call, Case, Cast, Column, Literal, Parameter, descend, from_tree
from ...sql.pieces import bare, filled, number, path_of
from ...sql.selects import is_any_star, own_select, value_of, with_own_select
from ...sql.syntax import Tree, replace, span_of, walk
from .correlation import outer_columns
from .reading import Reading

SIGNS = r"\b(EXISTS|IN\s*\(\s*(SELECT|WITH|\())"

Outer = Callable[[Tree], Sequence[Tree]]
"""The columns of the row around it that a query reads."""


def answered(reading: Reading) -> Tree:
    """The tree with subqueries that the engine would take apart wrongly written in another way.

    An aggregate without GROUP BY has one row whatever it reads, and one that fails its HAVING none: EXISTS asks for
    the HAVING, IN compares with the one value. ``x NOT IN (SELECT y ...)`` beside an OR, or where the subquery reads
    the row around it, takes NULL for "is not there"; there it is asked for each of the three answers by itself. What
    the subquery's WHERE says of the row around it alone is asked before the subquery is.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> sql = "SELECT a FROM t WHERE NOT EXISTS (SELECT max(b) FROM r WHERE r.a = t.a)"
    >>> from .tables import Given
    >>> tables = Given({"t": {"a": None}, "r": {"a": None, "b": None}})
    >>> to_sql(answered(Reading(parse_one(sql).tree, tables)))
    'SELECT a FROM t WHERE (((SELECT max(b) FROM r WHERE r.a = t.a) IS NULL) IS NULL)'
    >>> sql = "SELECT a FROM t WHERE a IN (SELECT count(*) FROM r WHERE r.a = t.a)"
    >>> to_sql(answered(Reading(parse_one(sql).tree, tables)))
    'SELECT a FROM t WHERE (a = (SELECT count(*) FROM r WHERE r.a = t.a))'
    """
    return _Pass(lambda query: outer_columns(query, reading.tables)).visit(reading.tree)


class _Pass:
    def __init__(self, outer: Outer) -> None:
        self._outer = outer

    def _correlated(self, query: Tree) -> bool:
        return bool(self._outer(query))

    def visit(self, node: Tree) -> Tree:
        """Any node: the conditions of a SELECT know where they stand, everything else is a value."""
        return replace(node, self._change)

    def _change(self, node: dict[str, Any]) -> Tree | None:
        if "projection" in node and "selection" in node:
            rest = {key: self.visit(value) for key, value in node.items() if key not in ("selection", "having")}
            conditions = {key: self._condition(node[key], "row") for key in ("selection", "having")}
            new = {key: conditions[key] if key in conditions else rest[key] for key in node}
            return node if all(new[key] is node[key] for key in node) else new
        if "Exists" in node:
            return self._exists(node)
        if "On" in node:
            return {"On": self._condition(node["On"], "row")}
        return self._member(node, "value") if "InSubquery" in node else None

    def _condition(self, node: Tree, place: str) -> Tree:
        """A condition; in a "row" only what is true counts, behind an OR only for one that is not negated."""
        if node is None:
            return None
        if "Nested" in node:
            return {"Nested": self._condition(node["Nested"], place)}
        if _is_junction(node):
            return self._junction(node, place)
        if "UnaryOp" in node and node["UnaryOp"]["op"] == "Not":
            inside = bare(node["UnaryOp"]["expr"])
            if "InSubquery" in inside:
                body = inside["InSubquery"]
                return self._member({"InSubquery": {**body, "negated": not body["negated"]}}, place)
        if "InSubquery" in node:
            return self._member(node, place)
        return self.visit(node)

    def _junction(self, node: Tree, place: str) -> Tree:
        """A chain of AND and OR, which leans to the left and may be thousands long."""
        links = []
        while node is not None and _is_junction(node):
            operator, left, _ = operation(node) or ("", None, None)
            place = place if operator == "And" else "or"
            links.append((node, place))
            node = left
        made = self._condition(node, place)
        for link, inner in reversed(links):
            _, _, right = operation(link) or ("", None, None)
            made = with_operands(link, made, self._condition(right, inner))
        return made

    def _exists(self, node: Tree) -> Tree:
        body = node["Exists"]
        query = self.visit(body["subquery"])
        select = _one_row(query)
        if select is None:
            return self._beyond(node, query)
        if select["having"] is not None:
            text = "(Q IS NOT TRUE)" if body["negated"] else "(Q IS TRUE)"
            return filled(text, Q=_value(query, select["having"]))
        # Always there; the subquery stays, so that what it names is looked at.
        text = "((Q IS NULL) IS NULL)" if body["negated"] else "((Q IS NULL) IS NOT NULL)"
        return filled(text, Q=_value(query, _first(select)))

    def _beyond(self, node: Tree, query: Tree) -> Tree:
        """EXISTS (... OFFSET n): the engine looks for any row."""
        body = {**node["Exists"], "subquery": query}
        limit = query["limit_clause"]
        offset = limit["LimitOffset"]["offset"] if isinstance(limit, dict) and "LimitOffset" in limit else None
        if offset is None or number(offset["value"]) == 0 or not self._correlated(query):
            return {"Exists": body}
        select = own_select(query)
        plain = select is not None and select["group_by"] == NO_GROUP and not select["distinct"]
        if not plain or limit["LimitOffset"]["limit"] is not None or number(offset["value"]) is None:
            raise UnsupportedError(
                "EXISTS over OFFSET is calculated wrongly by the engine",
                hint="Compare a count: (SELECT count(*) FROM ...) > n",
                span=span_of(query["body"]),
            )
        counted = _value({**query, "limit_clause": None, "order_by": None}, filled("count(*)"))
        return filled("(Q <= N)" if body["negated"] else "(Q > N)", Q=counted, N=offset["value"])

    def _member(self, node: Tree, place: str) -> Tree:
        return self._member_of(node["InSubquery"], place)

    def _member_of(self, body: Tree, place: str) -> Tree:
        value, query = self.visit(body["expr"]), self.visit(body["subquery"])
        changed = {"InSubquery": {**body, "expr": value, "subquery": query}}
        select = _one_row(query)
        if select is not None and len(select["projection"]) == 1:
            text = "X <> Q" if body["negated"] else "X = Q"
            one = filled(f"({text})", X=value, Q=_value(query, _first(select)))
            if select["having"] is None:
                return one
            none = "TRUE" if body["negated"] else "FALSE"
            return filled(f"CASE WHEN H THEN P ELSE {none} END", H=_value(query, select["having"]), P=one)
        if place == "row" and not (body["negated"] and self._correlated(query)):
            return changed
        if place == "or" and not body["negated"]:
            return changed
        outside = set(map(id, self._outer(query)))
        asked, rest = parted(query, lambda part: _is_outside(part, outside))
        if asked is None:
            return self._three(body, value, query)
        member = self._member_of({**body, "subquery": rest}, "value")
        return filled(f"CASE WHEN C THEN M ELSE {'TRUE' if body['negated'] else 'FALSE'} END", C=asked, M=member)

    def _three(self, body: Tree, value: Tree, query: Tree) -> Tree:
        """``x IN (query)`` as TRUE, FALSE or NULL by what is there: the value, nothing, or a NULL."""
        found = {"InSubquery": {**body, "expr": value, "subquery": query, "negated": False}}
        yes, no = ("FALSE", "TRUE") if body["negated"] else ("TRUE", "FALSE")
        if self._correlated(query):  # the engine counts what a row has only where the two are compared with =
            some, null = _there(query)
            return filled(
                f"CASE WHEN F THEN {yes} WHEN NOT S THEN {no} WHEN X IS NULL OR M THEN NULL ELSE {no} END",
                F=found, S=some, X=value, M=null,
            )  # fmt: skip
        rows, nulls = _counts(query)
        return filled(
            f"CASE WHEN F THEN {yes} WHEN N = 0 THEN {no} WHEN X IS NULL OR M > 0 THEN NULL ELSE {no} END",
            F=found, N=rows, X=value, M=nulls,
        )  # fmt: skip


def _is_outside(part: Tree, outside: set[int]) -> bool:
    """Whether a condition reads columns, all of them of the row around its query, and is no subquery's or aggregate's.

    Args:
        part: the condition.
        outside: the ids of the columns of the row around.
    """
    names = [node for node in walk(part) if path_of(node)]
    plain = (Column, Literal, Parameter, Cast, Case)
    return (
        bool(names)
        and all(id(name) in outside for name in names)
        and all(
            isinstance(inner, plain)
            or (isinstance(inner, Call) and not is_aggregate(inner.name) and varies(inner.name) == "never")
            for inner in descend(from_tree(part))
        )
    )


def _one_row(query: Tree) -> Tree | None:
    """The SELECT of a query that aggregates all of its rows to one; None for any other."""
    select = own_select(query)
    if select is None or select["group_by"] != NO_GROUP or query["limit_clause"] is not None or query["fetch"]:
        return None
    if not aggregates(select["projection"]) and select["having"] is None:
        return None
    return None if is_any_star(select["projection"][0]) else select


def _first(select: Tree) -> Tree:
    return value_of(select["projection"][0])


def _value(query: Tree, expression: Tree, where: Tree | None = None) -> Tree:
    """``(SELECT expression FROM ...)`` with the query's own FROM and WHERE."""
    select = own_select(query)
    selection = select["selection"]
    if where is not None:
        selection = where if selection is None else filled("A AND B", A=selection, B=where)
    body = {**select, "projection": [item(expression)], "having": None, "distinct": None}
    return {"Subquery": {**with_own_select(query, {**body, "selection": selection}), "order_by": None}}


def _there(query: Tree) -> tuple[Tree, Tree]:
    """Whether a query that reads the row around it has a row, and whether it has a NULL."""
    select = own_select(query)
    if select is None or is_star(select["projection"][0]) or query["limit_clause"] is not None:
        raise UnsupportedError(
            "NOT IN over a UNION, a * or a LIMIT that reads the row around it is answered wrongly by the engine",
            hint="Write NOT EXISTS, with the comparison in WHERE.",
            span=span_of(query["body"]),
        )
    place = "selection" if select["group_by"] == NO_GROUP else "having"
    is_null = filled("X IS NULL", X=_first(select))
    condition = is_null if select[place] is None else filled("A AND B", A=select[place], B=is_null)
    return _exists(query, select), _exists(query, {**select, place: condition})


def _exists(query: Tree, select: Tree) -> Tree:
    one = {**select, "projection": [item(filled("1"))], "distinct": None}
    return {"Exists": {"subquery": {**with_own_select(query, one), "order_by": None}, "negated": False}}


def _counts(query: Tree) -> tuple[Tree, Tree]:
    """How many rows a query has, and how many of its values are NULL."""
    select = own_select(query)
    plain = select is not None and select["group_by"] == NO_GROUP and query["limit_clause"] is None
    if plain and not select["distinct"] and not is_star(select["projection"][0]):
        value = _first(select)
        return _value(query, filled("count(*)")), _value(query, filled("count(*)"), filled("X IS NULL", X=value))
    text = "(SELECT {} FROM (SELECT 0) AS members_(member_))"
    rows, nulls = (filled(text.format(what)) for what in ("count(*)", "count(*) - count(member_)"))
    return _over(rows, query), _over(nulls, query)


def _over(counting: Tree, query: Tree) -> Tree:
    """A count over a query, put in the place of the derived table of a template."""

    def change(node: dict[str, Any]) -> Tree | None:
        return {"Derived": {**node["Derived"], "subquery": query}} if "Derived" in node else None

    return replace(counting, change)


def _is_junction(node: Tree) -> bool:
    found = operation(node)
    return found is not None and found[0] in ("And", "Or")

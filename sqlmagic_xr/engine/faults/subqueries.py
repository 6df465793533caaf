"""EXISTS and IN over subqueries: a subquery that always has one row, and NOT IN where NULL is told from FALSE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import UnsupportedError
from ...relation.functions import is_aggregate, varies
from ...relation.layers import aggregates
from ...sql.chains import negated
from ...sql.clauses import is_star, operation, parted, with_body, with_operands
from ...sql.expression import Call, Case, Cast, Column, Literal, Parameter, descend, from_tree
from ...sql.joins import on, said_on
from ...sql.limit import is_limited, offset_of, takes_all
from ...sql.memberships import (
    Existence,
    Membership,
    existence_of,
    exists_over,
    membership_of,
    read_instead,
    value_over,
    with_conditions,
)
from ...sql.pieces import bare, filled, in_parentheses, inside_parentheses, number, path_of
from ...sql.selects import (
    also_where,
    body_of,
    elements,
    groups_rows,
    having_of,
    is_any_star,
    is_select,
    own_select,
    takes_once,
    value_of,
)
from ...sql.syntax import Tree, replace, span_of, walk
from .correlation import outer_columns
from .reading import Reading

SIGNS = r"\b(EXISTS\b|IN\s*\(\s*(SELECT|WITH|\())"

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
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"t": {"a": None}, "r": {"a": None, "b": None}})
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
        if is_select(node):
            return with_conditions(node, lambda condition: self._condition(condition, "row"), self.visit)
        existence, condition, membership = existence_of(node), said_on(node), membership_of(node)
        if existence is not None:
            return self._exists(existence)
        if condition is not None:
            return on(self._condition(condition, "row"))
        return None if membership is None else self._member(membership, "value")

    def _condition(self, node: Tree, place: str) -> Tree:
        """A condition; in a "row" only what is true counts, behind an OR only for one that is not negated."""
        inner = inside_parentheses(node)
        if inner is not None:
            return in_parentheses(self._condition(inner, place))
        if _is_junction(node):
            return self._junction(node, place)
        behind_not, membership = negated(node), membership_of(node)
        denied = None if behind_not is None else membership_of(bare(behind_not))
        if denied is not None:
            return self._member(denied._replace(negated=not denied.negated), place)
        return self.visit(node) if membership is None else self._member(membership, place)

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

    def _exists(self, existence: Existence) -> Tree:
        existence = existence._replace(query=self.visit(existence.query))
        query = existence.query
        select = _one_row(query)
        if select is None:
            return self._beyond(existence)
        having = having_of(select)
        if having is not None:
            text = "(Q IS NOT TRUE)" if existence.negated else "(Q IS TRUE)"
            return filled(text, Q=value_over(query, having))
        # Always there; the subquery stays, so that what it names is looked at.
        text = "((Q IS NULL) IS NULL)" if existence.negated else "((Q IS NULL) IS NOT NULL)"
        return filled(text, Q=value_over(query, _first(select)))

    def _beyond(self, existence: Existence) -> Tree:
        """EXISTS (... OFFSET n): the engine looks for any row."""
        query = existence.query
        offset = offset_of(query)
        if offset is None or number(offset) == 0 or not self._correlated(query):
            return existence.tree
        if not _is_plain(own_select(query)) or not takes_all(query) or number(offset) is None:
            raise UnsupportedError(
                "EXISTS over OFFSET is calculated wrongly by the engine",
                hint="Compare a count: (SELECT count(*) FROM ...) > n",
                span=span_of(body_of(query)),
            )
        counted = value_over(with_body(query, body_of(query), alone=True), filled("count(*)"))
        return filled("(Q <= N)" if existence.negated else "(Q > N)", Q=counted, N=offset)

    def _member(self, membership: Membership, place: str) -> Tree:
        value, query, negated = self.visit(membership.value), self.visit(membership.query), membership.negated
        select = _one_row(query)
        if select is not None and len(elements(select)) == 1:
            return _compared(Membership(value, query, negated), select)
        if place == "row" and not (negated and self._correlated(query)):
            return Membership(value, query, negated).tree
        if place == "or" and not negated:
            return Membership(value, query, negated).tree
        outside = set(map(id, self._outer(query)))
        asked, rest = parted(query, lambda part: _is_outside(part, outside))
        if asked is None:
            return self._three(Membership(value, query, negated))
        member = self._member(membership._replace(query=rest), "value")
        return filled(f"CASE WHEN C THEN M ELSE {'TRUE' if negated else 'FALSE'} END", C=asked, M=member)

    def _three(self, membership: Membership) -> Tree:
        """``x IN (query)`` as TRUE, FALSE or NULL by what is there: the value, nothing, or a NULL."""
        value, query, negated = membership
        found = Membership(value, query, negated=False).tree
        yes, no = ("FALSE", "TRUE") if negated else ("TRUE", "FALSE")
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


def _compared(membership: Membership, select: Tree) -> Tree:
    """Whether a value is the one that a query has; where its HAVING leaves that out, it has none."""
    value, query, negated = membership
    text = "X <> Q" if negated else "X = Q"
    one = filled(f"({text})", X=value, Q=value_over(query, _first(select)))
    having = having_of(select)
    if having is None:
        return one
    none = "TRUE" if negated else "FALSE"
    return filled(f"CASE WHEN H THEN P ELSE {none} END", H=value_over(query, having), P=one)


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
    if select is None or groups_rows(select) or is_limited(query):
        return None
    if not aggregates(elements(select)) and having_of(select) is None:
        return None
    return None if is_any_star(elements(select)[0]) else select


def _first(select: Tree) -> Tree:
    return value_of(elements(select)[0])


def _is_plain(select: Tree | None) -> bool:
    """Whether a SELECT has a row for each that its WHERE lets through."""
    return select is not None and not groups_rows(select) and not takes_once(select)


def _there(query: Tree) -> tuple[Tree, Tree]:
    """Whether a query that reads the row around it has a row, and whether it has a NULL."""
    select = own_select(query)
    if select is None or is_star(elements(select)[0]) or is_limited(query):
        raise UnsupportedError(
            "NOT IN over a UNION, a * or a LIMIT that reads the row around it is answered wrongly by the engine",
            hint="Write NOT EXISTS, with the comparison in WHERE.",
            span=span_of(body_of(query)),
        )
    null = also_where(select, filled("X IS NULL", X=_first(select)))
    return exists_over(query, select), exists_over(query, null)


def _counts(query: Tree) -> tuple[Tree, Tree]:
    """How many rows a query has, and how many of its values are NULL."""
    select = own_select(query)
    if _is_plain(select) and not is_limited(query) and not is_star(elements(select)[0]):
        is_null = filled("X IS NULL", X=_first(select))
        return value_over(query, filled("count(*)")), value_over(query, filled("count(*)"), is_null)
    text = "(SELECT {} FROM (SELECT 0) AS members_(member_))"
    rows, nulls = (filled(text.format(what)) for what in ("count(*)", "count(*) - count(member_)"))
    return read_instead(rows, query), read_instead(nulls, query)


def _is_junction(node: Tree) -> bool:
    found = operation(node)
    return found is not None and found[0] in ("And", "Or")

"""The engine takes -0.0 for less than 0.0: where real numbers are compared, joined or grouped, 0.0 is added to them.

A sum of -0.0 and 0.0 is 0.0, and every other number stays what it is. A comparison with a number that is not zero needs
nothing; one with zero only takes the sign of the zero that is right, so that rows and chunks are still left out by it.
"""

from __future__ import annotations

from math import copysign
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from ...errors import SqlError
from ...relation.layers import Scope
from ...sql.build import item
from ...sql.clauses import sort_keys, with_sort_keys
from ...sql.expression import Column
from ...sql.memberships import MEMBERSHIP, Membership, membership_of
from ...sql.pieces import (
    arguments,
    bare,
    binary,
    filled,
    function_name,
    is_distinct,
    number,
    order_of,
    whole_number,
    window_of,
    with_arguments,
)
from ...sql.places import CALL, OPERATION, OVER
from ...sql.selects import alias_of, body_of, elements, own_select, value_of, with_elements, with_own_select
from ...sql.syntax import Tree
from .groups import KeyRules
from .reading import QUERY, SELECT, Reading
from .types import TableTypes, has_negative_zero, kind_of, widest

_NOT_ZERO = r"(?!\s*[-+(]*\s*(?:0*\.?0*[1-9]|'))"
SIGNS = (
    rf"(?=[=<>!])(?:=|<>|!=|<=|>=|<(?![=>])|(?<![<])>(?!=)){_NOT_ZERO}"
    r"|\b(?:BETWEEN\b|IN\s*\(|GROUP\s+BY\b|DISTINCT\b|OVER\b|UNION\b(?!\s+ALL)|INTERSECT\b|EXCEPT\b|USING\b"
    r"|NATURAL\b|NULLIF\b|CASE\s+(?!WHEN)|ORDER\s+BY\b[^)]*,)"
)
NEEDS = "= < > ! BETWEEN IN GROUP DISTINCT OVER UNION INTERSECT EXCEPT USING NATURAL NULLIF CASE ORDER"

_MIRRORED = {"Lt": "Gt", "LtEq": "GtEq", "Gt": "Lt", "GtEq": "LtEq"}
_BELOW = ("Lt", "GtEq")  # what -0.0 is the right side of
_EQUAL = ("Eq", "NotEq", "Spaceship")
_ASKED = (OPERATION, "Between", "InList", "IsDistinctFrom", "IsNotDistinctFrom", "Case", MEMBERSHIP, OVER, CALL)
_ZEROS = {pa.float64(): "0.0", pa.float32(): "CAST(0 AS REAL)", pa.float16(): "arrow_cast(0, 'Float16')"}


def signless(reading: Reading) -> Tree:
    """The tree with comparisons, joins, groups and windows to which -0.0 and 0.0 are one number.

    >>> import pyarrow as pa
    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"i": pa.int64(), "x": pa.float64(), "y": pa.float64()}})
    >>> def show(sql):
    ...     print(to_sql(signless(Reading(parse_one(sql).tree, tables))))
    >>> show("SELECT i FROM d WHERE x = 0 AND x < 0 AND x > 5 AND i = 0 AND x = y")
    SELECT i FROM d WHERE (x + 0.0) = 0 AND x < -0.0 AND x > 5 AND i = 0 AND (x + 0.0) = (y + 0.0)
    >>> show("SELECT x, count(*) AS n FROM d GROUP BY x, i")
    SELECT (x + 0.0) AS x, count(*) AS n FROM d GROUP BY (x + 0.0), i
    """
    zeros = _Zeros(reading.tables)
    groups = zeros.groups = KeyRules(zeros.plus, [body_of(place.node) for place in reading.of_kind(QUERY)])
    return reading.rewritten({**dict.fromkeys(_ASKED, zeros.expression), SELECT: groups.select, QUERY: groups.query})


class _Zeros:
    groups: KeyRules

    def __init__(self, tables: TableTypes) -> None:
        self._tables = tables

    def plus(self, tree: Tree, scope: Scope) -> Tree | None:
        """An expression that may be -0.0, with 0.0 added; None for any other."""
        if number(tree) is not None:
            return filled("0.0") if number(tree) == 0 and _is_negative(tree) else None
        expression = scope.read(tree)
        kind = kind_of(expression, scope, self._tables)
        if kind not in _ZEROS or not has_negative_zero(expression, scope, self._tables):
            return None
        return filled(f"(X + {_ZEROS[kind]})", X=bare(tree))

    def expression(self, node: dict[str, Any], scope: Scope) -> Tree | None:
        """A node that compares, in place of which something else stands; None for any other."""
        kind = next(iter(node), "")
        if kind == OPERATION and node[kind]["op"] in (*_MIRRORED, *_EQUAL):
            return self._comparison(node[kind], scope)
        if kind == "Between":
            return self._between(node[kind], scope)
        if kind == "InList":
            return self._in_list(node[kind], scope)
        if kind in ("IsDistinctFrom", "IsNotDistinctFrom"):
            sides = self._all(node[kind], scope)
            return None if sides is None else {kind: sides}
        if kind == "Case" and node[kind]["operand"] is not None:
            return self._case(node[kind], scope)
        membership = membership_of(node)
        if membership is not None:
            return self._in_subquery(membership, scope)
        if kind == OVER:
            return self._window(node[kind], scope)
        return self._function(node, scope)

    def _all(self, trees: Any, scope: Scope, *, joins: bool = False) -> list[Tree] | None:
        """Expressions that are compared with one another; None where nothing is to be done."""
        values = [number(tree) for tree in trees]
        if any(values) or not self._real(trees, scope):
            return None
        new = [self.plus(tree, scope) or tree for tree in trees]
        own = self._own_beside_outer(trees, scope) if joins else None
        if own is not None and new[own] is not trees[own]:
            # The engine answers a scalar subquery only where its own side is a column.
            column = scope.read(trees[own])
            if isinstance(column, Column) and self.groups.keep_column(column, scope):
                new[own] = trees[own]
                return new
        return new if any(a is not b for a, b in zip(new, trees, strict=True)) else None

    def _own_beside_outer(self, trees: Any, scope: Scope) -> int | None:
        """Which of two columns is a relation's of this FROM, where the other is of a query around it."""
        if len(trees) != 2 or scope.outer is None:
            return None
        owned = []
        for tree in trees:
            column = scope.read(tree)
            try:
                owned.append(isinstance(column, Column) and scope.owns(scope.resolve(column.path)[0]))
            except SqlError:
                return None
        return owned.index(True) if sorted(owned) == [False, True] else None

    def _real(self, trees: Any, scope: Scope) -> bool:
        kind = widest([kind_of(scope.read(tree), scope, self._tables) for tree in trees])
        return kind is not None and pt.is_floating(kind)

    def _comparison(self, body: Tree, scope: Scope) -> Tree | None:
        left, right, op = body["left"], body["right"], body["op"]
        zero = "right" if number(right) == 0 else "left" if number(left) == 0 else None
        if op in _MIRRORED and zero is not None:
            other = left if zero == "right" else right
            towards = op if zero == "right" else _MIRRORED[op]
            negative = towards in _BELOW
            if number(other) == 0 and (_is_negative(left) or _is_negative(right)):
                return binary(filled("0.0"), op, filled("0.0"))
            if number(other) is not None or _is_negative(body[zero]) == negative:
                return None
            if negative and not self._real([other], scope):
                return None
            signed = filled("-0.0" if negative else "0.0")
            return binary(left, op, signed) if zero == "right" else binary(signed, op, right)
        if "Tuple" in left and "Tuple" in right:
            return self._tuples(left["Tuple"], right["Tuple"], op, scope)
        sides = self._all([left, right], scope, joins=op == "Eq")
        return None if sides is None else binary(sides[0], op, sides[1])

    def _tuples(self, left: list[Tree], right: list[Tree], op: str, scope: Scope) -> Tree | None:
        """``(a, b) = (c, d)``, pair by pair: the engine takes only names and literals in parentheses."""
        if op not in _EQUAL or len(left) != len(right) or not (self._each(left, scope) or self._each(right, scope)):
            return None
        pairs = [binary(a, "Eq", b) for a, b in zip(left, right, strict=True)]
        whole = self.expression(pairs[0], scope) or pairs[0]
        for pair in pairs[1:]:
            whole = filled("A AND B", A=whole, B=self.expression(pair, scope) or pair)
        return filled("(NOT X)" if op == "NotEq" else "(X)", X=whole)

    def _between(self, body: Tree, scope: Scope) -> Tree | None:
        parts = [body[key] for key in ("expr", "low", "high")]
        values = [number(part) for part in parts]
        if all(values[1:]) or not self._real(parts, scope):
            return None
        low = filled("-0.0") if values[1] == 0 else self.plus(parts[1], scope) or parts[1]
        high = filled("0.0") if values[2] == 0 else self.plus(parts[2], scope) or parts[2]
        # Against zeros of the right signs the value itself will do.
        same = all(value is not None for value in values[1:])
        expr = parts[0] if same else self.plus(parts[0], scope) or parts[0]
        if not same and values[1] == 0:
            low = filled("0.0")
        return {"Between": {**body, "expr": expr, "low": low, "high": high}}

    def _in_list(self, body: Tree, scope: Scope) -> Tree | None:
        values = [number(member) for member in body["list"]]
        if all(values) or not self._real([body["expr"]], scope):
            return None
        members = [
            filled("0.0") if value == 0 else self.plus(member, scope) or member
            for member, value in zip(body["list"], values, strict=True)
        ]
        return {"InList": {**body, "expr": self.plus(body["expr"], scope) or body["expr"], "list": members}}

    def _case(self, body: Tree, scope: Scope) -> Tree | None:
        conditions = [branch["condition"] for branch in body["conditions"]]
        if all(number(condition) for condition in conditions) or not self._real([body["operand"]], scope):
            return None
        branches = [{**b, "condition": self.plus(b["condition"], scope) or b["condition"]} for b in body["conditions"]]
        operand = self.plus(body["operand"], scope) or body["operand"]
        return {"Case": {**body, "operand": operand, "conditions": branches}}

    def _in_subquery(self, membership: Membership, scope: Scope) -> Tree | None:
        value, query, _ = membership
        if not self._real([value], scope):
            return None
        select = own_select(query)
        listed = [] if select is None else elements(select)
        member = None if len(listed) != 1 or alias_of(listed[0]) is not None else value_of(listed[0])
        if member is not None:
            query = with_own_select(query, with_elements(select, [item(filled("X + 0.0", X=member))]))
        return membership._replace(value=self.plus(value, scope) or value, query=query).tree

    def _window(self, node: dict[str, Any], scope: Scope) -> Tree | None:
        keys = [self.plus(key, scope) or key for key in node["partition_by"]]
        order = [{**key, "expr": self.plus(key["expr"], scope) or key["expr"]} for key in order_of(node)]
        pairs = [*zip(keys, node["partition_by"], strict=True)]
        pairs += [(a["expr"], b["expr"]) for a, b in zip(order, order_of(node), strict=True)]
        if all(a is b for a, b in pairs):
            return None
        return window_of(node, partition_by=keys, order_by=order)

    def _function(self, node: dict[str, Any], scope: Scope) -> Tree | None:
        name = function_name(node)
        if name == "nullif" or (name and is_distinct(node)):
            args = self._all(arguments(node), scope) if name == "nullif" else self._each(arguments(node), scope)
            return None if args is None else self._ordered(with_arguments(node, args), scope)
        return None

    def _ordered(self, node: Tree, scope: Scope) -> Tree:
        """A call whose ORDER BY names its arguments as they are now: with DISTINCT the engine takes no other."""
        return with_sort_keys(node, [self.plus(key, scope) or key for key in sort_keys(node)])

    def _each(self, trees: list[Tree], scope: Scope) -> list[Tree] | None:
        new = [self.plus(tree, scope) or tree for tree in trees]
        return new if any(a is not b for a, b in zip(new, trees, strict=True)) else None


def _is_negative(zero: Tree) -> bool:
    """Whether a zero as written is -0.0; ``-0`` is an integer, that has no sign."""
    value = number(zero)
    return value is not None and whole_number(zero) is None and copysign(1.0, value) < 0

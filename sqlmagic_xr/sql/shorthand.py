"""What other engines write shorter, and ours does not read: written out as plain SQL before anything looks at it.

``FROM t`` alone is ``SELECT * FROM t``; ``ORDER BY ALL`` names every column; ``SEMI JOIN`` is ``LEFT SEMI JOIN``;
``->`` and ``->>`` read JSON text. PIVOT and UNPIVOT are in :mod:`.pivoting`, samples in :mod:`.sampling`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import build
from .modes import MODE, as_lists, is_mode
from .pivoting import ShorthandQuestions, pivoted, unpivoted
from .sample_clause import SAMPLED
from .sampling import sampled, sampled_from
from .syntax import NOWHERE, Tree, identifier, name_columns, replace, transform, walk

_SIGNS = re.compile(
    r"(?:\A|\(|\b(?:UNION|ALL|EXCEPT|INTERSECT|INTO\s+\S+|INTO\s+[^()]+\([^()]*\)|SUMMARIZE|EXPLAIN|AS))\s*FROM\b"
    r"|\bORDER\s+BY\s+ALL\b|SAMPLE\b|PIVOT(?:_WIDER|_LONGER)?\b|->|\bMODE\s*\("
    r"|\b(?:SEMI|ANTI)\s+JOIN\b",
    re.IGNORECASE,
)
_ARROWS = {"Arrow": "json_get", "LongArrow": "json_get_text"}
_SIDES = {"Semi": "LeftSemi", "Anti": "LeftAnti"}
"""A join that keeps the rows of one side, without a word on which: the left one."""


def written_out(tree: Tree, sql: str, asked: ShorthandQuestions) -> Tree:
    """A statement without what is shorthand in it; ``tree`` itself where there is none.

    Args:
        tree: the statement.
        sql: its text, which tells at a glance.
        asked: asks the engine for what shorthand leaves out.

    Raises:
        UnsupportedError: a form of it that has no meaning here.

    >>> from .syntax import parse_one, to_sql
    >>> sql = "FROM t"
    >>> to_sql(written_out(parse_one(sql).tree, sql, ShorthandQuestions(names=lambda query: ["a"])))
    'SELECT * FROM t'
    """
    if not _SIGNS.search(sql):
        return tree

    def in_place(node: dict[str, Any]) -> Tree | None:
        return as_lists(node) if is_mode(node) and not asked.given(MODE) else _in_place(node)

    tree = transform(name_columns(tree, _is_renamed), in_place)
    while (found := next(_asking(tree), None)) is not None:
        tree = found.written_in(tree, asked)
    return tree


def _in_place(node: dict[str, Any]) -> Tree | None:
    """What can be written out of itself."""
    if SAMPLED in node and "projection" in node:
        node = sampled_from(node)
        return _whole(node) or node
    if "flavor" in node and "projection" in node:
        return _whole(node)
    if "join_operator" in node:
        return _sided(node)
    return _json(node["BinaryOp"]) if _is_arrow(node) else None


# --- What needs the engine ---


@dataclass(frozen=True)
class _Asking:
    """A node for which the engine is asked, with the WITH clause that it can see."""

    node: dict[str, Any]
    ctes: Tree | None

    def written_in(self, tree: Tree, asked: ShorthandQuestions) -> Tree:
        """The tree with plain SQL in the node's place."""
        return replace(tree, lambda node: self._written(asked) if node is self.node else None)

    def _written(self, asked: ShorthandQuestions) -> Tree:
        if "body" in self.node:
            return _ordered(self.node, asked, self.ctes)
        ((kind, factor),) = self.node.items()
        if kind in ("Pivot", "Unpivot"):
            return (pivoted if kind == "Pivot" else unpivoted)(factor, asked, self.ctes)
        return sampled(factor, asked.names, self.ctes)


def _asking(tree: Tree) -> Iterator[_Asking]:
    """What asks the engine, so that nothing does which stands within it or in a CTE that it can see."""
    todo: list[tuple[Tree, Tree | None, bool]] = [(tree, None, False)]
    while todo:
        node, ctes, entered = todo.pop()
        if isinstance(node, (list, tuple)):
            todo += [(inner, ctes, False) for inner in reversed(node) if isinstance(inner, (dict, list, tuple))]
        elif entered:
            yield _Asking(node, ctes)
        elif isinstance(node, dict):
            inner = _inside(node, ctes)
            todo += [(node, ctes, True)] if _asks(node) else []
            todo += reversed(inner)


def _inside(node: dict[str, Any], ctes: Tree | None) -> list[tuple[Tree, Tree | None, bool]]:
    """What is in a node, with the WITH clause that each can see, the CTEs of a query first."""
    own: Any = node.get("with") if "body" in node else None
    found: list[tuple[Tree, Tree | None, bool]] = []
    for place, cte in enumerate(own["cte_tables"] if own else ()):
        seen = own["cte_tables"][: place + own["recursive"]]
        before = {**own, "cte_tables": seen} if seen else None
        found.append((cte["query"], build.with_both(ctes, before), False))
    seen = build.with_both(ctes, own)
    found += [(v, seen, False) for key, v in node.items() if isinstance(v, (dict, list, tuple)) and key not in _APART]
    return found


_APART = ("with", "span")


def _asks(node: dict[str, Any]) -> bool:
    if "body" in node:
        return _orders_all(node)
    if len(node) != 1:
        return False
    ((kind, factor),) = node.items()
    return isinstance(factor, dict) and (
        (kind in ("Pivot", "Unpivot") and "table" in factor)
        or (kind in ("Table", "Derived") and bool(factor.get("sample")))
    )


def _whole(select: Tree) -> Tree | None:
    """``FROM t`` and ``FROM t SELECT a``."""
    if select["flavor"] == "Standard":
        return None
    return {**select, "projection": select["projection"] or [build.star()], "flavor": "Standard"}


def _sided(join: Tree) -> Tree | None:
    """``SEMI JOIN`` and ``ANTI JOIN``."""
    for kind, side in _SIDES.items():
        if kind in join["join_operator"]:
            return {**join, "join_operator": {side: join["join_operator"][kind]}}
    return None


def _orders_all(query: Tree) -> bool:
    order = query.get("order_by")
    keys: Sequence[Tree] = order["kind"].get("Expressions", ()) if order and isinstance(order["kind"], dict) else ()
    return len(keys) == 1 and _is_all(keys[0]["expr"])


def _is_all(expression: Tree) -> bool:
    node = expression.get("Identifier") if isinstance(expression, dict) else None
    return node is not None and not node["quote_style"] and identifier(node) == "all"


def _ordered(query: Tree, asked: ShorthandQuestions, ctes: Tree | None) -> Tree:
    order = query["order_by"]
    key = order["kind"]["Expressions"][0]
    plain = {**query, "with": build.with_both(ctes, query["with"]), "order_by": None, "limit_clause": None}
    width = len(asked.names({"Query": plain}))
    keys = [{**key, "expr": _number(place)} for place in range(1, width + 1)]
    return {**query, "order_by": {**order, "kind": {"Expressions": keys}}}


def _number(value: float) -> Tree:
    return {"Value": {"value": {"Number": [str(value), False]}, "span": NOWHERE}}


def _text(value: str) -> Tree:
    return {"Value": {"value": {"SingleQuotedString": value}, "span": NOWHERE}}


# --- JSON ---
#
# The parser binds -> less strongly than comparisons. Here, as in PostgreSQL, it binds more strongly than all else; what
# is in parentheses is told by its Nested node.


def _is_renamed(column: Tree) -> bool:
    return any(_is_arrow(node) or is_mode(node) for node in walk(column))


def _is_arrow(node: dict[str, Any]) -> bool:
    operation = node.get("BinaryOp")
    return isinstance(operation, dict) and isinstance(operation["op"], str) and operation["op"] in _ARROWS


def _inner(node: Tree, *, first: bool) -> tuple[str, str] | None:
    """Where the first or the last operand of an expression without parentheses is; None where it is one itself."""
    kind = next(iter(node)) if isinstance(node, dict) else ""
    if kind == "BinaryOp":
        return kind, "left" if first else "right"
    if kind == "UnaryOp" and not first:
        return kind, "expr"
    return (kind, "expr") if first and kind in ("Like", "ILike", "InList", "Between", "RLike", "SimilarTo") else None


def _at_end(node: Tree, change: Callable[[Tree], Tree], *, first: bool) -> Tree:
    """An expression with its first or last operand changed."""
    place = _inner(node, first=first)
    if place is not None:
        kind, side = place
        return {kind: {**node[kind], side: _at_end(node[kind][side], change, first=first)}}
    kind = next(iter(node))
    return {kind: _at_end(node[kind], change, first=first)} if first and kind in _POSTFIX else change(node)


_POSTFIX = ("IsNull", "IsNotNull", "IsTrue", "IsNotTrue", "IsFalse", "IsNotFalse")


def _json(operation: Tree) -> Tree:
    """``text -> key``: a key is a name, ``$.a.b``, or the number of an element."""
    name = _ARROWS[operation["op"]]

    def applied(text: Tree) -> Tree:
        return _at_end(operation["right"], lambda key: build.call(name, [text, _key(key)]), first=True)

    return _at_end(operation["left"], applied, first=False)


def _key(key: Tree) -> Tree:
    sign, plain = "", key
    if isinstance(key.get("UnaryOp"), dict) and key["UnaryOp"]["op"] == "Minus":
        sign, plain = "-", key["UnaryOp"]["expr"]
    number = (plain.get("Value") or {}).get("value")
    return _text(f"$[{sign}{number['Number'][0]}]") if isinstance(number, dict) and "Number" in number else key

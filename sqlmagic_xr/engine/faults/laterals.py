"""``FROM t, LATERAL (SELECT ... FROM r, LATERAL (...) AS a) AS b``: over scratch tables the engine cannot plan it."""

from __future__ import annotations

from ...errors import SqlError, UnknownNameError, UnsupportedError
from ...sql.syntax import Tree, span_of, walk


def said_plainly(error: SqlError, tree: Tree) -> SqlError:
    """What to say of a query that failed: of LATERAL within LATERAL the engine says that a column is not there.

    >>> from ...sql.syntax import parse_one
    >>> inner = "LATERAL (SELECT a.x + 1 AS y) AS b"
    >>> tree = parse_one(f"SELECT 1 FROM t, LATERAL (SELECT * FROM r AS a, {inner}) AS c").tree
    >>> said_plainly(UnknownNameError("there is no column a.x"), tree).what
    'LATERAL within LATERAL cannot be planned here'
    """
    nested = _nested(tree) if isinstance(error, (UnknownNameError, UnsupportedError)) else None
    if nested is None:
        return error
    return UnsupportedError(
        "LATERAL within LATERAL cannot be planned here",
        text=error.text,
        hint=f"Join what the inner one reads first, in a CTE, and compare in WHERE. The engine said: {error.what}.",
        span=span_of(nested["Derived"]["subquery"]["body"]),
    )


def _nested(tree: Tree) -> Tree | None:
    outer = [node for node in walk(tree) if _is_lateral(node)] if tree is not None else []
    inside = (node for one in outer for node in walk(one["Derived"]["subquery"]) if _is_lateral(node))
    return next(inside, None)


def _is_lateral(node: Tree) -> bool:
    body = node.get("Derived")
    return isinstance(body, dict) and bool(body["lateral"])

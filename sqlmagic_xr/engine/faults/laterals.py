"""``FROM t, LATERAL (SELECT ... FROM r, LATERAL (...) AS a) AS b``: over views the engine cannot plan it."""

from __future__ import annotations

import re

from ...errors import SqlError, UnknownNameError, UnsupportedError
from ...sql.joins import is_lateral, queried
from ...sql.selects import body_of
from ...sql.syntax import Tree, span_of, walk

_SIGN = re.compile(r"\bLATERAL\b", re.IGNORECASE)


def said_plainly(error: SqlError, tree: Tree | None) -> SqlError:
    """What to say of a query that failed: of LATERAL within LATERAL the engine says that a column is not there.

    >>> from ...sql.syntax import parse_one
    >>> inner = "LATERAL (SELECT a.x + 1 AS y) AS b"
    >>> tree = parse_one(f"SELECT 1 FROM t, LATERAL (SELECT * FROM r AS a, {inner}) AS c").tree
    >>> said_plainly(UnknownNameError("there is no column a.x"), tree).what
    'LATERAL within LATERAL cannot be planned here'
    """
    inner = nested(tree) if isinstance(error, (UnknownNameError, UnsupportedError)) else None
    if inner is None:
        return error
    return UnsupportedError(
        "LATERAL within LATERAL cannot be planned here",
        text=error.text,
        hint=f"Join what the inner one reads first, in a CTE, and compare in WHERE. The engine said: {error.what}.",
        span=span_of(body_of(queried(inner))),
    )


def nested(tree: Tree | None, text: str = "LATERAL") -> Tree | None:
    """The LATERAL within a LATERAL of a query, if there is one.

    Args:
        tree: the query, or None where it is not known.
        text: its text, which is looked at first.
    """
    if tree is None or not _SIGN.search(text):
        return None
    outer = [node for node in walk(tree) if is_lateral(node)]
    inside = (node for one in outer for node in walk(queried(one)) if is_lateral(node))
    return next(inside, None)

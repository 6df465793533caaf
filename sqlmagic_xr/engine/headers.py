"""What the columns of a result are called where people read them: as they wrote what has no name of its own.

The engine calls ``a % 3`` ``t.a % Int64(3)``, and SQL that reads a result calls it so, too; a data frame, a dataset and
a shown table do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..sql.naming import reads_files, texts
from ..sql.syntax import Tree

_LITERAL = re.compile(r"\b(U?Int\d+|Float\d+|Boolean|(?:Large)?Utf8(?:View)?|Date\d+)\((\"[^\"]*\"|[-+.\w]+)\)")
_NO_ORDER = " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
_ENGINES_OWN = re.compile(
    rf"{_LITERAL.pattern}|\b(?:Interval|Timestamp|Decimal|Time|Duration)\w*\(|(?:BY|GROUP) \[|{_NO_ORDER}"
)


def headers(names: Sequence[str], tree: Tree | None) -> list[str]:
    """The names of a statement's columns for people; the engine's where two would be the same.

    Args:
        names: the engine's.
        tree: the statement as it was written; None where it could not be read.

    >>> from ..sql.syntax import parse_one
    >>> sql = "SELECT a, 100 % 3, sum(a) OVER (ORDER BY b) FROM t"
    >>> headers(["a", "Int64(100) % Int64(3)", "sum(t.a) ORDER BY [t.b ASC NULLS LAST] RANGE ..."], parse_one(sql).tree)
    ['a', '100 % 3', 'sum(a) OVER (ORDER BY b)']
    """
    of_files = reads_files(tree)

    def is_engines(name: str) -> bool:
        return bool(_CAST.fullmatch(name) or _ENGINES_OWN.search(name) or (of_files and _WITH_LABEL.search(name)))

    if not any(map(is_engines, names)):
        return list(names)
    written = texts(tree, len(names))
    found = [
        name if not is_engines(name) else as_written(name) if text is None else text
        for name, text in zip(names, written, strict=True)
    ]
    return [new if found.count(new) == 1 else name for new, name in zip(found, names, strict=True)]


_CAST = re.compile(r"\w+\.\w+")
"""What the engine calls a column whose type was changed (``t.a`` for ``a::INT``); a plain column is not called so."""
_WITH_LABEL = re.compile(r"[( ]\w+\.|\w\.\w+[) ]")
"""An expression of a column that is called after its file, as nobody has written."""


def as_written(name: str) -> str:
    """The name of a column that has none of its own as one would write it, without the engine's types and frames.

    >>> as_written("Int64(100) % Int64(3)"), as_written('Utf8("x") || d.s'), as_written("sum(d.a)")
    ('100 % 3', "'x' || d.s", 'sum(d.a)')
    """
    if "(" not in name:
        return name
    return _LITERAL.sub(_literal, name).removesuffix(_NO_ORDER)


def _literal(found: re.Match[str]) -> str:
    value = found[2]
    if value.startswith('"'):
        return "'" + value[1:-1].replace("'", "''") + "'"
    return value

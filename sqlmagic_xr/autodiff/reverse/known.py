"""In which rows a value is not NULL, where its derivative would not be NULL by itself."""

from __future__ import annotations

from collections.abc import Iterator

from ...sql.expression import Call, Column, Expression
from .blocks import Block
from .keys import column_null, strict


def known(work: Block, value: Expression, term: Expression) -> Iterator[Expression]:
    """The conditions under which a value is not NULL that its derivative does not say by being NULL.

    Args:
        work: the rows.
        value: over what their FROM reads.
        term: its derivative.
    """
    needed = strict(work, value)
    if needed is None:
        yield Call("is not null", (value,))
        return
    seen = strict(work, term)
    for path in sorted(needed - (seen or frozenset())):
        if column_null(work, path):
            yield Call("is not null", (Column(path),))

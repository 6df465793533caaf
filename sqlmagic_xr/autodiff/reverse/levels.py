"""What the outputs of a block share, calculated in rows below it.

::

    d_p_rows AS (SELECT d.x0, ..., 2.0 * (p.w0 * d.x0 + ... - d.y) AS once_1 FROM p CROSS JOIN d),
    d_p AS (SELECT sum(once_1 * x0) AS d_w0, sum(once_1 * x1) AS d_w1, ... FROM d_p_rows)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...sql.expression import Column, Expression
from ...sql.expression import columns as paths
from ...sql.identity import IdentityMap
from .blocks import Block, FromLeaf, Path, label, substituted
from .once import Once, called, shared_by


def levels(block: Block) -> list[Block]:
    """A block over rows in which what its outputs share is calculated, the lowest first; or it alone.

    Args:
        block: any, with the outputs that are asked for.
    """
    found: list[Block] = []
    while shared := shared_by(block.outputs.values()):
        names = {each: Column((f"once_{number}",)) for number, each in enumerate(shared, 1)}
        known: IdentityMap[Once, Once] = IdentityMap()
        outputs = {name: called(e, names, known) for name, e in block.outputs.items()}
        handed = _handed({p for e in outputs.values() for p in paths(e)}, {c.name for c in names.values()})
        values: dict[str, Expression] = {name: Column(path) for path, name in handed.items()}
        values |= {column.name: each.value for each, column in names.items()}
        rows = Block(f"{block.name}_rows", block.source, block.where, values)
        leaf = FromLeaf(label(rows.name), rows)
        new: dict[Path, Expression] = {path: leaf.column(name) for path, name in handed.items()}
        new |= {column.path: leaf.column(column.name) for column in names.values()}
        outputs = {name: substituted(e, new) for name, e in outputs.items()}
        found.append(rows)
        block = replace(block, source=(leaf,), where=(), outputs=outputs)
    return [*found, block]


def _handed(used: Iterable[Path], taken: set[str]) -> dict[Path, str]:
    """What the columns that are handed on are called, each another name."""
    found: dict[Path, str] = {}
    given = set(taken)
    for path in sorted(path for path in used if len(path) > 1):
        name = path[-1]
        while name in given:
            name += "_1"
        given.add(name)
        found[path] = name
    return found

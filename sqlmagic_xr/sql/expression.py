"""Scalar expressions, from the parser's trees and back: what the other rooms find in one place.

What expressions are stands in :mod:`.algebra`, ways through them in :mod:`.descent`; :mod:`.reading` makes them of
trees, :mod:`.writing` trees of them.
"""

from __future__ import annotations

from .algebra import Call, Case, Cast, Column, Expression, Literal, Parameter, Star, Verbatim, settle
from .descent import Made, bottom_up, columns, descend, replace_parts, tree_columns, unique
from .operators import OPERATORS
from .reading import Reader, from_tree, parse
from .writing import TreeWriter, to_sql, to_tree

__all__ = [
    "OPERATORS",
    "Call",
    "Case",
    "Cast",
    "Column",
    "Expression",
    "Literal",
    "Made",
    "Parameter",
    "Reader",
    "Star",
    "TreeWriter",
    "Verbatim",
    "bottom_up",
    "columns",
    "descend",
    "from_tree",
    "parse",
    "replace_parts",
    "settle",
    "to_sql",
    "to_tree",
    "tree_columns",
    "unique",
]

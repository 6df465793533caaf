"""``w JOIN d ON w.i < d.i JOIN h ON w.i = h.i AND w.b - d.x = h.u``: a chain of inner joins with a product in it.

To get rid of the product the engine joins in another order, and on the way forgets an equality of ON in which one side
needs two relations (too many rows), and that ``IS NOT DISTINCT FROM`` pairs NULL with NULL (too few). What WHERE says
it remembers: such a condition goes there, where that means the same, or else it is written in a form that it keeps.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...sql.build import both
from ...sql.clauses import also, operation
from ...sql.joins import (
    conditions_of,
    every_join,
    is_cross,
    is_inner,
    is_left,
    joined_inside,
    joins_of,
    with_conditions,
    with_joined_inside,
    with_joins_changed,
    with_relations,
)
from ...sql.pieces import binary, in_parentheses, path_of
from ...sql.selects import from_of, where_of, with_source
from ...sql.syntax import Tree, walk
from .reading import SELECT, Reading, plain

SIGNS = r"\bJOIN\b[\s\S]*\bON\b"


def remembered(reading: Reading) -> Tree:
    """The tree in which no inner join says what the engine forgets in a chain with a product.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> sql = "SELECT 1 FROM d JOIN g ON d.n IS NOT DISTINCT FROM g.n CROSS JOIN one"
    >>> to_sql(remembered(Reading(parse_one(sql).tree)))
    'SELECT 1 FROM d JOIN g ON true CROSS JOIN one WHERE d.n IS NOT DISTINCT FROM g.n'
    """
    return reading.rewritten(plain(_select, SELECT), named=False)


def _select(node: dict[str, Any]) -> Tree | None:
    items = from_of(node)
    if not _has_product(items) or not any(_forgotten(term) for join in every_join(items) for term in _terms(join)):
        return None
    moved: list[Tree] = []
    movable = all(_commutes(join) for item in items for join in joins_of(item))
    items = [_item(item, moved if movable else None) for item in items]
    return with_source(node, items, also(where_of(node), moved))


def _commutes(join: Tree) -> bool:
    """Whether a condition on what stands before a join may be asked afterwards."""
    return is_inner(join) or is_cross(join) or is_left(join)


def _item(item: Tree, moved: list[Tree] | None) -> Tree:
    """An element of FROM whose joins say nothing that is forgotten; what they said goes into ``moved``, if given."""
    return with_relations(with_joins_changed(item, partial(_joined, moved=moved)), _relation)


def _relation(relation: Tree) -> Tree:
    """A relation in FROM: joins in parentheses may stand at either side of an outer join, so nothing leaves them."""
    inside = joined_inside(relation)
    return relation if inside is None else with_joined_inside(relation, _item(inside, None))


def _joined(join: Tree, moved: list[Tree] | None) -> Tree:
    terms = _terms(join)
    if not any(_forgotten(term) for term in terms):
        return join
    kept = [term for term in terms if not _forgotten(term)]
    for term in filter(_forgotten, terms):
        if moved is None:
            kept.append(_spelled_out(term))
        else:
            moved.append(term)
    return with_conditions(join, kept)


def _spelled_out(term: Tree) -> Tree:
    """The same condition without an equality that the engine would make a key of."""
    if "IsNotDistinctFrom" in term:
        left, right = term["IsNotDistinctFrom"]
        neither = both({"IsNull": left}, {"IsNull": right})
        return in_parentheses(binary(binary(left, "Eq", right), "Or", in_parentheses(neither)))
    _, left, right = operation(term) or ("", term, term)
    return both(binary(left, "LtEq", right), binary(left, "GtEq", right))


def _has_product(items: list[Tree]) -> bool:
    """Whether two relations of a FROM may meet without a key."""
    return len(items) > 1 or any(not _has_key(join) for join in every_join(items))


def _has_key(join: Tree) -> bool:
    if is_cross(join):
        return False
    if not is_inner(join) or not conditions_of(join):  # an outer join is never a product's part, USING has keys
        return True
    return any(_is_key(term) for term in _terms(join))


def _is_key(term: Tree) -> bool:
    """Whether a condition compares a column of one relation with a column of another, both by their full names."""
    found = operation(term)
    if found is None or found[0] != "Eq":
        return False
    paths = [path_of(side) for side in found[1:]]
    return all(len(path) > 1 for path in paths) and paths[0][-2] != paths[1][-2]


def _forgotten(term: Tree) -> bool:
    if "IsNotDistinctFrom" in term:
        return True
    found = operation(term)
    return found is not None and found[0] == "Eq" and any(map(_needs_two, found[1:]))


def _needs_two(side: Tree) -> bool:
    """Whether a side of an equality may need two relations: a column without the name of its relation may be of any."""
    if path_of(side):
        return False
    owners = {_owner(node) for node in walk(side) if path_of(node)}
    return len(owners) > 1


def _owner(column: Tree) -> Any:
    return path_of(column)[:-1] or id(column)


def _terms(join: Tree) -> list[Tree]:
    """What an inner join asks for, one condition after the other."""
    return conditions_of(join) if is_inner(join) else []

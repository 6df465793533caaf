"""``w JOIN d ON w.i < d.i JOIN h ON w.i = h.i AND w.b - d.x = h.u``: a chain of inner joins with a product in it.

To get rid of the product the engine joins in another order, and on the way forgets an equality of ON in which one side
needs two relations (too many rows), and that ``IS NOT DISTINCT FROM`` pairs NULL with NULL (too few). What WHERE says
it remembers: such a condition goes there, where that means the same, or else it is written in a form that it keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...sql.build import both
from ...sql.clauses import also, conjuncts, operation
from ...sql.pieces import binary, in_parentheses, path_of
from ...sql.syntax import Tree, walk
from .outer_on import kind, on, relations_of, with_on
from .reading import SELECT, Reading, plain

SIGNS = r"\bJOIN\b[\s\S]*\bON\b"

_INNER = ("Inner", "Join")
_COMMUTE = (*_INNER, "CrossJoin", "Left", "LeftOuter")  # a condition on what stands before may be asked afterwards


def remembered(reading: Reading) -> Tree:
    """The tree in which no inner join says what the engine forgets in a chain with a product.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> sql = "SELECT 1 FROM d JOIN g ON d.n IS NOT DISTINCT FROM g.n CROSS JOIN one"
    >>> to_sql(remembered(Reading(parse_one(sql).tree)))
    'SELECT 1 FROM d JOIN g ON true CROSS JOIN one WHERE d.n IS NOT DISTINCT FROM g.n'
    """
    return reading.rewritten(plain(_select, SELECT), named=False)


def _select(node: dict[str, Any]) -> Tree | None:
    items = node["from"]
    if not _has_product(items) or not any(_forgotten(term) for join in _joins(items) for term in _terms(join)):
        return None
    moved: list[Tree] = []
    movable = all(kind(join) in _COMMUTE for item in items for join in item["joins"])
    items = [_item(item, moved if movable else None) for item in items]
    return {**node, "from": items, "selection": also(node.get("selection"), moved)}


def _item(item: Tree, moved: list[Tree] | None) -> Tree:
    """An element of FROM whose joins say nothing that is forgotten; what they said goes into ``moved``, if given."""
    return {
        **item,
        "relation": _relation(item["relation"]),
        "joins": [{**_joined(join, moved), "relation": _relation(join["relation"])} for join in item["joins"]],
    }


def _relation(relation: Tree) -> Tree:
    """A relation in FROM: joins in parentheses may stand at either side of an outer join, so nothing leaves them."""
    nested = relation.get("NestedJoin")
    if nested is None:
        return relation
    return {"NestedJoin": {**nested, "table_with_joins": _item(nested["table_with_joins"], None)}}


def _joined(join: Tree, moved: list[Tree] | None) -> Tree:
    terms = list(_terms(join))
    if not any(_forgotten(term) for term in terms):
        return join
    kept = [term for term in terms if not _forgotten(term)]
    for term in filter(_forgotten, terms):
        if moved is None:
            kept.append(_spelled_out(term))
        else:
            moved.append(term)
    return with_on(join, kept)


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
    return len(items) > 1 or any(not _has_key(join) for join in _joins(items))


def _has_key(join: Tree) -> bool:
    if kind(join) == "CrossJoin":
        return False
    if kind(join) not in _INNER or on(join) is None:  # an outer join is never a product's part, USING has keys
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


def _joins(items: list[Tree]) -> Iterator[Tree]:
    """The joins of a FROM, those in parentheses too."""
    for item in items:
        yield from item["joins"]
        for relation in relations_of(item):
            if "NestedJoin" in relation:
                yield from _joins([relation["NestedJoin"]["table_with_joins"]])


def _terms(join: Tree) -> Iterator[Tree]:
    """What an inner join asks for, one condition after the other."""
    condition = on(join) if kind(join) in _INNER else None
    return iter(()) if condition is None else conjuncts(condition)

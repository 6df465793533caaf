"""``x NOT IN (2, NULL)``: where two lists meet in a condition, the engine joins them as if NULL were a value."""

from __future__ import annotations

from typing import Any

from ...sql.pieces import arguments, atom, bare, binary, filled, function_name, number, path_of
from ...sql.syntax import Tree, transform, walk
from .reading import Reading, plain

SIGNS = r"\bIN\s*\("


def without_nulls(reading: Reading) -> Tree:
    """The tree with everything that may be NULL and is no column taken out of the lists behind IN.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> to_sql(without_nulls(Reading(parse_one("SELECT a FROM t WHERE a IN (1, 2) AND a NOT IN (2, NULL)").tree)))
    'SELECT a FROM t WHERE a IN (1, 2) AND (a NOT IN (2) AND a <> NULL)'
    """
    return reading.rewritten(plain(_rewritten, "InList"), named=False)


def _rewritten(node: dict[str, Any]) -> Tree | None:
    body = node["InList"]
    unsure = [member for member in body["list"] if _may_fold_to_null(member)]
    if not unsure:
        return None
    negated = body["negated"]
    sure = [member for member in body["list"] if not _may_fold_to_null(member)]
    parts = [{"InList": {**body, "list": sure}}] if sure else []
    text = "X <> Y" if negated else "X = Y"
    parts += [filled(text, X=body["expr"], Y=member) for member in unsure]
    whole = parts[0]
    for part in parts[1:]:
        whole = binary(whole, "And" if negated else "Or", part)
    return atom(whole)


def _may_fold_to_null(member: Tree) -> bool:
    """Whether a member is a constant that may be NULL; a column's NULL is seen when it is read."""
    return not _is_value(member) and not any(map(path_of, walk(_operands(member))))


def _operands(member: Tree) -> Any:
    """A member without the names of the functions in it."""
    return transform(
        member, lambda node: {**node, "name": []} if isinstance(node.get("name"), list) and "args" in node else None
    )


def _is_value(member: Tree) -> bool:
    member = bare(member)
    if number(member) is not None:
        return True
    if "Value" in member:
        return bool(member["Value"]["value"] != "Null")
    if "Cast" in member:
        return _is_value(member["Cast"]["expr"])
    if function_name(member) == "arrow_cast":
        return bool(arguments(member)) and _is_value(arguments(member)[0])
    return "TypedString" in member or "Interval" in member

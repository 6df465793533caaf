"""A recursive CTE taken apart: what gives its first rows, the terms that read it, what ends it; or why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...errors import SqlError, UnsupportedError
from ...sql.limit import limit_of
from ...sql.reads import cte_name
from ...sql.syntax import Tree, identifier, span_of
from .names import names_read

_QUANTIFIERS = {"All": True, "Distinct": False, "None": False}
"""sqlparser's word behind UNION -> whether equal rows are kept."""


@dataclass(frozen=True)
class RecursiveCte:
    """A CTE that reads itself, or one that reads it.

    Attributes:
        name: as the engine folds it.
        columns: the names that its columns are given; () for those of the anchor.
        anchor: the body that gives the first rows; None where only what others give starts it.
        terms: the bodies that are evaluated in every round.
        keeps_all: UNION ALL; else a row that was there before is dropped.
        ctes: the CTEs of its own WITH clause.
        skip, limit: which of its rows there are, ``limit`` being None for all.
        tree: the CTE.
    """

    name: str
    columns: tuple[str, ...]
    anchor: Tree | None
    terms: tuple[Tree, ...]
    keeps_all: bool
    ctes: tuple[Tree, ...]
    skip: int
    limit: int | None
    tree: Tree


def definitions(ctes: Mapping[str, Tree]) -> list[RecursiveCte]:
    """The CTEs of one group, which read each other or themselves, taken apart.

    Raises:
        UnsupportedError: it has another form than that of a recursion.
    """
    found = [_definition(cte, frozenset(ctes)) for cte in ctes.values()]
    if all(one.anchor is None for one in found):
        names = " and ".join(f"`{one.name}`" for one in found)
        what = f"{names} reads itself" if len(found) == 1 else f"{names} read each other"
        hint = "WITH RECURSIVE r AS (SELECT ... UNION ALL SELECT ... FROM r) begins with rows that do not read it."
        raise _refused(f"{what}, and nothing gives the first rows", found[0].tree["alias"], hint)
    for one in found:
        if one.limit is not None and len(found) > 1:
            raise _refused("a LIMIT of CTEs that read each other", one.tree["query"]["limit_clause"])
    return found


def _definition(cte: Tree, group: frozenset[str]) -> RecursiveCte:
    query = cte["query"]
    body, ctes = query["body"], list((query["with"] or {}).get("cte_tables", ()))
    while "Query" in body and not any(value for key, value in body["Query"].items() if key != "body"):
        body = body["Query"]["body"]
    for clause, value in query.items():
        if value and clause not in ("with", "body", "limit_clause"):
            word = clause.removesuffix("_clause").replace("_", " ").upper()
            hint = (
                "Sort the rows where the recursion is read, or those of one round: UNION ALL (SELECT ... ORDER BY ...)."
            )
            raise _refused(f"{word} of a recursive CTE as a whole", value, hint)
    try:
        skip, limit = limit_of(query["limit_clause"])
    except ValueError as error:
        raise _refused(f"a LIMIT of a recursive CTE that {error}", query["limit_clause"]) from None
    anchor, terms, keeps_all = _taken_apart(body, _reading(group, ctes), cte_name(cte))
    columns = tuple(identifier(column["name"]) for column in cte["alias"]["columns"])
    return RecursiveCte(cte_name(cte), columns, anchor, terms, keeps_all, tuple(ctes), skip, limit, cte)


def _reading(group: frozenset[str], ctes: list[Tree]) -> Callable[[Tree], bool]:
    """Whether a body reads one of the group, itself or by one of the CTEs within the definition."""
    ways = set(group)
    for cte in ctes:
        if names_read(cte["query"]) & ways:
            ways.add(cte_name(cte))
        else:
            ways.discard(cte_name(cte))
    return lambda body: bool(names_read(body) & ways)


def _taken_apart(body: Tree, reads: Callable[[Tree], bool], name: str) -> tuple[Tree | None, tuple[Tree, ...], bool]:
    terms: list[Tree] = []
    quantifiers: set[bool] = set()
    rest = body
    while reads(rest):
        union = rest.get("SetOperation")
        if union is None and not terms:
            return None, (body,), True
        if union is None or union["op"] != "Union" or str(union["set_quantifier"]) not in _QUANTIFIERS:
            what = f"`{name}` reads itself in what gives its first rows" if terms else f"`{name}` is no UNION"
            hint = "A recursive CTE is rows, UNION or UNION ALL, and behind it the queries that read it."
            raise _refused(what, rest, hint)
        if not reads(union["right"]):
            hint = "Write what gives the first rows before the queries that read them."
            raise _refused(f"rows of `{name}` that do not read it, behind a query that does", union["right"], hint)
        quantifiers.add(_QUANTIFIERS[str(union["set_quantifier"])])
        terms.insert(0, union["right"])
        rest = union["left"]
    if len(quantifiers) > 1:
        raise _refused(f"UNION and UNION ALL between the queries of `{name}` that read it", body)
    return rest, tuple(terms), quantifiers.pop()


def _refused(what: str, tree: Tree, hint: str | None = None) -> SqlError:
    error = UnsupportedError(f"{what} is not offered" if hint is None else what, hint=hint)
    error.span = span_of(tree)
    return error

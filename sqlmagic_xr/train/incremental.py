"""When a curve can be had generation by generation: the query that gives only the new ones.

A query falls apart by generation where every one of its rows comes from one generation of the trajectory, and says
which: it groups by the step column, or carries it along row by row, on every level between the trajectory and the
result. Then the rows of the generations from ``a`` to ``b`` are the same query over those generations alone.
Whatever is not surely so is declined, and evaluated whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..engine.query import cte_names
from ..sql.parameters import parameters_of
from ..sql.scope import Catalog
from ..sql.syntax import Tree, identifier, make_identifier, name_of, parse_one, replace, short_name, walk

AFTER, UPTO = "generation_after", "generation_upto"
"""The parameters of the restricted query: the generations behind the first, up to and with the second."""

_QUERY_PARTS = {"with", "body", "order_by"}
_SELECT_PARTS = {
    "select_token", "distinct", "projection", "from", "selection", "group_by", "having", "flavor",
    "window_before_qualify",
}  # fmt: skip
_ROW_BY_ROW = {"CrossJoin", "Join", "Inner"}  # joins that keep no row without its partner
_KEEP_LEFT = {"Left", "LeftOuter"}


class _WholeError(Exception):
    """The query does not fall apart; says why."""


@dataclass(frozen=True)
class _Factor:
    """The one relation of a FROM that holds the trajectory: how it is called, and its columns that are the step."""

    alias: str
    steps: frozenset[str]

    def is_step(self, expression: Tree) -> bool:
        """Whether an expression is the bare step column."""
        if "Identifier" in expression:
            return identifier(expression["Identifier"]) in self.steps
        if "CompoundIdentifier" in expression:
            *_, table, column = [identifier(part) for part in expression["CompoundIdentifier"]]
            return table == self.alias and column in self.steps
        return False


def restrict(
    query: Tree, table: str, column: str, catalog: Catalog, *, changing: frozenset[str], varying: frozenset[str]
) -> tuple[Tree, str] | None:
    """The query over the generations behind ``:generation_after`` up to ``:generation_upto``.

    Args:
        query: a statement's tree.
        table, column: the trajectory and its step column.
        catalog: what views stand for.
        changing: the other tables that a step changes.
        varying: the parameters whose value changes from step to step.

    Returns:
        The restricted query, and the name of the result's column that is the step; None where the query has to be
        evaluated whole.
    """
    try:
        expanded = _expand_views(query, table, catalog, changing)
        _check_constant(expanded, changing, varying)
        steps = _query(expanded["Query"], table, column, {})
    except (_WholeError, KeyError, TypeError):
        # A shape of tree that this module does not know is one that it cannot vouch for.
        return None
    return (_restricted(expanded, table, column), min(steps)) if steps else None


def _expand_views(query: Tree, table: str, catalog: Catalog, changing: frozenset[str], depth: int = 0) -> Tree:
    """The query with every view replaced by its definition."""
    if depth > 16:
        raise _WholeError("views within views without end")
    ctes = cte_names(query)

    def change(node: dict[str, Tree]) -> Tree | None:
        if set(node) != {"Table"} or name_of(node["Table"]["name"])[-1] in ctes:
            return None
        name = name_of(node["Table"]["name"])
        relation = catalog.relation(name)
        if relation is None or relation.kind != "view" or relation.definition is None:
            return None
        definition = relation.definition
        inner = _expand_views({"Query": definition.get("Query", definition)}, table, catalog, changing, depth + 1)
        if _mentions(inner, {table, *changing}) and cte_names(inner) & {table}:
            raise _WholeError("a CTE hides the trajectory")
        alias = node["Table"]["alias"] or _alias(name[-1])
        return {"Derived": {**_derived_template(), "subquery": inner["Query"], "alias": alias}}

    return replace(query, change)


def _check_constant(query: Tree, changing: frozenset[str], varying: frozenset[str]) -> None:
    if _mentions(query, changing):
        raise _WholeError("it reads another table that the step changes")
    if set(parameters_of(query)) & varying:
        raise _WholeError("it reads a parameter that varies")


def _query(query: Tree, table: str, column: str, ctes: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The columns of a query's result that are the step; the query reads the trajectory exactly once."""
    if any(value for key, value in query.items() if key not in _QUERY_PARTS):
        raise _WholeError("it takes a part of its rows")
    ctes = dict(ctes)
    for cte in (query["with"] or {"cte_tables": ()})["cte_tables"]:
        name = identifier(cte["alias"]["name"])
        if name == table or name in ctes:
            raise _WholeError("a CTE hides another relation")
        if _mentions(cte["query"], {table, *ctes}):
            if query["with"]["recursive"] or cte["alias"]["columns"]:
                raise _WholeError("a CTE that reads the trajectory is recursive or renames its columns")
            ctes[name] = _query(cte["query"], table, column, ctes)
    body = query["body"]
    if "Query" in body:
        return _query(body["Query"], table, column, ctes)
    if "Select" not in body:
        raise _WholeError("it is made of several queries")
    return _select(body["Select"], table, column, ctes)


def _select(select: Tree, table: str, column: str, ctes: Mapping[str, frozenset[str]]) -> frozenset[str]:
    if any(value for key, value in select.items() if key not in _SELECT_PARTS):
        raise _WholeError("a clause that is not known to fall apart")
    if any("over" in node and node["over"] for node in walk(select)):
        raise _WholeError("a window looks at several rows")
    if _count(select, {table, *ctes}) != 1:
        raise _WholeError("it reads the trajectory twice, or not at all")
    factor = _carrier(select["from"], table, column, ctes)
    steps = _projected(select["projection"], factor)
    grouping = select["group_by"]["Expressions"]
    if any(grouping[1]) or any(set(e) & {"GroupingSets", "Rollup", "Cube"} for e in grouping[0]):
        raise _WholeError("it groups in several ways")
    if grouping[0] and not any(_is_step(e, factor, select["projection"]) for e in grouping[0]):
        raise _WholeError("it groups across generations")
    if not steps or select["distinct"] not in (None, "Distinct"):
        # Without the step among its columns an ungrouped row may be an aggregate over all generations.
        raise _WholeError("it does not say which generation a row belongs to")
    return steps


def _carrier(sources: list[Tree], table: str, column: str, ctes: Mapping[str, frozenset[str]]) -> _Factor:
    """The relation of a FROM that holds the trajectory, if no join can lose or invent its step."""
    for source in sources:
        found = _factor(source["relation"], table, column, ctes)
        for join in source["joins"]:
            operator = join["join_operator"]
            kind = operator if isinstance(operator, str) else next(iter(operator))
            other = _factor(join["relation"], table, column, ctes)
            if kind not in _ROW_BY_ROW and not (kind in _KEEP_LEFT and found is not None and other is None):
                raise _WholeError("a join that keeps rows without a partner")
            found = found or other
        if found is not None:
            return found
    raise _WholeError("the trajectory stands outside FROM")


def _factor(relation: Tree, table: str, column: str, ctes: Mapping[str, frozenset[str]]) -> _Factor | None:
    if "Table" in relation:
        name = name_of(relation["Table"]["name"])
        steps = frozenset({column}) if short_name(name) == table else ctes.get(name[-1]) if len(name) == 1 else None
        return None if steps is None else _Factor(_alias_of(relation["Table"]["alias"], name[-1]), steps)
    if "Derived" in relation:
        derived = relation["Derived"]
        if not _mentions(derived["subquery"], {table, *ctes}):
            return None
        return _Factor(_alias_of(derived["alias"], ""), _query(derived["subquery"], table, column, ctes))
    if _mentions(relation, {table, *ctes}):
        raise _WholeError("a relation of another kind holds the trajectory")
    return None


def _projected(projection: list[Tree], factor: _Factor) -> frozenset[str]:
    """The columns of a SELECT list that are the step."""
    steps: set[str] = set()
    for item in projection:
        if "UnnamedExpr" in item and factor.is_step(item["UnnamedExpr"]):
            last = item["UnnamedExpr"]
            steps.add(
                identifier(last["CompoundIdentifier"][-1] if "CompoundIdentifier" in last else last["Identifier"])
            )
        elif "ExprWithAlias" in item and factor.is_step(item["ExprWithAlias"]["expr"]):
            steps.add(identifier(item["ExprWithAlias"]["alias"]))
        elif _is_everything(item, factor.alias):
            steps |= factor.steps
    return frozenset(steps)


def _is_plain(wildcard: Tree) -> bool:
    """Whether ``*`` stands alone, without EXCEPT or RENAME behind it."""
    return not any(value for key, value in wildcard.items() if key != "wildcard_token")


def _is_everything(item: Tree, alias: str) -> bool:
    """Whether an item is ``*``, or ``t.*`` of the relation ``alias``."""
    if "Wildcard" in item:
        return _is_plain(item["Wildcard"])
    if "QualifiedWildcard" not in item:
        return False
    subject, options = item["QualifiedWildcard"]
    return "ObjectName" in subject and name_of(subject["ObjectName"])[-1] == alias and _is_plain(options)


def _is_step(expression: Tree, factor: _Factor, projection: list[Tree]) -> bool:
    """Whether a member of GROUP BY is the step: by name, by number, or by the name the SELECT list gives it."""
    if factor.is_step(expression):
        return True
    for place, item in enumerate(projection, start=1):
        named = item.get("ExprWithAlias")
        inner = named["expr"] if named else item.get("UnnamedExpr")
        if inner is None or not factor.is_step(inner):
            continue
        if "Value" in expression and expression["Value"]["value"].get("Number", [""])[0] == str(place):
            return True
        if named and "Identifier" in expression and identifier(expression["Identifier"]) == identifier(named["alias"]):
            return True
    return False


def _restricted(query: Tree, table: str, column: str) -> Tree:
    part = parse_one(
        f"SELECT * FROM (SELECT * FROM t WHERE c > :{AFTER} AND c <= :{UPTO}) AS a"
    ).tree["Query"]["body"]["Select"]["from"][0]["relation"]["Derived"]  # fmt: skip

    def change(node: dict[str, Tree]) -> Tree | None:
        if set(node) != {"Table"} or short_name(name_of(node["Table"]["name"])) != table:
            return None
        own = node["Table"]

        def fill(inner: dict[str, Tree]) -> Tree | None:
            if set(inner) == {"Table"}:
                return {"Table": {**own, "alias": None}}
            if set(inner) == {"Identifier"} and inner["Identifier"]["value"] == "c":
                return {"Identifier": make_identifier(column)}
            return None

        subquery = replace(part["subquery"], fill)
        alias = own["alias"] or _alias(name_of(own["name"])[-1])
        return {"Derived": {**part, "subquery": subquery, "alias": alias}}

    return replace(query, change)


def _derived_template() -> dict[str, Tree]:
    tree = parse_one("SELECT * FROM (SELECT 1) AS a").tree
    return dict(tree["Query"]["body"]["Select"]["from"][0]["relation"]["Derived"])


def _alias(name: str) -> Tree:
    return {**_derived_template()["alias"], "name": make_identifier(name)}


def _alias_of(alias: Tree, name: str) -> str:
    if alias and alias["columns"]:
        raise _WholeError("an alias renames columns")
    return identifier(alias["name"]) if alias else name


def _mentions(tree: Tree, names: frozenset[str] | set[str]) -> bool:
    return _count(tree, names) > 0


def _count(tree: Tree, names: frozenset[str] | set[str]) -> int:
    """How often one of the relations is named in a tree."""
    return sum(set(node) == {"Table"} and short_name(name_of(node["Table"]["name"])) in names for node in walk(tree))

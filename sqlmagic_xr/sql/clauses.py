"""WITH, FROM and GROUP BY as trees: joins put together, CTEs added and taken away, a SELECT exchanged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Literal

from .build import derived, item, quoted, select, table, true
from .syntax import Tree, identifier, make_identifier, parse_one, replace, tables_named, walk
from .traversal import is_query

JoinWord = Literal["cross", "inner", "left", "right", "full"]
_GREEDY = frozenset({"IsDistinctFrom", "IsNotDistinctFrom"})
_WORDS = {"inner": "Join", "left": "Left", "right": "Right", "full": "FullOuter"}


def selected(columns: Sequence[tuple[Tree, str | None]], tables: Sequence[Tree], where: Tree | None,
             keys: Sequence[Tree] = ()) -> Tree:  # fmt: skip
    """The inside of a ``Query`` node: ``SELECT columns FROM tables WHERE where GROUP BY keys``.

    Args:
        columns: each with its name, or None for its own.
        tables: the elements of FROM.
        where: a condition.
        keys: those of GROUP BY; none for a SELECT without one.
    """
    query = select([item(tree, name) for tree, name in columns], tables, where)["Query"]
    body = query["body"]["Select"]
    return {**query, "body": {"Select": {**body, "group_by": {"Expressions": [list(keys), []]}}}}


def conjuncts(condition: Tree) -> Iterator[Tree]:
    """What a condition is the conjunction of, in its order and without parentheses around it."""
    todo = [condition]
    while todo:
        node = todo.pop()
        if "Nested" in node:
            todo.append(node["Nested"])
        elif "BinaryOp" in node and node["BinaryOp"]["op"] == "And":
            todo += [node["BinaryOp"]["right"], node["BinaryOp"]["left"]]
        else:
            yield node


def conjunction(conditions: Iterable[Tree]) -> Tree | None:
    """Conditions joined by AND, as a chain and not one inside the other, since there may be hundreds; None for none."""
    given = list(conditions)
    # ``a IS NOT DISTINCT FROM b AND c`` is read as a comparison with ``b AND c``.
    greedy = _GREEDY if len(given) > 1 else frozenset()
    found: Tree | None = None
    for condition in given:
        alone = not greedy.isdisjoint(condition) or condition.get("BinaryOp", {}).get("op") in ("Or", "Xor")
        wrapped = {"Nested": condition} if alone else condition
        found = wrapped if found is None else {"BinaryOp": {"left": found, "op": "And", "right": wrapped}}
    return found


def parted(query: Tree, aside: Callable[[Tree], bool]) -> tuple[Tree | None, Tree]:
    """What a query's WHERE says that shall stand aside, or None, and the query that says the rest.

    Args:
        query: the inside of a ``Query`` node.
        aside: whether a condition, one of those that AND joins, shall.
    """
    select = query["body"].get("Select")
    parts = list(conjuncts(select["selection"])) if select is not None and select["selection"] else []
    taken = [aside(part) for part in parts]
    if not any(taken):
        return None, query
    rest = conjunction(part for part, gone in zip(parts, taken, strict=True) if not gone)
    found = conjunction(part for part, gone in zip(parts, taken, strict=True) if gone)
    return found, {**query, "body": {"Select": {**select, "selection": rest}}}


def operation(node: Tree) -> tuple[str, Tree, Tree] | None:
    """The name of a binary operator and its operands; None of what is none."""
    body = node.get("BinaryOp")
    return (str(body["op"]), body["left"], body["right"]) if isinstance(body, dict) else None


def with_operands(node: Tree, left: Tree, right: Tree) -> Tree:
    """A binary operator over other operands."""
    return {"BinaryOp": {**node["BinaryOp"], "left": left, "right": right}}


def also(where: Tree | None, conditions: Iterable[Tree]) -> Tree | None:
    """A WHERE, or none, with further conditions."""
    return conjunction([*([] if where is None else [where]), *conditions])


SUBQUERIES = ("Subquery", "Exists", "InSubquery")
"""The parser's names of expressions that hold a query."""


def subquery(node: Tree) -> Tree:
    """The query in an expression that holds one."""
    ((kind, body),) = node.items()
    return body if kind == "Subquery" else body["subquery"]


def with_query(node: Tree, query: Tree) -> Tree:
    """The same expression over another query."""
    ((kind, body),) = node.items()
    return {kind: query if kind == "Subquery" else {**body, "subquery": query}}


def first_select(body: Tree) -> Tree | None:
    """The SELECT that the body of a query begins with; None where it begins with something else."""
    while "Select" not in body:
        if "SetOperation" in body:
            body = body["SetOperation"]["left"]
        elif "Query" in body:
            body = body["Query"]["body"]
        else:
            return None
    return body["Select"]


def with_body(query: Tree, body: Tree, *, alone: bool = False) -> Tree:
    """The inside of a query with another body; ``alone`` without its ORDER BY and LIMIT."""
    return {**query, "body": body} | ({"order_by": None, "limit_clause": None} if alone else {})


def with_subquery(whole: Tree, old: Tree, body: Tree) -> Tree:
    """A FROM in which the query of a subquery has another body."""
    subquery = with_body(old["Derived"]["subquery"], body)
    return replace(whole, lambda n: {"Derived": {**old["Derived"], "subquery": subquery}} if n is old else None)


def element(factor: Tree) -> Tree:
    """An element of FROM that is one relation."""
    return {"relation": factor, "joins": []}


def joined(whole: Tree, factor: Tree, kind: JoinWord, on: Sequence[Tree] = ()) -> Tree:
    """An element of FROM with one more relation joined.

    Args:
        whole: the element.
        factor: the relation.
        kind: which rows without a partner are kept; an inner join without a condition is a cross join.
        on: the conditions, all of which must hold.
    """
    operator: Tree = {"CrossJoin": "None"}
    if kind != "cross" and (on or kind != "inner"):
        operator = {_WORDS[kind]: {"On": conjunction(on) or true()}}
    return with_joins(whole, [{**_join(), "relation": factor, "join_operator": operator}])


def with_joins(whole: Tree, joins: Sequence[Tree]) -> Tree:
    """An element of FROM with further joins behind its own."""
    return {**whole, "joins": [*whole["joins"], *joins]}


def in_parentheses(whole: Tree) -> Tree:
    """Joins as one relation."""
    return {"NestedJoin": {"table_with_joins": whole, "alias": None}}


def called(factor: Tree, alias: str) -> Tree:
    """A relation under an alias; a table of that name needs none."""
    ((kind, body),) = factor.items()
    own = {**table("t", "a")["relation"]["Table"]["alias"], "name": make_identifier(alias)}
    is_own = kind == "Table" and [identifier(p["Identifier"]) for p in body["name"]] == [alias]
    return {kind: {**body, "alias": None if is_own else own}}


def called_subquery(whole: Tree, alias: str) -> Tree | None:
    """An element of FROM that is a subquery without a name, in any parentheses, under an alias; None for any other."""
    factor = whole["relation"]
    if whole["joins"]:
        return None
    if "NestedJoin" in factor and factor["NestedJoin"]["alias"] is None:
        return called_subquery(factor["NestedJoin"]["table_with_joins"], alias)
    if "Derived" not in factor or factor["Derived"]["alias"] is not None:
        return None
    return {**whole, "relation": called(factor, alias)}


def is_star(item: Tree) -> bool:
    """Whether an element of a SELECT is all columns of FROM."""
    return "Wildcard" in item


def has_star(tree: Tree) -> bool:
    """Whether a star stands anywhere in a piece of a query: among its columns, or as what is counted."""
    if isinstance(tree, dict):
        return any(key in ("Wildcard", "QualifiedWildcard") or has_star(value) for key, value in tree.items())
    return any(map(has_star, tree)) if isinstance(tree, list) else tree == "Wildcard"


def aliases(select: Tree) -> list[str]:
    """The names that a SELECT gives its columns."""
    return [identifier(i["ExprWithAlias"]["alias"]) for i in select["projection"] if "ExprWithAlias" in i]


def unnamed(item: Tree) -> Tree | None:
    """The expression of an element of a SELECT that is no column and has no name; None for any other element."""
    value = item.get("UnnamedExpr")
    return None if value is None or {"Identifier", "CompoundIdentifier"}.intersection(value) else value


def orders(tree: Tree) -> Iterator[Tree]:
    """What each ORDER BY says, of queries, windows and aggregates."""
    return (node["order_by"] for node in walk(tree) if node.get("order_by"))


def sort_keys(node: Tree) -> list[Tree]:
    """The expressions that a query or a call sorts by; [] where there are none, and of ORDER BY ALL."""
    return [key["expr"] for key in _order(node)]


def is_sorted(query: Tree) -> bool:
    """Whether a query has an ORDER BY."""
    return bool(query["order_by"])


def with_keys_at(node: Tree, places: Sequence[int]) -> Tree:
    """The query or the call with some of its sort keys."""
    order = _order(node)
    return _with_order(node, [order[place] for place in places])


def with_keys_beside(query: Tree, *, first: Sequence[Tree] = (), last: Sequence[Tree] = ()) -> Tree:
    """A query that is sorted, with further sort keys before its own, and behind them."""
    order = query["order_by"]
    own = order["kind"]["Expressions"]
    plain = {**own[0], "options": {"asc": None, "nulls_first": None}, "with_fill": None}
    keys = [*({**plain, "expr": key} for key in first), *own, *({**plain, "expr": key} for key in last)]
    return _with_order(query, keys)


def _with_order(node: Tree, keys: Sequence[Tree]) -> Tree:
    """The query or the call, which is sorted, with other keys of ORDER BY."""
    if "Function" not in node:
        return {**node, "order_by": {**node["order_by"], "kind": {"Expressions": list(keys)}}}
    body, listed = node["Function"], node["Function"]["args"]["List"]
    new = [{"OrderBy": list(keys)}] if keys else []
    clauses = [part for clause in listed["clauses"] for part in (new if "OrderBy" in clause else [clause])]
    return {"Function": {**body, "args": {"List": {**listed, "clauses": clauses}}}}


def _order(node: Tree) -> Any:
    if "Function" in node:
        args = node["Function"]["args"]
        listed = (args.get("List") if isinstance(args, dict) else None) or {}
        return next((c["OrderBy"] for c in listed.get("clauses", ()) if "OrderBy" in c), [])
    return ((node["order_by"] or {}).get("kind") or {}).get("Expressions", [])


def distinct_on(query: Tree) -> tuple[Tree, list[Tree]] | None:
    """The SELECT of a query that has DISTINCT ON, and its expressions; None of any other query."""
    select = query["body"].get("Select")
    found = None if select is None else select["distinct"]
    return (select, found["On"]) if isinstance(found, dict) else None


def with_distinct_on(query: Tree, keys: Sequence[Tree]) -> Tree:
    """The query with DISTINCT ON other expressions."""
    return {**query, "body": {"Select": {**query["body"]["Select"], "distinct": {"On": list(keys)}}}}


def with_sort_keys(node: Tree, keys: Sequence[Tree]) -> Tree:
    """The query or the call sorted by as many other expressions, each in the direction that it has."""
    return _with_order(node, [{**old, "expr": key} for old, key in zip(_order(node), keys, strict=True)])


def distinct_items(query: Tree) -> list[tuple[Tree, str | None]]:
    """What a SELECT DISTINCT selects, with the names that are given; [] of any other query, and of stars."""
    select = query["body"].get("Select")
    if select is None or select["distinct"] != "Distinct":
        return []
    if any(is_star(item) or "QualifiedWildcard" in item for item in select["projection"]):
        return []
    bodies = [next(iter(item.values())) for item in select["projection"]]
    return [(b["expr"], identifier(b["alias"])) if "alias" in b else (b, None) for b in bodies]


def named_table(parts: Sequence[str]) -> Tree:
    """A table in FROM by its name, perhaps with its schema."""
    factor = table(parts[-1])["relation"]["Table"]
    return {"Table": {**factor, "name": [{"Identifier": make_identifier(part)} for part in parts]}}


def numbered(factor: Tree, columns: Sequence[str], row: str, alias: str) -> Tree:
    """A relation in FROM with one more column: the number of each row, by the order of its columns.

    Rows that are equal may change their numbers, and nobody can tell.
    """
    keys = ", ".join(map(quoted, columns))
    text = f"SELECT *, row_number() OVER (ORDER BY {keys}) AS {quoted(row)} FROM x"
    query = parse_one(text).tree["Query"]
    body = {**query["body"]["Select"], "from": [element(factor)]}
    return derived({**query, "body": {"Select": body}}, alias)["relation"]


def cte(name: str, query: Tree) -> Tree:
    """``name AS (query)``."""
    pattern = _with()["cte_tables"][0]
    return {**pattern, "alias": {**pattern["alias"], "name": make_identifier(name)}, "query": query}


def with_ctes(query: Tree, ctes: Sequence[Tree]) -> Tree:
    """A query that knows further CTEs, behind its own."""
    if not ctes:
        return query
    known = query["with"] or {**_with(), "cte_tables": []}
    return {**query, "with": {**known, "cte_tables": [*known["cte_tables"], *ctes]}}


def evaluated_once(query: Tree) -> Tree:
    """A query whose CTEs are to be evaluated once (see :mod:`.ctes`)."""
    return query if query["with"] is None else {**query, "with": {**query["with"], "once": True}}


def without_ctes(query: Tree, spare: Collection[str]) -> Tree:
    """A query without those of some CTEs that nobody names."""
    clause = query["with"]
    if clause is None:
        return query
    kept = list(clause["cte_tables"])
    named = {id(one): _named(one["query"]) for one in kept}
    own = _named({**query, "with": None})
    for one in reversed(clause["cte_tables"]):
        name = identifier(one["alias"]["name"])
        others = [own, *(named[id(other)] for other in kept if other is not one)]
        if name in spare and not any(name in names for names in others):
            kept = [other for other in kept if other is not one]
    return {**query, "with": {**clause, "cte_tables": kept} if kept else None}


def outermost(tree: Tree) -> Iterator[Tree]:
    """The outermost queries of a statement: the insides of their ``Query`` nodes."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if is_query(node):
                yield node
                continue
            todo += [value for key, value in node.items() if key != "span"]
        elif isinstance(node, (list, tuple)):
            todo += node


def names_given(tree: Tree) -> set[str]:
    """Every name that a statement gives to a relation: of its CTEs, its aliases, and the tables that it reads."""
    found = {identifier(node["alias"]["name"]) for node in walk(tree)
             if isinstance(node.get("alias"), dict) and "name" in node["alias"]}  # fmt: skip
    return found | {identifier(parts[-1]) for parts in tables_named(tree)}


def with_select(tree: Tree, old: Tree, new: Tree, ctes: Sequence[Tree], spare: Collection[str] = ()) -> Tree:
    """A statement with another SELECT in the place of one.

    Args:
        tree: the statement.
        old: the body of a ``Select`` node in it.
        new: the other.
        ctes: further CTEs that it reads.
        spare: CTEs of the query around it that it may not need any more.
    """

    def whole(node: dict[str, Any]) -> Tree | None:
        body = node.get("body")
        if isinstance(body, dict) and body.get("Select") is old:
            return without_ctes(evaluated_once(with_ctes({**node, "body": {"Select": new}}, ctes)), spare)
        return None

    made = replace(tree, whole)
    if made is tree:  # a branch of a UNION
        inside = {"Query": evaluated_once(with_ctes({**select([])["Query"], "body": {"Select": new}}, ctes))}
        made = replace(tree, lambda node: inside if node.get("Select") is old else None)
    return made


def _named(tree: Tree) -> frozenset[str]:
    return frozenset(identifier(parts[0]) for parts in tables_named(tree) if len(parts) == 1)


@cache
def _join() -> Any:
    return parse_one("SELECT 0 FROM a CROSS JOIN b").tree["Query"]["body"]["Select"]["from"][0]["joins"][0]


@cache
def _with() -> Any:
    return parse_one("WITH a AS (SELECT 0) SELECT 0").tree["Query"]["with"]

"""Bound queries back as trees: what was not changed is the very tree that it came from, what was is written anew.

A query keeps its tree as long as it is the node that binding made. A changed one takes that tree as its pattern:
clauses, columns and relations that are still the old ones are put in as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..sql.expression import Call, Expression, Literal, Parameter, TreeWriter
from ..sql.syntax import Tree, make_identifier, name_of, parse_one, replace
from .columns import Field, Measure, Nested, Output, Piece, SortKey, fields, subqueries
from .nodes import (
    Aggregate,
    Join,
    Leaf,
    Limit,
    Opaque,
    Recursive,
    Relation,
    Scan,
    Select,
    Shared,
    Sort,
    Union,
    Values,
    Window,
    relations,
)


def as_written(relation: Relation, tree: Tree) -> Relation:
    """The relation, which remembers the tree of the query that it is."""
    relation.__dict__["_query"] = tree
    return relation


def written(relation: Relation) -> Tree:
    """The tree of a query: the inside of a ``Query`` node.

    Args:
        relation: bound, or changed since.

    Raises:
        NotImplementedError: a changed query has a part that cannot be written anew.

    >>> from .bind import bind
    >>> from ..sql.syntax import to_sql
    >>> class Nothing:
    ...     def table(self, name): return None
    ...     def names(self): return []
    >>> tree = parse_one("SELECT 1 AS one").tree["Query"]
    >>> written(bind(tree, Nothing())) is tree
    True
    """
    known = relation.__dict__.get("_query")
    return known if known is not None else _QueryWriter().whole(relation)


def expression_tree(expression: Expression) -> Tree:
    """The tree of a bound expression, or of one that is half bound and half named."""
    return _QueryWriter().tree(expression)


def key_tree(expression: Expression) -> Tree:
    """The tree of a key of GROUP BY: a number alone would name a column."""
    return _QueryWriter().key(expression)


def from_tree_of(source: Relation) -> list[Tree]:
    """The FROM that reads a relation, its joins written out: a comma, behind which no ON sees, is a CROSS JOIN."""
    return _QueryWriter().joined(source)


def without_stars(select: Select) -> Tree:
    """The tree of a SELECT in which each column that a star stands for is named."""
    if all(output.tree is not None for output in select.outputs):
        return select.tree
    return {**select.tree, "projection": [_QueryWriter().output(output) for output in select.outputs]}


class _QueryWriter(TreeWriter):
    """Writes bound expressions and the relations in them; recursive CTEs are put in front of the whole."""

    def __init__(self) -> None:
        super().__init__()
        self._recursive: dict[str, Recursive] = {}
        self._ctes: list[Tree] = []

    def whole(self, relation: Relation) -> Tree:
        """A query with its WITH."""
        found = self.query(relation)
        if not self._ctes:
            return found
        if any(isinstance(n, Scan) and n.table.name[-1] in self._recursive for n in relations(relation)):
            raise NotImplementedError("a recursive CTE has the name of a table")
        pattern = _pattern("WITH RECURSIVE a AS (SELECT 0) SELECT 0")["Query"]["with"]
        return {**found, "with": {**pattern, "cte_tables": self._ctes}}

    def query(self, relation: Relation) -> Tree:
        known = relation.__dict__.get("_query")
        if known is not None and not _names_cte(relation):
            return known
        clauses: dict[str, Tree] = {}
        if isinstance(relation, Limit):
            clauses["limit_clause"] = self._limit(relation)
            relation = relation.source
        if isinstance(relation, Sort):
            keys = [self._sort_key(key) for key in relation.keys]
            clauses["order_by"] = {"kind": {"Expressions": keys}, "interpolate": None}
            relation = relation.source
        return {**_pattern()["Query"], **clauses, "body": self._body(relation)}

    def _body(self, relation: Relation) -> Tree:
        match relation:
            case Select():
                return {"Select": self._select(relation)}
            case Union():
                return self._union(relation)
            case Values() if relation.rows != ((),):
                return self._values(relation)
        return {"Query": self.query(relation)}

    def _values(self, relation: Values) -> Tree:
        pattern = relation.tree if relation.tree is not None else _pattern("VALUES (0)")["Query"]["body"]
        rows: list[Tree] = [[self.tree(cell) for cell in row] for row in relation.rows]
        if isinstance(pattern["Values"]["rows"][0], dict):
            rows = [{"content": row} for row in rows]
        return {"Values": {**pattern["Values"], "rows": rows}}

    def _union(self, relation: Union) -> Tree:
        first, *others = relation.parts
        whole = self._side(first)
        for part in others:
            whole = {"SetOperation": {
                "op": relation.operator.capitalize(), "set_quantifier": "All" if relation.all else "None",
                "left": whole, "right": self._side(part),
            }}  # fmt: skip
        return whole

    def _side(self, relation: Relation) -> Tree:
        return {"Query": self.query(relation)} if isinstance(relation, (Sort, Limit, Union)) else self._body(relation)

    def _select(self, relation: Select) -> Tree:
        pattern = relation.tree if relation.tree is not None else _pattern()["Query"]["body"]["Select"]
        source, condition = relation.source, relation.condition
        having = qualify = None
        keys: list[Tree] = []
        if isinstance(source, Window):
            window = source
            qualify, source, condition = condition, window.source, window.condition
        if isinstance(source, Aggregate):
            having, condition = condition, source.condition
            keys = [self.key(key.expression) for key in source.keys]
            if source.sets:
                keys = [{"GroupingSets": [[keys[place] for place in places] for places in source.grouping]}]
            source = source.source
        return {
            **pattern,
            "distinct": self._distinct(relation),
            "projection": [self.output(output) for output in relation.outputs],
            "from": self._from(source),
            "selection": self._maybe(condition), "having": self._maybe(having), "qualify": self._maybe(qualify),
            "group_by": {"Expressions": (keys, [])},
        }  # fmt: skip

    def _distinct(self, relation: Select) -> Tree:
        if isinstance(relation.distinct, tuple):
            return {"On": [self.tree(key) for key in relation.distinct]}
        return "Distinct" if relation.distinct else None

    def output(self, output: Output) -> Tree:
        """A column of a SELECT."""
        if output.tree is not None and _as_it_was(output.expression) is not None:
            return output.tree
        tree = self.tree(output.expression)
        if output.name is None:
            return {"UnnamedExpr": tree}
        plain = isinstance(output.expression, Field) and output.expression.name == output.name
        return {"UnnamedExpr": tree} if plain else {
            "ExprWithAlias": {"expr": tree, "alias": make_identifier(output.name)}}  # fmt: skip

    def key(self, expression: Expression) -> Tree:
        """A key of GROUP BY; a number alone, in parentheses too, would name a column."""
        alone = isinstance(expression, (Literal, Parameter))
        return self.tree(Call("coalesce", (expression, expression)) if alone else expression)

    def _function(self, node: Call) -> Tree:
        """A call, its name as the user spelled it."""
        made = super()._function(node)
        known = (node.origin or {}).get("Function")
        if known is None or ".".join(name_of(known["name"])).lower() != node.name:
            return made
        return {"Function": {**made["Function"], "name": known["name"]}}

    def _sort_key(self, key: SortKey) -> Tree:
        if key.tree is not None and _as_it_was(key.expression) is key.tree["expr"]:
            return key.tree
        options = {"asc": False if key.descending else None, "nulls_first": key.nulls_first}
        return {"expr": self.tree(key.expression), "options": options, "with_fill": None}

    def _limit(self, relation: Limit) -> Tree:
        skip = None if relation.skip is None else {"value": self.tree(relation.skip), "rows": "None"}
        return {"LimitOffset": {"limit": self._maybe(relation.count), "offset": skip, "limit_by": []}}

    def _maybe(self, expression: Expression | None) -> Tree | None:
        return None if expression is None else self.tree(expression)

    # FROM

    def joined(self, source: Relation) -> list[Tree]:
        """A FROM of one element."""
        whole, *others = self._from(source)
        for other in others:
            crossed = {**_pattern_join(), "relation": other["relation"], "join_operator": {"CrossJoin": "None"}}
            whole = {**whole, "joins": [*whole["joins"], crossed, *other["joins"]]}
        return [whole]

    def _from(self, source: Relation) -> list[Tree]:
        if isinstance(source, Values) and source.rows == ((),):
            return []
        if isinstance(source, Join) and source.kind == "cross" and source.tree is None:
            return [*self._from(source.left), *self._from(source.right)]
        if isinstance(source, Join):
            joined = self._from(source.left)
            last = joined[-1]
            return [*joined[:-1], {**last, "joins": [*last["joins"], self._join(source)]}]
        return [{"relation": self.factor(source), "joins": []}]

    def _join(self, join: Join) -> Tree:
        right = self._from(join.right)
        if len(right) != 1 or right[0]["joins"]:
            factor: Tree = {"NestedJoin": {"table_with_joins": right[0], "alias": None}}
            if len(right) != 1:
                raise NotImplementedError("several relations on the right side of a join")
        else:
            factor = right[0]["relation"]
        return {**_pattern_join(), "relation": factor, "join_operator": self._join_operator(join)}

    def _join_operator(self, join: Join) -> Tree:
        if join.kind == "cross":
            return {"CrossJoin": "None"}
        constraint: Tree = {"On": self._maybe(join.on)}
        if join.using or join.on is None:
            constraint = {"Using": [[{"Identifier": make_identifier(name)}] for name in join.using]}
        return {{"inner": "Join", "left": "Left", "right": "Right", "full": "FullOuter"}[join.kind]: constraint}

    def factor(self, leaf: Relation) -> Tree:
        """A relation in FROM."""
        assert isinstance(leaf, (Leaf, Recursive))
        if isinstance(leaf, Shared) and (leaf.kind == "working" or isinstance(leaf.query, Recursive)):
            return self._of_recursion(leaf)
        if isinstance(leaf, (Scan, Opaque)) or (isinstance(leaf, Shared) and _is_as_it_was(leaf)):
            return leaf.tree
        if isinstance(leaf, Shared):
            path, own = leaf.path[-1] if leaf.path else None, _alias(leaf)
            alias = None if own is None else {**own, "columns": _columns(leaf.renamed)}
            return derived(self.query(leaf.query), path, leaf.renamed, alias)
        raise NotImplementedError(f"{type(leaf).__name__} in FROM cannot be written anew")

    def _of_recursion(self, leaf: Shared) -> Tree:
        """A recursive CTE, or its working table, by its name."""
        query = leaf.query
        if isinstance(query, Recursive) and query.name not in self._recursive:
            self._recursive[query.name] = query
            body = self._union(Union((query.anchor, query.term), "union", query.all))
            pattern = _pattern("WITH RECURSIVE a AS (SELECT 0) SELECT 0")["Query"]["with"]["cte_tables"][0]
            alias = {**pattern["alias"], "name": make_identifier(query.name), "columns": _columns(query.renamed)}
            self._ctes.append({**pattern, "alias": alias, "query": {**_pattern()["Query"], "body": body}})
        if isinstance(query, Recursive) and self._recursive[query.name] is not query:
            raise NotImplementedError("two recursive CTEs have one name")
        return leaf.tree

    # Expressions

    def _make(self, node: Expression) -> Tree:
        known = _as_it_was(node)
        if known is not None:
            return known
        match node:
            case Field(relation=Aggregate() | Window() as relation):
                return self._computed(relation, node.name)
            case Field():
                return _column(node)
            case Nested():
                return self._nested(node)
            case Piece():
                new = {id(place): self.tree(hole) for place, hole in zip(node.places, node.holes, strict=True)}
                return replace(node.piece, lambda tree: new.get(id(tree)))
        return super()._make(node)

    def _computed(self, relation: Aggregate | Window, name: str) -> Tree:
        if isinstance(relation, Aggregate):
            for key in relation.keys:
                if key.name == name:
                    return self.tree(key.expression)
        return self._measure(next(measure for measure in relation.measures if measure.name == name))

    def _measure(self, measure: Measure) -> Tree:
        call = self.tree(measure.call)
        function = dict(call["Function"])
        keys = [self._sort_key(key) for key in measure.order]
        over = measure.over
        if over:
            partition = [self.tree(e) for e in measure.partition]
            function["over"] = {"WindowSpec": {"window_name": None, "partition_by": partition, "order_by": keys,
                                               "window_frame": measure.frame}}  # fmt: skip
        elif keys:
            function["args"] = {"List": {**function["args"]["List"], "clauses": [{"OrderBy": keys}]}}
        return {"Function": function}

    def _nested(self, node: Nested) -> Tree:
        query = self.query(node.query)
        if node.kind == "scalar":
            return {"Subquery": query}
        if node.kind == "exists":
            return {"Exists": {"subquery": query, "negated": node.negated}}
        assert node.operand is not None
        return {"InSubquery": {"expr": self.inside(node.operand, 21), "subquery": query, "negated": node.negated}}


def _is_as_it_was(leaf: Shared) -> bool:
    """Whether a name still means the query that it meant where it was bound; that of a CTE goes with its WITH."""
    return leaf.kind in ("view", "subquery") and leaf.__dict__.get("_bound") is leaf.query and not _names_cte(leaf)


def _names_cte(relation: Relation) -> bool:
    """Whether a query has the name of a CTE in it, which a changed query has no WITH for."""
    return any(isinstance(node, Shared) and node.kind in ("cte", "working") for node in relations(relation))


def _as_it_was(expression: Expression) -> Tree | None:
    """The tree of an expression that is still the user's."""
    known = expression.__dict__.get("_written")
    return None if known is None or any(map(_names_cte, _queries(expression))) else known


def _queries(expression: Expression) -> Iterator[Relation]:
    """The queries in an expression, those within the groups and the windows that it is made of among them."""
    yield from subqueries(expression)
    for made in fields(expression):
        if isinstance(made.relation, (Aggregate, Window)):
            parts = (e for m in made.relation.measures if m.name == made.name for e in m.expressions)
            yield from (query for e in parts for query in _queries(e))


def _column(field: Field) -> Tree:
    if field.origin is not None:
        return field.origin
    qualifier = field.relation.path[-1:] if isinstance(field.relation, Leaf) else ()
    parts = [make_identifier(part) for part in (*qualifier, field.name)]
    return {"Identifier": parts[0]} if len(parts) == 1 else {"CompoundIdentifier": parts}


def derived(query: Tree, name: str | None, renamed: Sequence[str] = (), alias: Tree = None) -> Tree:
    """A subquery in FROM: ``(query) AS name (renamed)``.

    Args:
        query: the inside of a ``Query`` node.
        name: its alias, or None.
        renamed: the names of its columns; () for their own.
        alias: the tree of the alias as the user wrote it, which is kept.
    """
    pattern: Any = parse_one("SELECT 0 FROM (SELECT 0) AS a").tree["Query"]["body"]["Select"]["from"][0]["relation"]
    body = {**pattern["Derived"], "subquery": query, "alias": alias}
    if name is not None and alias is None:
        body["alias"] = {**pattern["Derived"]["alias"], "name": make_identifier(name), "columns": _columns(renamed)}
    return {"Derived": body}


def renamed_table(name: str, leaf: Relation) -> Tree:
    """A table in FROM that stands in a relation's place, under the alias that the user gave it, or else its name."""
    assert isinstance(leaf, Leaf)
    table = _pattern("SELECT 0 FROM a AS b")["Query"]["body"]["Select"]["from"][0]["relation"]["Table"]
    alias = _alias(leaf) or {**table["alias"], "name": make_identifier(leaf.path[-1])}
    return {"Table": {**table, "name": [{"Identifier": make_identifier(name)}], "alias": {**alias, "columns": []}}}


def _alias(leaf: Leaf) -> Tree | None:
    """The alias that the user gave to a relation, as he wrote it."""
    return None if leaf.tree is None else next(iter(leaf.tree.values()))["alias"]


def _columns(names: Sequence[str]) -> list[Tree]:
    """The names of columns behind an alias."""
    return [{"name": make_identifier(name), "data_type": None} for name in names]


def _pattern(text: str = "SELECT 0") -> Any:
    return parse_one(text).tree


def _pattern_join() -> Any:
    return parse_one("SELECT 0 FROM a CROSS JOIN b").tree["Query"]["body"]["Select"]["from"][0]["joins"][0]

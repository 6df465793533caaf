"""The parser's tree of a query -> the bound query: a tree of relations in which every column's relation is known.

A binding is sure, or the query is :class:`.nodes.Opaque` and says why; a name that cannot mean anything is the error
that SQL gives, at the user's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import UnknownNameError
from ..sql.expression import Expression
from ..sql.syntax import Tree, identifier, name_of, span_of, tables_named
from .catalog import Catalog
from .columns import Field, UnboundError
from .names import Name, full_name, table_name
from .nodes import Join, JoinKind, Leaf, Limit, Opaque, Recursive, Relation, Scan, Shared, Sort, Union, Values, leaves
from .ordering import order_keys, place_named, sort_key
from .scope import BindingScope, Merged, Unsure, alias_of
from .select import SelectBinder
from .write import as_written


@dataclass(frozen=True)
class Cte:
    """A query that a name means: its rows, the names of ``WITH q(a, b)``, and whether it is the working table."""

    query: Relation
    renamed: tuple[str, ...] = ()
    working: bool = False


Ctes = Mapping[str, Cte]


@dataclass(frozen=True)
class BoundSelect:
    """A SELECT that was bound.

    Attributes:
        select: its tree.
        relation: what it is.
        ctes: the CTEs that may be named in it.
        inner: whether it stands inside another query's expression, and may use that query's columns.
    """

    select: Tree
    relation: Relation
    ctes: Ctes
    inner: bool


Merging = dict[str, Merged]

_QUERY_CLAUSES = ("fetch", "for_clause", "locks", "pipe_operators", "settings", "format_clause")
_JOINS: Mapping[str, JoinKind] = {
    "CrossJoin": "cross", "Join": "inner", "Inner": "inner", "Left": "left", "LeftOuter": "left", "Right": "right",
    "RightOuter": "right", "FullOuter": "full",
}  # fmt: skip
_TABLE_EXTRAS = ("version", "sample", "json_path", "with_ordinality", "partitions", "with_hints", "index_hints")


def bind(query: Tree, catalog: Catalog) -> Relation:
    """The bound query of a tree.

    Args:
        query: the inside of a ``Query`` node.
        catalog: what tables there are.

    Returns:
        The relation that it is; :class:`.nodes.Opaque` where it is not bound with certainty.

    Raises:
        UnknownNameError: a column that nothing has, or several have; two columns of one name; a view that reads itself.
    """
    return Binder(catalog).query(query, {}, None)


class Binder:
    """Binds queries over one state of a catalog; views are bound once.

    Args:
        catalog: what tables there are.
        rows: whether the name of a relation of one column may stand for that column, as in ``grad(loss, val)``.
    """

    def __init__(self, catalog: Catalog, *, rows: bool = False) -> None:
        self._catalog, self._rows = catalog, rows
        self._views: dict[Name, Relation] = {}
        self._reading: list[Name] = []
        self.selects: list[BoundSelect] = []
        """The SELECTs that were bound, the inner ones first; those of views are not among them."""

    def query(self, tree: Tree, ctes: Ctes, outer: BindingScope | None) -> Relation:
        """A query; what its names mean is given by the CTEs around it, and by the scope around a subquery."""
        try:
            return as_written(self._query(tree, ctes, outer), tree)
        except (Unsure, UnboundError, AttributeError, IndexError, TypeError) as reason:
            # A shape of tree that is not known here is one that nobody vouches for.
            return as_written(Opaque(why=str(reason), reads=self.reads(tree), tree=tree), tree)

    def reads(self, tree: Tree) -> frozenset[Name]:
        """The tables that a tree names, and those of the views among them."""
        found: set[Name] = set()
        todo = [tree]
        while todo:
            for parts in tables_named(todo.pop()):
                name = table_name([{"Identifier": part} for part in parts])
                if name not in found:
                    found.add(name)
                    table = self._catalog.table(name)
                    todo += [table.definition] if table is not None and table.definition is not None else []
        return frozenset(found)

    def _query(self, tree: Tree, ctes: Ctes, outer: BindingScope | None) -> Relation:
        for clause in _QUERY_CLAUSES:
            if tree[clause]:
                raise Unsure(f"{clause.split('_')[0].upper()} is not bound")
        ctes = self._with(tree["with"], ctes, outer)
        keys = order_keys(tree["order_by"])
        found = self._body(tree["body"], ctes, outer, keys)
        limit = tree["limit_clause"]
        if limit is not None:
            found = self._limit(found, limit, ctes, outer, tree)
        return found

    def _limit(self, source: Relation, clause: Tree, ctes: Ctes, outer: BindingScope | None, tree: Tree) -> Relation:
        body = clause.get("LimitOffset")
        if body is None or body["limit_by"]:
            raise Unsure("this LIMIT is not bound")
        scope = self._scope((), ctes, outer)
        count = None if body["limit"] is None else scope.expression(body["limit"])
        skip = None if body["offset"] is None else scope.expression(body["offset"]["value"])
        return Limit(source, count, skip, tree=tree)

    def _with(self, clause: Tree | None, ctes: Ctes, outer: BindingScope | None) -> Ctes:
        if clause is None:
            return ctes
        known = dict(ctes)
        own: set[str] = set()
        for cte in clause["cte_tables"]:
            path, renamed = alias_of(cte["alias"])
            name = path[0]
            if name in own:
                error = UnknownNameError(f"there are two CTEs {name}", hint="Give one of them another name.")
                error.span = span_of(cte["alias"])
                raise error
            own.add(name)
            if clause["recursive"] and any(name_of_parts(parts) == (name,) for parts in tables_named(cte["query"])):
                known[name] = Cte(self._recursive(cte, name, renamed, known, outer), renamed)
            else:
                known[name] = Cte(self.query(cte["query"], known, outer), renamed)
        return known

    def _recursive(
        self, cte: Tree, name: str, renamed: tuple[str, ...], ctes: Ctes, outer: BindingScope | None
    ) -> Relation:
        query = cte["query"]
        body = query["body"].get("SetOperation")
        try:
            if body is None or body["op"] != "Union" or query["with"] or query["order_by"] or query["limit_clause"]:
                raise Unsure("a recursion that is no UNION of an anchor and a term")
            anchor = self._body(body["left"], ctes, outer, ())
            working = {**ctes, name: Cte(anchor, renamed, working=True)}
            term = self._body(body["right"], working, outer, ())
        except (Unsure, UnboundError) as reason:
            return Opaque(why=str(reason), reads=self.reads(query) - {(name,)}, tree=query)
        return Recursive(anchor, term, name, body["set_quantifier"] == "All", renamed, tree=query)

    # Bodies

    def _body(self, body: Tree, ctes: Ctes, outer: BindingScope | None, keys: Sequence[Tree]) -> Relation:
        ((kind, inner),) = body.items()
        if kind == "Select":
            return self._select(inner, ctes, outer, keys)
        if kind == "Query":
            found = self.query(inner, ctes, outer)
        elif kind == "SetOperation":
            found = self._union(body, ctes, outer)
        elif kind == "Values":
            scope = self._scope((), ctes, outer)
            rows = tuple(tuple(scope.expression(cell) for cell in row) for row in _rows(inner["rows"]))
            if len({len(row) for row in rows}) != 1:
                raise Unsure("rows of different lengths")
            found = Values(rows=rows, tree=body)
        else:
            raise Unsure(f"{kind.upper()} is not bound")
        return self._sorted(found, keys, ctes, outer) if keys else found

    def _sorted(self, found: Relation, keys: Sequence[Tree], ctes: Ctes, outer: BindingScope | None) -> Relation:
        """ORDER BY of what is no SELECT: its keys are names or places of columns."""
        names = found.names
        if names is None:
            raise Unsure("the columns that are sorted by are not known")
        outputs: dict[str, Expression] = {n: Field(found, n) for n in names if n is not None and found.has(n)}
        made = []
        for key in keys:
            place = place_named(key["expr"], len(names))
            name = names[place] if place is not None else None
            if place is not None and (name is None or name not in outputs):
                raise Unsure("a column without a name is sorted by")
            scope = self._scope((), ctes, outer)
            found_key = outputs[str(name)] if place is not None else scope.expression(key["expr"], outputs, "outputs")
            made.append(sort_key(key, found_key))
        return Sort(found, tuple(made), tree=keys)

    def _union(self, body: Tree, ctes: Ctes, outer: BindingScope | None) -> Relation:
        """A chain of set operations; it leans to the left, and may be long."""
        chain = []
        while "SetOperation" in body:
            chain.append(body["SetOperation"])
            body = body["SetOperation"]["left"]
        found = self._body(body, ctes, outer, ())
        for operation in reversed(chain):
            if operation["set_quantifier"] not in ("All", "None", "Distinct"):
                raise Unsure("BY NAME is not bound")
            every, operator = operation["set_quantifier"] == "All", operation["op"].lower()
            right = self._body(operation["right"], ctes, outer, ())
            if isinstance(found, Opaque) or isinstance(right, Opaque):
                raise Unsure(next(side.why for side in (found, right) if isinstance(side, Opaque)))
            parts: tuple[Relation, ...] = (found,)
            if isinstance(found, Union) and found.operator == operator == "union" and found.all and every:
                parts = found.parts
            if operator not in ("union", "intersect", "except"):
                raise Unsure(f"{operator.upper()} is not bound")
            if len(found.names or ()) != len(right.names or ()):
                raise Unsure("the branches have different numbers of columns")
            found = Union((*parts, right), operator, every, tree={"SetOperation": operation})
        return found

    def _select(self, select: Tree, ctes: Ctes, outer: BindingScope | None, keys: Sequence[Tree]) -> Relation:
        source, merged = self._from(select["from"], ctes, outer)
        scope = self._scope(leaves(source), ctes, outer, merged)
        found = SelectBinder(select, source, scope).bound(keys)
        if not self._reading:
            self.selects.append(BoundSelect(select, found, ctes, outer is not None))
        return found

    def _scope(
        self, found: Sequence[Leaf], ctes: Ctes, outer: BindingScope | None, merged: Mapping[str, Merged] | None = None
    ) -> BindingScope:
        inside = lambda tree, around: self.query(tree, ctes, around)  # noqa: E731 - an argument
        return BindingScope(tuple(found), inside, merged or {}, outer, rows=self._rows)

    # FROM

    def _from(self, tables: Sequence[Tree], ctes: Ctes, outer: BindingScope | None) -> tuple[Relation, Merging]:
        if not tables:
            return Values(), {}
        found: Relation | None = None
        merged: Merging = {}
        for table in tables:
            item, own = self._joined(table, ctes, outer)
            merged |= own
            found = item if found is None else Join(found, item)
        assert found is not None
        return found, merged

    def _joined(self, table: Tree, ctes: Ctes, outer: BindingScope | None) -> tuple[Relation, Merging]:
        found, merged = self._factor(table["relation"], ctes, outer)
        for join in table["joins"]:
            right, own = self._factor(join["relation"], ctes, outer)
            merged = {**merged, **own}
            found = self._join(found, right, join, merged, ctes, outer)
        return found, merged

    def _join(
        self, left: Relation, right: Relation, join: Tree, merged: Merging, ctes: Ctes,
        outer: BindingScope | None,
    ) -> Relation:  # fmt: skip
        operator = join["join_operator"]
        word: str
        constraint: Tree
        word, constraint = next(iter(operator.items())) if isinstance(operator, dict) else (operator, "None")
        kind = _JOINS.get(word)
        if kind is None or join.get("global"):
            raise Unsure(f"{word} is not bound")
        if kind == "cross":
            return Join(left, right, tree=join)
        names: tuple[str, ...] = ()
        if constraint == "Natural":
            names = _common_names(left, right)
        elif isinstance(constraint, dict) and "Using" in constraint:
            names = tuple(name_of(name)[-1] for name in constraint["Using"])
        elif not (isinstance(constraint, dict) and "On" in constraint):
            raise Unsure("a join without a condition")
        for name in names:
            merged[name] = _merge(left, right, kind, name, merged)
        on = None
        if not names and constraint != "Natural":
            scope = self._scope([*leaves(left), *leaves(right)], ctes, outer, merged)
            on = scope.filtering.expression(constraint["On"])
        return Join(left, right, kind, on, names, tree=join)

    def _factor(self, tree: Tree, ctes: Ctes, outer: BindingScope | None) -> tuple[Relation, Merging]:
        ((kind, body),) = tree.items()
        if kind == "NestedJoin" and body["alias"] is None:
            return self._joined(body["table_with_joins"], ctes, outer)
        path, renamed = alias_of(body.get("alias") if isinstance(body, dict) else None)
        if kind == "Derived" and not body["lateral"]:
            query = self.query(body["subquery"], ctes, outer)
            return _named(Shared(path, renamed, query=query, kind="subquery", tree=tree)), {}
        if kind == "Table" and body["args"] is None and not any(map(body.get, _TABLE_EXTRAS)):
            return self._table(body["name"], path, renamed, ctes, tree), {}
        if kind == "Derived":
            raise Unsure("LATERAL is not bound")
        return Opaque(path, renamed, why=f"{kind} in FROM", reads=self.reads(tree), tree=tree), {}

    def _table(self, parts: list[Tree], path: Name, renamed: tuple[str, ...], ctes: Ctes, tree: Tree) -> Leaf:
        own = name_of(parts)
        cte = ctes.get(own[0]) if len(own) == 1 else None
        if cte is not None:
            query = cte.query
            names = (*renamed, *cte.renamed[len(renamed) :])
            kind = "working" if cte.working else "cte"
            return _named(Shared(path or own, names, query=query, kind=kind, name=own, tree=tree))  # type: ignore[arg-type]
        name = table_name(parts)
        path = path or full_name(name)
        table = self._catalog.table(name)
        if table is None:
            why = f"there is no table {'.'.join(name)} that is known"
            return Opaque(path, renamed, why=why, reads=frozenset({name}), tree=tree)
        if table.definition is None:
            return _named(Scan(path, renamed, table=table, tree=tree))
        query, own_names = self._view(name, table.definition, tree), tuple(table.columns)
        names = renamed if query.names == own_names else (*renamed, *own_names[len(renamed) :])
        return _named(Shared(path, names, query=query, kind="view", name=name, tree=tree))

    def _view(self, name: Name, definition: Tree, tree: Tree) -> Relation:
        if name in self._reading:
            error = UnknownNameError(f"the view {'.'.join(name)} reads itself")
            error.span = span_of(tree)
            raise error
        if name not in self._views:
            self._reading.append(name)
            inside = definition.get("Query", definition)
            try:
                self._views[name] = self.query(inside, {}, None)
            except UnknownNameError as error:  # its places count in another text
                if name in self._reading[:-1] or "reads itself" in error.what:
                    error.span = span_of(tree)
                    raise
                self._views[name] = Opaque(why=error.what, reads=self.reads(inside), tree=inside)
            finally:
                self._reading.pop()
        return self._views[name]


def _rows(rows: Sequence[Tree]) -> Sequence[Sequence[Tree]]:
    return [row["content"] if isinstance(row, dict) else row for row in rows]


def name_of_parts(parts: Sequence[Tree]) -> Name:
    """A name of identifier nodes, as written."""
    return tuple(identifier(part) for part in parts)


def _common_names(left: Relation, right: Relation) -> tuple[str, ...]:
    if left.names is None or right.names is None:
        raise Unsure("the columns of a NATURAL JOIN are not known")
    return tuple(dict.fromkeys(n for n in left.names if n is not None and n in right.names))


def _merge(left: Relation, right: Relation, kind: JoinKind, name: str, known: Mapping[str, Merged]) -> Merged:
    """The column that a name behind USING means afterwards."""
    sides = [[leaf for leaf in leaves(side) if leaf.has(name)] for side in (left, right)]
    earlier = known.get(name)
    if earlier is not None and earlier.column is not None and set(sides[0]) <= set(earlier.leaves):
        sides[0] = [leaf for leaf in earlier.leaves if leaf is earlier.column.relation]
    if any(len(side) != 1 for side in sides):
        raise Unsure(f"USING ({name}) does not name one column of each side")
    column = None if kind in ("right", "full") else Field(sides[0][0], name)
    outer = kind in ("left", "right", "full") or (earlier is not None and earlier.outer)
    return Merged(column, (*(earlier.leaves if earlier is not None else sides[0]), sides[1][0]), outer)


def _named(leaf: Leaf) -> Leaf:
    """A relation in FROM, whose new names must not be more than its columns."""
    if isinstance(leaf, Shared):
        leaf.__dict__["_bound"] = leaf.query
    own = replace(leaf, renamed=()).names if leaf.renamed else None
    if own is not None and len(leaf.renamed) > len(own):
        error = UnknownNameError(f"{leaf.path[-1]} has {len(own)} columns, and {len(leaf.renamed)} names are given")
        error.span = leaf.span
        raise error
    return leaf

"""A statement without recursion: each recursive CTE reads a relation of ours, whose rows :mod:`.rounds` works out.

Everything is planned here, nothing runs. A CTE ``r`` becomes ``r AS (SELECT * FROM __recursion_1__)``, and in its term
``r AS (SELECT * FROM __working_1__)``, so that names mean what they meant whatever hides them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace as replace_fields
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import SqlError, TypeMismatchError, UnknownNameError, UnsupportedError
from ...sql.build import select, star, table
from ...sql.clauses import first_select
from ...sql.limit import rows_taken
from ...sql.naming import with_distinct_names
from ...sql.reads import cte_name
from ...sql.syntax import Tree, expression_sql, replace, span_of
from ...storage.fetch import coerced
from ...storage.schema import provider
from ..admission import framed
from ..faults.correlation import outer_columns
from ..faults.tables import EngineTables
from .failing import failing
from .fit import fits, plain
from .holes import RoundHoles
from .members import Member, Part, Recursion
from .names import grouped, is_query, name_read, names_read, with_needed
from .parts import RecursiveCte, definitions

if TYPE_CHECKING:
    from ..context import Context

Layers = tuple[Sequence[Tree], ...]
"""The CTEs of the WITH clauses around a place, the outermost clause first."""


class Planner:
    """Takes the recursions out of one statement, within a block in which the context's tables are pinned.

    Args:
        context: knows the tables.
        holes: writes a query, and what of it is others each time it runs.

    Attributes:
        found: the recursions, in the order in which they are worked out.
        shown: what stands for their relations as long as nothing has run.
    """

    def __init__(self, context: Context, holes: RoundHoles | None = None) -> None:
        self._context, self._holes = context, holes or RoundHoles()
        self._numbers = count(1)
        self._depth = 0
        self.found: list[Recursion] = []
        self.shown: dict[str, Any] = {}

    def without_recursion(self, tree: Tree) -> Tree:
        """The statement's tree, each recursive CTE reading its relation.

        Raises:
            SqlError: a recursion that is not offered, or whose term does not fit its anchor.
        """
        return self._visit(tree, ())

    def _visit(self, tree: Tree, layers: Layers) -> Tree:
        return replace(tree, lambda node: self._query(node, layers) if is_query(node) else None)

    def _query(self, node: Tree, layers: Layers) -> Tree:
        self._depth += 1
        try:
            within, new = layers, dict(node)
            if node["with"]:
                ctes = self._ctes(node, layers)
                within = (*layers, ctes)
                new["with"] = {**node["with"], "recursive": False, "cte_tables": list(ctes)}
            for key, value in node.items():
                if key != "with":
                    new[key] = self._visit(value, within)
            return new
        finally:
            self._depth -= 1

    def _ctes(self, node: Tree, layers: Layers) -> list[Tree]:
        """The CTEs of a query's WITH clause, each behind those that it reads."""
        clause, found = node["with"], list[Tree]()
        if not clause["recursive"]:
            for cte in clause["cte_tables"]:
                found.append({**cte, "query": self._query(cte["query"], (*layers, tuple(found)))})
            return found
        ctes = {cte_name(cte): cte for cte in clause["cte_tables"]}
        if len(ctes) < len(clause["cte_tables"]):
            raise _at(UnsupportedError("two CTEs have one name"), clause["cte_tables"])
        reads = {name: names_read(cte["query"]) for name, cte in ctes.items()}
        self._refuse_ambiguous(ctes, reads)
        for group in grouped(reads):
            around = (*layers, tuple(found))
            if len(group) == 1 and group[0] not in reads[group[0]]:
                cte = ctes[group[0]]
                found.append({**cte, "query": self._query(cte["query"], around)})
            else:
                found += self._recursion({name: ctes[name] for name in group}, around, node)
        return found

    def _limited(self, found: Sequence[RecursiveCte], node: Tree) -> Sequence[RecursiveCte]:
        """The definition of a recursion of which the query around it takes no more than some rows."""
        one, most = found[0], rows_taken(node)
        if most is None or len(found) > 1 or one.limit is not None or one.skip:
            return found
        readers = [
            cte for cte in node["with"]["cte_tables"] if cte is not one.tree and one.name in names_read(cte["query"])
        ]
        source = node["body"]["Select"]["from"]
        if readers or len(source) != 1 or source[0]["joins"] or name_read(source[0]["relation"]) != one.name:
            return found
        return [replace_fields(one, limit=most)]

    def _refuse_ambiguous(self, ctes: Mapping[str, Tree], reads: Mapping[str, frozenset[str]]) -> None:
        """Refuse a name that is a table's and that of a CTE further down."""
        names = list(ctes)
        for place, name in enumerate(names):
            for later in names[place + 1 :]:
                if later in reads[name] and self._context.store.schema.table_exist(later):
                    what = f"`{name}` reads `{later}`, which is a table and a CTE further down"
                    raise _at(UnsupportedError(what, hint="Give the CTE another name."), ctes[name]["alias"])

    # One recursion

    def _recursion(self, ctes: Mapping[str, Tree], around: Layers, node: Tree) -> list[Tree]:
        work = _GroupRecursion(self, self._limited(definitions(ctes), node), around, node)
        recursion = work.planned()
        self.found.append(recursion)
        for member in recursion.members:
            self.shown[member.result] = failing(member.schema)
        return [_reading(m.definition.tree, m.result) for m in recursion.members]

    def number(self) -> int:
        """A number that no other recursion of the statement has."""
        return next(self._numbers)

    @contextmanager
    def collecting(self) -> Iterator[list[Recursion]]:
        """Within this block the recursions that are found are listed apart."""
        before, self.found = self.found, []
        try:
            yield self.found
        finally:
            self.found = before

    def part(self, query: Tree) -> tuple[Part, pa.Schema]:
        """A query as it will run, and the names and types of its columns."""
        context, tree = self._context, {"Query": query}
        with context.store.schema.pinned(context.store.schema.visible(), self.shown):
            try:
                text, holes = self._holes.written(tree, context)
                frame = framed(context, text)
                return Part(tree, text, frame, holes), coerced(frame)
            except Exception:
                if self._depth > 1:
                    self._refuse_outer(query)
                raise

    def _refuse_outer(self, query: Tree) -> None:
        """Say it where a recursion within a subquery reads what only the row around it has."""
        for node in outer_columns(query, EngineTables(self._context)):
            what = f"`{expression_sql(node)}` is no column of what this recursive query reads"
            hint = (
                "It cannot read the row around it: let it carry the key of that row as a column, and join its result."
            )
            raise _at(UnsupportedError(what, hint=hint), node)


class _GroupRecursion:
    """The recursion of one group of CTEs, being planned."""

    def __init__(self, planner: Planner, found: Sequence[RecursiveCte], around: Layers, node: Tree) -> None:
        self._planner, self._definitions, self._around, self._node = planner, found, around, node
        self._names = {d.name: (f"__working_{n}__", f"__recursion_{n}__") for d in found for n in [planner.number()]}
        self._anchors: dict[str, Part | None] = {}
        self._schemas: dict[str, pa.Schema] = {}
        self._own: dict[str, list[Tree]] = {}
        self._kinds: dict[str, list[pa.DataType]] = {}

    def planned(self) -> Recursion:
        """The recursion, its types known and held against each other."""
        for definition in self._definitions:
            self._plan_anchor(definition)
        self._plan_without_anchor()
        for _ in range(1 + sum(map(len, self._schemas.values()))):
            with self._planner.collecting() as inner:
                terms = {d.name: self._terms(d) for d in self._definitions}
            if not self._take_types(terms):
                break
        for definition in self._definitions:
            self._check(definition, [schema for _, schema in terms[definition.name]])
        members = tuple(
            Member(
                d,
                self._schemas[d.name],
                self._anchors[d.name],
                tuple(p for p, _ in terms[d.name]),
                *self._names[d.name],
            )
            for d in self._definitions
        )
        return Recursion(members, self._inner(inner))

    def _plan_anchor(self, definition: RecursiveCte) -> None:
        """Plan what gives the first rows, with those CTEs of the definition's own that do not read the group."""
        planner, ways = self._planner, set(self._names)
        own: list[Tree] = []
        for cte in definition.ctes:
            if names_read(cte["query"]) & ways:
                ways.add(cte_name(cte))
            else:
                own.append({**cte, "query": planner._query(cte["query"], (*self._around, tuple(own)))})
        self._own[definition.name] = own
        if definition.anchor is None:
            self._anchors[definition.name] = None
            return
        layers = (*self._around, own)
        body = planner._visit(with_distinct_names(definition.anchor, len(definition.columns)), layers)
        part, schema = planner.part(with_needed(body, layers, self._node))
        self._anchors[definition.name] = part
        self._know(definition, schema)

    def _know(self, definition: RecursiveCte, schema: pa.Schema) -> None:
        names = [*definition.columns, *schema.names[len(definition.columns) :]]
        if len(names) > len(schema):
            what = f"`{definition.name}` has {_counted(len(schema))}, and {len(names)} names for them"
            raise _at(UnknownNameError(what), definition.tree["alias"])
        for name in names:
            if names.count(name) > 1:
                raise _at(
                    UnknownNameError(f"two columns of `{definition.name}` are named `{name}`"), definition.tree["alias"]
                )
        kinds = [plain(kind) for kind in schema.types]
        found = self._schemas[definition.name] = pa.schema(list(zip(names, kinds, strict=True)))
        self._planner.shown[self._names[definition.name][0]] = provider([], found)

    def _plan_without_anchor(self) -> None:
        """The types of CTEs that only read others of the group: those of their terms."""
        waiting = [d for d in self._definitions if d.name not in self._schemas]
        while waiting:
            ready = [d for d in waiting if self._reads(d) <= self._schemas.keys()]
            if not ready:
                names = " and ".join(f"`{d.name}`" for d in waiting)
                hint = (
                    "Give one of them first rows: SELECT ... UNION ALL, and behind it the query that reads the other."
                )
                raise _at(UnsupportedError(f"the types of {names} cannot be told", hint=hint), waiting[0].tree["alias"])
            for definition in ready:
                with self._planner.collecting():
                    self._know(definition, self._terms(definition)[0][1])
            waiting = [d for d in waiting if d not in ready]

    def _reads(self, definition: RecursiveCte) -> set[str]:
        return {name for name in names_read(definition.tree["query"]) if name in self._names}

    def _terms(self, definition: RecursiveCte) -> list[tuple[Part, pa.Schema]]:
        planner = self._planner
        working = [_reading(d.tree, self._names[d.name][0]) for d in self._definitions if d.name in self._schemas]
        around: Layers = (*self._around, working)
        known = {cte_name(cte): cte for cte in self._own[definition.name]}
        own: list[Tree] = []
        for cte in definition.ctes:
            done = known.get(cte_name(cte))
            own.append(done or {**cte, "query": planner._query(cte["query"], (*around, tuple(own)))})
        layers = (*around, own)
        bodies = [planner._visit(with_distinct_names(term), layers) for term in definition.terms]
        return [planner.part(with_needed(body, layers, self._node)) for body in bodies]

    def _take_types(self, terms: Mapping[str, Sequence[tuple[Part, pa.Schema]]]) -> bool:
        """Give columns that are NULL in the anchor the types of a term; whether any was given one."""
        changed = False
        for definition in self._definitions:
            before = self._schemas[definition.name]
            after = before
            for _, schema in terms[definition.name]:
                for place, field in enumerate(after):
                    if (
                        pa.types.is_null(field.type)
                        and place < len(schema)
                        and not pa.types.is_null(schema.types[place])
                    ):
                        after = after.set(place, field.with_type(plain(schema.types[place])))
            if after is not before:
                changed = True
                self._schemas[definition.name] = after
                self._planner.shown[self._names[definition.name][0]] = provider([], after)
        return changed

    def _check(self, definition: RecursiveCte, terms: Sequence[pa.Schema]) -> None:
        """Hold the columns of the terms against those of the anchor."""
        schema = self._schemas[definition.name]
        for body, given in zip(definition.terms, terms, strict=True):
            if len(given) != len(schema):
                what = f"`{definition.name}` begins with {_counted(len(schema))}, and its term gives {len(given)}"
                raise _at(TypeMismatchError(what), body)
            for place, (field, other) in enumerate(zip(schema, given.types, strict=True)):
                if not fits(field.type, other):
                    column = f"`{field.name}` of the recursion `{definition.name}`"
                    what = f"{column} begins as {field.type}, and the term gives {other}"
                    hint = "CAST it, in the rows that the recursion begins with or in the term."
                    raise _at(TypeMismatchError(what, hint=hint), column_of(body, place))

    def _inner(self, found: Sequence[Recursion]) -> tuple[Recursion, ...]:
        """Of the recursions within the terms, those of each round; the others are worked out once, before."""
        varying = {working for working, _ in self._names.values()}
        inner = []
        for one in found:
            if one.reads() & varying:
                varying |= {member.result for member in one.members}
                inner.append(one)
            else:
                self._planner.found.append(one)
        return tuple(inner)


def _reading(cte: Tree, relation: str) -> Tree:
    """A CTE that is a relation of ours."""
    return {**cte, "alias": {**cte["alias"], "columns": []}, "query": select([star()], [table(relation)])["Query"]}


def column_of(body: Tree, place: int) -> Tree:
    """What the first SELECT of a body gives for a column; the body itself where that is not to be seen."""
    first = first_select(body)
    if first is None:
        return body
    items = first["projection"]
    starred = any("Wildcard" in item or "QualifiedWildcard" in item for item in items[: place + 1])
    return body if starred or place >= len(items) else items[place]


def _counted(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"


def _at(error: SqlError, tree: Tree) -> SqlError:
    error.span = span_of(tree)
    return error

"""Builds a statement anew around the derivatives that were worked out.

Calls are replaced, companions (see :mod:`.layers`) become columns of the queries that compute what is derived,
wildcards are kept from showing them, and long derivatives get their shared parts computed below (:mod:`.sharing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from string import ascii_lowercase

from ..errors import DerivativeError, UnknownNameError
from ..relation.layers import Item, Query, Scope
from ..relation.names import qualifies
from ..relation.scopes import BELOW, aggregates
from ..sql.build import column, select, star, table
from ..sql.build import item as selected
from ..sql.clauses import cte, sort_keys, with_ctes
from ..sql.expression import Call, Cast, Column, Expression, Made, TreeWriter, Verbatim, columns, descend, tree_columns
from ..sql.identity import IdentityMap
from ..sql.pieces import binary, filled, in_parentheses, is_operator, path_of
from ..sql.selects import elements, named_as_before, own_select, star_of, star_without, with_elements
from ..sql.syntax import Tree, identifier, make_identifier, tables_named
from ..sql.traversal import is_query
from .collect import tidied
from .dissolve import plain
from .doubles import REAL
from .intermediate import reads_below
from .reading import StandingCall, WorkedStatement, is_call
from .rules import CALLS
from .sharing import GROWTH, LONG, TOO_LONG, WORTH, NamedParts, share
from .size import size
from .view import Companion, Variable


@dataclass(frozen=True)
class SharedParts:
    """What is computed below a SELECT, and how the SELECT then calls the columns of its FROM.

    Attributes:
        shared: the names and what they stand for.
        renamed: path -> column of the CTE below; None where the CTE is called as the SELECT's only relation.
    """

    shared: NamedParts
    renamed: dict[tuple[str, ...], str] | None


class Rebuilding:
    """The building of one statement."""

    def __init__(self, reading: WorkedStatement) -> None:
        self.reading = reading
        self.writer = TreeWriter()
        self.worked = reading.worked.copy()
        self.companions = [c for c in reading.layers.companions if c.wanted]
        # by what gets them: a SELECT's further columns, an alias's further names, a table that is a view
        self.extra: IdentityMap[Tree, list[tuple[str, Expression]]] = IdentityMap()
        self.aliases: IdentityMap[Tree, list[str]] = IdentityMap()
        self.views: IdentityMap[Tree, Item] = IdentityMap()
        # by a SELECT, or the query it stands in
        self.below: IdentityMap[Tree, SharedParts] = IdentityMap()
        self.ctes: IdentityMap[Tree, list[Tree]] = IdentityMap()
        self.count = 0
        self.plain = Made()
        self._paths: dict[Scope, frozenset[tuple[str, ...]]] = {}

    def statement(self, tree: Tree) -> Tree:
        """The statement with what was worked out in its place."""
        added: dict[Query, list[str]] = {}
        for companion in self.companions:
            added.setdefault(companion.query, []).append(companion.name)
            for branch, expression in zip(companion.query.branches or (), companion.branches, strict=True):
                self.extra.setdefault(branch.select, []).append((companion.name, expression))
        for query in self.reading.queries:
            for alias, inner in query.own_ctes:
                if alias["columns"] and inner in added:
                    self.aliases[alias] = added[inner]
        for item in self.reading.items:
            if item.query is not None and item.query in added:
                self._prepare(item, added[item.query])
        for scope in self.reading.scopes.values():
            self._share(scope)
        return self.build(tree)

    def _prepare(self, item: Item, names: list[str]) -> None:
        body = next(iter(item.tree.values()))
        if item.renamed:
            self.aliases[body["alias"]] = names
        if item.query is not None and item.query.view is not None:
            self._require_same_tables(item, item.query)
            self.views[item.tree] = item

    def _require_same_tables(self, item: Item, query: Query) -> None:
        """Raise DerivativeError where a table of a view would be another one in this statement: a CTE has its name."""
        own = {name for q in self.reading.queries if q.view is None for name in q.environment.ctes}
        read = {tuple(map(identifier, name)) for name in tables_named(query.tree)}
        if hidden := sorted(name for name in own if (name,) in read):
            what = f"the view {item.path[-1]} cannot be seen through here: its table {hidden[0]} has the name of a CTE"
            raise DerivativeError(what, hint="Give the CTE another name.")

    # ------------------------------------------------------------------------------------------ what is shared

    def _share(self, scope: Scope) -> None:
        """Decide what is computed below a SELECT."""
        standing = [s for s in self.reading.standing if s.scope is scope]
        extra = self.extra.get(scope.select, [])
        found = [self.worked[s.node] for s in standing] + [expression for _, expression in extra]
        total = sum(map(size, found))
        written = self._written_size(scope, standing)
        must = any(map(reads_below, found))
        worth = total > LONG * written or (total >= WORTH and total >= GROWTH * written)
        if not (must or (worth and self.reading.may_share(scope))):
            return
        row = [s.row for s in standing] + [not scope.groups] * len(extra)
        shared = share(found, within=row, name=self._free_names(scope), safe=self._safe(scope))
        small = total < WORTH and 2 * shared.size > total and total < TOO_LONG * written
        if shared.levels and small and not must:
            return
        new = shared.expressions
        for one, expression in zip(standing, new, strict=False):
            self.worked[one.node] = expression
        if extra:
            self.extra[scope.select] = [(n, e) for (n, _), e in zip(extra, new[len(standing) :], strict=True)]
        if shared.levels:
            alone = len(scope.items) == 1 and len(scope.items[0].path) < 2  # else a.x or schema.a.x may stand above
            renamed = None if alone else self._renamed(scope, shared)
            self.below[scope.select] = SharedParts(shared, renamed)

    def _written_size(self, scope: Scope, standing: list[StandingCall]) -> int:
        """About how many characters what is derived in a SELECT has."""
        derived = {s.derived for s in standing}
        for companion in self.companions:
            for branch in companion.query.branches or ():
                if branch is scope and companion.source in (names := companion.query.names or ()):
                    output = branch.outputs[names.index(companion.source)] if branch.outputs else None
                    derived |= {output.expression} if output else set()
        return sum(size(_underived(expression)) for expression in derived)

    def _safe(self, scope: Scope) -> Callable[[Expression], bool]:
        """Whether a node cannot fail, whatever its parts give: divisions of integers can, and casts of text."""
        types = self.reading.layers.by(scope, Variable(_NOWHERE, ""))[1]

        def safe(node: Expression) -> bool:
            if isinstance(node, Cast):
                return node.type == REAL and types.type_of(node.value) != "text"
            divides = isinstance(node, Call) and node.name in ("/", "%", "power")
            return not divides or "real" in map(types.type_of, node.parts)

        return safe

    def _free_names(self, scope: Scope) -> _Names:
        taken = {name for item in scope.items for name in item.names or ()}
        below = tree_columns([scope.select[key] for key in BELOW])
        taken |= {part for path in chain(below, self._above_from(scope)) for part in path}
        taken |= {part for item in scope.items for part in item.path} | set(scope.aliases)
        return _Names(taken)

    def _above_from(self, scope: Scope) -> frozenset[tuple[str, ...]]:
        """The paths that a SELECT mentions above its FROM and WHERE, and the ORDER BY behind it."""
        if scope not in self._paths:
            behind = sort_keys(self.reading.owners[scope.select].tree)
            self._paths[scope] = frozenset(tree_columns([scope.above, behind]))
        return self._paths[scope]

    def _renamed(self, scope: Scope, shared: NamedParts) -> dict[tuple[str, ...], str]:
        """What the columns of several relations are called in the one relation that a CTE makes of them."""
        paths = set(self._above_from(scope))
        for expression in [*shared.expressions, *(e for level in shared.levels for _, e in level)]:
            paths |= columns(expression)
        places: dict[tuple[Item, str], str] = {}
        found: dict[tuple[str, ...], str] = {}
        for path in sorted(paths):
            try:
                item, name = scope.resolve(path)
            except UnknownNameError:
                continue  # an alias of the SELECT, or a name of the CTE's own
            if (item, name) not in places:
                wanted, taken = name, set(places.values())
                while wanted in taken:
                    wanted = f"{item.path[-1] if item.path else 't'}_{wanted}"
                places[item, name] = wanted
            found[path] = places[item, name]
        return found

    # --------------------------------------------------------------------------------------------- what is built

    def build(self, node: Tree) -> Tree:
        """A part of the statement, rebuilt where anything in it changes."""
        if isinstance(node, (list, tuple)):
            parts = [self.build(part) for part in node]
            return node if all(a is b for a, b in zip(parts, node, strict=True)) else type(node)(parts)
        if not isinstance(node, dict):
            return node
        if node in self.worked:
            return self._written(self.worked[node])
        if node in self.views:
            return self._inlined(self.views[node])
        new = {key: value if key == "span" else self.build(value) for key, value in node.items()}
        if all(new[key] is node[key] for key in node):
            new = node
        elif is_operator(node):
            new = _parenthesised(node, new)
        if node in self.reading.scopes:
            new = self._select(node, new, self.reading.scopes[node])
        if is_query(node):
            new = self._query(node, new)
        if node in self.aliases:
            more = [{**node["columns"][0], "name": make_identifier(name)} for name in self.aliases[node]]
            new = {**new, "columns": [*new["columns"], *more]}
        return new

    def _written(self, expression: Expression) -> Tree:
        """The tree of an expression; what it keeps opaque may hold calls of its own."""
        expression = tidied(plain(expression, self.plain))
        if reads_below(expression):
            what = "a derivative of min or max cannot stand inside another expression here"
            raise DerivativeError(what, hint="Take the derivative in a subquery, and use its column.")
        tree = self.writer.tree(expression)
        kept = any(isinstance(node, Verbatim) or getattr(node, "window", None) for node in descend(expression))
        return self.build(tree) if kept else tree

    def _inlined(self, item: Item) -> Tree:
        """A view as the subquery that it is, so that it can have a companion."""
        assert item.query is not None
        body = next(iter(item.tree.values()))
        alias = body["alias"] or {"explicit": True, "name": make_identifier(item.path[-1]), "columns": []}
        query = self.build(item.query.tree)
        return {"Derived": {"lateral": False, "subquery": query, "alias": self.build(alias), "sample": None}}

    def _select(self, node: Tree, new: Tree, scope: Scope) -> Tree:
        """A SELECT with the companions' columns, above what is computed below it."""
        below = self.below.get(node)
        names = [name for level in below.shared.levels for name, _ in level] if below else []
        hidden = [
            (item, name)
            for item in scope.items
            if item.query is not None
            for name, companion in item.query.added.items()
            if isinstance(companion, Companion) and companion.wanted
        ] + [(scope.items[0], name) for name in names]
        extra = [selected(self._written(e), name) for name, e in self.extra.get(node, ())]
        if extra or hidden:
            new = with_elements(new, [*(_hide(output, hidden) for output in elements(new)), *extra])
        if scope.of_all:
            new = _of_one_row(new)
        return self._above(node, new, scope, below) if below else new

    def _above(self, node: Tree, new: Tree, scope: Scope, below: SharedParts) -> Tree:
        """A SELECT that reads a CTE; its FROM and WHERE go there."""
        first, *levels = below.shared.levels
        if below.renamed is None:
            alias = next(iter(scope.items[0].path), None)
            kept = [star()]
        else:
            alias = None
            paths = {name: path for path, name in below.renamed.items()}
            kept = [selected(self.writer.tree(Column(path)), name) for name, path in paths.items()]
        outputs = [*kept, *(selected(self._written(e), name) for name, e in first)]
        name = self._cte(node, select(outputs, *(new[clause] for clause in BELOW)))
        for level in levels:
            named = [selected(self._moved(self._written(e), below), label) for label, e in level]
            called = alias if any(len(path) > 1 for path in tree_columns(named)) else None
            name = self._cte(node, select([star(), *named], [table(name, called)]))
        new = {**new, **dict(zip(BELOW, ([table(name, alias)], None), strict=True))}
        moved = {key: value if key in BELOW else self._moved(value, below) for key, value in new.items()}
        return with_elements(moved, list(map(named_as_before, elements(new), elements(moved))))

    def _cte(self, reader: Tree, query: Tree) -> str:
        """The name of a further CTE of the query that a SELECT stands in."""
        name = ""
        while not name or any(known for known in self.reading.environment.table((name,))):
            self.count += 1
            name = f"s{self.count}"
        owner = self.reading.owners[reader]
        self.ctes.setdefault(owner.tree, []).append(cte(name, query["Query"]))
        return name

    def _query(self, node: Tree, new: Tree) -> Tree:
        ctes = self.ctes.pop(node)
        if ctes is None:
            return new
        new = with_ctes(new, ctes)
        below = self.below.get(own_select(node))
        return {**new, "order_by": self._moved(new["order_by"], below)} if below else new

    def _moved(self, tree: Tree, below: SharedParts) -> Tree:
        """A part of a SELECT with the names that columns have in the CTE below."""
        if below.renamed is None:
            return tree
        if isinstance(tree, (list, tuple)):
            return type(tree)([self._moved(part, below) for part in tree])
        if not isinstance(tree, dict):
            return tree
        path = path_of(tree)
        if path:
            return column(below.renamed[path]) if path in below.renamed else tree
        return {key: value if key == "name" else self._moved(value, below) for key, value in tree.items()}


def _underived(expression: Expression) -> Expression:
    """What the innermost of nested calls of grad, jvp and vjp derives."""
    while isinstance(expression, Call) and expression.name in CALLS and expression.args:
        expression = expression.args[0]
    return expression


class _Names:
    """Names a, b, ..., z, a1, b1, ... that no column has: they stand in the text again and again."""

    def __init__(self, taken: set[str]) -> None:
        self.free = (name for name in _names() if name not in taken)
        self.found: list[str] = []

    def __call__(self, number: int) -> str:
        while len(self.found) < number:
            self.found.append(next(self.free))
        return self.found[number - 1]


def _names() -> Iterator[str]:
    for suffix in chain([""], map(str, count(1))):
        yield from (letter + suffix for letter in ascii_lowercase)


_NOWHERE = Item({}, ())
_ONE_ROW = filled("count(*) >= 0")


def _of_one_row(select: Tree) -> Tree:
    """A SELECT without GROUP BY that makes one row of all, also where the derivative of its aggregates is 0."""
    having = select["having"]
    if aggregates([elements(select), having]):
        return select
    return {**select, "having": _ONE_ROW if having is None else binary(_ONE_ROW, "And", in_parentheses(having))}


def _parenthesised(old: Tree, new: Tree) -> Tree:
    """An operator whose operands are in parentheses where they were replaced by an operator."""
    ((kind, operands),) = new.items()
    before = next(iter(old.values()))

    def operand(key: str) -> Tree:
        tree = operands[key]
        loose = isinstance(tree, dict) and is_operator(tree) and is_call(before[key])
        return in_parentheses(tree) if loose else tree

    return {kind: {key: operand(key) if key in ("left", "right", "expr") else operands[key] for key in operands}}


def _hide(element: Tree, hidden: list[tuple[Item, str]]) -> Tree:
    """A wildcard that leaves companions out."""
    qualifier = star_of(element)
    if qualifier is None:
        return element
    names = [name for item, name in hidden if not qualifier or qualifies(qualifier, item.full_path)]
    return star_without(element, names) if names else element

"""What the names in one SELECT, UPDATE, DELETE or MERGE may mean: the relations of its FROM, and the scope around."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UnknownNameError, suggest
from ..properties import kept_property
from ..sql.expression import Column, Expression, Parameter
from ..sql.expression import Literal as Constant
from ..sql.selects import elements, star_of
from ..sql.syntax import Tree, identifier, name_of, walk
from .conditions import equal_sides
from .functions import is_aggregate
from .names import full_name, qualifies

if TYPE_CHECKING:
    from .layers import Environment, KnownTable, Query


BELOW = ("from", "selection")
"""The clauses whose rows the others of a SELECT read."""
NAMING = ("group_by", "having", "qualify")
"""The clauses in which a column may be called by its output's name."""


@dataclass(eq=False)
class Item:
    """A relation in a FROM, as one use of it: a table that is joined with itself has two.

    Attributes:
        tree: its node, that an error or a change is about.
        path: its alias, or else its name.
        relation: the table it reads, or None.
        query: the query it reads (a subquery, a CTE, a view), or None. Neither of both: its columns are not known.
        renamed: the names of ``AS t(a, b)``, or ().
        nullable: whether an outer join may fill it with NULL.
    """

    tree: Tree
    path: tuple[str, ...]
    relation: KnownTable | None = None
    query: Query | None = None
    renamed: tuple[str, ...] = ()
    nullable: bool = False

    @kept_property
    def names(self) -> tuple[str, ...] | None:
        """Its columns in order, as this FROM calls them; None where they are not known."""
        own = tuple(self.relation.columns) if self.relation else self.query.names if self.query else None
        return None if own is None else (*self.renamed, *own[len(self.renamed) :])

    @kept_property
    def full_path(self) -> tuple[str, ...]:
        """Its alias, or the full name of its table or view."""
        body = self.tree.get("Table")
        of_table = body is not None and body["alias"] is None and (self.query is None or self.query.view is not None)
        return full_name(self.path) if of_table and self.path else self.path

    def inner(self, name: str) -> str:
        """The name that the table or query itself has for a column."""
        own = tuple(self.relation.columns) if self.relation else self.query.names if self.query else None
        if self.renamed and own is not None and name in self.renamed:
            return own[self.renamed.index(name)]
        return name

    @property
    def computed(self) -> bool:
        """Whether its query stands here and nowhere else: a subquery's, a view's; not that of a CTE."""
        return self.query is not None and (is_derived(self.tree) or self.query.view is not None)

    def has(self, name: str) -> bool:
        """Whether it has a column of that name; not where its columns are not known."""
        return name in (self.names or ()) or (self.query is not None and name in self.query.added)


@dataclass(frozen=True)
class BranchOutput:
    """A column of a query's branch: its name (None where the engine makes one up) and what it is."""

    name: str | None
    expression: Expression


class Scope:
    """What the names in one SELECT, UPDATE, DELETE or MERGE may mean.

    Args:
        items: the relations of its FROM.
        outer: the scope around it, for a correlated subquery.
        select: the SELECT's tree, or None.
        environment: what a table's name means around it.

    ``facts`` is for whoever asks what expressions are here: what was found out, by the fact's name and whatever it is
    about.
    """

    def __init__(
        self, items: Sequence[Item], environment: Environment, outer: Scope | None = None, select: Tree = None
    ) -> None:
        self.items = list(items)
        self.environment = environment
        self.outer = outer
        self.select = select
        self.facts: dict[tuple[str, Any], Any] = {}
        self._found: dict[tuple[str, ...], tuple[Item, str]] = {}
        self._fixed: dict[tuple[Expression, ...], set[tuple[Item, str]]] = {}

    def read(self, tree: Tree) -> Expression:
        """The expression that a tree means, read once."""
        return self.environment.reader.read(tree)

    def resolve(self, path: tuple[str, ...]) -> tuple[Item, str]:
        """The item and the column that a name means, here or in a scope around.

        Raises:
            UnknownNameError: nothing has that column, or more than one relation has.
        """
        if path not in self._found:
            self._found[path] = self._resolve(path)
        return self._found[path]

    def _resolve(self, path: tuple[str, ...]) -> tuple[Item, str]:
        *qualifier, name = path
        items = [item for item in self.items if not qualifier or _means(item, tuple(qualifier))]
        having = [item for item in items if item.has(name)]
        if len(having) > 1 and not self.merges(name):
            raise UnknownNameError(
                f"the column {name} is ambiguous",
                hint=f"Write {' or '.join(f'{item.path[-1]}.{name}' for item in having if item.path)}.",
            )
        if having:
            return having[0], name
        unknown = [item for item in items if item.names is None]
        if len(unknown) == 1:
            return unknown[0], name
        if self.outer is not None:
            try:
                return self.outer.resolve(path)
            except UnknownNameError:
                pass
        known = [n for item in (items or self.items) for n in item.names or ()]
        missing = f"there is no column {'.'.join(path)} here"
        raise UnknownNameError(missing, hint=suggest(name, known) or "There are no columns here.")

    def owns(self, item: Item) -> bool:
        """Whether an item is of this scope itself, not of one around it."""
        return any(item is own for own in self.items)

    def merges(self, name: str) -> bool:
        """Whether JOIN ... USING (name) or a NATURAL JOIN makes one column of several."""
        natural, using = self.merging
        return natural or name in using

    @kept_property
    def merging(self) -> tuple[bool, frozenset[str]]:
        """Whether there is a NATURAL JOIN, and the names after USING."""
        joins = [node["join_operator"] for node in walk((self.select or {}).get("from", [])) if "join_operator" in node]
        constraints = [next(iter(join.values())) for join in joins if isinstance(join, dict)]
        using = {name_of(n)[-1] for c in constraints if isinstance(c, dict) for n in c.get("Using", [])}
        return "Natural" in [c for c in constraints if isinstance(c, str)], frozenset(using)

    @kept_property
    def outputs(self) -> tuple[BranchOutput, ...] | None:
        """The columns that a SELECT puts out, wildcards spelled out; None where they are not known."""
        found: list[BranchOutput] = []
        for node in self.select["projection"]:
            ((kind, body),) = node.items()
            if kind == "UnnamedExpr":
                expression = self.read(body)
                found.append(BranchOutput(expression.name if isinstance(expression, Column) else None, expression))
            elif kind == "ExprWithAlias":
                found.append(BranchOutput(identifier(body["alias"]), self.read(body["expr"])))
            else:
                spelled = self.wildcard(node)
                if spelled is None:
                    return None
                found += spelled
        return tuple(found)

    def wildcard(self, node: Tree) -> list[BranchOutput] | None:
        """The columns that a star of the SELECT puts out; None where they are not known."""
        ((kind, body),) = node.items()
        options = body if kind == "Wildcard" else body[1]
        if kind not in ("Wildcard", "QualifiedWildcard") or any(
            options.get(key) is not None for key in ("opt_ilike", "opt_replace", "opt_rename")
        ):
            return None
        hidden = {identifier(node) for key in ("opt_exclude", "opt_except") for node in _identifiers(options.get(key))}
        qualifier = star_of({kind: body})
        items = [item for item in self.items if not qualifier or _means(item, qualifier)]
        found: dict[tuple[str, ...], BranchOutput] = {}
        for item in items:
            if item.names is None:
                return None
            for column in item.names:
                if column in hidden:
                    continue
                merged = kind == "Wildcard" and len(self.items) > 1 and self.merges(column)
                path = (column,) if merged or not item.path else (*item.path, column)
                found.setdefault(path, BranchOutput(column, Column(path)))
        return list(found.values())

    @property
    def elements(self) -> list[Tree]:
        """The elements of the SELECT's list."""
        return elements(self.select)

    @property
    def above(self) -> dict[str, Tree]:
        """The SELECT's clauses above its FROM and WHERE, by their names."""
        return {clause: tree for clause, tree in self.select.items() if clause not in BELOW}

    @property
    def of_all(self) -> bool:
        """Whether a SELECT makes one row of all without a GROUP BY."""
        return self.groups and bool(self.select["group_by"] == NO_GROUP)

    @property
    def plain_keys(self) -> bool:
        """Whether a SELECT groups by expressions, if at all: not by sets of them, and not by all."""
        grouped = self.select["group_by"].get("Expressions")
        return grouped is not None and not grouped[1]

    @kept_property
    def aliases(self) -> dict[str, Expression]:
        """The names that the SELECT gives to its columns, for ORDER BY, GROUP BY and HAVING."""
        named = [node["ExprWithAlias"] for node in self.select["projection"] if "ExprWithAlias" in node]
        return {identifier(node["alias"]): self.read(node["expr"]) for node in named}

    @kept_property
    def group_keys(self) -> tuple[Expression, ...] | None:
        """What a SELECT groups by, aliases and positions replaced; None where it does not group."""
        keys = self.select["group_by"].get("Expressions") if self.select is not None else None
        if keys is None or not (keys[0] or keys[1]):
            return None if keys is not None or self.select is None else ()
        found = []
        for node in keys[0]:
            key = self.read(node)
            if isinstance(key, Constant) and isinstance(key.value, int) and self.outputs is not None:
                key = self.outputs[key.value - 1].expression if 0 < key.value <= len(self.outputs) else key
            elif isinstance(key, Column) and len(key.path) == 1 and not any(i.has(key.name) for i in self.items):
                key = self.aliases.get(key.name, key)
            found.append(key)
        return tuple(found)

    @kept_property
    def keys_grouped_by(self) -> frozenset[Expression]:
        """The same, for whoever asks of many expressions whether they are keys."""
        return frozenset(self.group_keys or ())

    @kept_property
    def groups(self) -> bool:
        """Whether a SELECT makes one row of many: by GROUP BY or by an aggregate."""
        parts = (*self.select["projection"], self.select["having"])
        return self.select["group_by"] != NO_GROUP or any(aggregates(part) for part in parts)

    @kept_property
    def equalities(self) -> tuple[tuple[Expression, Expression], ...]:
        """The pairs that every row has equal: from WHERE, and from the ON of inner joins."""
        if self.select is None:
            return ()
        conditions = [self.read(self.select["selection"])] if self.select["selection"] is not None else []
        for node in walk(self.select["from"]):
            join = node.get("join_operator")
            if isinstance(join, dict) and next(iter(join)) in ("Join", "Inner"):
                constraint = next(iter(join.values()))
                if isinstance(constraint, dict) and "On" in constraint:
                    conditions.append(self.read(constraint["On"]))
        return tuple(equal_sides(conditions))

    def fixed(self, keys: Sequence[Expression]) -> set[tuple[Item, str]]:
        """The columns, as ``(item, name)``, that have one value wherever all of ``keys`` have one."""
        if tuple(keys) not in self._fixed:
            self._fixed[tuple(keys)] = self._find_fixed(keys)
        return self._fixed[tuple(keys)]

    def _find_fixed(self, keys: Sequence[Expression]) -> set[tuple[Item, str]]:
        fixed = {place for key in keys if (place := self._place(key)) is not None}
        while True:
            before = len(fixed)
            for pair in self.equalities:
                for one, other in (pair, pair[::-1]):
                    place = self._place(one)
                    if place and (isinstance(other, (Constant, Parameter)) or self._place(other) in fixed):
                        fixed.add(place)
            for item in self.items:
                fixed |= {(item, name) for name in (item.query.constants if item.query is not None else ())}
                key = item_key(item)
                if key is not None and all((item, name) in fixed for name in key):
                    fixed |= {(item, name) for name in item.names or ()}
            if len(fixed) == before:
                return fixed

    def _place(self, expression: Expression) -> tuple[Item, str] | None:
        if not isinstance(expression, Column):
            return None
        try:
            item, name = self.resolve(expression.path)
        except UnknownNameError:
            return None
        return item, name


def item_key(item: Item) -> tuple[str, ...] | None:
    """The columns whose values name a row of an item: () for a relation of one row, None where that is not known."""
    if item.relation is not None:
        return tuple(item.relation.key) or None
    return item.query.key if item.query is not None else None


NO_GROUP: Tree = {"Expressions": ([], [])}


def aggregates(projection: Tree) -> bool:
    """Whether an output holds an aggregate that is no window function (so that without GROUP BY there is one row)."""
    return any(map(calls_aggregate, walk(projection)))


def calls_aggregate(node: Tree) -> bool:
    """Whether a node calls an aggregate, not over a window."""
    call = node.get("Function")
    return isinstance(call, dict) and call["over"] is None and is_aggregate(name_of(call["name"])[-1])


def is_derived(node: Tree) -> bool:
    """Whether a relation in a FROM is a subquery."""
    return "Derived" in node


def _means(item: Item, qualifier: tuple[str, ...]) -> bool:
    """Whether a qualifier names an item: its alias, or its table's name with or without catalog and schema."""
    return bool(item.path) and qualifies(qualifier, item.full_path)


def _identifiers(option: Tree) -> Iterator[Tree]:
    """The names in ``EXCLUDE (a, b)`` or ``EXCEPT (a, b)``."""
    return (node for node in walk(option) if "quote_style" in node and "value" in node)

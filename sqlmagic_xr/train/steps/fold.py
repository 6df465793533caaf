"""State reads become values: a one-row read of a scratch table is looked up by its key, and its relation disappears.

What is folded is still the user's statement, with more parameters in it: ``cur.a`` has become a parameter that is read
from the state's newest generation at each step. How many rows a read finds may change from step to step, so what was
found is noted beside the read (:class:`Read`); a step that finds otherwise folds the statement anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from ...grids.lookup import Constant
from ...sql import build
from ...sql.syntax import NOWHERE, Tree, expression_sql, identifier, local_name, name_of, replace_branches
from ..explain import Note
from .block import (
    Naming,
    Source,
    UnsureError,
    conjunction,
    conjuncts,
    exchanged,
    is_query,
    parameters_in,
    sources_of,
    without,
)
from .inline import inlined
from .template import can_be_text

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...storage.scratch import Version

Found = Literal["none", "one", "many"]
"""How many rows a read has found."""


@dataclass(frozen=True)
class Read:
    """Rows of a scratch table that a step reads by key.

    Attributes:
        number: which read of the statement; its columns are the parameters ``number.column``.
        table: the scratch table.
        keys: columns that shall equal a constant; () for the whole table.
        extreme: ("max" or "min", column): only the rows where the column has its greatest or least value.
        alone: read the extreme itself and no rows: it is the parameter ``number.column``.
    """

    number: int
    table: str
    keys: tuple[tuple[str, Constant], ...] = ()
    extreme: tuple[Literal["max", "min"], str] | None = None
    alone: bool = False

    def parameter(self, column: str) -> Tree:
        """The placeholder of one of its columns."""
        return {"Value": {"value": {"Placeholder": f"${self.number}.{column}"}, "span": NOWHERE}}

    @property
    def relation(self) -> str:
        """The name under which the rows are given to the engine, where they stay a relation."""
        return f"__rows_{self.number}__"


Ask = Callable[[Read], "Found | None"]
"""Looks up a read now; None where its key is no value that can be looked up."""


@dataclass(frozen=True)
class Folded:
    """A statement without the state reads that could be folded.

    Attributes:
        tree: what is left of it.
        reads: what was looked up, in order, and what was found.
        notes: what was done and why not.
    """

    tree: Tree
    reads: tuple[tuple[Read, Found], ...]
    notes: tuple[Note, ...]


def fold(tree: Tree, context: Context, ask: Ask, writes: Collection[str]) -> Folded:
    """Fold the state reads of a statement.

    Args:
        tree: the statement; parameters that stay the same are bound, the others are placeholders.
        context: knows the tables.
        ask: looks a read up.
        writes: the scratch tables that the step changes.
    """
    pass_ = _Pass(context, ask, writes)
    return Folded(pass_.visit(inlined(tree, pass_.view_of)), tuple(pass_.reads), tuple(pass_.notes))


class _Pass:
    """One pass over a statement, the inner queries first."""

    def __init__(self, context: Context, ask: Ask, writes: Collection[str]) -> None:
        self._context, self._ask, self._writes = context, ask, writes
        self._entries = context.store.entries()
        self._slices: dict[str, Version] = {}
        self._hidden: list[set[str]] = []  # names of recursive CTEs around what is looked at
        self.reads: list[tuple[Read, Found]] = []
        self.notes: list[Note] = []

    def view_of(self, name: tuple[str, ...]) -> Tree | None:
        """The query of a view."""
        name = local_name(name)
        relation = self._context.relation(name) if len(name) == 1 and name[0] in self._entries else None
        return relation.definition if relation is not None else None

    def columns_of(self, name: tuple[str, ...]) -> tuple[str, ...] | None:
        """The columns of a table, of a read's rows too."""
        if any(name[-1] in names for names in self._hidden):
            return None
        if name[-1] in self._slices:
            return tuple(self._slices[name[-1]].definition.names)
        version = self._version(name)
        if version is not None:
            return tuple(version.definition.names)
        relation = self._context.relation(name)
        return tuple(relation.columns) if relation is not None else None

    def visit(self, node: Any) -> Any:
        """A tree whose queries are folded."""
        if isinstance(node, (list, tuple)):
            items = [self.visit(value) for value in node]
            return node if all(a is b for a, b in zip(items, node, strict=True)) else type(node)(items)
        if not isinstance(node, dict):
            return node
        hidden = (
            {identifier(cte["alias"]["name"]) for cte in node["with"]["cte_tables"]} if _is_recursive(node) else set()
        )
        self._hidden.append(hidden)
        new = {key: self.visit(value) for key, value in node.items()}
        new = node if all(new[key] is node[key] for key in node) else new
        new = self._query(new) if is_query(new) else new
        self._hidden.pop()
        scalar = _value_of(new.get("Subquery"))
        return {"Nested": scalar} if scalar is not None else new

    def _query(self, query: Tree) -> Tree:
        if "SetOperation" in query["body"]:
            return {**query, "body": self._sides(query["body"])}
        if query["with"] or "Select" not in query["body"]:
            return query
        query = self._whole_table_extremes(self._without_stars(query))
        refused: set[str] = set()
        while True:
            select = query["body"]["Select"]
            sources = sources_of(select, self.columns_of)
            for source in sources:
                if source.alias in refused:
                    continue
                try:
                    changed = self._folded(query, source, sources)
                except UnsureError as error:
                    changed = None
                    self._note_refusal(source, str(error))
                if changed is not None:
                    query = changed
                    break
                refused.add(source.alias)
            else:
                return query

    def _without_stars(self, query: Tree) -> Tree:
        """The query with the columns that a ``*`` means, where something is to be folded and they are known."""
        select = query["body"]["Select"]
        sources = sources_of(select, self.columns_of)
        columns = [c for s in sources for c in s.columns or ("",)]
        unclear = any(s.operator == "other" or not s.alias or s.columns is None for s in sources)
        if unclear or len(set(columns)) < len(columns) or not any(self._is_foldable(s) for s in sources):
            return query
        items: list[Tree] = []
        for item in select["projection"]:
            star = item.get("Wildcard")
            if star is None or any(value for key, value in star.items() if key != "wildcard_token"):
                items.append(item)
                continue
            items += [{"UnnamedExpr": build.column(s.alias, c)} for s in sources for c in s.columns or ()]
        return {**query, "body": {"Select": {**select, "projection": items}}}

    def _is_foldable(self, source: Source) -> bool:
        constant = source.query is not None and _constant_row(source.query) is not None
        return constant or self._version(source.table) is not None

    def _sides(self, body: Tree) -> Tree:
        """The sides of a UNION or the like, each on its own."""
        return replace_branches(body, self._side)

    def _side(self, body: Tree) -> Tree:
        if "Select" not in body:
            return body
        bare = {"with": None, "body": body, "order_by": None, "limit_clause": None, "fetch": None}
        return self._query(bare)["body"]

    def _folded(self, query: Tree, source: Source, sources: list[Source]) -> Tree | None:
        """The query without that relation, or with fewer rows in it; None where neither is to be had."""
        naming = Naming(sources, self.columns_of)
        if source.query is not None:
            return self._without_constant_row(query, source, naming)
        version = self._version(source.table)
        if version is None:
            return None
        read, used = self._read(query, source, version, naming)
        if read is None:
            return None
        found = self._ask(read)
        if found is None:
            return None
        if found == "many" and read.extreme is not None:
            raise UnsureError(f"several rows have the greatest or least {read.extreme[1]}; which is first is open")
        outer = source.operator == "left"  # where nothing matches, its columns are NULL
        if (found == "one" or (found == "none" and outer)) and can_be_text(version.definition.schema.types):
            try:
                out = self._without_row(query, source, naming, read, used)
                self._keep(read, found)
                self.notes.append(Note("folded", self._shown(read), "its columns are literals"))
                return out
            except UnsureError as error:
                self._note_refusal(source, str(error))
        if not read.keys and read.extreme is None:
            return None  # nothing to be gained: the whole table
        return self._narrowed(query, source, read, found, version)

    # --- one row whose values are known

    def _without_constant_row(self, query: Tree, source: Source, naming: Naming) -> Tree | None:
        row = _constant_row(source.query)
        if row is None or source.operator == "left":
            return None
        columns = source.columns
        if columns is None or len(set(columns)) < len(columns):
            return None
        values, conditions = row
        select = query["body"]["Select"]
        by_name = dict(zip(columns, values, strict=True))
        out, order_by = without(
            select, query["order_by"], source, naming, by_name, condition=conjuncts(source.condition)
        )
        out = {**out, "selection": conjunction([*conjuncts(out["selection"]), *conditions])}
        return {**query, "body": {"Select": out}, "order_by": order_by}

    def _without_row(self, query: Tree, source: Source, naming: Naming, read: Read, used: list[Tree]) -> Tree:
        select = query["body"]["Select"]
        values = {name: read.parameter(name) for name in source.columns or ()}
        condition = [c for c in conjuncts(source.condition) if not _is_among(c, used)]
        if source.operator == "left":
            if condition:
                raise UnsureError("an outer join's condition says more than its key")
            select = _joined_inner(select, source)
        rest = [c for c in conjuncts(select["selection"]) if not _is_among(c, used)]
        select = {**select, "selection": conjunction(rest)}
        out, order_by = without(select, query["order_by"], source, naming, values, condition=condition)
        new = {**query, "body": {"Select": out}, "order_by": order_by}
        if not out["from"] and _is_one(query["limit_clause"]):
            new["limit_clause"] = None
        return new

    # --- reads

    def _read(self, query: Tree, source: Source, version: Version, naming: Naming) -> tuple[Read | None, list[Tree]]:
        """What a query reads of a table by key, and the conditions that say so."""
        select = query["body"]["Select"]
        conditions = conjuncts(source.condition)
        if source.operator != "left":
            conditions = conjuncts(select["selection"]) + conditions
        keys: dict[str, Constant] = {}
        used = []
        for condition in conditions:
            key = self._key(condition, source, version, naming)
            if key is not None and key[0] not in keys:
                keys[key[0]] = key[1]
                used.append(condition)
        extreme = self._newest(query, source, version, naming) if source.operator == "first" else None
        name = version.name
        if extreme is not None and len(used) == len(conditions):
            read = Read(len(self.reads), name, tuple(keys.items()), extreme)
        elif keys or version.rows == 1:
            read = Read(len(self.reads), name, tuple(keys.items()))
        else:
            if name in self._writes:
                self.notes.append(Note("read each step", name, "its rows are not chosen by a key that is known before"))
            return None, []
        return read, used

    def _key(self, condition: Tree, source: Source, version: Version, naming: Naming) -> tuple[str, Constant] | None:
        """``column = constant``, either way round, on a column of whole numbers or of text."""
        comparison = condition.get("BinaryOp")
        if comparison is None or comparison["op"] != "Eq":
            return None
        for mine, other in (("left", "right"), ("right", "left")):
            try:
                column = naming.column(comparison[mine], source)
            except UnsureError:
                continue
            if column is None or column not in version.definition.names:
                continue
            kind = version.definition.schema.field(column).type
            constant = Constant(comparison[other])
            value = constant.value(_Assumed())
            if (pa.types.is_integer(kind) and isinstance(value, int)) or (
                pa.types.is_string(kind) and isinstance(value, str)
            ):
                return column, constant
        return None

    def _newest(
        self, query: Tree, source: Source, version: Version, naming: Naming
    ) -> tuple[Literal["max", "min"], str] | None:
        """``ORDER BY column DESC LIMIT 1`` over the whole table or what has a key."""
        select, order_by = query["body"]["Select"], query["order_by"]
        plain = not (select["distinct"] or select["having"] or select["qualify"] or query["fetch"])
        if not plain or len(naming.sources) > 1 or not order_by or not _is_one(query["limit_clause"]):
            return None
        if _group_keys(select) or _has_aggregate(select["projection"]):
            return None
        keys = order_by["kind"].get("Expressions") if isinstance(order_by["kind"], dict) else None
        if not keys or len(keys) != 1 or keys[0].get("with_fill"):
            return None
        labels = {identifier(i["ExprWithAlias"]["alias"]) for i in select["projection"] if "ExprWithAlias" in i}
        column = naming.column(keys[0]["expr"], source)
        if column is None or column in labels:
            return None
        field = version.definition.schema.field(column)
        if not pa.types.is_integer(field.type) or field.nullable:
            return None  # where NULL comes in the order is not for us to say
        return ("min" if keys[0]["options"]["asc"] in (True, None) else "max"), column

    def _whole_table_extremes(self, query: Tree) -> Tree:
        """``SELECT MAX(step) FROM params``: values that the table's chunks know."""
        select = query["body"]["Select"]
        sources = sources_of(select, self.columns_of)
        plain = not (select["selection"] or select["having"] or select["qualify"] or _group_keys(select))
        if len(sources) != 1 or not plain or query["order_by"] or query["limit_clause"] or select["distinct"]:
            return query
        version = self._version(sources[0].table)
        if version is None:
            return query
        naming = Naming(sources, self.columns_of)
        items = []
        for item in select["projection"]:
            read = self._extreme_of(item, sources[0], version, naming)
            if read is None:
                return query
            items.append((item, read))
        projection = []
        for item, read in items:
            read = Read(len(self.reads), read.table, (), read.extreme, alone=True)
            self._keep(read, self._ask(read) or "none")
            assert read.extreme is not None
            value = read.parameter(read.extreme[1])
            name = item["ExprWithAlias"]["alias"] if "ExprWithAlias" in item else None
            projection.append(
                {"ExprWithAlias": {"expr": value, "alias": name}} if name else {"UnnamedExpr": value}
            )  # fmt: skip
            self.notes.append(Note("folded", f"{read.extreme[0].upper()}({read.extreme[1]}) of {read.table}", ""))
        return {**query, "body": {"Select": {**select, "projection": projection, "from": []}}}

    def _extreme_of(self, item: Tree, source: Source, version: Version, naming: Naming) -> Read | None:
        expression = item["ExprWithAlias"]["expr"] if "ExprWithAlias" in item else item.get("UnnamedExpr", {})
        function = expression.get("Function")
        if function is None or function["over"] or function["filter"] or not isinstance(function["args"], dict):
            return None
        which = name_of(function["name"])[-1].lower()
        arguments = function["args"].get("List", {}).get("args", [])
        if which not in ("max", "min") or len(arguments) != 1 or not isinstance(arguments[0].get("Unnamed"), dict):
            return None
        try:
            column = naming.column(arguments[0]["Unnamed"].get("Expr", {}), source)
        except UnsureError:
            return None
        if column is None or version.definition.schema.field(column).type != pa.int64():
            return None
        return Read(0, version.name, (), (which, column), alone=True)  # type: ignore[arg-type]

    # --- fewer rows

    def _narrowed(self, query: Tree, source: Source, read: Read, found: Found, version: Version) -> Tree:
        """The query, reading only the rows of that key; every condition stays."""
        select = query["body"]["Select"]
        factor = build.table(read.relation, source.alias)["relation"]
        own = source.factor["Table"]["alias"]
        if own is not None:
            factor = {"Table": {**factor["Table"], "alias": own}}
        tables = exchanged(select["from"], source, factor)
        self._slices[read.relation] = version
        self._keep(read, found)
        self.notes.append(Note("bound", self._shown(read), "only the rows of that key are given to the engine"))
        return {**query, "body": {"Select": {**select, "from": tables}}}

    # --- what is known

    def _version(self, name: tuple[str, ...] | None) -> Version | None:
        from ...storage.scratch import Version

        if name is None or len(local_name(name)) > 1:
            return None
        if any(name[-1] in names for names in self._hidden):
            return None
        entry = self._entries.get(name[-1])
        return entry if isinstance(entry, Version) else None

    def _shown(self, read: Read) -> str:
        """A read as a person would say it; an earlier read's column by its table."""
        tables = {str(earlier.number): earlier.table for earlier, _ in self.reads}
        parts = [
            f"{column} = " + re.sub(r"\$(\d+)\.", lambda m: f"{tables[m[1]]}.", expression_sql(constant.tree))
            for column, constant in read.keys
        ]
        if read.extreme is not None:
            parts.append(f"{read.extreme[1]} is its {'greatest' if read.extreme[0] == 'max' else 'least'}")
        return f"{read.table} where {' and '.join(parts)}" if parts else f"{read.table}, one row"

    def _keep(self, read: Read, found: Found) -> None:
        self.reads.append((read, found))

    def _note_refusal(self, source: Source, why: str) -> None:
        name = ".".join(source.table) if source.table else source.alias
        self.notes.append(Note("not folded", name, why))


class _Assumed(Mapping[str, Any]):
    """Every parameter is a whole number, as far as recognising a key goes; the lookup looks again."""

    def __getitem__(self, key: str) -> int:
        return 0

    def get(self, key: str, default: Any = None) -> int:
        """As ``[]``."""
        return 0

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


def _constant_row(query: Tree) -> tuple[list[Tree], list[Tree]] | None:
    """The expressions of a query that gives one row of constants, and the conditions under which it does."""
    body = query["body"]
    if query["with"] or "Select" not in body:
        return None
    select = body["Select"]
    rest = (select["from"], select["having"], select["qualify"], select["distinct"], _group_keys(select))
    if any(rest) or query["limit_clause"] or query["fetch"] or query["order_by"]:
        return None
    expressions = []
    for item in select["projection"]:
        expression = item["ExprWithAlias"]["expr"] if "ExprWithAlias" in item else item.get("UnnamedExpr")
        if expression is None or not _is_pure(expression):
            return None
        expressions.append(expression)
    return expressions, conjuncts(select["selection"])


def _value_of(query: Any) -> Tree | None:
    """The expression that a scalar subquery of one constant means."""
    if not is_query(query):
        return None
    row = _constant_row(query)
    return row[0][0] if row is not None and len(row[0]) == 1 and not row[1] and parameters_in(query) else None


def _is_pure(expression: Tree) -> bool:
    """Whether an expression has only literals, parameters and operators in it: no function, no column, no subquery."""
    if isinstance(expression, dict):
        return not (set(expression) & _IMPURE) and all(_is_pure(v) for k, v in expression.items() if k != "data_type")
    return all(_is_pure(v) for v in expression) if isinstance(expression, (list, tuple)) else True


_IMPURE = {"Function", "Identifier", "CompoundIdentifier", "Subquery", "Exists", "InSubquery", "body", "Wildcard"}


def _is_recursive(node: Tree) -> bool:
    return is_query(node) and bool(node["with"])


def _group_keys(select: Tree) -> bool:
    group_by = select["group_by"]
    return not (isinstance(group_by, dict) and "Expressions" in group_by and not any(group_by["Expressions"]))


def _has_aggregate(projection: list[Tree]) -> bool:
    """Whether a SELECT list may have an aggregate in it; any function counts, since it may be one."""
    if isinstance(projection, dict):
        return "Function" in projection or any(_has_aggregate(v) for v in projection.values())
    return any(_has_aggregate(v) for v in projection) if isinstance(projection, (list, tuple)) else False


def _is_one(limit: Tree) -> bool:
    """Whether a LIMIT is LIMIT 1, without OFFSET."""
    inner = limit.get("LimitOffset") if isinstance(limit, dict) else None
    if inner is None or inner["offset"] or inner["limit_by"] or not isinstance(inner["limit"], dict):
        return False
    value = inner["limit"].get("Value", {}).get("value")
    return isinstance(value, dict) and value.get("Number", [""])[0] == "1"


def _is_among(condition: Tree, conditions: list[Tree]) -> bool:
    return any(condition is other for other in conditions)


def _joined_inner(select: Tree, source: Source) -> Tree:
    """The SELECT with that outer join, of which the row is known to match, as a cross join."""
    item = select["from"][source.item]
    joins = list(item["joins"])
    joins[source.join] = {**joins[source.join], "join_operator": {"CrossJoin": "None"}}
    tables = [*select["from"][: source.item], {**item, "joins": joins}, *select["from"][source.item + 1 :]]
    return {**select, "from": tables}

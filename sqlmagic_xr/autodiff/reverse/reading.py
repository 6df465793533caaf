"""Bound queries -> blocks: what reads the cells is taken apart, what does not is read as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...relation import columns as bound
from ...relation import nodes
from ...relation.bind import Cte
from ...relation.catalog import Catalog
from ...relation.conditions import conjuncts
from ...relation.facts import always_one_row, key, nullable, types, using_pairs
from ...relation.functions import SAME
from ...relation.layers import ColumnType
from ...relation.rebuild import substituted as rebuilt
from ...relation.write import derived, written
from ...sql.build import cte_names
from ...sql.clauses import named_table, numbered
from ...sql.expression import Call, Cast, Column, Expression
from ..doubles import REAL
from .blocks import (
    Block,
    From,
    Given,
    Joined,
    Leaf,
    Node,
    Path,
    Union,
    active,
    label,
    names,
    substituted,
)
from .keys import kind_of
from .refusing import refused, require_free, require_steady
from .slopes import kind_of_expression
from .windows import windowed

SUMMED = frozenset({"sum", "count", "min", "max"})
"""The aggregates that are taken back; an average is a sum divided by a count."""


_OF_SOME_ROW = frozenset({"first_value", "last_value", "nth_value", "array_agg", "string_agg"})


@dataclass(frozen=True)
class Cells:
    """By what derivatives are taken: the columns of a table, or of a query that has a name.

    Attributes:
        table: the table's name, or None.
        query: the query, or None.
        columns: its columns, by its own names.
    """

    table: tuple[str, ...] | None
    query: nodes.Relation | None
    columns: frozenset[str]

    def of(self, relation: nodes.Relation) -> bool:
        """Whether a relation is a reading of it."""
        if isinstance(relation, nodes.Scan):
            return relation.table.name == self.table
        return isinstance(relation, nodes.Shared) and relation.query is self.query


class Reader:
    """Makes blocks of bound queries; what is read twice becomes one block.

    Args:
        cells: by what derivatives are taken.
        ctes: the CTEs that may be named where the derivative is written.
        catalog: what tables there are.
    """

    def __init__(self, cells: Cells, ctes: Mapping[str, Cte], catalog: Catalog) -> None:
        self.cells, self.ctes, self.catalog = cells, ctes, catalog
        self._queries: dict[int, tuple[nodes.Relation, Node]] = {}
        self.beside: list[Leaf] = []
        self.columns: dict[nodes.Relation, Callable[[str], Expression]] = {}

    def reads(self, query: nodes.Relation) -> bool:
        """Whether a query reads the cells."""
        return any(map(self.cells.of, nodes.relations(query)))

    def query(self, query: nodes.Relation, name: str) -> Node:
        """The block, or the UNION of blocks, that a query is."""
        if id(query) not in self._queries:
            self._queries[id(query)] = (query, self._query(query, name))
        return self._queries[id(query)][1]

    def _query(self, query: nodes.Relation, name: str) -> Node:
        match query:
            case nodes.Sort():
                return self.query(query.source, name)
            case nodes.Select():
                return self._select(query, name)
            case nodes.Shared():
                return self.query(query.query, name)
            case nodes.Union(operator="union", all=True):
                parts = [self.query(part, name) for part in query.parts]
                return Union(name, tuple(_plain(part, query, name) for part in parts))
            case nodes.Union():
                raise refused(f"no derivative goes through {query.operator.upper()} of distinct rows",
                              "UNION ALL can be; or derive inside its branches.", query)  # fmt: skip
            case nodes.Limit():
                raise refused("no derivative goes through LIMIT here", "Choose the rows by a condition.", query)
            case nodes.Recursive():
                raise refused(f"no derivative goes through the recursion {query.name}",
                              "Write its steps out, or train step by step.", query)  # fmt: skip
            case nodes.Opaque():
                raise refused(f"no derivative goes through this query: {query.why}",
                              "Write that part in another way, or derive inside it.", query)  # fmt: skip
        raise refused("no derivative goes through this query", "Write it as a SELECT.", query)

    # FROM

    def _leaf(self, leaf: nodes.Relation) -> Leaf:
        name = _called(leaf)
        node: Node | None = self.given(leaf) if self.cells.of(leaf) or not self.reads(leaf) else None
        if node is None:
            if not isinstance(leaf, nodes.Shared):
                raise refused(f"no derivative goes through {name}: it is not known what it reads",
                              "Write it as a SELECT.", leaf)  # fmt: skip
            node = self.query(leaf.query, name)
        found = Leaf(label(name), node)
        self.columns[leaf] = lambda column: found.column(self.inner(leaf, column))
        return found

    def inner(self, leaf: nodes.Relation, column: str) -> str:
        """The name that a relation itself has for a column that a FROM calls so."""
        if isinstance(leaf, nodes.Scan):
            return leaf.column(column)
        if isinstance(leaf, nodes.Shared):
            names = self._own_names(leaf)
            found = names[leaf.inner(column)]
            if found is not None and names.count(found) == 1:
                return found
        raise refused(f"the column {column} has no name of its own where it is computed",
                      "Give it one: ... AS name.", leaf)  # fmt: skip

    def _own_names(self, leaf: nodes.Shared) -> nodes.Names:
        """The names of its columns where it is defined, or where it is named."""
        named = self._by_name(leaf)
        if named is not None and (self.cells.of(leaf) or not self.reads(leaf)):
            return named
        return leaf.query.names or ()

    def _by_name(self, leaf: nodes.Shared) -> nodes.Names | None:
        """The columns of a CTE or a view as whoever names it calls them; None where it cannot be named."""
        if leaf.kind == "view":
            known = self.catalog.table(leaf.name)
            return None if known is None else tuple(known.columns)
        cte = self.ctes.get(leaf.name[0]) if leaf.kind == "cte" and len(leaf.name) == 1 else None
        if cte is None or cte.query is not leaf.query:
            return None
        return replace(leaf, renamed=cte.renamed).names

    def given(self, leaf: nodes.Relation) -> Given:
        """A relation that is read as it is."""
        self._require_steady(leaf)
        inside = [self.inner(leaf, name) for name in leaf.names or () if name is not None]
        kinds = [kind_of_type(kind) for kind in types(leaf)] or [None] * len(inside)
        named = dict(zip(leaf.names or (), inside, strict=True))
        known, factor, sure = key(leaf), self._factor(leaf), nullable(leaf)
        if self.cells.of(leaf) and known is None:
            factor = self.numbered(leaf)
            known = (row_of(inside),)
            named[known[0]] = known[0]
            inside, kinds, sure = [*inside, known[0]], [*kinds, "integer"], (*sure, False)
        return Given(
            _called(leaf), factor, dict(zip(inside, kinds, strict=True)),
            frozenset(n for n, null in zip(inside, sure, strict=True) if not null),
            None if known is None else tuple(named[name] for name in known),
            self.cells.columns if self.cells.of(leaf) else frozenset(), always_one_row(leaf),
        )  # fmt: skip

    def numbered(self, leaf: nodes.Relation, alias: str = "") -> object:
        """A relation without a key in FROM, with the number of each row."""
        columns = [self.inner(leaf, name) for name in leaf.names or () if name is not None]
        return numbered(self._factor(leaf), columns, row_of(columns), alias or _called(leaf))

    def _factor(self, leaf: nodes.Relation) -> object:
        if isinstance(leaf, nodes.Scan):
            return self._table(leaf.table.name)
        assert isinstance(leaf, nodes.Shared)
        if self._by_name(leaf) is not None:
            return named_table(leaf.name) if leaf.kind == "cte" else self._table(leaf.name)
        tree = written(leaf.query)
        self._require_seen(leaf.query, cte_names(tree), leaf)
        return derived(tree, _called(leaf))

    def _require_seen(self, query: nodes.Relation, own: set[str], where: object) -> None:
        """Raise DerivativeError where a query's text would mean other relations in the place it is put into."""
        for inside in nodes.relations(query):
            hidden = isinstance(inside, nodes.Scan) and inside.table.name[0] in self.ctes
            if isinstance(inside, nodes.Shared) and inside.kind == "cte" and inside.name[0] not in own:
                hidden = self._by_name(inside) is None
            if hidden:
                raise refused(f"{_called(inside)} means another relation where the derivative is written",
                              "Give one of them another name.", where)  # fmt: skip

    def _table(self, name: tuple[str, ...]) -> object:
        """A table by its name; with its schema where a CTE has the same."""
        before = name[:-1] or (("public",) if name[0] in self.ctes else ())
        return named_table((*before, name[-1]))

    def _require_steady(self, leaf: nodes.Relation) -> None:
        """What is evaluated again on the way back must give the same rows."""
        for node in nodes.relations(leaf):
            if isinstance(node, nodes.Opaque):
                raise refused(f"{_called(leaf)} is not understood: {node.why}", "Write it in another way.", leaf)
            if isinstance(node, nodes.Limit) and not isinstance(node.source, nodes.Sort):
                raise refused("LIMIT without ORDER BY may take other rows each time", "Add an ORDER BY.", node, leaf)
            for expression in node.expressions:
                require_steady(expression)

    def _from(self, source: nodes.Relation, where: list[Expression]) -> tuple[From, ...]:
        """What a FROM reads, side by side; the conditions of inner joins go to ``where``."""
        if isinstance(source, nodes.Values) and source.rows == ((),):
            return ()
        if not isinstance(source, nodes.Join):
            return (self._leaf(source),)
        if source.kind in ("cross", "inner"):
            sides = (*self._from(source.left, where), *self._from(source.right, where))
            where += self._on(source)
            return sides
        sides = tuple(self._side(side) for side in (source.left, source.right))
        return (Joined(sides[0], sides[1], source.kind, tuple(self._on(source))),)  # type: ignore[arg-type]

    def _side(self, source: nodes.Relation) -> From:
        """A side of an outer join, as one part."""
        if isinstance(source, nodes.Join) and source.kind in ("cross", "inner"):
            left, right = self._side(source.left), self._side(source.right)
            return Joined(left, right, "inner", tuple(self._on(source)))
        (part,) = self._from(source, [])
        return part

    def _on(self, join: nodes.Join) -> list[Expression]:
        found: list[Expression] = [Call("=", (self.expression(a), self.expression(b))) for a, b in using_pairs(join)]
        found += self._conjuncts(join.on)
        if join.kind not in ("cross", "inner"):
            self._require_none_beside(join)
        return found

    def _conjuncts(self, condition: Expression | None) -> list[Expression]:
        return [] if condition is None else list(conjuncts(self.expression(condition)))

    def expression(self, expression: Expression) -> Expression:
        """A bound expression as one over labels."""
        require_steady(expression)

        def change(part: Expression) -> Expression | None:
            if isinstance(part, bound.Field):
                column = self.columns.get(part.relation)
                if column is None:
                    raise refused(f"{part.name} is of a query around this one", "Join the two instead.", part)
                return column(part.name)
            if isinstance(part, bound.Nested):
                if part.kind == "scalar" and not part.query.free and self.reads(part.query):
                    return self._value_of(part)
                if part.query.free or self.reads(part.query):
                    raise refused("no derivative goes through a query inside an expression",
                                  "Put it into FROM: JOIN (SELECT ...) AS q ON ...", part)  # fmt: skip
                self._require_steady(part.query)
                self._require_seen(part.query, cte_names(written(part.query)), part)
            return None

        return rebuilt(expression, change)

    def _value_of(self, part: bound.Nested) -> Expression:
        """The one value of a query inside an expression, as a column of one more relation beside those of the FROM."""
        node = self.query(part.query, "value")
        if not isinstance(node, Block) or key(part.query) != ():
            raise refused("a query inside an expression that may have several rows has no derivative",
                          "Give it an aggregate, or conditions on its whole key.", part)  # fmt: skip
        name = next(iter(node.outputs))
        if not always_one_row(part.query):
            inner = Leaf(label(node.name), node)
            if kind_of(node, name) not in ("real", "integer"):
                raise refused("a query inside an expression that is no number has no derivative", "Join it.", part)
            # of one row the sum is its value, and of none there is one row with NULL, as SQL says
            node = Block(node.name, (inner,), (), {name: Call("sum", (inner.column(name),))}, ())
        leaf = Leaf(label(node.name), node)
        self.beside.append(leaf)
        return leaf.column(name)

    def taken(self, block: Block) -> Block:
        """A block with the values of queries inside its expressions beside what its FROM reads."""
        found = replace(block, source=(*block.source, *self.beside))
        self.beside = []
        return found

    def _require_none_beside(self, where: object) -> None:
        if self.beside:
            raise refused("a query inside ON of an outer join, or inside a window, has no derivative",
                          "Join it in a subquery first.", where)  # fmt: skip

    # SELECT

    def _select(self, select: nodes.Select, name: str) -> Node:
        around, self.beside = self.beside, []
        try:
            return self._select_alone(select, name)
        finally:
            self.beside = around

    def _select_alone(self, select: nodes.Select, name: str) -> Node:
        where: list[Expression] = []
        source, window, group = select.source, None, None
        if isinstance(source, nodes.Window):
            window, source = source, source.source
        if isinstance(source, nodes.Aggregate):
            group, source = source, source.source
        condition = group.condition if group is not None else window.condition if window is not None else (
            select.condition)  # fmt: skip
        read = self._from(source, where)
        where += self._conjuncts(condition)
        block = self.taken(Block(name, read, tuple(where), {}))
        if group is not None:
            block = self._grouped(group, block, select)
            above = window.condition if window is not None else select.condition
            block = self.taken(replace(block, where=tuple(self._conjuncts(above))))
        if window is not None:
            block = windowed(self, window, block, select)
            self._require_none_beside(select)
            block = replace(block, where=(*block.where, *self._conjuncts(select.condition)))
        return self._shown(select, block, computed=group is not None)

    def _shown(self, select: nodes.Select, block: Block, *, computed: bool) -> Node:
        outputs = {output.name or f"column_{n}": self.expression(output.expression)
                   for n, output in enumerate(select.outputs)}  # fmt: skip
        if len(outputs) < len(select.outputs):
            raise refused("two columns of a query have one name", "Give one of them another name.", select)
        found = self.taken(replace(block, outputs=outputs))
        if select.distinct:
            raise refused("no derivative goes through SELECT DISTINCT",
                          "Use GROUP BY with aggregates, or derive inside it.", select)  # fmt: skip
        return _merged(found) if computed else found

    def _grouped(self, group: nodes.Aggregate, block: Block, select: nodes.Select) -> Block:
        """The block above a group, which reads its keys and aggregates."""
        if group.sets:
            raise refused("no derivative goes through GROUPING SETS here", "Write one GROUP BY for each.", select)
        keys = {_word(str(k.name)): self.expression(k.expression) for k in group.keys}
        names = {str(k.name): _word(str(k.name)) for k in group.keys}
        block = self.taken(block)
        require_free(replace(block, outputs=keys), "GROUP BY", select)
        measures: dict[str, Expression] = {}
        values: dict[str, Expression] = {}
        inner = Leaf(label(block.name), replace(block))  # its node is put in below
        wanted = {o.expression.name: o.name for o in select.outputs if isinstance(o.expression, bound.Field)}
        for measure in group.measures:
            base = _word(wanted.get(measure.name) or f"{measure.call.name}_{len(measures)}")
            while base in keys or base in measures:
                base += "_1"
            if measure.order:
                raise refused(f"{measure.call.name} with an ORDER BY has no derivative through a whole query",
                              "Use MIN or MAX, or a join.", measure.call)  # fmt: skip
            call = self.expression(measure.call)
            assert isinstance(call, Call)
            block = self.taken(block)
            values[measure.name] = self.measure(call, block, measures, base, inner)
        block = self.taken(block)
        made = replace(block, outputs={**keys, **measures}, keys=tuple(keys) if group.grouped else ())
        leaf = Leaf(inner.label, made)
        self.columns[group] = lambda n: leaf.column(names[n]) if n in names else values[n]
        return Block(block.name, (leaf,), (), {})

    def measure(
        self, call: Call, block: Block, measures: dict[str, Expression], name: str, leaf: Leaf
    ) -> Expression:  # fmt: skip
        """Add what an aggregate is calculated from to the measures of a group.

        Args:
            call: the aggregate, over the columns of ``block``.
            block: the rows that are grouped.
            measures: the group's, by name.
            name: what it may be called.
            leaf: the group as it is read.

        Returns:
            Its value where the group is read.
        """
        call = replace(call, name=SAME.get(call.name, call.name))
        live = bool(active(replace(block, outputs={str(n): part for n, part in enumerate(call.args)}, keys=None)))
        if call.name in _OF_SOME_ROW:
            raise refused(f"{call.name} without an order takes any row", "Use MIN or MAX.", call)
        if not live or call.name in SUMMED:
            if live and call.distinct and call.name != "count":
                raise refused(f"{call.name} of DISTINCT values has no derivative", "Leave DISTINCT out.", call)
            measures[name] = call
            return leaf.column(name)
        if call.name != "avg" or call.distinct:
            raise refused(f"{call.name} has no derivative through a whole query",
                          "Write it with SUM, AVG, COUNT, MIN and MAX.", call)  # fmt: skip
        total, count = f"sum_{name}", f"count_{name}"
        while total in measures or count in measures:
            total, count = total + "_1", count + "_1"
        measures[total] = replace(call, name="sum", args=(_real(block, call.args[0]),))
        measures[count] = replace(call, name="count")
        return Call("/", (leaf.column(total), Cast(leaf.column(count), REAL)))

    def rename(self, new: Mapping[Path, Expression], window: nodes.Window) -> None:
        """Let the columns of a FROM be those of the rows that windows look at."""
        if new:
            for relation, old in list(self.columns.items()):
                if relation is not window:
                    self.columns[relation] = _through(old, new)


def _through(old: Callable[[str], Expression], new: Mapping[Path, Expression]) -> Callable[[str], Expression]:
    return lambda name: substituted(old(name), new)


def _real(block: Block, expression: Expression) -> Expression:
    """A number that is summed as a double, as AVG does."""
    return expression if kind_of_expression(block, expression) == "real" else Cast(expression, REAL)


def _merged(block: Block) -> Node:
    """A group whose columns are shown as they are, as one block."""
    (leaf,) = block.source if len(block.source) == 1 else (None,)
    if not isinstance(leaf, Leaf) or not isinstance(leaf.node, Block) or block.where or not leaf.node.groups:
        return block
    shown = [e.path[1] for e in block.outputs.values() if isinstance(e, Column)]
    if len(shown) < len(block.outputs) or len(set(shown)) < len(shown):
        return block
    outputs = {name: leaf.node.outputs[inner] for name, inner in zip(block.outputs, shown, strict=True)}
    called = dict(zip(shown, block.outputs, strict=True))
    for key_name in leaf.node.keys or ():
        if key_name not in called:
            name = key_name
            while name in outputs:
                name += "_1"
            called[key_name], outputs[name] = name, leaf.node.outputs[key_name]
    return replace(leaf.node, outputs=outputs, keys=tuple(called[k] for k in leaf.node.keys or ()))


def _plain(node: Node, query: nodes.Relation, name: str) -> Block:
    """A branch of a UNION, with no column but those that it shows."""
    if isinstance(node, Block):
        if node.groups:
            leaf = Leaf(label(name), node)
            return Block(name, (leaf,), (), {n: leaf.column(n) for n in list(node.outputs)[: len(query.names or ())]})
        return node
    leaf = Leaf(label(name), node)
    return Block(name, (leaf,), (), {n: leaf.column(n) for n in names(node)})


def row_of(columns: Sequence[str]) -> str:
    """The name of the column that numbers the rows of a table without a key."""
    name = "row"
    while name in columns:
        name += "_1"
    return name


def kind_of_type(kind: str | None) -> ColumnType | None:
    """What kind of value an Arrow type holds, by its name.

    >>> kind_of_type("int64"), kind_of_type("double"), kind_of_type("decimal128(10, 2)")
    ('integer', 'real', 'decimal')
    """
    if kind is None:
        return None
    for start, found in _KINDS:
        if kind.startswith(start):
            return found
    return "other"


_KINDS: tuple[tuple[str, ColumnType], ...] = (
    ("int", "integer"), ("uint", "integer"), ("double", "real"), ("float", "real"), ("halffloat", "real"),
    ("decimal", "decimal"), ("bool", "boolean"), ("string", "text"), ("large_string", "text"),
    ("dictionary", "text"), ("timestamp", "time"), ("date", "time"), ("time", "time"), ("duration", "time"),
)  # fmt: skip


def _called(relation: nodes.Relation) -> str:
    if isinstance(relation, nodes.Shared) and relation.name:
        return relation.name[-1]
    if isinstance(relation, nodes.Leaf) and relation.path:
        return relation.path[-1]
    return "rows"


def _word(name: str) -> str:
    return name.replace(" ", "_")

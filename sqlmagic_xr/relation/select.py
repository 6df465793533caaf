"""One SELECT bound: WHERE, then groups, then windows, then the columns that it puts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from ..errors import UnknownNameError
from ..sql.expression import Call, Expression, Literal, Verbatim, from_tree
from ..sql.selects import star_of
from ..sql.syntax import Tree, identifier, span_of, walk
from .columns import Field, Measure, Nested, Output, SortKey
from .names import qualifies
from .nodes import Aggregate, Leaf, Relation, Select, Sort, Window
from .ordering import sort_key
from .rebuild import substituted
from .scope import BindingScope, Unsure, is_aggregate, is_window, shown_by_star, written

Grouping = tuple[tuple[int, ...], ...]

_UNKNOWN = (
    "top", "into", "lateral_views", "prewhere", "connect_by", "cluster_by", "distribute_by", "sort_by", "named_window",
    "value_table_mode", "exclude",
)  # fmt: skip


class SelectBinder:
    """Binds one SELECT.

    Args:
        select: its tree.
        source: its FROM.
        scope: what names mean in it.
    """

    def __init__(self, select: Tree, source: Relation, scope: BindingScope) -> None:
        for clause in _UNKNOWN:
            if select.get(clause):
                raise Unsure(f"{clause.replace('_', ' ').upper()} is not bound")
        if select["flavor"] != "Standard":
            raise Unsure("this SELECT is not bound")
        self.tree, self.source, self.scope = select, source, scope

    def bound(self, order: Sequence[Tree]) -> Relation:
        """The relation, sorted by the keys of the ORDER BY behind it."""
        select = self.tree
        outputs = list(self._outputs())
        named = [o for o in outputs if o.tree is not None and "ExprWithAlias" in o.tree]
        aliases = {o.name: o.expression for o in named if o.name is not None}
        chosen = select["selection"]
        where = None if chosen is None else self.scope.filtering.expression(chosen)
        having, qualify = (None if select[c] is None else self.scope.expression(select[c], aliases)
                           for c in ("having", "qualify"))  # fmt: skip
        distinct = self._distinct(select["distinct"], aliases)
        keys = [self._sort_key(key, outputs, _once(outputs)) for key in order]
        parts = _Parts(outputs, having, qualify, distinct, keys)
        grouped, sets = self._group_keys(outputs, aliases)
        relation, condition = self.source, where
        calls = parts.calls(is_aggregate)
        if grouped is not None or calls:
            relation = self._aggregate(relation, condition, grouped, sets, list(calls), parts)
            condition = parts.having
        elif having is not None:
            raise Unsure("HAVING without a group")
        over = parts.calls(is_window)
        if over:
            relation = self._window(relation, condition, list(over), parts)
            condition = parts.qualify
        elif qualify is not None:
            raise Unsure("QUALIFY without a window")
        self._check_names(parts.outputs)
        found = Select(relation, condition, tuple(parts.outputs), parts.distinct, tree=select)
        keys = [self._named_key(key, found) for key in parts.keys]
        return Sort(found, tuple(keys), tree=order) if keys else found

    # Columns

    def _outputs(self) -> Iterator[Output]:
        for item in self.tree["projection"]:
            ((kind, body),) = item.items()
            if kind == "UnnamedExpr":
                expression = self.scope.expression(body)
                own = {"Identifier", "CompoundIdentifier"} & set(body)
                yield Output(identifier(_last(body)) if own else None, expression, item)
            elif kind == "ExprWithAlias":
                yield Output(identifier(body["alias"]), self.scope.expression(body["expr"]), item)
            elif kind in ("Wildcard", "QualifiedWildcard"):
                yield from self._star(kind, body)
            else:
                raise Unsure(f"{kind} is not bound")

    def _star(self, kind: str, body: Tree) -> Iterator[Output]:
        options = body if kind == "Wildcard" else body[1]
        if any(options.get(key) is not None for key in ("opt_ilike", "opt_replace", "opt_rename")):
            raise Unsure("a star with options")
        hidden = {identifier(n) for key in ("opt_exclude", "opt_except") for n in walk(options.get(key))
                  if "quote_style" in n}  # fmt: skip
        mine: Iterable[Leaf] = self.scope.leaves
        qualifier = star_of({kind: body})
        if qualifier:
            mine = [leaf for leaf in self.scope.leaves if qualifies(qualifier, leaf.path)]
            if not mine:
                error = UnknownNameError(f"there is no relation {'.'.join(qualifier)} here")
                error.span = span_of(body[0])
                raise error
        for leaf in mine:
            for name in _known(leaf):
                merged = self.scope.merged.get(name) if kind == "Wildcard" else None
                joined = merged is not None and leaf in merged.leaves
                if name in hidden or (merged is not None and joined and shown_by_star(merged, name) is not leaf):
                    continue
                yield Output(name, Field(leaf, name))

    def _check_names(self, outputs: Sequence[Output]) -> None:
        """Refuse two columns of one name, unless each is a column of another relation."""
        seen: dict[str, Output] = {}
        for output in outputs:
            other = seen.setdefault(output.name, output) if output.name is not None else output
            if other is output or (_is_of_a_relation(other) and _is_of_a_relation(output) and
                                   other.expression != output.expression):  # fmt: skip
                continue
            error = UnknownNameError(f"two columns have the name {output.name}", hint="Give one of them another name.")
            error.span = span_of(output.tree if output.tree is not None else self.tree["projection"])
            raise error

    def _distinct(self, tree: Tree | None, aliases: dict[str, Expression]) -> bool | tuple[Expression, ...]:
        if isinstance(tree, dict) and "On" in tree:
            return tuple(self.scope.expression(key, aliases) for key in tree["On"])
        if tree not in (None, "Distinct", "All"):
            raise Unsure("this DISTINCT is not bound")
        return tree == "Distinct"

    def _sort_key(self, tree: Tree, outputs: Sequence[Output], aliases: dict[str, Expression]) -> SortKey:
        place = _position(tree["expr"], len(outputs))
        expression = outputs[place].expression if place is not None else self.scope.expression(
            tree["expr"], aliases, "outputs")  # fmt: skip
        return sort_key(tree, expression)

    def _named_key(self, key: SortKey, found: Select) -> SortKey:
        """A key as the output that it is, if it is one."""
        for output in found.outputs:
            if output.name is not None and output.expression == key.expression and found.has(output.name):
                return replace(key, expression=written(Field(found, output.name), key.tree["expr"]))
        return key

    # Groups

    def _group_keys(
        self, outputs: Sequence[Output], aliases: dict[str, Expression]
    ) -> tuple[list[Expression] | None, Grouping]:
        """The keys of GROUP BY, None without one; of GROUPING SETS, for each set the places of its keys."""
        clause = self.tree["group_by"].get("Expressions") if isinstance(self.tree["group_by"], dict) else None
        if clause is None:
            raise Unsure("GROUP BY ALL is not bound")
        keys, modifiers = clause
        if modifiers:
            raise Unsure("this GROUP BY is not bound")
        if not keys:
            return None, ()
        sets = any(set(key) & {"GroupingSets", "Rollup", "Cube"} for key in keys)

        def meant(key: Tree) -> Expression:
            place = _position(key, len(outputs))
            return outputs[place].expression if place is not None else self.scope.expression(key, aliases)

        if not sets:
            return list(dict.fromkeys(map(meant, keys))), ()
        parts = [[[meant(one) for one in group] for group in _sets(key)] for key in keys]
        found = list(dict.fromkeys(e for groups in parts for group in groups for e in group))
        joined = [dict.fromkeys(e for group in groups for e in group) for groups in product(*parts)]
        return found, tuple(tuple(map(found.index, group)) for group in joined)

    def _aggregate(
        self,
        source: Relation,
        where: Expression | None,
        keys: list[Expression] | None,
        sets: Grouping,
        calls: Sequence[Expression],
        parts: _Parts,
    ) -> Relation:
        taken: set[str] = set()
        columns = []
        for number, key in enumerate(keys or ()):
            own = key.name if isinstance(key, Field) and key.name not in taken else f"key {number}"
            taken.add(own)
            columns.append(Output(own, key))
        measures = tuple(self._measure(f"aggregate {n}", call) for n, call in enumerate(calls))
        group = Aggregate(source, where, tuple(columns), measures, keys is not None, bool(sets), sets, tree=self.tree)
        table: dict[Expression, str] = {output.expression: str(output.name) for output in columns}
        table |= {call: measure.name for call, measure in zip(calls, measures, strict=True)}
        parts.change(lambda e: Field(group, table[e], origin=e.origin) if e in table else None)
        inside = {leaf for x in parts.all for e in _own(x) if isinstance(e, Nested) for leaf in e.query.free}
        if inside & set(source.visible):
            raise Unsure("a subquery above a GROUP BY uses a column below it")
        return group

    def _window(
        self, source: Relation, condition: Expression | None, calls: Sequence[Expression], parts: _Parts
    ) -> Relation:
        if any(is_window(e) for call in calls for part in call.parts for e in _own(part)):
            raise Unsure("a window inside a window")
        measures = tuple(parts.over(call, self._measure(f"window {n}", call)) for n, call in enumerate(calls))
        window = Window(source, condition, measures, tree=self.tree)
        table = {call: measure.name for call, measure in zip(calls, measures, strict=True)}
        parts.change(lambda e: Field(window, table[e], origin=e.origin) if e in table else None)
        return window

    def _measure(self, name: str, call: Expression) -> Measure:
        """An aggregate or a window function with its ORDER BY and PARTITION BY."""
        assert isinstance(call, Call)
        bare = call if call.window is None and call.order is None else replace(call, window=None, order=None)
        plain = written(bare, call.origin)
        if call.window is None:
            order = () if call.order is None else self._keys(call.order.tree)
            return Measure(name, plain, order)  # type: ignore[arg-type]
        spec = call.window.tree.get("WindowSpec")
        if spec is None or spec["window_name"] is not None or call.order is not None:
            raise Unsure("a named window is not bound")
        partition = tuple(self.scope.expression(tree) for tree in spec["partition_by"])
        return Measure(name, plain, self._keys(spec["order_by"]), partition, spec["window_frame"], True)  # type: ignore[arg-type]

    def _keys(self, trees: Sequence[Tree]) -> tuple[SortKey, ...]:
        return tuple(sort_key(tree, self.scope.expression(tree["expr"])) for tree in trees)


class _Parts:
    """What stands above the groups and windows of a SELECT; a change reaches all of it."""

    def __init__(
        self, outputs: list[Output], having: Expression | None, qualify: Expression | None,
        distinct: bool | tuple[Expression, ...], keys: list[SortKey],
    ) -> None:  # fmt: skip
        self.outputs, self.having, self.qualify, self.distinct, self.keys = outputs, having, qualify, distinct, keys
        self._changes: list[Callable[[Expression], Expression | None]] = []

    @property
    def all(self) -> Iterator[Expression]:
        """Its expressions."""
        yield from (output.expression for output in self.outputs)
        yield from (e for e in (self.having, self.qualify) if e is not None)
        yield from (self.distinct if isinstance(self.distinct, tuple) else ())
        yield from (key.expression for key in self.keys)

    def calls(self, wanted: Callable[[Expression], bool]) -> dict[Expression, None]:
        """Its calls of a kind, each once."""
        found = (e for x in self.all if not isinstance(x, Field) for e in _own(x))
        return dict.fromkeys(e for e in found if isinstance(e, Call) and wanted(e))

    def change(self, change: Callable[[Expression], Expression | None]) -> None:
        """Put other expressions in place of some, the outer ones first."""
        self._changes.append(change)

        def new(e: Expression) -> Expression:
            found = substituted(e, change)
            return found if found is e or "_written" not in e.__dict__ else written(found, e.__dict__["_written"])

        self.outputs = [Output(o.name, new(o.expression), o.tree) for o in self.outputs]
        self.having = None if self.having is None else new(self.having)
        self.qualify = None if self.qualify is None else new(self.qualify)
        self.distinct = tuple(map(new, self.distinct)) if isinstance(self.distinct, tuple) else self.distinct
        self.keys = [replace(key, expression=new(key.expression)) for key in self.keys]

    def over(self, call: Expression, measure: Measure) -> Measure:
        """A window function, changed as everything around it was."""
        for change in self._changes:
            order = tuple(replace(k, expression=substituted(k.expression, change)) for k in measure.order)
            partition = tuple(substituted(e, change) for e in measure.partition)
            measure = replace(measure, order=order, partition=partition)
        return measure


def _once(outputs: Sequence[Output]) -> dict[str, Expression]:
    """The outputs by their names, those apart that share one."""
    counts = Counter(output.name for output in outputs)
    return {output.name: output.expression for output in outputs if output.name and counts[output.name] == 1}


def _own(expression: Expression) -> Iterator[Expression]:
    """The parts of an expression; an aggregate's own parts are those of the rows below it."""
    todo = [expression]
    while todo:
        node = todo.pop()
        yield node
        if is_window(node):
            assert isinstance(node, Call)
            todo += [e for tree in _window_trees(node.window) for e in tree] + list(node.parts)
        elif not is_aggregate(node):
            todo += node.parts


def _window_trees(window: Verbatim | None) -> Iterator[list[Expression]]:
    """Nothing yet: aggregates inside PARTITION BY and ORDER BY of a window are refused where they are bound."""
    spec = window.tree.get("WindowSpec") if window is not None else None
    if spec is not None:
        inside = [*spec["partition_by"], *(key["expr"] for key in spec["order_by"])]
        if any(is_aggregate(e) for tree in inside for e in _deep(from_tree(tree))):
            raise Unsure("a window is ordered or partitioned by an aggregate")
    yield []


def _deep(expression: Expression) -> Iterator[Expression]:
    todo = [expression]
    while todo:
        node = todo.pop()
        yield node
        todo += node.parts


def _sets(key: Tree) -> list[list[Tree]]:
    """The sets of keys that one element of GROUP BY stands for."""
    ((kind, body),) = key.items()
    if kind == "GroupingSets":
        return [list(group) for group in body]
    if kind == "Rollup":
        return [[one for group in body[:count] for one in group] for count in range(len(body), -1, -1)]
    if kind == "Cube":
        chosen = product((True, False), repeat=len(body))
        return [[one for group, take in zip(body, takes, strict=True) if take for one in group] for takes in chosen]
    return [[key]]


def _position(tree: Tree, count: int) -> int | None:
    key = from_tree(tree)
    if not isinstance(key, Literal) or not isinstance(key.value, int) or isinstance(key.value, bool):
        return None
    if not 0 < key.value <= count:
        raise Unsure(f"there is no column {key.value}")
    return key.value - 1


def _last(tree: Tree) -> Tree:
    return tree["Identifier"] if "Identifier" in tree else tree["CompoundIdentifier"][-1]


def _known(leaf: Leaf) -> Iterator[str]:
    if leaf.names is None:
        raise Unsure("the columns that a star stands for are not known")
    for name in leaf.names:
        if name is None or not leaf.has(name):
            raise Unsure("a star stands for a column without a name of its own")
        yield name


def _is_of_a_relation(output: Output) -> bool:
    """Whether an output is a column under its own name, which its relation's name tells apart from others."""
    aliased = output.tree is not None and "ExprWithAlias" in output.tree
    return not aliased and isinstance(output.expression, Field)

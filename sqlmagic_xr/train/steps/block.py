"""One SELECT of a statement: the relations in its FROM, and what its column names mean.

A relation of exactly one row, whose values are known, can be taken out of FROM: its columns become those values. This
is done only where every name is sure to mean what we take it for; anything else is an :class:`UnsureError` with the
reason, and the relation stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...sql.parameters import placeholder
from ...sql.syntax import Tree, identifier, make_identifier, name_of, parse_one, walk

Operator = Literal["first", "cross", "inner", "left", "other"]
Columns = tuple[str, ...]
ColumnsOf = Callable[[tuple[str, ...]], "Columns | None"]
"""The columns of a table by the parts of its name; None where they are not known."""


class UnsureError(Exception):
    """A shortcut is not taken; the text says why, for a person."""


@dataclass(frozen=True)
class Source:
    """A relation in FROM.

    Attributes:
        item, join: its place: the element of FROM, and which of that element's joins (-1 for the one before them).
        alias: what columns are qualified with; "" where it has no name.
        columns: its columns; None where they are not known.
        factor: the relation's tree.
        operator: how it is joined to what stands before it; "other" for what cannot be taken apart.
        condition: the condition behind ON.
    """

    item: int
    join: int
    alias: str
    columns: Columns | None
    factor: Tree
    operator: Operator
    condition: Tree | None = None

    @property
    def table(self) -> tuple[str, ...] | None:
        """The table's name, where it is a plain table."""
        body = self.factor.get("Table")
        return name_of(body["name"]) if body is not None and _is_plain(body) else None

    @property
    def query(self) -> Tree | None:
        """The query of a derived table."""
        body = self.factor.get("Derived")
        return body["subquery"] if body is not None and not body["lateral"] else None


def sources_of(select: Tree, columns_of: ColumnsOf) -> list[Source]:
    """The relations in the FROM of a SELECT, in its order."""
    found = []
    for place, item in enumerate(select["from"]):
        found.append(_source(place, -1, item["relation"], "first", None, columns_of))
        for number, join in enumerate(item["joins"]):
            operator, condition = _operator(join["join_operator"])
            found.append(_source(place, number, join["relation"], operator, condition, columns_of))
    return found


def _source(
    item: int, join: int, factor: Tree, operator: Operator, condition: Tree | None, columns_of: ColumnsOf
) -> Source:
    ((kind, body),) = factor.items()
    label = body.get("alias") if isinstance(body, dict) else None
    columns: Columns | None = None
    alias = ""
    if kind == "Table" and _is_plain(body):
        name = name_of(body["name"])
        alias, columns = name[-1], columns_of(name)
    elif kind == "Derived":
        columns = output_columns(body["subquery"])
    if label is not None:
        alias = identifier(label["name"])
        if label["columns"]:
            given = tuple(identifier(c["name"]) for c in label["columns"])
            columns = given if columns is not None and len(columns) == len(given) else None
    return Source(item, join, alias, columns, factor, operator, condition)


def _is_plain(table: Tree) -> bool:
    extras = ("args", "version", "sample", "json_path", "with_ordinality", "partitions", "with_hints", "index_hints")
    return not any(table.get(extra) for extra in extras)


def _operator(operator: Tree) -> tuple[Operator, Tree | None]:
    if not isinstance(operator, dict):
        return "other", None
    ((kind, constraint),) = operator.items()
    if kind == "CrossJoin":
        return ("cross", None) if constraint == "None" else ("other", None)
    if not isinstance(constraint, dict) or "On" not in constraint:
        return "other", None
    names: dict[str, Operator] = {"Join": "inner", "Inner": "inner", "Left": "left", "LeftOuter": "left"}
    # The condition of a RIGHT or FULL JOIN chooses no rows: those without a partner are there all the same.
    return (names[kind], constraint["On"]) if kind in names else ("other", None)


def output_columns(query: Tree) -> Columns | None:
    """The names of a query's columns; "" for one that has no plain name, None where there is a star."""
    body = query["body"]
    while isinstance(body, dict) and ("SetOperation" in body or "Query" in body):
        body = body["SetOperation"]["left"] if "SetOperation" in body else body["Query"]["body"]
    if not isinstance(body, dict) or "Select" not in body:
        return None
    names = []
    for item in body["Select"]["projection"]:
        if "ExprWithAlias" in item:
            names.append(identifier(item["ExprWithAlias"]["alias"]))
        elif "UnnamedExpr" in item:
            names.append(column_name(item["UnnamedExpr"]) or "")
        else:
            return None
    return tuple(names)


def column_name(expression: Tree) -> str | None:
    """The column's own name, where an expression is nothing but a column."""
    if "Identifier" in expression:
        return identifier(expression["Identifier"])
    return identifier(expression["CompoundIdentifier"][-1]) if "CompoundIdentifier" in expression else None


def conjuncts(condition: Tree | None) -> list[Tree]:
    """The parts of a condition that must all hold."""
    if condition is None:
        return []
    if "Nested" in condition:
        return conjuncts(condition["Nested"])
    if "BinaryOp" in condition and condition["BinaryOp"]["op"] == "And":
        return conjuncts(condition["BinaryOp"]["left"]) + conjuncts(condition["BinaryOp"]["right"])
    return [condition]


def conjunction(parts: Sequence[Tree]) -> Tree | None:
    """A condition that holds where all parts hold; None for no part."""
    whole: Tree | None = None
    for part in parts:
        part = part if set(part) & {"BinaryOp", "Nested"} == {"Nested"} else {"Nested": part}
        whole = part if whole is None else {"BinaryOp": {"left": whole, "op": "And", "right": part}}
    return whole


def is_query(node: Any) -> bool:
    """Whether a node is the inside of a query."""
    return isinstance(node, dict) and "body" in node and "with" in node


class Naming:
    """What column names mean in one SELECT.

    Args:
        sources: the relations in its FROM.
        columns_of: the columns of tables, for the queries inside.
    """

    def __init__(self, sources: Sequence[Source], columns_of: ColumnsOf) -> None:
        self.sources = sources
        self._columns_of = columns_of

    def column(self, expression: Tree, source: Source) -> str | None:
        """The column of ``source`` that an expression is, or None where it is something else.

        Raises:
            UnsureError: it might be one.
        """
        if source.columns is None:
            raise UnsureError(f"the columns of `{source.alias}` are not known")
        if "Identifier" in expression and isinstance(expression["Identifier"], dict):
            name = identifier(expression["Identifier"])
            if name not in source.columns:
                return None
            if sum(name in (s.columns or (name,)) for s in self.sources) > 1:
                raise UnsureError(f"`{name}` may be a column of several relations")
            return name
        if "CompoundIdentifier" in expression:
            path = [identifier(part) for part in expression["CompoundIdentifier"]]
            if len(path) == 2 and path[0] == source.alias:
                if path[1] not in source.columns:
                    raise UnsureError(f"`{'.'.join(path)}` is no column")
                return path[1]
            others = {s.alias for s in self.sources}
            if (path[0] in source.columns and path[0] not in others) or (source.alias in path[1:-1]):
                raise UnsureError(f"`{'.'.join(path)}` may be a column of `{source.alias}`")
        return None

    def replaced(self, tree: Tree, source: Source, values: Mapping[str, Tree]) -> Tree:
        """A tree in which the columns of ``source`` are these expressions.

        Raises:
            UnsureError: a name or a star in it may mean the relation in another way.
        """
        if isinstance(tree, (list, tuple)):
            items = [self.replaced(value, source, values) for value in tree]
            return tree if all(a is b for a, b in zip(items, tree, strict=True)) else type(tree)(items)
        if not isinstance(tree, dict):
            return tree
        if is_query(tree):
            return self._replaced_inside(tree, source, values)
        name = self.column(tree, source)
        if name is not None:
            return _atom(values[name])
        if "Wildcard" in tree or ("QualifiedWildcard" in tree and self._is_star_of(tree, source)):
            raise UnsureError(f"a * takes in the columns of `{source.alias}`")
        if "QualifiedWildcard" in tree:
            return tree
        new = {k: v if k in _NAMES else self.replaced(v, source, values) for k, v in tree.items()}
        same = all(new[k] is tree[k] for k in tree)
        if "WindowSpec" in tree and not same:
            raise UnsureError(f"a window is ordered or partitioned by a column of `{source.alias}`")
        return tree if same else new

    def _is_star_of(self, tree: Tree, source: Source) -> bool:
        kind = tree["QualifiedWildcard"]
        names = kind[0].get("ObjectName") if isinstance(kind, (list, tuple)) and isinstance(kind[0], dict) else None
        return names is None or name_of(names)[-1] == source.alias

    def _replaced_inside(self, query: Tree, source: Source, values: Mapping[str, Tree]) -> Tree:
        """A subquery, whose own relations come before those outside."""
        inner = [s for select in selects(query) for s in sources_of(select, self._columns_of)]
        names = {s.alias for s in inner} | {identifier(c["alias"]["name"]) for c in ctes(query)}
        known = all(s.columns is not None for s in inner) and len(list(selects(query))) == 1
        own = {c for s in inner for c in s.columns or ()} if known else set()

        def look(tree: Tree) -> Tree:
            if isinstance(tree, (list, tuple)):
                items = [look(value) for value in tree]
                return tree if all(a is b for a, b in zip(items, tree, strict=True)) else type(tree)(items)
            if not isinstance(tree, dict):
                return tree
            if "CompoundIdentifier" in tree:
                path = [identifier(part) for part in tree["CompoundIdentifier"]]
                if path[0] == source.alias and source.alias not in names:
                    found = self.column(tree, source)
                    return tree if found is None else _atom(values[found])
                if source.alias in path[:-1] and not known:
                    raise UnsureError(f"`{'.'.join(path)}` in a subquery may mean the relation outside")
            elif "Identifier" in tree and isinstance(tree["Identifier"], dict):
                name = identifier(tree["Identifier"])
                if name in (source.columns or ()) and name not in own:
                    raise UnsureError(f"`{name}` in a subquery may mean the relation outside")
            new = {k: v if k in _NAMES else look(v) for k, v in tree.items()}
            return tree if all(new[k] is tree[k] for k in tree) else new

        return look(query)


_NAMES = frozenset({"name", "data_type", "alias", "Custom", "collation", "span"})
"""Keys below which names are no columns: of functions, types, tables."""


def _atom(expression: Tree) -> Tree:
    return expression if set(expression) & {"Value", "Nested", "Function"} else {"Nested": expression}


def selects(tree: Tree) -> Iterator[Tree]:
    """Every SELECT in a tree."""
    return (node["Select"] for node in walk(tree) if isinstance(node.get("Select"), dict))


def ctes(tree: Tree) -> Iterator[Tree]:
    """Every common table expression in a tree."""
    for node in walk(tree):
        if isinstance(node.get("cte_tables"), list):
            yield from node["cte_tables"]


def is_constant(expression: Tree) -> bool:
    """Whether an expression is one value throughout a statement: literals, parameters, arithmetic on them."""
    if not isinstance(expression, dict) or len(expression) != 1:
        return False
    ((kind, body),) = expression.items()
    if kind == "Value":
        return True
    if kind in ("Nested",):
        return is_constant(body)
    if kind == "UnaryOp":
        return is_constant(body["expr"])
    if kind == "BinaryOp":
        return is_constant(body["left"]) and is_constant(body["right"])
    return kind == "Cast" and is_constant(body["expr"])


def without(select: Tree, order_by: Tree, source: Source, naming: Naming, values: Mapping[str, Tree],
            *, condition: Sequence[Tree]) -> tuple[Tree, Tree]:  # fmt: skip
    """A SELECT, and the ORDER BY behind it, without one of its relations, which has one row of these values.

    Args:
        select, order_by: their trees.
        source: the relation.
        naming: what names mean in the SELECT.
        values: column -> expression.
        condition: what its join still asks of the row.

    Raises:
        UnsureError: the SELECT might then mean something else.
    """
    _check_place(select, source)
    if any(select.get(k) for k in _UNKNOWN_CLAUSES):
        raise UnsureError("a clause of the SELECT is not known here")

    def new(tree: Tree) -> Tree:
        return naming.replaced(tree, source, values)

    _check_labels(select, order_by, source)
    projection = [_item(item, new) for item in select["projection"]]
    tables, freed = _taken_out(select["from"], source)
    conditions = [*conjuncts(select["selection"]), *condition, *conjuncts(freed)]
    out = {**select, "projection": projection, "from": new(tables), "selection": conjunction(new(conditions))}
    for clause in ("having", "qualify"):
        out[clause] = new(select[clause])
    if new(select["distinct"]) is not select["distinct"]:
        raise UnsureError("DISTINCT ON one of its columns")
    out = _grouped(select, out, new)
    return out, _ordered(order_by, new)


_UNKNOWN_CLAUSES = (
    "lateral_views", "connect_by", "top", "into", "prewhere", "named_window", "cluster_by", "distribute_by", "sort_by",
)  # fmt: skip


def _check_place(select: Tree, source: Source) -> None:
    item = select["from"][source.item]
    operators = [_operator(join["join_operator"])[0] for join in item["joins"]]
    if "other" in operators:
        raise UnsureError("it stands among outer joins, USING or NATURAL")
    if source.join == -1 and operators[:1] == ["left"]:
        raise UnsureError("it is the left side of an outer join")


def _taken_out(tables: list[Tree], source: Source) -> tuple[list[Tree], Tree | None]:
    """FROM without a relation, and the join condition that becomes free with it."""
    item = tables[source.item]
    freed = None
    if source.join >= 0:
        joins = [join for number, join in enumerate(item["joins"]) if number != source.join]
        left = [{**item, "joins": joins}]
    elif item["joins"]:
        first, *others = item["joins"]
        freed = _operator(first["join_operator"])[1]
        left = [{**item, "relation": first["relation"], "joins": others}]
    else:
        left = []
    return [*tables[: source.item], *left, *tables[source.item + 1 :]], freed


def exchanged(tables: list[Tree], source: Source, factor: Tree) -> list[Tree]:
    """FROM with another relation in the place of ``source``."""
    item = tables[source.item]
    if source.join < 0:
        item = {**item, "relation": factor}
    else:
        joins = list(item["joins"])
        joins[source.join] = {**joins[source.join], "relation": factor}
        item = {**item, "joins": joins}
    return [*tables[: source.item], item, *tables[source.item + 1 :]]


def _check_labels(select: Tree, order_by: Tree, source: Source) -> None:
    """A bare name in GROUP BY, HAVING or ORDER BY may mean a column of the SELECT instead."""
    labels = {identifier(i["ExprWithAlias"]["alias"]) for i in select["projection"] if "ExprWithAlias" in i}
    both = labels & set(source.columns or ())
    for node in walk([select["group_by"], select["having"], order_by]):
        if isinstance(node.get("Identifier"), dict) and identifier(node["Identifier"]) in both:
            raise UnsureError(f"`{identifier(node['Identifier'])}` may be the column of the SELECT of that name")


def _item(item: Tree, new: Callable[[Tree], Tree]) -> Tree:
    """An element of the SELECT list; a column that becomes a value keeps its name."""
    if "UnnamedExpr" not in item:
        return new(item)
    expression = new(item["UnnamedExpr"])
    if expression is item["UnnamedExpr"]:
        return item
    name = column_name(item["UnnamedExpr"])
    if name is None:
        raise UnsureError("a column would lose its name: give it one with AS")
    return {"ExprWithAlias": {"expr": expression, "alias": make_identifier(name)}}


def _grouped(select: Tree, out: Tree, new: Callable[[Tree], Tree]) -> Tree:
    """GROUP BY without what has become one value; if nothing is left, there still is no group without a row."""
    group_by = select["group_by"]
    if not isinstance(group_by, dict) or "Expressions" not in group_by:
        raise UnsureError("GROUP BY ALL")
    keys, modifiers = group_by["Expressions"]
    if not keys:
        return out
    if modifiers:
        raise UnsureError("GROUP BY with ROLLUP, CUBE or the like")
    labels = {
        identifier(i["ExprWithAlias"]["alias"]): place
        for place, i in enumerate(select["projection"])
        if "ExprWithAlias" in i
    }
    kept = []
    for key in keys:
        place = _position(key, labels)
        if place is not None and 0 <= place < len(select["projection"]):
            if not _is_constant_item(out["projection"][place]):
                kept.append(key)
            continue
        changed = new(key)
        if changed is key or not is_constant(changed):
            kept.append(changed)
    having = out["having"]
    if not kept:
        having = conjunction([*conjuncts(having), SOME_ROW])
    return {**out, "group_by": {"Expressions": [kept, modifiers]}, "having": having}


def _position(key: Tree, labels: Mapping[str, int]) -> int | None:
    """Which column of the SELECT a key of GROUP BY or ORDER BY means, where it is a number or a name of one."""
    literal = key.get("Value", {}).get("value") if isinstance(key.get("Value"), dict) else None
    if isinstance(literal, dict) and "Number" in literal:
        return int(literal["Number"][0]) - 1 if literal["Number"][0].isdigit() else None
    return labels.get(identifier(key["Identifier"])) if isinstance(key.get("Identifier"), dict) else None


def _is_constant_item(item: Tree) -> bool:
    expression = item["ExprWithAlias"]["expr"] if "ExprWithAlias" in item else item.get("UnnamedExpr")
    return expression is not None and is_constant(expression)


def _ordered(order_by: Tree, new: Callable[[Tree], Tree]) -> Tree:
    """ORDER BY without what has become one value (which, as a bare number, would name a column)."""
    if not order_by:
        return order_by
    kind = order_by["kind"]
    if not isinstance(kind, dict) or "Expressions" not in kind:
        raise UnsureError("ORDER BY ALL")
    kept = []
    for key in kind["Expressions"]:
        changed = new(key)
        if changed is key or not is_constant(changed["expr"]):
            kept.append(changed)
    return {**order_by, "kind": {**kind, "Expressions": kept}} if kept else None


def parameters_in(tree: Tree) -> set[str]:
    """The names of the parameters in a tree."""
    return {name for node in walk(tree) if (name := placeholder(node)) is not None}


SOME_ROW = parse_one("SELECT 1 HAVING COUNT(*) > 0").tree["Query"]["body"]["Select"]["having"]
"""The condition under which what was GROUP BY over nothing but constants gives its one row."""

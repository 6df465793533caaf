"""What the columns' names in one SELECT mean, and its expressions bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UnknownNameError, suggest
from ..sql.expression import Call, Column, Expression, Verbatim, from_tree
from ..sql.syntax import Tree, identifier, name_of, span_of
from .columns import Field, Nested, Piece
from .functions import function
from .names import Name, qualifies
from .nodes import Leaf, Opaque, Relation
from .rebuild import substituted

Aliases = Mapping[str, Expression]
"""The names that a SELECT gives to its columns, and what these are."""


class Unsure(Exception):  # noqa: N818 - no error: what is around stays unbound
    """Something is not bound with certainty; the text says what."""


@dataclass(frozen=True)
class Merged:
    """One column of several relations, as USING and NATURAL JOIN make it.

    Attributes:
        column: what it means; None where it is of either side of an outer join.
        leaves: the relations whose columns it is.
        outer: whether they differ where an outer join has found no partner.
    """

    column: Field | None
    leaves: tuple[Leaf, ...]
    outer: bool = False


@dataclass(eq=False)
class BindingScope:
    """The relations whose columns may be named.

    Attributes:
        leaves: those of the FROM.
        merged: what JOIN ... USING and NATURAL JOIN have made one column of two.
        query: binds a query in parentheses, given the scope around it.
        outer: the scope around a correlated subquery.
        filters: whether rows are chosen here (WHERE, ON): then DataFusion does not know the one column that USING has
            made of two, unless its table is named.
        rows: whether the name of a relation of one column may stand for that column.
    """

    leaves: tuple[Leaf, ...]
    query: Callable[[Tree, BindingScope], Relation]
    merged: Mapping[str, Merged] = field(default_factory=dict)
    outer: BindingScope | None = None
    filters: bool = False
    rows: bool = False

    def column(self, path: Name, tree: Tree) -> Field:
        """What a column's name means.

        Raises:
            UnknownNameError: no relation in sight has it, or several have.
            Unsure: it may mean something that is not known.
        """
        *before, name = path
        qualifier = tuple(before)
        mine = [leaf for leaf in self.leaves if not qualifier or qualifies(qualifier, leaf.path)]
        having = [leaf for leaf in mine if leaf.names is not None and name in leaf.names]
        if not qualifier and name in self.merged:
            if self.filters:
                raise Unsure(f"there is more than one column {name} in WHERE and ON, although USING has made them one")
            if any(leaf not in self.merged[name].leaves for leaf in having):
                raise Unsure(f"{name} is of a join USING it and of another relation")
            return merged_column(self.merged[name], name, tree)
        if len(having) == 1:
            if not having[0].has(name):
                raise Unsure(f"{_shown(having[0])} has several columns {name}")  # DataFusion takes one of them
            return Field(having[0], name, origin=tree)
        if having:
            if len({leaf.path for leaf in having}) < len(having):
                raise Unsure(f"{name} is of two relations of one name")  # the engine may tell them by their spelling
            shown = " or ".join(f"{leaf.path[-1]}.{name}" for leaf in having if leaf.path)
            raise _placed(UnknownNameError(f"the column {name} is ambiguous", hint=f"Write {shown}."), tree)
        if any(leaf.names is None for leaf in mine or self.leaves):
            raise Unsure(
                f"the columns of {_shown(next(x for x in mine or self.leaves if x.names is None))} are not known"
            )
        if qualifier and any(leaf.names is not None and path[0] in leaf.names for leaf in self.leaves):
            raise Unsure(f"{'.'.join(path)} may be a part of a column")
        if self.rows and not qualifier:
            for leaf in self.leaves:
                if leaf.path and leaf.path[-1] == name and leaf.names is not None and len(leaf.names) == 1:
                    return Field(leaf, str(leaf.names[0]), origin=tree)
        if self.outer is not None:
            return self.outer.column(path, tree)
        known = [n for leaf in mine or self.leaves for n in leaf.names or () if n is not None]
        what = f"there is no column {'.'.join(path)} here"
        raise _placed(UnknownNameError(what, hint=suggest(name, known) or "There are no columns here."), tree)

    @property
    def filtering(self) -> BindingScope:
        """The same names as they are read in WHERE and ON."""
        return BindingScope(self.leaves, self.query, self.merged, self.outer, True, self.rows) if self.merged else self

    def has(self, name: str) -> bool:
        """Whether a relation of this scope itself has a column of that name."""
        return name in self.merged or any(leaf.names is not None and name in leaf.names for leaf in self.leaves)

    def expression(
        self, tree: Tree, aliases: Aliases | None = None, first: Literal["columns", "outputs"] = "columns"
    ) -> Expression:
        """An expression bound.

        Args:
            tree: the parser's.
            aliases: the names of outputs that may stand in it, or None.
            first: whose name it is where an output and a column have it.

        Raises:
            UnknownNameError: as :meth:`column`.
            Unsure: as :meth:`column`, or a part is not known.
        """
        known = aliases or {}

        def change(node: Expression) -> Expression | None:
            match node:
                case Column(path=path):
                    alias = known.get(path[0]) if len(path) == 1 else None
                    if alias is not None and (first == "outputs" or not self.has(path[0])):
                        return alias
                    return self.column(path, node.origin)
                case Verbatim():
                    return self._unread(node.tree)
            return None

        read = from_tree(tree)
        found = change(read) if isinstance(read, Column) else substituted(read, change)
        return written(read if found is None else found, tree)

    def _unread(self, tree: Tree) -> Expression:
        """What calculations keep as a tree: a query in parentheses, or a piece of SQL with columns in it."""
        if isinstance(tree, dict) and len(tree) == 1:
            ((kind, body),) = tree.items()
            if kind == "Subquery":
                return Nested("scalar", self._inside(body), origin=tree)
            if kind == "Exists":
                return Nested("exists", self._inside(body["subquery"]), None, body["negated"], origin=tree)
            if kind == "InSubquery":
                operand = self.expression(body["expr"])
                return Nested("in", self._inside(body["subquery"]), operand, body["negated"], origin=tree)
        places = tuple(_places(tree))
        return Piece(tree, places, tuple(self.expression(place) for place in places), origin=tree)

    def _inside(self, tree: Tree) -> Relation:
        found = self.query(tree, self)
        if isinstance(found, Opaque):  # it may use whatever is in sight
            raise Unsure(found.why)
        return found


def shown_by_star(merged: Merged, name: str) -> Leaf:
    """The relation of which a star shows the column: DataFusion takes that whose name comes first in the alphabet.

    Raises:
        Unsure: that is not the one that the name means, which differs from it over an outer join, or it is not certain
            by what name DataFusion knows them.
    """
    if len(merged.leaves) != 2 or any(len(leaf.path) != 1 for leaf in merged.leaves):
        raise Unsure(f"which {name} a star over USING stands for is open")
    shown = min(merged.leaves, key=lambda leaf: leaf.path)
    if merged.outer and (merged.column is None or merged.column.relation is not shown):
        raise Unsure(f"which {name} a star over the USING of an outer join stands for is open")
    return shown


def written(expression: Expression, tree: Tree) -> Expression:
    """The expression, which remembers how it was written as long as it is not changed."""
    expression.__dict__.setdefault("_written", tree)
    return expression


def merged_column(found: Merged, name: str, tree: Tree) -> Field:
    """The one column that USING has made of several.

    Raises:
        Unsure: it is of either side of an outer join.
    """
    if found.column is None:
        raise Unsure(f"{name} is of either side of an outer join")
    return Field(found.column.relation, found.column.name, origin=tree)


def _placed(error: UnknownNameError, tree: Tree) -> UnknownNameError:
    error.span = span_of(tree)
    return error


def _shown(leaf: Leaf) -> str:
    return leaf.path[-1] if leaf.path else "a relation without a name"


# The pieces of SQL whose parts are expressions, apart from those that expressions of ours have a form for.
_PIECES = frozenset({
    "Like", "ILike", "SimilarTo", "RLike", "Substring", "Position", "Trim", "Overlay", "Extract", "Interval",
    "AtTimeZone", "TypedString", "Tuple", "Array", "BinaryOp", "UnaryOp", "Function", "Cast", "Value", "Nested", "Ceil",
    "Floor", "Collate", "IsNormalized", "AnyOp", "AllOp", "Case", "Between", "InList", "IsNull", "IsNotNull", "Struct",
    "Dictionary", "IsTrue", "IsFalse", "IsNotTrue", "IsNotFalse", "IsUnknown", "IsNotUnknown", "IsDistinctFrom",
    "IsNotDistinctFrom",
})  # fmt: skip
_NO_EXPRESSIONS = frozenset({"name", "data_type", "span", "op", "kind", "field", "collation", "over", "parameters"})


def _places(tree: Tree) -> Iterator[Any]:
    """The columns and queries in a piece of SQL.

    Raises:
        Unsure: a part of it has no form that is known here.
    """
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, (list, tuple)):
            todo += reversed(node)
            continue
        if not isinstance(node, dict):
            continue
        if len(node) == 1:
            ((kind, body),) = node.items()
            if kind in ("Identifier", "CompoundIdentifier", "Subquery", "Exists", "InSubquery"):
                yield node
                continue
            if kind[:1].isupper() and kind not in _PIECES | _PARTS:
                raise Unsure(f"{kind} is not bound")
            if kind == "Function":
                _check_scalar(body)
        todo += [value for key, value in reversed(node.items()) if key not in _NO_EXPRESSIONS]


_PARTS = frozenset({"Unnamed", "Expr", "List", "Named", "ExprNamed", "Number", "SingleQuotedString", "Placeholder",
                    "Boolean", "DateTimeField", "Scale", "NationalStringLiteral", "HexStringLiteral"})  # fmt: skip


def _check_scalar(body: Tree) -> None:
    name = name_of(body["name"])[-1].lower()
    row = function(name)
    if body["over"] is not None or body["within_group"] or (row is not None and row.kind != "scalar"):
        raise Unsure(f"{name} in a form that is not bound")


def is_window(expression: Expression) -> bool:
    """Whether an expression is a call with OVER."""
    return isinstance(expression, Call) and expression.window is not None


def is_aggregate(expression: Expression) -> bool:
    """Whether an expression is an aggregate of the SELECT it stands in."""
    if not isinstance(expression, Call) or expression.window is not None:
        return False
    row = function(expression.name)
    return row is not None and row.kind == "aggregate"


def alias_of(tree: Tree) -> tuple[Name, tuple[str, ...]]:
    """The path and the new column names of an alias; () for none."""
    if tree is None:
        return (), ()
    return (identifier(tree["name"]),), tuple(identifier(column["name"]) for column in tree["columns"])

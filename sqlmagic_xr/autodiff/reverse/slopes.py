"""The derivative of one expression of a block by one column of its FROM: the row-wise rules, unchanged."""

from __future__ import annotations

from ...relation.layers import ColumnType
from ...sql.expression import Call, Column, Expression, Verbatim
from ...sql.expression import columns as paths
from ..collect import collected, tidied
from ..derivative import Derivative, Kinds, real
from ..dissolve import plain
from ..names import refused
from ..rules import Rules
from ..simplify import ONE
from .blocks import Block, Path
from .keys import column_null, kind_of
from .over import Over


class _Columns:
    """An expression's names as :class:`..names.Meanings` asks for them: the columns of a block's FROM."""

    def __init__(self, block: Block, path: Path) -> None:
        self.block, self.path = block, path

    def derivative(self, column: Column) -> Expression | None:
        return ONE if column.path == self.path else None

    def depends(self, expression: Expression) -> bool:
        return self.path in paths(expression)

    def type_of(self, column: Column) -> ColumnType | None:
        return kind_of(self.block.leaf(column.path[0]).node, column.path[1])

    def is_real(self, column: Column) -> bool:
        return self.type_of(column) not in ("integer", "decimal", None)

    def is_key(self, expression: Expression) -> bool:
        return False

    def never_null(self, column: Column) -> bool:
        return not column_null(self.block, column.path)

    def rows_of(self, call: Call) -> Verbatim | None:
        return None

    def require_constant(self, call: Call) -> None:
        raise refused(call, f"{call.name} stands where no aggregate may stand", "Compute it in a subquery.")


def slope(block: Block, expression: Expression, path: Path, rules: Rules) -> Expression | None:
    """The derivative of an expression over a block's FROM by a column of it; None where it does not depend on it.

    Raises:
        DerivativeError: a part that depends on the column and has no derivative.
    """
    if path not in paths(expression):
        return None
    derivative = Derivative(_Columns(block, path), rules, {}, Kinds())
    found = derivative.of(expression)
    return None if found is None else tidied(plain(real(collected(found), derivative)))


def kind_of_expression(block: Block, expression: Expression) -> ColumnType | None:
    """What kind of value an expression over a block's FROM has."""
    if isinstance(expression, Over):
        return kind_of_expression(block, expression.call)
    if isinstance(expression, Call) and expression.name in ("min", "max", "sum", "lag", "lead"):
        return kind_of_expression(block, expression.args[0])
    if isinstance(expression, Column):
        return kind_of(block.leaf(expression.path[0]).node, expression.path[1])
    return Derivative(_Columns(block, ()), {}, {}, Kinds()).type_of(expression)

"""Sums and arithmetic of BIGINT wrap around at 2^63: what might is checked beside, and is an error where it does.

Bounds of columns tell most of it apart before anything runs. What is left:

- A SUM has a second one of the upper halves of its numbers, which does not wrap around; the two must agree.
- Of ``+``, ``-`` and ``*`` the size is calculated in DOUBLE; what comes near the limit is calculated in DECIMAL, whose
  way back into BIGINT fails where there is none.
- What ``<<`` has pushed out does not come back with ``>>``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from datafusion import SessionContext, udf
from pyarrow.types import is_integer, is_unsigned_integer

from ...relation.functions import is_given
from ...relation.layers import Scope
from ...sql.clauses import operation, orders, with_operands
from ...sql.pieces import (
    arguments,
    atom,
    bare,
    binary,
    filled,
    function_name,
    in_parentheses,
    inside_parentheses,
    is_distinct,
    minus_of,
    over_of,
    whole_number,
    with_arguments,
    with_function,
    with_minus_of,
)
from ...sql.places import CALL, OPERATION, PARENTHESES, SIGN
from ...sql.syntax import Tree, replace, walk
from .bounds import GREATEST, LEAST, UNCOUNTED, Bounds, bounds_of, combined, rows_of
from .reading import Reading
from .types import TableTypes, gives_reals, kind_of

SIGNS = r"<<|\bsum\s*\(|[\w)\"]\s*\*\s*(?!FROM\b)[\w(\":$]|[-+]\s*[\w(\":$]"

BEYOND, PUSHED_OUT = "sqlmagic: a SUM is beyond BIGINT", "sqlmagic: << is beyond BIGINT"
"""What the engine's error says, for who translates it."""

_OPERATORS = {"Plus": "+", "Minus": "-", "Multiply": "*"}
_FAILURES = {
    "sqlmagic_overflow": (pa.int64(), BEYOND),
    "sqlmagic_overflow_unsigned": (pa.uint64(), BEYOND),
    "sqlmagic_pushed_out": (pa.int64(), PUSHED_OUT),
}
_SHIFT = "PGBitwiseShiftLeft"
_MANY = 100  # terms; the engine's planning takes the square of what it is given, and so of three times as many
ROWS = 2**31
"""Of more rows the lower halves of numbers are together as large as what tells that a sum has wrapped around."""

FEASIBLE = 2**40
"""A table whose rows nobody has counted is taken to have no more of them: a million million."""

_SURE = "9.2e18"  # a DOUBLE below it is not above 2^63


def register(session: SessionContext) -> None:
    """Give a session what fails where a sum has wrapped around, or a shift has pushed out digits."""
    for name, (kind, text) in _FAILURES.items():
        register_failing(session, name, kind, text)


def register_failing(session: SessionContext, name: str, kind: pa.DataType, text: str) -> None:
    """Give a session a function that fails with a text where it is given a value."""

    def fail(values: pa.Array) -> pa.Array:
        if len(values):
            raise OverflowError(text)
        return values

    SessionContext.register_udf(session, udf(fail, [kind], kind, "volatile", name))


def checked(reading: Reading) -> Tree:
    """The tree with sums and arithmetic of BIGINT that fail where they would wrap around.

    >>> import pyarrow as pa
    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"n": pa.int64(), "i": pa.int16()}})
    >>> def show(sql):
    ...     print(to_sql(checked(Reading(parse_one(sql).tree, tables))))
    >>> show("SELECT sum(i) AS a, i * i AS b, n % 10 * 2 AS c FROM d")
    SELECT sum(i) AS a, i * i AS b, n % 10 * 2 AS c FROM d
    >>> show("SELECT sum(n) AS a, n + 1 AS b FROM d")
    SELECT CASE WHEN abs((sum(n) >> 32) - sum(n >> 32)) >= 2147483648 OR count(n) > 2147483648 \
THEN sqlmagic_overflow(sum(n)) ELSE sum(n) END AS a, \
CASE WHEN (n > 9223372036854775806) THEN CAST((CAST(n AS DECIMAL(38,0)) + CAST(1 AS DECIMAL(38,0))) AS BIGINT) \
ELSE (n + 1) END AS b FROM d
    """
    found = _OverflowChecks(reading.tables)
    reading.rewritten(dict.fromkeys((OPERATION, SIGN, PARENTHESES, CALL), found.look))
    if not found.changes:
        return reading.tree
    found.sorted = any(id(node) in found.changes for order in orders(reading.tree) for node in walk(order))
    return replace(reading.tree, found.instead)


class _OverflowChecks:
    """What is to be checked, by the id of its node; arithmetic at the outermost operator.

    The tree stays as it is while it is looked at, so that a node keeps its id.
    """

    def __init__(self, tables: TableTypes) -> None:
        self._tables = tables
        self._bounds: dict[int, Bounds | None] = {}
        self.changes: dict[int, Callable[[Tree], Tree]] = {}
        self.sorted = False

    def look(self, node: dict[str, Any], scope: Scope) -> None:
        """Note what is to be done with a node, all in it having been looked at."""
        found, inner = operation(node), inside_parentheses(node)
        if found is not None and found[0] in _OPERATORS:
            self._operator(node, found, scope)
        elif found is not None and found[0] == _SHIFT:
            self._shift(node, found[1], found[2], scope)
        elif minus_of(node) is not None and whole_number(node) is None:
            self._minus(node, scope)
        elif inner is not None:
            if id(inner) in self._bounds:
                self._bounds[id(node)] = self._bounds[id(inner)]
        elif function_name(node) == "sum" and not is_given("sum"):
            self._sum(node, scope)

    def instead(self, node: dict[str, Any]) -> Tree | None:
        """What stands in the place of a node."""
        change = self.changes.get(id(node))
        return None if change is None else change(node)

    def _operator(self, node: dict[str, Any], found: tuple[str, Tree, Tree], scope: Scope) -> None:
        operator, *sides = found
        one, other = (self._of(side, scope) for side in sides)
        if one is None or other is None or not all(self._is_bigint(side, scope) for side in sides):
            self._bounds[id(node)] = None
            return
        within = combined(_OPERATORS[operator], one, other)
        inner = [bare(side) for side in sides]
        risky = [self.changes.pop(id(side)) for side in inner if id(side) in self.changes and _arithmetic(side)]
        if risky or within[0] < LEAST or within[1] > GREATEST:
            self.changes[id(node)] = self._arithmetic
            within = _around(within)
        self._bounds[id(node)] = within

    def _shift(self, node: dict[str, Any], left: Tree, right: Tree, scope: Scope) -> None:
        one, by = self._of(left, scope), self._of(right, scope)
        if one is None or by is None:
            self._bounds[id(node)] = None
            return
        factor = 2 ** by[1] if by[0] >= 0 and by[1] < 63 else 2**63
        within = _around(combined("*", one, (1, factor)))
        if within != combined("*", one, (1, factor)) or factor == 2**63:
            self.changes[id(node)] = lambda found: self._shifted(found, left, right)
        self._bounds[id(node)] = within

    def _shifted(self, node: Tree, left: Tree, right: Tree) -> Tree:
        value, by = replace(left, self.instead), replace(right, self.instead)
        lost = "K < 0 OR K > 63 OR W >> K <> X"
        whole = with_operands(node, atom(value), atom(by))
        near = filled(lost, X=value, K=by, W=whole)
        return self._either(near, filled("sqlmagic_pushed_out(X)", X=value), whole)

    def _minus(self, node: dict[str, Any], scope: Scope) -> None:
        inner = self._of(minus_of(node), scope)
        self._bounds[id(node)] = inner and (-inner[1], min(-inner[0], GREATEST))
        if inner is not None and inner[0] == LEAST:
            self.changes[id(node)] = self._negated

    def _negated(self, node: Tree) -> Tree:
        value = replace(minus_of(node), self.instead)
        exact = filled("CAST(-CAST(X AS DECIMAL(38,0)) AS BIGINT)", X=value)
        whole = with_minus_of(node, value)
        return self._either(filled(f"X < -{GREATEST}", X=value), exact, whole)

    def _either(self, near: Tree, exact: Tree, whole: Tree) -> Tree:
        """What is calculated exactly where that is asked for.

        Of a CASE as a sort key the engine forgets that the rows are sorted by it, and says that its plan is not sane.
        """
        text = "coalesce(CASE WHEN N THEN X END, Y)" if self.sorted else "CASE WHEN N THEN X ELSE Y END"
        return filled(text, N=near, X=exact, Y=whole)

    def _is_bigint(self, side: Tree, scope: Scope) -> bool:
        """Whether an operand has the type of a BIGINT or a narrower one: beside any other a decimal comes out."""
        if id(side) in self._bounds or whole_number(side) is not None:
            return True
        kind = kind_of(scope.read(side), scope, self._tables)
        return kind is not None and is_integer(kind) and kind != pa.uint64()

    def _of(self, side: Tree, scope: Scope) -> Bounds | None:
        """The bounds of an operand that is, or is calculated as, a BIGINT."""
        if id(side) in self._bounds:
            return self._bounds[id(side)]
        if gives_reals(bare(side)):
            return None
        value = whole_number(side)
        if value is not None:
            return (value, value) if abs(value) <= GREATEST else None
        found = bounds_of(scope.read(side), scope, self._tables)
        return found if found is not None and found[1] <= GREATEST else None

    def _arithmetic(self, node: Tree) -> Tree:
        operator, *sides = operation(node) or ("", None, None)
        left, right = (replace(side, self.instead) for side in sides)
        whole = with_operands(node, left, right)
        exact = _rebuilt(whole, lambda leaf: filled("CAST(X AS DECIMAL(38,0))", X=leaf), lambda op: op)
        limit = _limit(operator, left, right)
        if _terms(whole) > _MANY:
            return filled("CAST(X AS BIGINT)", X=exact)
        if limit is not None:
            near = filled(limit, X=left)
        else:
            near = filled(
                f"X >= {_SURE}", X=_rebuilt(whole, _size, lambda op: "Multiply" if op == "Multiply" else "Plus")
            )
        return self._either(near, filled("CAST(X AS BIGINT)", X=exact), whole)

    def _sum(self, node: dict[str, Any], scope: Scope) -> None:
        args = arguments(node)
        if len(args) != 1:
            return
        kind = kind_of(scope.read(args[0]), scope, self._tables)
        if kind is None or not is_integer(kind):
            return  # a decimal, also where BIGINT and BIGINT UNSIGNED are added
        known = self._bounds.get(id(args[0]))
        bounds = bounds_of(scope.read(args[0]), scope, self._tables) if known is None else known
        if bounds is None:
            return
        rows = rows_of(scope, self._tables)
        largest = max(map(abs, bounds)) * rows
        if largest > GREATEST:
            self.changes[id(node)] = lambda found: self._checked_sum(found, kind, rows > ROWS)
        elif rows == UNCOUNTED and _is_plain(node):
            most = GREATEST // max(*map(abs, bounds), 1)
            if most < FEASIBLE:
                self.changes[id(node)] = lambda found: self._counted_sum(found, is_unsigned_integer(kind), most)

    def _counted_sum(self, node: Tree, unsigned: bool, most: int) -> Tree:
        """A SUM of numbers so small that only more rows than there can hardly be reach the limit."""
        whole = with_arguments(node, [replace(arg, self.instead) for arg in arguments(node)])
        count = with_function(whole, "count")
        return filled(f"CASE WHEN C > {most} THEN {list(_FAILURES)[unsigned]}(S) ELSE S END", S=whole, C=count)

    def _checked_sum(self, node: Tree, kind: pa.DataType, many: bool) -> Tree:
        (value,) = (replace(arg, self.instead) for arg in arguments(node))
        unsigned = is_unsigned_integer(kind)
        if kind.bit_width < 64:  # so that 32 digits can be shifted out
            value = filled(f"CAST(X AS BIGINT{' UNSIGNED' if unsigned else ''})", X=value)
        whole = with_arguments(node, [value])
        if is_distinct(node):
            exact = with_arguments(node, [filled("CAST(X AS DECIMAL(38,0))", X=value)])
            return filled(f"CAST(X AS BIGINT{' UNSIGNED' if unsigned else ''})", X=exact)
        high = with_arguments(node, [filled("X >> 32", X=value)])
        away = "CAST(S >> 32 AS BIGINT) - CAST(H AS BIGINT)" if unsigned else "(S >> 32) - H"
        name, wrong = list(_FAILURES)[unsigned], f"abs({away}) >= {ROWS}"
        wrong += f" OR C > {ROWS}" if many else ""
        return filled(f"CASE WHEN {wrong} THEN {name}(S) ELSE S END", S=whole, H=high, C=with_function(whole, "count"))


def _is_plain(call: Tree) -> bool:
    """Whether an aggregate is over all rows of a group: those of a window are in memory, and distinct ones few."""
    return over_of(call) is None and not is_distinct(call)


def _around(within: Bounds) -> Bounds:
    """Bounds as far as BIGINT reaches; what goes beyond is an error."""
    return max(within[0], LEAST), min(within[1], GREATEST)


def _arithmetic(tree: Tree) -> tuple[str, Tree, Tree] | None:
    """The operator and the operands of a sum, a difference or a product; None of anything else."""
    found = operation(tree) if isinstance(tree, dict) else None
    return found if found is not None and found[0] in _OPERATORS else None


def _limit(operator: str, left: Tree, right: Tree) -> str | None:
    """Of one number and no chain, when the result is beyond BIGINT: a comparison of integers, which costs little."""
    value = whole_number(right)
    if value is None or _arithmetic(bare(left)):
        return None
    step = value if operator != "Minus" else -value
    if operator == "Multiply":
        return f"X > {GREATEST // abs(step)} OR X < -{GREATEST // abs(step)}" if step else "false"
    return f"X > {GREATEST - step}" if step >= 0 else f"X < {LEAST - step}"


def _terms(tree: Tree) -> int:
    """How many terms and factors a chain has."""
    count, tree = 1, bare(tree)
    while (found := _arithmetic(tree)) is not None:
        count, tree = count + _terms(found[2]), bare(found[1])
    return count


def _size(leaf: Tree) -> Tree:
    # arrow_cast, since a CAST has no part in a column's name, and two columns would have one.
    return filled("abs(arrow_cast(X, 'Float64'))", X=leaf)


def _rebuilt(tree: Tree, leaf: Callable[[Tree], Tree], operator: Callable[[str], str]) -> Tree:
    """Arithmetic with other leaves and operators; a chain of them leans to the left, and may be thousands long."""
    links = []
    while (found := _arithmetic(bare(tree))) is not None:
        links.append(found)
        tree = found[1]
    made = leaf(tree)
    for old, _, right in reversed(links):
        op, inner = operator(old), _arithmetic(made)
        if op == "Multiply" and inner is not None and inner[0] != "Multiply":
            made = in_parentheses(made)
        made = binary(made, op, atom(_rebuilt(right, leaf, operator)))
    return made

"""Scalar expressions as nodes, typed as DataFusion types them; refused where its meaning is not known to be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce

from ...relation.columns import Field, Nested, Piece
from ...relation.functions import is_given, usual
from ...sql.expression import Call, Case, Cast, Expression, Literal, Parameter
from ..arrays import COMPARISONS, UNARY
from ..instants import instants, typed_string
from ..node import (
    FLOATS,
    INSTANTS,
    INTEGERS,
    NARROW,
    NUMBERS,
    WHOLE,
    Graph,
    Node,
    Refused,
    Type,
    Value,
)
from .choosing import choose
from .coercion import cast_type, common
from .failing import is_constant, refuse_failing
from .refusing import refuse

Resolve = Callable[[Field], Value]
Queried = Callable[[Nested], Value]


class Scalars:
    """Lowers the expressions of one SELECT.

    Args:
        graph: where nodes are made.
        resolve: gives the value of a column.
        parameters: the type of each parameter, or what it stands for.
        queried: gives the value of a query in parentheses.
    """

    def __init__(
        self, graph: Graph, resolve: Resolve, parameters: Mapping[str, Type | Node], queried: Queried | None = None
    ) -> None:
        self.graph, self.resolve, self.parameters, self._queried = graph, resolve, parameters, queried
        self._branch: tuple[tuple[tuple[Node, ...], Node | None], ...] = ()
        self._first: tuple[Expression, Value] | None = None

    def lower(self, expression: Expression) -> Value:
        """The value of an expression.

        A chain of operators leans to the left, and may be hundreds long: it is gone through from its first operand on.

        Raises:
            Refused: there is no array code that is known to mean the same.
        """
        known, self._first = self._first, None
        if known is not None and known[0] is expression:
            return known[1]
        links = _links(expression)
        value = self._lowered(links.pop())
        while links:
            link = links.pop()
            self._first = link.parts[0], value
            value = self._lowered(link)
        return value

    def _lowered(self, expression: Expression) -> Value:
        match expression:
            case Field():
                return self.resolve(expression)
            case Literal():
                return self._literal(expression)
            case Parameter():
                return self._parameter(expression)
            case Case():
                return self._case(expression)
            case Cast():
                return self._cast(expression)
            case Call():
                return self._call(expression)
            case Nested() if self._queried is not None:
                return self._queried(expression)
            case Piece(piece={"TypedString": _}):
                return Value(typed_string(self.graph, expression))
        raise refuse(expression)

    def condition(self, expression: Expression) -> Node:
        """Where a condition is true: NULL is not.

        Raises:
            Refused: it cannot be lowered, or is no condition.
        """
        value = self.lower(expression)
        if value.type != "boolean":
            raise Refused("a condition is no truth value", expression.span)
        return self.holds(value)

    def holds(self, value: Value) -> Node:
        """Where a truth value is true."""
        return value.cells if value.valid is None else self._map("and", "boolean", value.cells, value.valid)

    def compare(self, name: str, left: Value, right: Value) -> Value:
        """A comparison."""
        valid = self.graph.both(left.valid, right.valid)
        if left.type in NUMBERS and right.type in NUMBERS:
            kind = common(left.type, right.type)
            if kind == "float32":
                raise Refused("float32 is compared")
            sides = [Value(self.to(side.cells, kind), side.valid) for side in (left, right)]
            if kind in FLOATS:
                return Value(self._map(f"float {name}", "boolean", *map(self._filled, sides)), valid)
            return Value(self._map(name, "boolean", *(side.cells for side in sides)), valid)
        if left.type in WHOLE and right.type in WHOLE:
            cells = self._map(name, "boolean", self.to(left.cells, "int64"), self.to(right.cells, "int64"))
            return Value(cells, valid)
        if left.type in INSTANTS or right.type in INSTANTS:
            cells = self._map(name, "boolean", *instants(self.graph, left.cells, right.cells))
            return Value(cells, valid)
        if left.type == right.type == "boolean" or (left.type == right.type == "label" and name in ("=", "<>")):
            return Value(self._map(name, "boolean", left.cells, right.cells), valid)
        raise Refused(f"{left.type} is compared with {right.type}")

    def _filled(self, value: Value) -> Node:
        """The cells of a number; where it is NULL and was calculated (0 / 0 of a group without rows), a 0 for a NaN."""
        if value.valid is None or value.cells.op != "map":
            return value.cells
        return self._map("where", value.type, value.valid, value.cells, self.graph.constant(0.0, value.type))

    def to(self, node: Node, kind: Type) -> Node:
        """The same cells as another type of number."""
        if node.type == kind:
            return node
        if node.op == "constant" and kind in ("float64", "int64") and node.type in INTEGERS:
            return self.graph.constant(float(node.data[1]) if kind == "float64" else node.data[1], kind)
        return self._map(f"to {kind}", kind, node)

    def _map(self, name: str, kind: Type, *args: Node) -> Node:
        return self.graph.elementwise(name, args, kind)

    def _literal(self, literal: Literal) -> Value:
        value = literal.value
        if isinstance(value, bool):
            return Value(self.graph.constant(value, "boolean"))
        if isinstance(value, int) and -(2**63) < value < 2**63:
            return Value(self.graph.constant(value, "int64"))
        if isinstance(value, float):
            return Value(self.graph.constant(value, "float64"))
        if isinstance(value, str):
            return Value(self.graph.label(value))
        if value is None:
            return Value(self.graph.constant(0, "null"), self.graph.constant(False, "boolean"))
        raise refuse(literal)

    def _parameter(self, parameter: Parameter) -> Value:
        name = parameter.name.lstrip(":$@")
        kind = self.parameters.get(name)
        if kind is None:
            raise Refused(f"the parameter {parameter.name} has no value that arrays hold", parameter.span)
        return Value(kind if isinstance(kind, Node) else self.graph.make("parameter", (), (), kind, name))

    def _numbers(self, call: Call, kind: Type | None = None) -> tuple[Type, list[Node], Node | None]:
        """The arguments of a call as numbers of one type, and where all are known."""
        wanted, values = self._same_kind(call, kind)
        return wanted, [v.cells for v in values], self.graph.both(*(v.valid for v in values))

    def _same_kind(self, call: Call, kind: Type | None = None) -> tuple[Type, list[Value]]:
        """The arguments of a call as numbers of one type."""
        values = [self.lower(argument) for argument in call.args]
        if any(v.type not in NUMBERS | NARROW or v.type == "uint64" for v in values):
            raise Refused(f"{call.name} of what is no number", call.span)
        if all(v.type in NARROW for v in values):
            raise Refused(f"{call.name} of {values[0].type} alone", call.span)
        types: list[Type] = [v.type for v in values]
        wanted = kind if kind is not None else reduce(common, types)
        return wanted, [Value(self.to(v.cells, wanted), v.valid) for v in values]

    def _call(self, call: Call) -> Value:
        if call.distinct or call.filter is not None or call.window is not None or is_given(call.name):
            raise refuse(call)
        name, count = usual(call.name), len(call.args)
        if name in COMPARISONS and count == 2:
            return self.compare(name, self.lower(call.args[0]), self.lower(call.args[1]))
        if name in UNARY and count == 1:
            return self._unary(name, call)
        rule = _RULES.get((name, count)) or _RULES.get((name, None))
        if rule is None:
            raise refuse(call)
        return rule(self, call)

    def _unary(self, name: str, call: Call) -> Value:
        (value,) = (self.lower(argument) for argument in call.args)
        if value.type not in ("int32", "int64", "float64"):
            raise Refused(f"{call.name} of {value.type}", call.span)
        return Value(self._map(name, "float64", self.to(value.cells, "float64")), value.valid)

    def _arithmetic(self, call: Call) -> Value:
        kind, cells, valid = self._numbers(call)
        name = f"integer {call.name}" if kind in INTEGERS and call.name in "+-*/%" else call.name
        return Value(self._map(name, kind, *cells), valid)

    def _bits(self, call: Call) -> Value:
        kind, cells, valid = self._numbers(call)
        if kind != "int64":
            raise refuse(call)
        return Value(self._map(call.name, kind, *cells), valid)

    def _negative(self, call: Call) -> Value:
        kind, cells, valid = self._numbers(call)
        return Value(self._map("integer negative" if kind in INTEGERS else "negative", kind, *cells), valid)

    def _abs(self, call: Call) -> Value:
        kind, cells, valid = self._numbers(call)
        return Value(self._map("abs", kind, *cells), valid)

    def _power(self, call: Call) -> Value:
        _, cells, valid = self._numbers(call, "float64")
        if cells[1].op == "constant" and cells[1].data[1] == 2:
            return Value(self._map("square", "float64", cells[0]), valid)
        if is_constant(cells[0], lambda base: base != 0) or is_constant(cells[1], lambda exponent: exponent >= 0):
            return Value(self._map("power", "float64", *cells), valid)
        # Zero has no negative power; but neither a NULL nor a branch that is not taken is raised.
        raised = self.graph.both(valid, self._taken())
        if raised is not None:
            cells[0] = self._map("where", "float64", raised, cells[0], self.graph.constant(1.0, "float64"))
        return Value(self._map("power unless zero", "float64", *cells), valid)

    def _atan2(self, call: Call) -> Value:
        kind, cells, valid = self._numbers(call)
        if kind != "float64":
            raise refuse(call)
        return Value(self._map("atan2", "float64", *cells), valid)

    def _pi(self, call: Call) -> Value:
        return Value(self.graph.constant(3.141592653589793, "float64"))

    def _isnan(self, call: Call) -> Value:
        kind, cells, valid = self._numbers(call)
        if kind not in FLOATS:
            raise refuse(call)
        return Value(self._map("isnan", "boolean", *cells), valid)

    def _logical(self, call: Call) -> Value:
        """Three-valued AND and OR: a side that settles it does so although the other is NULL."""
        left, right = (self._truth(argument) for argument in call.args)
        cells = self._map(call.name, "boolean", left.cells, right.cells)
        if left.valid is None and right.valid is None:
            return Value(cells)
        settles = call.name == "or"
        known = self.graph.both(left.valid, right.valid)
        assert known is not None
        for side in (left, right):
            settled = side.cells if settles else self._map("not", "boolean", side.cells)
            known = self._map("or", "boolean", known, settled if side.valid is None else self._map(
                "and", "boolean", settled, side.valid))  # fmt: skip
        # Where one side is NULL, its cell means nothing: what the other says stands.
        parts = [s.cells if s.valid is None else self._unknown(s, not settles) for s in (left, right)]
        return Value(self._map(call.name, "boolean", *parts), known)

    def _unknown(self, value: Value, neutral: bool) -> Node:
        """The cells of a truth value, with ``neutral`` where it is NULL."""
        assert value.valid is not None
        return self._map("where", "boolean", value.valid, value.cells, self.graph.constant(neutral, "boolean"))

    def _truth(self, expression: Expression) -> Value:
        value = self.lower(expression)
        if value.type != "boolean":
            raise Refused("a truth value was expected", expression.span)
        return value

    def _not(self, call: Call) -> Value:
        value = self._truth(call.args[0])
        return Value(self._map("not", "boolean", value.cells), value.valid)

    def _is_null(self, call: Call) -> Value:
        value = self.lower(call.args[0])
        refuse_failing(value.cells, call)
        wanted = call.name == "is not null"
        if value.valid is None:
            return Value(self.graph.constant(wanted, "boolean"))
        return Value(value.valid if wanted else self._map("not", "boolean", value.valid))

    def _is_truth(self, call: Call) -> Value:
        value = self._truth(call.args[0])
        cells = value.cells if call.name.endswith("true") else self._map("not", "boolean", value.cells)
        holds = self.holds(Value(cells, value.valid))
        return Value(self._map("not", "boolean", holds) if " not " in call.name else holds)

    def _between(self, call: Call) -> Value:
        value, low, high = call.args
        inside = Call("and", (Call(">=", (value, low)), Call("<=", (value, high))))
        return self.lower(inside if call.name == "between" else Call("not", (inside,)))

    def _in(self, call: Call) -> Value:
        value, *items = call.args
        any_of = reduce(lambda a, b: Call("or", (a, b)), (Call("=", (value, item)) for item in items))
        return self.lower(any_of if call.name == "in" else Call("not", (any_of,)))

    def _case(self, case: Case) -> Value:
        """Nested choices, the last branch innermost."""
        tests = [c if case.operand is None else Call("=", (case.operand, c)) for c, _ in case.branches]
        conditions: list[Node] = []
        results = []
        for test, (_, result) in zip(tests, case.branches, strict=True):
            with self._unless(conditions):
                conditions.append(self.condition(test))
            with self._unless(conditions[:-1], conditions[-1]):
                results.append(self.lower(result))
        with self._unless(conditions):
            default = self._literal(Literal(None)) if case.default is None else self.lower(case.default)
        return choose(self.graph, self.to, conditions, results, default, case)

    @contextmanager
    def _unless(self, earlier: Sequence[Node], own: Node | None = None) -> Iterator[None]:
        """What is lowered meanwhile counts only where a condition holds, and none before it does."""
        outer = self._branch
        self._branch = (*outer, (tuple(earlier), own))
        try:
            yield
        finally:
            self._branch = outer

    def _taken(self) -> Node | None:
        """Where what is lowered now counts; None for everywhere."""
        parts = [c for earlier, own in self._branch for c in (*(self._map("not", "boolean", e) for e in earlier), own)]
        return self.graph.both(*parts)

    def _coalesce(self, call: Call) -> Value:
        values = [self.lower(argument) for argument in call.args]
        known = [v.valid if v.valid is not None else self.graph.constant(True, "boolean") for v in values]
        return choose(self.graph, self.to, known[:-1], values[:-1], values[-1], call)

    def _nullif(self, call: Call) -> Value:
        left, right = (self.lower(argument) for argument in call.args)
        equal = self.holds(self.compare("=", left, right))
        numbers = NUMBERS | NARROW
        cells = self.to(left.cells, common(left.type, right.type)) if left.type in numbers else left.cells
        return Value(cells, self.graph.both(left.valid, self._map("not", "boolean", equal)))

    def _extreme(self, call: Call) -> Value:
        """GREATEST and LEAST of numbers, in which NULL takes no part."""
        kind, values = self._same_kind(call)
        if kind == "float32":
            raise refuse(call)
        name = "larger" if call.name == "greatest" else "smaller"
        name = name if kind in FLOATS else f"{name} integer"
        return reduce(lambda a, b: self._better(name, kind, a, b), values)

    def _better(self, name: str, kind: Type, one: Value, other: Value) -> Value:
        """The larger or the smaller of two numbers, or that which is known."""
        cells = self._map(name, kind, self._filled(one), self._filled(other))
        if other.valid is not None:
            cells = self._map("where", kind, other.valid, cells, one.cells)
        if one.valid is not None:
            cells = self._map("where", kind, one.valid, cells, other.cells)
        if one.valid is None or other.valid is None:
            return Value(cells)
        return Value(cells, self._map("or", "boolean", one.valid, other.valid))

    def _cast(self, cast: Cast) -> Value:
        value, kind = self.lower(cast.value), cast_type(cast)
        known = NARROW | frozenset[Type](("boolean", "int32", "int64", "uint64", "float32", "float64"))
        if kind is None or value.type not in known or cast.kind == "TryCast":
            raise refuse(cast)
        if kind == "boolean" and value.type in FLOATS:
            raise refuse(cast)
        return value if value.type == kind else Value(self._map(f"to {kind}", kind, value.cells), value.valid)


def _links(expression: Expression) -> list[Expression]:
    """A chain of operators from its last one to its first operand."""
    found = [expression]
    while isinstance(expression, Call) and expression.name in _CHAINED and len(expression.args) == 2:
        expression = expression.args[0]
        found.append(expression)
    return found


_CHAINED = frozenset({"+", "-", "*", "/", "%", "&", "|", "^", "||", "and", "or"})


_RULES: Mapping[tuple[str, int | None], Callable[[Scalars, Call], Value]] = {
    **{(name, 2): Scalars._arithmetic for name in "+-*/%"},
    **{(name, 2): Scalars._bits for name in "&|^"},
    **{(name, 2): Scalars._logical for name in ("and", "or")},
    **{(name, 1): Scalars._is_null for name in ("is null", "is not null")},
    **{(name, 1): Scalars._is_truth for name in ("is true", "is false", "is not true", "is not false")},
    **{(name, None): Scalars._in for name in ("in", "not in")},
    **{(name, None): Scalars._extreme for name in ("greatest", "least")},
    ("-", 1): Scalars._negative, ("not", 1): Scalars._not, ("abs", 1): Scalars._abs, ("atan2", 2): Scalars._atan2,
    ("power", 2): Scalars._power,
    ("pi", 0): Scalars._pi, ("isnan", 1): Scalars._isnan, ("between", 3): Scalars._between,
    ("not between", 3): Scalars._between, ("coalesce", None): Scalars._coalesce, ("nullif", 2): Scalars._nullif,
}  # fmt: skip

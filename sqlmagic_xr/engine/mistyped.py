"""What the engine says of types that do not fit: of a call's arguments, of an operator's sides, of a cast's value."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ExecutionError, TypeMismatchError
from .findings import Finding, KnownNames
from .printed import sql_types
from .suspects import calls, string_of_node


def wrong_arguments(match: re.Match[str], known: KnownNames) -> Finding:
    """A function that does not take what it is given."""
    name, types = match["name"], sql_types(match["types"])
    candidates = dict.fromkeys(map(sql_types, re.findall(r"^\s+(\w+\(.*\))$", match.string, re.MULTILINE)))
    required = dict.fromkeys(sql_types(kind) for kind in re.findall(r"requires (\w+), but received", match.string))
    candidates = candidates or dict.fromkeys(f"{name}(..., {kind})" for kind in required)
    hint = f"It takes {' or '.join(list(candidates)[:3])}." if candidates else None
    if types == "VARCHAR" and hint and "DOUBLE" in hint:
        hint = f"{hint[:-1]}: write {name}(TRY_CAST(x AS DOUBLE)), which is NULL where a text is no number."
    if re.search(r"expects \d+ arguments but received", match.string):
        counts = sorted(set(re.findall(r"expects (\d+) arguments", match.string)), key=int)
        hint = f"It takes {' or '.join(counts)} argument{'s' if counts != ['1'] else ''}."
    if name in _COUNTED and known.calendars and "BIGINT" in types:
        calendars = " or ".join(known.calendars)
        hint = f"Times of the {calendars} calendar are numbers: write {_COUNTED[name]}."
    what = f"{name} does not take ({types})" if types else f"{name} needs arguments"
    return Finding(TypeMismatchError, what, hint, calls(name))


def operator_types(match: re.Match[str], known: KnownNames) -> Finding:
    """An operator whose sides do not go together."""
    left, operator, right = match["left"], match["op"], match["right"]
    variant = _OPERATORS.get(operator)
    what = f"{operator} does not go with {sql_types(left)} and {sql_types(right)}"

    def suspect(kind: str, node: Any) -> bool:
        if operator.endswith("LIKE"):
            return kind in ("Like", "ILike")
        return kind == "BinaryOp" and (variant is None or node["op"] == variant)

    kinds = {left.partition("(")[0], right.strip().partition("(")[0]}
    hint = "Convert one side with CAST(... AS type)."
    if any(kind.startswith(("Timestamp", "Date")) for kind in kinds) and any("Int" in kind for kind in kinds):
        hint = f"Write the time as text, {operator} '2001-01-01', or compare a part of it: date_part('year', ...)."
        hint = "Add an interval: + INTERVAL '1 day'." if operator in "+-*/%" else hint
    return Finding(TypeMismatchError, what, hint, suspect)


def bad_cast(match: re.Match[str], known: KnownNames) -> Finding:
    """A text that is no value of a type."""
    value, kind = match["value"], sql_types(match["type"])
    hint = "TRY_CAST(... AS type) gives NULL instead of an error."
    if known.calendars and kind == "BIGINT" and re.match(r"'-?\d+-\d+", value):
        hint = f"Times of the {' or '.join(known.calendars)} calendar are numbers: write cftime({value})."
    return Finding(
        ExecutionError, f"{value} is not a value of type {kind}", hint,
        lambda k, n: k == "Cast" or (k == "Value" and string_of_node(n) == value[1:-1]),
    )  # fmt: skip


_OPERATORS = {
    "+": "Plus", "-": "Minus", "*": "Multiply", "/": "Divide", "%": "Modulo", "AND": "And", "OR": "Or", "=": "Eq",
    "!=": "NotEq", "<>": "NotEq", "<": "Lt", "<=": "LtEq", ">": "Gt", ">=": "GtEq", "||": "StringConcat",
}  # fmt: skip
_COUNTED = {
    "date_part": "cftime_part('month', t)", "datepart": "cftime_part('month', t)",
    "date_trunc": "cftime_trunc('year', t)", "datetrunc": "cftime_trunc('year', t)", "to_char": "cftime_text(t)",
    "date_format": "cftime_text(t)",
}  # fmt: skip
"""What a function of a timestamp is for the times of other calendars."""

"""The operators of SQL: sqlparser's name of each, how it is written, and how tightly it binds."""

from __future__ import annotations

# sqlparser's name of an operator -> (SQL, how tightly it binds, as sqlparser reads it)
BINARY = {
    "Or": ("or", 5), "And": ("and", 10),
    "Eq": ("=", 20), "NotEq": ("<>", 20), "Lt": ("<", 20), "LtEq": ("<=", 20), "Gt": (">", 20), "GtEq": (">=", 20),
    "BitwiseOr": ("|", 21), "BitwiseXor": ("^", 22), "BitwiseAnd": ("&", 23),
    "Plus": ("+", 30), "Minus": ("-", 30),
    "Multiply": ("*", 40), "Divide": ("/", 40), "Modulo": ("%", 40), "StringConcat": ("||", 40),
}  # fmt: skip
POSTFIX = {
    "IsNull": "is null", "IsNotNull": "is not null", "IsTrue": "is true", "IsNotTrue": "is not true",
    "IsFalse": "is false", "IsNotFalse": "is not false", "IsUnknown": "is unknown", "IsNotUnknown": "is not unknown",
}  # fmt: skip
DISTINCT = {"IsDistinctFrom": "is distinct from", "IsNotDistinctFrom": "is not distinct from"}
ROUNDING = {"Ceil": "ceil", "Floor": "floor"}

OPERATOR = {sql: (name, strength) for name, (sql, strength) in BINARY.items()}
POSTFIX_TREE = {sql: name for name, sql in POSTFIX.items()}
DISTINCT_TREE = {sql: name for name, sql in DISTINCT.items()}
NOT, IS, UNARY, ATOM = 15, 17, 45, 100
NESTED_LEFT = {20}  # a comparison of a comparison is written with parentheses on either side

OPERATORS = frozenset(OPERATOR) | frozenset(POSTFIX_TREE) | frozenset(DISTINCT_TREE) | {
    "not", "between", "not between", "in", "not in",
}  # fmt: skip
"""The names of calls that are operators, not functions."""

"""Pieces of SQL text put together so that they mean what they meant apart, and can be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ...sql.syntax import expression_sql, make_identifier


@lru_cache(maxsize=1024)  # the statements of one MINIMIZE say the same few names a hundred times
def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return expression_sql({"Identifier": make_identifier(name)})


def count_from(base: int) -> str:
    """How many steps have been made with this one, of a run that began at a generation."""
    if base == 0:
        return ":next_step"
    return f":next_step - {base}" if base > 0 else f":next_step + {-base}"


def fresh_column(name: str, taken: Sequence[str]) -> str:
    """A name that none of some columns has."""
    while name in taken:
        name += "_1"
    return name


def join(what: str, to: str, keys: Sequence[str], alias: str = "", kind: str = "JOIN") -> str:
    """``JOIN what ON ...`` on equal keys, CROSS JOIN where there is none."""
    if not keys:
        return f"CROSS JOIN {what}"
    alias = alias or what
    return f"{kind} {what} ON " + " AND ".join(f"{alias}.{quoted(key)} = {to}.{quoted(key)}" for key in keys)


def wrapped(text: str) -> str:
    """An expression as a factor: in parentheses unless it is one word."""
    text = text.strip()
    simple = text.replace("_", "").replace(".", "").replace(":", "", 1).replace("$", "", 1)
    if simple.isalnum() or (text.startswith("(") and _whole(text)):
        return text
    return f"(\n{text}\n)" if "--" in text else f"({text})"


def _whole(text: str) -> bool:
    depth = 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return place == len(text) - 1
    return False


def factor(text: str) -> str:
    """An update as what a rate is multiplied with."""
    if text.startswith(("grad(", "CASE ")) or text.replace("_", "").replace(".", "").replace('"', "").isalnum():
        return text if not text.startswith("CASE ") else f"({text})"
    return text if text.startswith("(") and _whole(text) else f"({text})"


def listed_in_lines(items: Sequence[str]) -> str:
    """A select list, a line for each item where they are long."""
    short = ", ".join(items)
    return short if len(short) < 90 and "\n" not in short else ",\n       ".join(items)


def cte(name: str, query: str) -> str:
    """A query as one of those behind WITH."""
    return f"{name} AS (\n{indented(query)}\n)"


def indented(text: str) -> str:
    """A text two columns further to the right."""
    return "\n".join(f"  {line}" for line in text.strip().split("\n"))

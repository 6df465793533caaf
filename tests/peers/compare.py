"""What two sides saw of a statement, compared; and the table of differences that are meant."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tests.peers.records import Record

Verdict = Literal["same", "both refuse", "ours alone refuses", "plain alone refuses", "differ", "meant", "not reached"]

_EXPLAIN = re.compile(r"\s*EXPLAIN\b", re.IGNORECASE)
_ORDER = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)
_CHANGE = re.compile(r"\s*(CREATE|DROP|ALTER|TRUNCATE|SET|RESET|BEGIN|COMMIT|ROLLBACK|PREPARE|DEALLOCATE)\b", re.I)
# A scratch table stores strings and bytes in their plain form, and no dictionaries: the values are the same.
_PLAIN = {"string_view": "string", "large_string": "string", "binary_view": "binary", "large_binary": "binary"}
_PLAIN |= dict.fromkeys(["large_list_view", "list_view", "large_list"], "list")
_PLAIN_TYPES = re.compile("|".join(_PLAIN))
_DICTIONARY = re.compile(r"(?:dictionary<|run_end_encoded<run_ends: \w+, )values[=:] ?([^,>]*)(?:, [^>]*)?>")


SAME_ROWS = "(the same rows)"
"""Stands below what we saw where the rows are alike, and only their types, names or order differ."""


@dataclass(frozen=True)
class Meant:
    """A difference that is meant.

    Attributes:
        reason: why it is.
        file, statement, ours, plain: patterns that the place, the text, and what either side saw must have in them;
            upper and lower case are one.
    """

    reason: str
    file: str = ""
    statement: str = ""
    ours: str = ""
    plain: str = ""

    def covers(self, record: Record, plain: str, ours: str) -> bool:
        """Whether it is this difference."""
        pairs = ((self.file, record.place), (self.statement, record.sql), (self.ours, ours), (self.plain, plain))
        return all(re.search(pattern, text, re.IGNORECASE | re.DOTALL) for pattern, text in pairs)


@cache
def meant() -> tuple[Meant, ...]:
    """The table, ``meant.toml``."""
    with Path(__file__).with_name("meant.toml").open("rb") as file:
        return tuple(Meant(**entry) for entry in tomllib.load(file)["difference"])


@dataclass(frozen=True)
class Comparison:
    """A statement, what either side saw, and what is to be thought of it."""

    record: Record
    verdict: Verdict
    plain: str
    ours: str
    reason: str = ""


def compare(record: Record, plain: dict[str, Any] | None, ours: dict[str, Any] | None) -> Comparison:
    """What to think of a statement.

    Args:
        record: the statement.
        plain, ours: what :func:`.side.outcome` gave; None where the side had ended before.
    """
    seen = _shown(plain), _shown(ours)
    if plain is not None and ours is not None and plain.get("any_order") == ours.get("any_order", ""):
        seen = seen[0], f"{seen[1]}\n{SAME_ROWS}"
    if plain is None and ours is None:
        return Comparison(record, "not reached", *seen)
    verdict = _verdict(record, plain, ours)
    if verdict in ("differ", "ours alone refuses", "plain alone refuses", "not reached"):
        reason = next((m.reason for m in meant() if m.covers(record, *seen)), "")
        if reason:
            return Comparison(record, "meant", *seen, reason)
    return Comparison(record, verdict, *seen)


def _verdict(record: Record, plain: dict[str, Any] | None, ours: dict[str, Any] | None) -> Verdict:
    if plain is None or ours is None:
        return "not reached"
    if "error" in plain or "error" in ours:
        both = "error" in plain and "error" in ours
        return "both refuse" if both else "ours alone refuses" if "error" in ours else "plain alone refuses"
    if _EXPLAIN.match(record.sql) or _CHANGE.match(record.sql):
        return "same"  # a plan is each side's own, and what a definition did is seen by the queries after it
    return "same" if _alike(record, plain, ours) else "differ"


def _alike(record: Record, plain: dict[str, Any], ours: dict[str, Any]) -> bool:
    order = "ordered" if _ORDER.search(record.sql) and not record.sorted else "any_order"
    if plain["columns"] != ours["columns"] or plain[order] != ours[order]:
        return False
    return [_plain(t) for t in plain["types"]] == [_plain(t) for t in ours["types"]]


def _plain(kind: str) -> str:
    return _DICTIONARY.sub(r"\1", _PLAIN_TYPES.sub(lambda found: _PLAIN[found[0]], kind))


def _shown(outcome: dict[str, Any] | None) -> str:
    if outcome is None:
        return "(ended)"
    if "error" in outcome:
        return str(outcome["error"])
    head = ", ".join(f"{c} {t}" for c, t in zip(outcome["columns"], outcome["types"], strict=True))
    return "\n".join([f"{outcome['count']} rows of ({head})", *outcome["rows"]])

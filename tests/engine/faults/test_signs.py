"""A pattern is looked for only where a word that it needs stands in the text: whatever it is found in has one."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from sqlmagic_xr.engine.faults import WORKAROUNDS
from sqlmagic_xr.engine.faults.signs import Signs

SIGNS = Signs((w.signs, w.needs) for w in WORKAROUNDS)
PATTERNS = [re.compile(w.signs, re.IGNORECASE) for w in WORKAROUNDS]
WORDS = sorted({word for w in WORKAROUNDS for word in re.findall(r"[A-Za-z_]{2,}", f"{w.signs} {w.needs}")})
PIECES = [
    *WORDS, *map(str.upper, WORDS), *"()=<>!+-*/%&|^.,;'\"$:", "<>", "!=", "<=", ">=", "<<", "||", "(SELECT", "( WITH",
    "IN (", "IN ((", "ORDER BY", "GROUP BY", "IS NOT TRUE", "IS UNKNOWN", "DISTINCT ON", "FROM (", "FROM ((SELECT",
    "sum(", "AVG (", "var_pop(", "Regr_Slope (", "approx_distinct(", "date_part", "datepart", "CASE WHEN", "CASE x",
    "UNION ALL", "OFFSET 2", "LIMIT 12", "LIMIT 1234567", "1234567890123456", "12345678.90123456", "0", "1", "0.0",
    "a", "t.a", "s.t.a", "t. \"a\" .b", "-a", "a*b", "été", "ſum(", "x1", "_",
]  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", " ", "\n", "\t "])), max_size=12))
def test_what_is_looked_for_is_all_that_is_found(pieces):
    text = "".join(piece + blank for piece, blank in pieces)
    searched = tuple(number for number, pattern in enumerate(PATTERNS) if pattern.search(text))
    assert SIGNS.found(text) == searched


def test_a_workaround_that_needs_nothing_known_is_always_looked_for():
    signs = Signs([(r"\d{3}", ""), (r"\bOVER\b", "OVER")])
    found = {text: signs.found(text) for text in ("123", "a over b", "over 123", "overall", "")}
    assert found == {"123": (0,), "a over b": (1,), "over 123": (0, 1), "overall": (), "": ()}

"""SQL laid out means what it meant: only white space changes."""

from __future__ import annotations

import pytest

from sqlmagic_xr.sql.layout import WIDTH, lay_out
from sqlmagic_xr.sql.lexer import TokenKind, tokens

TEXTS = [
    "SELECT 1",
    "SELECT a FROM t WHERE b = 'FROM  x' AND c IS DISTINCT FROM d",
    "WITH t AS (SELECT a FROM x), u(b) AS (VALUES (1), (2)) SELECT * FROM t, u WHERE a IN (SELECT b FROM u)",
    "INSERT INTO params SELECT 1, cur.a - 0.4 * AVG(x) FROM d CROSS JOIN (SELECT a FROM params) cur GROUP BY cur.a",
    "SELECT EXTRACT(year FROM t), trim(' ' FROM s), sum(a) OVER (PARTITION BY b ORDER BY c) FROM t LEFT OUTER JOIN u",
    "DELETE FROM t WHERE a = -1 RETURNING a::int, b[1:2]",
    "UPDATE t SET a = 1 /* why */ WHERE b -- so\n > 2",
    "CASE WHEN a THEN (b)) ELSE ((",
]  # fmt: skip


def words(sql: str) -> list[str]:
    return [t.text for t in tokens(sql, strict=False) if t.kind is not TokenKind.SPACE]


@pytest.mark.parametrize("text", TEXTS)
def test_only_white_space_changes(text):
    laid = lay_out(text)
    assert words(laid) == words(text)
    assert lay_out(laid) == laid, "laid out again it stays as it is"


def test_clauses_begin_lines_and_subqueries_are_indented():
    assert lay_out(TEXTS[3]).splitlines() == [
        "INSERT INTO params",
        "SELECT 1, cur.a - 0.4 * AVG(x)",
        "FROM d",
        "CROSS JOIN (",
        "  SELECT a",
        "  FROM params",
        ") cur",
        "GROUP BY cur.a",
    ]


def test_long_lists_are_broken_at_commas():
    lines = lay_out("SELECT " + ", ".join(f"power(column_{i}, 2) AS square_{i}" for i in range(20))).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert len(lines) < 20

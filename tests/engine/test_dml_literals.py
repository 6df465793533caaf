"""VALUES of literals: read off the text, they are what the engine makes of them, however many there are."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from sqlmagic_xr.errors import SqlError
from tests.dealt import MANY, MIXED, PACKED
from tests.engine.conftest import Db

LITERALS = [
    "1", "-7", "2.5", "0.1", "1e20", "-0.0", "9007199254740993", "9223372036854775807", "-9223372036854775808",
    "18446744073709551615", "NULL", "TRUE", "'3'", "'3.5'", "'a'", "''", "'it''s'", "'2020-01-01'",
]  # fmt: skip
KINDS = [
    "BIGINT", "INT", "DOUBLE", "REAL", "VARCHAR", "VARCHAR(2)", "DECIMAL(9, 3)", "DECIMAL(38, 20)", "BOOLEAN", "DATE",
    "TIMESTAMP",
]  # fmt: skip
LEFT_TO_THE_ENGINE = "/* */"
"""Rows with a comment among them are not read off the text."""
WHOLE, BY_TWOS = Db(), Db(MIXED)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(KINDS), st.lists(st.sampled_from(LITERALS), min_size=1, max_size=4), st.booleans(), st.booleans()
)
def test_literals_that_are_read_off_the_text_are_what_the_engine_makes_of_them(kind, rows, decimals, by_twos):
    db = BY_TWOS if by_twos else WHOLE
    db.run(f"SET datafusion.sql_parser.parse_float_as_decimal = {str(decimals).lower()}")
    found = []
    for comment in ("", LEFT_TO_THE_ENGINE):
        db.run(f"CREATE OR REPLACE TABLE v (place BIGINT, a {kind})")
        with contextlib.suppress(SqlError):
            placed = ", ".join(f"({place}, {row})" for place, row in enumerate(rows))
            db.run(f"INSERT INTO v VALUES {comment}{placed}")
        found.append([repr(row) for row in db.rows("SELECT a FROM v ORDER BY place")])
    assert found[0] == found[1]


def test_literals_of_many_rows_are_what_the_engine_makes_of_few():
    """However many rows there are, and whoever reads them, those of few again and again."""
    db, few = Db(PACKED), ["1, 'a'", "-7, 'it''s'", "2.5, ''", "NULL, NULL", "0.125, 'b'"]
    found, counts = [], (len(few), 1000, MANY)
    for comment, count in zip((LEFT_TO_THE_ENGINE, LEFT_TO_THE_ENGINE, ""), counts, strict=True):
        db.run("CREATE OR REPLACE TABLE v (place BIGINT, a DECIMAL(9, 3), s VARCHAR(5))")
        placed = ", ".join(f"({place}, {few[place % len(few)]})" for place in range(count))
        db.run(f"INSERT INTO v VALUES {comment}{placed}")
        found.append(db.rows("SELECT a, s FROM v ORDER BY place"))
    assert found == [found[0] * (count // len(few)) for count in counts]

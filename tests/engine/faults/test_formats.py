"""Formats of times in PostgreSQL's spelling are refused with the engine's spelling, and all others are read."""

import pytest
from datafusion import SessionContext

from sqlmagic_xr import Context
from sqlmagic_xr.engine.faults.formats import strftime
from sqlmagic_xr.errors import UnsupportedError

TIME = "TIMESTAMP '2020-03-05 14:07:09.25'"
SPELLED = {  # PostgreSQL's spelling -> the engine's, and what it gives
    "YYYY-MM": ("%Y-%m", "2020-03"),
    "YYYY-MM-DD": ("%Y-%m-%d", "2020-03-05"),
    "yyyymmdd": ("%Y%m%d", "20200305"),
    "YYYY-MM-DD HH24:MI:SS": ("%Y-%m-%d %H:%M:%S", "2020-03-05 14:07:09"),
    'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"': ("%Y-%m-%dT%H:%M:%S.%3fZ", "2020-03-05T14:07:09.250Z"),
    "YYYY-MM-DDTHH24:MI": ("%Y-%m-%dT%H:%M", "2020-03-05T14:07"),
    "yyyy-MM-dd HH:mm:ss": ("%Y-%m-%d %H:%M:%S", "2020-03-05 14:07:09"),
    "HH12:MI AM": ("%I:%M %p", "02:07 PM"),
    "Dy, FMDD. Mon YY": ("%a, %-d. %b %y", "Thu, 5. Mar 20"),
    "Day Month DDD": ("%A %B %j", "Thursday March 065"),
    "IYYY_IW_ID": ("%G_%V_%u", "2020_10_4"),
    "YYYY/Q": ("%Y/%q", "2020/1"),
    "SS.US": ("%S.%6f", "09.250000"),
}
OTHERS = ("%Y-%m", "%Y MM", "SUMMER", "no format", "2020", "", "T", "''", "Amber")


@pytest.fixture(scope="module")
def context():
    made = Context()
    made.script(f"CREATE TABLE d (t TIMESTAMP, s VARCHAR); INSERT INTO d VALUES ({TIME}, '2020-03-05')")
    return made


@pytest.mark.parametrize("text", SPELLED)
def test_a_format_of_postgresql_is_refused_with_the_one_that_says_the_same(context, text):
    plain = SessionContext().sql(f"SELECT to_char({TIME}, '{text}') AS a").to_pydict()["a"]
    assert plain == [text]  # the engine: the format, without a word
    with pytest.raises(UnsupportedError, match="PostgreSQL's spelling of a format") as caught:
        context.script(f"SELECT to_char(t, '{text}') FROM d")
    spelled, right = SPELLED[text]
    assert caught.value.hint == f"Write '{spelled}'."
    assert context.sql(f"SELECT to_char(t, '{spelled}') AS a FROM d").to_pydict()["a"] == [right]


@pytest.mark.parametrize("text", OTHERS)
def test_a_text_that_is_no_such_format_is_as_before(context, text):
    assert strftime(text) is None
    query = f"SELECT to_char({TIME}, '{text}') AS a"
    assert context.sql(query).to_pydict() == SessionContext().sql(query).to_pydict()


STATEMENTS = """
SELECT date_format(t, 'YYYY-MM-DD') FROM d
SELECT TO_CHAR(t, ('YYYY')) FROM d
INSERT INTO d (s) VALUES (to_char(now(), 'YYYY-MM-DD'))
INSERT INTO d (s) SELECT to_char(t, 'YYYY-MM-DD') FROM d
UPDATE d SET s = to_char(t, 'YYYY-MM-DD')
DELETE FROM d WHERE to_char(t, 'YYYY') = '2020'
CREATE VIEW v AS SELECT to_char(t, 'YYYY-MM-DD') AS s FROM d
CREATE TABLE n AS SELECT to_char(t, 'YYYY-MM-DD') AS s FROM d
SELECT s FROM d ORDER BY to_char(t, 'MM') LIMIT 3
SELECT count(*) FROM d GROUP BY to_char(t, 'Mon')
SELECT s FROM d WHERE t IN (SELECT t FROM d WHERE s = to_char(t, 'DD'))
MERGE INTO d USING d AS e ON d.t = e.t WHEN MATCHED THEN UPDATE SET s = to_char(e.t, 'YYYY')
SELECT to_date(s, 'YYYY-MM-DD') FROM d
SELECT to_timestamp(s, 'YYYY-MM-DD', 'DD.MM.YYYY') FROM d
SELECT to_unixtime(s, 'YYYY-MM-DD') FROM d
SELECT to_time(s, 'HH24:MI') FROM d WHERE s IS NULL
""".strip().split("\n")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_it_is_seen_wherever_it_stands(context, statement):
    with pytest.raises(UnsupportedError, match="PostgreSQL's spelling of a format"):
        context.script(statement)


def test_one_of_several_formats_that_no_text_has_does_no_harm(context):
    query = "SELECT to_char(to_timestamp(s, 'DD.MM.YYYY', '%Y-%m-%d'), '%d.%m.%Y') AS a FROM d"
    assert context.sql(query).to_pydict()["a"] == ["05.03.2020"]

"""What is in sight of the cursor of an unfinished statement."""

from __future__ import annotations

import pytest

from sqlmagic_xr.sql.unfinished import read

TABLES = {
    ("params",): {"step": "BIGINT", "a": "DOUBLE", "b": "DOUBLE"},
    ("ds",): {"lat": "DOUBLE", "lon": "DOUBLE", "air": "DOUBLE"},
    ("era5", "surface"): {"t2m": "DOUBLE"},
}


def draft(marked: str):
    """Read a text whose cursor is written ``|``."""
    return read(marked.replace("|", ""), marked.index("|"), TABLES.get)


@pytest.mark.parametrize(
    ("marked", "place", "fragment"),
    [
        ("|", "expression", ""),
        ("SELECT la|", "expression", "la"),
        ("SELECT la| FROM ds", "expression", "la"),
        ("SELECT lat FROM |", "relation", ""),
        ("SELECT lat FROM d|", "relation", "d"),
        ("SELECT lat FROM ds, p|", "relation", "p"),
        ("SELECT lat FROM ds CROSS JOIN p|", "relation", "p"),
        ("SELECT lat FROM ds WHERE x IN (1, 2|", "expression", ""),
        ("SELECT lat, l| FROM ds", "expression", "l"),
        ("SELECT lat FROM ds GROUP BY lat, l|", "expression", "l"),
        ("INSERT INTO p|", "relation", "p"),
        ("UPDATE p|", "relation", "p"),
        ("DELETE FROM p|", "relation", "p"),
        ("DESCRIBE p|", "relation", "p"),
        ("SELECT EXTRACT(year FROM t|", "expression", "t"),
        ("SELECT a IS DISTINCT FROM b|", "expression", "b"),
        ("SELECT ds.|", "member", ""),
        ("SELECT ds.la| FROM ds", "member", "la"),
        ("SELECT 1.|", "expression", ""),
        ("SELECT $l|", "parameter", "$l"),
        ("SELECT :l|", "parameter", ":l"),
        ("SELECT $|", "parameter", "$"),
        ("SELECT (:|", "parameter", ":"),
        ("SELECT a[1:k|]", "quiet", ":k"),
        ("SELECT a::dou|", "type", "dou"),
        ("SELECT CAST(a AS dou|", "type", "dou"),
        ("SELECT a AS n|", "quiet", "n"),
        ("SELECT 'la|'", "quiet", ""),
        ("SELECT 'la|", "quiet", ""),
        ("SELECT 1 -- la|", "quiet", ""),
        ("SELECT 1 /* la|", "quiet", ""),
        ("SELECT /* x */ la|", "expression", "la"),
        ('SELECT "Up|', "expression", '"Up'),
        ("SELECT lat FROM ds; SELECT st|", "expression", "st"),
        ("SELECT la|; SELECT 1", "expression", "la"),
    ],
)
def test_the_place_of_the_cursor(marked, place, fragment):
    found = draft(marked)
    assert (found.place, found.fragment) == (place, fragment)


@pytest.mark.parametrize(
    ("marked", "relations"),
    [
        ("SELECT | FROM ds", {"ds": ["lat", "lon", "air"]}),
        ("SELECT | FROM ds d", {"d": ["lat", "lon", "air"]}),
        ("SELECT | FROM ds AS d, params p", {"d": ["lat", "lon", "air"], "p": ["step", "a", "b"]}),
        ('SELECT | FROM "ds" WHERE', {"ds": ["lat", "lon", "air"]}),
        ("SELECT | FROM ds JOIN params ON", {"ds": ["lat", "lon", "air"], "params": ["step", "a", "b"]}),
        ("SELECT | FROM era5.surface", {"surface": ["t2m"]}),
        ("SELECT | FROM nothing", {}),
        ("SELECT | FROM (SELECT a, b AS bb, a + 1 AS c, sum(a) FROM params) cur", {"cur": ["a", "bb", "c"]}),
        ("SELECT | FROM (SELECT *, 1 AS one FROM params) cur", {"cur": ["step", "a", "b", "one"]}),
        ("SELECT | FROM (SELECT p.*, d.lat FROM params p, ds d) cur", {"cur": ["step", "a", "b", "lat"]}),
        ("WITH t AS (SELECT a AS x FROM params), u AS (SELECT x AS y FROM t) SELECT | FROM u", {"u": ["y"]}),
        ("WITH t(x, y) AS (SELECT 1, 2) SELECT | FROM t", {"t": ["x", "y"]}),
        ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT | FROM t", {"t": ["n"]}),
        ("WITH t AS (SELECT | FROM params) SELECT * FROM t", {"params": ["step", "a", "b"], "t": []}),
        ("SELECT (SELECT | FROM params) FROM ds", {"params": ["step", "a", "b"], "ds": ["lat", "lon", "air"]}),
        ("SELECT a FROM params WHERE EXISTS (SELECT 1 FROM ds WHERE |", {"ds": ["lat", "lon", "air"],
                                                                       "params": ["step", "a", "b"]}),
        ("UPDATE params SET |", {"params": ["step", "a", "b"]}),
        ("INSERT INTO params SELECT | FROM ds", {"params": ["step", "a", "b"], "ds": ["lat", "lon", "air"]}),
        ("SELECT 1 FROM params; SELECT | FROM ds; SELECT 1 FROM params", {"ds": ["lat", "lon", "air"]}),
        ("SELECT lat, EXTRACT(year FROM air) FROM ds WHERE |", {"ds": ["lat", "lon", "air"]}),
    ],
)  # fmt: skip
def test_the_relations_in_sight(marked, relations):
    assert {name: list(columns) for name, columns in draft(marked).relations.items()} == relations


def test_types_come_through_a_subquery():
    assert draft("SELECT | FROM (SELECT a, b AS bb FROM params) cur").relations["cur"] == {"a": "DOUBLE", "bb": ""}


@pytest.mark.parametrize("cursor", range(0, 120, 7))
def test_any_cut_of_a_text_can_be_read(cursor):
    text = (
        """WITH t AS (SELECT "a FROM (((params) SELECT ')' , t.* FROM $$x$$ ; ) ) , FROM . AS JOIN ( SELECT :, [1:x"""
    )
    read(text[:cursor], min(cursor, len(text)), TABLES.get)
    read(text, min(cursor, len(text)), TABLES.get)

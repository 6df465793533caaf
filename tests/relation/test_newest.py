"""Which queries ask for the newest row of a table, and which only look so."""

import pytest

from sqlmagic_xr.relation.bind import bind
from sqlmagic_xr.relation.catalog import Table
from sqlmagic_xr.relation.newest import extremes, first_row
from sqlmagic_xr.sql.syntax import parse_one


class Catalog:
    def names(self):
        return ["p"]

    def table(self, name):
        return Table(name, {"step": "int64", "a": "double"}, ("step",)) if name == ("p",) else None


def bound(text):
    return bind(parse_one(text).tree["Query"], Catalog())


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("SELECT MAX(step) FROM public.p", [("step", True)]),
        ("SELECT MIN(q.a) AS lo, MAX(q.step), MIN(a) FROM p AS q", [("a", False), ("step", True), ("a", False)]),
        ("SELECT MAX(n) FROM p AS t(n, m)", [("step", True)]),
        ("SELECT MAX(step) - 1 FROM p", []),
        ("SELECT MAX(step), COUNT(*) FROM p", []),
        ("SELECT MAX(step) FROM p WHERE a > 0", []),
        ("SELECT MAX(step) FROM p GROUP BY a", []),
        ("SELECT MAX(step) FROM p HAVING COUNT(*) > 1", []),
        ("SELECT MAX(step) FILTER (WHERE a > 0) FROM p", []),
        ("SELECT MAX(step) FROM (SELECT step FROM p) q", []),
        ("SELECT step FROM p", []),
    ],
)
def test_the_greatest_and_the_least_of_a_whole_table(text, asked):
    assert [(one.column, one.greatest) for one in extremes(bound(text))] == asked


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("SELECT a FROM p ORDER BY step DESC LIMIT 1", ("step", True)),
        ("SELECT a AS s, step AS t FROM p q ORDER BY t LIMIT 1", ("step", False)),
        ("SELECT step FROM p ORDER BY 1 DESC LIMIT 1", ("step", True)),
        ("SELECT a AS step FROM p ORDER BY step LIMIT 1", ("a", False)),
        ("SELECT a FROM p ORDER BY step LIMIT 2", None),
        ("SELECT a FROM p ORDER BY step LIMIT 1 OFFSET 1", None),
        ("SELECT a FROM p ORDER BY step, a LIMIT 1", None),
        ("SELECT a FROM p ORDER BY step + 1 LIMIT 1", None),
        ("SELECT a FROM p WHERE a > 0 ORDER BY step LIMIT 1", None),
        ("SELECT DISTINCT a FROM p ORDER BY a LIMIT 1", None),
        ("SELECT SUM(a) AS a FROM p ORDER BY a LIMIT 1", None),
        ("SELECT a FROM p LIMIT 1", None),
    ],
)
def test_the_first_row_of_an_order(text, asked):
    found = first_row(bound(text))
    assert (None if found is None else (found[1].column, found[1].greatest)) == asked

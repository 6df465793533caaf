"""What names mean: aliases, CTEs, derived tables, views, wildcards; what is constant, what names a row."""

import pytest

from sqlmagic_xr.errors import UnknownNameError
from sqlmagic_xr.relation.layers import Environment, KnownTable, Query
from sqlmagic_xr.sql.expression import Column, to_sql
from sqlmagic_xr.sql.syntax import parse_one

VIEW = parse_one("SELECT k, x * 2 AS twice FROM t").tree["Query"]


class Tables:
    def relation(self, name):
        return {
            ("t",): KnownTable(("t",), {"k": "integer", "x": "real", "Big": "real"}, ("k",)),
            ("s", "u"): KnownTable(("s", "u"), {"k": "integer", "y": "real"}),
            ("u",): KnownTable(("u",), {"k": "integer", "y": "real"}),
            ("v",): KnownTable(("v",), {"k": "integer", "twice": "real"}, (), "view", VIEW),
        }.get(name)


def query(text):
    return Query(parse_one(text).tree["Query"], Environment(Tables()))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT * FROM t", ("k", "x", "Big")), ("SELECT x AS a, t.k, x + 1 FROM t", ("a", "k", "x + 1")),
        ("SELECT u.*, x FROM t JOIN u ON t.k = u.k", ("k", "y", "x")),
        ("SELECT * FROM t JOIN u USING (k)", ("k", "x", "Big", "y")),
        ("SELECT * FROM t NATURAL JOIN u", ("k", "x", "Big", "y")),
        ("SELECT * EXCLUDE (x) FROM t", ("k", "Big")), ("SELECT t.* EXCEPT (k, x) FROM t", ("Big",)),
        ("WITH w(a, b) AS (SELECT k, x FROM t) SELECT * FROM w", ("a", "b")),
        ("SELECT * FROM (SELECT k, x FROM t) AS q(a)", ("a", "x")), ("SELECT * FROM v", ("k", "twice")),
        ("SELECT k FROM t UNION ALL SELECT y FROM u", ("k",)), ("VALUES (1, 2)", ("column1", "column2")),
        ("SELECT * FROM nowhere", None), ("SELECT * FROM (t JOIN u ON t.k = u.k)", ("k", "x", "Big", "k", "y")),
    ],
)  # fmt: skip
def test_the_columns_of_a_query(text, names):
    assert query(text).names == names


@pytest.mark.parametrize(
    ("text", "path", "item", "name"),
    [
        ("SELECT 1 FROM t", ("x",), ("t",), "x"), ("SELECT 1 FROM t AS q", ("q", "x"), ("q",), "x"),
        ("SELECT 1 FROM s.u", ("u", "y"), ("s", "u"), "y"), ("SELECT 1 FROM s.u", ("s", "u", "y"), ("s", "u"), "y"),
        ("SELECT 1 FROM t JOIN u USING (k)", ("k",), ("t",), "k"), ("SELECT 1 FROM t, u", ("y",), ("u",), "y"),
        ("SELECT 1 FROM t", ("Big",), ("t",), "Big"), ("SELECT 1 FROM t, nowhere", ("z",), ("nowhere",), "z"),
    ],
)  # fmt: skip
def test_a_name_means_the_column_of_one_relation(text, path, item, name):
    found, column = query(text).first.resolve(path)
    assert (found.path, column) == (item, name)


@pytest.mark.parametrize(
    ("text", "path", "what", "hint"),
    [
        ("SELECT 1 FROM t, u", ("k",), "k is ambiguous", "Write t.k or u.k."),
        ("SELECT 1 FROM t", ("big",), "no column big", "Did you mean `Big`?"),
        ("SELECT 1 FROM t AS q", ("t", "x"), "no column t.x", "Did you mean `x`?"),
        ("SELECT 1", ("x",), "no column x", "There are no columns here."),
    ],
)
def test_a_name_that_means_none_or_several_is_an_error(text, path, what, hint):
    with pytest.raises(UnknownNameError) as caught:
        query(text).first.resolve(path)
    assert what in caught.value.what
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("SELECT * FROM t", ("k",)), ("SELECT x FROM t", None), ("SELECT x FROM t WHERE k = :step", ()),
        ("SELECT x FROM t WHERE k > 1", None), ("SELECT AVG(x) AS m FROM t", ()), ("SELECT x FROM t LIMIT 1", ()),
        ("SELECT x FROM t LIMIT 2", None), ("SELECT y, SUM(k) FROM u GROUP BY y", ("y",)), ("SELECT 1 AS one", ()),
        ("SELECT y FROM u", None), ("SELECT x FROM t, (SELECT 0 AS z) AS o WHERE t.k = 1 AND x > z", ()),
        ("SELECT t.k, y FROM t JOIN u ON t.k = u.k", None), ("VALUES (1)", ()), ("VALUES (1), (2)", None),
        ("SELECT SUM(x) OVER () FROM t", None), ("SELECT k, x FROM t UNION ALL SELECT k, x FROM t", None),
    ],
)  # fmt: skip
def test_what_names_a_row(text, key):
    assert query(text).key == key


def test_equal_columns_are_fixed_together():
    scope = query("SELECT 1 FROM t JOIN u ON t.k = u.k GROUP BY u.k").first
    t, u = scope.items
    fixed = scope.fixed(scope.group_keys)
    assert {(t, "k"), (t, "x"), (u, "k")} <= fixed  # k is t's key, and with it all of t is known
    assert (u, "y") not in fixed
    outer = query("SELECT 1 FROM t LEFT JOIN u ON t.k = u.k GROUP BY u.k").first
    assert (outer.items[0], "x") not in outer.fixed(outer.group_keys)


def test_a_column_is_seen_through_layers():
    outer = query("WITH w AS (SELECT k, x * x AS q FROM t) SELECT q FROM (SELECT * FROM w) AS n")
    (item,) = outer.first.items
    (inner,) = item.query.branches
    output = item.query.output(inner, "q")
    assert output == Column(("w", "q"))
    cte = inner.items[0].query
    assert to_sql(cte.output(cte.branches[0], "q")) == "x * x"

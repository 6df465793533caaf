"""A relation of one known row taken out of a query, golden by golden; and what it is refused for."""

import pytest

from sqlmagic_xr.relation.bind import bind
from sqlmagic_xr.relation.catalog import Table
from sqlmagic_xr.relation.inline import inlined
from sqlmagic_xr.relation.nodes import Filtering, Join, Leaf, Scan, relations
from sqlmagic_xr.relation.reads import parameters, volatile
from sqlmagic_xr.relation.removal import without, without_constant_keys
from sqlmagic_xr.relation.scope import Unsure
from sqlmagic_xr.relation.write import written
from sqlmagic_xr.sql.expression import Literal
from sqlmagic_xr.sql.syntax import parse_one, to_sql

TABLES = {
    ("d",): Table(("d",), {"g": "int64", "x": "double"}),
    ("e",): Table(("e",), {"g": "int64", "z": "double"}),
    ("p",): Table(("p",), {"step": "int64", "a": "double"}, ("step",)),
}


class Catalog:
    def names(self):
        return ["d", "e", "p"]

    def table(self, name):
        return TABLES.get(name)


def bound(text):
    return bind(parse_one(text).tree["Query"], Catalog())


def text_of(query):
    return to_sql({"Query": written(query)})


def taken_out(text):
    """The text without p, whose row is (1, 2.5)."""
    root = inlined(bound(text))
    for node in relations(root):
        if isinstance(node, Filtering) and isinstance(node.source, (Join, Leaf)):
            for leaf in node.source.visible:
                if isinstance(leaf, Scan) and leaf.table.name == ("p",):
                    return to_sql(
                        {"Query": written(without(root, node, leaf, {"step": Literal(1), "a": Literal(2.5)}))}
                    )
    raise AssertionError("p is not read")


WITHOUT = {
    "SELECT x * a AS y FROM d CROSS JOIN p": "SELECT x * 2.5 AS y FROM d",
    "SELECT x * p.a AS y FROM p, d WHERE p.step = g": "SELECT x * 2.5 AS y FROM d WHERE 1 = g",
    "SELECT a FROM p": "SELECT 2.5 AS a",
    "SELECT x, p.a FROM d JOIN p ON p.step = d.g AND x > 0": "SELECT x, 2.5 AS a FROM d WHERE 1 = d.g AND x > 0",
    "SELECT e.z FROM d CROSS JOIN p LEFT JOIN e ON e.g = p.step": "SELECT e.z FROM d LEFT JOIN e ON e.g = 1",
    "SELECT SUM(x * a) AS s FROM d CROSS JOIN p GROUP BY a": "SELECT SUM(x * 2.5) AS s FROM d HAVING count(*) > 0",
    "SELECT g, a FROM d CROSS JOIN p GROUP BY g, a ORDER BY p.a, g":
    "SELECT g, 2.5 AS a FROM d GROUP BY g ORDER BY a, g",
    "SELECT g, COUNT(*) AS n FROM d, p GROUP BY g, a ORDER BY a, g":
    "SELECT g, COUNT(*) AS n FROM d GROUP BY g ORDER BY g",
    "SELECT x FROM d CROSS JOIN p WHERE EXISTS (SELECT 1 FROM e WHERE e.z > p.a)":
    "SELECT x FROM d WHERE EXISTS (SELECT 1 FROM e WHERE e.z > 2.5)",
    "SELECT q.a FROM d CROSS JOIN (SELECT a FROM p) AS q": "SELECT q.a FROM d CROSS JOIN (SELECT 2.5 AS a) AS q",
    "WITH c AS (SELECT a FROM p) SELECT x + c.a AS s FROM d, c": "SELECT x + c.a AS s FROM d, (SELECT 2.5 AS a) AS c",
    "SELECT SUM(x) OVER (PARTITION BY g) * a AS s FROM d, p":
    "SELECT SUM(x) OVER (PARTITION BY g) * 2.5 AS s FROM d",
    "SELECT CASE WHEN CAST(a AS TEXT) LIKE '2%' THEN x END AS y FROM d, p":
    "SELECT CASE WHEN CAST(2.5 AS TEXT) LIKE '2%' THEN x END AS y FROM d",
}  # fmt: skip


@pytest.mark.parametrize("text", WITHOUT)
def test_its_columns_become_values(text):
    assert taken_out(text) == WITHOUT[text]


REFUSED = {
    "SELECT x FROM d RIGHT JOIN p ON p.step = d.g": "outer joins",
    "SELECT x FROM d JOIN e USING (g) CROSS JOIN p": "USING",
    "SELECT p.a FROM p LEFT JOIN d ON d.g = p.step": "left side of an outer join",
    "SELECT a * 2 FROM p": "lose its name",
    "SELECT SUM(x) OVER (ORDER BY a) AS s FROM d, p": "a window",
    "SELECT DISTINCT ON (a) x FROM d, p": "DISTINCT ON",
    "SELECT x, SUM(a) AS s FROM d, p GROUP BY ROLLUP (x)": "ROLLUP",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_might_then_mean_something_else_is_refused(text):
    with pytest.raises(Unsure, match=REFUSED[text]):
        taken_out(text)


def test_nothing_is_grouped_by_constants():
    found = without_constant_keys(bound("SELECT SUM(x) AS s, 2 AS two FROM d GROUP BY g, 2"))
    assert text_of(found) == "SELECT SUM(x) AS s, 2 AS two FROM d GROUP BY g"
    alone = without_constant_keys(bound("SELECT SUM(x) AS s FROM d GROUP BY 'all'"))
    assert text_of(alone) == "SELECT SUM(x) AS s FROM d HAVING count(*) > 0"


def test_a_recursion_keeps_its_name():
    text = "WITH RECURSIVE r(n) AS (SELECT step FROM p UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r AS s"
    assert taken_out(text) == (
        "WITH RECURSIVE r (n) AS (SELECT 1 AS step UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r AS s"
    )


def test_rows_that_are_written_out_are_changed_too():
    assert taken_out("SELECT q.column1 FROM (VALUES ((SELECT a FROM p)), (2.0)) AS q") == (
        "SELECT q.column1 FROM (VALUES ((SELECT 2.5 AS a)), (2.0)) AS q"
    )


def test_a_piece_of_sql_has_parameters_and_varies_too():
    assert parameters(bound("SELECT x FROM d WHERE CAST(x AS TEXT) LIKE :pattern")) == {"pattern"}
    assert volatile(bound("SELECT EXTRACT(YEAR FROM now()) AS y FROM d"))
    assert not volatile(bound("SELECT x FROM d WHERE CAST(x AS TEXT) LIKE '1%'"))

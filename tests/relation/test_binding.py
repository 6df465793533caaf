"""What names mean in a bound query, and the errors of names that mean nothing."""

import pytest

from sqlmagic_xr.errors import UnknownNameError
from sqlmagic_xr.relation import facts, reads
from sqlmagic_xr.relation.bind import bind
from sqlmagic_xr.relation.catalog import Table
from sqlmagic_xr.relation.change import exchanged, without_columns
from sqlmagic_xr.relation.columns import Field, UnboundError
from sqlmagic_xr.relation.nodes import Aggregate, Join, Opaque, Output, Recursive, Scan, Select, Shared, relations
from sqlmagic_xr.relation.write import from_tree_of, written
from sqlmagic_xr.sql.expression import Literal
from sqlmagic_xr.sql.syntax import identifier, parse_one, tables_named, to_sql

P = Table(("p",), {"step": "int64", "a": "double", "b": "double"}, ("step",), frozenset({"step"}))
MEAN = parse_one("SELECT g, AVG(x) FROM d GROUP BY g").tree
TABLES = {
    ("p",): P,
    ("P",): Table(("P",), {"step": "int64", "z": "double"}),
    ("d",): Table(("d",), {"x": "double", "y": "double", "g": "int64"}),
    ("era5", "p"): Table(("era5", "p"), {"t": "double"}),
    ("mean",): Table(("mean",), {"g": "int64", "m": "double"}, definition=MEAN),
    ("loop",): Table(("loop",), {"m": "double"}, definition=parse_one("SELECT m FROM loop").tree),
    ("one",): Table(("one",), {"m": "double"}, definition=parse_one("SELECT m FROM two").tree),
    ("two",): Table(("two",), {"m": "double"}, definition=parse_one("SELECT m FROM one").tree),
}  # fmt: skip


class Tables:
    def table(self, name):
        return TABLES.get(name)

    def names(self):
        return [".".join(name) for name in TABLES]


def bound(text):
    return bind(parse_one(text).tree["Query"], Tables())


def scans(relation):
    return [node for node in relations(relation) if isinstance(node, Scan)]


@pytest.mark.parametrize(
    "name", ["p", "P", '"p"', "public.p", "PUBLIC.p", "datafusion.public.p", 'datafusion."public"."p"']
)
def test_every_spelling_of_a_table_is_the_table(name):
    assert [scan.table for scan in scans(bound(f"SELECT a FROM {name}"))] == [P]


@pytest.mark.parametrize(("name", "table"), [('"P"', ("P",)), ("era5.p", ("era5", "p")), ('public."P"', ("P",))])
def test_other_tables_are_others(name, table):
    assert reads.tables_read(bound(f"SELECT * FROM {name}")) == {table}


@pytest.mark.parametrize("column", ["a", "A", '"a"', "p.a", "public.p.a", "datafusion.public.p.a", "P.a"])
def test_every_spelling_of_a_column_is_the_column(column):
    relation = bound(f"SELECT {column} AS c FROM p")
    assert relation.outputs[0].expression == Field(scans(relation)[0], "a")


@pytest.mark.parametrize(
    ("text", "what", "hint", "at"),
    [
        ("SELECT step FROM p, p AS q", "the column step is ambiguous", "Write p.step or q.step.", "step"),
        ("SELECT c FROM p", "there is no column c here", "There are: a, b, step", "c"),
        ("SELECT q.a FROM p", "there is no column q.a here", "Did you mean `a`?", "q.a"),
        ("SELECT p.a FROM p AS q", "there is no column p.a here", "Did you mean `a`?", "p.a"),
        ("WITH p AS (SELECT 1 AS n) SELECT a FROM p", "there is no column a here", "There are: n", "a"),
        ("SELECT m FROM loop", "the view loop reads itself", None, "loop"),
        ("SELECT m FROM one", "the view one reads itself", None, "one"),
        ("SELECT a, b * 2 AS a FROM p", "two columns have the name a", "Give one of them another name.", "b * 2 AS a"),
        ("SELECT a, a FROM p", "two columns have the name a", "Give one of them another name.", "a"),
        ("SELECT a FROM other.public.p", "there is no catalog other", "Write public.p.", "other.public.p"),
        ("SELECT a FROM p WHERE EXISTS (SELECT 1 FROM d WHERE d.x = w)", "there is no column w here", None, "w"),
        ("SELECT q.* FROM p", "there is no relation q here", None, "q"),
        ("SELECT u FROM (SELECT a FROM p) AS t(u, v)", "t has 1 columns, and 2 names are given", None, None),
        ("WITH c AS (SELECT 1), c AS (SELECT 2) SELECT 1", "there are two CTEs c", None, "c"),
    ],
)
def test_a_name_that_means_nothing_is_an_error_at_the_word(text, what, hint, at):
    with pytest.raises(UnknownNameError) as caught:
        bound(text)
    assert caught.value.what == what
    assert hint is None or caught.value.hint == hint
    span = caught.value.span
    assert span is not None
    if at is not None:
        assert text[span.column - 1 : span.end_column - 1] == at or text.rfind(at) + 1 == span.column


@pytest.mark.parametrize(
    "text",
    ["SELECT n FROM nowhere", "SELECT * FROM generate_series(1, 3)", "SELECT x FROM d, LATERAL (SELECT d.x AS z) AS l",
     "SELECT sum(x) OVER w FROM d WINDOW w AS (ORDER BY x)", "SELECT x, COUNT(*) FROM d",
     "SELECT * REPLACE (1 AS x) FROM d",
     "SELECT g, COUNT(*) FROM d GROUP BY ALL", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x DESC) FROM d"],
)  # fmt: skip
def test_what_is_not_sure_is_opaque_and_says_why(text):
    relation = bound(text)
    assert isinstance(relation, Opaque)
    assert relation.why


def test_two_columns_of_one_name_may_be_of_two_relations():
    assert bound("SELECT p.step, q.step FROM p, p AS q").names == ("step", "step")


def test_a_wrongly_bound_column_cannot_be_built():
    scan = Scan(("p",), table=P)
    with pytest.raises(UnboundError):
        Field(scan, "x")
    group = Aggregate(scan, keys=(Output("step", scan["step"]),))
    with pytest.raises(UnboundError):
        Select(group, outputs=(Output("a", scan["a"]),))
    with pytest.raises(UnboundError):
        Join(scan, scan)


def test_a_correlated_subquery_says_what_it_uses_from_outside():
    relation = bound("SELECT a FROM p WHERE a > (SELECT AVG(x) FROM d WHERE d.g = p.step)")
    outer, inner = scans(relation)
    assert not relation.free
    nested = [node for node in relations(relation) if outer in node.free]
    assert nested
    assert inner.table.name == ("d",)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("SELECT * FROM p", ("step",)), ("SELECT a FROM p", None), ("SELECT a FROM p WHERE step = :k", ()),
        ("SELECT a FROM p WHERE step > 1", None), ("SELECT AVG(a) AS m FROM p", ()), ("SELECT a FROM p LIMIT 1", ()),
        ("SELECT g, SUM(x) FROM d GROUP BY g", ("g",)), ("SELECT 1 AS one", ()), ("SELECT m FROM mean", None),
        ("SELECT * FROM mean", ("g",)), ("SELECT DISTINCT x, g FROM d", None),
        ("SELECT p.a, q.x FROM p CROSS JOIN (SELECT AVG(x) AS x FROM d) q WHERE p.step = 3", ()),
        ("SELECT p.step, d.x FROM p JOIN mean ON mean.g = p.step CROSS JOIN d", None),
        ("SELECT p.step, m FROM p JOIN mean ON mean.g = p.step", None),
        ("SELECT p.step, mean.g, m FROM p JOIN mean ON mean.g = p.step", ("g", "step")),
        ("SELECT step, a FROM p UNION SELECT g, x FROM d", ("step", "a")),
        ("SELECT g, SUM(x) AS s FROM d GROUP BY ROLLUP (g)", None),
        ("SELECT a FROM p WHERE step = (SELECT MAX(step) FROM p)", None),
    ],
)  # fmt: skip
def test_what_names_a_row(text, key):
    assert facts.key(bound(text)) == key


def test_what_is_read_and_what_varies():
    relation = bound("SELECT mean.m, p.a FROM mean, p WHERE p.step = :k AND b LIKE 'x'")
    assert reads.tables_read(relation) == {("d",), ("p",)}
    assert reads.columns_read([relation]) == {("d",): {"g", "x"}, ("p",): {"step", "a", "b"}}
    assert reads.parameters(relation) == {"k"}
    assert not reads.volatile(relation)
    assert reads.volatile(bound("SELECT random() AS r"))
    assert reads.varies(relation, {("p",)}, set())
    assert reads.varies(relation, set(), {"k"})
    assert not reads.varies(relation, {("q",)}, {"lr"})


def test_a_recursion_reads_its_working_table():
    relation = bound("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r")
    (loop,) = [node for node in relations(relation) if isinstance(node, Recursive)]
    assert [node.kind for node in relations(loop.term) if isinstance(node, Shared)] == ["working"]
    assert facts.types(relation) == ("int64",)


WRITTEN = [
    "SELECT a + 1 AS u, step FROM p WHERE a > 0 ORDER BY u DESC NULLS LAST LIMIT 2 OFFSET 1",
    "SELECT g, SUM(x * p.a) AS s FROM d CROSS JOIN p WHERE p.step = :k GROUP BY g HAVING COUNT(*) > 1",
    "SELECT q.a, d.x FROM d LEFT JOIN (SELECT * FROM p WHERE step = 1) AS q ON q.step = d.g",
    "SELECT x, SUM(p.a) OVER (PARTITION BY d.g ORDER BY d.x ROWS 1 PRECEDING) AS s FROM d CROSS JOIN p",
    "SELECT DISTINCT p.a FROM p UNION ALL SELECT x FROM d",
    "WITH c AS (SELECT step, a FROM p) SELECT c.a, e.a AS f FROM c JOIN c AS e ON e.step = c.step + 1",
    "WITH c AS (SELECT g FROM d) SELECT p.a, (SELECT MAX(c.g) FROM c) AS m FROM p JOIN c ON c.g = p.step "
    "WHERE p.a > (SELECT AVG(c.g) FROM c) ORDER BY (SELECT MIN(c.g) FROM c)",
    "SELECT m FROM mean WHERE m > (SELECT AVG(p.a) FROM p WHERE p.step < mean.g)",
    "SELECT a FROM p WHERE step IN (SELECT g FROM d) AND CAST(a AS TEXT) LIKE '1%' AND EXISTS (SELECT 1 FROM d)",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_query_is_written_as_it_was_and_anew(text):
    tree = parse_one(text).tree
    relation = bind(tree["Query"], Tables())
    assert written(relation) is tree["Query"]
    other = Table(("q",), P.columns, P.key, P.required)

    def exchange(node):
        renamed = parse_one("SELECT 0 FROM q AS p").tree["Query"]["body"]["Select"]["from"][0]["relation"]
        return Scan(node.path, table=other, tree=renamed) if isinstance(node, Scan) and node.table is P else None

    new = exchanged(relation, exchange)
    assert new is not relation
    assert not new.free
    assert reads.tables_read(new) == {("q",) if name == ("p",) else name for name in reads.tables_read(relation)}
    assert new.names == relation.names
    again = bind_with_q(to_sql({"Query": written(new)}), other)
    assert not isinstance(again, Opaque), again.why
    assert again.names == relation.names
    assert reads.tables_read(again) == reads.tables_read(new)
    assert facts.key(again) == facts.key(relation)
    assert facts.types(again) == facts.types(relation)


@pytest.mark.parametrize("query", [
    "SELECT a * (SELECT SUM(a) FROM c) AS l FROM c",
    "SELECT SUM(a * (SELECT SUM(a) FROM c)) AS l FROM c",
    "SELECT SUM(SUM(a * (SELECT MAX(a) FROM c))) OVER (ORDER BY a) AS l FROM c GROUP BY a",
])  # fmt: skip
def test_a_from_that_stands_elsewhere_reads_no_cte(query):
    relation = bound(f"WITH loss AS (WITH c AS (SELECT a FROM p) {query}) SELECT l FROM loss")
    read = tables_named(from_tree_of(relation.source))
    assert {identifier(part) for parts in read for part in parts} == {"p"}


def bind_with_q(text, other):
    class More(Tables):
        def table(self, name):
            return other if name == ("q",) else super().table(name)

    return bind(parse_one(text).tree["Query"], More())


def test_nothing_changed_is_the_very_query():
    relation = bound(WRITTEN[0])
    assert exchanged(relation, lambda node: None) is relation


def test_columns_become_values():
    relation = bound("SELECT a * x AS u FROM p CROSS JOIN d WHERE p.step = 1")
    scan = scans(relation)[0]
    new = without_columns(relation, {scan["a"]: Literal(2.5)})
    assert to_sql({"Query": written(new)}) == "SELECT 2.5 * x AS u FROM p CROSS JOIN d WHERE p.step = 1"


def test_long_chains_do_not_recurse():
    text = "SELECT " + " + ".join(["a"] * 3_000) + " AS s FROM p"
    assert facts.types(bound(text)) == ("double",)

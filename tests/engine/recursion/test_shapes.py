"""Recursive queries by their rows: what a term may hold, where a recursion may stand, what PostgreSQL's manual says."""

import datetime
import decimal
import math
from ast import literal_eval
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr
from datafusion import SessionConfig

import sqlmagic_xr

EDGES = """CREATE TABLE e (a BIGINT, b BIGINT, w DOUBLE);
INSERT INTO e VALUES (1, 2, 1.0), (2, 3, 1.0), (3, 4, 2.0), (2, 5, 0.5), (5, 4, 0.5), (4, 1, 9.0)"""


@pytest.fixture(scope="module")
def ctx():
    context = sqlmagic_xr.Context()
    context.script(EDGES)
    return context


def rows(context, sql, params=None):
    table = context.sql(sql, params).to_arrow_table()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_columns else []


SHAPES = dict(
    part.split("\n-- gives ")
    for part in (Path(__file__).parent / "shapes.sql").read_text(encoding="utf-8").strip().split("\n\n")[1:]
)


@pytest.mark.parametrize("sql", SHAPES)
def test_rows(ctx, sql):
    assert sorted(rows(ctx, sql), key=repr) == sorted(literal_eval(SHAPES[sql]), key=repr)


@pytest.mark.parametrize("sql", [s for s in SHAPES if not s.startswith("SELECT (")])
def test_rows_of_batches_of_two(sql):
    context = sqlmagic_xr.Context(SessionConfig().with_batch_size(2).with_information_schema(True))
    context.script(EDGES)
    assert sorted(rows(context, sql), key=repr) == sorted(literal_eval(SHAPES[sql]), key=repr)


# The examples of PostgreSQL's manual, "WITH Queries", with the rows that it promises.


def test_the_sum_of_postgresql(ctx):
    sql = "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t"
    assert rows(ctx, sql) == [(5050,)]


def test_the_parts_of_postgresql():
    context = sqlmagic_xr.Context()
    context.script(
        "CREATE TABLE parts (part VARCHAR, sub_part VARCHAR, quantity BIGINT);"
        "INSERT INTO parts VALUES ('our_product', 'wheel', 4), ('our_product', 'frame', 1), ('wheel', 'spoke', 32),"
        " ('wheel', 'rim', 1), ('frame', 'spoke', 2), ('other', 'spoke', 1000)"
    )
    sql = """WITH RECURSIVE included_parts(sub_part, part, quantity) AS (
        SELECT sub_part, part, quantity FROM parts WHERE part = 'our_product'
      UNION ALL
        SELECT p.sub_part, p.part, p.quantity * pr.quantity FROM included_parts pr, parts p WHERE p.part = pr.sub_part)
    SELECT sub_part, SUM(quantity) as total_quantity FROM included_parts GROUP BY sub_part ORDER BY sub_part"""
    assert rows(context, sql) == [("frame", 1), ("rim", 4), ("spoke", 130), ("wheel", 4)]


GRAPH = """CREATE TABLE graph (id BIGINT, link BIGINT, data VARCHAR);
INSERT INTO graph VALUES (1, 2, 'a'), (2, 3, 'b'), (3, 1, 'c'), (2, 4, 'd')"""


def test_the_search_orders_and_the_cycle_of_postgresql():
    context = sqlmagic_xr.Context()
    context.script(GRAPH)
    depth = """WITH RECURSIVE search_tree(id, link, data, path) AS (
        SELECT t.id, t.link, t.data, make_array(t.id) FROM graph t WHERE t.id = 1 UNION ALL
        SELECT t.id, t.link, t.data, array_append(path, t.id) FROM graph t, search_tree st
        WHERE t.id = st.link AND NOT array_has(path, t.id))
    SELECT data, path FROM search_tree ORDER BY path, data"""
    assert rows(context, depth) == [("a", [1]), ("b", [1, 2]), ("d", [1, 2]), ("c", [1, 2, 3])]
    cycle = """WITH RECURSIVE search_graph(id, link, data, depth, is_cycle, path) AS (
        SELECT g.id, g.link, g.data, 0, false, make_array(g.id) FROM graph g WHERE g.id = 1 UNION ALL
        SELECT g.id, g.link, g.data, sg.depth + 1, array_has(path, g.id), array_append(path, g.id)
        FROM graph g, search_graph sg WHERE g.id = sg.link AND NOT is_cycle)
    SELECT id, depth, is_cycle, path FROM search_graph ORDER BY path, link"""
    assert rows(context, cycle) == [
        (1, 0, False, [1]), (2, 1, False, [1, 2]), (2, 1, False, [1, 2]), (3, 2, False, [1, 2, 3]),
        (1, 3, True, [1, 2, 3, 1]),
    ]  # fmt: skip
    union = """WITH RECURSIVE search_graph(id, link, data, depth) AS (
        SELECT g.id, g.link, g.data, 1 FROM graph g UNION SELECT g.id, g.link, g.data, sg.depth
        FROM graph g, search_graph sg WHERE g.id = sg.link) SELECT id, link FROM search_graph ORDER BY id, link"""
    assert rows(context, union) == [(1, 2), (2, 3), (2, 4), (3, 1)]


# Values of every type


def test_equal_rows_are_those_that_the_engine_groups():
    context = sqlmagic_xr.Context()
    context.script(
        """CREATE TABLE v (k BIGINT, x DOUBLE, s VARCHAR);
        INSERT INTO v VALUES (0, 0.0, NULL), (1, -0.0, NULL), (2, 'NaN', 'a'), (3, 'NaN', 'a'), (4, NULL, 'b'),
            (5, NULL, 'b')"""
    )
    sql = "WITH RECURSIVE r AS (SELECT x, s FROM v WHERE k = 0 UNION SELECT v.x, v.s FROM v, r) SELECT x, s FROM r"
    found = sorted(rows(context, sql), key=repr)
    assert [("nan" if x is not None and math.isnan(x) else x, s) for x, s in found] == [
        (0.0, None),
        (None, "b"),
        ("nan", "a"),
    ]
    grouped = context.sql("SELECT count(*) AS n FROM (SELECT x, s FROM v GROUP BY x, s)").to_pydict()["n"]
    assert grouped == [len(found)]


def test_a_negative_zero_stays_one(ctx):
    sql = "WITH RECURSIVE r AS (SELECT 1 AS k, -0.0 AS x UNION ALL SELECT k + 1, -x FROM r WHERE k < 3) SELECT x FROM r"
    assert [math.copysign(1, x) for (x,) in rows(ctx, sql)] == [-1.0, 1.0, -1.0]


def test_dates_decimals_and_texts(ctx):
    sql = """WITH RECURSIVE r AS (
        SELECT DATE '2024-02-28' AS d, CAST(1.5 AS DECIMAL(10, 2)) AS m, CAST(1 AS SMALLINT) AS i, 'ä' AS s, true AS f,
            TIMESTAMP '2024-02-28T00:00:00' AS t
        UNION ALL SELECT d + INTERVAL '1' DAY, m + CAST(0.25 AS DECIMAL(10, 2)), i + 1, s || 'ö', NOT f,
            t + INTERVAL '1' HOUR
        FROM r WHERE i < 3) SELECT d, m, i, s, f, t FROM r"""
    table = ctx.sql(sql).to_arrow_table()
    assert table.schema.types[:3] == [pa.date32(), pa.decimal128(10, 2), pa.int16()]
    day, hour = datetime.date(2024, 2, 28), datetime.datetime(2024, 2, 28)
    assert table.column("d").to_pylist() == [day + datetime.timedelta(n) for n in range(3)]
    assert table.column("m").to_pylist() == [decimal.Decimal(m) for m in ("1.50", "1.75", "2.00")]
    assert table.column("s").to_pylist() == ["ä", "äö", "äöö"]
    assert table.column("f").to_pylist() == [True, False, True]
    assert table.column("t").to_pylist() == [hour + datetime.timedelta(hours=n) for n in range(3)]


# Where it stands


def test_statements_with_effects_and_parameters():
    context = sqlmagic_xr.Context()
    results = context.script(
        """CREATE TABLE made AS
            WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < :most) SELECT n FROM r;
        INSERT INTO made
            WITH RECURSIVE r AS (SELECT 11 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 10 + :most) SELECT n FROM r;
        WITH RECURSIVE r AS (SELECT 21 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 20 + :most)
            INSERT INTO made SELECT n FROM r;
        DELETE FROM made WHERE n IN
            (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 10 FROM r WHERE n < 20) SELECT n FROM r);
        SELECT n FROM made ORDER BY n""",
        {"most": 3},
    )
    assert results[-1].to_arrow_table()["n"].to_pylist() == [2, 3, 12, 13, 22, 23]


def test_views_are_worked_out_for_the_query_that_reads_them():
    context = sqlmagic_xr.Context()
    context.script(
        "CREATE TABLE top (n BIGINT); INSERT INTO top VALUES (2);"
        "CREATE VIEW v(m) AS WITH RECURSIVE"
        " r AS (SELECT 1 AS n UNION ALL SELECT r.n + 1 FROM r, top WHERE r.n < top.n) SELECT n FROM r;"
        "CREATE VIEW w AS SELECT m * 2 AS d FROM v"
    )
    assert context.tables.schema(("w",)).names == ["d"]
    assert rows(context, "SELECT v.m, w.d FROM v JOIN w ON w.d = v.m * 2 ORDER BY m") == [(1, 2), (2, 4)]
    context.script("INSERT INTO top VALUES (4); DELETE FROM top WHERE n = 2")
    assert rows(context, "SELECT sum(d) FROM w") == [(20,)]
    assert rows(context, "WITH v AS (SELECT 1 AS m) SELECT v.m, (SELECT max(d) FROM w) FROM v") == [(1, 8)]
    assert rows(context, "WITH top AS (SELECT 1 AS n) SELECT count(*), max(top.n) FROM v, top") == [(4, 1)]
    context.script("UPDATE top SET n = (SELECT max(d) FROM w); CREATE TABLE kept AS SELECT * FROM v")
    assert rows(context, "SELECT count(*) FROM kept") == [(8,)]
    assert context.table("v").count() == 8
    of_one_name = (
        "WITH RECURSIVE r(k) AS (SELECT 0 UNION ALL SELECT k + (SELECT max(m) FROM v) FROM r WHERE k < 9) SELECT"
    )
    assert rows(context, f"{of_one_name} k FROM r") == [(0,), (8,), (16,)]
    assert sorted(context.table("public.w").to_pydict()["d"]) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert context.table("kept").count() == 8


def test_a_transaction_sees_its_own_rows_and_a_frame_those_of_its_planning():
    context = sqlmagic_xr.Context()
    sql = """WITH RECURSIVE r AS (SELECT n FROM t UNION ALL SELECT n + 1 FROM r WHERE n < (SELECT max(n) FROM t))
        SELECT count(*) AS c FROM r"""
    context.script("CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (10)")
    inside = context.sql(sql)
    context.script("ROLLBACK")
    outside = context.sql(sql)
    context.script("INSERT INTO t VALUES (100)")
    assert inside.to_pydict()["c"] == [11]
    assert outside.to_pydict()["c"] == [1]
    assert outside.to_pydict()["c"] == [1]


def test_datasets_and_prepared_statements():
    ds = xr.Dataset({"v": (("x",), np.array([1.0, 2.0, 4.0]))}, coords={"x": [0, 1, 2]})
    context = sqlmagic_xr.Context(namespace=lambda: {"ds": ds})
    sql = """WITH RECURSIVE r AS (SELECT x, v FROM ds WHERE x = 0 UNION ALL
        SELECT ds.x, r.v + ds.v FROM ds JOIN r ON ds.x = r.x + 1) SELECT x, v FROM r"""
    assert rows(context, sql) == [(0, 1.0), (1, 3.0), (2, 7.0)]
    context.script(f"PREPARE p AS {sql} WHERE x >= $1")
    (result,) = context.script("EXECUTE p(1)")
    assert result.to_arrow_table()["v"].to_pylist() == [3.0, 7.0]
    assert context.sql(sql).to_dataset(dims=["x"])["v"].values.tolist() == [1.0, 3.0, 7.0]


def test_explain_runs_nothing_and_copy_runs_once(ctx, tmp_path):
    endless = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"
    (plan,) = ctx.script(f"EXPLAIN {endless}")
    lines = plan.plan.splitlines()
    assert lines[0] == "RecursionResult"
    assert [line for line in lines if line.startswith("recursion")] == [
        "recursion r, its first rows:",
        "recursion r, each round:",
    ]
    assert ctx.sql(endless).schema().names == ["n"]
    (copied,) = ctx.script(
        "COPY (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r)"
        f" TO '{tmp_path}/n.csv'"
    )
    assert (tmp_path / "n.csv").read_text().split() == ["n", "1", "2", "3"]
    assert "written" in copied.message


@pytest.mark.parametrize(
    "tail", ["(HEADER)", "STORED AS CSV OPTIONS ('format.has_header' 'true')", "WITH (FORMAT csv)"]
)
def test_what_the_parser_does_not_read_behind_a_copy_leaves_the_recursion_ours(tail, tmp_path):
    context = sqlmagic_xr.Context()
    context.script(
        "CREATE VIEW v AS WITH RECURSIVE"
        " r(k, x) AS (VALUES (1, 10) UNION ALL SELECT k + 1, x + k FROM r WHERE k < :most) SELECT x FROM r",
        {"most": 3},
    )
    for query in ("v", "(SELECT x FROM v)", "(WITH w AS (SELECT x FROM v WHERE x < :most) SELECT x FROM w)"):
        context.script(f"COPY {query} TO '{tmp_path}/n.csv' {tail}", {"most": 99})
        assert (tmp_path / "n.csv").read_text().split() == ["x", "10", "11", "13"]

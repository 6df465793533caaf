"""What a plan will do is known before it runs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.engine import plans


@pytest.fixture(scope="module")
def context():
    context = Context()
    dataset = xr.Dataset({"air": (("time", "lat"), np.ones((40, 5)))}, coords={"time": np.arange(40), "lat": range(5)})
    context.from_dataset("ds", dataset, chunks={"time": 4})
    context.script("CREATE TABLE p (step BIGINT, a DOUBLE); INSERT INTO p VALUES (0, 1.0), (1, 2.0)")
    return context


@pytest.mark.parametrize(
    ("query", "flow"),
    [
        ("SELECT * FROM ds", "stream"),
        ("SELECT air * 2 FROM ds WHERE lat > 1", "stream"),
        ("SELECT * FROM ds CROSS JOIN p", "stream"),
        ("SELECT lat FROM ds UNION ALL SELECT a FROM p", "stream"),
        ("SELECT * FROM ds ORDER BY air", "sorted"),
        ("SELECT avg(air) FROM ds", "whole"),
        ("SELECT lat, avg(air) AS a FROM ds GROUP BY lat ORDER BY a", "whole"),
        ("SELECT DISTINCT lat FROM ds", "whole"),
        ("SELECT * FROM ds LIMIT 5", "whole"),
        ("SELECT row_number() OVER (ORDER BY lat) FROM ds", "whole"),
        ("SELECT 1", "whole"),
        ("EXPLAIN SELECT 1", "whole"),
    ],
)
def test_how_the_first_rows_come_to_be(context, query, flow):
    assert plans.flow(context.plan(query)) == flow


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT * FROM ds", 200),
        ("SELECT air + 1 FROM ds ORDER BY air", 200),
        ("SELECT * FROM ds CROSS JOIN p", 400),
        ("SELECT * FROM ds a, ds b, p", 80_000),
        ("SELECT * FROM ds WHERE lat > 1", None),
        ("SELECT * FROM ds LIMIT 3", None),
        ("SELECT avg(air) FROM ds", None),
    ],
)
def test_the_rows_of_a_whole_grid_are_known(context, query, rows):
    before = context.chunks_read
    assert plans.grid_rows(context.plan(query), context) == rows
    assert context.chunks_read == before


def test_explain_draws_a_tree_and_counts_chunks(context):
    (result,) = context.script("EXPLAIN SELECT lat, avg(air) FROM ds WHERE time >= 32 GROUP BY lat")
    lines = result.plan.splitlines()
    assert lines[0].startswith("Aggregate: mode=FinalPartitioned")
    assert lines[1].startswith("└─ Repartition")
    assert lines[-1].strip() == "└─ XarrayScan: 2 of 10 chunks read, 8 pruned"
    assert context.chunks_read == 0


def test_explain_of_two_grids_sums_their_chunks(context):
    (result,) = context.script("EXPLAIN SELECT * FROM ds a JOIN ds b USING (time, lat) WHERE a.time < 4")
    assert result.plan.count("XarrayScan: ") == 2
    assert result.plan.splitlines()[-1] == "xarray tables: 2 of 20 chunks read, 18 pruned"


def test_explain_of_a_join_draws_branches(context):
    (result,) = context.script("EXPLAIN SELECT * FROM ds CROSS JOIN p")
    assert "├─ " in result.plan
    assert "XarrayScan: 10 of 10 chunks read, 0 pruned" in result.plan


def test_explain_analyze_is_the_engines_own(context):
    (result,) = context.script("EXPLAIN ANALYZE SELECT count(*) FROM p")
    assert result.plan == ""
    assert "metrics" in str(result.to_pandas()["plan"][0])


@pytest.mark.parametrize("condition", ["v = 0", "NOT EXISTS (SELECT 1 FROM q AS x WHERE x.v > q.v)"])
def test_a_query_that_was_explained_still_gives_its_rows(condition):
    ctx = Context()
    ctx.script("CREATE TABLE q (v DOUBLE); INSERT INTO q VALUES (0.0)")
    query = f"SELECT v FROM q WHERE {condition}"
    for text in (f"EXPLAIN {query}", query, f"EXPLAIN {query}", query):
        names = ctx.script(text)[0].to_arrow_table().column_names
        assert names == (["plan_type", "plan"] if text.startswith("EXPLAIN") else ["v"]), text

"""Samples: so many rows, a share of them, and the same sample again where a seed is given."""

import numpy as np
import pandas as pd
import pytest

from sqlmagic_xr import Context

ROWS = 30_000


@pytest.fixture(scope="module")
def context():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"i": rng.permutation(ROWS), "g": np.arange(ROWS) % 7})
    return Context(namespace=lambda: {"df": frame, "again": frame.sample(frac=1, random_state=1)})


def count(context, sql):
    return context.script(sql)[0].to_arrow_table().column(0)[0].as_py()


@pytest.mark.parametrize(
    ("clause", "least", "most"),
    [
        ("df USING SAMPLE 10%", 2700, 3300),
        ("df TABLESAMPLE BERNOULLI (10)", 2700, 3300),
        ("df USING SAMPLE 10 PERCENT (bernoulli, 377)", 2700, 3300),
        ("df d TABLESAMPLE system(10%) REPEATABLE (4)", 2700, 3300),
        ("df TABLESAMPLE reservoir(10%)", 3000, 3000),
        ("df USING SAMPLE reservoir(10%) REPEATABLE (1)", 3000, 3000),
        ("df USING SAMPLE 50", 50, 50),
        ("df USING SAMPLE reservoir(50 ROWS) REPEATABLE (100)", 50, 50),
        ("df TABLESAMPLE 0%", 0, 0),
        ("df USING SAMPLE 100% (bernoulli, 1)", ROWS, ROWS),
        ("df WHERE g = 3 USING SAMPLE 10%", 350, 520),
        ("df a JOIN df b USING (i) USING SAMPLE 10%", 2700, 3300),
        ("(SELECT * FROM df WHERE g = 3 USING SAMPLE reservoir(50%)) q", 1900, 2400),
    ],
)
def test_it_is_as_large_as_was_asked(context, clause, least, most):
    assert least <= count(context, f"SELECT COUNT(*) AS n FROM {clause}") <= most


def test_a_sample_is_of_what_from_gives_whatever_where_leaves_of_it(context):
    assert count(context, "SELECT COUNT(*) FROM df WHERE i < 0 USING SAMPLE 10 ROWS") == 0
    assert count(context, f"SELECT COUNT(*) FROM df WHERE i < 100 USING SAMPLE {ROWS} ROWS") == 100
    assert count(context, f"SELECT g, COUNT(*) FROM df WHERE g = 2 GROUP BY g USING SAMPLE {ROWS} ROWS") == 2


@pytest.mark.parametrize("clause", ["10% (bernoulli, 3)", "200 ROWS (reservoir, 3)", "reservoir(1%) REPEATABLE (3)"])
def test_a_seed_gives_the_same_rows_whatever_their_order(context, clause):
    def rows(table, what):
        return context.script(f"SELECT i FROM {table} USING SAMPLE {what} ORDER BY i")[0].to_pandas()["i"].tolist()

    first = rows("df", clause)
    assert first == rows("again", clause)
    assert first != rows("df", clause.replace("3)", "4)"))
    assert len(set(first)) == len(first)
    assert abs(np.mean(first) - ROWS / 2) < ROWS / 6  # a sample of all, not of the first

"""Columns without a name of their own read as they were written wherever people read them; SQL knows them as before."""

import pandas as pd
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.engine.headers import headers
from sqlmagic_xr.sql.syntax import parse_one

FRAME = pd.DataFrame({"a": [1.0, 2.0, 2.5], "b": ["x", "y", "y"], "k": [1, 2, 4]})


@pytest.fixture(scope="module")
def space():
    return {"d": FRAME}


@pytest.fixture(scope="module")
def context(space):
    return Context(namespace=lambda: space)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 100 % 3, a, AVG(a) FROM d GROUP BY a", ["100 % 3", "a", "avg(d.a)"]),
        ("SELECT k % 3, *, a+1.5 FROM d", ["k % 3", "a", "b", "k", "a + 1.5"]),
        ("SELECT SUM(a) OVER (ORDER BY k) FROM d", ["SUM(a) OVER (ORDER BY k)"]),
        ("SELECT b || 'x''y', b IN ('x', 'y') FROM d", ["b || 'x''y'", "b IN ('x', 'y')"]),
        ("SELECT DATE '2000-01-01' + INTERVAL '1 day'", ["DATE '2000-01-01' + INTERVAL '1 day'"]),
        ("(SELECT a * 2 FROM d) UNION ALL SELECT 1", ["a * 2"]),
        ('SELECT a::INT, TRY_CAST(b AS INT), k AS "d.k" FROM d', ["a::INT", "TRY_CAST(b AS INT)", "d.k"]),
        ("SELECT * FROM (SELECT a + 1 FROM d)", ["d.a + 1"]),
        ("WITH q AS (SELECT 1) SELECT q.*, 2 FROM q", ["1", "2"]),
    ],
)
def test_everywhere_they_are_called_alike(context, sql, names):
    result = context.script(sql)[0]
    assert result.headers == names
    assert list(result.df) == result.pl.columns == names


def test_two_of_one_text_keep_the_engines_names():
    tree = parse_one("SELECT 1, x FROM t").tree
    assert headers(["Int64(1)", "1"], tree) == ["Int64(1)", "1"]


def test_a_dataset_and_files_have_them_too(context, tmp_path):
    result = context.script("SELECT k % 4, b, a * 2 FROM d")[0]
    for dims in (["k % 4"], "k % 4", ["d.k % Int64(4)"]):
        dataset = result.to_dataset(dims=dims)
        assert list(dataset.data_vars) == ["b", "a * 2"]
        assert dataset["a * 2"].sel({"k % 4": 0}) == 5.0
    result.to_csv(tmp_path / "f.csv")
    result.to_parquet(tmp_path / "f.parquet")
    result.to_zarr(tmp_path / "f.zarr", dims=["k % 4"])
    assert list(pd.read_csv(tmp_path / "f.csv")) == list(pd.read_parquet(tmp_path / "f.parquet")) == result.headers


def test_a_kept_result_is_a_table_of_the_engines_names(context, space):
    (space["kept"],) = context.script("SELECT k % 3, a FROM d")
    rows = context.script('SELECT "d.k % Int64(3)" AS m FROM kept ORDER BY a')[0]
    assert rows.df["m"].tolist() == [1, 2, 1]

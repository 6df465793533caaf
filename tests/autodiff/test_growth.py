"""How long the SQL of a derivative of order 3 is, against the function; and that it is right."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.autodiff.functions import FUNCTIONS, chain, growth, nested, operations
from tests.autodiff.oracle import derivative

CASES = [(kind, text, bound) for kind, (bound, texts) in FUNCTIONS.items() for text in texts]


@pytest.mark.parametrize(("kind", "text", "bound"), CASES, ids=[f"{kind}: {text[:40]}" for kind, text, _ in CASES])
def test_a_derivative_of_order_3_is_short_and_right(kind, text, bound, context):
    rng = np.random.default_rng(5)
    points = {"x": rng.uniform(0.15, 0.85, 40), "y": rng.uniform(0.3, 0.9, 40)}
    context.from_arrow(pa.table({**points, "k": np.arange(40)}), "d3")
    query = f"SELECT {nested(text, 3)} AS g FROM d3"
    tree = rewrite(parse_one(query).tree, context.tables)
    sql = to_sql(tree)
    assert growth(sql.replace("d3", "d"), text) < bound
    if text != "power(x, x)":
        assert operations(tree) <= 20 * operations(parse_one(f"SELECT {text}").tree)
    ours = context.sql(f"{query} ORDER BY k").to_arrow_table()["g"].to_numpy()
    theirs = derivative(text, "x", points, 3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9 * (1 + np.abs(theirs).max()))


def test_most_kinds_stay_under_20_times():
    beyond = [kind for kind, (bound, _) in FUNCTIONS.items() if bound > 20]
    assert beyond == ["longer chains of bare functions", "a power of the variable by the variable"]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_text_grows_linearly(order, context):
    sizes = [len(to_sql(rewrite(parse_one(f"SELECT {nested(chain(n), order)} AS g FROM d").tree, context.tables)))
             for n in (10, 20, 40)]  # fmt: skip
    assert sizes[1] < 2.3 * sizes[0]
    assert sizes[2] < 2.3 * sizes[1]

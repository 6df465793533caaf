"""A product of small matrices as lines: the bits of the function that it stands for, and what ends a call by it."""

import numpy as np
import pytest
import xarray as xr

import sqlmagic_xr
from sqlmagic_xr.dense.node import Axis, Node, Refused
from sqlmagic_xr.dense.running.buffers import Buffers
from sqlmagic_xr.dense.running.matmul import product
from sqlmagic_xr.dense.running.operations import summed
from sqlmagic_xr.dense.running.text import Text

SIZES = {"i": 7, "j": 5, "k": 3}
AXES = {name: Axis(Node("axis", data=name)) for name in SIZES}
PRODUCTS = ["ij,jk->ik", "ij,jk->ki", "ji,jk->ik", "ij,kj->ik", "ji,kj->ki", "ji,j->i", "j,jk->k", "j,kj->k"]


def node_of(spelled):
    given, kept = spelled.split("->")
    args = tuple(Node("cells", (), tuple(AXES[a] for a in some), "float64") for some in given.split(","))
    return Node("sum", args, tuple(AXES[a] for a in kept), "float64", (2, 0, ()))


def lines_of(spelled, *, shown=False):
    text = Text()
    value = product(node_of(spelled), ["a", "b"], text, shown=shown)
    assert value is not None
    text.line(f"return {value}")
    return np.errstate(all="ignore")(text.function(["a", "b"]))


def factors(spelled, sizes=SIZES):
    rng = np.random.default_rng(0)
    return [rng.normal(size=[sizes[a] for a in some]) for some in spelled.split("->")[0].split(",")]


@pytest.mark.parametrize("spelled", PRODUCTS)
def test_the_lines_give_the_bits_of_the_function(spelled):
    a, b = factors(spelled)
    found, expected = lines_of(spelled)(a, b), summed(node_of(spelled), Buffers())(a, b)
    assert np.array_equal(found, expected)
    np.testing.assert_allclose(found, np.einsum(spelled, a, b), rtol=1e-12)
    assert not np.signbit(lines_of(spelled)(0 * np.abs(a), -np.abs(b))).any()


@pytest.mark.parametrize("spelled", PRODUCTS)
def test_what_is_not_finite_or_a_sum_of_nothing_is_refused(spelled):
    a, b = factors(spelled)
    a.flat[0] = np.inf
    with pytest.raises(Refused, match="not finite"):
        lines_of(spelled)(a, b)
    assert not np.isfinite(lines_of(spelled, shown=True)(a, b)).all()  # which another line finds
    with pytest.raises(Refused, match="empty"):
        lines_of(spelled)(*factors(spelled, {**SIZES, "j": 0}))


@pytest.mark.parametrize("spelled", ["ij,ij->i", "ij,jk->i", "i,j->ij", "ij,ij->"])
def test_what_is_no_product_of_two_matrices_is_left_to_the_function(spelled):
    assert product(node_of(spelled), ["a", "b"], Text(), shown=False) is None


# --- in a loop

STEPS = {
    # the product goes through exp, which makes 0 of an infinity: it is looked at itself
    "hidden": "w.val + 0.1 * exp(-SUM(x.v * h.val))",
    # the product is carried on to what is committed, and is found there
    "carried on": "w.val - 0.5 * SUM(x.v * h.val)",
}


@pytest.mark.parametrize("name", list(STEPS))
def test_a_product_that_overflows_ends_a_call_where_it_ends_steps_by_themselves(name):
    rng = np.random.default_rng(1)
    x = xr.Dataset({"v": (("o", "i"), np.abs(rng.normal(size=(3, 4))))}, coords={"o": np.arange(3), "i": np.arange(4)})
    found = []
    for each_step in (False, True):
        context = sqlmagic_xr.Context(namespace=lambda: {"x": x})
        context.script("""
            CREATE TABLE h (step BIGINT, i BIGINT, val DOUBLE, PRIMARY KEY (step, i));
            INSERT INTO h SELECT 0, i, 1e305 FROM x WHERE o = 0;
            CREATE TABLE w (step BIGINT, o BIGINT, val DOUBLE, PRIMARY KEY (step, o));
            INSERT INTO w SELECT 0, o, 1.0 FROM x WHERE i = 0
        """)
        step = f"""
            INSERT INTO h SELECT :next_step, i, val * 1.5 FROM h WHERE step = :k;
            INSERT INTO w SELECT :next_step, w.o, {STEPS[name]}
            FROM w JOIN x ON x.o = w.o JOIN h ON h.i = x.i AND h.step = w.step
            WHERE w.step = :k GROUP BY w.o, w.val
        """
        run = context.train(step, steps=18, each_step=each_step)
        rows = context.sql("SELECT step, o, val FROM w ORDER BY step, o").to_arrow_table()
        found.append((run.status, run.generation, rows))
    assert found[0][:2] == found[1][:2] == (("diverged", 15) if name == "carried on" else ("done", 18))
    assert found[0][2].equals(found[1][2])

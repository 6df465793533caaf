"""Steps whose expressions and sources are hundreds of terms long: array code or a shortcut is left, the step is not."""

import pytest

from sqlmagic_xr import Context

STEP = """
INSERT INTO p SELECT :next_step, avg(p.w - 0.01 * grad(power({sum} - d.y, 2), p.w))
FROM p CROSS JOIN d WHERE p.step = :step
"""


def _trained(prediction: str) -> list[float]:
    context = Context()
    context.script("CREATE TABLE d (x DOUBLE, y DOUBLE); INSERT INTO d VALUES (0.25, 1.0), (0.5, 3.0)")
    context.script("CREATE TABLE p (step BIGINT, w DOUBLE); INSERT INTO p VALUES (0, 0.5)")
    context.train(STEP.format(sum=prediction), steps=3)
    return context.sql("SELECT w FROM p ORDER BY step").to_pydict()["w"]


def test_a_regression_of_300_terms_is_trained_as_one_of_their_sum():
    long = _trained(" + ".join(["p.w * d.x / 300"] * 300))
    assert long == pytest.approx(_trained("p.w * d.x"), rel=1e-12)
    assert len(set(long)) == 4


def test_500_queries_are_inserted():
    context = Context()
    context.script("CREATE TABLE t (a BIGINT, b BIGINT)")
    context.script("INSERT INTO t " + " UNION ALL ".join(["SELECT 1, 1"] * 500))
    assert context.sql("SELECT count(*) AS n, sum(b) AS s FROM t").to_pydict() == {"n": [500], "s": [500]}


def test_300_queries_are_a_step():
    context = Context()
    context.script("CREATE TABLE p (step BIGINT, w DOUBLE); INSERT INTO p VALUES (0, 0.5)")
    source = " UNION ALL ".join(["SELECT :next_step, w + 1 FROM p WHERE step = :step"] * 300)
    context.train(f"INSERT INTO p {source}", steps=1)
    assert context.sql("SELECT count(*) AS n, max(w) AS w FROM p").to_pydict() == {"n": [301], "w": [1.5]}


CHAINS = {
    "sum": (" + ".join(["p.w * d.x / 300"] * 300), "true"),
    "product": (" * ".join(["(p.w / 900 + d.x / 900 + 1)"] * 300), "true"),
    "AND": ("p.w", " AND ".join(f"d.x < {n}" for n in range(1, 300))),
    "OR": ("p.w", " OR ".join(f"d.x > {n} + 0.3" for n in range(-1, 300))),
    "IN": ("p.w + d.x", f"d.g IN ({', '.join(map(str, range(300)))})"),
    "CASE": ("CASE " + " ".join(f"WHEN d.x * 10 < {n} THEN p.w * {n}" for n in range(300)) + " END", "true"),
    "greatest": (f"greatest({', '.join(f'p.w * {n} - d.x' for n in range(300))})", "true"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_of_300_is_array_code(name):
    value, condition = CHAINS[name]
    step = f"""INSERT INTO p SELECT :next_step, avg(p.w - 0.01 * ({value})) FROM p CROSS JOIN d
    WHERE p.step = :step AND ({condition})"""
    found = []
    for executor in ("dense", "relational"):
        context = Context()
        context.script("CREATE TABLE d (x DOUBLE, g BIGINT); INSERT INTO d VALUES (0.25, 1), (0.5, 301)")
        context.script("CREATE TABLE p (step BIGINT, w DOUBLE); INSERT INTO p VALUES (0, 0.5)")
        context.train(step, steps=2, executor=executor)
        found.append(context.sql("SELECT w FROM p ORDER BY step").to_pydict()["w"])
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert len(set(found[0])) == 3

"""Random expressions against an independent autodiff, and random layers around them against the flat ones."""
# ruff: noqa: E501 - a statement of a table is one line

import random
import warnings

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.sql.expression import Call, Column, parse, replace_parts, to_sql
from sqlmagic_xr.sql.syntax import parse_one
from tests.autodiff.alone import Alone
from tests.autodiff.functions import nested
from tests.autodiff.oracle import derivative
from tests.dealt import MANY, PACKED, dealing

COLUMNS = ("x", "y", "z")
UNARY = (
    "sin({})", "cos({})", "tanh({})", "atan({})", "exp(tanh({}))", "ln(1.5 + {} * {})", "sqrt(1 + {} * {})", "-({})",
    "abs({})", "asinh({})", "cbrt(2 + sin({}))", "1 / (1 + exp(-({})))", "sinh(tanh({}))", "cosh(sin({}))",
    "log10(2 + cos({}))", "log2(3 + sin({}))", "asin(0.9 * tanh({}))", "acos(0.9 * sin({}))", "tan(sin({}))",
    "power({}, 2)", "power({}, 3)", "degrees({}) / 90", "radians({})", "CAST({} AS DOUBLE)", "floor({})",
)  # fmt: skip
BINARY = (
    "({} + {})", "({} - {})", "({} * {})", "{} / (1.2 + sin({}))", "atan2({}, 2 + cos({}))", "greatest({}, {})",
    "least({}, {})", "power(1.5 + sin({}), tanh({}))", "CASE WHEN {} > 0.1 THEN {} ELSE 0.5 END", "coalesce({}, {})",
    "CASE WHEN {0} < {1} THEN sin({0}) ELSE {1} * {1} END", "log(2 + sin({}), 3 + cos({}))", "nanvl({}, {})",
)  # fmt: skip
BATCH, BATCHES, ROWS = 125, 26, 6
BY_TWOS = dealing(Context(), True)
WHOLE = 3
"""So many batches go through all that a statement goes through."""
DEPTHS = (1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 2, 3, 3, 5, 2, 3, 4, 2, 6)  # most mistakes show at a small one


def expression(rng, depth):
    if depth == 0 or rng.random() < 0.1:
        return rng.choice((*COLUMNS, *COLUMNS, f"{rng.uniform(-2, 2):.3f}"))
    if rng.random() < 0.45:
        form, inner = rng.choice(UNARY), expression(rng, depth - 1)
        return form.replace("{}", inner)
    return rng.choice(BINARY).format(expression(rng, depth - 1), expression(rng, depth - 1))


def table(context, name, seed, rows=ROWS):
    rng = np.random.default_rng(seed)
    columns = {c: rng.uniform(-1.5, 1.5, rows) for c in COLUMNS}
    context.from_arrow(pa.table({**columns, "k": np.arange(rows)}), name)
    return columns


def run(context, query):
    return context.sql(query).to_arrow_table().to_pandas().to_numpy(dtype=float)


def expected(text, column, columns, order=1):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return derivative(text, column, columns, order)


@pytest.mark.parametrize("seed", range(BATCHES))
def test_derivatives_of_random_expressions(seed, context):
    """26 batches of 125: 3,250 expressions of depth up to 6 over three columns; most by the engine alone, as it is SQL."""
    rng = random.Random(seed)
    context = BY_TWOS if seed % 13 == 12 else context
    columns = table(context, "cloud", seed)
    texts = [(expression(rng, DEPTHS[i % len(DEPTHS)]), rng.choice(COLUMNS)) for i in range(BATCH)]
    chosen = ", ".join(f"grad({text}, {column}) AS v{i}" for i, (text, column) in enumerate(texts))
    query = f"SELECT k, {chosen} FROM cloud ORDER BY k"
    if seed < WHOLE or context is BY_TWOS:
        ours = run(context, query)[:, 1:]
    else:
        engine = Alone({"cloud": context.query("SELECT * FROM cloud")})
        tree = rewrite(parse_one(query).tree, context.tables)
        ours = engine.rows(tree).to_pandas().to_numpy(dtype=float)[:, 1:]
    assert agreeing(texts, ours, columns) > 0.9 * BATCH


def agreeing(texts, ours, columns):
    """How many expressions have derivatives that are finite; all of those are as the independent autodiff has them."""
    finite = 0
    for i, (text, column) in enumerate(texts):
        theirs = expected(text, column, columns)
        scale = 1 + np.abs(theirs).max()
        if np.isfinite(scale) and scale < 1e6:
            finite += 1
            np.testing.assert_allclose(ours[:, i], theirs, rtol=1e-7, atol=1e-9 * scale, err_msg=f"{column}: {text}")
    return finite


def test_derivatives_over_many_rows():
    """No batch holds all of them, and what is shared with layers or joined again belongs to its own row."""
    rng, context = random.Random(40), dealing(Context(), PACKED)
    columns = table(context, "cloud", 40, MANY)
    texts = [(expression(rng, 2), rng.choice(COLUMNS)) for _ in range(30)]
    chosen = ", ".join(f"grad({text}, {column}) AS v{i}" for i, (text, column) in enumerate(texts))
    assert agreeing(texts, run(context, f"SELECT {chosen} FROM cloud ORDER BY k"), columns) > 25
    text, column = next(t for t in texts if t[1] in t[0] and "sin" in t[0])
    flat = run(context, f"SELECT grad({text}, {column}) FROM cloud ORDER BY k")
    for query in layered(text, column, rng):
        np.testing.assert_allclose(run(context, query), flat, rtol=1e-9, atol=1e-12, err_msg=query)


@pytest.mark.parametrize(("seed", "order", "depth"), [(s, 2, 3) for s in range(4)] + [(s, 3, 2) for s in range(4, 8)])
def test_higher_derivatives_of_random_expressions(seed, order, depth, context):
    """Each alone in its statement, so that what is shared is its own."""
    rng = random.Random(500 + seed)
    columns = table(context, "cloud", seed)
    context.from_arrow(pa.table({**columns, "k": np.arange(ROWS)}), "cloud")
    finite = 0
    for _ in range(30):
        text, column = expression(rng, depth), rng.choice(COLUMNS)
        ours = run(context, f"SELECT {nested(text, order, column)} FROM cloud ORDER BY k")[:, 0]
        theirs = expected(text, column, columns, order)
        scale = 1 + np.abs(theirs).max()
        if np.isfinite(scale) and scale < 1e6:
            finite += 1
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8 * scale, err_msg=f"{column}: {text}")
    assert finite > 20


def qualified(text, name):
    def change(node):
        return Column((name, *node.path)) if isinstance(node, Column) else None

    return to_sql(replace_parts(parse(text), change))


def cut(text, rng):
    """The text with a part of it called u, and that part: what a layer could compute."""
    tree = parse(text)
    calls = [node for node in tree.parts if isinstance(node, Call)]
    if not calls:
        return "u", text
    part = rng.choice(calls)
    whole = replace_parts(tree, lambda node: Column(("u",)) if node == part else None)
    return to_sql(whole), to_sql(part)


def layered(text, column, rng):
    """The same derivative in different SQL; each selects i-th values in the order of k."""
    outer, inner = cut(text, rng)
    q = {c: f'"{c.upper()} {c}"' for c in COLUMNS}
    tree = parse(text)
    quoted = to_sql(
        replace_parts(tree, lambda n: Column((f"{n.name.upper()} {n.name}",)) if isinstance(n, Column) else None)
    )
    renamed = ", ".join(f"{c} AS {q[c]}" for c in COLUMNS)
    names = ", ".join(COLUMNS)
    return [
        f"SELECT grad({outer}, {column}) FROM (SELECT *, {inner} AS u FROM cloud) ORDER BY k",
        f"WITH a AS (SELECT k, {names}, {inner} AS u FROM cloud), b AS (SELECT *, {outer} AS w FROM a)"
        f" SELECT grad(w, {column}) FROM b ORDER BY k",
        f"WITH a(k, {names}, l) AS (SELECT k, {names}, {text} FROM cloud)"
        f" SELECT grad(q.l, q.{column}) FROM a AS q ORDER BY q.k",
        f"SELECT grad({qualified(text, 't')}, t.{column}) FROM cloud AS t ORDER BY t.k",
        f"SELECT grad({quoted}, {q[column]}) FROM (SELECT k, {renamed} FROM cloud) ORDER BY k",
        f"SELECT grad(l, {column}) FROM (SELECT * FROM (SELECT {text} AS l, * FROM cloud) AS n) ORDER BY k",
        f"SELECT g FROM (SELECT k, grad({text}, {column}) AS g FROM cloud UNION ALL SELECT -1, 1.0) WHERE k >= 0 ORDER BY k",
        f"SELECT grad(l, {column}) FROM (SELECT k, {text} AS l, {column} FROM cloud WHERE k < 3"
        f" UNION ALL SELECT k, {text}, {column} FROM cloud WHERE k >= 3) ORDER BY k",
        f"SELECT SUM(grad({text}, {column})) FROM cloud GROUP BY k ORDER BY k",
        f"SELECT grad(SUM({text}), {column}) FROM cloud GROUP BY k, {column} ORDER BY k",
        f"SELECT grad(AVG({text}) OVER (PARTITION BY k, {column}), {column}) FROM cloud ORDER BY k",
        f"SELECT jvp({text}, {column}, 1.0) FROM cloud CROSS JOIN (SELECT 1 AS one) ORDER BY k",
        f"SELECT vjp(s.l, s.{column}, 1) FROM (SELECT k, {column}, {text} AS l FROM cloud) s ORDER BY s.k",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_layers_do_not_change_a_derivative(seed, context):
    rng = random.Random(1000 + seed)
    columns = table(context, "flat", seed)
    context.from_arrow(pa.table({"k": np.arange(ROWS), **columns}), "cloud")
    text, column = expression(rng, 3), rng.choice(COLUMNS)
    flat = run(context, f"SELECT grad({text}, {column}) FROM cloud ORDER BY k")
    for query in layered(text, column, rng):
        np.testing.assert_allclose(run(context, query), flat, rtol=1e-9, atol=1e-12, err_msg=query)


INTEGER_FORMS = (
    "({} + {})", "({} * {})", "({} + 2 * {})", "(x * ({}) / ({}))", "(y * ({}) / (x * ({})))", "(2.0 * ({}) / ({}))",
    "(x / ({}) + y * {})", "({} * x / (({}) * ({})))", "(power(x * {}, 2) / (1.0 * {}))", "sin(x * ({}) / ({}))",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_integer_columns_are_real_numbers_in_any_arrangement(seed, context):
    """Whatever is regrouped, no division of ours divides integers: the same columns as doubles give the same."""
    rng = random.Random(700 + seed)
    numbers = np.random.default_rng(seed)
    whole = {c: numbers.integers(2, 9, ROWS) for c in "ijl"}
    real = {"k": np.arange(ROWS), "x": numbers.uniform(0.5, 2, ROWS), "y": numbers.uniform(0.5, 2, ROWS)}
    context.from_arrow(pa.table({**real, **whole}), "whole")
    context.from_arrow(pa.table({**real, **{c: v.astype(float) for c, v in whole.items()}}), "broken")

    def form(depth):
        if depth == 0:
            return rng.choice("ijlijlxy")
        text = rng.choice(INTEGER_FORMS)
        return text.format(*(form(depth - 1) for _ in range(text.count("{}"))))

    for _ in range(10):
        text = " + ".join(f"{c} * ({form(2)})" for c in ("x", "x * y", "y"))
        chosen = ", ".join(f"{nested(text, o, c)} AS {c}{o}" for c in "xyi" for o in (1, 2))
        queries = [f"SELECT {chosen} FROM {name} ORDER BY k" for name in ("whole", "broken")]
        whole_, broken = (run(context, query) for query in queries)
        sound = np.isfinite(broken) & (np.abs(broken) < 1e9)
        np.testing.assert_allclose(whole_[sound], broken[sound], rtol=1e-8, atol=1e-8, err_msg=text)

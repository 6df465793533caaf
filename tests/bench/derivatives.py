"""What derivatives cost: working them out, the size of their text, and running it against SQL written by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from sqlmagic_xr import Context
from sqlmagic_xr.autodiff.rewrite import _KNOWN, rewrite
from sqlmagic_xr.sql import parsing, syntax
from tests.autodiff.functions import FUNCTIONS, growth, nested, operations
from tests.bench.harness import Effort, Report, Verdict, benchmark

STEP = """
INSERT INTO params
SELECT :next_step, cur.a - :lr * AVG(grad(power(d.y - (cur.a*d.x + cur.b), 2), cur.a)),
                   cur.b - :lr * AVG(grad(power(d.y - (cur.a*d.x + cur.b), 2), cur.b))
FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur
GROUP BY cur.a, cur.b
"""
WIDTH = 200
ROWS = 5_000_000
TEN_FUNCTIONS = (
    "tanh(x) * sin(x * y) + exp(-x * x) * sqrt(1 + y * y) + ln(2 + cos(x)) * atan(x * y) + power(x, 3) / (1 + abs(y))"
)
BY_HAND = """
(1 - tanh(x) * tanh(x)) * sin(x * y) + tanh(x) * cos(x * y) * y - 2.0 * x * exp(-x * x) * sqrt(1 + y * y)
- sin(x) / (2 + cos(x)) * atan(x * y) + ln(2 + cos(x)) * y / (1 + x * y * x * y) + 3.0 * x * x / (1 + abs(y))
"""


def best(run: Callable[[], object], repetitions: int) -> float:
    """The shortest of several runs, in seconds: what the machine's other work adds is no cost of ours."""
    times = []
    for _ in range(max(3, repetitions)):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def wide(ctx: Context) -> str:
    """A logistic regression's gradient by 200 weights."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(WIDTH)]
    ctx.from_arrow(pa.table({**{name: rng.random(5) for name in names}, "label": rng.random(5)}), "wide")
    ctx.from_arrow(pa.table({f"w{i}": rng.random(1) for i in range(WIDTH)}), "w")
    margin = " + ".join(f"w{i} * x{i}" for i in range(WIDTH))
    weights = ", ".join(f"w{i}" for i in range(WIDTH))
    gradient = ", ".join(f"AVG(grad(loss, w{i})) AS g{i}" for i in range(WIDTH))
    return f"SELECT {gradient} FROM (SELECT ln(1 + exp(-label * ({margin}))) AS loss, {weights} FROM wide CROSS JOIN w)"


def rewritten(query: str, ctx: Context) -> str:
    """The statement as the engine gets it, read anew."""
    return syntax.to_sql(_rewritten(query, ctx))


def _rewritten(query: str, ctx: Context) -> syntax.Tree:
    parsing.parse.cache_clear()
    _KNOWN.clear()
    return rewrite(syntax.parse_one(query).tree, ctx.tables)


@benchmark("Derivatives: working them out")
def working_out(effort: Effort) -> Report:
    """The training step of the design, and 200 derivatives of one loss."""
    ctx = Context()
    ctx.from_arrow(pa.table({"x": [1.0], "y": [2.0]}), "d")
    ctx.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)")
    rows: list[Sequence[str]] = []
    verdicts = []
    for name, query, limit in (("training step", STEP, 0.005), (f"gradient by {WIDTH} columns", wide(ctx), 1.0)):
        took = best(lambda query=query: rewritten(query, ctx), effort.repetitions)
        size = len(rewritten(query, ctx)) / len(query)
        rows.append((name, f"{took * 1e3:.1f} ms", f"{size:.1f}"))
        verdicts.append(Verdict(f"{name} under {limit * 1e3:.0f} ms", took < limit))
    return Report(("what", "read, differentiate, write", "size / size written"), rows, verdicts)


@benchmark("Derivatives: the length of their text")
def length(effort: Effort) -> Report:
    """Orders 1 to 3 of functions of several kinds: characters of the SQL over characters of the function.

    The last column counts functions, operators, CASEs and CASTs instead.
    """
    ctx = Context()
    ctx.from_arrow(pa.table({"x": [1.0], "y": [2.0]}), "d")
    rows: list[Sequence[str]] = []
    verdicts = []
    for kind, (_, texts) in FUNCTIONS.items():
        times = [
            max(growth(rewritten(f"SELECT {nested(text, order)} AS g FROM d", ctx), text) for text in texts)
            for order in (1, 2, 3)
        ]
        third = {text: _rewritten(f"SELECT {nested(text, 3)} AS g FROM d", ctx) for text in texts}
        counted = max(operations(d) / operations(syntax.parse_one(f"SELECT {f}").tree) for f, d in third.items())
        rows.append((kind, *(f"{time:.1f}" for time in times), f"{counted:.1f}"))
        verdicts.append(Verdict(f"{kind}: order 3 has {counted:.1f} times the operations (at most 20)", counted <= 20))
    return Report(("kind", "order 1, at most", "order 2", "order 3", "order 3, operations"), rows, verdicts)


@benchmark("Derivatives: running them over 5 million rows")
def running(effort: Effort) -> Report:
    """The derivative of an expression of ten functions against the same by hand."""
    ctx = Context()
    rng = np.random.default_rng(0)
    ctx.from_arrow(pa.table({"x": rng.random(ROWS), "y": rng.random(ROWS)}), "d")
    ours, hand = f"SELECT SUM(grad({TEN_FUNCTIONS}, x)) AS s FROM d", f"SELECT SUM({BY_HAND}) AS s FROM d"
    got, expected = (ctx.sql(query).to_arrow_table()["s"].to_pylist()[0] for query in (ours, hand))
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    mine, theirs = (best(lambda q=q: ctx.sql(q).to_arrow_table(), effort.repetitions) for q in (ours, hand))
    ratio = mine / theirs
    row = (f"{mine * 1e3:.0f} ms", f"{theirs * 1e3:.0f} ms", f"{ratio:.2f}")
    return Report(("grad()", "by hand", "ratio"), [row], [Verdict("at most 2.5 times as long", ratio <= 2.5)])

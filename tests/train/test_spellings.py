"""However names are spelled, a step gives the same rows: in SQL as it stands, as it is planned, and as array code."""

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from tests.dealt import MANY, PACKED, dealing
from tests.spellings import of_a_table, respelled

D = pa.table({"x": [0.5, -1.0, 2.0], "y": [1.0, 0.0, 3.0], "g": [0, 1, 0]})
CREATE = """
CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO p VALUES (0, 1.0, 0.5);
CREATE TABLE w (step BIGINT, j BIGINT, v DOUBLE, PRIMARY KEY (step, j));
INSERT INTO w VALUES (0, 0, 1.0), (0, 1, 2.0);
CREATE VIEW newest AS SELECT a, b, step FROM p ORDER BY step DESC LIMIT 1
"""
STEPS = [
    "INSERT INTO p SELECT :next_step, a * 2 AS a, b FROM p WHERE step = (SELECT MAX(step) FROM p)",
    "INSERT INTO p SELECT :next_step, p.a * 2, p.b FROM p WHERE p.step = :k",
    "INSERT INTO p SELECT :next_step, AVG(d.x * cur.a), cur.b FROM d, p AS cur WHERE cur.step = :k GROUP BY cur.b",
    "INSERT INTO p WITH cur AS (SELECT a, b FROM p WHERE step = :k) SELECT :next_step, cur.a - AVG(x), cur.b + 1 "
    "FROM d CROSS JOIN cur GROUP BY cur.a, cur.b",
    "INSERT INTO p SELECT :next_step, a + 1, b FROM newest",
    "INSERT INTO p SELECT :next_step, n.a + SUM(d.y), n.b FROM newest n CROSS JOIN d GROUP BY n.a, n.b",
    "INSERT INTO p SELECT :next_step, cur.a + prev.n, 0.5 FROM p cur CROSS JOIN (SELECT COUNT(*) AS n FROM p) prev "
    "WHERE cur.step = :k",
    "INSERT INTO p SELECT :next_step, SUM(w.v * d.x), cur.b FROM d JOIN w ON w.j = d.g CROSS JOIN p cur "
    "WHERE w.step = 0 AND cur.step = :k GROUP BY cur.b",
    "INSERT INTO w SELECT :next_step, w.j, w.v + d.x FROM w JOIN d ON d.g = w.j WHERE w.step = :k AND d.x > 0 "
    "AND d.x < 1",
    "INSERT INTO p SELECT :next_step, (SELECT MAX(a) FROM p) * 2, (SELECT COUNT(*) FROM w) + 0.5",
]
CURVES = [
    "SELECT step, SUM(a) AS s FROM p GROUP BY step",
    "SELECT p.step, AVG(d.y - p.a * d.x) AS m FROM d CROSS JOIN p GROUP BY p.step",
    "SELECT step AS s, a FROM p ORDER BY s",
    "WITH e AS (SELECT step, a FROM p) SELECT step, SUM(a) AS m FROM e GROUP BY step",
]
TABLES, COLUMNS = ("p", "w", "d", "newest"), ("a", "b", "x", "y", "g", "v", "j", "step")


def trained(statement, how, curve="", create=CREATE, data=D, by_twos=False):
    """The rows of both tables after four steps, and those of the curve."""
    context = dealing(Context(namespace=lambda: {"d": data}), by_twos)
    context.script(create)
    options = {"verbatim": {"verbatim": True}, "relational": {"executor": "relational"}, "auto": {}}[how]
    run = context.train(statement + (f";\n{curve}" if curve else ""), steps=4, **options)
    found = [sorted(map(tuple, (r.values() for r in context.scratch(n).to_arrow().to_pylist()))) for n in "pw"]
    return found, [sorted(map(tuple, (r.values() for r in t.to_pylist()))) for t in run.curves]


WAYS = ["relational", "auto"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", of_a_table("p"))
def test_a_state_is_never_taken_for_a_constant(name, how):
    step = f"INSERT INTO p SELECT :next_step, a * 2 AS a, b FROM {name} WHERE step = (SELECT MAX(step) FROM {name})"
    (p, _), _ = trained(step, how)
    assert [row[1] for row in p] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("how", WAYS)
@settings(max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(step=st.sampled_from(STEPS), curve=st.sampled_from(CURVES), pick=st.data(), by_twos=st.booleans())
def test_any_spelling_gives_the_rows_of_the_plainest(how, step, curve, pick, by_twos):
    choose = lambda options: pick.draw(st.sampled_from(options))  # noqa: E731
    spelled = respelled(step, TABLES, choose, COLUMNS)
    drawn = respelled(curve, TABLES, choose, COLUMNS)
    create = respelled(CREATE, TABLES, choose, COLUMNS)
    expected, expected_curve = trained(step, "verbatim", curve)
    found, found_curve = trained(spelled, how, drawn, create, by_twos=by_twos)
    assert found == [[pytest.approx(row) for row in table] for table in expected], spelled
    assert [[pytest.approx(r) for r in t] for t in expected_curve] == found_curve, drawn


@pytest.mark.parametrize("how", WAYS)
def test_spellings_over_many_rows(how):
    long = pa.concat_tables([D] * (MANY // 3)).combine_chunks()
    for place, step in enumerate([STEPS[2], STEPS[3], STEPS[7]]):
        spell = lambda options, place=place: options[place % len(options)]  # noqa: E731
        texts = [respelled(text, TABLES, spell, COLUMNS) for text in (step, CURVES[1], CREATE)]
        expected, expected_curve = trained(step, "verbatim", CURVES[1], data=long)
        found, found_curve = trained(texts[0], how, *texts[1:], data=long, by_twos=PACKED)
        assert found == [[pytest.approx(row) for row in table] for table in expected], texts[0]
        assert [[pytest.approx(r) for r in t] for t in expected_curve] == found_curve, texts[1]


RENAMED = {"a": "A", "b": "A b", "x": "X.x", "y": 'selec"t', "v": "ü", "j": "Step"}


@pytest.mark.parametrize("how", [*WAYS, "verbatim"])
@pytest.mark.parametrize(("step", "curve"), [(s, CURVES[n % len(CURVES)]) for n, s in enumerate(STEPS)])
def test_columns_of_any_name(step, curve, how):
    names = {old: new.replace('"', '""') for old, new in RENAMED.items()}
    data = D.rename_columns([RENAMED.get(name, name) for name in D.column_names])
    expected, expected_curve = trained(step, "verbatim", curve)
    text = [respelled(t, (), None, names) for t in (step, curve, CREATE)]
    found, found_curve = trained(text[0], how, text[1], text[2], data)
    assert found == [[pytest.approx(row) for row in table] for table in expected], text[0]
    assert [[pytest.approx(r) for r in t] for t in expected_curve] == found_curve

"""What stands on axes is calculated once while these stay as they are, and anew as soon as one does not."""

import numpy as np
import pyarrow as pa
import pytest

import sqlmagic_xr
from sqlmagic_xr.dense.labels import Labels
from sqlmagic_xr.dense.lowering.relation import LoweredRelation, NamedColumn, restrict
from sqlmagic_xr.dense.node import Axis, Graph, Value
from sqlmagic_xr.dense.running import compiled
from sqlmagic_xr.dense.running.standing import Coordinates, Moved

TABLE = """
    CREATE TABLE w (step BIGINT, i BIGINT, v DOUBLE, PRIMARY KEY (step, i));
    INSERT INTO w SELECT 0, i, 0.5 * i FROM x WHERE row = 0
"""
STEPS = {
    "the same keys": "INSERT INTO w SELECT :next_step, w.i, w.v - 0.01 * SUM(x.v * w.v) FROM w JOIN x ON x.i = w.i "
    "WHERE w.step = :k GROUP BY w.i, w.v",
    "one key fewer": "INSERT INTO w SELECT :next_step, w.i, w.v - 0.01 * SUM(x.v * w.v) FROM w JOIN x ON x.i = w.i "
    "WHERE w.step = :k AND w.i < 12 - :k GROUP BY w.i, w.v",
    "other keys": "INSERT INTO w SELECT :next_step, w.i + 1, 0.9 * w.v + 0.01 * SUM(x.v) FROM w JOIN x ON x.i = w.i "
    "WHERE w.step = :k GROUP BY w.i, w.v",
}


def context():
    rng = np.random.default_rng(1)
    rows, columns = np.meshgrid(np.arange(5), np.arange(12), indexing="ij")
    x = pa.table({"row": rows.ravel(), "i": columns.ravel(), "v": rng.normal(size=60)})
    made = sqlmagic_xr.Context(namespace=lambda: {"x": x})
    made.script(TABLE)
    return made


@pytest.mark.parametrize("name", list(STEPS))
def test_steps_one_by_one_give_what_the_engine_gives_whether_their_axes_stay_or_not(name):
    found = []
    for executor in ("relational", "auto"):
        made = context()
        made.train(STEPS[name], steps=7, executor=executor, each_step=True)
        found.append(made.sql("SELECT step, i, v FROM w ORDER BY step, i").to_arrow_table().to_pandas())
    assert len(found[0]) > 12
    assert list(found[0].i) == list(found[1].i)
    np.testing.assert_allclose(found[0].v, found[1].v, rtol=1e-12)


def test_a_join_of_axes_that_stay_is_no_line_of_a_step(monkeypatch):
    written = []

    def noted(brief, *others):
        written.append([node.op for node, _, _ in brief])
        return quick(brief, *others)

    quick = compiled.quick
    monkeypatch.setattr("sqlmagic_xr.dense.running.code.quick", noted)
    context().train(STEPS["the same keys"], steps=4, each_step=True)
    assert "scan" in written[-1]
    assert not {"axis", "match", "lookup", "coordinate"} & set(written[-1])
    assert len(written) == 1  # the axes of the second step are other objects, and are the same


def test_equal_coordinates_are_expected_from_then_on_and_others_are_told():
    expected = Coordinates(np.arange(4))
    other = np.arange(4)
    expected(other)
    assert expected.coordinates is other
    for wrong in (np.arange(5), np.array([0, 1, 2, 4]), np.arange(4, dtype=np.int32)):
        with pytest.raises(Moved):
            expected(wrong)
    assert expected.coordinates is other


def test_a_condition_by_which_an_axis_was_chosen_is_not_asked_again():
    graph = Graph(Labels())
    axis = Axis(graph.make("axis", (graph.make("scan"),), data=0))
    relation = LoweredRelation((axis,), (NamedColumn(None, "k", Value(graph.coordinate(axis, "int64"))),))

    def among(found, number):
        (column,) = found.columns
        rest = graph.elementwise("integer %", (column.value.cells, graph.constant(5, "int64")), "int64")
        return graph.elementwise("=", (rest, graph.constant(number, "int64")), "boolean")

    once = restrict(graph, relation, among(relation, 2))
    assert once.axes != relation.axes
    assert restrict(graph, once, among(once, 2)) is once
    assert restrict(graph, once, among(once, 3)).axes != once.axes

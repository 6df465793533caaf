"""What programs of a context have bound is used again while their tables and the session's functions are the same."""

from __future__ import annotations

from typing import Any

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.dense.lowering import bound
from sqlmagic_xr.grids.bindings import bindings_of
from sqlmagic_xr.sql.syntax import tables_named

CELL = """
    MINIMIZE (SELECT AVG(power(d.y - p.a * d.x, 2)) FROM d CROSS JOIN p WHERE p.step = :k)
    OVER p.a USING sgd(lr => 0.1)
"""
CREATE = """
    CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE);
    INSERT INTO p VALUES (0, 0.0);
    CREATE TABLE d (x DOUBLE, y {y});
    INSERT INTO d VALUES (1, 2), (2, 4)
"""


def _newest(context: Context) -> float:
    return float(context.sql("SELECT a FROM p ORDER BY step DESC LIMIT 1").to_arrow_table()["a"][0].as_py())


def test_a_cell_that_is_run_again_binds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    context, made = Context(), list[Any]()
    bind = bound.bind

    def noted(tree: Any, tables: Any) -> Any:
        made.extend(tables_named(tree)[:1])  # the learning rate reads none, and is an expression of its own
        return bind(tree, tables)

    monkeypatch.setattr(bound, "bind", noted)
    context.script(CREATE.format(y="DOUBLE"))
    context.train(CELL, steps=3, executor="dense")
    first, value = len(made), _newest(context)
    assert first
    context.train(CELL, steps=3, executor="dense", restart=True)
    assert (len(made) - first, _newest(context)) == (0, value)


def test_tables_that_are_others_are_bound_anew() -> None:
    context = Context()
    context.script(CREATE.format(y="DOUBLE"))
    context.train(CELL, steps=3)
    value = _newest(context)
    context.script("DROP TABLE d; DROP TABLE p; DROP TABLE p_loss" + ";" + CREATE.format(y="BIGINT"))
    context.train(CELL, steps=3)
    assert _newest(context) == value
    context.script("DROP TABLE d; CREATE TABLE d (y DOUBLE, x DOUBLE); INSERT INTO d VALUES (1, 2), (2, 4)")
    context.train(CELL, steps=2, restart=True)
    assert _newest(context) == pytest.approx(0.0)  # the columns stand the other way round, else it were 1.5


def test_other_functions_forget_them() -> None:
    context = Context()
    known = bindings_of(context)
    assert bindings_of(context) is known
    context.from_pydict({"n": [1]}, "beside")
    context.register_table("again", context.table("beside"))
    assert bindings_of(context) is not known
    assert bindings_of(Context()) is not bindings_of(context)

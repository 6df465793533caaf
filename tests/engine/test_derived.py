"""What a statement with derivatives becomes is remembered, and worked out anew where what it rests on has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.engine import derived
from sqlmagic_xr.errors import SqlError

SLOPE = "SELECT grad(v.y, v.x) * :times AS slope FROM v"
WHOLE = (
    "WITH loss AS (SELECT SUM(p.a * d.x) AS y FROM p CROSS JOIN d) SELECT :k AS k, grad(loss.y, p.a) AS s FROM p, loss"
)


@pytest.fixture
def rewrites(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The statements that were worked out."""
    made: list[Any] = []
    rewrite = derived.rewrite

    def noted(tree: Any, *args: Any, **options: Any) -> Any:
        made.append(tree)
        return rewrite(tree, *args, **options)

    monkeypatch.setattr(derived, "rewrite", noted)
    return made


def _context() -> tuple[Context, dict[str, Any]]:
    names: dict[str, Any] = {"d": xr.Dataset({"x": ("i", [1.0, 2.0])}, coords={"i": [0, 1]})}
    context = Context(namespace=lambda: names)
    context.script("""
        CREATE TABLE p (id BIGINT PRIMARY KEY, a DOUBLE);
        INSERT INTO p VALUES (0, 2.0);
        CREATE VIEW v AS SELECT a AS x, a * a AS y FROM p
    """)
    return context, names


def _answer(context: Context, text: str = SLOPE) -> list[Any]:
    return list(context.sql(text, {"times": 1, "k": 0}).to_arrow_table().columns[-1].to_pylist())


def test_what_is_run_again_is_worked_out_once(rewrites: list[Any]) -> None:
    context, _ = _context()
    assert [_answer(context) for _ in range(3)] == [[4.0]] * 3
    context.script("INSERT INTO p VALUES (1, 3.0)")
    assert sorted(_answer(context)) == [4.0, 6.0]  # rows are no part of what it rests on
    assert len(rewrites) == 1
    assert len(_answer(context, WHOLE)) == len(_answer(context, WHOLE)) == 2
    assert len(rewrites) == 2


def _other_view(context: Context, names: dict[str, Any]) -> None:
    context.script("CREATE OR REPLACE VIEW v AS SELECT a AS x, a * a * a AS y FROM p")


def _other_table(context: Context, names: dict[str, Any]) -> None:
    context.script("DROP VIEW v; CREATE TABLE v (x DOUBLE, y DOUBLE); INSERT INTO v VALUES (1.0, 2.0)")


@pytest.mark.parametrize(
    ("view", "change", "before", "after"),
    [
        ("", _other_view, [4.0], [12.0]),
        ("", _other_table, [4.0], [0.0]),
        ("CREATE OR REPLACE VIEW v AS SELECT a AS x, exp(a - 2) AS y FROM p",
         lambda context, names: context.register_derivative("exp", ["7 * $0"]), [1.0], [7.0]),
    ],
)  # fmt: skip
def test_what_it_rests_on_has_changed(
    view: str, change: Callable[[Context, dict[str, Any]], None], before: list[float], after: list[float]
) -> None:
    context, names = _context()
    if view:
        context.script(view)
    assert _answer(context) == before
    change(context, names)
    assert _answer(context) == after


def test_tables_below_and_variables_are_looked_at() -> None:
    context, names = _context()
    assert _answer(context, WHOLE) == [3.0]
    names["d"] = xr.Dataset({"x": ("i", [1.0, 2.0, 4.0])}, coords={"i": [0, 1, 2]})
    assert _answer(context, WHOLE) == [7.0]
    names["d"] = xr.Dataset({"z": ("i", [1.0])}, coords={"i": [0]})
    with pytest.raises(SqlError, match="x"):
        _answer(context, WHOLE)
    context.script("DROP VIEW v; DROP TABLE p; CREATE TABLE p (id BIGINT PRIMARY KEY, b DOUBLE, y DOUBLE)")
    with pytest.raises(SqlError, match="a"):
        _answer(context, WHOLE)


def test_an_error_points_where_the_text_stands_now() -> None:
    context, _ = _context()
    shown = []
    for script in ("SELECT grad(v.y, v.x) / :k FROM v WHERE nobody = 1",
                   "SELECT 1;\n\nSELECT grad(v.y, v.x) / :k FROM v WHERE nobody = 1"):  # fmt: skip
        with pytest.raises(SqlError) as caught:
            context.script(script, {"k": 1})
        assert caught.value.span is not None
        shown.append(caught.value.span.line)
    assert shown == [1, 3]


def test_narrow_integers_are_widened_for_the_tables_that_there_are_now() -> None:
    context, names = _context()
    text = "SELECT n * n + :k AS s FROM i"
    names["i"] = pa.table({"n": pa.array([300], pa.int64())})
    assert _answer(context, text) == [90_000]
    names["i"] = pa.table({"n": pa.array([100], pa.int8())})
    assert _answer(context, text) == [10_000]  # 16 in eight bits


def test_chains_too_deep_to_be_compared_are_worked_out_again() -> None:
    context, _ = _context()
    text = f"SELECT {' + '.join(['v.x'] * 500)} + :k AS s FROM v"
    assert _answer(context, text) == _answer(context, text) == [1_000.0]

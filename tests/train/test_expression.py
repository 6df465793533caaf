"""A schedule or a condition has the value that the engine gives, whoever works it out."""

import pytest

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.train.expression import RepeatedExpression

VALUES = {"step": 7, "k": 7, "lr": 0.25, "name": "warm", "none": None, "on": True}
BY_ARRAYS = [
    "0.4 * pow(0.99, :step)", "0.1 / (1 + :step)", "CASE WHEN :step < 5 THEN 0.1 ELSE 0.01 END", ":step / 2",
    ":step % 4", ":lr", ":lr < 1e-4", ":lr < 1 AND :on", "cos(:step * 3.14159 / 100) + 1", "nullif(:step, 7)",
    "round(:lr * 10)", "CASE WHEN :step > 100 THEN 1.0 END", ":name = 'warm'", "3", "true",
    "greatest(0.001, :lr * exp(-0.1 * :step))",
]  # fmt: skip
BY_ENGINE = [
    "coalesce(:none, 0.5)",
    "upper(:name)",
    "(SELECT max(v) FROM (VALUES (1.5), (2.5)) t(v))",
    "gcd(:step, 21)",
]


@pytest.mark.parametrize("text", BY_ARRAYS)
def test_arrays_give_what_the_engine_gives(ctx, text):
    expression = RepeatedExpression(ctx, text, "schedule")
    theirs = expression.prepared.run(VALUES).to_arrow_table().column(0)[0].as_py()
    for _ in range(3):
        mine = expression._by_arrays(VALUES)
        assert mine == theirs
        assert type(mine) is type(theirs)
        assert expression.value(VALUES) == theirs


@pytest.mark.parametrize("text", BY_ENGINE)
def test_what_arrays_decline_the_engine_works_out(ctx, text):
    expression = RepeatedExpression(ctx, text, "schedule")
    with pytest.raises(Refused):
        expression._by_arrays(VALUES)
    theirs = expression.prepared.run(VALUES).to_arrow_table().column(0)[0].as_py()
    assert expression.value(VALUES) == theirs


def test_values_of_other_types_are_worked_out_anew(ctx):
    expression = RepeatedExpression(ctx, ":lr / 2", "schedule")
    assert [expression.value({"lr": value}) for value in (7, 7.0, 9, None)] == [3, 3.5, 4, None]


def test_an_error_of_the_engine_speaks_of_the_expression(ctx):
    expression = RepeatedExpression(ctx, "1 / (:step - 7)", "the schedule of lr")
    assert expression.value({"step": 8}) == 1
    with pytest.raises(SqlError, match="the schedule of lr: "):
        expression.value(VALUES)

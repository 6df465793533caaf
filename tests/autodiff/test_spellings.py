"""However a table's name is spelled, a derivative is the same."""

import pytest

from tests.spellings import of_a_table

LOSS = "SELECT step, grad(SUM(q.a * d.x * d.x), q.a) AS g FROM d CROSS JOIN {} q GROUP BY step, q.a"
BY_KEY = "SELECT step, grad(SUM(q.a * q.a * d.x), q.a) AS g FROM d CROSS JOIN {} q GROUP BY step"


def values(context, query):
    return sorted(map(tuple, (row.values() for row in context.sql(query).to_arrow_table().to_pylist())))


@pytest.mark.parametrize("query", [LOSS, BY_KEY])
@pytest.mark.parametrize("name", of_a_table("params"))
def test_the_key_is_not_lost_with_the_schema(name, query, context):
    found, expected = values(context, query.format(name)), values(context, query.format("params"))
    assert [row[0] for row in found] == [row[0] for row in expected]
    assert [row[1] for row in found] == pytest.approx([row[1] for row in expected])

"""Lists in functions of text are refused wherever they stand, and what they are told apart from is not."""

import pytest
from datafusion import SessionContext

from sqlmagic_xr import Context
from sqlmagic_xr.engine.faults import texts
from sqlmagic_xr.errors import SqlError, UnsupportedError

MORE = {"translate": ", '1', '2'", "regexp_replace": ", '1', '2'", "left": ", 1", "right": ", 1", "lpad": ", 9",
        "rpad": ", 9", "regexp_match": ", '1'", "regexp_count": ", '1'", "find_in_set": ", '1'",
        "substr_index": ", ',', 1", "substring_index": ", ',', 1", "overlay": ", 'x', 1", "concat": ", l"}  # fmt: skip


@pytest.fixture(scope="module")
def ctx():
    context = Context()
    context.script("CREATE TABLE t (l BIGINT[], s VARCHAR, i BIGINT); INSERT INTO t VALUES ([1, 2], 'abc', 12)")
    return context


@pytest.mark.parametrize("name", texts._INSTEAD)
def test_a_list_is_refused_where_the_engine_takes_its_text(ctx, name):
    rest = MORE.get(name, "")
    plain = SessionContext().sql(f"SELECT {name}(l{rest}) FROM (SELECT [1, 2] AS l)")
    assert plain.to_arrow_table().num_rows == 1  # the engine: whatever that is, without a word
    with pytest.raises(UnsupportedError, match=f"{name} is a function of text, and l is a list") as caught:
        ctx.script(f"SELECT {name}(l{rest}) FROM t")
    assert "CAST(l AS VARCHAR) is its text" in caught.value.hint


@pytest.mark.parametrize("query", [
    "SELECT length(t.l) FROM t", "SELECT length(ARRAY[1, 2])", "SELECT char_length(array_append(l, 3)) FROM t",
    "SELECT length(x.m) FROM (SELECT l AS m FROM t) AS x", "SELECT length(array_agg(i)) FROM t",
    "UPDATE t SET i = length(l)", "INSERT INTO t (i) SELECT length(l) FROM t", "DELETE FROM t WHERE length(l) = 6",
    "CREATE VIEW v AS SELECT length(l) AS n FROM t", "SELECT i FROM t ORDER BY length(l)",
    "SELECT left(string_to_array(s, 'b'), 1) FROM t", "SELECT max(i) FROM t GROUP BY s HAVING length(array_agg(i)) > 0",
])  # fmt: skip
def test_it_is_seen_wherever_it_stands(ctx, query):
    with pytest.raises(SqlError, match="is a function of text"):
        ctx.script(query)


def test_texts_and_numbers_are_as_before(ctx):
    asked = "length(s), length(i), concat(s, i), reverse(i), length(l[1]), length(CAST(l AS VARCHAR)), array_length(l)"
    (row,) = ctx.script(f"SELECT {asked} FROM t")[0]
    assert row == (3, 2, "abc12", "21", 1, 6, 2)

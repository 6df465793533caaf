"""ON CONFLICT over several keys, against a loop that takes one row after the other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlmagic_xr.errors import ConstraintError
from tests.dealt import MANY, MIXED, PACKED
from tests.engine.conftest import Db

SETUP = "CREATE OR REPLACE TABLE w (id INT PRIMARY KEY, u INT UNIQUE, a INT, b INT, UNIQUE (a, b))"

WHOLE, DEALT = Db(), Db(MIXED)

few = st.integers(0, 4)
maybe = st.none() | few
rows = st.lists(st.tuples(few, maybe, maybe, maybe), min_size=1, max_size=9)


def values(given: list[tuple[object, ...]]) -> str:
    return ", ".join("(" + ", ".join("NULL" if v is None else str(v) for v in row) + ")" for row in given)


def one_by_one(there: list[tuple[object, ...]], new: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """What DO NOTHING over all keys leaves."""
    kept = list(there)
    for row in new:
        keys = [[0], [1], [2, 3]]
        whole = [k for k in keys if all(row[i] is not None for i in k)]
        if not any(all(row[i] == other[i] for i in k) for k in whole for other in kept):
            kept.append(row)
    return kept


def test_a_row_that_is_left_out_takes_no_key():
    db = Db()
    db.run("CREATE TABLE w (id INT PRIMARY KEY, u INT UNIQUE)")
    result = db.run("INSERT INTO w VALUES (1, 10), (1, 20), (3, 20) ON CONFLICT DO NOTHING")
    assert db.rows("SELECT * FROM w ORDER BY id") == [(1, 10), (3, 20)]
    assert result.message == "w: 2 rows inserted, 1 row left out"


@settings(max_examples=100)
@given(rows, rows, st.booleans())
def test_nothing_is_done_for_a_row_that_conflicts_with_one_that_is_kept(first, second, dealt):
    db = DEALT if dealt else WHOLE
    db.run(SETUP)
    expected: list[tuple[object, ...]] = []
    for new in (first, second):
        statement = f"INSERT INTO w VALUES {values(new)} ON CONFLICT DO NOTHING"
        db.run(statement)
        expected = one_by_one(expected, new)
        assert sorted(db.rows("SELECT * FROM w"), key=repr) == sorted(expected, key=repr)


@settings(max_examples=100)
@given(rows, rows, st.sampled_from(["id", "u", "a, b", "b, a"]), st.booleans())
def test_only_the_key_that_is_named_lets_a_row_be_left_out(first, second, target, dealt):
    db = DEALT if dealt else WHOLE
    db.run(SETUP)
    db.run(f"INSERT INTO w VALUES {values(first)} ON CONFLICT DO NOTHING")
    there = db.rows("SELECT * FROM w")
    statement = f"INSERT INTO w VALUES {values(second)} ON CONFLICT ({target}) DO NOTHING"
    key = {"id": [0], "u": [1], "a, b": [2, 3], "b, a": [2, 3]}[target]
    kept, refused = list(there), False
    for row in second:
        met = [
            k
            for k in ([0], [1], [2, 3])
            if all(row[i] is not None for i in k) and any(all(row[i] == o[i] for i in k) for o in kept)
        ]
        if key not in met:
            refused |= bool(met)
            kept.append(row)
    if refused:
        with pytest.raises(ConstraintError):
            db.run(statement)
        assert db.rows("SELECT * FROM w") == there
    else:
        db.run(statement)
        assert sorted(db.rows("SELECT * FROM w"), key=repr) == sorted(kept, key=repr)


def test_do_update_refuses_a_row_that_meets_two(db):
    db.run(SETUP)
    db.run("INSERT INTO w VALUES (1, 1, 1, 1), (2, 2, 2, 2)")
    with pytest.raises(ConstraintError, match="w_u_key"):
        db.run("INSERT INTO w VALUES (1, 2, 9, 9) ON CONFLICT (id) DO UPDATE SET u = excluded.u")
    with pytest.raises(ConstraintError, match="w_u_key"):
        db.run("INSERT INTO w VALUES (3, 2, 9, 9) ON CONFLICT (id) DO UPDATE SET a = 0")
    db.run("INSERT INTO w VALUES (1, 2, 9, 9), (4, NULL, NULL, 1) ON CONFLICT (id) DO UPDATE SET a = excluded.a")
    assert db.rows("SELECT * FROM w ORDER BY id") == [(1, 1, 9, 1), (2, 2, 2, 2), (4, None, None, 1)]


def test_null_conflicts_with_nothing(db):
    db.run("CREATE TABLE n (u INT UNIQUE, v INT)")
    db.run("INSERT INTO n VALUES (NULL, 1), (NULL, 2), (1, 3), (1, 4) ON CONFLICT DO NOTHING")
    db.run("INSERT INTO n VALUES (NULL, 5), (1, 6) ON CONFLICT (u) DO UPDATE SET v = excluded.v")
    assert db.rows("SELECT * FROM n ORDER BY v") == [(None, 1), (None, 2), (None, 5), (1, 6)]


@settings(max_examples=3, deadline=None)
@given(st.integers(9000, 20_000), st.integers(9000, 20_000), st.integers(1, 20_000))
def test_many_rows_of_several_keys_take_no_time_to_speak_of(first, second, step):
    db = Db(PACKED)
    db.run("CREATE TABLE w (id BIGINT PRIMARY KEY, u BIGINT UNIQUE)")
    db.run(f"INSERT INTO w SELECT value * {step} % {first}, value % {second} FROM generate_series(0, {MANY - 1}) "
           "ORDER BY value ON CONFLICT DO NOTHING")  # fmt: skip
    kept, us = {}, set()
    for value in range(MANY):
        key, u = value * step % first, value % second
        if key not in kept and u not in us:
            kept[key] = u
            us.add(u)
    assert dict(db.rows("SELECT id, u FROM w")) == kept

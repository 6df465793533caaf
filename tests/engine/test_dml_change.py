"""UPDATE, DELETE, MERGE, ON CONFLICT, RETURNING, TRUNCATE, ALTER and EXPLAIN, through what a user writes."""

from __future__ import annotations

import contextlib

import pytest
from datafusion import SessionContext

from sqlmagic_xr.errors import (
    ConstraintError,
    SqlError,
    TypeMismatchError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from tests.engine.conftest import Db, rows_of

SETUP = """
CREATE TABLE t (k INT PRIMARY KEY, v DOUBLE, s VARCHAR DEFAULT 'd');
INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, NULL, 'c');
CREATE TABLE s AS SELECT * FROM (VALUES (1, 10.0), (2, 20.0), (9, 90.0)) x (k, w)
"""


@pytest.fixture
def tables(db: Db) -> Db:
    db.run(SETUP)
    return db


def content(db: Db) -> list[tuple[object, ...]]:
    return db.rows("SELECT * FROM t ORDER BY k")


@pytest.mark.parametrize(
    ("statement", "after"),
    [
        ("UPDATE t SET v = v + 1", [(1, 2.0, "a"), (2, 3.0, "b"), (3, None, "c")]),
        ("UPDATE t SET v = s.w FROM s WHERE t.k = s.k", [(1, 10.0, "a"), (2, 20.0, "b"), (3, None, "c")]),
        ("UPDATE t AS x SET s = DEFAULT, v = x.k WHERE x.k > 2", [(1, 1.0, "a"), (2, 2.0, "b"), (3, 3.0, "d")]),
        ("UPDATE t SET (v, s) = (k * 2, upper(s)) WHERE v IS NULL", [(1, 1.0, "a"), (2, 2.0, "b"), (3, 6.0, "C")]),
        ("UPDATE t SET (v) = (SELECT max(w) FROM s)", [(1, 90.0, "a"), (2, 90.0, "b"), (3, 90.0, "c")]),
        ("UPDATE t SET (v) = (k + 1), (s) = ROW('z') WHERE k = 1", [(1, 2.0, "z"), (2, 2.0, "b"), (3, None, "c")]),
        ("UPDATE t SET v = (SELECT max(w) FROM s)", [(1, 90.0, "a"), (2, 90.0, "b"), (3, 90.0, "c")]),
        (
            "UPDATE t SET v = (SELECT max(w) FROM s WHERE s.k = t.k)",
            [(1, 10.0, "a"), (2, 20.0, "b"), (3, None, "c")],
        ),
        ("UPDATE t SET v = 0 WHERE k IN (SELECT k FROM s)", [(1, 0.0, "a"), (2, 0.0, "b"), (3, None, "c")]),
        ("UPDATE t SET v = 0 WHERE k = (SELECT max(k) FROM t)", [(1, 1.0, "a"), (2, 2.0, "b"), (3, 0.0, "c")]),
        (
            "UPDATE t SET v = 0 WHERE NOT EXISTS (SELECT 1 FROM s WHERE s.k = t.k)",
            [(1, 1.0, "a"), (2, 2.0, "b"), (3, 0.0, "c")],
        ),
        ("UPDATE t SET k = k + 1", [(2, 1.0, "a"), (3, 2.0, "b"), (4, None, "c")]),
        (
            "WITH q AS (SELECT 2 AS k) UPDATE t SET v = 0 FROM q WHERE t.k = q.k",
            [(1, 1.0, "a"), (2, 0.0, "b"), (3, None, "c")],
        ),
        ("UPDATE t SET v = 0 WHERE false", [(1, 1.0, "a"), (2, 2.0, "b"), (3, None, "c")]),
        ("UPDATE t SET v = 0 WHERE NULL", [(1, 1.0, "a"), (2, 2.0, "b"), (3, None, "c")]),
        ("DELETE FROM t WHERE k IN (SELECT 2)", [(1, 1.0, "a"), (3, None, "c")]),
        ("DELETE FROM t WHERE k NOT IN (SELECT k FROM s)", [(1, 1.0, "a"), (2, 2.0, "b")]),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.k = t.k)", [(3, None, "c")]),
        ("DELETE FROM t USING s WHERE t.k = s.k AND s.w > 10", [(1, 1.0, "a"), (3, None, "c")]),
        ("DELETE FROM t USING s", []),
        ("DELETE FROM t AS x WHERE x.v > 1", [(1, 1.0, "a"), (3, None, "c")]),
        ("DELETE FROM t", []),
        ("TRUNCATE TABLE t", []),
        ("INSERT OVERWRITE t SELECT k, w, 'o' FROM s WHERE k < 2", [(1, 10.0, "o")]),
        (
            "INSERT INTO t VALUES (3, 5, 'x'), (4, 5, 'x') "
            "ON CONFLICT (k) DO UPDATE SET v = excluded.v + t.k, s = s || 'y'",
            [(1, 1.0, "a"), (2, 2.0, "b"), (3, 8.0, "cy"), (4, 5.0, "x")],
        ),
        (
            "INSERT INTO t VALUES (2, 5, 'x'), (3, 5, 'x') ON CONFLICT (k) DO UPDATE SET v = 7 WHERE t.v IS NULL",
            [(1, 1.0, "a"), (2, 2.0, "b"), (3, 7.0, "c")],
        ),
        (
            "INSERT INTO t VALUES (3, 0, 'x'), (4, 1, 'y'), (4, 2, 'z') ON CONFLICT DO NOTHING",
            [(1, 1.0, "a"), (2, 2.0, "b"), (3, None, "c"), (4, 1.0, "y")],
        ),
        (
            "INSERT INTO t VALUES (3, 1, 'x') "
            "ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET v = (SELECT max(w) FROM s)",
            [(1, 1.0, "a"), (2, 2.0, "b"), (3, 90.0, "c")],
        ),
        (
            "MERGE INTO t USING s ON t.k = s.k "
            "WHEN MATCHED AND s.w > 15 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.w, s = DEFAULT "
            "WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.w) "
            "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET s = 'lost'",
            [(1, 10.0, "d"), (3, None, "lost"), (9, 90.0, "d")],
        ),
        (
            "MERGE INTO t AS x USING (SELECT 7 AS k) AS y ON x.k = y.k "
            "WHEN NOT MATCHED THEN INSERT VALUES (y.k, 1 / y.k, 'm')",
            [(1, 1.0, "a"), (2, 2.0, "b"), (3, None, "c"), (7, 0.0, "m")],
        ),
        (
            "MERGE INTO t USING (SELECT 0 AS k) y ON t.k = y.k "
            "WHEN NOT MATCHED AND y.k > 0 THEN INSERT (k, v) VALUES (1, 1 / y.k)",
            [(1, 1.0, "a"), (2, 2.0, "b"), (3, None, "c")],
        ),
        ("ALTER TABLE t ADD COLUMN n INT DEFAULT 5", [(1, 1.0, "a", 5), (2, 2.0, "b", 5), (3, None, "c", 5)]),
        ("ALTER TABLE t DROP COLUMN v, RENAME COLUMN s TO v", [(1, "a"), (2, "b"), (3, "c")]),
    ],
)  # fmt: skip
def test_a_change_leaves_the_table_as_postgresql_would(tables, statement, after):
    before = tables.store.table("t").number
    tables.run(statement)
    assert content(tables) == after
    assert tables.store.table("t").number in (before, before + 1)
    tables.store.scratch("t").to_arrow().validate(full=True)


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("UPDATE t SET k = 2", ConstraintError, ["t_pkey", "k = 2", "and 1 more"]),
        ("UPDATE t SET k = 2 WHERE k = 1", ConstraintError, ["k = 2 is in the table"]),
        ("UPDATE t SET k = NULL", ConstraintError, ["NOT NULL"]),
        ("UPDATE t SET v = 'x'", TypeMismatchError, ["`t.v` is DOUBLE", "'x'"]),
        ("UPDATE t SET nope = 1", UnknownNameError, ["`nope`"]),
        ("UPDATE t SET v = 1, v = 2", UsageError, ["`v` two values"]),
        ("UPDATE t SET v = avg(v)", UsageError, ["AVG"]),
        ("UPDATE t SET v = rank() OVER ()", UsageError, ["RANK"]),
        ("UPDATE t SET v = w FROM (VALUES (1, 5), (1, 6)) x (k, w) WHERE t.k = x.k", UsageError, ["k = 1", "two"]),
        ("UPDATE t JOIN s ON t.k = s.k SET v = 1", UnsupportedError, ["join"]),
        ("UPDATE t SET v = 1 / 0", SqlError, []),
        ("UPDATE t SET (v, s) = (SELECT 1)", UnsupportedError, ["SET a = ..."]),
        ("DELETE FROM t WHERE nope = 1", SqlError, ["nope"]),
        ("DELETE FROM nope", UnknownNameError, ["nope"]),
        ("TRUNCATE t, nope", UnknownNameError, ["nope"]),
        ("INSERT INTO t VALUES (5, 1, ''), (5, 2, '') ON CONFLICT (k) DO UPDATE SET v = 1", ConstraintError, ["k = 5"]),
        ("INSERT INTO t SELECT 1, 2, '' FROM s ON CONFLICT (k) DO UPDATE SET v = 1", ConstraintError, ["twice"]),
        ("INSERT INTO t VALUES (1, 1, 'x') ON CONFLICT (v) DO NOTHING", UsageError, ["(v)", "(k)"]),
        ("INSERT INTO t VALUES (1, 1, 'x') ON CONFLICT DO UPDATE SET v = 1", UsageError, ["conflict target"]),
        ("INSERT INTO s VALUES (1, 1) ON CONFLICT DO NOTHING", UsageError, ["no PRIMARY KEY"]),
        ("INSERT INTO t VALUES (1, 1, 'x') ON CONFLICT (k) DO UPDATE SET k = NULL", ConstraintError, ["NOT NULL"]),
        ("INSERT INTO t VALUES (1, 1, 'x') ON CONFLICT (k) DO UPDATE SET k = 2", ConstraintError, ["k = 2"]),
        (
            "MERGE INTO t USING (VALUES (1), (1)) x (k) ON t.k = x.k WHEN MATCHED THEN UPDATE SET v = 1",
            UsageError,
            ["k = 1", "more than once"],
        ),
        ("MERGE INTO t USING s ON true WHEN NOT MATCHED THEN INSERT (k, k) VALUES (1, 1)", UsageError, ["twice"]),
        ("MERGE INTO t USING s ON true WHEN NOT MATCHED THEN INSERT (k) VALUES (1, 2)", UsageError, ["2 values for 1"]),
        ("MERGE INTO t USING s ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (1)", ConstraintError, ["k = 1"]),
        ("ALTER TABLE t ADD COLUMN v INT", UsageError, ["`v` already"]),
        ("ALTER TABLE t ADD COLUMN n INT NOT NULL", ConstraintError, ["`t.n` holds NULL"]),
        ("ALTER TABLE t ADD COLUMN n INT DEFAULT 1 UNIQUE", ConstraintError, ["n = 1 comes twice"]),
        ("ALTER TABLE t DROP COLUMN nope", UnknownNameError, ["nope"]),
        ("ALTER TABLE t RENAME COLUMN v TO k", UsageError, ["`k` already"]),
        ("ALTER TABLE t RENAME TO s", UsageError, ["`s` exists already"]),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (v > 1)", ConstraintError, ["c CHECK", "k = 1"]),
        ("ALTER TABLE t ADD PRIMARY KEY (s)", UsageError, ["two primary keys"]),
        ("ALTER TABLE t ALTER COLUMN v SET NOT NULL", ConstraintError, ["`t.v` holds NULL"]),
        ("ALTER TABLE t ALTER COLUMN v TYPE INT", UnsupportedError, ["CREATE OR REPLACE"]),
        ("ALTER TABLE t DROP CONSTRAINT nope", UnknownNameError, ["nope"]),
        ("REPLACE INTO t VALUES (1, 1, 'x')", UnsupportedError, []),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_and_changes_nothing(tables, statement, error, says):
    before = tables.store.entries()
    with pytest.raises(error) as caught:
        tables.run(statement)
    message = "\n".join(caught.value.lines())
    for part in says:
        assert part in message
    assert tables.store.entries() is before


@pytest.mark.parametrize(
    ("statement", "given"),
    [
        ("INSERT INTO t VALUES (5, 1, DEFAULT), (6, 2, 'x') RETURNING k, v * 2, s", [(5, 2.0, "d"), (6, 4.0, "x")]),
        ("UPDATE t SET v = k * 10 WHERE k > 1 RETURNING *", [(2, 20.0, "b"), (3, 30.0, "c")]),
        ("UPDATE t SET v = w FROM s WHERE t.k = s.k RETURNING t.k, v, s.w", [(1, 10.0, 10.0), (2, 20.0, 20.0)]),
        ("UPDATE t SET v = 0 FROM s WHERE t.k = s.k AND s.k = 2 RETURNING *", [(2, 0.0, "b", 2, 20.0)]),
        ("DELETE FROM t WHERE k < 3 RETURNING k, s", [(1, "a"), (2, "b")]),
        ("DELETE FROM t RETURNING k", [(1,), (2,), (3,)]),
        ("DELETE FROM t USING s AS q WHERE t.k = q.k RETURNING q.*, t.s", [(1, 10.0, "a"), (2, 20.0, "b")]),
        ("INSERT INTO t VALUES (1, 0, 'x'), (8, 0, 'x') ON CONFLICT DO NOTHING RETURNING k", [(8,)]),
        ("INSERT INTO t VALUES (1, 0, 'x') ON CONFLICT (k) DO UPDATE SET v = 9 RETURNING k, v", [(1, 9.0)]),
    ],
)  # fmt: skip
def test_returning_gives_the_rows_as_they_became_or_were(tables, statement, given):
    result = tables.run(statement)
    assert rows_of(result) == given
    assert rows_of(result) == given
    assert result.rows == len(given)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM t",
        "UPDATE t SET v = s.w FROM s WHERE t.k = s.k",
        "INSERT INTO t SELECT k + 100, w, 'x' FROM s",
        "MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN DELETE",
        "CREATE TABLE u AS SELECT * FROM t",
        "CREATE OR REPLACE TABLE t (a INT)",
        "TRUNCATE t",
        "DROP TABLE t",
        "ALTER TABLE t DROP COLUMN v",
        "CREATE VIEW v AS SELECT * FROM t",
    ],
)
@pytest.mark.parametrize("explain", ["EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN VERBOSE"])
def test_explain_explains_and_changes_nothing(tables, explain, statement):
    before = tables.store.entries()
    result = tables.run(f"{explain} {statement}")
    assert len(rows_of(result)) >= 1
    assert tables.store.entries() is before
    assert content(tables) == [(1, 1.0, "a"), (2, 2.0, "b"), (3, None, "c")]


def test_a_dropped_column_takes_its_constraints_along(db):
    db.run("CREATE TABLE t (a INT, b INT, UNIQUE (a, b), CHECK (b > a), CHECK (a > 0)); INSERT INTO t VALUES (1, 2)")
    db.run("ALTER TABLE t DROP COLUMN b; INSERT INTO t VALUES (1)")
    with pytest.raises(ConstraintError, match="a > 0"):
        db.run("INSERT INTO t VALUES (0)")


def test_a_renamed_column_keeps_its_constraints(db):
    db.run("CREATE TABLE t (a INT PRIMARY KEY, b INT CHECK (t.b > a))")
    db.run("ALTER TABLE t RENAME COLUMN a TO low, RENAME b TO high; INSERT INTO t VALUES (1, 2)")
    with pytest.raises(ConstraintError, match="low = 1"):
        db.run("INSERT INTO t VALUES (1, 3)")
    with pytest.raises(ConstraintError, match="CHECK"):
        db.run("INSERT INTO t VALUES (5, 3)")


def test_a_renamed_table_keeps_its_past_and_its_checks(db):
    db.run("CREATE TABLE t (a INT CHECK (t.a > 0)); INSERT INTO t VALUES (1)")
    db.run("ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (2)")
    table = db.store.scratch("u")
    assert [c.version for c in table.history()] == [0, 1, 2, 3]
    assert table.at(1).to_pydict() == {"a": [1]}
    with pytest.raises(ConstraintError):
        db.run("INSERT INTO u VALUES (0)")


def test_alter_refuses_to_break_a_view(db):
    db.run("CREATE TABLE t (a INT, b INT); CREATE VIEW v AS SELECT a FROM t; ALTER TABLE t DROP COLUMN b")
    for statement in ("ALTER TABLE t RENAME COLUMN a TO c", "ALTER TABLE t RENAME TO u"):
        with pytest.raises(UsageError, match="the view `v`"):
            db.run(statement)
    assert db.rows("SELECT * FROM v") == []


def test_set_and_drop_of_column_properties(db):
    db.run("CREATE TABLE t (a INT, b INT); ALTER TABLE t ALTER COLUMN a SET NOT NULL, ALTER COLUMN b SET DEFAULT 7")
    assert not db.store.scratch("t").schema.field("a").nullable
    db.run("INSERT INTO t (a) VALUES (1); ALTER TABLE t ALTER a DROP NOT NULL, ALTER b DROP DEFAULT")
    db.run("INSERT INTO t DEFAULT VALUES")
    assert db.rows("SELECT * FROM t ORDER BY a") == [(1, 7), (None, None)]


def test_savepoints(db):
    db.run("CREATE TABLE t (a INT); BEGIN; INSERT INTO t VALUES (1); SAVEPOINT one; INSERT INTO t VALUES (2)")
    with pytest.raises(SqlError):
        db.run("INSERT INTO t VALUES ('x')")
    db.run("ROLLBACK TO SAVEPOINT one; INSERT INTO t VALUES (3); RELEASE SAVEPOINT one; COMMIT")
    assert sorted(db.rows("SELECT a FROM t")) == [(1,), (3,)]


def test_names_that_need_quotes(db):
    db.run("""
        CREATE TABLE "Größe ""x""\" ("a b" INT PRIMARY KEY, "select" VARCHAR DEFAULT 'it''s', CHECK ("a b" > 0));
        INSERT INTO "Größe ""x""\" ("a b") VALUES (1);
        UPDATE "Größe ""x""\" SET "a b" = "a b" + 1 WHERE "select" = 'it''s';
    """)
    assert db.rows('SELECT * FROM "Größe ""x"""') == [(2, "it's")]
    with pytest.raises(ConstraintError, match="a b = 2"):
        db.run('INSERT INTO "Größe ""x""" VALUES (2, NULL)')
    db.run('CREATE VIEW "V" ("c d") AS SELECT "a b" FROM "Größe ""x"""; DELETE FROM "Größe ""x"""')
    assert db.rows('SELECT "c d" FROM "V"') == []


@pytest.mark.parametrize("statement", ["DELETE FROM t", "UPDATE t SET v = 0", "INSERT INTO t VALUES (7, 7, 'x')"])
def test_datafusions_own_statements_cannot_touch_a_scratch_table(tables, statement):
    for text in (statement, f"EXPLAIN {statement}"):
        with contextlib.suppress(Exception):  # whether it is refused or explained is DataFusion's affair
            SessionContext.sql(tables.ctx, text).collect()
    assert content(tables) == [(1, 1.0, "a"), (2, 2.0, "b"), (3, None, "c")]

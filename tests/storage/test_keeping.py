"""What is committed is in the file, and comes back as it was: rows, order, definitions, versions, views."""

import threading

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ConstraintError, SqlError, StorageError, UnsupportedError
from sqlmagic_xr.storage import chunk, keeper, schema
from sqlmagic_xr.storage.described import described
from tests.dealt import MANY, PACKED, dealing

SHAPES = """CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE DEFAULT 1 + 1 CHECK (a < 100), n VARCHAR(3) NOT NULL,
    CONSTRAINT both UNIQUE (a, n));
CREATE VIEW v (s, twice) AS SELECT step, 2 * a FROM p WHERE a > 1;
CREATE VIEW w AS SELECT s FROM v"""


def state(ctx):
    """Everything of the scratch tables: rows in their order, declarations, versions; and what views give."""
    found = {}
    for name, entry in sorted(ctx.store.entries().items()):
        if hasattr(entry, "chunks"):
            found[name] = entry.to_arrow().to_pydict(), described(entry.definition), entry.number
        else:
            found[name] = ctx.sql(f'SELECT * FROM "{name}"').to_arrow_table().to_pydict(), entry.text, entry.reads
    return found


def test_definitions_constraints_defaults_and_views_come_back(opened):
    ctx = opened()
    ctx.script(f"{SHAPES}; INSERT INTO p VALUES (0, 1.5, 'x'); INSERT INTO p (step, n) VALUES (1, 'y')")
    before = state(ctx)
    ctx = opened()
    assert state(ctx) == before
    for wrong in ("(0, 5, 'q')", "(2, 1.5, 'x')", "(2, 100, 'x')", "(2, 7, NULL)"):
        with pytest.raises(ConstraintError):
            ctx.script(f"INSERT INTO p VALUES {wrong}")
    ctx.script("INSERT INTO p (step, n) VALUES (2, 'z')")
    assert ctx.sql("SELECT twice FROM v ORDER BY s").to_arrow_table()["twice"].to_pylist() == [3.0, 4.0, 4.0]


def test_a_statement_is_on_disk_when_it_returns(opened, path, tmp_path):
    ctx = opened()
    ctx.script("CREATE TABLE p (a BIGINT)")
    for number in range(3):
        ctx.script(f"INSERT INTO p VALUES ({number})")
        copy = tmp_path / f"copy{number}.duckdb"  # as a kernel that died now would leave it
        for suffix in ("", ".wal"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                copy.with_name(copy.name + suffix).write_bytes(source.read_bytes())
        with duckdb.connect(str(copy)) as connection:
            assert connection.execute("SELECT a FROM p").fetchall() == [(n,) for n in range(number + 1)]


def test_tables_of_memory_go_into_the_file(path, opened):
    ctx = Context()
    ctx.script("CREATE TABLE p (a BIGINT); INSERT INTO p VALUES (1), (2)")
    ctx.store.open(path)
    ctx.store.close()
    assert ctx.store.entries() == {}
    assert opened().sql("SELECT SUM(a) AS s FROM p").to_arrow_table()["s"].to_pylist() == [3]


def test_a_rolled_back_transaction_leaves_no_trace(opened):
    ctx = opened()
    ctx.script("CREATE TABLE p (a BIGINT); INSERT INTO p VALUES (1)")
    ctx.script(
        "BEGIN; INSERT INTO p VALUES (2); SAVEPOINT s; DELETE FROM p; ROLLBACK TO s; INSERT INTO p VALUES (3); ROLLBACK"
    )
    ctx.script("BEGIN; INSERT INTO p VALUES (4); CREATE TABLE q (b BIGINT); COMMIT")
    before = state(ctx)
    assert state(opened()) == before


WORDS = [
    "INSERT INTO {t} VALUES ({n}, {x}), ({n} + 1000, NULL)",
    "INSERT INTO {t} SELECT value + {n} * 100, {x} FROM generate_series(1, 40)",
    "UPDATE {t} SET b = {x} WHERE a % 3 = {n} % 3",
    "DELETE FROM {t} WHERE a % 5 = {n} % 5",
    "DELETE FROM {t} WHERE a > {n}",
    "TRUNCATE TABLE {t}",
    "ALTER TABLE {t} RENAME COLUMN b TO c; ALTER TABLE {t} RENAME COLUMN c TO b",
    "ALTER TABLE {t} ADD COLUMN d VARCHAR DEFAULT 'd'; ALTER TABLE {t} DROP COLUMN d",
    "ALTER TABLE {t} RENAME TO o; CREATE TABLE {t} (a BIGINT, b DOUBLE); INSERT INTO {t} SELECT * FROM o; DROP TABLE o",
    "DROP TABLE {t}; CREATE TABLE {t} (a BIGINT, b DOUBLE)",
    "CREATE OR REPLACE TABLE {t} AS SELECT a, b FROM {t} WHERE a < 500",
    "BEGIN; INSERT INTO {t} VALUES ({n}, {x}); DELETE FROM {t} WHERE a = {n}; COMMIT",
    "BEGIN; DELETE FROM {t}; ROLLBACK",
    "ALTER TABLE q RENAME TO r; ALTER TABLE p RENAME TO q; ALTER TABLE r RENAME TO p",
    "restore",
    "reopen",
]
STEP = st.tuples(
    st.sampled_from(WORDS), st.sampled_from("pq"), st.integers(0, 9), st.sampled_from(["-0.0", "1.5", "NULL"])
)
LONG = f"INSERT INTO {{t}} SELECT value, {{x}} + value % 7 FROM generate_series(1, {MANY})"
MANY_ROWS = [(LONG, "p", 0, "1.5"), (LONG, "q", 0, "-0.0")]
PROGRAMS = {"max_examples": 20, "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(**PROGRAMS)
@given(programs=st.lists(st.lists(STEP, min_size=1, max_size=12), min_size=3, max_size=3), by_twos=st.booleans())
def test_any_statements_are_kept(programs, by_twos, tmp_path_factory):
    """With chunks so small, and so little room, that rows leave memory at once and are read again from the file."""
    run(programs, 16, by_twos, tmp_path_factory.mktemp("any") / "t.duckdb")


@settings(**PROGRAMS | {"max_examples": 2})
@given(steps=st.lists(STEP | st.sampled_from(MANY_ROWS), min_size=4, max_size=8))
def test_any_statements_over_many_rows_are_kept(steps, tmp_path_factory):
    first = [MANY_ROWS[0], (WORDS[2], "p", 1, "-0.0"), ("reopen", "p", 0, ""), (WORDS[3], "p", 2, "")]
    programs = [first, [*MANY_ROWS, *steps]]
    run(programs, 4096, PACKED, tmp_path_factory.mktemp("many") / "t.duckdb")


def run(programs, settled, dealt, path):
    """Run programs one after the other over one file, and without one: the rows are the same, and are in the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "SETTLED", settled)
        patch.setattr(keeper, "SETTLED", settled)
        patch.setattr(keeper, "BUDGET", 0)
        free = Context()
        kept = dealing(Context(store=path), dealt)
        for steps in programs:
            for ctx in (kept, free):
                ctx.script("DROP TABLE IF EXISTS p; DROP TABLE IF EXISTS q")
                ctx.script("CREATE TABLE p (a BIGINT, b DOUBLE); CREATE TABLE q (a BIGINT, b DOUBLE)")
            for step in steps:
                kept = taken(kept, free, dealt, *step)
            before = [rows_in_order(kept, name) for name in ("p", "q")]
            expected = [rows_in_order(free, name) for name in ("p", "q")]
            kept = reopened(kept, dealt)
            assert [rows_in_order(kept, name) for name in ("p", "q")] == before
            if dealt:  # which leaves the order of what is inserted open
                before, expected = (list(map(sorted, tables)) for tables in (before, expected))
            assert before == expected
        kept.store.close()


def taken(kept, free, dealt, word, table, n, x):
    """Take a step in both; returns the context of the file, which may be another one."""
    if word == "reopen":
        return reopened(kept, dealt)
    if word == "restore":
        versions = [set(c.scratch(table)._current.lineage.past(c.scratch(table).version)) for c in (kept, free)]
        for version in sorted(versions[0] & versions[1])[-2:-1]:
            for ctx in (kept, free):
                ctx.scratch(table).restore(version)
    else:
        for ctx in (kept, free):
            ctx.script(word.format(t=table, n=n, x=x))
    return kept


def reopened(ctx, dealt):
    """Another context over the file of one, which is closed."""
    path = ctx.store.durable.keeper.path
    ctx.store.close()
    return dealing(Context(store=path), dealt)


def rows_in_order(ctx, name):
    """The rows as texts, which tell -0.0 from 0.0."""
    return list(map(str, zip(*ctx.scratch(name).to_arrow().to_pydict().values(), strict=True)))


def test_rows_leave_memory_and_old_versions_are_still_had(opened, monkeypatch):
    monkeypatch.setattr(keeper, "BUDGET", 0)
    ctx = opened()
    ctx.script("CREATE TABLE p (a BIGINT, b DOUBLE)")
    ctx.script("INSERT INTO p SELECT value, value * 0.5 FROM generate_series(0, 99999)")
    ctx.script("INSERT INTO p VALUES (100000, 1.0)")
    first = ctx.store.table("p").chunks[0]
    assert (first.settled, first.resident) == (True, False)
    version = ctx.scratch("p").version
    ctx.script("UPDATE p SET b = -1 WHERE a = 7")
    assert ctx.sql("SELECT b FROM p WHERE a IN (6, 7, 8) ORDER BY a").to_arrow_table()["b"].to_pylist() == [
        3.0,
        -1.0,
        4.0,
    ]
    assert ctx.scratch("p").at(version)["b"].slice(6, 3).to_pylist() == [3.0, 3.5, 4.0]
    ctx.scratch("p").restore(version)
    assert opened().sql("SELECT SUM(b) AS s FROM p").to_arrow_table()["s"][0].as_py() == sum(range(100000)) * 0.5 + 1


def test_a_large_history_is_read_where_it_is_asked(opened, monkeypatch):
    ctx = opened()
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)")
    ctx.script("INSERT INTO p SELECT value, value FROM generate_series(0, 399999)")
    ctx = opened()
    read = []
    real = keeper.RowsPlace.read
    monkeypatch.setattr(
        keeper.RowsPlace, "read", lambda self, columns=None: read.append(columns) or real(self, columns)
    )
    ctx.script("INSERT INTO p VALUES (400000, 0.0)")
    assert None not in read  # the key alone, to see that it is new
    assert ctx.sql("SELECT a FROM p WHERE step = 399999").to_arrow_table()["a"].to_pylist() == [399999.0]
    assert sum(columns is None for columns in read) == 1


def test_a_value_that_a_file_cannot_hold_changes_nothing(opened):
    ctx = opened()
    ctx.script("CREATE TABLE p (a BIGINT)")
    with pytest.raises(UnsupportedError, match="microsecond"):
        ctx.script("CREATE TABLE q AS SELECT arrow_cast('1 nanosecond', 'Interval(MonthDayNano)') AS i")
    assert list(ctx.store.entries()) == ["p"]
    ctx.script("INSERT INTO p VALUES (1)")
    assert opened().sql("SELECT a FROM p").to_arrow_table()["a"].to_pylist() == [1]


def test_writers_of_several_threads(opened):
    ctx = opened()
    ctx.script("CREATE TABLE p (thread BIGINT, n BIGINT, PRIMARY KEY (thread, n))")

    def write(thread):
        for n in range(15):
            ctx.script(f"INSERT INTO p VALUES ({thread}, {n})")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = opened().sql("SELECT COUNT(*) AS n FROM p").to_arrow_table()["n"][0].as_py()
    assert rows == 45


def test_save_writes_a_copy(opened, tmp_path):
    ctx = opened()
    ctx.script(f"{SHAPES}; INSERT INTO p VALUES (0, 1.5, 'x')")
    copy = tmp_path / "copy.duckdb"
    ctx.store.save(copy)
    ctx.script("DELETE FROM p")
    other = Context(store=copy)
    assert other.sql("SELECT a FROM p").to_arrow_table()["a"].to_pylist() == [1.5]
    other.store.close()
    with pytest.raises(StorageError, match=r"copy\.duckdb is there already"):
        ctx.store.save(copy)


def test_appended_arrow_rows_are_kept(opened):
    ctx = opened()
    ctx.script("CREATE TABLE p (a BIGINT, b DOUBLE)")
    ctx.scratch("p").append(pa.record_batch({"a": [1, 2], "b": [0.5, None]}))
    assert opened().sql("SELECT b FROM p ORDER BY a").to_arrow_table()["b"].to_pylist() == [0.5, None]


def test_a_history_is_streamed_and_not_kept_in_memory(opened, monkeypatch):
    monkeypatch.setattr(schema, "STREAMED", 1_000_000)
    ctx = opened()
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, n VARCHAR)")
    ctx.script("INSERT INTO p SELECT value, value * 0.5, 'x' FROM generate_series(0, 399999) ORDER BY value")
    ctx = opened()
    query = "SELECT COUNT(*) AS n, MAX(step) AS last, SUM(a) AS s, MIN(n) AS x FROM p"
    expected = {"n": [400_000], "last": [399_999], "s": [sum(range(400_000)) * 0.5], "x": ["x"]}
    assert ctx.sql(query).to_arrow_table().to_pydict() == expected
    assert ctx.sql("SELECT COUNT(*) AS n FROM p").to_arrow_table()["n"].to_pylist() == [400_000]
    assert ctx.sql("SELECT n, step FROM p WHERE a = 7.5").to_arrow_table().to_pydict() == {"n": ["x"], "step": [15]}
    (rows,) = ctx.script("SELECT step FROM p")
    assert rows.to_arrow_table()["step"].to_pylist() == list(range(400_000))
    assert sum(chunk.resident for chunk in ctx.store.table("p").chunks) == 1  # that of a = 7.5
    with pytest.raises(SqlError, match="GROUP BY"):  # to tell the engine of the key would be to read all of it
        ctx.script("SELECT step, a, COUNT(*) FROM p GROUP BY step")
    assert sum(chunk.resident for chunk in ctx.store.table("p").chunks) == 1
    ctx.script("INSERT INTO p VALUES (400000, 1.0, NULL)")
    assert ctx.sql("SELECT COUNT(*) AS n, COUNT(n) AS m FROM p").to_arrow_table().to_pydict() == {
        "n": [400_001], "m": [400_000]
    }  # fmt: skip

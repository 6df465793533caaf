"""The file: whose it is, who else has it, and what is said of it."""

import subprocess
import sys

import duckdb
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import StorageError, UsageError
from sqlmagic_xr.storage.database import FORMAT, Database


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_another_tool_sees_the_trajectory(opened, path):
    ctx = opened()
    ctx.script('CREATE TABLE w (step BIGINT, "Odd ""n" VARCHAR); INSERT INTO w VALUES (0, \'a\'), (1, NULL)')
    ctx.store.close()
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT * FROM w").fetchall() == [(0, "a"), (1, None)]
        assert [row[0] for row in connection.execute("DESCRIBE w").fetchall()] == ["step", 'Odd "n']


def test_rows_that_another_tool_has_changed_are_read(opened, path):
    ctx = opened()
    ctx.script("CREATE TABLE w (step BIGINT, a DOUBLE); INSERT INTO w SELECT value, value FROM generate_series(0, 9)")
    ctx.store.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM w WHERE step = 4")
        connection.execute("INSERT INTO w VALUES (10, 0.5)")
    rows = opened().sql("SELECT step FROM w").to_arrow_table()["step"].to_pylist()
    assert rows == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("name", ["rowid", "ROWID"])
def test_names_that_are_duckdbs_own(opened, name):
    ctx = opened()
    ctx.script(f'CREATE TABLE w (a BIGINT, "{name}" BIGINT, "A" BIGINT); INSERT INTO w VALUES (1, 7, 3), (2, 5, 4)')
    found = opened().sql("SELECT * FROM w").to_arrow_table().to_pydict()
    assert found == {"a": [1, 2], name: [7, 5], "A": [3, 4]}


def test_tables_that_differ_in_case_alone(opened):
    ctx = opened()
    ctx.script(
        'CREATE TABLE p (a BIGINT); CREATE TABLE "P" (a BIGINT); INSERT INTO p VALUES (1); INSERT INTO "P" VALUES (2)'
    )
    ctx = opened()
    assert ctx.sql('SELECT p.a, q.a AS b FROM p CROSS JOIN "P" q').to_arrow_table().to_pydict() == {"a": [1], "b": [2]}


def test_a_file_of_somebody_else_is_left_alone(path):
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE theirs (a INT)")
    with pytest.raises(StorageError, match="tables that are not ours: theirs"):
        Context(store=path)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("theirs",)]


def test_what_is_no_duckdb_file_is_left_alone(path):
    path.write_text("step,a\n0,1.5\n")
    with pytest.raises(StorageError, match="it is no DuckDB file"):
        Context(store=path)
    assert path.read_text() == "step,a\n0,1.5\n"


def test_a_file_of_a_newer_version_is_refused(path):
    Database(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"UPDATE sqlmagic_xr.format SET version = {FORMAT + 1}")
    with pytest.raises(StorageError, match="newer version") as caught:
        Context(store=path)
    assert "--upgrade" in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match=r"t\.duckdb cannot be opened"):
        Context(store=tmp_path / "nowhere" / "t.duckdb")


def test_a_second_context_of_the_process_is_refused(opened, path):
    opened().script("CREATE TABLE p (a BIGINT)")
    with pytest.raises(StorageError, match="open in this process already"):
        Context(store=path)


def test_a_second_process_is_refused_and_told_which_has_it(opened, path):
    opened().script("CREATE TABLE p (a BIGINT)")
    out = run("import sys; from sqlmagic_xr import Context; Context(store=sys.argv[1])", path)
    assert "trajectory.duckdb cannot be opened: another process has it open (PID" in out.stderr
    assert "--close" in out.stderr


def test_a_second_file_is_refused_while_one_is_open(opened, tmp_path):
    ctx = opened()
    with pytest.raises(UsageError, match=r"trajectory\.duckdb is open"):
        ctx.store.open(tmp_path / "other.duckdb")


def test_a_name_that_is_in_memory_too(opened, path):
    opened().script("CREATE TABLE p (a BIGINT); INSERT INTO p VALUES (1)")
    ctx = opened()
    ctx.store.close()
    ctx.script("CREATE TABLE p (a BIGINT)")
    with pytest.raises(UsageError, match=r"`p` is in trajectory\.duckdb and in memory"):
        ctx.store.open(path)
    ctx.script("ALTER TABLE p RENAME TO mine")
    assert ctx.store.open(path) == ["p"]
    assert ctx.sql("SELECT a FROM p").to_arrow_table()["a"].to_pylist() == [1]


def test_nothing_is_open(tmp_path):
    with pytest.raises(UsageError, match="no file is open"):
        Context().store.close()


def test_without_duckdb_the_error_gives_the_line_that_installs_it(path):
    code = "import sys; sys.modules['duckdb'] = None; from sqlmagic_xr import Context; Context(store=sys.argv[1])"
    assert 'pip install "sqlmagic-xr[durable]"' in run(code, path).stderr

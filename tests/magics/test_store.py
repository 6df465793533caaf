"""The file of a notebook: %xsql --open, --save, --close, --keep-every, and the setting."""

import pytest

from sqlmagic_xr.errors import StorageError, UsageError
from sqlmagic_xr.magics.shared import get_context

CELL = "INSERT INTO params SELECT :next_step, a * 0.5 FROM params WHERE step = :k"


@pytest.fixture
def path(tmp_path, notebook):
    yield tmp_path / "trajectory.duckdb"
    if get_context().store.durable.keeper is not None:
        get_context().store.close(anyway=True)


def test_open_close_and_open_again(notebook, path):
    said = notebook(f"%xsql --open {path}").text
    assert said.endswith("trajectory.duckdb: open, with no table; scratch tables are kept in it from now on")
    notebook("%%xsql\nINSERT INTO params VALUES (1, 2.5)")
    tables = notebook("%xsql --tables").text
    assert "kept_in" in tables
    assert "trajectory.duckdb" in tables
    assert notebook("%xsql --close").text == "trajectory.duckdb: closed, with params"
    assert "kept_in" not in notebook("%xsql --tables").text
    assert "open, with params;" in notebook(f"%xsql --open {path}").text
    assert "2.5" in notebook("%xsql SELECT a FROM params WHERE step = 1").text


def test_a_file_that_cannot_be_opened_is_an_error_of_two_lines(notebook, path):
    path.write_text("no database")
    with pytest.raises(StorageError) as caught:
        notebook(f"%xsql --open {path}")
    assert str(caught.value).splitlines() == [
        "trajectory.duckdb cannot be opened: it is no DuckDB file",
        "Take another name; nothing in it was changed.",
    ]


def test_save(notebook, path):
    assert notebook(f"%xsql --save {path}").text.endswith("trajectory.duckdb: params saved")
    assert path.exists()
    assert get_context().store.durable.keeper is None


def test_the_setting_opens_the_file_with_the_next_cell(notebook, path):
    notebook(f"%config XSqlMagic.store = {str(path)!r}")
    notebook("%%xsql\nCREATE TABLE more (a BIGINT)")
    assert get_context().store.durable.keeper.path == path
    notebook("%xsql --close")
    notebook("%xsql SELECT 1 AS a")
    assert get_context().store.durable.keeper is None  # closed by hand: it stays so


def test_a_run_in_a_file_and_its_interval(notebook, path):
    notebook(f"%xsql --open {path}")
    notebook(f'%%xsql_train --steps 10 --keep-every "4 steps" --no-display\n{CELL}')
    notebook(f"%%xsql_train --steps 10 --keep-every 0.01 --no-display\n{CELL}")
    notebook("%xsql --close")
    notebook(f"%xsql --open {path}")
    assert len(get_context().scratch("params")) == 21


def test_an_interval_that_is_none(notebook):
    with pytest.raises(UsageError, match="--keep-every cannot be 'often'"):
        notebook(f"%%xsql_train --keep-every often\n{CELL}")

"""%%xsql in a kernel that nobody sits at, as nbclient, nbconvert and papermill run it."""

from __future__ import annotations

import warnings

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELLS = [
    "%load_ext sqlmagic_xr\nimport pyarrow as pa\nnumbers = pa.table({'i': list(range(9_000))})",
    "%%xsql\nSELECT count(*) AS n FROM numbers;",
    "%%xsql\nSELECT sum(sin(a.i * b.i)) > 0 AS b FROM numbers a CROSS JOIN numbers b",  # for more than a second
    "%%xsql kept <<\nSELECT i FROM numbers",
    "kept",
    "%%xsql\nSELECT j\nFROM numbers",
    "print('never')",
]


@pytest.fixture(scope="module")
def executed():
    """The notebook after it has been run, and what stopped it."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # nbclient's, about its own event loop
        with pytest.raises(CellExecutionError) as stopped:
            NotebookClient(book, timeout=120, kernel_name="python3").execute()
    return book.cells, stopped.value


def test_a_table_is_displayed_as_html_and_text(executed):
    (output,) = executed[0][1].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].splitlines()[-1] == "1 row x 1 column"
    assert "<td>9000</td>" in output.data["text/html"]


def test_a_long_query_leaves_nothing_but_its_result(executed):
    (output,) = executed[0][2].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].splitlines()[-1] == "1 row x 1 column"


def test_what_is_kept_is_silent_and_shows_as_a_table_when_it_is_asked_for(executed):
    assert executed[0][3].outputs == []
    (output,) = executed[0][4].outputs
    assert output.output_type == "execute_result"
    assert "10 of 9,000 rows x 1 column" in output.data["text/html"]


def test_an_error_fails_the_cell_in_four_lines_and_stops_the_rest(executed):
    cells, stopped = executed
    (output,) = cells[5].outputs
    assert (output.output_type, output.ename) == ("error", "UnknownNameError")
    assert output.traceback == ["there is no column j", "line 2: SELECT j", "               ^", "There are: i"]
    assert stopped.ename == "UnknownNameError"
    assert cells[6].execution_count is None

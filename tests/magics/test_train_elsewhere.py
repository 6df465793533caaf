"""%%xsql_train where nobody clicks: nbclient gets a picture and the same text each time, a terminal gets a bar."""

import re
import sys

import nbclient
import nbformat
import pexpect
import pytest

SETUP = """
%load_ext sqlmagic_xr
import sqlmagic_xr
ctx = sqlmagic_xr.get_context()
_ = ctx.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO params VALUES (0, 1.0)")
"""
CELL = """{magic}
INSERT INTO params SELECT :next_step, a * 0.9 FROM params WHERE step = :k;
-- how far
SELECT step, a AS loss FROM params ORDER BY step
"""
CELLS = [
    SETUP,
    CELL.format(magic="%%xsql_train --steps 50 -o run"),
    "print(run)",
    CELL.format(magic="%%time\n%%xsql_train --steps 5 --no-display"),
    CELL.format(magic='%%xsql_train --steps 5 --until "lss < 1"'),
    "%autoawait off",
    CELL.format(magic="%%xsql_train --steps 5"),
]


@pytest.fixture(scope="module")
def executed():
    """The same notebook, executed twice."""
    books = []
    for _ in range(2):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        books.append(nbclient.NotebookClient(book, timeout=120, allow_errors=True).execute())
    return books


def told(cell):
    """Everything of a cell's outputs that nbval compares."""
    out = []
    for output in cell.outputs:
        if output.output_type == "stream":
            out.append(output.text)
        elif output.output_type == "error":
            out += output.traceback
        else:
            out += [output.data.get("text/plain", ""), output.data.get("text/html", "")]
    return out


def test_a_notebook_without_anyone_gets_a_picture_and_text(executed):
    outputs = executed[0].cells[1].outputs
    assert [sorted(o.get("data", ())) for o in outputs] == [["image/png", "text/plain"], []]
    assert outputs[0].data["text/plain"].startswith("loss  █")
    assert outputs[0].data["text/plain"].endswith("1 → 0.0051538")
    assert outputs[1].text == "done: 50 steps; `params` stands at step 50, loss 0.0051538\n"
    assert "widgets" not in executed[0].metadata


def test_text_is_the_same_each_time(executed):
    texts = [[re.sub(r"time.*|times.*", "", "\n".join(told(cell))) for cell in book.cells] for book in executed]
    assert texts[0] == texts[1]
    assert not re.search(r"\d (s|ms|steps/s)\b", "\n".join(texts[0]))


def test_it_runs_inside_another_magic_and_without_autoawait(executed):
    cells = executed[0].cells
    assert "done: 5 steps; `params` stands at step 55" in cells[3].outputs[0].text
    assert "done: 5 steps; `params` stands at step 60" in cells[6].outputs[1].text


def test_an_error_fails_the_cell_without_a_traceback(executed):
    (error,) = executed[0].cells[4].outputs
    assert error.output_type == "error"
    assert error.ename == "UnknownNameError"
    assert error.traceback[:3] == ["until: there is no column lss", "line 1: lss < 1", "        ^^^"]


def test_a_terminal_shows_a_bar_and_obeys_ctrl_c():
    shell = pexpect.spawn(
        sys.executable, ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit", "-i"],
        encoding="utf-8", timeout=60, dimensions=(40, 140),
    )  # fmt: skip
    try:
        shell.expect(r"In \[1\]: ")
        for number, line in enumerate(SETUP.strip().splitlines(), start=2):
            shell.sendline(line)
            shell.expect(rf"In \[{number}\]: ")
        for line in CELL.format(magic="%%xsql_train --steps 1000000 -o run").splitlines():
            shell.sendline(line)
            shell.expect(r"\.\.\.: ")
        shell.sendline("")
        shell.expect(r"\.\.\.: ")
        shell.sendline("")
        shell.expect(r"\d+/1000000 \[.*step/s, loss [\d.e-]+\]")
        shell.sendintr()
        shell.expect(r"interrupted after [\d,]+ steps; `params` stands at step \d+, loss")
        shell.expect("loss  [▁▂▃▄▅▆▇█ ]+  1 → ")
        shell.expect(r"In \[6\]: ")
        assert "Traceback" not in shell.before
        shell.sendline("print(run.status, len(ctx.scratch('params')) == run.steps + 1)")
        shell.expect("interrupted True")
    finally:
        shell.close(force=True)

"""The extension in terminal IPython, through a pseudo-terminal: results, completion, errors, interrupt."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest

# A terminal is begun by a fork, of which JAX warns where another test has loaded it; the child runs a program at once.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork")
REPOSITORY = Path(__file__).parents[2]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """IPython in a pseudo-terminal of 100 columns."""

    def __init__(self, home: Path) -> None:
        environment = {
            **os.environ, "PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(home), "TERM": "xterm", "NO_COLOR": "1",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }  # fmt: skip
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--no-confirm-exit", "--colors=nocolor", "--no-term-title"],
            env=environment, dimensions=(50, 100), encoding="utf-8", timeout=60, cwd=str(home),
        )  # fmt: skip
        self.number = 1
        self.expect(r"In \[1\]:")

    def expect(self, pattern: str, timeout: float = 60) -> str:
        """What came up to ``pattern`` on the screen, without the terminal's escapes."""
        self.child.expect(pattern, timeout=timeout)
        return ESCAPES.sub("", self.child.before + self.child.after)

    def next_prompt(self) -> str:
        """What is shown up to the next prompt; the present one is drawn again with every key."""
        self.number += 1
        return self.expect(rf"In \[{self.number}\]:")

    def run(self, line: str) -> str:
        """Type a line and Enter; what is printed up to the next prompt."""
        self.child.send(line + "\r")
        return self.next_prompt()


@pytest.fixture(scope="module")
def terminal(tmp_path_factory):
    terminal = Terminal(tmp_path_factory.mktemp("terminal"))
    terminal.run("%load_ext sqlmagic_xr")
    terminal.run("import pyarrow as pa; numbers = pa.table({'first': list(range(50_000))})")
    yield terminal
    terminal.child.close(force=True)


def test_a_line_shows_a_text_table(terminal):
    shown = terminal.run("%xsql SELECT first, NULL AS n FROM numbers WHERE first < 2")
    assert " first  │ n" in shown
    assert "      1 │ NULL" in shown
    assert "2 rows x 2 columns" in shown


def test_a_cell_runs_and_an_error_is_short(terminal):
    terminal.child.send("%%xsql\rSELECT fist\rFROM numbers\x1b\r")
    shown = terminal.next_prompt()
    assert "there is no column fist" in shown
    assert "line 2: SELECT fist" in shown
    assert "Did you mean `first`?" in shown
    assert "Traceback" not in shown


def test_tab_completes(terminal):
    terminal.child.send("%xsql SELECT fir")
    terminal.child.send("\t")
    terminal.expect("first")
    terminal.child.send(" FROM numb\t")
    terminal.expect("numbers")
    assert "1 row x 1 column" in terminal.run(" WHERE first = 7")


def test_an_interrupt_gives_the_prompt_back(terminal):
    terminal.child.send("%xsql SELECT sum(sin(a.first * b.first)) FROM numbers a CROSS JOIN numbers b\r")
    assert "running for 1." in terminal.expect(r"running for 1\.\d s")
    terminal.child.sendintr()
    shown = terminal.expect(r"Interrupted: the query ran for [^\n]*\n", timeout=3)
    assert "Traceback" not in shown
    terminal.next_prompt()
    assert "50000" in terminal.run("%xsql SELECT count(*) AS n FROM numbers")

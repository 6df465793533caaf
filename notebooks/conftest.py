"""A notebook that takes longer than people wait fails the run that nbval makes of them, and the times are shown."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

LIMIT = 120
"""Seconds that a notebook may take from top to bottom, its kernel's start included, on two cores."""

_seconds: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a cell's time to its notebook's."""
    _seconds[report.nodeid.partition("::")[0]] += report.duration  # type: ignore[assignment]  # Counter of floats


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a notebook took too long."""
    if session.exitstatus == pytest.ExitCode.OK and any(seconds > LIMIT for seconds in _seconds.values()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how long each took."""
    terminalreporter.section("notebooks")
    for name, seconds in sorted(_seconds.items()):
        terminalreporter.line(f"{seconds:5.0f} s of {LIMIT} s  {name}", red=seconds > LIMIT)

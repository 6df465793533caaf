"""An interrupt gives control back at once, and the engine goes on working."""

from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from sqlmagic_xr.engine.interrupt import interruptible, watched


def interrupt_after(seconds: float) -> None:
    timer = threading.Timer(seconds, _thread.interrupt_main, [signal.SIGINT])
    timer.daemon = True
    timer.start()


def test_a_value_comes_through():
    assert interruptible(lambda: 42) == 42


def test_what_is_set_for_this_thread_holds_for_the_work():
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    token = variable.set("set")
    try:
        assert interruptible(variable.get) == "set"
    finally:
        variable.reset(token)
    assert interruptible(variable.get) == "unset"


def test_an_error_comes_through_with_its_place():
    def work():
        raise ValueError("here")

    with pytest.raises(ValueError, match="here") as caught:
        interruptible(work)
    assert caught.traceback[-1].name == "work"


def test_the_watch_is_called_while_it_runs():
    seen: list[tuple[float, object]] = []
    with watched(lambda seconds, frame: seen.append((seconds, frame))):
        interruptible(lambda: time.sleep(0.45), "frame")
    interruptible(lambda: time.sleep(0.25))  # not watched any more
    assert 2 <= len(seen) <= 5
    assert seen == sorted(seen)
    assert {frame for _, frame in seen} == {"frame"}


def test_an_interrupt_is_raised_at_once_and_stops_the_work():
    stopped = threading.Event()

    def work():
        try:
            for _ in range(1000):
                time.sleep(0.01)
        except KeyboardInterrupt:
            stopped.set()
            raise

    interrupt_after(0.2)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work)
    assert time.monotonic() - begin < 1
    assert stopped.wait(1)
    assert interruptible(lambda: 42) == 42


def test_a_failing_watch_stops_the_work_too():
    def watch(seconds: float, frame: object) -> None:
        raise RuntimeError("no display")

    with pytest.raises(RuntimeError, match="no display"), watched(watch):
        interruptible(lambda: time.sleep(0.5))
    assert interruptible(lambda: 42) == 42


def test_calls_share_a_thread():
    assert interruptible(threading.current_thread) is interruptible(threading.current_thread)


def test_in_another_thread_it_is_a_plain_call():
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(interruptible(threading.current_thread)))
    thread.start()
    thread.join()
    assert seen == [thread]


def test_a_cross_join_that_never_yields_is_left_and_the_next_query_runs():
    """In a process of its own, since the engine counts its threads once, and goes on joining until the end."""
    code = """
        import _thread, os, threading, time
        import datafusion
        from sqlmagic_xr.engine.interrupt import interruptible, reserve_threads

        reserve_threads()
        session = datafusion.SessionContext()
        session.from_pydict({"x": list(range(100_000))}, name="a")
        join = session.sql("SELECT sum(sin(l.x * r.x)) FROM a l CROSS JOIN a r")
        threading.Timer(1, _thread.interrupt_main).start()
        begin = time.monotonic()
        try:
            interruptible(join.collect)
        except KeyboardInterrupt:
            print("back", time.monotonic() - begin)
        begin = time.monotonic()
        interruptible(session.sql("SELECT count(*) FROM a GROUP BY x % 3").collect)
        print("next", time.monotonic() - begin, flush=True)
        os._exit(0)  # the join would keep the process
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    (back, after), (then, took) = (line.split() for line in run.stdout.splitlines())
    assert (back, then) == ("back", "next")
    assert 1 <= float(after) < 2
    assert float(took) < 3


def test_a_process_that_ends_after_an_interrupt_ends_well():
    code = """
        import _thread, signal, threading, time
        from sqlmagic_xr import Context
        term = "SELECT n + 1, avg(x) OVER (ORDER BY n) FROM r"
        frame = Context().sql(f"WITH RECURSIVE r(n, x) AS (SELECT 1, 1.0 UNION ALL {term}) SELECT n FROM r")
        def interrupt():
            while not frame.progress.rounds:
                time.sleep(0.01)
            _thread.interrupt_main(signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            frame.to_arrow_table()
        except KeyboardInterrupt:
            print("interrupted")
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "interrupted\n", "")


def test_a_panic_of_the_engine_is_an_error():
    class PanicException(BaseException):
        """As the engine's is called."""

    def work():
        raise PanicException("left == right\n left: 2")

    for call in (lambda: interruptible(work), lambda: elsewhere(work)):
        with pytest.raises(RuntimeError, match="the engine panicked: left == right left: 2"):
            call()


def elsewhere(work):
    """In a thread that is not the main one, whose error is raised here."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(interruptible, work).result()

"""Runs under the shim of ``faults.c``: makes writes of a program fail in turn, and looks at what is left.

Each third write, so that every write fails in one of three ways; ``WRITES=1`` makes each fail in all of them.
Prints a line for each kind of fault: how many writes were failed, and how many of them made a statement fail.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

from sqlmagic_xr import Context
from sqlmagic_xr.errors import StorageError

SHIM = ctypes.CDLL(None)
STRIDE = int(os.environ.get("WRITES", "3"))
KINDS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "short": 2}


def state(ctx):
    return {n: ctx.scratch(n).to_arrow().to_pydict() for n in sorted(ctx.store.entries())}


def statements():
    yield "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)"
    yield "CREATE TABLE q (n BIGINT)"
    yield "INSERT INTO p SELECT value, value * 0.5 FROM generate_series(0, 4999)"
    for n in range(3):
        yield f"BEGIN; INSERT INTO p VALUES ({10_000 + n}, 1.5); INSERT INTO q VALUES ({n}); COMMIT"
    yield "UPDATE p SET a = -1 WHERE step % 2 = 0"
    yield "DELETE FROM q WHERE n = 1"


def refused(work):
    """The error of work that the file refuses; None where all went through."""
    try:
        work()
    except StorageError as error:
        return error
    return None


def program(path):
    """Run until a statement fails, then go on with a disk that works; returns what memory has, and the error."""
    ctx = Context(store=path)
    failed = None
    for text in statements():
        before = state(ctx)
        failed = refused(lambda text=text: ctx.script(text))
        if failed is not None:
            assert path.name in str(failed)
            assert state(ctx) == before
            break
    SHIM.fault_arm(-1, 0, 0)
    if failed is not None:
        ctx.script("CREATE TABLE after (a BIGINT)")
    memory = state(ctx)
    ctx.store.close()
    return memory, failed


def training(path):
    """A run whose disk fails on the way: it ends, and memory has whole generations."""
    ctx = Context(store=path)
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")
    seen = []

    def tell(event):
        seen.append(event)
        if len(seen) == 20:
            SHIM.fault_arm(0, errno.ENOSPC, 1)

    step = "INSERT INTO p SELECT :next_step, a * 0.999 FROM p WHERE step = :k"
    failed = refused(lambda: ctx.train(step, steps=100_000_000, keep_every=0.02, on_event=tell))
    assert path.name in str(failed)
    assert seen[-1].status == "failed"
    steps = state(ctx)["p"]["step"]
    assert steps == list(range(len(steps)))
    assert len(steps) > 10
    SHIM.fault_arm(-1, 0, 0)
    ctx.store.save(path.with_name("saved.duckdb"))
    ctx.store.close()
    for file in (path, path.with_name("saved.duckdb")):
        again = Context(store=file)
        assert state(again)["p"]["step"] == steps
        again.store.close()


def main(folder):
    for place, (name, kind) in enumerate(KINDS.items()):
        for goes_on in (0, 1):
            nth, fails = place % STRIDE, 0
            while True:
                path = folder / f"{name}{goes_on}{nth}.duckdb"
                Context(store=path).store.close()
                SHIM.fault_arm(nth, kind, goes_on)
                memory, failed = program(path)
                again = Context(store=path)
                assert state(again) == memory, (name, goes_on, nth)
                again.store.close()
                if not SHIM.fault_seen():
                    break
                fails += failed is not None
                nth += STRIDE
            print(f"{name} {'for good' if goes_on else 'once'}: {nth} writes, {fails} statements failed", flush=True)
            assert fails > 3
    training(folder / "run.duckdb")
    print("run: ended", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

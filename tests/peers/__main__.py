"""``make peers PEERS=folder``: DataFusion's own sqllogictest files, statement by statement, on it and on us.

The files are not ours and are not kept here. Whoever runs this gives a checkout of DataFusion at the version that is
installed, its submodules ``testing`` and ``parquet-testing`` with it. Each file runs in processes of its own, in a
copy of the folder that is thrown away, so that a crash, a statement that never ends or a COPY harms nothing.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from tests.peers.compare import Comparison, Verdict, compare
from tests.peers.records import records

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "tests" / "artefacts"
INNER = Path("datafusion", "sqllogictest")
BESIDE = ("datafusion/core", "datafusion/datasource-arrow", "testing", "parquet-testing", "datafusion-testing")
VERDICTS: tuple[Verdict, ...] = (
    "same", "both refuse", "meant", "ours alone refuses", "plain alone refuses", "differ", "not reached",
)  # fmt: skip
OPEN = ("ours alone refuses", "differ")
"""What a run fails for."""
STARTING = 120.0
"""Seconds that a side may take until it begins."""

_ABSENT = """\
{folder} holds no {inner}/test_files.
Give a checkout of apache/datafusion at version {version}, with its submodules:
    git clone --depth 1 --branch {version} --recurse-submodules --shallow-submodules \\
        <DataFusion's repository> ../datafusion
    make peers PEERS=../datafusion"""


def main() -> int:
    """Compare all files, or those whose name holds one of the words on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of DataFusion")
    parser.add_argument("words", nargs="*", help="only files whose name has one of these words in it")
    parser.add_argument(
        "--limit", type=float, default=30.0, help="the seconds that a statement may take on either side"
    )
    parser.add_argument("--show", type=int, default=40, help="how many differences are printed; the file has all")
    arguments = parser.parse_args()
    top = arguments.folder.resolve()
    if not (top / INNER / "test_files").is_dir():
        sys.exit(_ABSENT.format(folder=arguments.folder, inner=INNER, version=version("datafusion")))
    found: list[Comparison] = []
    files = list(_files(top, arguments.words))
    for number, file in enumerate(files, start=1):
        begin = time.monotonic()
        these = compare_file(top, file, arguments.limit)
        found += these
        print(f"[{number}/{len(files)}] {file}: {_counts(these)} ({time.monotonic() - begin:.1f} s)", flush=True)
    _report(found, len(files), arguments.show)
    return any(c.verdict in OPEN for c in found)


def _files(top: Path, words: list[str]) -> Iterator[Path]:
    """The files by their path in the suite; those about another engine's functions need a build of their own."""
    base = top / INNER / "test_files"
    for path in sorted(base.rglob("*.slt")):
        name = path.relative_to(base)
        if name.parts[0] != "spark" and (not words or any(word in str(name) for word in words)):
            yield name


def compare_file(top: Path, file: Path, limit: float) -> list[Comparison]:
    """Run a file on both sides at once, each in a copy of the suite's folder.

    Args:
        top: the checkout.
        file: the path within the suite.
        limit: the seconds that a statement may take.
    """
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        sides = [_start(top, Path(scratch, which), which, file) for which in ("plain", "ours")]
        _await(sides, limit)
        plain, ours = (_seen(out) for _, out in sides)
        whole = list(records(top / INNER / "test_files" / file))
    seen = [side + [None] * (len(whole) - len(side)) for side in (plain, ours)]
    return [compare(*both) for both in zip(whole, *seen, strict=True)]


def _start(top: Path, folder: Path, which: str, file: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """One side's process, at work in a copy; what stands beside the suite is only read, and linked."""
    here = folder / INNER
    shutil.copytree(top / INNER / "test_files", here / "test_files")
    (here / "test_files" / "scratch").mkdir(exist_ok=True)
    for other in BESIDE:
        if (top / other).exists():
            (folder / other).symlink_to(top / other)
    out = folder / "seen.jsonl"
    command = [sys.executable, "-m", "tests.peers.side", which, str(here / "test_files" / file), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKIO_WORKER_THREADS": "4"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=here, env=environment, stdin=quiet, stdout=quiet, stderr=quiet), out


def _await(sides: list[tuple[subprocess.Popen[bytes], Path]], limit: float) -> None:
    """Wait for both sides; one that has written nothing for so many seconds is at a statement that never ends."""
    written = {out: (-1, time.monotonic()) for _, out in sides}
    while running := [(process, out) for process, out in sides if process.poll() is None]:
        time.sleep(0.05)
        for process, out in running:
            size, since = out.stat().st_size if out.exists() else -1, written[out][1]
            if size != written[out][0]:
                written[out] = (size, time.monotonic())
            elif time.monotonic() - since > (limit if size >= 0 else limit + STARTING):
                process.kill()
                process.wait()


def _seen(out: Path) -> list[dict[str, object] | None]:
    lines = out.read_text(encoding="utf-8").split("\n") if out.exists() else []
    return [json.loads(line) for line in lines[:-1]]


def _counts(found: Iterable[Comparison]) -> str:
    counted = collections.Counter(c.verdict for c in found)
    return ", ".join(f"{counted[v]} {v}" for v in VERDICTS if counted[v])


def _report(found: list[Comparison], files: int, show: int) -> None:
    """Print the figures and the first differences; write all of them down."""
    counted = collections.Counter(c.verdict for c in found)
    table = ["| | statements |", "|---|---|", *(f"| {v} | {counted[v]:,} |" for v in VERDICTS)]
    title = f"# DataFusion {version('datafusion')}'s own files: {len(found):,} statements of {files} files"
    kinds = collections.Counter(f"{c.verdict}: {_kind(c)}" for c in found if c.verdict in OPEN)
    reasons = collections.Counter(c.reason for c in found if c.verdict == "meant")
    head = [title, "", *table, "", "## Kinds", "", *(f"- {n} x {k}" for k, n in kinds.most_common())]
    head += ["", "## Meant", "", *(f"- {n} x {k}" for k, n in reasons.most_common())]
    ranked = [c for v in VERDICTS[3:] for c in found if c.verdict == v]
    each = [
        f"## {c.verdict}: {c.record.place}\n\n```\n{c.record.sql}\n```\nplain: {c.plain}\n\nours: {c.ours}\n"
        for c in ranked
    ]
    ARTEFACTS.mkdir(exist_ok=True)
    out = ARTEFACTS / "peers.md"
    out.write_text("\n".join([*head, "", *each]), encoding="utf-8")
    print("\n".join(head[: 12 + show]), f"\nall of it is in {out}")


def _kind(comparison: Comparison) -> str:
    """What a difference has in common with others: the first word of the statement and the error without its names."""
    word = comparison.record.sql.split(maxsplit=1)[0].upper() if comparison.record.sql.strip() else ""
    seen = comparison.ours.split("\n")[0] if comparison.verdict != "differ" else ""
    return f"{word}: " + re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"|\d+", "…", seen)[:120]


if __name__ == "__main__":
    sys.exit(main())

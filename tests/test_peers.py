"""``make peers`` on a suite of two small files: it reads them, compares, and outlives a statement that never ends."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

FIRST = """
statement ok
CREATE TABLE t (a BIGINT) AS VALUES (3), (1), (2)

include ./part.slt.part

query I
SELECT a FROM t ORDER BY a
----
1
2
3

query error DataFusion error: .*
SELECT nonsense FROM t

onlyif postgres
query I
SELECT postgres FROM t

statement error
SELECT other_nonsense FROM t
----
a message

of two parts


query I
MERGE INTO t USING (VALUES (1)) AS s (a) ON t.a = s.a WHEN MATCHED THEN DELETE
"""
ENDLESS = """
query I
SELECT 1

query I
SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b WHERE a.value * b.value = 7

query I
SELECT 2
"""


def run(folder, *words):
    command = [sys.executable, "-m", "tests.peers", str(folder), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def suite(tmp_path, **files):
    inner = tmp_path / "datafusion" / "sqllogictest" / "test_files"
    inner.mkdir(parents=True)
    for name, text in files.items():
        (inner / f"{name}.slt").write_text(text)
    (inner / "part.slt.part").write_text("query I rowsort\nSELECT a FROM t\n----\n1\n")
    return tmp_path


def test_it_says_what_to_fetch(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 1
    assert "Give a checkout of apache/datafusion at version" in done.stderr


def test_statements_are_compared_and_what_never_ends_is_ended(tmp_path):
    done = run(suite(tmp_path, first=FIRST, endless=ENDLESS), "--limit", "4")
    assert done.returncode == 0, done.stderr
    assert "endless.slt: 1 same, 2 not reached" in done.stdout
    assert "first.slt: 3 same, 2 both refuse, 1 plain alone refuses" in done.stdout

"""Completions in SQL cells, and only there."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from sqlmagic_xr.engine.functions import DescribedFunction
from sqlmagic_xr.magics.completion import complete, complete_sql
from sqlmagic_xr.magics.options import count, option


@dataclass(frozen=True)
class Options:
    limit: int | None = option("-l", "--limit", help="Rows.", convert=count)
    type: str = option(
        "-t", "--type", help="Type.", convert=str, choices=("frame", "pandas", "polars"), default="frame"
    )
    quiet: bool = option("-q", "--quiet", help="Say nothing.")
    file: str | None = option("-f", "--file", help="A file.", convert=str)


MAGICS = {"xsql": Options, "xsql_train": Options}
COLUMNS = {
    ("params",): {"step": "BIGINT", "a": "DOUBLE", "Upper": "DOUBLE"},
    ("ds",): {"lat": "DOUBLE", "lon": "DOUBLE"},
    ("era5", "surface"): {"t2m": "DOUBLE"},
}


class Names:
    def tables(self):
        return [".".join(name) for name in COLUMNS]

    def columns(self, name):
        return COLUMNS.get(name)

    def functions(self):
        return {
            "lower": DescribedFunction("lower", "lower(str)", "scalar"),
            "lpad": DescribedFunction("lpad", "lpad(str, n)", "scalar"),
        }

    def parameters(self):
        return ["lr", "ids"]


def offered(marked: str) -> list[str] | None:
    """The texts offered at the ``|`` of what an editor holds."""
    found = complete(marked.replace("|", ""), marked.index("|"), MAGICS, Names())
    return None if found is None else [c.text for c in found.items]


@pytest.mark.parametrize(
    ("marked", "first"),
    [
        ("%%xsql\nSELECT la| FROM ds", ["lat", "lateral"]),
        ("%%xsql\nSELECT l| FROM ds", ["lat", "lon", "lower", "lpad", "limit", "like", "left join", "lateral"]),
        ("%%xsql\nSELECT L| FROM ds", ["lat", "lon", "lower", "lpad", "LIMIT", "LIKE", "LEFT JOIN", "LATERAL"]),
        ("%%xsql\nSELECT * FROM |", ["params", "ds", "era5.surface"]),
        ("%%xsql\nWITH t AS (SELECT 1) SELECT * FROM |", ["t", "params", "ds", "era5.surface"]),
        ("%%xsql\nSELECT * FROM era5.|", ["surface"]),
        ("%%xsql\nSELECT cur.| FROM (SELECT a, step AS s FROM params) cur", ["a", "s"]),
        ("%%xsql\nSELECT p.| FROM params p", ["step", "a", '"Upper"']),
        ("%%xsql\nSELECT p.u| FROM params p", ['"Upper"']),
        ('%%xsql\nSELECT "U| FROM params', ['"Upper"']),
        ("%%xsql\nSELECT $l|", ["$lr"]),
        ("%%xsql\nSELECT :|", [":lr", ":ids"]),
        ("%%xsql\nSELECT la|", ["lat", "lateral"]),
        ("%%xsql\nSELECT 'la|'", []),
        ("%%xsql\nSELECT tarf|", []),
        ("%%xsql --limit 5\nSELECT la| FROM ds", ["lat", "lateral"]),
        ("%%xsql x << SELECT la| FROM ds", ["lat", "lateral"]),
        ("%%xsql_train --limit 5\nSELECT la| FROM ds", ["lat", "lateral"]),
        ("%xsql SELECT la| FROM ds", ["lat", "lateral"]),
        ("x = %xsql -l 3 SELECT la| FROM ds", ["lat", "lateral"]),
        ("import os\nx = %xsql SELECT la| FROM ds\nprint(x)", ["lat", "lateral"]),
        ("%%xsql -|", ["--limit", "--type", "--quiet", "--file"]),
        ("%%xsql --l|", ["--limit"]),
        ("%%xsql -q --ty|\nSELECT 1", ["--type"]),
        ("%%xsql --type |", ["frame", "pandas", "polars"]),
        ("%%xsql --type p|", ["pandas", "polars"]),
        ("%xsql --type p|", ["pandas", "polars"]),
        ("%xsql SELECT -|", None),
    ],
)
def test_what_is_offered(marked, first):
    found = offered(marked)
    if first is None:
        assert found is not None
        assert not any(text.startswith("--") for text in found)
    else:
        assert found == first


@pytest.mark.parametrize(
    "marked",
    [
        "la|",
        "x = la|",
        "%%xsq|",
        "%%timeit\nla|",
        "%%xsql_other\nla|",
        "print('%xsql')\nla|",
        "%xsql SELECT lat FROM ds\nla|",
        "|%xsql SELECT lat",
        "x| = %xsql SELECT lat",
        "%%xsql --file qu|",
    ],
)
def test_elsewhere_python_completes(marked):
    assert offered(marked) is None


def test_functions_show_their_signature_and_columns_their_type():
    found = complete_sql("SELECT l FROM ds", 8, Names())
    meanings = {c.text: c.meaning for c in found.items}
    assert meanings["lower"] == "(str)"
    assert meanings["lpad"] == "(str,\u00a0n)"
    assert meanings["lat"] == "DOUBLE"
    assert found.fragment == "l"


def test_300_tables_of_300_columns_take_less_than_20_ms():
    columns = {(f"t{i}",): {f"c{i}_{j}": "DOUBLE" for j in range(300)} for i in range(300)}

    class Many(Names):
        def tables(self):
            return [name[0] for name in columns]

        def columns(self, name):
            return columns.get(name)

    for marked in ("SELECT c7| FROM t7, t8", "SELECT c|", "SELECT * FROM t|"):
        text, cursor = marked.replace("|", ""), marked.index("|")
        best = min(_seconds(lambda text=text, cursor=cursor: complete_sql(text, cursor, Many())) for _ in range(5))
        assert best < 0.02, marked
    assert len(complete_sql("SELECT c7 FROM t7", 9, Many()).items) == 300


def _seconds(work) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


MINIMIZE = "%%xsql_train\nMINIMIZE (SELECT AVG(a) FROM params WHERE step = :k) OVER params.a USING "


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["sgd", "adam", "adamw", "rmsprop", "adagrad", "lion", "newton", "gauss_newton", "levenberg_marquardt",
              "lbfgs"]),
        ("ada", ["adam", "adamw", "adagrad"]),
        ("adam(", ["lr =>", "b1 =>", "b2 =>", "eps =>", "eps_root =>", "nesterov =>", "weight_decay =>", "max_norm =>",
                   "max_delta =>", "state =>", "losses =>"]),
        ("newton(d", ["damping =>"]),
        ("lion(lr => 0.1, b", ["b1 =>", "b2 =>"]),
    ],
)  # fmt: skip
def test_a_minimize_is_offered_optimizers_and_their_options(typed, offered):
    text = MINIMIZE + typed
    assert [c.text for c in complete(text, len(text), MAGICS, Names()).items] == offered


def test_expressions_of_a_minimize_are_completed_as_others():
    for typed in ("adam(lr => ", "adam(lr => 1) WHERE "):
        text = MINIMIZE + typed + "st"
        assert "step" in [c.text for c in complete(text, len(text), MAGICS, Names()).items]

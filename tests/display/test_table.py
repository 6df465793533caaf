"""What a table shows: every value told apart, escaped, and the size of the whole."""

from __future__ import annotations

from html.parser import HTMLParser

import pyarrow as pa
import pytest

from sqlmagic_xr.display.table import MAX_COLUMNS, DrawnTable


class Cells(HTMLParser):
    """The cells of a table as a browser would see them: rows of texts, and every tag that was opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.open = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.open = True
        if tag == "small":
            self.rows[-1][-1] += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.open = False

    def handle_data(self, data):
        if self.open:
            self.rows[-1][-1] += data


def text_cells(table: DrawnTable) -> list[list[str]]:
    lines = table.text(1000).splitlines()[3:-1]
    return [[cell.strip() for cell in line.split("│")] for line in lines]


VALUES = [
    (pa.array([1, None]), ["1", "NULL"]),
    (pa.array([1.0, float("nan"), float("-inf"), None]), ["1.0", "NaN", "-Infinity", "NULL"]),
    (pa.array([0.1, 1e-7], pa.float32()), ["0.1", "1e-07"]),
    (pa.array(["", "NULL", None, "NaN", "it's"]), ["''", "'NULL'", "NULL", "'NaN'", "it's"]),
    (pa.array(["a\nb", "\x1b[31mred", "\u202egnp.exe"]), ["a\\nb", "\\x1b[31mred", "\\u202egnp.exe"]),
    (pa.array([True, None]), ["true", "NULL"]),
    (pa.array([0, 86_400, None], pa.timestamp("s")), ["1970-01-01", "1970-01-02", "NULL"]),
    (pa.array([0, 86_400_500], pa.timestamp("ms")), ["1970-01-01 00:00:00.000", "1970-01-02 00:00:00.500"]),
    (pa.array([1], pa.timestamp("ns")), ["1970-01-01 00:00:00.000000001"]),
    (pa.array([400_000_000_000], pa.timestamp("s")), ["14645-06-30 15:06:40"]),  # beyond Python's years
    (pa.array([[1, None], [], None]), ["[1, NULL]", "[]", "NULL"]),
    (pa.array([["x", "it's"]]), ["['x', 'it''s']"]),
    (pa.array([{"a": 1, "b": "x"}]), ["{a: 1, b: 'x'}"]),
    (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), ["{'k': 1}"]),
    (pa.array([b"\x00\xff", b""]), ["0x00ff", "0x"]),
    (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    (pa.array([150, None], pa.decimal128(10, 2)), ["150.00", "NULL"]),
    (pa.array([10**15 + 0.5, 123456789012.25]), ["1000000000000000.5", "123456789012.25"]),
]


@pytest.mark.parametrize(("values", "shown"), VALUES, ids=[f"{v.type}-{i}" for i, (v, _) in enumerate(VALUES)])
def test_values_read_the_same_in_text_and_html(values, shown):
    table = DrawnTable(pa.table({"v": values}), len(values))
    assert [row[0] for row in text_cells(table)] == shown
    assert [row[0] for row in Cells(table.html()).rows[1:]] == shown


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table><script>", '"><b>', "&lt;"]
)
def test_values_and_names_are_escaped(evil):
    cells = Cells(DrawnTable(pa.table({evil: [evil]}), 1, note=evil).html())
    assert set(cells.tags) <= {"div", "style", "p", "table", "thead", "tbody", "tr", "th", "td", "small", "i"}
    assert cells.rows == [[f"{evil} VARCHAR"], [evil]]


def test_null_looks_unlike_a_string_that_says_null():
    html = DrawnTable(pa.table({"s": ["NULL", None]}), 2).html()
    assert "&#x27;NULL&#x27;</td>" in html
    assert "<i>NULL</i></td>" in html


def test_numbers_stand_right_and_text_left():
    table = DrawnTable(pa.table({"number": [1, 100], "text": ["a", "bcd"]}), 2)
    assert text_cells(table) == [["1", "a"], ["100", "bcd"]]
    assert "\n      1 │ a\n    100 │ bcd\n" in table.text()
    assert table.html().count("text-align:left") == 3  # the head and two cells of the text column alone


@pytest.mark.parametrize(
    ("shown", "total", "size"),
    [
        (10, 10_000_000, "10 of 10,000,000 rows x 2 columns"),
        (2, 2, "2 rows x 2 columns"),
        (1, 1, "1 row x 2 columns"),
        (0, 0, "0 rows x 2 columns"),
        (0, 5, "0 of 5 rows x 2 columns"),
    ],
)
def test_the_size_of_the_whole_is_said(shown, total, size):
    table = DrawnTable(pa.table({"a": range(shown), "b": range(shown)}), total)
    assert table.text().splitlines()[-1] == size
    assert f"<p>{size}</p>" in table.html()


def test_an_empty_result_shows_its_header():
    table = DrawnTable(pa.table({"lat": pa.array([], pa.float64())}), 0)
    assert table.text() == " lat\n DOUBLE\n────────\n0 rows x 1 column"
    assert Cells(table.html()).rows == [["lat DOUBLE"]]


def test_300_columns_show_the_first_and_the_last():
    table = DrawnTable(pa.table({f"c{i}": [i] for i in range(300)}), 1)
    lines = table.text(80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].replace(" │", "").split() == ["c0", "c1", "c2", "c3", "…", "c296", "c297", "c298", "c299"]
    assert lines[-1] == "1 row x 8 of 300 columns"
    (head, body) = Cells(table.html()).rows
    assert len(head) == len(body) == MAX_COLUMNS + 1
    assert (body[0], body[MAX_COLUMNS // 2], body[-1]) == ("0", "…", "299")
    assert f"1 row x {MAX_COLUMNS} of 300 columns" in table.html()


def test_a_megabyte_in_a_cell_stays_short():
    table = DrawnTable(pa.table({"s": ["x" * 1_000_000, "\n" * 1_000_000], "l": [list(range(100_000)), []]}), 2)
    assert "(1,000,000 characters)" in table.text(1000)
    assert ", … 99,973 more]" in table.text(1000)
    assert len(table.html()) < 5_000
    assert len(table.text(1000)) < 2_000


def test_a_single_wide_column_is_never_dropped():
    table = DrawnTable(pa.table({"s": ["x" * 90]}), 1)
    assert "x" * 90 in table.text(40)


def test_wide_characters_stay_in_line():
    lines = DrawnTable(pa.table({"s": ["日本", "ab"], "n": [1, 2]}), 2).text().splitlines()
    assert lines[3:5] == [" 日本    │      1", " ab      │      2"]


def test_duplicate_column_names_are_drawn():
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert text_cells(DrawnTable(rows, 1)) == [["1", "2"]]


def test_styles_of_text():
    rows = pa.table({"a|b": [1], "s": ["x|y"]})
    assert DrawnTable(rows, 1, style="ascii").text().splitlines()[2] == "--------+---------"
    assert DrawnTable(rows, 1, style="markdown").text().splitlines() == [
        "| a\\|b | s |",
        "| ---: | --- |",
        "| 1 | x\\|y |",
        "",
        "1 row x 2 columns",
    ]


def test_times_that_python_does_not_hold_are_shown_also_inside_of_others():
    last = pa.array([2**63 - 1, None, 0], pa.int64())
    seconds = last.cast(pa.timestamp("s"))
    columns = {
        "s": seconds,
        "z": last.cast(pa.timestamp("s", "UTC")),
        "d": pa.array([2**31 - 1, None, 0], pa.int32()).cast(pa.date32()),
        "u": last.cast(pa.duration("ms")),
        "l": pa.ListArray.from_arrays([0, 1, 2, 3], seconds),
        "r": pa.StructArray.from_arrays([seconds], ["a"]),
        "c": seconds.dictionary_encode(),
    }
    table = DrawnTable(pa.table(columns), 3)
    first, second, third = Cells(table.html()).rows[1:]
    shown = "292277026596-12-04 15:30:07"
    assert first == [shown, shown + "Z", "5881580-07-11", f"{2**63 - 1} milliseconds", f"['{shown}']",
                     f"{{a: '{shown}'}}", shown]  # fmt: skip
    assert second == ["NULL"] * 4 + ["[NULL]", "{a: NULL}", "NULL"]
    assert third[0].startswith("1970-01-01")
    assert table.text(400).count(shown) == 5

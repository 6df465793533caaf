"""A frame at the end of a cell shows its names and values as text, never as markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pyarrow as pa
import pytest
from datafusion import dataframe_formatter

from sqlmagic_xr import Context

_PAYLOADS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</td></table><b>out</b>",
    "'\"><svg onload=alert(1)>",
    "&lt;b&gt; & <b>",
    "<b>" * 40,
    "a" * 24 + "<b>c</b>",
    "\x1b[31m\u202e<i>x</i>",
]


class _Reader(HTMLParser):
    """The tags of a document, and the texts of its cells."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") and "toggleDataFrameCellText" not in value for name, value in attrs)

    def handle_data(self, data):
        self.text += data


def _read(html):
    reader = _Reader()
    reader.feed(html)
    return reader


_OWN = {"div", "table", "thead", "tbody", "tr", "th", "td", "span", "button", "style", "script"}


@pytest.fixture(autouse=True)
def formatter():
    before = dataframe_formatter.get_formatter()
    yield
    dataframe_formatter.set_formatter(before)


def frames(context, payload):
    name = payload.replace('"', '""')
    frame = context.sql(f"SELECT :p AS \"{name}\", [:p] AS b, named_struct('a', :p) AS c", {"p": payload})
    yield from (frame, frame.limit(3), frame.select("b"), frame.distinct(), frame["b"], frame.limit(2).limit(1))
    context.script("CREATE OR REPLACE TABLE t (a VARCHAR); INSERT INTO t VALUES (:p)", {"p": payload})
    yield context.table("t")
    yield context.from_arrow(pa.table({payload: [payload]}))


@pytest.mark.parametrize("payload", _PAYLOADS)
@pytest.mark.parametrize("configured", [False, True])
def test_names_and_values_are_escaped(payload, configured):
    context = Context()
    for number, frame in enumerate(frames(context, payload)):
        if configured and number < 6:  # a frame of ours keeps to it whatever the formatter is
            dataframe_formatter.configure_formatter(max_cell_length=1000, enable_cell_expansion=False)
        elif configured:
            dataframe_formatter.set_formatter(dataframe_formatter.DataFrameHtmlFormatter())
            Context()
        found = _read(frame._repr_html_())
        assert found.tags <= _OWN, found.tags - _OWN
        if payload.isprintable():
            assert payload in found.text
        assert "\x1b" not in found.text
        assert "\u202e" not in found.text


def test_text_on_a_terminal_has_no_escapes_either(capsys):
    frame = Context().sql("SELECT :p AS a", {"p": "\x1b]0;title\x07\u202e"})
    frame.show()
    assert all(c.isprintable() or c == "\n" for c in repr(frame) + capsys.readouterr().out)
    assert r"\x1b]0;title\x07" in repr(frame)


def test_it_looks_as_datafusion_shows_it():
    frame = Context().sql("SELECT value AS a, 'x' || value AS b FROM generate_series(1, 30)").sort("a")
    html = frame._repr_html_()
    assert html.count("<tr>") == 11
    assert "Data truncated" in html
    assert "x10" in html
    assert "x11" not in html
    assert Context().sql("SELECT 1 AS a WHERE false")._repr_html_() == "No data to display"


def test_what_the_users_own_formatter_returns_stays():
    formatter = dataframe_formatter.DataFrameHtmlFormatter()
    formatter.register_formatter(float, lambda value: f"<b>{value:.1f}</b>")
    dataframe_formatter.set_formatter(formatter)
    html = Context().sql("SELECT 1.25 AS a, '<i>' AS b")._repr_html_()
    assert "<b>1.2</b>" in html
    assert "&lt;i&gt;" in html


@pytest.mark.parametrize("explain", ["EXPLAIN", "EXPLAIN ANALYZE"])
def test_an_explain_at_the_end_of_a_cell_is_shown(explain, capsys):
    payload = "<img src=x onerror=alert(1)>"
    frame = Context().sql(f"{explain} SELECT '{payload}' AS a")
    assert _read(frame._repr_html_()).tags <= _OWN
    frame.show()
    assert "ProjectionExec" in capsys.readouterr().out

"""The widget before its run: what the page says, that its buttons are the run's, and that it goes on an error."""

import asyncio
from types import SimpleNamespace

import pytest
from ipywidgets.widgets.widget import _instances

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.magics import opening, train
from sqlmagic_xr.magics.train import read_options

CELL = """
INSERT INTO p SELECT :next_step, a + 1 FROM p WHERE step = :k;
SELECT step, a FROM p ORDER BY step
"""


class Page:
    """What a front end is sent: each picture is a widget's line, a text, or "cleared"."""

    def __init__(self):
        self.pictures, self.widget = [], None

    def display(self, thing, **keywords):
        if "raw" in keywords:
            self.pictures.append(next(iter(thing)))
            return self
        self.widget = thing
        thing.observe(lambda change: self.pictures.append(change.new["said"]), "shown")
        self.pictures.append(thing.shown["said"])
        return self

    def update(self, thing, **keywords):
        self.display(thing, **keywords)

    def clear(self, wait):
        self.pictures.append("cleared")
        assert wait, "the page does not blink"


@pytest.fixture
def page(monkeypatch):
    page = Page()
    monkeypatch.setattr(opening, "display", page.display)
    monkeypatch.setattr(opening, "clear_output", page.clear)
    return page


@pytest.fixture
def ctx():
    ctx = Context()
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.0)")
    return ctx


@pytest.fixture
def run_cell(page, ctx, monkeypatch):
    """Runs a training cell as a kernel does at which somebody sits."""
    kernel = SimpleNamespace(get_parent=lambda: {"content": {"allow_stdin": True}})
    shell = SimpleNamespace(kernel=kernel, user_ns={})
    settings = SimpleNamespace(short_errors=True, read_only=False, feedback=1)
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    monkeypatch.setattr(train, "settings_of", lambda shell: settings)
    monkeypatch.setattr(train, "context_of", lambda shell: ctx)

    def run(line, cell=CELL):
        asyncio.run(train.run_async(line, cell))
        return shell.user_ns

    return run


def test_a_text_stands_there_at_once_and_the_widget_takes_its_place(page, monkeypatch):
    imported = []
    monkeypatch.setattr(opening, "MODULES", ("this", "is_missing"))
    monkeypatch.setattr(opening, "_SAY", 0.0)
    monkeypatch.setattr(opening.importlib, "import_module", imported.append)
    monkeypatch.setattr(opening, "_WIDGET", ("the_widget",))
    opened = opening.Opening(log=False)
    assert (page.pictures, imported) == (["text/plain"], [])
    asyncio.run(opened.load())
    assert imported == ["the_widget", "this", "is_missing"]
    texts, lines = page.pictures[:2], [line.split(" · ")[0] for line in page.pictures[2:]]
    assert texts == ["text/plain"] * 2
    assert list(dict.fromkeys(lines)) == ["loading what trains", "planning the step"]
    opened.close()
    assert page.pictures[-1] == "cleared"


def test_a_button_that_is_pressed_before_the_run_is_the_runs(page, run_cell, ctx, monkeypatch):
    load = opening.Opening.load

    async def pressed(self):
        await load(self)
        page.widget._handle_custom_msg({"do": "stop"}, [])

    monkeypatch.setattr(opening.Opening, "load", pressed)
    run = run_cell("--steps 1000 -o run")["run"]
    assert (run.status, run.steps, len(ctx.scratch("p"))) == ("stopped", 0, 1)


@pytest.mark.parametrize(("line", "cell"), [("--steps 5", CELL.replace("INTO p", "INTO q")), ("--overlay none", CELL)])
def test_where_the_run_cannot_begin_the_error_takes_the_widgets_place(page, run_cell, line, cell):
    before = len(_instances)
    with pytest.raises(SqlError):
        run_cell(line, cell)
    assert page.pictures[0].startswith("planning")
    assert page.pictures[-1] == "cleared"
    assert len(_instances) == before


@pytest.mark.parametrize("line", ["--no-display", "--explain", "--show-sql", "--help"])
def test_who_asked_for_no_widget_sees_none(page, run_cell, line):
    run_cell("--steps 2 " + line)
    assert page.widget is None
    assert page.pictures == []


def test_the_run_goes_on_in_the_same_widget(page, run_cell, ctx):
    run_cell("--steps 3")
    assert page.pictures[0].startswith("planning the step · 0.0 s")
    assert "step 0 of 3" in page.pictures
    assert len(ctx.scratch("p")) == 4


def test_options_tell_where_there_is_a_widget():
    places = {
        (line, place): opening.has_widget(read_options(line), place)
        for line in ("", "--live", "--static", "--no-display", "--explain")
        for place in ("live", "static", "terminal")
    }
    assert [key for key, widget in places.items() if widget] == [
        ("", "live"), ("--live", "live"), ("--live", "static"), ("--live", "terminal")
    ]  # fmt: skip

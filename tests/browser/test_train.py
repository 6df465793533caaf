"""%%xsql_train in a real JupyterLab: what a person sees and clicks while a model trains."""

import re
import time

from tests.browser.lab import wait_for

SETUP = """
%load_ext sqlmagic_xr
import numpy as np, pyarrow as pa, sqlmagic_xr
x = np.linspace(-1, 1, 442)
d = pa.table({"x": x, "y": 2 * x + 1 + 0.1 * np.cos(20 * x)})
ctx = sqlmagic_xr.get_context()
_ = ctx.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE);"
               "INSERT INTO params VALUES (0, 0.0, 0.0)")
"""
STEP = """
INSERT INTO params
SELECT :next_step,
       cur.a + :lr * AVG(2 * x * (y - (a*x + b))),
       cur.b + :lr * AVG(2 * (y - (a*x + b)))
FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur
GROUP BY cur.a, cur.b;
"""
CURVES = """
-- mean squared error
SELECT step, AVG(power(d.y - (a*d.x + b), 2)) AS loss FROM d CROSS JOIN params GROUP BY step ORDER BY step;
-- the line
SELECT step, a, b FROM params ORDER BY step
"""
TRAIN = "%%xsql_train --steps 10000000 -p lr=0.01 --tune lr=1e-3:1 -o run" + STEP + CURVES
TELL = """
rows = len(ctx.scratch("params"))
print("TOLD", run.status, run.parameters[-1].value, rows == run.generation + 1 == run.curve.num_rows)
"""


def progress(book, cell):
    """The number of steps that the widget shows; 0 before there is a run."""
    text = book.cell(cell).locator(".sqlmagic-xr-said").inner_text()
    told = re.match(r"step ([\d,]+) of", text)
    return int(told[1].replace(",", "")) if told else 0


def image(book, cell):
    return book.cell(cell).locator(".sqlmagic-xr-panel canvas").first.evaluate("canvas => canvas.toDataURL()")


def drawn(book, cell):
    """How many pictures of the curve stay on the page: none while it is a widget."""
    return book.cell(cell).locator(".jp-RenderedHTMLCommon .sqlmagic-xr-picture").count()


def watch(book, cell, seconds):
    """Look at a running cell; returns how many pictures there were, and the longest that one stood still."""
    seen, changed, longest, begin = [], time.monotonic(), 0.0, time.monotonic()
    while time.monotonic() < begin + seconds:
        now = image(book, cell)
        if not seen or now != seen[-1]:
            longest = max(longest, time.monotonic() - changed) if seen else 0.0
            seen.append(now)
            changed = time.monotonic()
        time.sleep(0.03)
    return len(set(seen)), max(longest, time.monotonic() - changed)


def press(book, cell, name):
    book.cell(cell).locator(f'button:has-text("{name}")').click()


def is_watched(book, cell):
    wait_for(
        lambda: book.cell(cell).locator(".sqlmagic-xr-said").count() and progress(book, cell) > 0, "a step is shown"
    )


def test_a_run_is_watched_paused_tuned_resumed_and_stopped(open_notebook):
    book = open_notebook([SETUP, TRAIN, TELL, "print('NEXT')"])
    book.run(0)
    book.start(1)
    book.start(2)  # queued behind it, as Run All does
    is_watched(book, 1)
    pictures, still = watch(book, 1, 10)
    assert pictures >= 10, "the curve moves"
    assert still <= 2.0
    row = book.cell(1).locator(".sqlmagic-xr-values tr").nth(1)
    told = (
        book.cell(1)
        .locator(".sqlmagic-xr-run")
        .evaluate(
            "e => [e.querySelector('.sqlmagic-xr-said').textContent, e.querySelector('td').textContent, e.dataset.step]"
        )
    )
    assert len({re.match(r"(?:step )?([\d,]+)", text)[1].replace(",", "") for text in told}) == 1, told
    assert row.count() == 1
    book.screenshot("train-live")

    press(book, 1, "Pause")
    book.cell(1).locator('button:has-text("Resume")').wait_for()
    time.sleep(0.6)
    before = progress(book, 1), image(book, 1)
    time.sleep(1.0)
    assert (progress(book, 1), image(book, 1)) == before, "it stands still"
    readout = book.cell(1).locator(".sqlmagic-xr-slider input[type=text]")
    readout.fill("0.05")
    readout.press("Enter")
    time.sleep(0.4)
    press(book, 1, "log y")
    time.sleep(0.6)
    assert image(book, 1) != before[1], "the scale changes while it is paused"
    book.screenshot("train-paused")
    press(book, 1, "Resume")
    wait_for(lambda: progress(book, 1) > before[0], "it goes on")

    press(book, 1, "Stop")
    assert book.wait(1, 5) < 1.0
    book.wait(2)
    assert "TOLD stopped 0.05 True" in book.output(2)
    text = book.output(1)
    assert re.search(r"stopped after [\d,]+ steps; `params` stands at step \d+, loss 0\.0", text)
    assert drawn(book, 1) == 1
    assert book.cell(1).locator(".jupyter-widgets").count() == 0
    book.screenshot("train-stopped")
    assert "NEXT" in book.run(3)
    time.sleep(2)  # the picture is drawn when the cell is done; what has not changed since is not saved again
    saved = book.save()
    assert [sorted(o.get("data", o)) for o in saved.cells[1].outputs] == [
        ["image/png", "text/html", "text/plain"],
        ["name", "output_type", "text"],
    ]
    assert "widgets" not in saved.metadata


def test_the_kernels_interrupt_ends_a_run_by_button_and_by_keys(open_notebook):
    book = open_notebook([SETUP, TRAIN, "print('NOT THIS')", TELL, TRAIN, TELL])
    book.run(0)
    for cell, interrupt in ((1, book.interrupt), (4, lambda: keys(book, 5))):
        book.start(cell)
        is_watched(book, cell)
        if cell == 1:
            book.cell(2).locator(".jp-InputArea-prompt").click()
            book.page.keyboard.press("Shift+Enter")
            time.sleep(0.3)
        interrupt()
        assert book.wait(cell, 5) < 2.0
        assert re.search(r"interrupted after [\d,]+ steps; `params` stands at step \d+, loss", book.output(cell))
        assert "Traceback" not in book.output(cell)
        assert drawn(book, cell) == 1
        book.screenshot(f"train-interrupted-{cell}")
        assert "TOLD interrupted 0.01 True" in book.run(3 if cell == 1 else 5)
    assert "NOT THIS" not in book.output(2), "what was queued behind an interrupted cell does not run"


def keys(book, cell):
    """I I in command mode, on another cell."""
    book.cell(cell).locator(".jp-InputArea-prompt").click()
    book.page.keyboard.press("i")
    book.page.keyboard.press("i")


def test_pictures_of_several_panels_and_of_a_single_step_in_the_dark(open_notebook, lab):
    """The screenshots are for a person to look at; what is asserted is that there is something to see."""
    theme = lab.root.parent / "settings" / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
    theme.write_text('{"theme": "JupyterLab Dark"}')
    try:
        bins = "\n-- where a was\nSELECT floor(a * 20) / 20 AS a, COUNT(*) AS steps FROM params GROUP BY 1 ORDER BY 1"
        three = "%%xsql_train --restart --log-y --steps 10000000 -p lr=0.01" + STEP + CURVES.rstrip() + ";" + bins
        single = "%%xsql_train --restart --steps 1 -p lr=0.01" + STEP + CURVES
        book = open_notebook([SETUP, three, single])
        book.run(0)
        book.start(1)
        is_watched(book, 1)
        first = image(book, 1)
        wait_for(lambda: image(book, 1) != first, "the curves are drawn again", 60)
        book.cell(1).locator(".jp-OutputArea").first.evaluate("area => area.scrollIntoView()")
        book.screenshot("train-three-panels-live")
        press(book, 1, "Stop")
        assert book.wait(1, 5) < 1.5  # three panels of the final picture, on a busy machine
        book.screenshot("train-three-panels")
        book.run(2)
        book.screenshot("train-single-step")
        assert [drawn(book, cell) for cell in (1, 2)] == [1, 1]
    finally:
        theme.unlink()


def test_the_widget_is_alive_in_notebook_7(open_notebook):
    book = open_notebook([SETUP, TRAIN, TELL], "notebook")
    book.run(0)
    book.start(1)
    is_watched(book, 1)
    assert watch(book, 1, 4)[0] >= 4
    book.screenshot("train-notebook-7")
    press(book, 1, "Stop")
    assert book.wait(1, 5) < 1.0
    assert drawn(book, 1) == 1
    assert "TOLD stopped 0.01 True" in book.run(2)

"""%%xsql_train in a shell without a kernel: options, what is printed, errors without a traceback."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from sqlmagic_xr.errors import ImmutableError, UsageError
from sqlmagic_xr.magics import opening, shared, train
from sqlmagic_xr.magics.options import options_of
from sqlmagic_xr.magics.settings import settings_of
from sqlmagic_xr.magics.train import TrainOptions, read_options

CELL = """
INSERT INTO params SELECT :next_step, a * (1 - :lr) FROM params WHERE step = :k;
SELECT step, a AS loss FROM params ORDER BY step
"""


@pytest.fixture
def shell():
    shared.get_context.cache_clear()
    shell = InteractiveShell.instance()
    train.register(shell)
    context = shared.get_context()
    context.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO params VALUES (0, 1.0)")
    shell.user_ns["lr"] = 0.5
    yield shell
    train.unregister(shell)
    InteractiveShell.clear_instance()
    shared.get_context.cache_clear()


def steps():
    return shared.get_context().sql("SELECT MAX(step) AS step FROM params").to_pydict()["step"][0]


def run(shell, line, cell=CELL):
    return shell.run_cell(f"%%xsql_train {line}\n{cell}", store_history=False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        ("-n 5", {"steps": 5}),
        ("--steps=1,000 -q", {"steps": 1000, "quiet": True}),
        ("-p lr=0.1 --param name=ada", {"params": (("lr", 0.1), ("name", "ada"))}),
        ("--tune lr=1e-4:1 --tune b=-2:2", {"tune": (("lr", (1e-4, 1.0)), ("b", (-2.0, 2.0)))}),
        ('--schedule "lr = 0.4 * pow(0.99, :step)"', {"schedule": (("lr", "0.4 * pow(0.99, :step)"),)}),
        ('--until "loss < 1e-4" --patience 3', {"until": "loss < 1e-4", "patience": 3}),
        ("--every 10 --log-y --seed 7 --restart", {"every": 10, "log": True, "seed": 7, "restart": True}),
        ("--curve a --curve b --continue -o out", {"curves": ("a", "b"), "resume": True, "output": "out"}),
        ("--patience 3 --keep-best --overlay a --overlay b", {"patience": 3, "keep_best": True, "overlay": ("a", "b")}),
        ("--live", {"live": True}),
        ("--static", {"static": True}),
        ("--no-display", {"no_display": True}),
        ("--executor relational --steps 3", {"executor": "relational", "steps": 3}),
    ],
)
def test_options(line, expected):
    assert read_options(line) == TrainOptions(**expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--steps -1", "--steps cannot be '-1'"),
        ("--steps abc", "--steps cannot be 'abc'"),
        ("--stps 3", "there is no option --stps"),
        ("5", "5 is no option"),
        ("--schedule lr = 0.4", "--schedule cannot be 'lr'"),
        ("--until loss < 3", "< is no option"),
        ("--tune lr", "--tune cannot be 'lr'"),
        ("--tune lr=a:b", "--tune cannot be 'lr=a:b'"),
        ("--live --static", "--live and --static contradict each other"),
        ("--static --no-display", "--static and --no-display contradict each other"),
        ("--continue --restart", "--continue and --restart contradict each other"),
        ("-p lr=1 -p lr=2", "--param lr is given twice"),
        ("--steps", "--steps needs a value"),
        ("--executor dens", "--executor cannot be 'dens'"),
    ],
)
def test_bad_options_are_pointed_at_before_anything_runs(shell, capsys, line, message):
    with pytest.raises(UsageError) as caught:
        read_options(line)
    assert caught.value.lines()[0] == message
    assert caught.value.lines()[1].startswith("line 1: ")
    assert run(shell, line).error_in_exec is not None
    assert message in capsys.readouterr().out
    assert steps() == 0


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--lr 0.3", "Did you mean `--param lr=0.3`?"),
        ("--lr=1e-3", "Did you mean `--param lr=1e-3`?"),
        ("--step 30", "Did you mean `--steps`?"),
    ],
)
def test_a_number_behind_an_unknown_option_is_a_parameter_unless_an_option_is_near(line, hint):
    with pytest.raises(UsageError) as caught:
        read_options(line)
    assert caught.value.lines()[-1] == hint


def test_every_option_is_in_the_help(shell, capsys):
    shell.run_line_magic("xsql_train", "")
    text = capsys.readouterr().out
    for declared in options_of(TrainOptions):
        assert declared.names[-1] in text
    assert text.startswith("%%xsql_train [options]")


def test_a_terminal_gets_a_bar_a_line_and_the_curve_as_text(shell, capsys):
    result = run(shell, "--steps 3 -o kept")
    out, err = capsys.readouterr()
    assert result.success
    assert out.splitlines() == [
        "done: 3 steps; `params` stands at step 3, loss 0.125",
        "loss  █▄▂▁  1 → 0.125",
    ]
    assert "0/3" in err
    assert shell.user_ns["kept"].status == "done"
    assert steps() == 3


def test_the_bar_shows_the_newest_loss(shell, capsys):
    run(shell, "--steps 500 --every 1")  # the bar is drawn anew ten times a second
    assert "step/s, loss " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("--quiet", []),
        ("--no-display", ["done: 3 steps; `params` stands at step 3, loss 0.125"]),
        ("--quiet --no-display", []),
    ],
)
def test_less_can_be_shown(shell, capsys, line, printed):
    run(shell, f"--steps 3 {line}")
    out, err = capsys.readouterr()
    assert (out.splitlines(), err) == (printed, "")
    assert steps() == 3


def test_a_restart_says_what_it_drops(shell, capsys):
    run(shell, "--steps 3 -q")
    run(shell, "--steps 1 --restart --no-display")
    assert capsys.readouterr().out.splitlines() == [
        "restart: 3 rows of `params` behind step = 0 are dropped",
        "done: 1 step; `params` stands at step 1, loss 0.5",
    ]


def test_static_displays_a_picture_with_text_beside_it(shell, monkeypatch):
    shown = []
    monkeypatch.setattr(opening, "display", lambda *a, **k: shown.append((a, k)))
    run(shell, "--steps 3 --static --log-y")
    ((bundle,), keywords) = shown[0]
    assert len(shown) == 1
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert bundle["text/plain"] == "loss  █▄▂▁  1 → 0.125"
    assert keywords["raw"]
    assert set(keywords["metadata"]["image/png"]) == {"width", "height"}


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        ("SELECT 1", ["a training cell needs an INSERT: each step adds one generation"]),
        (
            "INSERT INTO params SELECT :next_step, a FROM prams",
            ["there is no table prams", "line 1: INSERT INTO params SELECT :next_step, a FROM prams", "^^^^^"],
        ),
        (
            "INSERT INTO params SELECT :next_step, a FROM params WHERE step < 0",
            ["the step inserts nothing into `params`"],
        ),
        ("INSERT INTO params SELECT :next_step, :zz", ["parameter :zz has no value"]),
    ],
)
def test_errors_are_short_fail_the_cell_and_change_nothing(shell, capsys, cell, lines):
    result = run(shell, "", cell)
    text = capsys.readouterr().out
    assert not result.success
    for line in lines:
        assert line in text
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 5
    assert steps() == 0


def test_the_settings_of_the_notebook_hold_here_too(shell, capsys):
    settings = settings_of(shell)
    settings.feedback = 0
    assert run(shell, "--steps 2").success
    assert capsys.readouterr().out == ""
    settings.read_only = True
    assert isinstance(run(shell, "--steps 2").error_in_exec, ImmutableError)
    assert steps() == 2
    settings.read_only, settings.short_errors = False, False
    assert not run(shell, "", "SELECT 1").success
    assert "Traceback" in capsys.readouterr().out


def test_live_needs_a_notebook(shell, capsys):
    assert not run(shell, "--live").success
    assert "--live needs a notebook" in capsys.readouterr().out


def test_braces_and_dollars_in_a_cell_are_sql(shell):
    cell = "INSERT INTO params SELECT :next_step, character_length('{lr} $lr')"
    assert run(shell, "-n 1 -q", cell).success
    assert shared.get_context().sql("SELECT a FROM params WHERE step = 1").to_pydict() == {"a": [8.0]}


def test_unregistering_leaves_nothing_behind(shell):
    train.unregister(shell)
    assert "xsql_train" not in shell.magics_manager.magics["cell"]
    assert not [t for t in shell.input_transformers_cleanup if getattr(t, "__func__", None) is train.Train.transform]
    train.register(shell)


MINIMIZE = "MINIMIZE (SELECT power(a - 3, 2) FROM params WHERE step = :k) OVER params USING sgd(lr => :lr)"


def test_a_minimize_is_a_whole_cell(shell, capsys):
    assert run(shell, "--steps 3 --param lr=0.25", MINIMIZE).success
    assert "`params` stands at step 3" in capsys.readouterr().out
    assert steps() == 3


def test_show_sql_prints_what_a_minimize_becomes_and_does_not_train(shell, capsys):
    assert run(shell, "--show-sql --param lr=0.25", MINIMIZE).success
    printed = capsys.readouterr().out
    assert "CREATE TABLE params_loss" in printed
    assert "grad(power(a - 3, 2), params.a)" in printed
    assert steps() == 0


def test_the_help_begins_with_minimize(shell, capsys):
    run(shell, "--help", "SELECT 1")
    assert "MINIMIZE" in capsys.readouterr().out.split("INSERT")[0]


def test_a_recursive_query_is_a_whole_cell(shell, capsys):
    cell = """WITH RECURSIVE r(step, a) AS (SELECT 0, 1.0 UNION ALL SELECT step + 1, a * :lr FROM r WHERE step < 3)
        SELECT step, a AS loss FROM r ORDER BY step"""
    assert run(shell, "-o kept", cell).success
    assert capsys.readouterr().out.splitlines() == [
        "done: 3 rounds, 4 rows, loss 0.125",
        "loss  █▄▂▁  1 → 0.125",
    ]
    assert shell.user_ns["kept"].curve.num_rows == 4


def test_a_kept_run_is_laid_under_another_and_anything_else_is_refused(shell, capsys):
    assert run(shell, "--steps 3 -o first --static -q").success
    shell.user_ns["other"] = 1
    error = run(shell, "--steps 2 --overlay other").error_in_exec
    assert isinstance(error, UsageError)
    assert error.lines()[0] == "other is no training run"
    assert steps() == 3
    capsys.readouterr()
    assert run(shell, "--steps 2 --restart --static --overlay first --keep-best").success
    shown = capsys.readouterr().out
    assert "is left at its best, step 2, loss 0.25" in shown

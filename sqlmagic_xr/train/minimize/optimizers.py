"""The optimizers: names, options and formulas as optax has them, written as SQL.

An optimizer is a few *moments*, columns of a table beside the parameters that each step makes anew out of the old ones
and the gradient, and an *update*, by which the parameter falls. Formulas: the papers that are named, as optax 0.2 reads
them (``optax.sgd``, ``optax.adam``, ``optax.adamw``, ``optax.rmsprop``, ``optax.adagrad``, ``optax.lion``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Old = Callable[[str], str]
"""A moment's name -> the SQL that reads it."""


@dataclass(frozen=True)
class Moment:
    """One column of state for each column that is optimized.

    Attributes:
        name: what is put behind the column's name.
        new: SQL of the next value, from that of the gradient and of the moments as they are.
        initial: SQL of the first value.
    """

    name: str
    new: Callable[[str, Old], str]
    initial: str = "0.0"


@dataclass(frozen=True)
class Rule:
    """What an optimizer does with some options.

    Attributes:
        moments: the state; () for none.
        update: SQL of what the column falls by, from that of the gradient (only where there is no state) and of the
            moments as they have become.
        rated: whether the rate is in the update already; else it is multiplied with it.
        decay: SQL of the rate of a weight decay beside the update (not in the gradient), or None.
    """

    moments: tuple[Moment, ...]
    update: Callable[[str, Old], str]
    rated: bool = False
    decay: str | None = None


@dataclass(frozen=True)
class Setting:
    """The options of one statement, as SQL.

    Attributes:
        values: option -> SQL, in parentheses where it needs them; only those that are given or have a default.
        count: SQL of how many steps have been made with this one.
        rate: SQL of the learning rate where the moments are made.
    """

    values: Mapping[str, str]
    count: str
    rate: str

    def __getitem__(self, option: str) -> str:
        return self.values[option]

    def flag(self, option: str) -> bool:
        """Whether an option is TRUE."""
        return self.values.get(option, "false").lower() == "true"

    def rest(self, option: str) -> str:
        """One minus an option."""
        return f"(1 - {self[option]})"


@dataclass(frozen=True)
class Optimizer:
    """An optimizer that can be named behind USING.

    Attributes:
        name: its name.
        options: option -> its default; "" for one that need not be given and has none.
        rule: what it does with some options.
        flags: the options that are TRUE or FALSE.
        decay: whether its weight decay stands beside the update; else it is added to the gradient.
        second: whether it goes by the curvature (:mod:`.curvature`, :mod:`.lbfgs`); ``rule`` is unused then.
    """

    name: str
    options: Mapping[str, str]
    rule: Callable[[Setting], Rule]
    flags: frozenset[str] = frozenset()
    decay: bool = False
    second: bool = False


COMMON = ("lr", "weight_decay", "max_norm", "max_delta", "state", "losses")
"""What every optimizer of the first order takes: the rate, decay, clipping by norm and by value, and tables' names."""


def _sgd(o: Setting) -> Rule:
    """Gradient descent; momentum after Sutskever et al. 2013."""
    if "momentum" not in o.values:
        return Rule((), lambda g, m: g)
    velocity = Moment("velocity", lambda g, m: f"{g} + {o['momentum']} * {m('velocity')}")
    if not o.flag("nesterov"):
        return Rule((velocity,), lambda g, m: m("velocity"))
    return Rule((velocity, _SLOPE), lambda g, m: f"({m('slope')} + {o['momentum']} * {m('velocity')})")


def _adam(o: Setting) -> Rule:
    """Adam (Kingma and Ba 2014); with nesterov, NAdam (Dozat 2016)."""
    mean, square = _mean(o, "b1"), _square(o, "b2")
    root = "" if o["eps_root"] in ("0", "0.0") else f" + {o['eps_root']}"
    scale = f"power({o['b2']}, {o.count})"

    def denominator(m: Old) -> str:
        return f"(sqrt({m('square')} / (1 - {scale}){root}) + {o['eps']})"

    if not o.flag("nesterov"):
        return Rule((mean, square), lambda g, m: f"{m('mean')} / (1 - power({o['b1']}, {o.count})) / {denominator(m)}")

    def ahead(g: str, m: Old) -> str:
        coming = f"{o['b1']} * {m('mean')} / (1 - power({o['b1']}, {o.count} + 1))"
        return f"({coming} + {o.rest('b1')} * {m('slope')} / (1 - power({o['b1']}, {o.count}))) / {denominator(m)}"

    return Rule((mean, square, _SLOPE), ahead)


def _adamw(o: Setting) -> Rule:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    rule = _adam(o)
    return Rule(rule.moments, rule.update, decay=o["weight_decay"])


def _rmsprop(o: Setting) -> Rule:
    """RMSProp (Hinton 2012); centered after Graves 2013."""
    square = Moment("square", _square(o, "decay").new, o["initial_scale"])
    mean = (_mean(o, "decay"),) if o.flag("centered") else ()

    def scaled(g: str, square_: str, mean_: str) -> str:
        correct = f" / (1 - power({o['decay']}, {o.count}))" if o.flag("bias_correction") else ""
        spread = f"{square_}{correct}" + (f" - power({mean_}{correct}, 2)" if mean else "")
        return f"{g} / sqrt({spread} + {o['eps']})" if o.flag("eps_in_sqrt") else f"{g} / (sqrt({spread}) + {o['eps']})"

    if "momentum" not in o.values:
        return Rule(
            (square, *mean, _SLOPE), lambda g, m: scaled(m("slope"), m("square"), m("mean") if mean else "")
        )  # fmt: skip

    def new(g: str, m: Old) -> str:
        made = scaled(g, f"({square.new(g, m)})", f"({mean[0].new(g, m)})" if mean else "")
        return f"{o.rate} * {made}"

    velocity = Moment("velocity", lambda g, m: f"{new(g, m)} + {o['momentum']} * {m('velocity')}")
    if not o.flag("nesterov"):
        return Rule((square, *mean, velocity), lambda g, m: m("velocity"), rated=True)
    ahead = Moment(
        "ahead", lambda g, m: f"{new(g, m)} + {o['momentum']} * ({new(g, m)} + {o['momentum']} * {m('velocity')})"
    )
    return Rule((square, *mean, velocity, ahead), lambda g, m: m("ahead"), rated=True)


def _adagrad(o: Setting) -> Rule:
    """AdaGrad (Duchi et al. 2011)."""
    total = Moment("total", lambda g, m: f"{m('total')} + {g} * {g}", o["initial_accumulator_value"])
    return Rule(
        (total, _SLOPE),
        lambda g, m: f"CASE WHEN {m('total')} > 0 THEN {m('slope')} / sqrt({m('total')} + {o['eps']}) ELSE 0.0 END",
    )  # fmt: skip


def _lion(o: Setting) -> Rule:
    """Lion (Chen et al. 2023)."""
    direction = Moment("direction", lambda g, m: f"signum({o.rest('b1')} * {g} + {o['b1']} * {m('mean')})")
    return Rule((_mean(o, "b2"), direction), lambda g, m: m("direction"), decay=o["weight_decay"])


def _mean(o: Setting, rate: str) -> Moment:
    return Moment("mean", lambda g, m: f"{o[rate]} * {m('mean')} + {o.rest(rate)} * {g}")


def _square(o: Setting, rate: str) -> Moment:
    return Moment("square", lambda g, m: f"{o[rate]} * {m('square')} + {o.rest(rate)} * {g} * {g}")


_SLOPE = Moment("slope", lambda g, m: g)  # the gradient itself, for what the update needs of it
_ADAM = {"b1": "0.9", "b2": "0.999", "eps": "1e-8", "eps_root": "0.0", "nesterov": "false"}

OPTIMIZERS: Mapping[str, Optimizer] = {
    optimizer.name: optimizer
    for optimizer in (
        Optimizer("sgd", {"momentum": "", "nesterov": "false"}, _sgd, frozenset({"nesterov"})),
        Optimizer("adam", _ADAM, _adam, frozenset({"nesterov"})),
        Optimizer("adamw", {**_ADAM, "weight_decay": "1e-4"}, _adamw, frozenset({"nesterov"}), decay=True),
        Optimizer(
            "rmsprop",
            {"decay": "0.9", "eps": "1e-8", "initial_scale": "0.0", "eps_in_sqrt": "true", "centered": "false",
             "momentum": "", "nesterov": "false", "bias_correction": "false"},
            _rmsprop, frozenset({"eps_in_sqrt", "centered", "nesterov", "bias_correction"}),
        ),
        Optimizer("adagrad", {"initial_accumulator_value": "0.1", "eps": "1e-7"}, _adagrad),
        Optimizer("lion", {"b1": "0.9", "b2": "0.99", "weight_decay": "1e-3"}, _lion, decay=True),
        Optimizer("newton", {"lr": "1.0", "damping": ""}, _sgd, second=True),
        Optimizer("gauss_newton", {"lr": "1.0", "damping": ""}, _sgd, second=True),
        Optimizer("levenberg_marquardt", {"damping": "1e-3"}, _sgd, second=True),
        Optimizer(
            "lbfgs",
            {"lr": "1.0", "memory_size": "10", "scale_init_precond": "true", "max_backtracking_steps": "15",
             "decrease_factor": "0.8", "slope_rtol": "1e-4"},
            _sgd, frozenset({"scale_init_precond"}), second=True,
        ),
    )
}  # fmt: skip
"""Name -> optimizer."""


def options_of(name: str) -> tuple[str, ...]:
    """The options of an optimizer, in the order to list them."""
    optimizer = OPTIMIZERS[name]
    if optimizer.second:
        return (*optimizer.options, *(("state",) if name in ("levenberg_marquardt", "lbfgs") else ()), "losses")
    return tuple(dict.fromkeys(("lr", *optimizer.options, *COMMON[1:])))

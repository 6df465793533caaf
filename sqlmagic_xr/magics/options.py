"""The options of a magic, declared once as the fields of a frozen dataclass.

Reading stops at the first word that is no option, and what follows is kept character for character: it is SQL, in which
``-1``, ``->`` and quotes mean what SQL says. (argparse would split and requote it.)
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Generic, TypeVar

from ..errors import SqlError, UsageError, suggest
from ..sql.lexer import span_at

Options = TypeVar("Options")

_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_OPTION = re.compile(r"--?[A-Za-z]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_QUOTED = re.compile(r"""(["'])(.*?)\1""", re.DOTALL)


@dataclass(frozen=True)
class Option:
    """One option of a magic.

    Attributes:
        names: as written, short and long: ``("-l", "--limit")``.
        convert: text -> value, raising ValueError with a message for a person; None where the option takes no value.
        metavar: what stands for the value in the help, ``N``.
        help: what it does, one sentence.
        choices: the values there are, for completion and for suggestions; () where any goes.
        many: given several times, the values come as a tuple.
    """

    names: tuple[str, ...]
    help: str
    convert: Callable[[str], Any] | None = None
    metavar: str = ""
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def shown(self) -> str:
        """As the help writes it: ``-l, --limit N``."""
        return ", ".join(self.names) + (f" {self.metavar}" if self.convert else "")


def option(
    *names: str,
    help: str,
    convert: Callable[[str], Any] | None = None,
    default: Any = MISSING,
    metavar: str = "VALUE",
    choices: Sequence[str] = (),
    many: bool = False,
) -> Any:
    """A dataclass field that is an option: a flag without ``convert``, else one with a value."""
    if default is MISSING:
        default = () if many else None if convert else False
    declared = Option(names, help, convert, metavar, tuple(choices), many)
    return field(default=default, metadata={"option": declared})


@dataclass(frozen=True)
class Parsed(Generic[Options]):
    """A line that has been read: its options, and where its SQL begins (``line[start:]``)."""

    options: Options
    start: int


def parse(kind: type[Options], line: str, variables: Mapping[str, Any] | None = None) -> Parsed[Options]:
    """Read the options at the beginning of ``line``.

    Args:
        kind: a dataclass whose fields are made by :func:`option`.
        line: what stands behind the magic's name.
        variables: what ``$name`` stands for as the value of an option (``--steps $n``), or as that of a parameter.

    Raises:
        UsageError: an option that does not exist, or whose value is missing or wrong; it points into ``line``.

    >>> @dataclass(frozen=True)
    ... class Some:
    ...     limit: int | None = option("-l", "--limit", help="At most N rows.", convert=int, metavar="N")
    ...     quiet: bool = option("-q", "--quiet", help="Say nothing.")
    >>> line = "-q --limit 5 SELECT -1"
    >>> found = parse(Some, line)
    >>> found.options, line[found.start:]
    (Some(limit=5, quiet=True), 'SELECT -1')
    """
    known = {name: f for f in _declared(kind) for name in _of(f).names}
    values: dict[str, Any] = {}
    place = _skip_space(line, 0)
    while _OPTION.match(line, place):
        word = _word(line, place)
        name, has_value, text = word.partition("=")
        if not name.startswith("--") and len(name) > 2 and name[:2] in known and _of(known[name[:2]]).convert:
            name, has_value, text = word[:2], "=", word[2:]  # -l5
        if name not in known:
            raise _unknown(line, place, name, known, text or _word(line, _skip_space(line, place + len(word))))
        at, place = place, place + len(word)
        declared = _of(known[name])
        if declared.convert is None:
            if has_value:
                raise _wrong(line, at, place, f"{name} takes no value", None)
            values[known[name].name] = True
        else:
            if not has_value:
                at = _skip_space(line, place)
                text = _word(line, at)
                place = at + len(text)
            value = _convert(line, at, place, name, declared, _value_of(line, at, text, variables or {}))
            values[known[name].name] = (*values.get(known[name].name, ()), value) if declared.many else value
        place = _skip_space(line, place)
    return Parsed(kind(**values), place)


_VARIABLE = re.compile(r"(\w+=)?\$(\w+)")


def _value_of(line: str, start: int, text: str, variables: Mapping[str, Any]) -> str:
    """The text of an option's value; of ``$name`` and ``lr=$name`` that of the variable."""
    found = _VARIABLE.fullmatch(text)
    if found is None:
        return text
    name = found[2]
    if name not in variables:
        raise UsageError(
            f"there is no variable {name}", text=line, span=span_at(line, start, start + len(text)),
            hint=suggest(name, (n for n, v in variables.items() if not n.startswith("_") and _is_value(v))),
        )  # fmt: skip
    value = variables[name]
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    return f"{found[1] or ''}{value if isinstance(value, str) else repr(value)}"


def _is_value(value: Any) -> bool:
    """Whether a variable may be what an option is given: a number or a text."""
    return isinstance(value, (int, float, str)) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0)


def options_of(kind: type[Any]) -> list[Option]:
    """The options that a dataclass declares, in its order."""
    return [_of(f) for f in _declared(kind)]


def describe(kind: type[Any]) -> str:
    """The options as a help text, one or two lines each."""
    out = []
    for declared in options_of(kind):
        lines = textwrap.wrap(declared.help, 78)
        first = f"  {declared.shown:<24}"
        out += [f"{first} {lines[0]}"] if len(first) <= 26 else [first.rstrip(), " " * 27 + lines[0]]
        out += [" " * 27 + line for line in lines[1:]]
    return "\n".join(out)


def assignment(text: str) -> tuple[str, Any]:
    """``name=value`` as a name and a Python value: a number, True, None, a list ... or else the text itself.

    >>> assignment("lr=0.4"), assignment("name=ada"), assignment("day=2013-10-12")
    (('lr', 0.4), ('name', 'ada'), ('day', '2013-10-12'))
    """
    name, equals, value = text.partition("=")
    name = name.strip().lstrip("$:")
    if not equals or not name.isidentifier():
        raise ValueError("write it as name=value")
    try:
        return name, ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name, value


def count(text: str) -> int:
    """A whole number, 0 or more, as people write it: ``1000``, ``1_000``, ``1,000`` or ``1e3``."""
    digits = text.replace(",", "").replace("_", "")
    if re.fullmatch(r"\d+[eE]\+?\d{1,2}", digits):
        digits = str(int(float(digits)))
    if not digits.isdecimal():
        raise ValueError("give a whole number, 0 or more")
    return int(digits)


def identifier(text: str) -> str:
    """The name of a Python variable."""
    if not text.isidentifier():
        raise ValueError("give the name of a Python variable")
    return text


def _declared(kind: type[Any]) -> list[Field[Any]]:
    return [f for f in fields(kind) if "option" in f.metadata]


def _of(declared: Field[Any]) -> Option:
    found: Option = declared.metadata["option"]
    return found


def _skip_space(line: str, place: int) -> int:
    return len(line) - len(line[place:].lstrip())


def _word(line: str, place: int) -> str:
    match = _WORD.match(line, place)
    return match.group() if match else ""


def _convert(line: str, start: int, end: int, name: str, declared: Option, text: str) -> Any:
    if not text:
        raise _wrong(line, start, end, f"{name} needs a value", declared)
    text = _QUOTED.sub(r"\2", text)
    if declared.choices and text not in declared.choices:
        raise _wrong(line, start, end, f"{name} cannot be {text!r}", declared, suggest(text, declared.choices))
    assert declared.convert is not None
    try:
        return declared.convert(text)
    except ValueError as error:
        raise _wrong(line, start, end, f"{name} cannot be {text!r}", declared, f"{error}.") from None


def _wrong(line: str, start: int, end: int, what: str, declared: Option | None, hint: str | None = None) -> UsageError:
    usage = f"{declared.shown}: {declared.help}" if declared else None
    return UsageError(what, hint=hint or usage, text=line, span=span_at(line, start, max(end, start + 1)))


def _unknown(line: str, place: int, name: str, known: dict[str, Any], value: str) -> SqlError:
    """The error of an option that there is not; one that has a number may be meant for a parameter of the SQL."""
    hint = suggest(name, known) or ""
    parameter = name.lstrip("-").replace("-", "_")
    close = known.get(hint.split("`")[1]) if hint.startswith("Did") else None
    takes_it = close is not None and _of(close).convert is not None  # a flag takes no number
    if not takes_it and "--param" in known and parameter.isidentifier() and _NUMBER.fullmatch(value):
        hint = f"Did you mean `--param {parameter}={value}`?"
    return UsageError(
        f"there is no option {name}", text=line, span=span_at(line, place, place + len(name)),
        hint=hint if hint.startswith("Did") else "See all options with --help.",
    )  # fmt: skip

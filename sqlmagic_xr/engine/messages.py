"""What DataFusion's messages mean: a table of patterns, each with the words for a person.

A rule says what is wrong, what to do, and which nodes of the statement it can be about; where in the text that is,
:mod:`.failures` finds out.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable
from typing import Any

from ..errors import (
    ExecutionError,
    ParameterError,
    ParseError,
    SqlError,
    TypeMismatchError,
    UnknownNameError,
    UnsupportedError,
    suggest,
)
from ..sql.build import quoted
from ..sql.endings import unquoted
from ..sql.joins import label_of
from ..sql.syntax import name_of
from ..storage.order import ROW
from ..storage.transaction import LOST
from .findings import Finding, KnownNames
from .meant import BESIDE, SAID
from .mistyped import bad_cast, operator_types, wrong_arguments
from .printed import first_line, is_name, listed, name_parts, sql_types, without_casts
from .suspects import Suspect, calls, names_of_node, relation_of_node

RELATIONS = ("Table", "ExplainTable")
"""The variants that name a relation."""


def explain(message: str, known: KnownNames) -> Finding:
    """What an engine's message means."""
    if _UNPLANNED.search(message):
        hint = "Compare with = in its WHERE, or join with what it reads and aggregate."
        what = "the engine cannot plan this subquery, which reads the row around it"
        return Finding(UnsupportedError, what, hint, _is_correlated)
    text = core(message)
    for pattern, read in _RULES:
        if match := pattern.search(text):
            return read(match, known)
    kind = UnsupportedError if "not implemented" in message else ExecutionError
    return Finding(kind, first_line(text))


def _is_correlated(kind: str, node: Any) -> bool:
    return kind in ("Subquery", "InSubquery", "Exists") or (kind == "Derived" and bool(node["lateral"]))


_UNPLANNED = re.compile(
    r"Optimizer rule '(scalar_subquery_to_join|decorrelate_\w+)' failed|null_aware anti join|__correlated_sq_"
    r"|Physical plan does not support logical expression (ScalarSubquery|InSubquery|Exists|OuterRef)"
    r"|No field named \"?\?table\?|duplicate unqualified field name mark"
)
"""Names are resolved before; what is said of columns here is about names that the engine has made up."""


def core(message: str) -> str:
    """A message without the names of the layers that it came through.

    >>> core("DataFusion error: type_coercion\\ncaused by\\nError during planning: Invalid qualifier x")
    'Invalid qualifier x'
    """
    text = message.split("\ncaused by\n")[-1]
    while (shorter := _LAYER.sub("", text)) != text:
        text = shorter
    return text.strip()


_LAYER = re.compile(
    r"^\s*(?:DataFusion error|Error during planning|Schema error|This feature is not implemented|Execution error|"
    r"Internal error|External error|Arrow error|Optimizer rule '\w+' failed|type_coercion|External|"
    r"(?:Cast|Compute|Parser|Schema|Divide by zero|Invalid argument|Arithmetic overflow|Not yet implemented) error"
    r"(?=:))(?::\s*|\n)"
)


_SWITCHED_OFF = "SET datafusion.catalog.information_schema = true switches it on."


# --- Rules: one for each thing that a message can say. ---


def _unknown_column(match: re.Match[str], known: KnownNames) -> Finding:
    parts, valid = name_parts(match["name"]), [name_parts(f) for f in listed(match["valid"] or "")]
    shown = ".".join(parts)
    near = name_parts(match["near"] or "")
    hint = _near(parts[-1], near, known) if near else _column_hint(parts, valid)
    what = f"there is no column {shown}"
    why = known.unread.get(parts[-1]) or next((w for n, w in known.unread.items() if n.lower() == parts[-1]), None)
    if why is not None:
        what, hint = f"{what}: {why}", None
    return Finding(UnknownNameError, what, hint, lambda k, n: names_of_node(k, n) == parts, word=parts[-1])


def _near(name: str, near: tuple[str, ...], known: KnownNames) -> str:
    """The engine compares letters of the table's name, too: for aire it proposes air.time."""
    hint = suggest(name, near[-1:])
    if len(near) < 2 or (hint or "").startswith("Did") or name in _words(near[-1]):
        return f"Did you mean {_marked(near[-1])}?"
    return _column_hint((name,), [(column,) for column in known.columns]) or "DESCRIBE of its table lists the columns."


def _marked(name: str) -> str:
    """A name as it is to be written, in marks of its own where it needs no quotes."""
    return f"`{name}`" if quoted(name) == name else quoted(name)


def _column_hint(parts: tuple[str, ...], valid: list[tuple[str, ...]]) -> str | None:
    name = parts[-1]
    folded = [v for v in valid if v[-1].lower() == name and v[-1] != name]
    if folded:
        return f'Names with capitals are written in double quotes: "{folded[0][-1]}".'
    relations = {v[-2] for v in valid if len(v) > 1}
    if len(parts) > 1 and parts[-2] not in relations:
        near = suggest(parts[-2], relations)
        return f"{parts[-2]} is not in FROM. {near}" if near else f"{parts[-2]} is not in FROM."
    if len(parts) > 1:
        valid = [v for v in valid if len(v) > 1 and v[-2] == parts[-2]]
    valid = [v for v in valid if v[-1] != ROW]
    odd = [v[-1] for v in valid if name in _words(v[-1])]
    return f"Did you mean {_marked(odd[0])}?" if odd else suggest(name, [quoted(v[-1]) for v in valid])


def _words(name: str) -> list[str]:
    """The words of a name that is written in quotes, as SQL folds them."""
    return re.findall(r"\w+", name.lower()) if quoted(name) != name else []


def _ambiguous(match: re.Match[str], known: KnownNames) -> Finding:
    name = name_parts(match["name"])
    hint = f"Write which one: its table's name or alias and a dot before it (t.{name[-1]})."
    return Finding(
        UnknownNameError, f"{name[-1]} is in more than one table", hint, lambda k, n: names_of_node(k, n) == name
    )


def _unnamed(match: re.Match[str], known: KnownNames) -> Finding:
    name = name_parts(match["name"])
    hint = "Give one of them another name (... AS name), or the query in FROM that it comes from: (SELECT ...) AS q."
    return Finding(UnknownNameError, f"two columns are named {name[-1]}", hint,
                   lambda k, n: names_of_node(k, n)[-1:] == name[-1:])  # fmt: skip


def _twice(match: re.Match[str], known: KnownNames) -> Finding:
    """The engine tells the expression, and the name where it has one; a cast is called as what is cast."""
    expression, _, name = without_casts(match["what"]).rpartition(" AS ")
    hint = "Give one of them another name: ... AS name."
    if expression:
        return Finding(UnknownNameError, f"two columns are named {name}", hint, word=name_parts(name)[-1])
    shown = name_parts(name)[-1] if name != match["what"] and is_name(name) else sql_types(name)
    return Finding(UnknownNameError, f"two columns are named {shown}", hint,
                   lambda k, n: names_of_node(k, n)[-1:] == name_parts(name)[-1:])  # fmt: skip


def _relations_alike(match: re.Match[str], known: KnownNames) -> Finding:
    *_, relation, _column = name_parts(match["name"])
    hint = "Give one of them another name: ... AS name."
    return Finding(UnknownNameError, f"two relations in FROM are named {relation}", hint,
                   lambda k, n: label_of({k: n}) == relation, word=relation)  # fmt: skip


def _unknown_table(match: re.Match[str], known: KnownNames) -> Finding:
    parts = name_parts(match["name"])
    if "information_schema" in parts[:-1]:
        hint = "SET datafusion.catalog.information_schema = true switches it on."
        return Finding(
            UnsupportedError, "information_schema is switched off, or has no such table", hint, word=parts[-1]
        )
    short = parts[2:] if parts[:2] == ("datafusion", "public") else parts[1:] if parts[0] == "datafusion" else parts
    name = ".".join(short)
    reader = f", which the view {known.readers[name]} reads" if name in known.readers else ""
    return Finding(
        UnknownNameError, f"there is no table {name}{reader}", table_hint(name, known), lambda k, n: k in RELATIONS
        and relation_of_node(n)[-len(short) :] == short[-len(relation_of_node(n)) :], word=short[-1],
    )  # fmt: skip


def table_hint(name: str, known: KnownNames) -> str:
    """The hint for a table that is not there."""
    near = suggest(name, [*known.tables, *(known.variables or ())])
    file = unquoted(name)
    if file is not None and not (near or "").startswith("Did"):
        return file
    if known.variables is None:
        return near or _NO_VARIABLES
    if near is None:
        near = "There are no tables yet: assign an xarray Dataset or a data frame to a variable."
    return near if not known.is_new or near.startswith("Did") else f"{near.removesuffix('.')}. {LOST}"


_NO_VARIABLES = (
    'There are no tables yet: ctx.from_dataset("ds", ds) and ctx.from_pandas(df, "df") make some, '
    "and Context(namespace=globals) reads variables."
)


def _unknown_function(match: re.Match[str], known: KnownNames) -> Finding:
    name = match["name"]
    if name in _WINDOW_FUNCTIONS:
        return Finding(
            UnknownNameError, f"{name} is a window function", f"Write {name}(...) OVER (ORDER BY ...).", calls(name)
        )
    near = suggest(name, known.functions)
    hint = near if near and near.startswith("Did") else "See the functions there are with SHOW FUNCTIONS."
    said = SAID.get(name.lower())
    if said is not None and said.startswith("date_part") and known.calendars:
        said += f"; of a time of the {' or '.join(known.calendars)} calendar {said.replace('date_part', 'cftime_part')}"
    beside = BESIDE.get(name.lower())
    hint = f"Write {said}.{f' Of {beside}.' if beside else ''}" if said is not None else hint
    return Finding(UnknownNameError, f"there is no function {name}", hint, calls(name))


def _not_grouped(match: re.Match[str], known: KnownNames) -> Finding:
    parts = name_parts(match["name"])
    return Finding(
        TypeMismatchError, f"{parts[-1]} is neither in GROUP BY nor inside an aggregate",
        f"Add {parts[-1]} to GROUP BY, or write an aggregate of it, such as AVG({parts[-1]}).",
        lambda k, n: names_of_node(k, n)[-1:] == parts[-1:],
    )  # fmt: skip


def _aggregate_in_where(match: re.Match[str], known: KnownNames) -> Finding:
    hint = "Conditions on aggregates belong into HAVING, behind GROUP BY."
    return Finding(TypeMismatchError, "WHERE cannot hold an aggregate", hint, lambda k, n: k == "Function")


def _nested_aggregate(match: re.Match[str], known: KnownNames) -> Finding:
    hint = "Compute the inner one in a subquery or a WITH."
    return Finding(UnsupportedError, "an aggregate cannot stand here", hint, lambda k, n: k == "Function")


def _predicate(match: re.Match[str], known: KnownNames) -> Finding:
    return Finding(
        TypeMismatchError, f"a condition must be true or false, and this is {sql_types(match['type'])}",
        "Compare it with something.",
    )  # fmt: skip


def _divide(match: re.Match[str], known: KnownNames) -> Finding:
    return Finding(
        ExecutionError, "division by zero", "NULLIF(divisor, 0) gives NULL instead.",
        lambda k, n: k == "BinaryOp" and n["op"] in ("Divide", "Modulo"),
    )  # fmt: skip


def _placeholder(match: re.Match[str], known: KnownNames) -> Finding:
    name = match["name"]
    if name == "?":
        hint = "A parameter has a name: write :n or $n, and assign the variable n or give -p n=VALUE."
        return Finding(ParameterError, "? has no name", hint, word=name)
    hint = f"Give it with -p {name[1:]}=VALUE, or assign the variable {name[1:]}."
    return Finding(ParameterError, f"{name} has no value", hint, word=name)


def _memory(match: re.Match[str], known: KnownNames) -> Finding:
    return Finding(ExecutionError, "the query needs more memory than there is", "Select fewer columns, or aggregate.")


def _python(match: re.Match[str], known: KnownNames) -> Finding:
    return Finding(ExecutionError, f"reading the data failed: {first_line(match['what'])}")


def _says(kind: type[SqlError], what: str, hint: str | None = None, suspect: Suspect | None = None) -> Any:
    """A rule whose lines are fixed, but for groups of the match: ``{name}``."""

    def read(match: re.Match[str], known: KnownNames) -> Finding:
        groups = {key: sql_types(value or "") for key, value in match.groupdict().items()}
        return Finding(kind, what.format(**groups), hint and hint.format(**groups), suspect, groups.get("word", ""))

    return read


def _raised_in_python(match: re.Match[str], known: KnownNames) -> Finding:
    return Finding(ExecutionError, f"a function written in Python says: {literal_eval(match['text'])}")


def _calls(*names: str) -> Callable[[str, Any], bool]:
    return lambda kind, node: kind == "Function" and name_of(node["name"])[-1] in names


_RULES: list[tuple[re.Pattern[str], Callable[[re.Match[str], KnownNames], Finding]]] = [
    (re.compile(pattern, re.DOTALL), read)
    for pattern, read in [
        (r"sqlmagic: a SUM is beyond BIGINT",
         _says(ExecutionError, "a SUM of integers is beyond BIGINT",
               "Sum CAST(x AS DOUBLE), or CAST(x AS DECIMAL(38,0)).",
               _calls("sum"))),
        (r"sqlmagic: squares are beyond DOUBLE",
         _says(ExecutionError, "squares of numbers so large are beyond DOUBLE",
               "Divide them by a power of ten before: neither CORR nor REGR_R2 changes, a slope as they do.",
               _calls("corr", "regr_slope", "regr_intercept", "regr_r2"))),
        (r'(?:sqlmagic: the engine panicked:|task \d+ panicked with message) "?(?P<what>.*?)"?$|Join Error.*panicked.*',
         _says(ExecutionError, "the engine gave up on this query, which is a fault of its own: {what}",
               "Nothing has changed. Write it in another way: a subquery as a table of its own, say.")),
        (r"sqlmagic: << is beyond BIGINT",
         _says(ExecutionError, "<< pushes digits out of BIGINT", "Shift by 0 to 62, or multiply by power(2, n).")),
        (r"sqlmagic: the array of (?P<name>.+?) was written to in place",
         _says(ExecutionError, "the array of `{name}` was written to in place after the query was planned",
               "Run it again: it is planned for the numbers that are there now.")),
        (r"value of (?P<value>-?\d+) is out of range Int64",
         _says(ExecutionError, "the number {value} is beyond BIGINT",
               "Calculate with CAST(x AS DOUBLE) or DECIMAL(38,0).")),
        (r"""[pP]yErr \{ type: .*?, value: \w+\((?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", _raised_in_python),
        (r"^No field named (?P<name>.+?)\.(?: Did you mean '(?P<near>.+?)'\?\.?)?"
         r"(?: Valid fields are (?P<valid>.*)\.)?$",
         _unknown_column),
        (r"^Ambiguous reference to (?:un)?qualified field (?P<name>\S+)", _ambiguous),
        (r"^Schema contains qualified field name (?P<name>\S+) and unqualified field name \S+ which would be ambiguous",
         _unnamed),
        (r"^Schema contains duplicate qualified field name (?P<name>\S+\.\S+)", _relations_alike),
        (r'^Projections require unique expression names but the expression "(?P<what>.*?)" at position', _twice),
        (r"^table function '(?P<name>[^']+)' not found", _unknown_function),
        (r"^table '(?P<name>[^']+)' not found", _unknown_table),
        (r"^No table named '(?P<name>[^']+)'", _unknown_table),
        (r"^Invalid function '(?P<name>[^']+)'", _unknown_function),
        (r"No function matches the given name and argument types '(?P<name>\w+)\((?P<types>.*?)\)'\. You",
         wrong_arguments),
        (r"^Function '(?P<name>\w+)' failed to match any signature, errors: .*?but received (?P<types>\w+)",
         wrong_arguments),
        (r"^Failed to coerce arguments to satisfy a call to '(?P<name>\w+)' function: coercion from (?P<types>.+?) to "
         r"the signature", wrong_arguments),
        (r"^Operator DIV is not yet",
         _says(UnsupportedError, "// is no operator of DataFusion's SQL",
               "7 / 2 is 3 where both are whole numbers; else write floor(x / y).")),
        (r'^variable \["@+(?P<name>\w+)"\] has no type information',
         _says(UnsupportedError, "@{name} is no parameter",
               "A variable of the notebook is written :{name} or ${name}; it is assigned in Python.")),
        (r"^[uU]nsupported logical plan: CreateIndex",
         _says(UnsupportedError, "there are no indexes",
               "Tables are read column by column; PRIMARY KEY and UNIQUE are checked without.")),
        (r"^There is no registered file format with ext (?P<word>\w+)",
         _says(UnsupportedError, "no {word} file can be written",
               "csv, parquet, json, arrow, zarr and nc can; for Excel, keep the result: x.df.to_excel('f.xlsx').")),
        (r"^[Ee]rror parsing timestamp from '(?P<text>.*?)' using format '(?P<format>[^%']*)'",
         _says(ExecutionError, "'{format}' is no format: its parts are written with %", "As in: '%d/%m/%Y %H:%M:%S'.")),
        (r'ParserError\("(?P<what>.+?)(?: at Line: \d+.*)?"\)', _says(ParseError, "{what}")),
        (r"^TOP$", _says(UnsupportedError, "TOP is not read", "Write LIMIT 5 at the end.")),
        (r"^Cannot coerce arithmetic expression (?P<left>.+?) (?P<op>\S+) (?P<right>.+) to valid types",
         operator_types),
        (r"^Cannot infer common argument type for .*?operation (?P<left>\S+) "
         r"(?P<op>IS DISTINCT FROM|\S+) (?P<right>.+)$",
         operator_types),
        (r"^There isn't a common type to coerce (?P<left>.+?) and (?P<right>.+?) in (?P<op>\w*LIKE)", operator_types),
        (r"Cannot cast (?:string|value) (?P<value>'.*?') to value of (?P<type>\S+) type", bad_cast),
        (r'column "(?P<name>[^"]*(?:""[^"]*)*)" must appear in the GROUP BY clause', _not_grouped),
        (r"^HAVING clause references: (?P<name>\S+)", _not_grouped),
        (r"^Aggregate functions are not allowed in the WHERE", _aggregate_in_where),
        (r"Physical plan does not support logical expression AggregateFunction", _nested_aggregate),
        (r"^Cannot create filter with non-boolean predicate .* returning (?P<type>.+)$", _predicate),
        (r"^Divide by zero", _divide),
        (r"^Placeholder '(?P<name>[^']+)' was not provided", _placeholder),
        (r"^Resources exhausted", _memory),
        (r"Python exception: (?P<what>.*)$", _python),
        (r"^Regular expression did not compile.*?error: (?P<why>[^\n]*)",
         _says(ExecutionError, "the regular expression cannot be read: {why}", None,
               lambda k, n: k == "Function" and name_of(n["name"])[-1].startswith("regexp"))),
        (r"^UNION queries have different number of columns",
         _says(TypeMismatchError, "the parts of a UNION have different numbers of columns")),
        (r'^WITH query name "(?P<word>.+)" specified more', _says(UnsupportedError, "two CTEs have one name")),
        (r"^[uU]nsupported JOIN operator (?P<word>\w+)",
         _says(UnsupportedError, "{word} joins are not offered",
               "Offered are INNER, LEFT, RIGHT, FULL and CROSS JOIN, SEMI and ANTI JOIN, and JOIN LATERAL.")),
        (r"^Too many columns! The subquery should only return one column: (?P<names>.*)$",
         _says(TypeMismatchError, "a subquery used as a value must have one column, and this has: {names}", None,
               lambda k, n: k in ("Subquery", "InSubquery"))),
        (r"^Scalar subquery returned more than one row",
         _says(ExecutionError, "a subquery used as a value returned more than one row",
               "Add LIMIT 1, or aggregate.", lambda k, n: k == "Subquery")),
        (r"^Invalid qualifier (?P<word>\S+)", _says(UnknownNameError, "{word} is not in FROM")),
        (r"^The window (?P<word>\S+) is not defined", _says(UnknownNameError, "there is no WINDOW {word}")),
        (r"^For SELECT DISTINCT, ORDER BY expressions (?P<name>\S+) must appear in select list",
         _says(TypeMismatchError, "with DISTINCT, ORDER BY can only use what is selected; {name} is not")),
        (r"^Unsupported SQL type (?P<word>\S+)", _says(UnknownNameError, "there is no type {word}")),
        (r"^Negation only supports", _says(TypeMismatchError, "only numbers and intervals can be negated", None,
                                           lambda k, n: k == "UnaryOp")),
        (r"^SHOW \[VARIABLE\] is not supported unless information_schema is enabled",
         _says(UnsupportedError, "SHOW reads information_schema, which is switched off", _SWITCHED_OFF)),
        (r"^'(?P<word>[^']+)' is not a variable which can be viewed",
         _says(UnknownNameError, "there is no setting {word}")),
        (r'^Invalid or Unsupported Configuration: .* for key "(?P<word>[^"]+)"',
         _says(UnknownNameError, "there is no setting {word}")),
    ]
]  # fmt: skip

_WINDOW_FUNCTIONS = {
    "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value",
    "last_value", "nth_value",
}  # fmt: skip

"""How the engine prints types and names in its messages, and how SQL writes them."""

from __future__ import annotations

import re

_TYPES = {
    "Utf8View": "VARCHAR", "LargeUtf8": "VARCHAR", "Utf8": "VARCHAR", "String": "VARCHAR", "Float64": "DOUBLE",
    "Float32": "FLOAT", "Int64": "BIGINT", "Int32": "INT", "Int16": "SMALLINT", "Int8": "TINYINT", "Date32": "DATE",
    "Date64": "DATE", "Boolean": "BOOLEAN",
}  # fmt: skip
_TYPE = re.compile(rf"\b(?:{'|'.join(_TYPES)})\b|\bTimestamp\((?:ns|us|µs|ms|s)\)|\bDecimal128(?=\()")


def sql_types(text: str) -> str:
    """A text in which Arrow's names of types are SQL's."""
    return _TYPE.sub(lambda m: _TYPES.get(m.group()) or m.group().split("(")[0].upper().replace("128", ""), text)


def first_line(text: str) -> str:
    """The first line of a message, cut where an engine's debugging output begins."""
    line = sql_types(text.strip().split("\n")[0])
    line = re.sub(r"\s*No function matches the given name.*|\.?\s*This issue was likely caused.*", "", line)
    line = line if len(line) <= 200 else line[:199] + "…"
    return line[:1].lower() + line[1:] if line[1:2].islower() else line


def name_parts(name: str) -> tuple[str, ...]:
    """The parts of a name as the engine prints it: quoted where it must be."""
    return tuple(
        p[1:-1].replace('""', '"') if p.startswith('"') else p
        for p in re.findall(r'"(?:[^"]|"")*"|[^."]+', name.replace('\\"', '"'))
    )


def listed(text: str) -> list[str]:
    """The names in a list of them."""
    return re.findall(r'(?:"(?:[^"]|"")*"|[^,"\s])+', text)


_PART = r'(?:"(?:[^"]|"")*"|[^\W\d]\w*)'


def is_name(text: str) -> bool:
    """Whether a text is a name, with or without what stands before a point."""
    return re.fullmatch(rf"{_PART}(?:\.{_PART})*", text) is not None


_CAST = re.compile(r"\b(?:TRY_)?CAST\(")


def without_casts(text: str) -> str:
    """An expression as the engine prints it, with what is cast in the place of each cast.

    >>> without_casts("CAST(CAST(sum(t.a) AS Int32) AS Decimal128(9, 2)) + t.b AS c")
    'sum(t.a) + t.b AS c'
    """
    while (found := _CAST.search(text)) is not None:
        depth, end, cut = 1, found.end(), len(text)
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            cut = end if depth == 1 and text.startswith(" AS ", end) else cut
            end += 1
        text = text[: found.start()] + text[found.end() : min(cut, end)] + text[end:]
    return text

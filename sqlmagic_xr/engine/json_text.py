"""JSON text: ``text -> key`` and ``text ->> key`` as functions of the engine.

A key is a name, a path (``$.a[0].b``), or the number of an element (``$[0]``). ``->`` gives JSON text again, ``->>``
the text itself. What is not there, and JSON's null, is NULL.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import pyarrow as pa
from datafusion import SessionContext, udf

_STEP = re.compile(r'\.("(?:[^"\\]|\\.)*"|[^.\[\]"]+)|\[(-?\d+)\]')


def register_json(session: SessionContext) -> None:
    """Give a session ``json_get(text, key)`` and ``json_get_text(text, key)``."""
    for name, plain in (("json_get", False), ("json_get_text", True)):
        SessionContext.register_udf(
            session, udf(_reader(plain=plain), [pa.utf8(), pa.utf8()], pa.utf8(), "immutable", name)
        )


def _reader(*, plain: bool) -> Any:
    def read(texts: pa.Array, keys: pa.Array) -> pa.Array:
        pairs = zip(texts.to_pylist(), keys.to_pylist(), strict=True)
        return pa.array([None if t is None or k is None else _found(t, k, plain=plain) for t, k in pairs], pa.utf8())

    return read


def _found(text: str, key: str, *, plain: bool) -> str | None:
    value = _parsed(text)
    for step in _steps(key):
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    if value is None:
        return None
    return value if plain and isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no JSON text: {error}") from None


@lru_cache(maxsize=256)
def _steps(key: str) -> tuple[str | int, ...]:
    """The names and numbers of a path; a key that is none is one name."""
    if not key.startswith("$"):
        return (key,)
    steps: list[str | int] = []
    place = 1
    while place < len(key):
        found = _STEP.match(key, place)
        if found is None:
            raise ValueError(f"{key!r} is no path: as in $.a[0].b")
        name, number = found.groups()
        steps.append(int(number) if number else json.loads(name) if name.startswith('"') else name)
        place = found.end()
    return tuple(steps)

"""COPY ... TO: a query's rows as a Zarr store or a netCDF file, by us; as anything else, by the engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import SqlError, StorageError, UnsupportedError
from ..sql.copying import Copy
from ..sql.syntax import to_sql
from ..statements.effect import counted
from .frame import Frame
from .prepared import Executor, Prepared
from .provenance import origin
from .result import NAMING, Result


@dataclass(frozen=True)
class PreparedCopy(Prepared):
    """A COPY that is read and differentiated.

    Attributes:
        copy: what it says.
        query: its query.
    """

    copy: Copy
    query: Prepared

    def grid(self, values: Mapping[str, Any]) -> tuple[Frame, int] | None:
        """What it would have in memory at once; see :meth:`.prepared.Prepared.grid`."""
        found = self.query.grid(values) if self.copy.form else None
        if found is None or origin(found[0], found[0].templates) is not None:  # it is written a block at a time
            return None
        return found

    def _run(self, values: Mapping[str, Any], executor: Executor) -> Result:
        if not self.copy.form:
            self._admit()
            text, frame = self._text(values), self.context.copied(self.query.bind(values), self.copy.tail)
            return replace(self._pass_on(text, frame), message=f"{self.copy.target}: written")
        try:
            rows = self.query.run(values, executor)
            options = {} if self.copy.template is None else {"template": self.copy.template}
            sizes = rows.write(
                self.copy.target, self.copy.form, self.copy.dims, overwrite=self.copy.overwrite, **options
            )
        except ImportError as error:
            what, _, install = str(error).partition(": ")
            raise UnsupportedError(what, hint=install) from error
        except SqlError as error:
            raise self._placed(error) from error.__cause__
        cells = 1
        for size in sizes.values():
            cells *= size
        over = ", ".join(f"{dim} {size:,}" for dim, size in sizes.items())
        message = f"{self.copy.target}: {counted(cells, 'written').replace('row', 'cell')}"
        return Result(self.statement, self.statement.text, None, message + (f" ({over})" if over else ""), cells)

    def _admit(self) -> None:
        """Refuse a folder that may not be written: of a CSV file the engine says only that it could not end it."""
        if "://" in self.copy.target:
            return
        folder = next(p for p in Path(self.copy.target).absolute().parents if p.exists())
        if not os.access(folder, os.W_OK):
            raise StorageError(
                f"{Path(self.copy.target).name} cannot be written: the folder {folder} is read-only",
                span=self.copy.place,
            )

    def _text(self, values: Mapping[str, Any]) -> str:
        """The statement for the engine: the user's own text where nothing in it is ours."""
        query, context = self.query, self.context
        tree = query.bind(values)
        mended = context.mended(tree, query.statement.text)
        if self.copy.of_table and self.copy.short:  # COPY t is as long as its query, FROM t
            return f"{self.statement.text[: len(query.statement.text)]} {self.copy.tail}"
        if self.copy.of_table or (mended is query.statement.tree and not self.copy.short):
            return self.statement.text
        return f"COPY ({to_sql(mended)}) {self.copy.tail}"

    def _placed(self, error: SqlError) -> SqlError:
        """An error about the file or its dimensions points there."""
        if error.span is None:
            about = "dims" if "dimension" in error.what else "template" if "no dataset" in error.what else ""
            option = self.copy.options.get(about)
            error.span = self.copy.place if option is None else option.span
        if error.hint is not None:
            error.hint = error.hint.replace(NAMING, "OPTIONS ('dims' 'a,b')")
        return error

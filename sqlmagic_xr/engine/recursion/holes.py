"""The queries of a statement as the engine plans them, with holes for what is others each time the statement runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from ...sql.holes import Template
from ...sql.parameters import has_parameters
from ...sql.syntax import Tree, to_sql
from ..faults import NO_TYPES

if TYPE_CHECKING:
    from ..context import Context


class RoundHoles:
    """Writes queries whose placeholders have these values at first.

    Args:
        texts: placeholder -> the literal of its value.
        kinds: the types of placeholders, where they are known.
    """

    def __init__(self, texts: Mapping[str, str] | None = None, kinds: Mapping[str, pa.DataType] = NO_TYPES) -> None:
        self._texts, self._kinds = texts or {}, kinds

    def written(self, tree: Tree, context: Context) -> tuple[str, tuple[Template, Template] | None]:
        """A query's text as the engine plans it; and its tree and that text with holes, where it has any."""
        sql = to_sql(tree)
        mended = context.mended(tree, sql, self._kinds)
        if not (self._texts and has_parameters(sql)):
            return sql if mended is tree else to_sql(mended), None
        holes = Template(tree), Template(mended)
        return holes[1].text(self._texts), holes if holes[0].names else None

"""How rows may be dealt out: as the engine likes, by twos to four partitions, or so many that a batch does not do."""

from sqlmagic_xr import Context

MIXED = "SET datafusion.execution.batch_size = 2; SET datafusion.execution.target_partitions = 4"
MANY = 30_000
"""Rows that no batch holds all of: one has 8,192, and a chunk of a table 65,536."""


def dealing(context: Context, by_twos: bool) -> Context:
    """The context, dealing rows out by twos if that is wanted."""
    if by_twos:
        context.script(MIXED)
    return context

"""How rows may be dealt out: as the engine likes, by twos to four partitions, or so many that a batch does not do.

Both at once is by sixty-fours: by twos so many rows would be 15,000 batches.
"""

from sqlmagic_xr import Context

MIXED = "SET datafusion.execution.batch_size = 2; SET datafusion.execution.target_partitions = 4"
PACKED = "SET datafusion.execution.batch_size = 64; SET datafusion.execution.target_partitions = 4"
"""How MANY rows are dealt out: in hundreds of batches, to four partitions."""
MANY = 30_000
"""Rows that no batch holds all of: one has 8,192, and a chunk of a table 65,536."""


def dealing(context: Context, dealt: bool | str) -> Context:
    """The context, dealing rows out by twos if that is wanted, or as settings say."""
    if dealt:
        context.script(dealt if isinstance(dealt, str) else MIXED)
    return context

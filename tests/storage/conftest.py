import pytest

from sqlmagic_xr import Context


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trajectory.duckdb"


@pytest.fixture
def opened(path):
    """A function that opens the file, having closed it where it was open."""
    contexts = []

    def again(**options):
        for context in contexts:
            if context.store.durable.keeper is not None:
                context.store.close()
        contexts.append(Context(store=path, **options))
        return contexts[-1]

    yield again
    for context in contexts:
        if context.store.durable.keeper is not None:
            context.store.close(anyway=True)

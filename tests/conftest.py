"""What holds for every test."""

import gc

from hypothesis import settings

# A shared or slow machine is no failure, and a run of the tests says the same thing twice.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


def pytest_collection_finish():
    """The collector need not go through all modules and tests again, whenever a test makes objects."""
    gc.collect()
    gc.freeze()

"""What holds for every test."""

from hypothesis import settings

# A shared or slow machine is no failure, and a run of the tests says the same thing twice.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")

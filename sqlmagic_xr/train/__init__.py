"""The training loop, as a generator of events. No display in here."""

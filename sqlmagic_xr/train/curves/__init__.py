"""The curves of a run, kept up to date while it goes on."""

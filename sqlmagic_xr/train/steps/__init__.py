"""The statements of a step: planned once, run at each step."""

"""The graph calculated: NumPy, statement by statement."""

"""Recursive CTEs, evaluated by us: what they are made of, their types, and the rounds until there is no row."""

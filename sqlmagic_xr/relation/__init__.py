"""Bound queries: what every name means, what every relation is, and what is known of it; knows only ``sql/``."""

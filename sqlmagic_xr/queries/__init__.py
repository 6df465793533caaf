"""Queries outside of training as array code: when that pays, and what they give."""

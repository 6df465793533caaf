"""Text <-> syntax tree. No engine in here."""

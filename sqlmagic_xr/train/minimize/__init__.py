"""MINIMIZE: what to minimize is said, and the statements of the step are written: plain SQL that anybody could type."""

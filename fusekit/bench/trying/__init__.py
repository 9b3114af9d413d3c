"""One call run otherwise: compiled, checked, timed."""

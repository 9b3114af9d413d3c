"""The graph in words, for keys and ears."""

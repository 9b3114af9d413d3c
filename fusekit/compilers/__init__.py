"""From source text to code that can be called; with a disk cache."""

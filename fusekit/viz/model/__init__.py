"""The model of a view: plain dicts that need no torch."""

"""The graph as a picture: folded, laid out, drawn."""

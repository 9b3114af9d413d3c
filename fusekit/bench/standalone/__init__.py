"""A kernel to take away, and the program that runs it."""

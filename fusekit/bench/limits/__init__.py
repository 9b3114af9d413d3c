"""Kernels against what the machine can do."""

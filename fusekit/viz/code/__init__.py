"""Texts of kernels: highlighted, linked, compared."""

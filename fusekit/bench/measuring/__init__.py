"""Measuring: samples in turns, rounds until a verdict, and what came of it as values."""

"""What was measured, as pictures and tables."""

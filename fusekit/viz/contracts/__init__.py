"""What a cell or a view promises, and whether it still holds."""

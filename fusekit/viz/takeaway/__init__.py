"""What leaves the notebook: files, cards, reproducers."""

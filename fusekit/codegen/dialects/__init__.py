"""The target languages: each answers the one walk in its own words."""

"""Files only."""

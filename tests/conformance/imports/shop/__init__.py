"""A package with files."""

"""What a filter imports; it runs inside the module and needs the standard library alone."""

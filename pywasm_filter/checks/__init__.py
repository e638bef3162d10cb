"""What can be told of a filter from its source, before anything runs. `checker.check_source` is the way in."""

PART = "of a package without __init__.py"

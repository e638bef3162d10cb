"""Runs componentize-py in a process of its own: reads the arguments of its `componentize` as JSON from stdin.

Its command line is not used because that adds the site-packages of whatever environment it finds to the guest's path.
"""

from __future__ import annotations

import importlib
import json
import sys


def main() -> int:
    """Exit status: 0, or 1 after the tool's text on stderr."""
    request = json.load(sys.stdin)
    sys.path.insert(0, request["package_directory"])
    componentize_py = importlib.import_module("componentize_py")
    try:
        componentize_py.componentize(**request["arguments"])
    except AssertionError as error:  # how it reports every failure
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

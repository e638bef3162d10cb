"""Write the files of the repository that derive from the ABI table; `--check` only tells whether they are stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from proxy_wasm_abi.render import render_repository_files, stale_files

_ROOT = Path(__file__).parents[2]


def main() -> int:
    """Return the exit status: 1 when `--check` finds a stale file."""
    parser = argparse.ArgumentParser(prog="python -m proxy_wasm_abi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a file is stale")
    arguments = parser.parse_args()
    if arguments.check:
        stale = stale_files(_ROOT)
        for file in stale:
            print(f"{file}: stale; run `python -m proxy_wasm_abi`", file=sys.stderr)
        return 1 if stale else 0
    for path, content in render_repository_files().items():
        target = _ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A program of its own: ties the life of this process to its parent's, then becomes the program it is told to.

Arguments: the parent's process id, the program, the program's arguments. Where the system has no such tie (it is
Linux's PR_SET_PDEATHSIG) only the parent's own clean-up ends the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the program named by the arguments of this process."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # SIGKILL, since a filter caught in an endless loop hears nothing else.
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:
            sys.exit("the parent ended before the tie to it was made")
    os.execv(program, sys.argv[2:])


if __name__ == "__main__":
    main()

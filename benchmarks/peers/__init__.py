"""Who does the jobs: pywasm-filter, and others that Envoy can run."""

from __future__ import annotations

from benchmarks.peers.assemblyscript import AssemblyScript
from benchmarks.peers.ext_proc import ExtProc
from benchmarks.peers.floor import Floor
from benchmarks.peers.go import Go
from benchmarks.peers.lua import Lua
from benchmarks.peers.native import Native
from benchmarks.peers.ours import Ours
from benchmarks.peers.peer import Peer, UnavailableError
from benchmarks.peers.rust import Rust

__all__ = ["Peer", "UnavailableError", "all_peers"]


def all_peers() -> list[Peer]:
    """Each of them, in the order of the tables."""
    return [Ours(), Floor(), Native(), Lua(), Rust(), Go(), AssemblyScript(), ExtProc()]

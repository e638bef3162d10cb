"""Where the filter runs: in this interpreter, or as a compiled module under wasmtime.

`Guest` is what the embedded proxy needs of either. The two are imported by name, so that wasmtime is not needed for
tests in process: `guests.inprocess`, `guests.wasmtime_guest`.
"""

from pywasm_filter.testing.guests.guest import Guest, GuestFactory, GuestTrap, TimedGuest

__all__ = ["Guest", "GuestFactory", "GuestTrap", "TimedGuest"]

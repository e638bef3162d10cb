"""Data that all VMs of one vm_id share: workers of one proxy, and plugins with the same vm_id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, overload

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.exceptions import CasMismatch, host_error

ABSENT: Final = 0xFFFF_FFFF
"""The compare-and-swap number of a key that has no value: a host that follows Envoy compares it with nothing."""

_UNCONDITIONAL = 0
_ATTEMPTS = 100


class SharedData:
    """Values by key. A key is text (UTF-8) or bytes, a value is bytes; an empty value is a value.

    The ABI cannot delete a key, nor list keys: what is written stays as long as a VM of this vm_id lives. So keys had
    better not come from requests without a bound. Each value has a compare-and-swap number, which changes whenever it
    is written.
    """

    __slots__ = ()

    def get(self, key: str | bytes) -> bytes | None:
        """The value of `key`, None when it has none. ABI: proxy_get_shared_data."""
        return _read_shared_data(_encode_key(key))[0]

    def get_with_cas(self, key: str | bytes) -> tuple[bytes | None, int]:
        """The value of `key`, None when it has none, and the number by which `set` tells whether it has changed.

        ABI: proxy_get_shared_data.
        """
        return _read_shared_data(_encode_key(key))

    def set(self, key: str | bytes, value: bytes, cas: int | None = None) -> None:
        """Write a value, by default whatever is there.

        With the `cas` of `get_with_cas` it is written only when nobody else has written since, else CasMismatch is
        raised. ABI: proxy_set_shared_data.
        """
        status = _write_shared_data(_encode_key(key), value, _UNCONDITIONAL if cas is None else cas)
        if status != 0:
            raise host_error("proxy_set_shared_data", status)

    @overload
    def update(self, key: str | bytes, function: Callable[[bytes | None], bytes]) -> bytes: ...

    @overload
    def update(self, key: str | bytes, function: Callable[[bytes | None], bytes | None]) -> bytes | None: ...

    def update(self, key: str | bytes, function: Callable[[bytes | None], bytes | None]) -> bytes | None:
        """Write what `function` makes of the present value, and return it; the function may be called several times.

        It is given None when the key has no value. When it returns None, nothing is written. No update of another VM is
        lost: when one comes between, the function is called again with the new value. Raises CasMismatch when that has
        happened a hundred times. ABI: proxy_get_shared_data, proxy_set_shared_data.
        """
        encoded = _encode_key(key)
        absent = ABSENT
        for _ in range(_ATTEMPTS):
            present, cas = _read_shared_data(encoded)
            value = function(present)
            if value is None:
                return present
            status = _write_shared_data(encoded, value, absent if present is None else cas)
            if status == 0:
                return value
            if status != Status.CAS_MISMATCH:
                raise host_error("proxy_set_shared_data", status)
            if present is None:
                # Some hosts create a key with the number 0 only; those that follow Envoy would take that for any value.
                absent = ABSENT if absent == _UNCONDITIONAL else _UNCONDITIONAL
        raise CasMismatch("proxy_set_shared_data", Status.CAS_MISMATCH)


def _encode_key(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")


def _read_shared_data(key: bytes) -> tuple[bytes | None, int]:
    status, value, cas = hostcalls.current.proxy_get_shared_data(key)
    if status == 0:
        return value, cas
    if status == Status.NOT_FOUND:
        return None, ABSENT
    raise host_error("proxy_get_shared_data", status)


def _write_shared_data(key: bytes, value: bytes, cas: int) -> int:
    if not isinstance(value, bytes):
        raise TypeError(f"shared data is bytes, not {type(value).__name__}; encode text first")
    return hostcalls.current.proxy_set_shared_data(key, value, cas)


shared_data: Final = SharedData()
"""The data that the VMs of this vm_id share."""

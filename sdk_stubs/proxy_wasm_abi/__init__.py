"""The Proxy-Wasm ABI 0.2.1: one table, and what is derived from it."""

from proxy_wasm_abi.hosts import Host, find_host, load_hosts
from proxy_wasm_abi.model import Abi, AbiEnum, Callback, EnumMember, Hostcall, Value, load

__all__ = ["Abi", "AbiEnum", "Callback", "EnumMember", "Host", "Hostcall", "Value", "find_host", "load", "load_hosts"]

"""The guest's module of hostcalls: the imports that componentize-py makes, with their arguments checked.

Its own conversion of arguments to WebAssembly panics on a wrong type, a number out of range or a lack of memory, and a
panic kills the VM. Here they end in an exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy_wasm_abi import Hostcall, Value, load

_HEADER: Final = '''"""The hostcalls of the Proxy-Wasm ABI, with their arguments checked."""

# Numbers in the component's import table, and the function that calls one of them with a list of arguments.
numbers = {}
call_import = None


def _bytes(value):
    """What is not plain bytes, or large: componentize-py makes a copy, for which there must be memory."""
    if not isinstance(value, bytes):
        raise TypeError(f"a hostcall takes bytes, not {type(value).__name__}")
    bytearray(len(value))
    return value


def __getattr__(name):
    """A hostcall that was left out of the module."""
    raise RuntimeError(
        f"this module was built without {name}: nothing that its source names needs it; "
        "call what needs it by its name, not with getattr"
    )


def _out_of_range(value):
    return OverflowError(f"{value} is out of range for a hostcall")
'''

_UNIMPLEMENTED: Final = next(
    member.value for enum in load().enums for member in enum.members if member.name == "UNIMPLEMENTED"
)
_LARGE: Final = 0x1_0000


def render_hostcalls(wanted: Iterable[str]) -> str:
    """The source of the module with these hostcalls."""
    names = set(wanted)
    return "\n\n".join([_HEADER, *(_function(hostcall) for hostcall in load().hostcalls if hostcall.name in names)])


def unimplemented_answer(name: str) -> int | tuple[int | bytes, ...]:
    """What a hostcall of that name returns in a module that is to do without it."""
    hostcall = load().hostcall(name)
    assert hostcall is not None
    results = [b"" if value.is_buffer else 0 for value in hostcall.returns]
    return (_UNIMPLEMENTED, *results) if results else _UNIMPLEMENTED


def _function(hostcall: Hostcall) -> str:
    names = [value.name for value in hostcall.params]
    lines = [f"def {hostcall.name}({', '.join([*names, '/'] if names else [])}):"]
    for value in hostcall.params:
        lines += [f"    {line}" for line in _check(value)]
    lines.append(f"    return call_import(numbers[{hostcall.name!r}], [{', '.join(names)}])")
    return "\n".join(lines) + "\n"


def _check(value: Value) -> list[str]:
    name = value.name
    if value.is_buffer:
        return [f"if type({name}) is not bytes or len({name}) > {_LARGE}:", f"    {name} = _bytes({name})"]
    if value.type == "s64":
        condition = f"(({name} + {1 << 63}) & {(1 << 64) - 1}) - {1 << 63} != {name}"
    else:
        bits = 64 if value.type == "u64" else 32
        condition = f"{name} & {(1 << bits) - 1} != {name}"
    return [f"if {condition}:", f"    raise _out_of_range({name})"]

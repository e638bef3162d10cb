"""The custom section in which a module says how it was made, and where its bytes are. It is JSON.

Nothing in it depends on when or where a module was made: no time, no paths. docs/reference/inspect.md describes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pywasm_compiler.wasm.model import Module

PROVENANCE_SECTION: Final = "pywasm-filter"
FORMAT: Final = 1
LAYOUT: Final = "layout"
"""The part of the record that `breakdown` reads."""

_LARGEST: Final = 1 << 32

Record = Mapping[str, Any]


def encode_record(record: Record) -> bytes:
    """The content of the section: the same for the same record."""
    return json.dumps({"format": FORMAT, **record}, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def record_of(module: Module) -> dict[str, Any]:
    """What a module says of itself, by part. Parts that are not there, or are not what they should be, are left out."""
    content = next((custom.content for custom in module.customs if custom.name == PROVENANCE_SECTION), b"{}")
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return {}
    return {part: record[part] for part, is_right in _PARTS.items() if part in record and is_right(record[part])}


def _is_build(part: object) -> bool:
    match part:
        case {"engine": str(), "image": str(), "python": str(), "source_date_epoch": int(), "tools": dict(tools)}:
            return _all(tools.values(), _is_text)
    return False


def _is_options(part: object) -> bool:
    return isinstance(part, dict) and _all(part.values(), lambda value: isinstance(value, (str, bool, int)))


def _is_digest(part: object) -> bool:
    match part:
        case {"files": int(), "sha256": str()}:
            return True
    return False


def _is_filter(part: object) -> bool:
    match part:
        case {"module": str(), "files": int(), "sha256": str()}:
            return True
    return False


def _are_packages(part: object) -> bool:
    return isinstance(part, list) and _all(part, _is_package)


def _is_package(part: object) -> bool:
    match part:
        case {"name": str(), "version": str(), "files": int(), "sha256": str(), "modules": list(modules)}:
            return _all(modules, _is_text)
    return False


def _is_target(part: object) -> bool:
    match part:
        case {"hosts": list(hosts), "allow_missing": list(allowed)}:
            return _all([*hosts, *allowed], _is_text)
    return False


def _is_layout(part: object) -> bool:
    match part:
        case {"code": dict(code), "interpreted": dict(interpreted), "memory": dict(memory)}:
            return _all(code.values(), _is_code) and _all([*interpreted.values(), *memory.values()], _is_size)
    return False


def _is_code(part: object) -> bool:
    match part:
        case {"functions": functions, "size": size}:
            return _is_size(functions) and _is_size(size)
    return False


def _is_size(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < _LARGEST


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _all(values: Any, is_right: Callable[[object], bool]) -> bool:
    return all(map(is_right, values))


_PARTS: Final[Mapping[str, Callable[[object], bool]]] = {
    "build": _is_build,
    "data": _is_digest,
    "filter": _is_filter,
    LAYOUT: _is_layout,
    "options": _is_options,
    "packages": _are_packages,
    "target": _is_target,
}

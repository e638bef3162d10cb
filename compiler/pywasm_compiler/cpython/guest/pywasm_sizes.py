"""Measures what the modules in a snapshot take. It runs in the guest, on a copy of the memory that is thrown away.

An object belongs to the module whose classes, functions and global names lead to it without leading past those of
another module. What modules of several packages lead to is shared, such as names that all use; what no module leads to
is the interpreter's own. Sizes are those of `sys.getsizeof`, as its allocator rounds them up.
"""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEADER = 4
_UNIT = 16
"""What dlmalloc of wasi-libc puts before a block, and what it rounds blocks up to."""

_ENGINE = "/0/"
"""Where the modules are that bring the filter in. What they make is theirs, wherever it hangs."""

_SHARED = "(shared)"
_INTERPRETER = "(interpreter)"
_OWN = "pywasm_sizes"

_MODULE = type(sys)
_NAMES: "Any" = vars(_MODULE)["__dict__"]
"""What gives a module's dict without loading the module, if it is a late one."""


def measure(heap: int) -> "dict[str, dict[str, Any]]":
    """Module -> its `file`, its number of `objects`, their `size` in bytes, and that by the name of their `types`.

    Objects below the address `heap` are static data of the interpreter, and left out.
    """
    gc.unfreeze()
    census = _Census()
    sizes: dict[str, dict[str, Any]] = {}
    for address, value in census.objects.items():
        owner = census.owners.get(address, _INTERPRETER)
        if owner == _OWN or address < heap:
            continue
        entry = sizes.setdefault(owner, {"file": census.files.get(owner, ""), "objects": 0, "size": 0, "types": {}})
        size = max((sys.getsizeof(value) + _HEADER + _UNIT - 1) // _UNIT, 1) * _UNIT
        kind = type(value).__name__
        entry["objects"] += 1
        entry["size"] += size
        entry["types"][kind] = entry["types"].get(kind, 0) + size
    return sizes


_FUNCTION = type(measure)
_CODE = type(measure.__code__)


class _Census:
    """All objects by address, and the modules that they belong to."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.objects: dict[int, object] = {}
        self.owners: dict[int, str] = {id(globals()): _OWN}
        self._packages = {_OWN: _OWN}
        self._by_address: dict[int, str] = {}
        """Modules and their dicts."""
        self._by_file: dict[str, str] = {"<pywasm_sizes>": _OWN}
        self._find_modules()
        self._find_objects()
        self._find_owners()

    def _find_modules(self) -> None:
        for name, module in list(sys.modules.items()):
            if not isinstance(module, _MODULE) or id(module) in self._by_address:
                continue
            file = getattr(module, "__file__", None) or ""
            self.files[name] = file
            self._packages[name] = file[: file.find("/", 1) + 1] + name.partition(".")[0]
            self._by_address[id(module)] = self._by_address[id(_NAMES.__get__(module))] = name
            self._by_file[f"<frozen {name}>"] = name
            if file:
                self._by_file[file] = name

    def _find_objects(self) -> None:
        pending = gc.get_objects()
        own = {id(self), id(self.__dict__), id(pending), *map(id, self.__dict__.values())}
        while pending:
            value = pending.pop()
            address = id(value)
            if address not in self.objects and address not in own:
                self.objects[address] = value
                pending.extend(gc.get_referents(value))

    def _find_owners(self) -> None:
        roots: dict[str, list[object]] = {}
        for address, value in self.objects.items():
            owner = self._owner(value)
            if owner is not None:
                self.owners[address] = owner
                roots.setdefault(owner, []).append(value)
        certain = self.owners.copy()
        for owner, pending in roots.items():
            seen: set[int] = set()
            while pending:
                value = pending.pop()
                address = id(value)
                if address in seen or address not in self.objects:
                    continue
                seen.add(address)
                if address in certain:
                    if certain[address] != owner:
                        continue
                else:
                    before = self.owners.setdefault(address, owner)
                    if before != owner and self._packages.get(before) != self._packages[owner]:
                        self.owners[address] = _SHARED
                pending.extend(gc.get_referents(value))

    def _owner(self, value: object) -> "str | None":
        """The module that an object says it belongs to."""
        if isinstance(value, _FUNCTION):
            return _OWN if value.__globals__ is globals() else self._by_address.get(id(value.__globals__))
        if isinstance(value, _CODE):
            return self._by_file.get(value.co_filename)
        if isinstance(value, type):
            module = type.__dict__["__module__"].__get__(value)
            return module if isinstance(module, str) and module in self._packages else None
        maker = type(value).__module__
        if isinstance(maker, str) and self.files.get(maker, "").startswith(_ENGINE) and not isinstance(value, _MODULE):
            return maker
        return self._by_address.get(id(value))

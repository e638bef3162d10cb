"""From bytes to `Component`: the component layer that tools put around core modules.

Everything is read that tells which core function an import or export of a core module is. Types are counted, not
decoded. Refused, with a message that says where: values, start functions, imported or exported core modules, instances
taken out of instances, asynchronous functions and canonical functions other than lift, lower and those of resources.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import replace
from typing import Final, TypeVar

from pywasm_compiler.wasm.component_model import (
    ROOT_INTERFACE,
    Bundle,
    CanonicalOptions,
    CanonLift,
    CanonLower,
    CanonResource,
    Component,
    CoreAlias,
    CoreBundle,
    CoreDefinition,
    CoreIndex,
    CoreInstantiation,
    CoreModule,
    Imported,
    InstanceExport,
    Instantiation,
    LiftedExport,
    LocalType,
    LoweredImport,
    Resolved,
    ResourceDrop,
    ResourceNew,
    ResourceOperation,
    ResourceRep,
    Sort,
    SortIndex,
    StringEncoding,
)
from pywasm_compiler.wasm.cursor import Cursor
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.format import COMPONENT_PREAMBLE
from pywasm_compiler.wasm.model import CustomSection, ExternKind
from pywasm_compiler.wasm.reader import read_module

_T = TypeVar("_T")

__all__ = [
    "ROOT_INTERFACE",
    "CanonicalOptions",
    "Component",
    "CoreDefinition",
    "CoreInstantiation",
    "CoreModule",
    "LiftedExport",
    "LoweredImport",
    "Resolved",
    "ResourceDrop",
    "ResourceNew",
    "ResourceRep",
    "read_component",
]

# The specification sets no bound to the nesting of components; recursion needs one.
_DEEPEST_NESTING: Final = 32

_CORE_SORT_TYPE: Final = 0x10
_CORE_SORT_MODULE: Final = 0x11
_CORE_SORT_INSTANCE: Final = 0x12

_CANON_LIFT: Final = 0x00
_CANON_LOWER: Final = 0x01
_RESOURCE_OPERATIONS: Final = frozenset(ResourceOperation)


def read_component(data: bytes | bytearray | memoryview) -> Component:
    """Decode a component and its core modules. Raises MalformedModule with an offset into `data`."""
    return _ComponentReader(Cursor(bytes(data)), []).read()


class _ComponentReader:
    def __init__(self, cursor: Cursor, enclosing: list[Component]) -> None:
        self.cursor = cursor
        self.component = Component()
        self.scopes = [self.component, *enclosing]  # the innermost first, as outer aliases count

    def read(self) -> Component:
        start = self.cursor.offset
        if self.cursor.take(min(len(COMPONENT_PREAMBLE), self.cursor.remaining)) != COMPONENT_PREAMBLE:
            raise MalformedModule(start, "not a WebAssembly component")
        previous = 0
        while self.cursor.remaining:
            start = self.cursor.offset
            section_id = self.cursor.byte()
            body = self.cursor.section(self.cursor.u32())
            if section_id == 0:
                self.component.customs.append(CustomSection(body.name(), body.take(body.remaining), previous))
                continue
            self._read_section(start, section_id, body)
            body.expect_end(f"component section {section_id}")
            previous = section_id
        return self.component

    def _read_section(self, start: int, section_id: int, cursor: Cursor) -> None:
        match section_id:
            case 1:
                self._core_module(cursor)
            case 2:
                self._each(cursor, self._core_instance)
            case 3:  # core types: they describe imported core modules, which are refused
                cursor.take(cursor.remaining)
            case 4:
                self._nested_component(cursor)
            case 5:
                self._each(cursor, self._instance)
            case 6:
                self._each(cursor, self._alias)
            case 7:
                self.component.types += [LocalType()] * cursor.count()
                cursor.take(cursor.remaining)
            case 8:
                self._each(cursor, self._canonical)
            case 10:
                self._each(cursor, self._import)
            case 11:
                self._each(cursor, self._export)
            case _:
                raise MalformedModule(start, f"component section {section_id} is not supported")

    @staticmethod
    def _each(cursor: Cursor, read_one: Callable[[Cursor], None]) -> None:
        for _ in range(cursor.count()):
            read_one(cursor)

    def _core_module(self, cursor: Cursor) -> None:
        start = cursor.offset
        content = cursor.take(cursor.remaining)
        try:
            module = read_module(content)
        except MalformedModule as error:
            where = f"in core module {len(self.component.core_modules)}"
            raise MalformedModule(start + error.offset, f"{where}: {error.message}") from error
        self.component.core_modules.append(CoreModule(start, content, module))

    def _nested_component(self, cursor: Cursor) -> None:
        if len(self.scopes) > _DEEPEST_NESTING:
            raise MalformedModule(cursor.offset, f"components nested more than {_DEEPEST_NESTING} deep")
        nested = cursor.section(cursor.remaining)
        self.component.components.append(_ComponentReader(nested, self.scopes).read())

    def _core_instance(self, cursor: Cursor) -> None:
        start = cursor.offset
        form = cursor.byte()
        if form == 0x00:
            module = _index(cursor, self.component.core_modules, "core module")
            arguments: dict[str, int] = {}
            for _ in range(cursor.count()):
                name = cursor.name()
                cursor.expect(_CORE_SORT_INSTANCE, "an argument of a core module")
                arguments[name] = _index(cursor, self.component.core_instances, "core instance")
            self.component.core_instances.append(CoreInstantiation(start, module, arguments))
        elif form == 0x01:
            exports: dict[str, CoreIndex] = {}
            for _ in range(cursor.count()):
                name = cursor.name()
                exports[name] = self._core_index(cursor)
            self.component.core_instances.append(CoreBundle(start, exports))
        else:
            raise MalformedModule(start, f"unknown form of core instance {form:#04x}")

    def _core_index(self, cursor: Cursor) -> CoreIndex:
        kind = _core_kind(cursor.byte(), cursor.offset - 1)
        return CoreIndex(kind, _index(cursor, self._core_space(kind), f"core {kind.name.lower()}"))

    def _core_space(self, kind: ExternKind) -> Sized:
        match kind:
            case ExternKind.TABLE:
                return self.component.core_tables
            case ExternKind.MEMORY:
                return self.component.core_memories
            case ExternKind.GLOBAL:
                return self.component.core_globals
            case _:
                return self.component.core_functions

    def _instance(self, cursor: Cursor) -> None:
        start = cursor.offset
        form = cursor.byte()
        if form == 0x00:
            component = _index(cursor, self.component.components, "component")
            arguments = {}
            for _ in range(cursor.count()):
                name = cursor.name()
                arguments[name] = self._sort_index(cursor)
            self.component.instances.append(Instantiation(start, component, arguments))
        elif form == 0x01:
            exports = {}
            for _ in range(cursor.count()):
                name = _extern_name(cursor)
                exports[name] = self._sort_index(cursor)
            self.component.instances.append(Bundle(start, exports))
        else:
            raise MalformedModule(start, f"unknown form of instance {form:#04x}")

    def _sort_index(self, cursor: Cursor) -> SortIndex:
        start = cursor.offset
        sort = _sort(cursor.byte(), start)
        match sort:
            case Sort.FUNC:
                space: Sized = self.component.functions
            case Sort.TYPE:
                space = self.component.types
            case Sort.COMPONENT:
                space = self.component.components
            case Sort.INSTANCE:
                space = self.component.instances
            case _:
                raise _unsupported_sort(sort, start)
        return SortIndex(sort, _index(cursor, space, sort.name.lower()), start)

    def _alias(self, cursor: Cursor) -> None:
        start = cursor.offset
        sort = _sort(cursor.byte(), start)
        core_sort = cursor.byte() if sort is Sort.CORE else None
        target = cursor.byte()
        if target == 0x00 and core_sort is None:
            instance = _index(cursor, self.component.instances, "instance")
            self._alias_export(sort, InstanceExport(start, instance, cursor.name()))
        elif target == 0x01 and core_sort is not None:
            instance = _index(cursor, self.component.core_instances, "core instance")
            self._alias_core_export(_core_kind(core_sort, start + 1), CoreAlias(instance, cursor.name()))
        elif target == 0x02:
            self._alias_outer(start, sort, core_sort, cursor)
        else:
            raise MalformedModule(start, f"an alias of sort {sort.name.lower()} and unknown target {target:#04x}")

    def _alias_export(self, sort: Sort, alias: InstanceExport) -> None:
        match sort:
            case Sort.FUNC:
                self.component.functions.append(alias)
            case Sort.TYPE:
                self.component.types.append(alias)
            case _:
                raise _unsupported_sort(sort, alias.offset)

    def _alias_core_export(self, kind: ExternKind, alias: CoreAlias) -> None:
        match kind:
            case ExternKind.TABLE:
                self.component.core_tables.append(alias)
            case ExternKind.MEMORY:
                self.component.core_memories.append(alias)
            case ExternKind.GLOBAL:
                self.component.core_globals.append(alias)
            case _:
                self.component.core_functions.append(alias)

    def _alias_outer(self, start: int, sort: Sort, core_sort: int | None, cursor: Cursor) -> None:
        outer = self.scopes[_index(cursor, self.scopes, "enclosing component")]
        if sort is Sort.TYPE:
            _index(cursor, outer.types, "type")
            self.component.types.append(LocalType())
        elif sort is Sort.COMPONENT:
            self.component.components.append(outer.components[_index(cursor, outer.components, "component")])
        elif core_sort == _CORE_SORT_MODULE:
            self.component.core_modules.append(outer.core_modules[_index(cursor, outer.core_modules, "core module")])
        elif core_sort == _CORE_SORT_TYPE:
            cursor.u32()  # core types are not kept
        else:
            raise MalformedModule(start, f"an outer alias of sort {sort.name.lower()} is not supported")

    def _canonical(self, cursor: Cursor) -> None:
        start = cursor.offset
        code = cursor.byte()
        if code == _CANON_LIFT:
            cursor.expect(0x00, "canon lift")
            core_function = _index(cursor, self.component.core_functions, "core function")
            options = self._options(cursor)
            type_index = _index(cursor, self.component.types, "type")
            self.component.functions.append(CanonLift(start, core_function, options, type_index))
        elif code == _CANON_LOWER:
            cursor.expect(0x00, "canon lower")
            function = _index(cursor, self.component.functions, "function")
            self.component.core_functions.append(CanonLower(start, function, self._options(cursor)))
        elif code in _RESOURCE_OPERATIONS:
            type_index = _index(cursor, self.component.types, "type")
            self.component.core_functions.append(CanonResource(start, ResourceOperation(code), type_index))
        else:
            raise MalformedModule(start, f"the canonical function {code:#04x} is not supported")

    def _options(self, cursor: Cursor) -> CanonicalOptions:
        options = CanonicalOptions()
        for _ in range(cursor.count()):
            start = cursor.offset
            match cursor.byte():
                case 0x00 | 0x01 | 0x02 as encoding:
                    options = replace(options, string_encoding=StringEncoding(encoding))
                case 0x03:
                    options = replace(options, memory=_index(cursor, self.component.core_memories, "core memory"))
                case 0x04:
                    options = replace(options, realloc=_index(cursor, self.component.core_functions, "core function"))
                case 0x05:
                    function = _index(cursor, self.component.core_functions, "core function")
                    options = replace(options, post_return=function)
                case unknown:
                    raise MalformedModule(start, f"the canonical option {unknown:#04x} is not supported")
        return options

    def _import(self, cursor: Cursor) -> None:
        name = _extern_name(cursor)
        start = cursor.offset
        sort = self._extern_description(cursor)
        match sort:
            case Sort.FUNC:
                index = _push(self.component.functions, Imported(name))
            case Sort.TYPE:
                index = _push(self.component.types, Imported(name))
            case Sort.INSTANCE:
                index = _push(self.component.instances, Imported(name))
            case _:
                raise _unsupported_sort(sort, start)
        self.component.imports[name] = SortIndex(sort, index)

    def _export(self, cursor: Cursor) -> None:
        name = _extern_name(cursor)
        exported = self._sort_index(cursor)
        has_description = cursor.byte()
        if has_description > 0x01:
            raise MalformedModule(cursor.offset - 1, f"found {has_description:#04x} where 0x00 or 0x01 must stand")
        if has_description:
            self._extern_description(cursor)
        self.component.exports[name] = exported
        # What is exported can be referred to as a new definition from here on.
        match exported.sort:
            case Sort.FUNC:
                self.component.functions.append(self.component.functions[exported.index])
            case Sort.TYPE:
                self.component.types.append(self.component.types[exported.index])
            case Sort.COMPONENT:
                self.component.components.append(self.component.components[exported.index])
            case _:
                self.component.instances.append(self.component.instances[exported.index])

    def _extern_description(self, cursor: Cursor) -> Sort:
        """The sort of an import or export; its type is checked for existence only."""
        start = cursor.offset
        sort = _sort(cursor.byte(), start)
        if sort in (Sort.CORE, Sort.VALUE):
            raise _unsupported_sort(sort, start)
        if sort is Sort.TYPE and self._is_resource_bound(cursor):
            return sort
        _index(cursor, self.component.types, "type")
        return sort

    @staticmethod
    def _is_resource_bound(cursor: Cursor) -> bool:
        """Whether a type is bound to be a resource, or else (0x00) to equal the type whose index follows."""
        bound = cursor.byte()
        if bound > 0x01:
            raise MalformedModule(cursor.offset - 1, f"unknown bound of a type {bound:#04x}")
        return bound == 0x01


def _push(space: list[_T], definition: _T) -> int:
    """Append a definition to its index space; its index."""
    space.append(definition)
    return len(space) - 1


def _index(cursor: Cursor, space: Sized, what: str) -> int:
    start = cursor.offset
    index = cursor.u32()
    if index >= len(space):
        raise MalformedModule(start, f"{what} {index} of {len(space)}")
    return index


def _extern_name(cursor: Cursor) -> str:
    cursor.expect(0x00, "the name of an import or export (version suffixes and attributes are not supported)")
    return cursor.name()


def _sort(byte: int, offset: int) -> Sort:
    if byte > Sort.INSTANCE:
        raise MalformedModule(offset, f"unknown sort {byte:#04x}")
    return Sort(byte)


def _core_kind(byte: int, offset: int) -> ExternKind:
    if byte >= ExternKind.TAG:
        raise MalformedModule(offset, f"a definition of core sort {byte:#04x} is not supported here")
    return ExternKind(byte)


def _unsupported_sort(sort: Sort, offset: int) -> MalformedModule:
    return MalformedModule(offset, f"a definition of sort {sort.name.lower()} is not supported here")

"""A component around its core modules: index spaces, and what an import or export of a core module comes down to.

Types are opaque: the canonical ABI has left its core types in the core modules. An index space lists definitions in
the order of the specification; an export counts as one more definition, equal to what it exports.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Final, TypeAlias

from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import CustomSection, Export, ExternKind, Import, Module

ROOT_INTERFACE: Final = "$root"
"""The interface of what a component imports without an interface, by the convention of core import names."""


class Sort(IntEnum):
    """Sorts of component-level definitions, by their byte."""

    CORE = 0
    FUNC = 1
    VALUE = 2
    TYPE = 3
    COMPONENT = 4
    INSTANCE = 5


class StringEncoding(IntEnum):
    """How strings cross the canonical ABI, by the option's byte."""

    UTF8 = 0
    UTF16 = 1
    LATIN1_UTF16 = 2


@dataclass(frozen=True, slots=True)
class SortIndex:
    """A component-level definition: an index into the space of its sort."""

    sort: Sort
    index: int
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CoreIndex:
    """A core definition: an index into the component's core index space of its kind."""

    kind: ExternKind
    index: int


@dataclass(frozen=True)
class CoreModule:
    """A core module, as bytes and decoded. `offset` is where its bytes start in the component."""

    offset: int
    content: bytes = field(repr=False)
    module: Module = field(repr=False)

    @cached_property
    def exports(self) -> dict[str, Export]:
        """The exports by name."""
        return {export.name: export for export in self.module.exports}

    @cached_property
    def imported(self) -> dict[ExternKind, list[Import]]:
        """The imports of each kind, in the order of the index space."""
        return {kind: self.module.imported(kind) for kind in ExternKind}


@dataclass(frozen=True, slots=True)
class CoreInstantiation:
    """A core instance made from a core module: `arguments` are core instances by the module name of the imports."""

    offset: int
    module: int
    arguments: dict[str, int]


@dataclass(frozen=True, slots=True)
class CoreBundle:
    """A core instance put together from definitions of the component."""

    offset: int
    exports: dict[str, CoreIndex]


CoreInstance: TypeAlias = CoreInstantiation | CoreBundle


@dataclass(frozen=True, slots=True)
class CanonicalOptions:
    """Options of `canon lift` and `canon lower`: indices into the component's core memories and core functions."""

    string_encoding: StringEncoding = StringEncoding.UTF8
    memory: int | None = None
    realloc: int | None = None
    post_return: int | None = None


@dataclass(frozen=True, slots=True)
class CoreAlias:
    """What a core instance exports under a name."""

    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class CanonLower:
    """A core function that calls a component function."""

    offset: int
    function: int
    options: CanonicalOptions


class ResourceOperation(IntEnum):
    """The canonical functions of a resource type, by their byte."""

    NEW = 2
    DROP = 3
    REP = 4


@dataclass(frozen=True, slots=True)
class CanonResource:
    """A core function that makes, drops or looks into a handle of a resource type."""

    offset: int
    operation: ResourceOperation
    type: int


CoreFunction: TypeAlias = CoreAlias | CanonLower | CanonResource


@dataclass(frozen=True, slots=True)
class Imported:
    """A function, type or instance that the component imports under a name."""

    name: str


@dataclass(frozen=True, slots=True)
class InstanceExport:
    """A function or type that an instance exports under a name."""

    offset: int
    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class CanonLift:
    """A component function that calls a core function."""

    offset: int
    core_function: int
    options: CanonicalOptions
    type: int


@dataclass(frozen=True, slots=True)
class Instantiation:
    """An instance made from a nested component."""

    offset: int
    component: int
    arguments: dict[str, SortIndex]


@dataclass(frozen=True, slots=True)
class Bundle:
    """An instance put together from definitions of the component."""

    offset: int
    exports: dict[str, SortIndex]


@dataclass(frozen=True, slots=True)
class LocalType:
    """A type that the component itself defines or takes from an enclosing one; not decoded."""


ComponentFunction: TypeAlias = Imported | InstanceExport | CanonLift
ComponentInstance: TypeAlias = Imported | Instantiation | Bundle
ComponentType: TypeAlias = Imported | InstanceExport | LocalType


@dataclass(frozen=True, slots=True)
class CoreDefinition:
    """What the module of a core instance defines itself: `index` is in the module's index space of `kind`."""

    instance: int
    kind: ExternKind
    index: int


@dataclass(frozen=True, slots=True)
class LoweredImport:
    """A function that the component imports, lowered. `interface` is `ROOT_INTERFACE` for one outside any."""

    interface: str
    function: str
    options: CanonicalOptions


@dataclass(frozen=True, slots=True)
class ResourceFunction:
    """A canonical function of a resource type: an imported one, or the component's own when `interface` is None.

    `resource` is the type's name, `None` for the component's own; `type` its index in the component.
    """

    interface: str | None
    resource: str | None
    type: int


class ResourceNew(ResourceFunction):
    """`canon resource.new`."""


class ResourceDrop(ResourceFunction):
    """`canon resource.drop`."""


class ResourceRep(ResourceFunction):
    """`canon resource.rep`."""


Resolved: TypeAlias = CoreDefinition | LoweredImport | ResourceNew | ResourceDrop | ResourceRep
"""What a core import comes down to."""

_RESOURCE_FUNCTIONS: Final[dict[ResourceOperation, type[ResourceNew | ResourceDrop | ResourceRep]]] = {
    ResourceOperation.NEW: ResourceNew,
    ResourceOperation.DROP: ResourceDrop,
    ResourceOperation.REP: ResourceRep,
}


@dataclass(frozen=True, slots=True)
class LiftedExport:
    """A function that the component exports: the core function, and the one to call after it with its results."""

    function: CoreDefinition
    post_return: CoreDefinition | None
    options: CanonicalOptions


@dataclass(slots=True)
class Component:
    """A component. Each list is an index space; every index in it has been checked to exist."""

    core_modules: list[CoreModule] = field(default_factory=list)
    core_instances: list[CoreInstance] = field(default_factory=list)
    core_functions: list[CoreFunction] = field(default_factory=list)
    core_tables: list[CoreAlias] = field(default_factory=list)
    core_memories: list[CoreAlias] = field(default_factory=list)
    core_globals: list[CoreAlias] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    functions: list[ComponentFunction] = field(default_factory=list)
    instances: list[ComponentInstance] = field(default_factory=list)
    types: list[ComponentType] = field(default_factory=list)
    imports: dict[str, SortIndex] = field(default_factory=dict)
    exports: dict[str, SortIndex] = field(default_factory=dict)
    customs: list[CustomSection] = field(default_factory=list)

    def resolve_import(self, instance: int, module_name: str, field_name: str) -> Resolved:
        """What the import `module_name` `field_name` of the module of a core instance is.

        Raises MalformedModule when the component does not say, or says it with what is not supported.
        """
        owner = self.core_instances[instance]
        if not isinstance(owner, CoreInstantiation):
            raise MalformedModule(owner.offset, f"core instance {instance} has no module, hence no imports")
        return self.resolve_export(self._argument(instance, owner, module_name), field_name)

    def resolve_export(self, instance: int, name: str) -> Resolved:
        """What a core instance exports under a name. Raises MalformedModule like `resolve_import`."""
        while True:  # instances refer to earlier ones only: this comes to an end
            match self.core_instances[instance]:
                case CoreBundle() as bundle:
                    if name not in bundle.exports:
                        raise MalformedModule(bundle.offset, f"core instance {instance} exports no {name!r}")
                    export_index = bundle.exports[name]
                    definition = self._core_definition(export_index.kind, export_index.index)
                    if not isinstance(definition, CoreAlias):
                        return self._canonical(definition)
                    instance, name = definition.instance, definition.name
                case CoreInstantiation() as owner:
                    module = self.core_modules[owner.module]
                    if name not in module.exports:
                        raise MalformedModule(owner.offset, f"core instance {instance} exports no {name!r}")
                    export = module.exports[name]
                    imported = module.imported[export.kind]
                    if export.index >= len(imported):
                        return CoreDefinition(instance, export.kind, export.index)
                    entry = imported[export.index]
                    instance, name = self._argument(instance, owner, entry.module), entry.name

    def resolve(self, kind: ExternKind, index: int) -> Resolved:
        """What stands in the component's core index space of `kind`. Raises MalformedModule like `resolve_import`."""
        definition = self._core_definition(kind, index)
        if isinstance(definition, CoreAlias):
            return self.resolve_export(definition.instance, definition.name)
        return self._canonical(definition)

    def exported_functions(self) -> dict[str, LiftedExport]:
        """The functions that the component exports by name, those of an interface as `interface#function`.

        Raises MalformedModule for a function that is not one of the component's own core functions.
        """
        lifted: dict[str, LiftedExport] = {}
        scope = _Scope(self)
        for name, exported in self.exports.items():
            if exported.sort is Sort.FUNC:
                lifted[name] = self._lifted(name, exported.offset, scope.function(exported.index))
            elif exported.sort is Sort.INSTANCE:
                for function, target in scope.functions_of(exported.index).items():
                    full_name = f"{name}#{function}"
                    lifted[full_name] = self._lifted(full_name, exported.offset, target)
        return lifted

    def _argument(self, instance: int, owner: CoreInstantiation, module_name: str) -> int:
        if module_name not in owner.arguments:
            raise MalformedModule(owner.offset, f"core instance {instance} is given no {module_name!r}")
        return owner.arguments[module_name]

    def _core_definition(self, kind: ExternKind, index: int) -> CoreFunction:
        match kind:
            case ExternKind.TABLE:
                return self.core_tables[index]
            case ExternKind.MEMORY:
                return self.core_memories[index]
            case ExternKind.GLOBAL:
                return self.core_globals[index]
            case _:
                return self.core_functions[index]

    def _canonical(self, definition: CanonLower | CanonResource) -> Resolved:
        if isinstance(definition, CanonResource):
            interface, resource = self._resource(definition)
            return _RESOURCE_FUNCTIONS[definition.operation](interface, resource, definition.type)
        target = _Scope(self).function(definition.function)
        if not isinstance(target, _ImportedFunction):
            raise MalformedModule(definition.offset, "lowering a function of the component itself is not supported")
        return LoweredImport(target.interface, target.name, definition.options)

    def _resource(self, definition: CanonResource) -> tuple[str | None, str | None]:
        match self.types[definition.type]:
            case Imported(name):
                return ROOT_INTERFACE, name
            case InstanceExport(instance=instance, name=name):
                interface = _Scope(self).instance(instance)
                if not isinstance(interface, str):
                    raise MalformedModule(definition.offset, f"the resource {name!r} of a nested component")
                return interface, name
            case LocalType():
                return None, None

    def _lifted(self, name: str, offset: int, function: _ImportedFunction | _LiftedFunction) -> LiftedExport:
        if isinstance(function, _ImportedFunction):
            raise MalformedModule(offset, f"the export {name!r} is an import of the component")
        lift = function.lift
        if function.component is not self:
            raise MalformedModule(lift.offset, f"the export {name!r} is lifted inside a nested component")
        post_return = lift.options.post_return
        return LiftedExport(
            self._own_function(lift, lift.core_function),
            None if post_return is None else self._own_function(lift, post_return),
            lift.options,
        )

    def _own_function(self, lift: CanonLift, index: int) -> CoreDefinition:
        resolved = self.resolve(ExternKind.FUNC, index)
        if not isinstance(resolved, CoreDefinition):
            raise MalformedModule(lift.offset, f"core function {index} is lifted, but no core module defines it")
        return resolved


@dataclass(frozen=True, slots=True)
class _ImportedFunction:
    interface: str
    name: str


@dataclass(frozen=True, slots=True)
class _LiftedFunction:
    component: Component
    lift: CanonLift


@dataclass(frozen=True, slots=True)
class _ScopedExports:
    """The exports of an instance, and the component in which their indices count."""

    scope: _Scope
    exports: dict[str, SortIndex]


@dataclass(frozen=True, slots=True)
class _Scope:
    """A component and what its imports are bound to in the enclosing one; the outermost has its imports open."""

    component: Component
    outer: _Scope | None = None
    arguments: dict[str, SortIndex] = field(default_factory=dict)
    offset: int = 0

    def function(self, index: int) -> _ImportedFunction | _LiftedFunction:
        """Follow a function through instances and nested components to where it comes from."""
        scope = self
        while True:
            match scope.component.functions[index]:
                case CanonLift() as lift:
                    return _LiftedFunction(scope.component, lift)
                case Imported(name):
                    if scope.outer is None:
                        return _ImportedFunction(ROOT_INTERFACE, name)
                    scope, index = scope.outer, scope._argument(name, Sort.FUNC)
                case InstanceExport(offset, instance, name):
                    owner = scope.instance(instance)
                    if isinstance(owner, str):
                        return _ImportedFunction(owner, name)
                    scope, index = owner.scope, _index_of(owner.exports, name, Sort.FUNC, offset)

    def instance(self, index: int) -> _ScopedExports | str:
        """The exports of an instance, or the name of the interface when the outermost component imports it."""
        scope = self
        while True:
            match scope.component.instances[index]:
                case Bundle(exports=exports):
                    return _ScopedExports(scope, exports)
                case Instantiation(offset, component, arguments):
                    inner = scope.component.components[component]
                    return _ScopedExports(_Scope(inner, scope, arguments, offset), inner.exports)
                case Imported(name):
                    if scope.outer is None:
                        return name
                    scope, index = scope.outer, scope._argument(name, Sort.INSTANCE)

    def functions_of(self, instance: int) -> dict[str, _ImportedFunction | _LiftedFunction]:
        """The functions that an instance of the component exports; none for an imported one."""
        owner = self.instance(instance)
        if isinstance(owner, str):
            return {}
        return {
            name: owner.scope.function(exported.index)
            for name, exported in owner.exports.items()
            if exported.sort is Sort.FUNC
        }

    def _argument(self, name: str, sort: Sort) -> int:
        return _index_of(self.arguments, name, sort, self.offset)


def _index_of(definitions: dict[str, SortIndex], name: str, sort: Sort, offset: int) -> int:
    definition = definitions.get(name)
    if definition is None or definition.sort is not sort:
        raise MalformedModule(offset, f"there is no {sort.name.lower()} {name!r}")
    return definition.index

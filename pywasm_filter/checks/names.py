"""What an expression stands for, as far as the source says it without doubt."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pywasm_compiler.source import Source

import pywasm_filter
from pywasm_filter.checks.scopes import (
    Annotated,
    Assigned,
    Binding,
    ClassScope,
    Imported,
    Module,
    Opaque,
    Receiver,
    Scope,
    Unit,
    read_module,
)

_DEEPEST = 40
SDK = "pywasm_filter"
_PATH = "pathlib.Path"
_PATHS = frozenset({_PATH, "pathlib.PosixPath"})
_MAKES_PATHS = frozenset(
    {"absolute", "cwd", "expanduser", "home", "joinpath", "parent", "relative_to", "resolve", "with_name", "with_stem"}
    | {"with_segments", "with_suffix"}
)
_WITHOUT_METHODS = ("abc.ABC", "builtins.object", "typing.Generic", "typing.Protocol")
_TYPE_SHELLS = frozenset({"Final", "ClassVar", "Annotated", "Optional"})


@dataclass(frozen=True)
class External:
    """Something of the standard library, of a package or of the SDK, by its dotted name."""

    name: str


@dataclass(frozen=True)
class Instance:
    """An instance of a class."""

    cls: External | ClassScope


@dataclass(frozen=True)
class Method:
    """A method of an instance of a class that is not the author's. `name` has the class in it."""

    name: str


Meaning: TypeAlias = "External | Instance | Method | Module | Unit | ClassScope"


class Project:
    """All of an author's modules, and what the expressions in them mean."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.modules: Mapping[str, Module] = {source.name: read_module(source) for source in sources}
        self._resolved: dict[tuple[int, int], Meaning | None] = {}
        self._roots: dict[ClassScope, ClassScope | None] = {}

    @property
    def units(self) -> Iterator[Unit]:
        """All functions and module bodies."""
        for module in self.modules.values():
            yield from module.units

    @property
    def classes(self) -> Iterator[ClassScope]:
        """All classes."""
        for module in self.modules.values():
            yield from module.classes

    def mentions(self, name: str) -> int:
        """How often a name occurs in the source, definitions apart."""
        return sum(module.mentioned.get(name, 0) for module in self.modules.values())

    def meaning(self, node: ast.expr, scope: Scope) -> Meaning | None:
        """What an expression stands for; None when that cannot be told for sure."""
        key = id(node), id(scope)
        if key not in self._resolved:
            self._resolved[key] = None  # if it leads to itself, it cannot be told
            self._resolved[key] = self._meaning(node, scope, 0)
        return self._resolved[key]

    def _meaning(self, node: ast.expr, scope: Scope, depth: int) -> Meaning | None:
        if depth > _DEEPEST:
            return None
        match node:
            case ast.Name(id=name):
                return self._named(name, scope, depth + 1)
            case ast.Attribute(value=value, attr=attribute):
                base = self._meaning(value, scope, depth + 1)
                return None if base is None else self._attribute(base, attribute, depth + 1)
            case ast.Call(func=function):
                if isinstance(function, ast.Name) and function.id == "super" and not node.args:
                    return self._super(scope)
                return self._called(self._meaning(function, scope, depth + 1))
            case ast.BinOp(left=left, op=ast.Div()):
                found = self._meaning(left, scope, depth + 1)
                return found if _is_path(found) else None
            case ast.Subscript(value=value):  # a generic class
                found = self._meaning(value, scope, depth + 1)
                return found if isinstance(found, (External, ClassScope)) else None
            case _:
                return None

    # --- names ---

    def _named(self, name: str, scope: Scope | None, depth: int) -> Meaning | None:
        while scope is not None:
            if name in scope.bindings:
                return self._one_of([(binding, scope) for binding in scope.bindings[name]], depth)
            scope_above = scope.parent
            if scope_above is None:
                return self._unbound(name, scope.module, depth)
            scope = scope_above
        return None

    def _unbound(self, name: str, module: Module, depth: int) -> Meaning | None:
        for star in module.stars:
            if star == SDK:
                if name in pywasm_filter.__all__:
                    return External(f"{SDK}.{name}")
            elif star in self.modules:
                if name in self.modules[star].scope.bindings:
                    return self._named(name, self.modules[star].scope, depth + 1)
            else:
                return None
        return External(f"builtins.{name}") if hasattr(builtins, name) else None

    def _one_of(self, bindings: list[tuple[Binding, Scope]], depth: int) -> Meaning | None:
        """What all bindings of a name agree on. None, as after `except ImportError`, does not count."""
        found: list[Meaning] = []
        for binding, scope in bindings:
            if isinstance(binding, Assigned) and _is_none(binding.value):
                continue
            meaning = self._bound(binding, scope, depth + 1)
            if meaning is None:
                return None
            if meaning not in found:
                found.append(meaning)
        return found[0] if len(found) == 1 else None

    def _bound(self, binding: Binding, scope: Scope, depth: int) -> Meaning | None:
        if depth > _DEEPEST:
            return None
        match binding:
            case Imported(target=target):
                return self._imported(target, depth)
            case Annotated(annotation=annotation):
                return self._typed(annotation, scope, depth)
            case Assigned(value=value):
                return self._meaning(value, scope, depth + 1)
            case Receiver(owner=owner, is_class=is_class):
                return owner if is_class else Instance(owner)
            case Unit() | ClassScope():
                return binding
            case Opaque():
                return None

    def _imported(self, target: str, depth: int) -> Meaning | None:
        if target in self.modules:
            return self.modules[target]
        module, _, name = target.rpartition(".")
        if module in self.modules:
            return self._attribute(self.modules[module], name, depth)
        if target.partition(".")[0] in self.modules or any(each.startswith(f"{target}.") for each in self.modules):
            return None  # a package of the author's that holds nothing
        if target.startswith(f"{SDK}.sdk.") and module != f"{SDK}.sdk":
            return External(f"{SDK}.{name}")
        return External(target)

    def _typed(self, annotation: ast.expr, scope: Scope, depth: int) -> Meaning | None:
        """An instance of the class that an annotation names."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
        match annotation:
            case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner) if name in _TYPE_SHELLS:
                first = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
                return self._typed(first, scope, depth + 1)
            case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
                return self._typed(left, scope, depth + 1)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                found = self._meaning(annotation, scope, depth + 1)
                return Instance(found) if isinstance(found, (External, ClassScope)) else None
            case _:
                return None

    # --- attributes and calls ---

    def _attribute(self, base: Meaning, attribute: str, depth: int) -> Meaning | None:
        match base:
            case External(name=name):
                target = f"{name}.{attribute}"
                return self._imported(target, depth) if target in self.modules else External(target)
            case Module():
                submodule = self.modules.get(f"{base.source.name}.{attribute}")
                if attribute in base.scope.bindings:
                    return self._named(attribute, base.scope, depth + 1)
                return submodule
            case Instance(cls=External(name=name)):
                if name in _PATHS and attribute == "parent":
                    return base
                return Method(f"{name}.{attribute}")
            case Instance(cls=ClassScope() as cls):
                return self.member(cls, attribute, depth + 1)
            case ClassScope():
                return self.member(base, attribute, depth + 1, of_instance=False)
            case _:
                return None

    def member(self, cls: ClassScope, name: str, depth: int = 0, *, of_instance: bool = True) -> Meaning | None:
        """What a class of the author's, or an instance of it, has under a name."""
        if depth > _DEEPEST:
            return None
        for each in self.ancestry(cls):
            if isinstance(each, External):
                if of_instance and name == "root" and (root := self.root_of(cls)) is not None:
                    return Instance(root)
                if of_instance and each.name.startswith(f"{SDK}.") and name == "root":
                    return Instance(External(f"{SDK}.RootContext"))
                return Method(f"{each.name}.{name}") if of_instance else External(f"{each.name}.{name}")
            bindings: list[tuple[Binding, Scope]] = [(binding, each) for binding in each.bindings.get(name, ())]
            if of_instance:
                bindings += each.attributes.get(name, [])
            if bindings:
                return self._one_of(bindings, depth)
        return None

    def ancestry(self, cls: ClassScope) -> list[ClassScope | External]:
        """The class and those that it derives from, nearest first, as far as they are known."""
        found: list[ClassScope | External] = []
        pending: list[ClassScope | External] = [cls]
        while pending:
            current = pending.pop(0)
            if current in found:
                continue
            found.append(current)
            if isinstance(current, ClassScope):
                pending += [base for base in self.bases(current) if base is not None]
        return sorted(found, key=lambda each: isinstance(each, External))

    def bases(self, cls: ClassScope) -> list[ClassScope | External | None]:
        """The classes that it names as its bases, None for what is not known."""
        result: list[ClassScope | External | None] = []
        for base in cls.node.bases:
            meaning = self.meaning(base, cls.parent or cls)
            result.append(meaning if isinstance(meaning, (ClassScope, External)) else None)
        return result

    def has_others_methods(self, cls: ClassScope) -> bool:
        """Whether a class has methods that are neither the author's nor the SDK's, or makes up attributes."""
        own = [each for each in self.ancestry(cls) if isinstance(each, ClassScope)]
        return any(name in each.bindings for each in own for name in ("__getattr__", "__getattribute__")) or any(
            base is None or (isinstance(base, External) and not base.name.startswith((f"{SDK}.", *_WITHOUT_METHODS)))
            for each in own
            for base in self.bases(each)
        )

    def root_of(self, cls: ClassScope) -> ClassScope | None:
        """The class in the brackets of `HttpContext["Root"]`, if it is one of the author's."""
        if cls not in self._roots:
            self._roots[cls] = None  # as in `meaning`
            self._roots[cls] = self._find_root(cls)
        return self._roots[cls]

    def _find_root(self, cls: ClassScope) -> ClassScope | None:
        for each in self.ancestry(cls):
            if not isinstance(each, ClassScope):
                continue
            for base in each.node.bases:
                if isinstance(base, ast.Subscript):
                    found = self._typed(base.slice, each.parent or each, 0)
                    if isinstance(found, Instance) and isinstance(found.cls, ClassScope):
                        return found.cls
        return None

    def _called(self, function: Meaning | None) -> Meaning | None:
        match function:
            case External(name=name):
                module, _, last = name.rpartition(".")
                if module in _PATHS and last in _MAKES_PATHS:
                    return Instance(External(module))
                return Instance(function) if last[:1].isupper() else None
            case ClassScope():
                return Instance(function)
            case Method(name=name):
                cls, _, last = name.rpartition(".")
                return Instance(External(_PATH)) if cls in _PATHS and last in _MAKES_PATHS else None
            case Unit():
                returns = None if function.function is None else function.function.returns
                if returns is None or function.is_coroutine or function.decorators:
                    return None
                return self._typed(returns, function.scope.parent or function.scope, 1)
            case _:
                return None

    def _super(self, scope: Scope) -> Meaning | None:
        for bindings in scope.bindings.values():
            for binding in bindings:
                if isinstance(binding, Receiver):
                    bases = [base for base in self.bases(binding.owner) if base is not None]
                    return Instance(bases[0]) if len(bases) == 1 else None
        return None


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_path(meaning: Meaning | None) -> bool:
    return isinstance(meaning, Instance) and isinstance(meaning.cls, External) and meaning.cls.name in _PATHS

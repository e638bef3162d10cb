"""The names of one module: what binds each of them, in which scope, and what the code in each function does."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pywasm_compiler.source import Source

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_ALL = "*"
_SYSTEM_QUESTIONS = frozenset({"platform", "system", "hasattr"})
"""A condition with one of them chooses between systems; of `os.name`, the last part says too little."""

ELSEWHERE = "elsewhere"
"""Among guards: the code may be for another system than a proxy."""


@dataclass(frozen=True)
class Imported:
    """A name that an import binds, to a module or to something in one: its dotted name."""

    target: str


@dataclass(frozen=True)
class Annotated:
    """A name with a type."""

    annotation: ast.expr


@dataclass(frozen=True)
class Assigned:
    """A name that gets the value of an expression."""

    value: ast.expr


@dataclass(frozen=True)
class Receiver:
    """The first parameter of a method. `is_class` tells a class method's."""

    owner: ClassScope
    is_class: bool


@dataclass(frozen=True)
class Opaque:
    """A name that gets its value in a way that is not looked into."""


Binding: TypeAlias = "Imported | Annotated | Assigned | Receiver | Opaque | Unit | ClassScope"


@dataclass(eq=False)
class Scope:
    """Names and what binds them; `parent` is where the others are looked up."""

    parent: Scope | None
    module: Module
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    """Names that `global` and `nonlocal` declare."""

    def bind(self, name: str, binding: Binding) -> None:
        """Add a binding."""
        self.bindings.setdefault(name, []).append(binding)


@dataclass(eq=False)
class ClassScope(Scope):
    """A class of the author's. `attributes` has what its methods assign to `self`, with the scope of each."""

    node: ast.ClassDef = field(kw_only=True)
    attributes: dict[str, list[tuple[Binding, Scope]]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Site:
    """An expression, and how it is reached.

    `conditional`: not whenever the function runs. `guards`: names of the exceptions that are caught there, `*` for all,
    and ELSEWHERE.
    """

    node: ast.expr
    scope: Scope
    conditional: bool
    guards: frozenset[str]


@dataclass(eq=False)
class Unit:
    """Code that runs at a time of its own: a function, a lambda, or a module's body (`node` is None)."""

    name: str
    module: Module
    scope: Scope
    node: Function | ast.Lambda | None = None
    owner: ClassScope | None = None
    sites: list[Site] = field(default_factory=list)
    lambdas: list[Unit] = field(default_factory=list)
    discarded: list[Site] = field(default_factory=list)
    """Expressions whose value nobody uses."""

    assigned: list[tuple[str, Site]] = field(default_factory=list)
    """Local names, and what they get."""

    @property
    def function(self) -> Function | None:
        """Its `def`; None for what has none."""
        return self.node if isinstance(self.node, (ast.FunctionDef, ast.AsyncFunctionDef)) else None

    @property
    def is_coroutine(self) -> bool:
        """Whether a call of it has to be awaited."""
        return isinstance(self.node, ast.AsyncFunctionDef) and not yields(self.node)

    @property
    def decorators(self) -> list[str]:
        """The last parts of the names of its decorators."""
        return [] if self.function is None else [_last_part(entry) for entry in self.function.decorator_list]


@dataclass(eq=False)
class Module:
    """One module of the author's: its scope, its body and all functions in it."""

    source: Source
    scope: Scope = field(init=False)
    body: Unit = field(init=False)
    units: list[Unit] = field(default_factory=list)
    classes: list[ClassScope] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)
    """Modules of which all names are imported."""

    mentioned: dict[str, int] = field(default_factory=dict)
    """How often names occur other than in definitions: as identifiers, attributes, and in strings."""


def read_module(source: Source) -> Module:
    """Find out all of it."""
    module = Module(source)
    module.scope = Scope(None, module)
    module.body = Unit("", module, module.scope)
    module.units.append(module.body)
    _Reader(module).block(source.tree.body, module.body, module.scope, conditional=False, guards=frozenset())
    for node in ast.walk(source.tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                module.mentioned[name] = module.mentioned.get(name, 0) + 1
            case ast.Constant(value=str(name)) if name.isidentifier():
                module.mentioned[name] = module.mentioned.get(name, 0) + 1
    return module


def yields(function: Function | ast.Lambda) -> bool:
    """Whether it is a generator."""
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own_nodes(function))


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions and classes in it."""
    body = function.body if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) else []
    pending: list[ast.AST] = list(body) if isinstance(body, list) else [body]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            pending += ast.iter_child_nodes(node)


def _last_part(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


@dataclass(frozen=True)
class _Place:
    """Where the reader is."""

    unit: Unit
    scope: Scope
    conditional: bool
    guards: frozenset[str]


class _Reader:
    """One walk over a module."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def block(
        self, body: Iterable[ast.stmt], unit: Unit, scope: Scope, *, conditional: bool, guards: frozenset[str]
    ) -> None:
        for statement in body:
            self._statement(statement, _Place(unit, scope, conditional, guards))
            conditional = conditional or _may_leave(statement)

    def _inner(self, body: Iterable[ast.stmt], at: _Place, *, conditional: bool | None = None) -> None:
        conditional = at.conditional if conditional is None else conditional
        self.block(body, at.unit, at.scope, conditional=conditional, guards=at.guards)

    def _statement(self, node: ast.stmt, at: _Place) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, at)
            case ast.ClassDef():
                self._class(node, at)
            case ast.Import() | ast.ImportFrom():
                self._import(node, at)
            case ast.If():
                self._if(node, at)
            case ast.Try() | ast.TryStar():
                self._try(node, at)
            case ast.Expr(value=value):
                at.unit.discarded.append(self._site(value, at))
                self._expression(value, at)
            case ast.Assign(targets=targets, value=value):
                self._expression(value, at)
                for target in targets:
                    self._assign(target, Assigned(value), at)
                if len(targets) == 1 and isinstance(targets[0], ast.Name):
                    at.unit.assigned.append((targets[0].id, self._site(value, at)))
            case ast.AnnAssign(target=target, annotation=annotation, value=value):
                if value is not None:
                    self._expression(value, at)
                self._assign(target, Annotated(annotation), at)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                at.scope.elsewhere.update(names)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    self._expression(item.context_expr, at)
                    if item.optional_vars is not None:
                        self._assign(item.optional_vars, Opaque(), at)
                caught = frozenset(name for item in node.items for name in _suppressed(item.context_expr))
                self._inner(node.body, replace(at, guards=at.guards | caught))
            case ast.For() | ast.AsyncFor() | ast.While():
                if isinstance(node, ast.While):
                    self._expression(node.test, at)
                else:
                    self._expression(node.iter, at)
                    self._assign(node.target, Opaque(), at)
                self._inner(node.body, at, conditional=True)
                self._inner(node.orelse, at, conditional=True)
            case ast.Match(subject=subject, cases=cases):
                self._expression(subject, at)
                for case in cases:
                    for captured in ast.walk(case.pattern):
                        match captured:
                            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                                self._bind(name, Opaque(), at)
                            case ast.MatchMapping(rest=str(name)):
                                self._bind(name, Opaque(), at)
                    if case.guard is not None:
                        self._expression(case.guard, at)
                    self._inner(case.body, at, conditional=True)
            case _:
                self._other(node, at)

    def _other(self, node: ast.stmt, at: _Place) -> None:
        for target in ast.walk(node):
            if isinstance(target, ast.Name) and isinstance(target.ctx, (ast.Store, ast.Del)):
                self._bind(target.id, Opaque(), at)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._expression(child, at)

    # --- definitions ---

    def _function(self, node: Function, at: _Place) -> None:
        owner = at.scope if isinstance(at.scope, ClassScope) else None
        scope = Scope(_enclosing(at.scope), self._module)
        unit = Unit(node.name, self._module, scope, node, owner)
        self._module.units.append(unit)
        self._bind(node.name, unit, at)
        for outside in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self._expression(outside, at)
        self._parameters(unit, node.args)
        self.block(node.body, unit, scope, conditional=False, guards=frozenset())

    def _parameters(self, unit: Unit, arguments: ast.arguments) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        for argument in (*positional, *arguments.kwonlyargs):
            binding = Opaque() if argument.annotation is None else Annotated(argument.annotation)
            unit.scope.bind(argument.arg, binding)
        for argument in filter(None, (arguments.vararg, arguments.kwarg)):
            unit.scope.bind(argument.arg, Opaque())
        if unit.owner is not None and positional and "staticmethod" not in unit.decorators:
            is_class = "classmethod" in unit.decorators or unit.name in ("__init_subclass__", "__class_getitem__")
            unit.scope.bindings[positional[0].arg] = [Receiver(unit.owner, is_class)]

    def _lambda(self, node: ast.Lambda, at: _Place) -> None:
        scope = Scope(_enclosing(at.scope), self._module)
        unit = Unit("", self._module, scope, node)
        self._module.units.append(unit)
        at.unit.lambdas.append(unit)
        self._parameters(unit, node.args)
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self._expression(default, at)
        self._expression(node.body, _Place(unit, scope, conditional=False, guards=frozenset()))

    def _class(self, node: ast.ClassDef, at: _Place) -> None:
        scope = ClassScope(_enclosing(at.scope), self._module, node=node)
        self._module.classes.append(scope)
        self._bind(node.name, scope, at)
        for outside in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self._expression(outside, at)
        self._inner(node.body, _Place(at.unit, scope, at.conditional, at.guards))

    # --- statements ---

    def _import(self, node: ast.Import | ast.ImportFrom, at: _Place) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    self._bind(alias.asname, Imported(alias.name), at)
                else:
                    top = alias.name.partition(".")[0]
                    self._bind(top, Imported(top), at)
            return
        base = _absolute(node, self._module.source.package)
        for alias in node.names:
            if alias.name == "*":
                self._module.stars.append(base)
            else:
                self._bind(alias.asname or alias.name, Imported(f"{base}.{alias.name}"), at)

    def _if(self, node: ast.If, at: _Place) -> None:
        while True:  # `elif` is nested in the tree, and there may be many
            self._expression(node.test, at)
            asks_system = any(_last_part(part) in _SYSTEM_QUESTIONS for part in ast.walk(node.test))
            inside = replace(at, guards=at.guards | {ELSEWHERE}) if asks_system else at
            skipped = _never_in_a_filter(node.test)
            if skipped is not True:
                self._inner(node.body, inside, conditional=True)
            if skipped is False:
                return
            at = replace(inside, conditional=True)
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                self._inner(node.orelse, at)
                return
            node = node.orelse[0]

    def _try(self, node: ast.Try | ast.TryStar, at: _Place) -> None:
        caught = frozenset(
            name
            for handler in node.handlers
            if not (handler.body and isinstance(handler.body[-1], ast.Raise))
            for name in _caught(handler.type)
        )
        self._inner(node.body, replace(at, guards=at.guards | caught))
        for handler in node.handlers:
            if handler.name:
                self._bind(handler.name, Opaque(), at)
            self._inner(handler.body, at, conditional=True)
        self._inner(node.orelse, at)
        self._inner(node.finalbody, at)

    def _assign(self, target: ast.expr, binding: Binding, at: _Place) -> None:
        match target:
            case ast.Name(id=name):
                self._bind(name, binding, at)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                self._expression(target.value, at)
                for known in at.scope.bindings.get(name, ()):
                    if isinstance(known, Receiver):
                        known.owner.attributes.setdefault(attribute, []).append((binding, at.scope))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._assign(part, Opaque(), at)
            case ast.Starred(value=part):
                self._assign(part, Opaque(), at)
            case _:
                self._expression(target, at)

    def _bind(self, name: str, binding: Binding, at: _Place) -> None:
        scope = self._module.scope if name in at.scope.elsewhere else at.scope
        scope.bind(name, binding)

    # --- expressions ---

    def _site(self, node: ast.expr, at: _Place) -> Site:
        return Site(node, at.scope, at.conditional, at.guards)

    def _expression(self, node: ast.expr, at: _Place) -> None:
        pending = [(node, at)]
        while pending:  # expressions may be nested more deeply than Python's own stack allows
            current, place = pending.pop()
            match current:
                case ast.Lambda():
                    self._lambda(current, place)
                    continue
                case ast.Call() | ast.Attribute() | ast.Name():
                    place.unit.sites.append(self._site(current, place))
                case ast.NamedExpr(target=ast.Name(id=name), value=value):
                    self._bind(name, Assigned(value), place)
                case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                    for generator in current.generators:
                        for target in ast.walk(generator.target):
                            if isinstance(target, ast.Name):
                                self._bind(target.id, Opaque(), place)
            later = _conditional_parts(current)
            pending += [
                (child, replace(place, conditional=True) if child in later else place) for child in _children(current)
            ]


def _children(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions in an expression."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, (ast.keyword, ast.comprehension)):
            yield from _children(child)


def _conditional_parts(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            return [body, orelse]
        case ast.BoolOp(values=values):
            return values[1:]
        case _:
            return []


def _enclosing(scope: Scope) -> Scope:
    """Where a function in a scope looks names up: classes are passed over."""
    while isinstance(scope, ClassScope) and scope.parent is not None:
        scope = scope.parent
    return scope


def _may_leave(statement: ast.stmt) -> bool:
    """Whether what follows a statement may not be reached."""
    return any(isinstance(node, (ast.Return, ast.Raise, ast.Break, ast.Continue)) for node in _statements(statement))


def _statements(statement: ast.stmt) -> Iterator[ast.AST]:
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            pending += ast.iter_child_nodes(node)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".") if package else []
    return ".".join([*parts[: max(len(parts) - node.level + 1, 0)], *filter(None, [node.module])])


def _caught(caught: ast.expr | None) -> Iterator[str]:
    match caught:
        case None:
            yield _ALL
        case ast.Tuple(elts=types):
            for each in types:
                yield from _caught(each)
        case _:
            yield _last_part(caught)


def _suppressed(context: ast.expr) -> Iterator[str]:
    if isinstance(context, ast.Call) and _last_part(context.func) == "suppress":
        for argument in context.args:
            yield from _caught(argument)


def _never_in_a_filter(test: ast.expr) -> bool | None:
    """Which branch of an `if` is not looked at: True for the body, False for the `else`; None for neither.

    Those for the type checker and for a program of its own, and what depends on the system.
    """
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _never_in_a_filter(operand)
            return None if inner is None else not inner
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
        case _:
            return None

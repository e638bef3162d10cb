"""Static checks of an author's filter: can it be read and parsed, and does it import what a guest has.

They run before anything is executed, so that a mistake shows at once and with its line. What only an import can tell,
the probe and the engine report.
"""

from __future__ import annotations

import ast
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pywasm_compiler import import_rules as rules
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding, Ignores, errors_of, read_ignores
from pywasm_compiler.guest_modules import guest_modules
from pywasm_compiler.import_rules import Origin
from pywasm_compiler.imports import ImportStatement, Need, find_imports
from pywasm_compiler.parsing import parse_source, read_source
from pywasm_compiler.search import Found, ModuleFinder, editable_root, environment_path


@dataclass(frozen=True)
class Source:
    """A module of the author's. `shown` is its file as the user would write it, `package` is empty outside of one."""

    name: str
    package: str
    shown: Path
    tree: ast.Module
    ignores: Ignores


@dataclass(frozen=True)
class SourceTree:
    """A filter that passed the checks.

    `modules` are the author's own files that it imports, itself first; `installed` those of installed packages.
    `search_path` lists the directories in which the guest has to look for both. `sources` are the author's files once
    more, parsed; those that do not parse, and need not, are left out.
    """

    filter: Path
    modules: tuple[Path, ...]
    installed: tuple[Path, ...]
    search_path: tuple[Path, ...]
    sources: tuple[Source, ...] = field(default=(), compare=False, repr=False)

    @property
    def installed_modules(self) -> list[str]:
        """Names of the modules and packages, as they are imported, that the installed files belong to."""
        tops = []
        for file in self.installed:
            root = next((root for root in reversed(self.search_path) if file.is_relative_to(root)), file.parent)
            tops.append(file.relative_to(root).parts[0].removesuffix(".py"))
        return list(dict.fromkeys(tops))


def read_source_tree(path: Path) -> SourceTree:
    """Check a filter and the modules that it imports, without executing anything.

    Raises CompileError with file, line and remedy for a file that cannot be read, does not parse, or imports what the
    guest does not have; with the others of the kind, if there are several.
    """
    tree, findings = survey(path)
    if error := errors_of(findings):
        raise error
    return tree


def survey(path: Path) -> tuple[SourceTree, list[Finding]]:
    """As `read_source_tree`, with all that was found. Raises CompileError when the filter itself cannot be parsed."""
    text = read_source(path)
    rules.check_file_name(path, path.resolve().name)
    parse_source(text, path)
    return _Walk(path).run()


@dataclass(frozen=True)
class _Visit:
    """A module to look into. `origin` is None for the author's own; `required`: its failure would be the filter's."""

    module: Found
    file: Path
    origin: Origin | None
    required: bool


class _Walk:
    """One walk over a filter and all that it imports, breadth first."""

    def __init__(self, given: Path) -> None:
        self._given = given
        self._filter = given.resolve()
        self._local = (self._filter.parent,)
        linked = given.parent.resolve() != self._filter.parent
        self._shown_directory = self._filter.parent if linked else given.parent
        self._environment = environment_path()
        self._beside = ModuleFinder(self._local)
        self._finder = ModuleFinder((*self._local, *self._environment))
        self._guest = guest_modules()
        self._queue: deque[_Visit] = deque()
        self._modules: dict[Path, bool] = {}
        self._installed: dict[Path, bool] = {}
        self._roots: dict[Path, None] = {}
        self._executed: set[str] = set()
        self._deferred: list[tuple[str, Origin]] = []
        self._sources: dict[Path, Source] = {}
        self._problems: list[CompileError] = []
        self._refused: set[Origin] = set()
        self._needs_stand_ins = False

    def run(self) -> tuple[SourceTree, list[Finding]]:
        """Walk it all."""
        self._enqueue(Found(self._filter.stem, self._filter.parent, self._filter), None, required=True)
        while self._queue:
            self._look_into(self._queue.popleft())
        found = [Finding.of(problem) for problem in self._problems]
        found += [rules.deferred(name, origin) for name, origin in self._deferred if name not in self._executed]
        sources = tuple(self._sources.values())
        ignores = {source.shown: source.ignores for source in sources}
        found = [
            finding for finding in found if finding.file not in ignores or not ignores[finding.file].silence(finding)
        ]
        tree = SourceTree(self._filter, tuple(self._modules), tuple(self._installed), self._search_path(), sources)
        return tree, found

    def _search_path(self) -> tuple[Path, ...]:
        """Directories in the order in which this interpreter looks into them."""
        known = [entry for entry in self._environment if entry in self._roots]
        stand_ins = [rules.STAND_INS] if self._needs_stand_ins else []
        return tuple(dict.fromkeys((*self._local, *known, *self._roots, *stand_ins)))

    def _enqueue(self, module: Found, origin: Origin | None, *, required: bool) -> None:
        """Visit a module once, and once more when it turns out to be required after all."""
        seen = self._modules if origin is None else self._installed
        if module.file is None:
            return
        before = seen.get(module.file)
        if before is None or (required and not before):
            seen[module.file] = required
            self._queue.append(_Visit(module, module.file, origin, required))

    def _look_into(self, visit: _Visit) -> None:
        if visit.origin is None:
            self._check_local(visit)
            return
        line = replace(visit.origin, through="")
        if line in self._refused:  # one reason is enough
            return
        try:
            self._follow_package(visit, visit.origin)
        except CompileError as error:
            if visit.required:
                self._refused.add(line)
                self._problems.append(error)

    # --- the author's own modules: everything is checked ---

    def _check_local(self, visit: _Visit) -> None:
        try:
            source = self._source(visit)
        except CompileError as error:
            if visit.required:
                self._problems.append(error)
            return
        for statement in find_imports(source.tree):
            origin = Origin(source.shown, statement.line)
            need = statement.need if visit.required else Need.OPTIONAL
            try:
                for name in self._targets(statement, visit.module, origin):
                    self._check_import(name, need, origin)
            except CompileError as error:
                if need is not Need.OPTIONAL:
                    self._problems.append(error)

    def _source(self, visit: _Visit) -> Source:
        if visit.file not in self._sources:
            shown = self._shown(visit.file)
            text = read_source(shown)
            tree = parse_source(text, shown)
            self._sources[visit.file] = Source(
                visit.module.name, visit.module.package, shown, tree, read_ignores(text, shown)
            )
        return self._sources[visit.file]

    def _shown(self, file: Path) -> Path:
        """The file as the user would write it: relative if the filter was named so."""
        if file == self._filter:
            return self._given
        return self._shown_directory / file.relative_to(self._filter.parent)

    def _targets(self, statement: ImportStatement, module: Found, origin: Origin) -> Iterator[str]:
        """Dotted names of the modules that a statement imports: the one named, and submodules asked for."""
        base = _absolute(statement, module)
        if base is None:
            raise rules.relative(module, statement.module, statement.names, origin)
        yield base
        yield from self._submodules(base, statement)

    def _submodules(self, base: str, statement: ImportStatement) -> Iterator[str]:
        for name in statement.names:
            if self._is_module(f"{base}.{name}"):
                yield f"{base}.{name}"

    def _is_module(self, name: str) -> bool:
        if self._guest.has_top_level(name):
            return name in self._guest.importable or name in self._guest.missing
        return self._finder.find(name) is not None

    def _check_import(self, name: str, need: Need, origin: Origin) -> None:
        if _top(name) in rules.OURS:
            rules.check_own(name, origin)
            return
        if self._guest.has_top_level(name):
            beside = self._beside.find(_top(name))
            if beside is not None and beside[0].file is not None:
                raise rules.hidden(name, beside[0], origin)
            rules.check_standard(name, origin)
        else:
            self._follow(name, origin, required=need is not Need.OPTIONAL)
        if need is Need.DEFERRED:
            self._deferred.append((name, origin))
        else:
            self._executed.update(_with_parents(name))

    def _follow(self, name: str, origin: Origin, *, required: bool) -> None:
        chain = self._finder.find(name) or self._find_editable(name)
        if chain is None:
            raise rules.not_found(name, origin)
        local = chain[0].root in self._local
        if not local:
            self._roots[chain[0].root] = None
        for module in chain:
            if module.is_native:
                raise rules.native(module, origin)
            self._enqueue(module, None if local else replace(origin, through=module.name), required=required)

    def _find_editable(self, name: str) -> list[Found] | None:
        if _top(name) in sys.stdlib_module_names:  # of this interpreter's alone
            return None
        root = editable_root(_top(name))
        return None if root is None else ModuleFinder((root,)).find(name)

    # --- what others wrote: only what certainly cannot work is reported ---

    def _follow_package(self, visit: _Visit, origin: Origin) -> None:
        try:
            statements = find_imports(parse_source(read_source(visit.file), visit.file, thorough=False))
        except CompileError:
            return  # the probe executes it, and shows the failure in full
        for statement in statements:
            base = _absolute(statement, visit.module)
            if statement.need is Need.OPTIONAL or base is None:
                continue
            for name in (base, *self._submodules(base, statement)):
                if statement.need is Need.DEFERRED:
                    self._follow_later(name, origin)
                elif rules.has_stand_in(name):
                    self._needs_stand_ins = True
                elif name in self._guest.missing:
                    rules.check_standard(name, origin)
                elif self._is_elsewhere(name):
                    self._follow(name, origin, required=visit.required)

    def _follow_later(self, name: str, origin: Origin) -> None:
        """What a function imports: it may never be called, so that nothing of it is an error."""
        if self._is_elsewhere(name):
            with suppress(CompileError):
                self._follow(name, origin, required=False)

    def _is_elsewhere(self, name: str) -> bool:
        """Whether it is a module that is neither the guest's nor ours."""
        return _top(name) not in rules.OURS and not self._guest.has_top_level(name) and self._is_module(name)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _absolute(statement: ImportStatement, module: Found) -> str | None:
    """The absolute name of the module that a statement imports from; None when it leaves the package."""
    if statement.level == 0:
        return statement.module
    parts = module.package.split(".") if module.package else []
    if statement.level > len(parts):
        return None
    return ".".join([*parts[: len(parts) - statement.level + 1], *filter(None, [statement.module])])


def _with_parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}

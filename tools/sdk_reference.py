"""The SDK's reference, from the docstrings of what `pywasm_filter` exports: `python tools/sdk_reference.py [--check]`.

The package is read, not imported (griffe). Every exported name has its place under one of the subjects below.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/reference/sdk.md")
PACKAGE = "pywasm_filter"

_WIDTH = 100
_ENUMS = {"Enum", "IntEnum"}
_CONSTRUCTED = {"contexts", "http_context", "stream_context", "metrics", "foreign"}
"""Modules of whose classes authors make instances, or override the constructor."""
_ABI_FUNCTION = re.compile(r"(?<![`\w])(proxy_[a-z_]+\w)")
_CODE = re.compile(r"`([A-Za-z_][\w.]*)`")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Subject:
    """A section of the page: the exports that these modules of the SDK define, and those that are named."""

    title: str
    text: str
    modules: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


SUBJECTS = (
    Subject(
        "Contexts",
        "What a filter derives its classes from. Callbacks do nothing unless they are overridden. "
        "[Failures](../failures.md) tells what becomes of exceptions in them.",
        ("contexts", "http_context", "stream_context", "registry"),
    ),
    Subject("Messages", "What `self.request` and `self.response` consist of.", ("messages", "headers", "body")),
    Subject(
        "Callouts",
        "What `http_call`, `grpc_call` and `grpc_stream` of a [`Context`](#context) lead to. "
        "[Async callbacks](../async.md) shows how they are used.",
        ("callouts", "grpc"),
    ),
    Subject("Async and time", "See [Async callbacks](../async.md).", ("tasks", "timers")),
    Subject("Shared state", "Between the VMs of a proxy, and between plugins.", ("shared_data", "shared_queue")),
    Subject("Metric types", "See [Metrics](../metrics.md).", ("metrics",)),
    Subject(
        "Attributes of the host",
        "The typed attributes are on [a page of their own](attributes.md).",
        ("properties",),
        ("AttributeNotAvailable",),
    ),
    Subject("Foreign functions", "Functions that a host offers beside the ABI.", ("foreign",)),
    Subject(
        "Configuration",
        "`class Root(RootContext[Settings])` has the plugin's configuration parsed and checked: see "
        "[Configuration](../configuration.md).",
        (),
        ("ConfigurationError",),
    ),
    Subject("Logging", "`logging`, `print` and `warnings` work as well.", ("output",)),
    Subject(
        "Failures and errors",
        "What a hostcall returns other than OK is raised as a [`HostError`](#hosterror).",
        ("failure_policy", "exceptions"),
    ),
    Subject("Enums", "Numbers of the ABI.", ("abi",)),
)


class PageError(Exception):
    """The page cannot be made: a name has no place or no docstring, or two headings have one anchor."""


class Reference:
    """The exports of the package, and the page about them."""

    def __init__(self, root: Path) -> None:
        loader = griffe.GriffeLoader(search_paths=[root], allow_inspection=False)
        package = loader.load(PACKAGE, try_relative_path=False)
        loader.resolve_aliases(external=False)
        self._sdk = package["sdk"]
        self._exports: dict[str, griffe.Object] = {}
        for name in package.exports or []:
            member = package[str(name)]
            self._exports[str(name)] = member.final_target if isinstance(member, griffe.Alias) else member
        self._aliases = {
            name: attribute
            for module in self._sdk.modules.values()
            for name, attribute in module.attributes.items()
            if not attribute.is_alias and str(attribute.annotation) == "TypeAlias"
        }
        self._used: set[str] = set()
        self._anchors: set[str] = set()

    def page(self) -> str:
        """The whole page, as Markdown."""
        sections = [(subject, self._section_names(subject)) for subject in SUBJECTS]
        self._check_placed([name for _, names in sections for name in names])
        sections = [(subject, names) for subject, names in sections if names]
        body: list[str] = []
        for subject, names in sections:
            body += [*self._heading(2, subject.title), subject.text, ""]
            for name in names:
                body += self._export(name, self._exports[name])
        body += self._types()
        return "\n".join([*self._contents(sections), *body]).rstrip() + "\n"

    # --- what goes where ---

    def _section_names(self, subject: Subject) -> list[str]:
        placed = {name for other in SUBJECTS for name in other.names}
        found: list[tuple[int, int, str]] = []
        for name, target in self._exports.items():
            module = target.module.name
            if module in subject.modules and name not in placed:
                found.append((subject.modules.index(module), target.lineno or 0, name))
        return [name for _, _, name in sorted(found)] + [name for name in subject.names if name in self._exports]

    def _check_placed(self, names: list[str]) -> None:
        missing = self._exports.keys() - set(names)
        if missing:
            raise PageError(f"{', '.join(sorted(missing))}: under which subject? Say so in {Path(__file__).name}")

    def _contents(self, sections: list[tuple[Subject, list[str]]]) -> list[str]:
        lines = [
            f"<!-- Generated from the docstrings of {PACKAGE} by `python tools/sdk_reference.py`. Do not edit. -->",
            "# The SDK",
            "",
            f"All that `import {PACKAGE}` offers. It runs inside the module.",
            "",
        ]
        for subject, names in sections:
            links = ", ".join(f"[`{name}`](#{anchor(name)})" for name in names)
            lines.append(f"- [{subject.title}](#{anchor(subject.title)}): {links}")
        return [*lines, f"- [{_TYPES_TITLE}](#{anchor(_TYPES_TITLE)})", ""]

    def _heading(self, level: int, title: str, code: bool = False) -> list[str]:
        slug = anchor(title)
        if slug in self._anchors:
            raise PageError(f"two headings have the anchor {slug}")
        self._anchors.add(slug)
        return ["#" * level + (f" `{title}`" if code else f" {title}"), ""]

    # --- one export ---

    def _export(self, name: str, target: griffe.Object) -> Iterator[str]:
        yield from self._heading(3, name, code=True)
        if isinstance(target, griffe.Class):
            yield from self._class(name, target)
        elif isinstance(target, griffe.Function):
            yield from self._code(self._function_signatures(target))
            yield from self._text(target, name)
        else:
            yield from self._code([f"{name}: {self._annotation(target)}"])
            yield from self._text(target, name)

    def _class(self, name: str, cls: griffe.Class) -> Iterator[str]:
        members = self._members(cls)
        bases = [str(base) for base in cls.bases]
        lines = [f"class {name}({', '.join(bases)})" if bases else f"class {name}"]
        constructor = members.pop("__init__", None)
        if isinstance(constructor, griffe.Function) and cls.module.name in _CONSTRUCTED:
            lines[0] += ":"
            lines += [f"    {line}" for line in self._function_signatures(constructor)]
        yield from self._code(lines)
        for described in self._with_hidden_bases(cls):
            yield from self._text(described, name)
        if constructor is not None and constructor.docstring is not None:
            yield from self._text(constructor, name)
        if _ENUMS & {str(base) for base in cls.bases}:
            yield from self._enum(members, name)
            return
        for member in members.values():
            yield from self._member(name, member)

    def _members(self, cls: griffe.Class) -> dict[str, griffe.Object]:
        """What the class and those of its bases that have no section of their own define, for authors to use."""
        members: dict[str, griffe.Object] = {}
        for owner in self._with_hidden_bases(cls):
            for name, member in owner.members.items():
                public = not name.startswith("_") or (name.startswith("__") and member.docstring) or name == "__init__"
                if public and name not in members and not member.is_alias:
                    assert isinstance(member, griffe.Object)
                    members[name] = member
        attributes = [member for member in members.values() if isinstance(member, griffe.Attribute)]
        return {member.name: member for member in [*attributes, *members.values()]}

    def _with_hidden_bases(self, cls: griffe.Class) -> list[griffe.Class]:
        """The class, and those of its bases that are not exported; the typed attributes have a page of their own."""
        bases = [base for base in cls.mro() if base not in self._exports.values() and base.module.name != "attributes"]
        return [cls, *bases]

    def _enum(self, members: Mapping[str, griffe.Object], name: str) -> Iterator[str]:
        described = any(member.docstring for member in members.values())
        yield "| name | value |" + (" what it means |" if described else "")
        yield "|---|---|" + ("---|" if described else "")
        for member in members.values():
            if isinstance(member, griffe.Attribute):
                text = " ".join(self._text(member, name)).strip() if described else ""
                yield f"| `{member.name}` | `{member.value}` |" + (f" {text} |" if described else "")
        yield ""

    def _member(self, owner: str, member: griffe.Object) -> Iterator[str]:
        yield from self._heading(4, f"{owner}.{member.name}", code=True)
        if isinstance(member, griffe.Function):
            yield from self._code(self._function_signatures(member))
        elif isinstance(member, griffe.Attribute):
            access = "  # read only" if "property" in member.labels and "writable" not in member.labels else ""
            yield from self._code([f"{member.name}: {self._annotation(member)}{access}"])
        yield from self._text(member, owner)

    # --- signatures ---

    def _function_signatures(self, function: griffe.Function) -> list[str]:
        overloads = function.overloads or [function]
        return [line for overload in overloads for line in self._signature(overload, function)]

    def _signature(self, function: griffe.Function, implementation: griffe.Function) -> list[str]:
        parameters = list(self._parameters(function))
        result = f" -> {self._use(function.returns)}" if function.returns is not None else ""
        start = "async def" if "async" in {*function.labels, *implementation.labels} else "def"
        decorators = ["@classmethod"] if "classmethod" in implementation.labels else []
        line = f"{start} {function.name}({', '.join(parameters)}){result}"
        if len(line) <= _WIDTH:
            return [*decorators, line]
        return [*decorators, f"{start} {function.name}(", *(f"    {entry}," for entry in parameters), f"){result}"]

    def _parameters(self, function: griffe.Function) -> Iterator[str]:
        kinds = griffe.ParameterKind
        previous: griffe.ParameterKind | None = None
        for parameter in function.parameters:
            if parameter.name in ("self", "cls"):
                continue
            if previous is kinds.positional_only and parameter.kind is not kinds.positional_only:
                yield "/"
            if parameter.kind is kinds.keyword_only and previous not in (kinds.keyword_only, kinds.var_positional):
                yield "*"
            previous = parameter.kind
            stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
            text = stars + parameter.name
            if parameter.annotation is not None:
                text += f": {self._use(parameter.annotation)}"
            if parameter.default is not None and not stars:
                text += f" = {self._value(function, parameter.default)}"
            yield text
        if previous is kinds.positional_only:
            yield "/"

    @staticmethod
    def _value(function: griffe.Function, default: str | griffe.Expr) -> str:
        """A default; the value instead of the name of a constant that is private to the module."""
        constant = function.module.attributes.get(str(default)) if str(default).startswith("_") else None
        return str(default if constant is None else constant.value)

    def _annotation(self, attribute: griffe.Object) -> str:
        assert isinstance(attribute, griffe.Attribute)
        if attribute.annotation is not None and str(attribute.annotation) != "Final":
            return self._use(attribute.annotation)
        value = str(attribute.value)
        constructor = attribute.parent.members.get("__init__") if attribute.parent is not None else None
        if isinstance(constructor, griffe.Function) and value in {entry.name for entry in constructor.parameters}:
            return self._use(constructor.parameters[value].annotation or "")
        made = re.match(r"([A-Z]\w*)\(", value)
        if made is None:
            raise PageError(f"{attribute.path} has no type")
        return self._use(made[1])

    def _use(self, annotation: str | griffe.Expr) -> str:
        text = str(annotation)
        self._used |= set(_IDENTIFIER.findall(text))
        return text

    # --- text ---

    @staticmethod
    def _code(lines: Iterable[str]) -> Iterator[str]:
        yield from ("```python", *lines, "```", "")

    def _text(self, described: griffe.Object, owner: str) -> Iterator[str]:
        if described.docstring is None:
            raise PageError(f"{described.path} has no docstring")
        own = {entry.name for entry in described.parameters} if isinstance(described, griffe.Function) else set()
        text = _ABI_FUNCTION.sub(r"[`\1`](abi.md#\1)", described.docstring.value)
        yield from (_CODE.sub(lambda code: self._linked(code, owner, own), text), "")

    def _linked(self, code: re.Match[str], owner: str, parameters: set[str]) -> str:
        """A name in a docstring, as a link if there is something about it on this page."""
        if code[1] in parameters or code.string[code.start() - 1 : code.start()] == "[":
            return code[0]
        for name in self._candidates(code[1], owner):
            return f"[{code[0]}](#{anchor(name)})"
        return code[0]

    def _candidates(self, name: str, owner: str) -> Iterator[str]:
        if name in self._exports and name != owner:
            yield name
        first, _, rest = name.partition(".")
        if rest and "." not in rest and self._has_member(first, rest):
            yield name
        target = self._exports.get(owner)
        if not rest and isinstance(target, griffe.Class):
            for cls in [target, *target.mro()]:
                if cls.name in self._exports and self._has_member(cls.name, name):
                    yield f"{cls.name}.{name}"

    def _has_member(self, class_name: str, member: str) -> bool:
        cls = self._exports.get(class_name)
        if not isinstance(cls, griffe.Class) or _ENUMS & {str(base) for base in cls.bases}:
            return False
        return not member.startswith("_") and member in self._members(cls)

    def _types(self) -> Iterator[str]:
        """The aliases that occur in signatures, and in each other."""
        yield from self._heading(2, _TYPES_TITLE)
        told: set[str] = set()
        while missing := sorted((self._used & self._aliases.keys()) - told):
            for name in missing:
                told.add(name)
                value = self._use(self._aliases[name].value or "").strip("'\"")
                yield from self._heading(3, name, code=True)
                yield from self._code([f"{name} = {value}"])
                yield from self._text(self._aliases[name], name)


_TYPES_TITLE = "Types in signatures"


def anchor(heading: str) -> str:
    """The link that GitHub gives to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def main() -> int:
    """Return the exit status: 1 when the page cannot be made, or when `--check` finds it stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if the page is stale")
    arguments = parser.parse_args()
    try:
        page = Reference(ROOT).page()
    except PageError as error:
        print(error, file=sys.stderr)
        return 1
    target = ROOT / PAGE
    if not arguments.check:
        target.write_text(page, encoding="utf-8")
    elif not target.is_file() or target.read_text(encoding="utf-8") != page:
        print(f"{target}: stale; run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

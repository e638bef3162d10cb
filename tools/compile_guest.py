"""Whether the SDK's guest code stays inside what mypyc can compile: `python tools/compile_guest.py`.

Everything that runs inside the module goes through mypy and mypyc's front end, down to the IR that a C compiler, or
another back end, would start from; nothing is written. Each complaint is a line `file:line: error: …`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mypy.errors import CompileError
from mypy.modulefinder import BuildSource
from mypy.options import Options
from mypyc.codegen.emitmodule import compile_modules_to_ir, parse_and_typecheck
from mypyc.errors import Errors
from mypyc.irbuild.mapper import Mapper
from mypyc.options import CompilerOptions

ROOT = Path(__file__).parents[1]


def guest_sources() -> list[BuildSource]:
    """What a filter's module holds of this package."""
    return sources(ROOT, [Path("pywasm_filter/__init__.py"), *_python_files("pywasm_filter/sdk")])


def sources(root: Path, files: Sequence[Path]) -> list[BuildSource]:
    """Files, relative to the directory from which they are imported, with their modules' names."""
    return [BuildSource(str(root / file), _module_name(file), None) for file in files]


def compile_to_ir(sources: list[BuildSource], search_path: Sequence[Path]) -> list[str]:
    """Compile the modules together; returns what mypy and mypyc have to say against them."""
    options = Options()
    options.mypy_path = [str(path) for path in search_path]
    options.python_version = sys.version_info[:2]
    options.cache_dir = os.devnull
    options.incremental = False
    options.export_types = True
    options.preserve_asts = True
    options.warn_unreachable = False
    options.per_module_options = {source.module: {"mypyc": True} for source in sources}
    compiler_options = CompilerOptions()
    groups: list[tuple[list[BuildSource], str | None]] = [(sources, None)]
    try:
        result = parse_and_typecheck(sources, options, compiler_options, groups)
    except CompileError as error:
        return list(error.messages)
    errors = Errors(options)
    mapper = Mapper({source.module: None for source in sources})
    modules = compile_modules_to_ir(result, mapper, compiler_options, errors)
    messages = errors.new_messages()
    missing = {source.module for source in sources} - modules.keys()
    if missing and not errors.num_errors:
        raise RuntimeError(f"mypyc compiled no IR for {', '.join(sorted(missing))}")
    return [message for message in messages if ": error: " in message]


def _python_files(directory: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / directory).rglob("*.py"))


def _module_name(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def main() -> int:
    """Check the guest's code and say what is wrong; returns the exit status."""
    guest = guest_sources()
    messages = compile_to_ir(guest, [ROOT])
    for message in messages:
        print(message)
    print(f"mypyc: {len(messages)} errors in the {len(guest)} modules of the guest")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())

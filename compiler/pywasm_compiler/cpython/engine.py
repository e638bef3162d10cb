"""The engine that compiles a filter together with CPython itself."""

from __future__ import annotations

from dataclasses import replace

from pywasm_compiler.cpython.base import BaseImage
from pywasm_compiler.cpython.loading import import_filter
from pywasm_compiler.cpython.memory import PAGE_SIZE, segments
from pywasm_compiler.engine import Options, Program, Progress
from pywasm_compiler.wasm.model import CustomSection, Limits, MemoryType, Module
from pywasm_compiler.wasm.names import NAME_SECTION, encode_names, module_names
from pywasm_compiler.wasm.writer import write_module


class CPythonEngine:
    """CPython 3.14 and a snapshot of its heap with the filter in it."""

    name = "cpython"

    def compile(self, program: Program, options: Options, progress: Progress) -> bytes:
        """The module's bytes. Raises CompileError when the filter cannot be imported in the guest."""
        base = BaseImage(progress)
        progress("importing the filter in CPython and taking a snapshot")
        memory, stack_top = import_filter(base, program)
        shell = base.shell(program.hostcalls, program.callbacks)
        progress("writing the module")
        return write_module(
            replace(
                shell,
                memories=[MemoryType(Limits(len(memory) // PAGE_SIZE))],
                data=list(segments(memory, stack_top)),
                customs=_customs(shell, None if options.strip else program.filter_module),
            )
        )


def _customs(shell: Module, name: str | None) -> list[CustomSection]:
    """The shell's custom sections; the names of functions only with a name for the module."""
    if name is None:
        return [section for section in shell.customs if section.name != NAME_SECTION]
    named = encode_names(replace(module_names(shell), module=name))
    return [replace(section, content=named) if section.name == NAME_SECTION else section for section in shell.customs]

"""The engine that compiles a filter together with CPython itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pywasm_compiler.cpython.base import BaseImage, tool_versions
from pywasm_compiler.cpython.guest_vm import time_of_import
from pywasm_compiler.cpython.loading import import_filter
from pywasm_compiler.cpython.memory import without
from pywasm_compiler.cpython.packing import packed
from pywasm_compiler.cpython.record import build_record
from pywasm_compiler.engine import DebugInfo, Options, Program, Progress
from pywasm_compiler.provenance import PROVENANCE_SECTION, encode_record, record_of
from pywasm_compiler.wasm.model import CustomSection, Module
from pywasm_compiler.wasm.names import NAME_SECTION, Names, encode_names
from pywasm_compiler.wasm.writer import write_module


class CPythonEngine:
    """CPython 3.14 and a snapshot of its heap with the filter in it."""

    name = "cpython"

    def __init__(self, compiled: Collection[str] | None = None) -> None:
        """`compiled` names the functions of CPython that are not interpreted; there is a list for the default."""
        self._compiled = compiled

    def compile(self, program: Program, options: Options, progress: Progress) -> bytes:
        """The module's bytes. Raises CompileError when the filter cannot be imported in the guest."""
        base = BaseImage(progress, self._compiled)
        progress("importing the filter in CPython and taking a snapshot")
        snapshot = import_filter(base, program, progress, all_docstrings=options.debug_info is DebugInfo.FULL)
        memory, cold = snapshot.memory, base.cold_code()
        shell = base.shell(program.hostcalls, program.callbacks, compile_all=options.compile_all)
        if options.compile_all:
            memory = without(memory, cold)
        progress("writing the module")
        module = replace(shell, customs=_customs(shell, program, base, options, snapshot.data))
        return write_module(packed(module, memory, (snapshot.stack_top, cold.start, cold.stop)))


def _customs(
    shell: Module, program: Program, base: BaseImage, options: Options, data: Mapping[str, Any]
) -> list[CustomSection]:
    """The shell's custom sections, with what there is to say of the program."""
    module_name = encode_names(Names(module=program.filter_module))  # of which the shell has none
    record = {
        **record_of(shell),
        **build_record(base.identity, tool_versions(), time_of_import(), options),
        **program.provenance,
        "data": dict(data),
    }
    customs = []
    for section in shell.customs:
        if section.name == PROVENANCE_SECTION:
            customs.append(replace(section, content=encode_record(record)))
        elif section.name != NAME_SECTION:
            customs.append(section)
        elif options.debug_info is not DebugInfo.NONE:
            customs.append(replace(section, content=module_name + section.content))
    return customs

"""CPython as an engine: componentize-py takes the snapshot, the linker makes one core module of it."""

from pywasm_compiler.cpython.engine import CPythonEngine

__all__ = ["CPythonEngine"]

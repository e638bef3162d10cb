"""CPython as an engine: componentize-py makes the interpreter, the linker makes one core module of it.

Nothing is imported here: who only looks at modules needs neither componentize-py nor wasmtime.
"""

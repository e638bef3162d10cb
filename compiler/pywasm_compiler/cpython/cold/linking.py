"""Interpreted functions in a module that is being linked."""

from __future__ import annotations

from pywasm_compiler.cpython.cold import interpreter
from pywasm_compiler.cpython.cold.image import ColdImage
from pywasm_compiler.cpython.layout import STACK_POINTER_INDEX, FunctionTable, TypeTable
from pywasm_compiler.wasm.component_model import CoreDefinition
from pywasm_compiler.wasm.model import FuncType


class ColdFunctions:
    """The interpreter for an image, in a module, and the stubs of its functions."""

    def __init__(self, image: ColdImage, functions: FunctionTable, types: TypeTable) -> None:
        self._image = image
        self._functions = functions
        self._types = types
        self._entries: dict[FuncType, tuple[int, int]] = {}
        """Element of the table and type, by the type of the functions that they are for."""
        self._surroundings = interpreter.Surroundings(
            stack_pointer=STACK_POINTER_INDEX,
            directory=image.address,
            interpret=functions.next_index,
            invoke=functions.next_index + 1,
        )
        functions.add(interpreter.interpret(self._surroundings, image.operations))
        functions.add(interpreter.invoke(image.signatures, types.index))
        self.elements = [functions.defined(definition) for definition in image.elements]
        """What the table has to hold from `table_size` of the image on, once all stubs are made."""

    @property
    def addresses(self) -> range:
        """Where in memory the code is that is interpreted."""
        return self._image.addresses

    def has(self, definition: CoreDefinition) -> bool:
        """Whether a function is interpreted."""
        return definition in self._image.functions

    def stub(self, definition: CoreDefinition, signature: FuncType) -> bytes:
        """The body of what stands for an interpreted function in the module."""
        if signature not in self._entries:
            entry = interpreter.entry(signature, self._surroundings)
            self._entries[signature] = self._image.table_size + len(self.elements), self._types.index(entry.type)
            self.elements.append(self._functions.add(entry))
        return interpreter.stub(signature, self._image.functions[definition], *self._entries[signature])

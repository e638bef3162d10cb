"""The hostcalls as Python calls them: builtin functions made of CPython's C API, which check their arguments.

They stand in a table of PyMethodDef in the glue's memory, the same for all modules of a base image: a module that does
not import a hostcall has a function there that raises.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxy_wasm_abi import Hostcall, Value, load

from pywasm_compiler.cpython.glue import I32, I64, Code, GlueFunction
from pywasm_compiler.cpython.python_api import (
    BYTES_CONTENT,
    OBJECT_SIZE,
    OBJECT_TYPE,
    POINTER,
    Frame,
    branch_if_failed,
)
from pywasm_compiler.cpython.symbols import Symbols
from pywasm_compiler.wasm.model import FuncType

MODULE: Final = "pywasm_hostcalls"
"""The guest's module of hostcalls."""

_FASTCALL: Final = FuncType((I32, I32, I32), (I32,))
"""(module, arguments, their count) -> object or null."""
_ARGUMENTS, _COUNT = 1, 2
_OUT_SIZE: Final = 8
_METHOD_DEF: Final = struct.Struct("<4I")
"""Name, function, flags, documentation."""
_METH_FASTCALL: Final = 0x80

_WRONG_COUNT: Final = "%s takes %i arguments, not %i"
_NOT_BYTES: Final = "a hostcall takes bytes, not %T"
_LEFT_OUT: Final = (
    "this module was built without %s: nothing that its source names needs it; "
    "call what needs it by its name, not with getattr"
)


def unimplemented_answer(name: str) -> int | tuple[int | bytes, ...]:
    """What a hostcall of that name returns in a module that is to do without it."""
    hostcall = load().hostcall(name)
    assert hostcall is not None
    results = [b"" if value.is_buffer else 0 for value in hostcall.returns]
    return (_UNIMPLEMENTED, *results) if results else _UNIMPLEMENTED


_UNIMPLEMENTED: Final = next(
    member.value for enum in load().enums for member in enum.members if member.name == "UNIMPLEMENTED"
)


class HostcallTable:
    """PyMethodDef of all hostcalls, and the texts that their functions refer to; `content` goes to `address`.

    `imports` are the host's functions. The order is fixed, so that what stands in memory is the same for all modules of
    a base image.
    """

    def __init__(self, symbols: Symbols, imports: Mapping[str, int], add: Callable[[GlueFunction], int]) -> None:
        self.address = symbols.scratch.constants
        hostcalls = load().hostcalls
        texts = (MODULE, _WRONG_COUNT, _NOT_BYTES, _LEFT_OUT, *(hostcall.name for hostcall in hostcalls))
        self.texts: dict[str, int] = {}
        end = self.address + _METHOD_DEF.size * (1 + len(hostcalls))
        for text in texts:
            self.texts[text] = end
            end += len(text.encode()) + 1
        helpers = Helpers(
            wrong_count=add(wrong_count(symbols, self.texts)),
            is_bytes=add(is_bytes(symbols, self.texts)),
            make_tuple=add(make_tuple(symbols)),
        )
        self.content = b""
        for hostcall in hostcalls:
            if hostcall.name in imports:
                function = builtin_hostcall(hostcall, imports[hostcall.name], symbols, self.texts, helpers)
            else:
                function = missing_hostcall(hostcall, symbols, self.texts)
            self.content += _METHOD_DEF.pack(self.texts[hostcall.name], symbols.pointer(function), _METH_FASTCALL, 0)
        self.content += bytes(_METHOD_DEF.size) + b"".join(text.encode() + b"\0" for text in texts)


@dataclass(frozen=True)
class Helpers:
    """Functions, by their index, that all hostcalls share."""

    wrong_count: int
    """(name, expected, given) -> (): raise TypeError."""
    is_bytes: int
    """(object) -> whether its class derives from bytes; if not, TypeError is raised."""
    make_tuple: int
    """(address of objects, count) -> tuple or null: takes the objects; null is among them when one was not made."""


# --- helpers ----------------------------------------------------------------------------------------------------------


def wrong_count(symbols: Symbols, texts: Mapping[str, int]) -> GlueFunction:
    """See `Helpers`."""
    code = Code(FuncType((I32, I32, I32)))
    _raise(code, symbols, "PyExc_TypeError", texts[_WRONG_COUNT], (0, 1, 2))
    return code.function("wrong count of arguments")


def is_bytes(symbols: Symbols, texts: Mapping[str, int]) -> GlueFunction:
    """See `Helpers`."""
    code = Code(FuncType((I32,), (I32,)))
    code.local_get(0).i32_load(OBJECT_TYPE).i32_const(symbols.address("PyBytes_Type"))
    code.call(symbols.function("PyType_IsSubtype")).if_()
    code.i32_const(1).return_()
    code.end()
    _raise(code, symbols, "PyExc_TypeError", texts[_NOT_BYTES], (0,))
    code.i32_const(0)
    return code.function("is bytes")


def make_tuple(symbols: Symbols) -> GlueFunction:
    """See `Helpers`."""
    code = Code(FuncType((I32, I32), (I32,)))
    address, count = 0, 1
    index = code.local(I32)
    code.block().loop()
    code.local_get(index).local_get(count).i32_eq().if_()
    code.local_get(address).local_get(count).call(symbols.function("_PyTuple_FromArraySteal")).return_()
    code.end()
    _load_item(code, address, index)
    code.i32_eqz().br_if(1)
    code.local_get(index).i32_const(1).i32_add().local_set(index)
    code.br(0).end().end()
    code.loop()
    code.local_get(count).i32_const(1).i32_sub().local_set(count)
    _load_item(code, address, count)
    code.call(symbols.function("Py_DecRef"))
    code.local_get(count).br_if(0)
    code.end()
    code.i32_const(0)
    return code.function("make tuple")


def _load_item(code: Code, address: int, index: int) -> None:
    code.local_get(address).local_get(index).i32_const(POINTER).i32_mul().i32_add().i32_load()


def _raise(code: Code, symbols: Symbols, exception: str, text: int, arguments: Sequence[int]) -> None:
    """Set an exception with a text formatted with these locals."""
    frame = Frame(code, POINTER * len(arguments))
    frame.take(code)
    for position, argument in enumerate(arguments):
        code.local_get(frame.address).local_get(argument).i32_store(POINTER * position)
    code.i32_const(symbols.address(exception)).i32_load().i32_const(text).local_get(frame.address)
    code.call(symbols.function("PyErr_Format")).drop()
    frame.give_back(code)


# --- hostcalls --------------------------------------------------------------------------------------------------------


def missing_hostcall(hostcall: Hostcall, symbols: Symbols, texts: Mapping[str, int]) -> GlueFunction:
    """Stands for a hostcall that the module does not import: raises RuntimeError."""
    code = Code(_FASTCALL)
    name = code.local(I32)
    code.i32_const(texts[hostcall.name]).local_set(name)
    _raise(code, symbols, "PyExc_RuntimeError", texts[_LEFT_OUT], (name,))
    code.i32_const(0)
    return code.function(_name(hostcall))


def builtin_hostcall(
    hostcall: Hostcall, imported: int, symbols: Symbols, texts: Mapping[str, int], helpers: Helpers
) -> GlueFunction:
    """The function of a PyMethodDef: `imported` is the host's function.

    The content of bytes is passed where it is. What the host returns, it has allocated with the module's allocator; it
    is freed once Python has a copy. Results are zeroed first, as a host need not store them when it fails.
    """
    code = Code(_FASTCALL)
    outs = [_Out(value) for value in hostcall.returns]
    count = 1 + len(outs)
    # Where the host stores what it returns, and the objects made of it.
    frame = Frame(code, _OUT_SIZE * len(outs) + POINTER * count) if outs else None
    objects = _OUT_SIZE * len(outs)
    code.local_get(_COUNT).i32_const(len(hostcall.params)).i32_ne().if_()
    code.i32_const(texts[hostcall.name]).i32_const(len(hostcall.params)).local_get(_COUNT)
    code.call(helpers.wrong_count).i32_const(0).return_()
    code.end()
    code.block()
    arguments = [
        _argument(code, symbols, helpers, value, POINTER * position) for position, value in enumerate(hostcall.params)
    ]
    if frame is not None:
        frame.take(code)
        for position, _ in enumerate(outs):
            code.local_get(frame.address).i64_const(0).i64_store(_OUT_SIZE * position)
        code.local_get(frame.address)
    for value, local in zip(hostcall.params, arguments, strict=True):
        if value.is_buffer:
            code.local_get(local).i32_const(BYTES_CONTENT).i32_add()
            code.local_get(local).i32_load(OBJECT_SIZE)
        else:
            code.local_get(local)
    if frame is None:
        code.call(imported).call(symbols.function("PyLong_FromUnsignedLong")).return_()
    else:
        for position, out in enumerate(outs):
            for offset in out.offsets:
                code.local_get(frame.address).i32_const(_OUT_SIZE * position + offset).i32_add()
        code.call(imported).call(symbols.function("PyLong_FromUnsignedLong")).i32_store(objects)
        for position, out in enumerate(outs):
            code.local_get(frame.address)
            out.make_object(code, symbols, frame.address, _OUT_SIZE * position)
            code.i32_store(objects + POINTER * (1 + position))
        code.local_get(frame.address).i32_const(objects).i32_add().i32_const(count).call(helpers.make_tuple)
        frame.give_back(code)
        code.return_()
    code.end()
    code.i32_const(0)
    return code.function(_name(hostcall))


def _name(hostcall: Hostcall) -> str:
    return f"hostcall {hostcall.name}"


def _argument(code: Code, symbols: Symbols, helpers: Helpers, value: Value, offset: int) -> int:
    """A new local with an argument: a number, or a bytes object. Where it is neither, the block is left."""
    wide = value.core_types == ("i64",)
    local = code.local(I64 if wide else I32)
    code.local_get(_ARGUMENTS).i32_load(offset)
    if value.is_buffer:
        code.local_tee(local).i32_load(OBJECT_TYPE).i32_const(symbols.address("PyBytes_Type")).i32_ne().if_()
        code.local_get(local).call(helpers.is_bytes).i32_eqz().br_if(1)
        code.end()
    else:
        code.call(symbols.function(_CONVERSIONS.get(value.type, "PyLong_AsUnsignedLong"))).local_set(local)
        branch_if_failed(code, symbols, local, 0, wide=wide)
    return local


_CONVERSIONS: Final = {"u64": "PyLong_AsUnsignedLongLong", "s64": "PyLong_AsLongLong"}


class _Out:
    """A result: where in its 8 bytes the host stores it, and the object that is made of that."""

    def __init__(self, value: Value) -> None:
        self._value = value

    @property
    def offsets(self) -> tuple[int, ...]:
        """An offset for each out-pointer."""
        return (0, POINTER) if self._value.is_buffer else (0,)

    def make_object(self, code: Code, symbols: Symbols, frame: int, offset: int) -> None:
        """Push the object, or null with an exception set."""
        if self._value.is_buffer:
            content = code.local(I32)
            made = code.local(I32)
            code.local_get(frame).i32_load(offset).local_tee(content)
            code.local_get(frame).i32_load(offset + POINTER).i32_const(0).local_get(content).select()
            code.call(symbols.function("PyBytes_FromStringAndSize")).local_set(made)
            code.local_get(content).call(symbols.function("free"))
            code.local_get(made)
        elif self._value.core_types == ("i64",):
            name = "PyLong_FromLongLong" if self._value.type == "s64" else "PyLong_FromUnsignedLongLong"
            code.local_get(frame).i64_load(offset).call(symbols.function(name))
        else:
            code.local_get(frame).i32_load(offset).call(symbols.function("PyLong_FromUnsignedLong"))

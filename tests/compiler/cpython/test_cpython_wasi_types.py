"""The table of WASI functions against the types of a real component."""

from collections.abc import Iterator

import pytest
import wasmtime
from pywasm_compiler.cpython.wasi import ERROR_CODES, WASI, Fails, is_wasi
from pywasm_compiler.wasm.component import read_component
from pywasm_compiler.wasm.model import ExternKind
from wasmtime import component

pytestmark = pytest.mark.xdist_group("cpython_module")

SIZES = {
    component.Bool: 1,
    component.U8: 1,
    component.S8: 1,
    component.U16: 2,
    component.S16: 2,
    component.U32: 4,
    component.S32: 4,
    component.U64: 8,
    component.S64: 8,
    component.String: 4,
}


def alignment(value_type: object) -> int:
    """By the canonical ABI, for the types that WASI uses."""
    if value_type is None:
        return 1
    for kind, size in SIZES.items():
        if isinstance(value_type, kind):
            return size
    match value_type:
        case component.ListType() | component.OwnType() | component.BorrowType():
            return 4
        case component.RecordType():
            return max(alignment(field) for _, field in value_type.fields)
        case component.TupleType():
            return max(alignment(element) for element in value_type.elements)
        case component.VariantType():
            return max(alignment(payload) for _, payload in value_type.cases)
        case component.OptionType():
            return alignment(value_type.payload)
        case component.ResultType():
            return max(alignment(value_type.ok), alignment(value_type.err))
        case component.EnumType() | component.FlagsType():
            return 1  # WASI has none of more than 256 cases or 8 flags
    raise AssertionError(value_type)


def error_names(error: object) -> list[str]:
    match error:
        case component.EnumType():
            return error.names
        case component.VariantType():
            return [name for name, _ in error.cases]
    raise AssertionError(error)


def functions(component_bytes: bytes) -> Iterator[tuple[str, component.FuncType]]:
    """Key of the table and type of each WASI function that the component imports."""
    config = wasmtime.Config()
    config.cranelift_opt_level = "none"
    engine = wasmtime.Engine(config)
    for interface, extern in component.Component(engine, component_bytes).type.imports(engine).items():
        instance = extern.ty
        if is_wasi(interface) and isinstance(instance, component.ComponentInstanceType):
            for name, entry in instance.exports(engine).items():
                if isinstance(entry.ty, component.FuncType):
                    yield f"{interface.partition('@')[0]} {name}", entry.ty


def test_failing_functions_store_what_their_type_says(component_bytes: bytes) -> None:
    checked = 0
    for key, signature in functions(component_bytes):
        builder = WASI.get(key)
        if isinstance(builder, Fails):
            result = signature.result
            assert isinstance(result, component.ResultType), key
            assert builder.offset == alignment(result), key
            assert error_names(result.err).index(builder.error) == ERROR_CODES[builder.error], key
            checked += 1
    assert checked > 60


def test_every_import_of_the_libraries_is_known_or_not_needed(component_bytes: bytes) -> None:
    imported = {
        f"{entry.module.partition('@')[0]} {entry.name}"
        for core_module in read_component(component_bytes).core_modules
        for entry in core_module.imported[ExternKind.FUNC]
        if is_wasi(entry.module)
    }
    # Served without WASI: libc's function above it is replaced. The other is the adapter's, which is left out.
    not_needed = {
        "wasi:random/random get-random-bytes",
        "wasi:io/streams [method]output-stream.blocking-write-and-flush",
    }
    assert imported - WASI.keys() == not_needed
    assert WASI.keys() - imported == set()

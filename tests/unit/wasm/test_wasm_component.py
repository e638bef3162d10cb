from collections.abc import Iterator

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.wasm.component import (
    ROOT_INTERFACE,
    CanonicalOptions,
    Component,
    CoreDefinition,
    CoreInstantiation,
    LiftedExport,
    LoweredImport,
    Resolved,
    ResourceDrop,
    ResourceNew,
    ResourceRep,
    read_component,
)
from pywasm_compiler.wasm.component_model import Sort, SortIndex, StringEncoding
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import ExternKind
from pywasm_compiler.wasm.reader import read_module

PREAMBLE = b"\0asm\x0d\0\x01\0"

# A library that uses the memory and a function of the main module, and functions of the host.
LINKED = """
  (component
    (type $host-type (instance
      (export "handle" (type $h (sub resource)))
      (type $f (func (param "p" u32) (result u32)))
      (export "get" (func (type $f)))))
    (import "test:pkg/host@1.0.0" (instance $host (type $host-type)))
    (import "tick" (func $tick (param "p" u32)))
    (alias export $host "handle" (type $handle))
    (alias export $host "get" (func $get))

    (core module $main
      (import "libc" "unused" (func))
      (memory (export "memory") 1)
      (table (export "table") 1 funcref)
      (global (export "sp") (mut i32) (i32.const 0))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
      (func (export "helper")))
    (core module $unused (func (export "unused")))
    (core module $library
      (import "env" "memory" (memory 1))
      (import "env" "table" (table 1 funcref))
      (import "env" "sp" (global (mut i32)))
      (import "env" "helper" (func $helper))
      (import "host" "get" (func (param i32) (result i32)))
      (import "host" "drop" (func (param i32)))
      (import "$root" "tick" (func (param i32)))
      (global (export "own-global") i32 (i32.const 1))
      (export "helper-again" (func $helper))
      (export "memory-again" (memory 0))
      (func (export "run") (param i32) (result i32) unreachable)
      (func (export "run-post") (param i32)))

    (core instance $u (instantiate $unused))
    (core instance $m (instantiate $main (with "libc" (instance $u))))
    (alias core export $m "memory" (core memory $memory))
    (alias core export $m "realloc" (core func $realloc))
    (core func $get' (canon lower (func $get)
      (memory (core memory $memory)) (realloc (core func $realloc)) string-encoding=utf16))
    (core func $drop' (canon resource.drop $handle))
    (core func $tick' (canon lower (func $tick)))
    (core instance $host-bundle (export "get" (func $get')) (export "drop" (func $drop')))
    (core instance $root-bundle (export "tick" (func $tick')))
    (core instance $l (instantiate $library
      (with "env" (instance $m))
      (with "host" (instance $host-bundle))
      (with "$root" (instance $root-bundle))))
    (alias core export $l "run" (core func $run))
    (alias core export $l "run-post" (core func $run-post))
    (func $lifted (param "p" u32) (result u32)
      (canon lift (core func $run) (memory (core memory $memory)) (post-return (core func $run-post))))
    (export "run" (func $lifted)))
"""
MAIN, LIBRARY = 1, 4


def from_wat(text: str) -> Component:
    return read_component(wasmtime.wat2wasm(text))


@pytest.fixture(scope="module")
def linked() -> Component:
    return from_wat(LINKED)


@pytest.mark.parametrize(
    ("module_name", "name", "expected"),
    [
        ("env", "memory", CoreDefinition(MAIN, ExternKind.MEMORY, 0)),
        ("env", "table", CoreDefinition(MAIN, ExternKind.TABLE, 0)),
        ("env", "sp", CoreDefinition(MAIN, ExternKind.GLOBAL, 0)),
        ("env", "helper", CoreDefinition(MAIN, ExternKind.FUNC, 2)),
        (
            "host",
            "get",
            LoweredImport(
                "test:pkg/host@1.0.0",
                "get",
                CanonicalOptions(StringEncoding.UTF16, memory=0, realloc=0),
            ),
        ),
        ("host", "drop", ResourceDrop("test:pkg/host@1.0.0", "handle", type=2)),
        ("$root", "tick", LoweredImport(ROOT_INTERFACE, "tick", CanonicalOptions())),
    ],
)
def test_imports_are_resolved(linked: Component, module_name: str, name: str, expected: Resolved) -> None:
    assert linked.resolve_import(LIBRARY, module_name, name) == expected
    assert type(linked.resolve_import(LIBRARY, module_name, name)) is type(expected)


def test_a_re_exported_import_is_resolved_to_its_definition(linked: Component) -> None:
    assert linked.resolve_export(LIBRARY, "helper-again") == CoreDefinition(MAIN, ExternKind.FUNC, 2)
    assert linked.resolve_export(LIBRARY, "memory-again") == CoreDefinition(MAIN, ExternKind.MEMORY, 0)
    assert linked.resolve_export(LIBRARY, "own-global") == CoreDefinition(LIBRARY, ExternKind.GLOBAL, 1)


def test_options_refer_to_core_index_spaces(linked: Component) -> None:
    get = linked.resolve_import(LIBRARY, "host", "get")
    assert isinstance(get, LoweredImport)
    assert get.options.memory is not None
    assert get.options.realloc is not None
    assert linked.resolve(ExternKind.MEMORY, get.options.memory) == CoreDefinition(MAIN, ExternKind.MEMORY, 0)
    assert linked.resolve(ExternKind.FUNC, get.options.realloc) == CoreDefinition(MAIN, ExternKind.FUNC, 1)
    assert linked.resolve(ExternKind.FUNC, 1) == get


def test_exported_functions(linked: Component) -> None:
    first_own = 4  # of the library's functions: four are imported
    assert linked.exported_functions() == {
        "run": LiftedExport(
            CoreDefinition(LIBRARY, ExternKind.FUNC, first_own),
            CoreDefinition(LIBRARY, ExternKind.FUNC, first_own + 1),
            CanonicalOptions(memory=0, post_return=5),
        )
    }


def test_index_spaces(linked: Component) -> None:
    assert [len(module.module.functions) for module in linked.core_modules] == [2, 1, 2]
    assert linked.imports == {
        "test:pkg/host@1.0.0": SortIndex(Sort.INSTANCE, 0),
        "tick": SortIndex(Sort.FUNC, 0),
    }
    assert linked.exports == {"run": SortIndex(Sort.FUNC, 2)}
    assert linked.functions[3] == linked.functions[2], "an export is one more definition"
    main = linked.core_instances[MAIN]
    assert isinstance(main, CoreInstantiation)
    assert main.module == 0
    assert main.arguments == {"libc": 0}


def test_core_modules_are_kept_as_bytes() -> None:
    encoded = wasmtime.wat2wasm('(component (core module (func (export "f"))) (core module))')
    first, second = read_component(memoryview(encoded)).core_modules
    assert encoded[first.offset : first.offset + len(first.content)] == first.content
    assert read_module(first.content) == first.module
    assert list(first.exports) == ["f"]
    assert second.content == wasmtime.wat2wasm("(module)")


def test_resources_of_the_component_itself() -> None:
    component = from_wat("""
      (component
        (type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core func $rep (canon resource.rep $r))
        (core func $drop (canon resource.drop $r)))
    """)
    resolved = [component.resolve(ExternKind.FUNC, index) for index in range(3)]
    assert resolved == [ResourceNew(None, None, 0), ResourceRep(None, None, 0), ResourceDrop(None, None, 0)]
    assert [type(function) for function in resolved] == [ResourceNew, ResourceRep, ResourceDrop]


def test_a_resource_imported_without_an_interface() -> None:
    component = from_wat("""
      (component
        (import "r" (type $r (sub resource)))
        (core func (canon resource.drop $r)))
    """)
    assert component.resolve(ExternKind.FUNC, 0) == ResourceDrop(ROOT_INTERFACE, "r", 0)


# The way in which an interface is exported: a nested component gives the lifted functions the names of the interface.
EXPORTED_INTERFACE = """
  (component
    (type $outer-type u32)
    (core module $m (func (export "f")) (func (export "g")))
    (core instance $i (instantiate $m))
    (alias core export $i "f" (core func $f))
    (alias core export $i "g" (core func $g))
    (func $lifted-f (canon lift (core func $f)))
    (func $lifted-g (canon lift (core func $g)))
    (component $shell
      (alias outer 1 $outer-type (type))
      (import "import-f" (func $f))
      (import "import-more" (instance $more (export "g" (func))))
      (alias export $more "g" (func $g))
      (component $inner (import "f" (func $f)) (export "inner-f" (func $f)))
      (instance $inner (instantiate $inner (with "f" (func $f))))
      (alias export $inner "inner-f" (func $inner-f))
      (export "f" (func $inner-f))
      (export "g" (func $g)))
    (instance $more (export "g" (func $lifted-g)))
    (instance $shell (instantiate $shell (with "import-f" (func $lifted-f)) (with "import-more" (instance $more))))
    (export "test:pkg/api" (instance $shell))
    (instance $bundle (export "h" (func $lifted-g)))
    (export "test:pkg/other" (instance $bundle)))
"""


def test_functions_of_an_exported_interface() -> None:
    exported = from_wat(EXPORTED_INTERFACE).exported_functions()
    assert {name: export.function for name, export in exported.items()} == {
        "test:pkg/api#f": CoreDefinition(0, ExternKind.FUNC, 0),
        "test:pkg/api#g": CoreDefinition(0, ExternKind.FUNC, 1),
        "test:pkg/other#h": CoreDefinition(0, ExternKind.FUNC, 1),
    }
    assert exported["test:pkg/api#f"].post_return is None


def test_outer_aliases() -> None:
    component = from_wat("""
      (component
        (core module $m (func (export "f")))
        (component $c)
        (component
          (alias outer 1 $m (core module $m'))
          (alias outer 1 $c (component $c'))
          (core instance (instantiate $m'))
          (instance (instantiate $c'))))
    """)
    inner = component.components[1]
    assert inner.core_modules == component.core_modules
    assert inner.components == component.components[:1]


def test_component_without_anything() -> None:
    component = from_wat("(component)")
    assert component == Component()
    assert component.exported_functions() == {}


def test_custom_sections() -> None:
    encoded = wasmtime.wat2wasm("(component (type u32))") + bytes.fromhex("00 03 01 6e ff")
    (custom,) = read_component(encoded).customs
    assert (custom.name, custom.content, custom.after) == ("n", b"\xff", 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('(component (import "m" (core module)))', "sort core is not supported"),
        ('(component (import "c" (component)))', "sort component is not supported"),
        (
            '(component (import "i" (instance $i (export "n" (instance)))) (alias export $i "n" (instance)))',
            "sort instance is not supported",
        ),
        (
            '(component (import "f" (func $f async)) (core func (canon lower (func $f) async)))',
            "the canonical option 0x06 is not supported",
        ),
        ("(component (core func (canon backpressure.inc)))", "the canonical function 0x24 is not supported"),
    ],
)
def test_what_is_not_supported(text: str, message: str) -> None:
    with pytest.raises(MalformedModule, match=message):
        from_wat(text)


def test_a_function_lifted_and_lowered_again() -> None:
    component = from_wat("""
      (component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (core func (canon lower (func $f))))
    """)
    with pytest.raises(MalformedModule, match="lowering a function of the component itself"):
        component.resolve(ExternKind.FUNC, 1)


def test_an_import_exported_again() -> None:
    component = from_wat('(component (import "f" (func $f)) (export "g" (func $f)))')
    with pytest.raises(MalformedModule, match="the export 'g' is an import of the component"):
        component.exported_functions()


def test_a_function_lifted_inside_a_nested_component() -> None:
    component = from_wat("""
      (component
        (component $c
          (core module $m (func (export "f")))
          (core instance $i (instantiate $m))
          (func $f (canon lift (core func $i "f")))
          (export "f" (func $f)))
        (instance $i (instantiate $c))
        (export "test:pkg/api" (instance $i)))
    """)
    with pytest.raises(MalformedModule, match="the export 'test:pkg/api#f' is lifted inside a nested component"):
        component.exported_functions()


def test_what_a_component_does_not_say(linked: Component) -> None:
    with pytest.raises(MalformedModule, match="core instance 4 is given no 'wasi'"):
        linked.resolve_import(LIBRARY, "wasi", "x")
    with pytest.raises(MalformedModule, match="core instance 1 exports no 'x'"):
        linked.resolve_import(LIBRARY, "env", "x")
    with pytest.raises(MalformedModule, match="core instance 2 exports no 'x'"):
        linked.resolve_import(LIBRARY, "host", "x")
    with pytest.raises(MalformedModule, match="core instance 2 has no module"):
        linked.resolve_import(2, "env", "x")


def section(section_id: int, content: str) -> bytes:
    raw = bytes.fromhex(content)
    return bytes((section_id, len(raw))) + raw


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (b"\0asm\x01\0\0\0", 0, "not a WebAssembly component"),
        (b"\0asm", 0, "not a WebAssembly component"),
        (PREAMBLE + b"\x01\x7f", 10, "127 bytes wanted, 0 left"),
        (PREAMBLE + section(1, "0061736d01000000 0e00"), 18, "in core module 0: unknown section id 14"),
        (PREAMBLE + section(2, "010000"), 12, "core module 0 of 0"),
        (PREAMBLE + section(2, "0102"), 11, "unknown form of core instance 0x02"),
        (PREAMBLE + section(2, "010101 0161 04 00"), 15, "core sort 0x04 is not supported"),
        (PREAMBLE + section(2, "010101 0161 00 00"), 16, "core func 0 of 0"),
        (PREAMBLE + section(4, "0061736d0d000200"), 10, "not a WebAssembly component"),
        (PREAMBLE + section(5, "0102"), 11, "unknown form of instance 0x02"),
        (PREAMBLE + section(5, "010101 000161 06"), 16, "unknown sort 0x06"),
        (PREAMBLE + section(6, "01 01 03"), 11, "unknown target 0x03"),
        (PREAMBLE + section(6, "01 01 01 00 00"), 11, "an alias of sort func and unknown target 0x01"),
        (PREAMBLE + section(6, "01 03 02 01 00"), 13, "enclosing component 1 of 1"),
        (PREAMBLE + section(6, "01 01 02 00 00"), 11, "an outer alias of sort func is not supported"),
        (PREAMBLE + section(7, "05"), 10, "5 elements in 0 bytes"),
        (PREAMBLE + section(8, "01 0001"), 12, "canon lift: found 0x01"),
        (PREAMBLE + section(8, "01 0300"), 12, "type 0 of 0"),
        (PREAMBLE + section(9, "00"), 8, "component section 9 is not supported"),
        (PREAMBLE + section(10, "01 01 0161"), 11, "version suffixes and attributes are not supported"),
        (PREAMBLE + section(10, "01 00 0161 03 02"), 15, "unknown bound of a type 0x02"),
        (PREAMBLE + section(7, "017f") + section(11, "01 00 0161 03 00 02"), 20, "found 0x02 where 0x00 or 0x01"),
        (PREAMBLE + section(10, "0000"), 11, "1 bytes left over in component section 10"),
    ],
)
def test_malformed_components(data: bytes, offset: int, message: str) -> None:
    with pytest.raises(MalformedModule) as caught:
        read_component(data)
    assert message in caught.value.message
    assert caught.value.offset == offset


def test_components_cannot_be_nested_without_end() -> None:
    data = b""
    for _ in range(40):
        content = PREAMBLE + data
        size = bytes((len(content) & 0x7F | 0x80, len(content) >> 7))
        data = b"\x04" + size + content
    with pytest.raises(MalformedModule, match="nested more than 32 deep"):
        read_component(PREAMBLE + data)


def everything_resolved(data: bytes) -> Iterator[object]:
    """All that a linker would ask for."""
    component = read_component(data)
    yield component.exported_functions()
    for index, instance in enumerate(component.core_instances):
        if isinstance(instance, CoreInstantiation):
            for entry in component.core_modules[instance.module].module.imports:
                yield component.resolve_import(index, entry.module, entry.name)


@given(
    st.sampled_from([bytes(wasmtime.wat2wasm(text)) for text in (LINKED, EXPORTED_INTERFACE)]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=3),
    st.integers(0, 10**6),
)
def test_damaged_components_never_crash(encoded: bytes, mutations: list[tuple[int, int]], size: int) -> None:
    damaged = bytearray(encoded)
    for position, value in mutations:
        damaged[position % len(damaged)] = value
    for data in (bytes(damaged), encoded[: size % len(encoded)]):
        try:
            answers = list(everything_resolved(data))
        except MalformedModule as error:
            offset = error.offset
        else:
            assert answers
            offset = 0
        assert 0 <= offset <= len(encoded)

"""The linker on a small component, and the linked module under wasmtime."""

import pytest
import wasmtime
from proxy_wasm_abi import load
from pywasm_compiler.cpython import linker as linker_module
from pywasm_compiler.cpython.callbacks import START, callback_slots
from pywasm_compiler.cpython.libraries import LinkError, select_libraries
from pywasm_compiler.cpython.linker import LinkedModule, link
from pywasm_compiler.cpython.platform import PAGE_SIZE, Scratch
from pywasm_compiler.cpython.stack import HARD_LIMIT, SOFT_LIMIT
from pywasm_compiler.wasm.component import read_component
from pywasm_compiler.wasm.model import ExternKind
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from tests.unit.cpython.component_wat import COMPONENT, STACK_TOP

NOW = 1_234_567_890
SCRATCH = Scratch(2 * PAGE_SIZE)


def linked(text: str = COMPONENT) -> LinkedModule:
    return link(read_component(wasmtime.wat2wasm(text)), ["proxy_log"], ["proxy_on_vm_start"])


@pytest.fixture(autouse=True)
def no_replacements(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small libc has none of the functions that are replaced in the real one."""
    monkeypatch.setattr(linker_module, "REPLACED", {})


class Vm:
    """The linked module over a host that records log lines."""

    def __init__(self, module: LinkedModule) -> None:
        content = write_module(module.module)
        assert read_module(content) == module.module
        self.lines: list[tuple[int, bytes]] = []
        self.store = wasmtime.Store()
        i32 = wasmtime.ValType.i32
        functions = [
            wasmtime.Func(self.store, wasmtime.FuncType([i32()] * 3, [i32()]), self._log),
            wasmtime.Func(self.store, wasmtime.FuncType([i32()], [i32()]), self._time),
            wasmtime.Func(self.store, wasmtime.FuncType([i32()] * 2, [i32()]), lambda address, size: 0),
        ]
        compiled = wasmtime.Module(self.store.engine, content)
        self.exports = wasmtime.Instance(self.store, compiled, functions).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory

    def _log(self, level: int, address: int, size: int) -> int:
        self.lines.append((level, bytes(self.memory.read(self.store, address, address + size))))
        return 0

    def _time(self, address: int) -> int:
        self.memory.write(self.store, NOW.to_bytes(8, "little"), address)
        return 0

    def call(self, name: str, *arguments: int) -> object:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def read(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.memory.read(self.store, address, address + size), "little")

    def text(self, address: int) -> str:
        return bytes(self.memory.read(self.store, address, address + 200)).partition(b"\0")[0].decode()

    def load(self, name: str, function: int) -> None:
        """As when a filter is loaded: a function for a callback."""
        slot = SCRATCH.slot(callback_slots().index(name))
        self.memory.write(self.store, function.to_bytes(4, "little"), slot)


def test_the_libraries_are_told_apart() -> None:
    libraries = select_libraries(read_component(wasmtime.wat2wasm(COMPONENT)))
    assert [library.name for library in libraries.libraries] == ["libc.so", "libb.so"]
    assert libraries.main.module.memories
    assert not libraries.init.module.exports


def test_imports_and_exports() -> None:
    module = linked().module
    assert [(entry.module, entry.name) for entry in module.imports] == [
        ("env", "proxy_log"),
        ("env", "proxy_get_current_time_nanoseconds"),
        ("wasi_snapshot_preview1", "random_get"),
    ]
    assert [entry.name for entry in module.exports] == [
        "memory",
        "proxy_abi_version_0_2_1",
        "_initialize",
        "proxy_on_memory_allocate",
        "malloc",
        "proxy_on_vm_start",
    ]


def test_it_runs() -> None:
    vm = Vm(linked())
    vm.call("_initialize")
    vm.load("proxy_on_vm_start", 7)
    assert vm.call("proxy_on_vm_start", 20, 22) == 42
    assert vm.read(65752) == 7
    assert vm.read(65756) == 0x8000_0002  # two arguments, and a place before them
    assert vm.read(65536 + 200) == STACK_TOP - 16  # the stack pointer, at an address relative to the base
    assert vm.read(65760) == 21 + 23 + 43  # references given back: to the arguments and to the result
    assert vm.read(65740) == 65600  # the address of another library's variable
    assert vm.read(65744, 8) == NOW
    assert vm.lines == [(2, b"snapshot")]  # through main's trampoline and the table
    assert vm.call("proxy_on_memory_allocate", 1) == 65700


def test_the_start_is_called_before_the_first_callback_alone() -> None:
    vm = Vm(linked())
    vm.load(START, 5)
    vm.load("proxy_on_vm_start", 7)
    for _ in range(2):
        vm.call("proxy_on_vm_start", 20, 22)
        assert vm.read(65764) == 5


def test_the_table_of_hostcalls_is_the_same_whatever_is_imported() -> None:
    component = read_component(wasmtime.wat2wasm(COMPONENT))
    few, more = (link(component, hostcalls, []) for hostcalls in (["proxy_log"], ["proxy_done", "proxy_get_property"]))
    assert few.pointers == more.pointers
    assert few.module.data == more.module.data


def test_each_hostcall_has_a_name_and_a_function() -> None:
    module = linked()
    vm = Vm(module)
    table = module.module.tables[0].limits.minimum
    names = []
    for number, name in enumerate(module.pointers):
        name_at, function, flags, documentation = (vm.read(SCRATCH.constants + 16 * number + 4 * n) for n in range(4))
        assert f"hostcall {vm.text(name_at)}" == name
        assert (function, flags, documentation) == (table - len(module.pointers) + number, 0x80, 0)
        names.append(vm.text(name_at))
    assert names == [hostcall.name for hostcall in load().hostcalls]
    assert vm.read(SCRATCH.constants + 16 * len(names), 16) == 0


def test_memory_and_table() -> None:
    module = linked().module
    assert module.memories[0].limits.minimum == 3
    assert module.tables[0].limits.minimum == module.tables[0].limits.maximum
    offsets = {segment.offset[0].immediate: len(segment.items) for segment in module.elements if segment.items}
    assert offsets == {3: 1, 5: 2, 8: len(load().hostcalls)}


def test_the_stack_pointer_is_the_only_global() -> None:
    (stack_pointer,) = linked().module.globals
    assert stack_pointer.type.mutable
    assert stack_pointer.init[0].immediate == STACK_TOP


def test_the_limits_of_the_stack_are_set() -> None:
    vm = Vm(linked())
    assert [vm.read(STACK_TOP + offset) for offset in (0, 4, 8)] == [STACK_TOP, SOFT_LIMIT, HARD_LIMIT]
    assert bytes(vm.memory.read(vm.store, STACK_TOP + 12, STACK_TOP + 20)) == b"snapshot"


def test_what_is_not_used_is_not_there() -> None:
    module = linked()
    names = set(module.names.values())
    assert {"wraps", "on_vm_start", "trampoline"} & names == {"wraps", "on_vm_start"}
    assert "dead" not in names
    assert not any("resolution" in name for name in names)
    assert max(module.names) < len(module.module.functions) + len(module.module.imports) < 80


def test_no_type_is_listed_twice() -> None:
    types = linked().module.types
    assert len(types) == len(set(types))


def test_the_same_component_gives_the_same_bytes() -> None:
    assert write_module(linked().module) == write_module(linked().module)


# --- what cannot be linked --------------------------------------------------------------------------------------------


def refused(old: str, new: str, text: str = COMPONENT) -> str:
    assert old in text
    with pytest.raises(LinkError) as caught:
        linked(text.replace(old, new))
    return str(caught.value)


def test_an_unknown_wasi_function_that_is_called_is_named() -> None:
    message = refused("clocks/monotonic-clock@0.2.0", "clocks/lunar-clock@0.2.0")
    assert message == "libb.so imports now of wasi:clocks/lunar-clock@0.2.0, which a proxy does not offer"


def test_an_unknown_wasi_function_that_nothing_calls_is_no_matter() -> None:
    text = COMPONENT.replace('"resolution"', '"phase"')
    assert linked(text).module.functions


def test_a_global_that_changes() -> None:
    message = refused("(call $trampoline", "(global.set $variable (i32.const 1)) (call $trampoline")
    assert message.startswith("libb.so: on_vm_start: global.set of global")


def test_a_start_function() -> None:
    assert refused("(func $dead ", "(func $begin) (start $begin) (func $dead ") == "libb.so has a start function"


def test_passive_data() -> None:
    assert refused("(func $dead ", '(data "x") (func $dead ') == "libb.so has a data segment that is not active"


def test_no_memory() -> None:
    # A second module that exports nothing is as unexpected as a second memory.
    assert "2 export nothing" in refused(
        "(core instance $shim ", "(core module $odd) (core instance (instantiate $odd)) (core instance $shim "
    )


def test_no_such_function_in_cpython() -> None:
    assert refused('(export "Py_DecRef")', '(export "release")') == "no library exports Py_DecRef"


def test_a_function_to_replace_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker_module, "REPLACED", {"libc.so": {"sleep": lambda code, symbols: code.i32_const(1)}})
    with pytest.raises(LinkError, match=r"libc\.so has no function sleep"):
        linked()


def test_a_function_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker_module, "REPLACED", {"libb.so": {"wraps": lambda code, symbols: code}})
    vm = Vm(linked())
    vm.call("proxy_on_vm_start", 1, 2)
    assert vm.lines == []


def test_kinds_of_exports() -> None:
    kinds = {entry.name: entry.kind for entry in linked().module.exports}
    assert kinds.pop("memory") is ExternKind.MEMORY
    assert set(kinds.values()) == {ExternKind.FUNC}

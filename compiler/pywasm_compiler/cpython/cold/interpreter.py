"""The functions that run compact code.

`interpret` is one loop around a table of branches, with a piece of code for each operation that occurs. It calls itself
for a function that is interpreted, too; for all others there is `invoke`, with a call for each type of function.
What is compiled calls an interpreted function by its stub, which hands all to the `entry` for functions of its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pywasm_compiler.cpython.cold.numeric import LOAD_OF, LOADS, OPERATORS, STORE_OF, STORES
from pywasm_compiler.cpython.cold.operations import HEAD_SIZE, SLOT, Kind, Operation
from pywasm_compiler.cpython.glue import I32, I64, Code, GlueFunction
from pywasm_compiler.wasm.model import FuncType, ValType

INTERPRET: Final = FuncType((I32, I32), (I32,))
"""(address of the code, address of the last operand) -> address of the last operand afterwards."""

INVOKE: Final = FuncType((I32, I32, I32), (I32,))
"""(number of the type, element of the table, address of the last operand) -> address of the last operand."""

_I64_LOAD, _I64_STORE, _I32_LOAD, _I32_STORE = 0x29, 0x37, 0x28, 0x36
_UNSIGNED: Final = {1: 0x2D, 2: 0x2F, 4: 0x28}
_SIGNED: Final = {1: 0x2C, 2: 0x2E, 4: 0x28}
_SIGNED_64: Final = {1: 0x30, 8: 0x29}
"""Bytes of a number -> opcode of the load."""

_I32_MUL, _I32_LT_U = 0x6C, 0x49

# What the host's stack gives for a call, so that CPython's guard against deep recursion, which looks at the shadow
# stack, sees it (see `stack`). Measured as the depth at which it ends: interpreted functions that call each other take
# 180 bytes of it in V8 and 100 in wasmtime, by way of compiled ones 380 and 260. When the guard steps in, that is no
# more than 60 % of either.
FRAME_RESERVE: Final = 288
ENTRY_RESERVE: Final = 480


@dataclass(frozen=True)
class Surroundings:
    """Indices in the module that the interpreter becomes part of."""

    stack_pointer: int
    directory: int
    """Address of the addresses of the interpreted functions, by their numbers."""
    invoke: int
    interpret: int


class _Interpreter:
    """The code of `interpret`, while it is written."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self.code = Code(INTERPRET)
        self._pc, self._sp = 0, 1
        self._fp = self.code.local(I32)
        self._arguments = self.code.local(I32)
        self._end_of_frame = self.code.local(I32)
        self._number = self.code.local(I32)
        self._wide = self.code.local(I64)

    def function(self, operations: Iterable[Operation]) -> GlueFunction:
        """The whole function."""
        self._enter()
        code = self.code
        ordered = list(operations)
        count = len(ordered)
        code.loop()
        for _ in range(count):
            code.block()
        code.local_get(self._pc).load(_UNSIGNED[1])
        self._advance(1)
        code.br_table(range(count - 1), count - 1)
        for number, operation in enumerate(ordered):
            code.end()
            _OPERATIONS[operation.kind](self, operation)
            code.br(count - 1 - number)
        code.end().unreachable()
        return code.function("interpret")

    def _enter(self) -> None:
        """Lay out the frame: parameters, then zeros."""
        code, pc, sp, fp = self.code, self._pc, self._sp, self._fp
        parameters = self._number
        code.local_get(pc).load(_UNSIGNED[1]).local_set(parameters)
        code.local_get(sp).i32_const(SLOT).i32_add()
        code.local_get(parameters).i32_const(SLOT).operator(_I32_MUL).i32_sub().local_set(self._arguments)
        code.global_get(self._around.stack_pointer).local_tee(self._end_of_frame)
        code.local_get(pc).load(_UNSIGNED[2], 2).i32_const(SLOT).operator(_I32_MUL).i32_sub()
        code.i32_const(FRAME_RESERVE).i32_sub().local_tee(fp)
        code.global_set(self._around.stack_pointer)
        # The operand stack begins behind the locals.
        code.local_get(fp).local_get(pc).load(_UNSIGNED[1], 1).i32_const(SLOT).operator(_I32_MUL).i32_add()
        code.local_set(sp)
        code.local_get(fp).local_get(self._arguments)
        code.local_get(parameters).i32_const(SLOT).operator(_I32_MUL).memory_copy()
        code.local_get(fp).local_get(parameters).i32_const(SLOT).operator(_I32_MUL).i32_add().local_tee(self._number)
        code.i32_const(0).local_get(sp).local_get(self._number).i32_sub().memory_fill()
        code.local_get(sp).i32_const(SLOT).i32_sub().local_set(sp)
        self._advance(HEAD_SIZE)

    # --- pieces ---

    def _advance(self, size: int) -> None:
        if size:
            self.code.local_get(self._pc).i32_const(size).i32_add().local_set(self._pc)

    def _immediate(self, opcode: int, at: int = 0) -> Code:
        """A number that stands `at` bytes behind the operation."""
        return self.code.local_get(self._pc).load(opcode, at)

    def _local(self, at: int = 0) -> Code:
        """The address of a local whose number stands there."""
        self.code.local_get(self._fp)
        return self._immediate(_UNSIGNED[1], at).i32_const(SLOT).operator(_I32_MUL).i32_add()

    def _grow(self, slots: int) -> Code:
        """Have more operands; fewer if negative."""
        return self.code.local_get(self._sp).i32_const(slots * SLOT).i32_add().local_set(self._sp)

    def _top(self) -> Code:
        return self.code.local_get(self._sp)

    # --- operations ---

    def operator(self, operation: Operation) -> None:
        operands, result = OPERATORS[operation.detail]
        if len(operands) > 1:
            self._grow(-1)
        self._top()
        for position, operand in enumerate(operands):
            self._top().load(LOAD_OF[operand], position * SLOT)
        self.code.operator(operation.detail).store(STORE_OF[result])

    def load(self, operation: Operation) -> None:
        self._top()
        self._top().load(_I32_LOAD)
        self._load_from(operation, at=0)
        self._advance(operation.size)

    def load_at_local(self, operation: Operation) -> None:
        self._grow(1)
        self._top()
        self._local().load(_I32_LOAD)
        self._load_from(operation, at=1)
        self._advance(1 + operation.size)

    def _load_from(self, operation: Operation, at: int) -> None:
        """A load from the address on the stack plus the offset, into the slot whose address is below it.

        Address and offset are added in 32 bits, where compiled code traps when that is not enough: compilers use an
        offset only where it is.
        """
        if operation.size:
            self._immediate(_UNSIGNED[operation.size], at).i32_add()
        self.code.load(operation.detail).store(STORE_OF[LOADS[operation.detail]])

    def store(self, operation: Operation) -> None:
        self._grow(-2)
        self._top().load(_I32_LOAD, SLOT)
        if operation.size:
            self._immediate(_UNSIGNED[operation.size]).i32_add()
        self._top().load(LOAD_OF[STORES[operation.detail]], 2 * SLOT).store(operation.detail)
        self._advance(operation.size)

    def const(self, operation: Operation) -> None:
        self._grow(1)
        self._top()
        if operation.detail == ValType.I64:
            self._immediate(_SIGNED_64[operation.size]).store(_I64_STORE)
        elif operation.size == 8:
            self._immediate(_I64_LOAD).store(_I64_STORE)
        else:
            self._immediate(_SIGNED[operation.size]).store(_I32_STORE)
        self._advance(operation.size)

    def get(self, operation: Operation) -> None:
        self._grow(1)
        self._top()
        self._local().load(_I64_LOAD).store(_I64_STORE)
        self._advance(1)

    def get_two(self, operation: Operation) -> None:
        self._grow(2)
        self._top()
        self._local(1).load(_I64_LOAD).store(_I64_STORE)
        self._top().i32_const(SLOT).i32_sub()
        self._local().load(_I64_LOAD).store(_I64_STORE)
        self._advance(2)

    def get_and_const(self, operation: Operation) -> None:
        self._grow(2)
        self._top()
        self._immediate(_SIGNED[operation.size], 1).store(_I32_STORE)
        self._top().i32_const(SLOT).i32_sub()
        self._local().load(_I64_LOAD).store(_I64_STORE)
        self._advance(1 + operation.size)

    def set_(self, operation: Operation) -> None:
        self._local()
        self._top().load(_I64_LOAD).store(_I64_STORE)
        if operation.kind is Kind.SET:
            self._grow(-1)
        self._advance(1)

    def set_const(self, operation: Operation) -> None:
        self._local()
        self._immediate(_SIGNED[operation.size], 1).store(_I32_STORE)
        self._advance(1 + operation.size)

    def add_const(self, operation: Operation) -> None:
        self._top()
        self._top().load(_I32_LOAD)
        self._immediate(_SIGNED[operation.size]).i32_add().store(_I32_STORE)
        self._advance(operation.size)

    def local_plus_const(self, operation: Operation) -> None:
        self._grow(1)
        self._top()
        self._local().load(_I32_LOAD)
        self._immediate(_SIGNED[operation.size], 1).i32_add().store(_I32_STORE)
        self._advance(1 + operation.size)

    def stack_pointer_get(self, operation: Operation) -> None:
        self._grow(1)
        self._top().global_get(self._around.stack_pointer).store(_I32_STORE)

    def stack_pointer_set(self, operation: Operation) -> None:
        self._top().load(_I32_LOAD).global_set(self._around.stack_pointer)
        self._grow(-1)

    def drop(self, operation: Operation) -> None:
        self._grow(-1)

    def select(self, operation: Operation) -> None:
        self._grow(-2)
        self._top()
        self._top().load(_I64_LOAD)
        self._top().load(_I64_LOAD, SLOT)
        self._top().load(_I32_LOAD, 2 * SLOT)
        self.code.select().store(_I64_STORE)

    def branch(self, operation: Operation) -> None:
        self.code.local_get(self._pc)
        self._immediate(_SIGNED[operation.size]).i32_add().local_set(self._pc)

    def branch_if(self, operation: Operation) -> None:
        """The distance, or what comes behind it."""
        self._grow(-1)
        self.code.local_get(self._pc)
        if operation.kind is Kind.BRANCH_IF:
            self._immediate(_SIGNED[operation.size]).i32_const(operation.size)
        else:
            self.code.i32_const(operation.size)
            self._immediate(_SIGNED[operation.size])
        self._top().load(_I32_LOAD, SLOT)
        self.code.select().i32_add().local_set(self._pc)

    def branch_table(self, operation: Operation) -> None:
        code, chosen = self.code, self._number
        self._grow(-1)
        # The last distance is for all numbers that are too large.
        self._top().load(_I32_LOAD, SLOT).local_tee(chosen)
        self._immediate(_UNSIGNED[2]).i32_const(1).i32_sub()
        code.local_get(chosen)
        self._immediate(_UNSIGNED[2]).i32_const(1).i32_sub().operator(_I32_LT_U).select().local_set(chosen)
        self._advance(2)
        code.local_get(self._pc)
        code.local_get(self._pc).local_get(chosen).i32_const(operation.size).operator(_I32_MUL).i32_add()
        code.load(_SIGNED[operation.size]).i32_add().local_set(self._pc)

    def unwind(self, operation: Operation) -> None:
        code = self.code
        if operation.detail:
            self._top().load(_I64_LOAD).local_set(self._wide)
        code.local_get(self._fp)
        self._immediate(_UNSIGNED[2]).i32_const(operation.detail - 1).i32_add().i32_const(SLOT).operator(_I32_MUL)
        code.i32_add().local_set(self._sp)
        if operation.detail:
            self._top().local_get(self._wide).store(_I64_STORE)
        self._advance(2)

    def return_(self, operation: Operation) -> None:
        code = self.code
        if operation.detail:
            code.local_get(self._arguments)
            self._top().load(_I64_LOAD).store(_I64_STORE)
        code.local_get(self._end_of_frame).global_set(self._around.stack_pointer)
        code.local_get(self._arguments)
        if not operation.detail:
            code.i32_const(SLOT).i32_sub()
        code.return_()

    def call_cold(self, operation: Operation) -> None:
        self._immediate(_UNSIGNED[2]).i32_const(4).operator(_I32_MUL).load(_I32_LOAD, self._around.directory)
        self._top().call(self._around.interpret).local_set(self._sp)
        self._advance(2)

    def call(self, operation: Operation) -> None:
        self._immediate(_UNSIGNED[1])
        self._immediate(_UNSIGNED[2], 1)
        self._top().call(self._around.invoke).local_set(self._sp)
        self._advance(3)

    def call_indirect(self, operation: Operation) -> None:
        self._grow(-1)
        self._immediate(_UNSIGNED[1])
        self._top().load(_I32_LOAD, SLOT)
        self._top().call(self._around.invoke).local_set(self._sp)
        self._advance(1)

    def memory_size(self, operation: Operation) -> None:
        self._grow(1)
        self._top()
        self.code.memory_size().store(_I32_STORE)

    def memory_grow(self, operation: Operation) -> None:
        self._top()
        self._top().load(_I32_LOAD)
        self.code.memory_grow().store(_I32_STORE)

    def memory_copy(self, operation: Operation) -> None:
        self._grow(-3)
        for position in (1, 2, 3):
            self._top().load(_I32_LOAD, position * SLOT)
        if operation.kind is Kind.MEMORY_COPY:
            self.code.memory_copy()
        else:
            self.code.memory_fill()

    def unreachable(self, operation: Operation) -> None:
        self.code.unreachable()


_OPERATIONS: Final[Mapping[Kind, Callable[[_Interpreter, Operation], None]]] = {
    Kind.OPERATOR: _Interpreter.operator,
    Kind.LOAD: _Interpreter.load,
    Kind.STORE: _Interpreter.store,
    Kind.LOAD_AT_LOCAL: _Interpreter.load_at_local,
    Kind.CONST: _Interpreter.const,
    Kind.GET: _Interpreter.get,
    Kind.GET_TWO: _Interpreter.get_two,
    Kind.GET_AND_CONST: _Interpreter.get_and_const,
    Kind.SET: _Interpreter.set_,
    Kind.TEE: _Interpreter.set_,
    Kind.SET_CONST: _Interpreter.set_const,
    Kind.ADD_CONST: _Interpreter.add_const,
    Kind.LOCAL_PLUS_CONST: _Interpreter.local_plus_const,
    Kind.STACK_POINTER_GET: _Interpreter.stack_pointer_get,
    Kind.STACK_POINTER_SET: _Interpreter.stack_pointer_set,
    Kind.DROP: _Interpreter.drop,
    Kind.SELECT: _Interpreter.select,
    Kind.BRANCH: _Interpreter.branch,
    Kind.BRANCH_IF: _Interpreter.branch_if,
    Kind.BRANCH_UNLESS: _Interpreter.branch_if,
    Kind.BRANCH_TABLE: _Interpreter.branch_table,
    Kind.UNWIND: _Interpreter.unwind,
    Kind.RETURN: _Interpreter.return_,
    Kind.CALL_COLD: _Interpreter.call_cold,
    Kind.CALL: _Interpreter.call,
    Kind.CALL_INDIRECT: _Interpreter.call_indirect,
    Kind.MEMORY_SIZE: _Interpreter.memory_size,
    Kind.MEMORY_GROW: _Interpreter.memory_grow,
    Kind.MEMORY_COPY: _Interpreter.memory_copy,
    Kind.MEMORY_FILL: _Interpreter.memory_copy,
    Kind.UNREACHABLE: _Interpreter.unreachable,
}


def interpret(surroundings: Surroundings, operations: Iterable[Operation]) -> GlueFunction:
    """The interpreter of these operations, which are numbered in this order."""
    return _Interpreter(surroundings).function(operations)


def invoke(signatures: Sequence[FuncType], type_index: Callable[[FuncType], int]) -> GlueFunction:
    """What calls a compiled function, whose type's number is its place among the `signatures`."""
    code = Code(INVOKE)
    number, element, top = range(3)
    count = len(signatures)
    for _ in range(count + 1):
        code.block()
    code.local_get(number).br_table(range(count), count)
    for signature in signatures:
        code.end()
        parameters, results = len(signature.params), len(signature.results)
        code.local_get(top).i32_const((1 - parameters) * SLOT).i32_add().local_set(top)  # the first argument
        if results:
            code.local_get(top)
        for position, parameter in enumerate(signature.params):
            code.local_get(top).load(LOAD_OF[parameter], position * SLOT)
        code.local_get(element).call_indirect(type_index(signature))
        if results:
            code.store(STORE_OF[signature.results[0]])
        code.local_get(top).i32_const((results - 1) * SLOT).i32_add().return_()
    code.end().unreachable()
    return code.function("invoke")


def entry(signature: FuncType, surroundings: Surroundings) -> GlueFunction:
    """(parameters of that type, address of the code) -> its result: what puts the arguments where code finds them."""
    code = Code(FuncType((*signature.params, I32), signature.results))
    top = code.local(I32)
    count = len(signature.params)
    size = (max(count, 1) + 1 & ~1) * SLOT + ENTRY_RESERVE
    code.global_get(surroundings.stack_pointer).i32_const(size).i32_sub().local_tee(top)
    code.global_set(surroundings.stack_pointer)
    for position, parameter in enumerate(signature.params):
        code.local_get(top).local_get(position).store(STORE_OF[parameter], position * SLOT)
    code.local_get(count)
    code.local_get(top).i32_const((count - 1) * SLOT).i32_add().call(surroundings.interpret).drop()
    code.local_get(top).i32_const(size).i32_add().global_set(surroundings.stack_pointer)
    if signature.results:
        code.local_get(top).load(LOAD_OF[signature.results[0]])
    return code.function(f"enter {signature}")


def stub(signature: FuncType, address: int, element: int, entry_type: int) -> bytes:
    """The body of what stands for an interpreted function, whose code is at `address`.

    It calls the entry by way of the table: what a compiler cannot see it does not copy into every caller.
    """
    code = Code(signature)
    for position in range(len(signature.params)):
        code.local_get(position)
    return code.i32_const(address).i32_const(element).call_indirect(entry_type).function("").body

"""From the body of a function to its compact code."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

from pywasm_compiler.cpython.cold.numeric import LOADS, OPERATORS, STORES
from pywasm_compiler.cpython.cold.operations import MAX_OPERATIONS, Kind, Operation
from pywasm_compiler.wasm.code import iter_instructions, local_types
from pywasm_compiler.wasm.model import FuncType, ValType

_MAX_LOCALS: Final = 255
_MAX_SLOTS: Final = 0xFFFE
_MAX_TYPES: Final = 256
_NO_RESULT: Final = -64
"""The block type of a block without result, as it is decoded."""

_UNREACHABLE, _NOP, _BLOCK, _LOOP, _IF, _ELSE, _END = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0B
_BR, _BR_IF, _BR_TABLE, _RETURN, _CALL, _CALL_INDIRECT = 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11
_DROP, _SELECT, _SELECT_TYPED = 0x1A, 0x1B, 0x1C
_LOCAL_GET, _LOCAL_SET, _LOCAL_TEE, _GLOBAL_GET, _GLOBAL_SET = 0x20, 0x21, 0x22, 0x23, 0x24
_I32_CONST, _I64_CONST, _F32_CONST, _F64_CONST = 0x41, 0x42, 0x43, 0x44
_I32_EQZ, _I32_ADD, _I32_LOAD, _I32_LOAD8_U = 0x45, 0x6A, 0x28, 0x2D
_REINTERPRETATIONS: Final = frozenset((0xBC, 0xBD, 0xBE, 0xBF))
"""They change the type of a slot, not its bytes."""

_MEMORY: Final = {
    0x3F: (Kind.MEMORY_SIZE, 1),
    0x40: (Kind.MEMORY_GROW, 0),
    0xFC0A: (Kind.MEMORY_COPY, -3),
    0xFC0B: (Kind.MEMORY_FILL, -3),
}
"""Opcode -> operation, and by how much it makes the operands more."""

_RAW: Final = {_F32_CONST: ValType.F32, _F64_CONST: ValType.F64}


class TranslationError(Exception):
    """The function has something that the compact code has no word for."""


class ColdCallee(NamedTuple):
    """A function that is interpreted, by its number."""

    number: int


class CompiledCallee(NamedTuple):
    """A function that is compiled, by its element in the table."""

    element: int


class _Step(NamedTuple):
    """An operation, and its numbers after the one that its size is of."""

    operation: Operation
    local: int = -1
    value: int | bytes = 0


class _Branch(NamedTuple):
    kind: Kind
    labels: tuple[int, ...]


_Item: TypeAlias = "_Step | _Branch | int"
"""A number is the label of what follows."""


class _Block(NamedTuple):
    label: int
    arity: int
    """Operands that a branch to the label takes with it."""
    results: int
    height: int
    is_loop: bool = False
    otherwise: int = -1
    """The label of what `else` begins, -1 if there is none to come."""


@dataclass(frozen=True)
class Environment:
    """What the bodies of a module refer to, and how the compact code refers to it.

    `types` are the module's types and `signature` gives that of a function. `callee` says what a function becomes; it
    raises TranslationError for one that compact code cannot call. `operations` and `signatures` are numbered as they
    come.
    """

    types: Sequence[FuncType]
    signature: Callable[[int], FuncType]
    callee: Callable[[int], ColdCallee | CompiledCallee]
    operations: dict[Operation, int]
    signatures: dict[FuncType, int]


def translate(body: bytes, signature: FuncType, environment: Environment) -> bytes:
    """The compact code of a body, its head included. The only global is the stack pointer.

    Raises TranslationError, and MalformedModule for a body that breaks the format.
    """
    translation = _Translation(body, signature, environment)
    return translation.head() + _encode(translation.items, environment.operations)


class _Translation:
    """One walk over a body. Items are fused as they come, with those just before them."""

    def __init__(self, body: bytes, signature: FuncType, environment: Environment) -> None:
        if len(signature.results) > 1:
            raise TranslationError("more than one result")
        self._environment = environment
        self._signature = signature
        self._locals = len(signature.params) + len(local_types(body))
        if self._locals > _MAX_LOCALS:
            raise TranslationError(f"{self._locals} locals")
        self.items: list[_Item] = []
        self._labels = 0
        self._height = self._highest = 0
        self._blocks = [_Block(self._label(), len(signature.results), len(signature.results), 0)]
        self._dead = 0
        """Blocks that have begun in code that is never reached, and one for that code itself."""
        for instruction in iter_instructions(body):
            if self._dead:
                self._skip(instruction.opcode)
            else:
                self._translate(instruction.opcode, instruction.immediates)

    def head(self) -> bytes:
        """Numbers of parameters, of locals and of slots."""
        slots = (self._locals + self._highest + 1) & ~1
        if slots > _MAX_SLOTS:
            raise TranslationError(f"{slots} slots")
        return struct.pack("<BBH", len(self._signature.params), self._locals, slots)

    # --- instructions ---

    def _translate(self, opcode: int, immediates: tuple[int | bytes, ...]) -> None:
        numbers = cast("tuple[int, ...]", immediates)  # but for floats, which are bytes
        if opcode in _RAW:
            raw = cast("bytes", immediates[0])
            self._push(_Step(Operation(Kind.CONST, _RAW[opcode], len(raw)), value=raw))
        elif opcode == _LOCAL_GET:
            self._push(_Step(Operation(Kind.GET), numbers[0]))
        elif opcode == _I32_CONST:
            self._push(_Step(Operation(Kind.CONST, ValType.I32, _size(numbers[0])), value=numbers[0]))
        elif opcode in OPERATORS:
            self._operator(opcode)
        elif opcode in LOADS:
            self._load(opcode, numbers[1])
        elif opcode in STORES:
            self.items.append(_Step(Operation(Kind.STORE, opcode, _offset_size(numbers[1])), value=numbers[1]))
            self._height -= 2
        elif opcode in (_LOCAL_SET, _LOCAL_TEE):
            self._set(opcode, numbers[0])
        elif opcode in (_CALL, _CALL_INDIRECT):
            self._call(opcode, numbers[0])
        elif opcode == _I64_CONST:
            size = 1 if -0x80 <= numbers[0] < 0x80 else 8
            self._push(_Step(Operation(Kind.CONST, ValType.I64, size), value=numbers[0]))
        elif opcode in (_GLOBAL_GET, _GLOBAL_SET):
            kind = Kind.STACK_POINTER_GET if opcode == _GLOBAL_GET else Kind.STACK_POINTER_SET
            self._plain(kind, 1 if opcode == _GLOBAL_GET else -1)
        elif opcode == _DROP:
            self._plain(Kind.DROP, -1)
        elif opcode in (_SELECT, _SELECT_TYPED):
            self._plain(Kind.SELECT, -2)
        elif opcode in _MEMORY:
            self._plain(*_MEMORY[opcode])
        elif opcode != _NOP:
            self._control(opcode, numbers)

    def _push(self, step: _Step) -> None:
        self.items.append(step)
        self._grow(1)

    def _plain(self, kind: Kind, more: int) -> None:
        self.items.append(_Step(Operation(kind)))
        self._grow(more)

    def _grow(self, more: int) -> None:
        self._height += more
        self._highest = max(self._highest, self._height)

    def _last(self, kind: Kind, position: int = -1) -> _Step | None:
        """One of the last items, if it is of that kind."""
        if len(self.items) < -position:
            return None
        item = self.items[position]
        return item if isinstance(item, _Step) and item.operation.kind is kind else None

    def _last_const(self) -> _Step | None:
        """The last item, if it is a constant i32."""
        step = self._last(Kind.CONST)
        return step if step and step.operation.detail == ValType.I32 else None

    def _operator(self, opcode: int) -> None:
        operands, _ = OPERATORS[opcode]
        self._height -= len(operands) - 1
        if opcode in _REINTERPRETATIONS:
            return
        if opcode == _I32_ADD and (const := self._last_const()):
            self.items.pop()
            size = const.operation.size
            if local := self._last(Kind.GET):
                self.items[-1] = _Step(Operation(Kind.LOCAL_PLUS_CONST, 0, size), local.local, const.value)
            else:
                self.items.append(_Step(Operation(Kind.ADD_CONST, 0, size), value=const.value))
            return
        self.items.append(_Step(Operation(Kind.OPERATOR, opcode)))

    def _load(self, opcode: int, offset: int) -> None:
        size = _offset_size(offset)
        local = self._last(Kind.GET)
        if local and opcode in (_I32_LOAD, _I32_LOAD8_U):
            self.items[-1] = _Step(Operation(Kind.LOAD_AT_LOCAL, opcode, size), local.local, offset)
        else:
            self.items.append(_Step(Operation(Kind.LOAD, opcode, size), value=offset))

    def _set(self, opcode: int, local: int) -> None:
        if opcode == _LOCAL_SET:
            self._height -= 1
            if const := self._last_const():
                self.items[-1] = _Step(Operation(Kind.SET_CONST, 0, const.operation.size), local, const.value)
                return
        self.items.append(_Step(Operation(Kind.SET if opcode == _LOCAL_SET else Kind.TEE), local))

    def _call(self, opcode: int, index: int) -> None:
        environment = self._environment
        signature = environment.types[index] if opcode == _CALL_INDIRECT else environment.signature(index)
        if len(signature.results) > 1:
            raise TranslationError("a call with more than one result")
        number = environment.signatures.setdefault(signature, len(environment.signatures))
        if number >= _MAX_TYPES:
            raise TranslationError("too many types of functions")
        if opcode == _CALL_INDIRECT:
            self._height -= 1
            self.items.append(_Step(Operation(Kind.CALL_INDIRECT), number))
        else:
            callee = environment.callee(index)
            if isinstance(callee, ColdCallee):
                self.items.append(_Step(Operation(Kind.CALL_COLD, 0, 2), value=callee.number))
            else:
                self.items.append(_Step(Operation(Kind.CALL, 0, 2), number, callee.element))
        self._grow(len(signature.results) - len(signature.params))

    # --- control ---

    def _label(self) -> int:
        self._labels += 1
        return self._labels

    def _control(self, opcode: int, numbers: tuple[int, ...]) -> None:
        if opcode in (_BLOCK, _LOOP, _IF):
            self._begin(opcode, numbers[0])
        elif opcode == _ELSE:
            self.items.append(_Branch(Kind.BRANCH, (self._blocks[-1].label,)))
            self._otherwise()
        elif opcode == _END:
            self._end()
        elif opcode == _BR:
            self._unwind(self._target(numbers[0]))
            self._jump(self._target(numbers[0]))
        elif opcode == _BR_IF:
            self._branch_if(self._target(numbers[0]))
        elif opcode == _BR_TABLE:
            self._branch_table([self._target(depth) for depth in numbers])
        elif opcode == _RETURN:
            self._jump(self._blocks[0])
        elif opcode == _UNREACHABLE:
            self.items.append(_Step(Operation(Kind.UNREACHABLE)))
            self._dead = 1
        else:
            raise TranslationError(f"the instruction {opcode:#x}")

    def _begin(self, opcode: int, block_type: int) -> None:
        if block_type >= 0:
            raise TranslationError("a block with parameters or several results")
        results = 0 if block_type == _NO_RESULT else 1
        otherwise = -1
        if opcode == _IF:
            self._height -= 1
            otherwise = self._label()
            self.items.append(_Branch(Kind.BRANCH_UNLESS, (otherwise,)))
        is_loop = opcode == _LOOP
        block = _Block(self._label(), 0 if is_loop else results, results, self._height, is_loop, otherwise)
        self._blocks.append(block)
        if is_loop:
            self.items.append(block.label)

    def _otherwise(self) -> None:
        block = self._blocks.pop()
        self.items.append(block.otherwise)
        self._blocks.append(block._replace(otherwise=-1))
        self._height = block.height

    def _end(self) -> None:
        block = self._blocks.pop()
        if block.otherwise >= 0:
            self.items.append(block.otherwise)
        if not block.is_loop:
            self.items.append(block.label)
        self._height = block.height
        self._grow(block.results)
        if not self._blocks:
            self._return(block)

    def _skip(self, opcode: int) -> None:
        """An instruction that is never reached."""
        if opcode in (_BLOCK, _LOOP, _IF):
            self._dead += 1
        elif opcode == _END and self._dead > 1:
            self._dead -= 1
        elif opcode == _ELSE and self._dead == 1:
            self._dead = 0
            self._otherwise()
        elif opcode == _END:
            self._dead = 0
            self._end()

    def _target(self, depth: int) -> _Block:
        return self._blocks[-1 - depth]

    def _jump(self, target: _Block) -> None:
        """Go there for good."""
        if target is self._blocks[0]:
            self._return(target)
        else:
            self.items.append(_Branch(Kind.BRANCH, (target.label,)))
        self._dead = 1

    def _return(self, block: _Block) -> None:
        self.items.append(_Step(Operation(Kind.RETURN, block.results)))

    def _surplus(self, target: _Block) -> int:
        """Operands that a branch leaves behind. A return leaves the frame, and with it all of them."""
        return 0 if target is self._blocks[0] else self._height - target.arity - target.height

    def _unwind(self, target: _Block) -> None:
        if self._surplus(target):
            slots = self._locals + target.height
            self.items.append(_Step(Operation(Kind.UNWIND, target.arity, 2), value=slots))

    def _branch_if(self, target: _Block) -> None:
        self._height -= 1
        inverted = self._last(Kind.OPERATOR)
        unless = inverted is not None and inverted.operation.detail == _I32_EQZ
        if unless:
            self.items.pop()
        if not self._surplus(target) and target is not self._blocks[0]:
            self.items.append(_Branch(Kind.BRANCH_UNLESS if unless else Kind.BRANCH_IF, (target.label,)))
            return
        over = self._label()
        self.items.append(_Branch(Kind.BRANCH_IF if unless else Kind.BRANCH_UNLESS, (over,)))
        self._unwind(target)
        self._jump(target)
        self._dead = 0
        self.items.append(over)

    def _branch_table(self, targets: list[_Block]) -> None:
        self._height -= 1
        if any(target is self._blocks[0] or self._surplus(target) for target in targets):
            raise TranslationError("a table of branches that drop operands")
        self.items.append(_Branch(Kind.BRANCH_TABLE, tuple(target.label for target in targets)))
        self._dead = 1


def _size(value: int) -> int:
    """Bytes that hold a signed number."""
    return 1 if -0x80 <= value < 0x80 else 2 if -0x8000 <= value < 0x8000 else 4


def _offset_size(offset: int) -> int:
    """Bytes that hold an unsigned number."""
    return 0 if not offset else 1 if offset < 0x100 else 2 if offset < 0x1_0000 else 4


# --- encoding ---------------------------------------------------------------------------------------------------------


def _encode(items: list[_Item], operations: dict[Operation, int]) -> bytes:
    """The bytes of items; far branches only if near ones do not reach."""
    paired = _pairs(items)
    try:
        return _assembled(paired, operations, 2)
    except OverflowError:
        return _assembled(paired, operations, 4)


def _pairs(items: list[_Item]) -> list[_Item]:
    """Two operands from one operation."""
    paired: list[_Item] = []
    for item in items:
        before = paired[-1] if paired else 0
        if isinstance(item, _Step) and isinstance(before, _Step) and before.operation.kind is Kind.GET:
            kind, detail, size = item.operation
            if kind is Kind.GET:
                paired[-1] = _Step(Operation(Kind.GET_TWO, 0, 1), before.local, item.local)
                continue
            if kind is Kind.CONST and detail == ValType.I32:
                paired[-1] = _Step(Operation(Kind.GET_AND_CONST, 0, size), before.local, item.value)
                continue
        paired.append(item)
    return paired


def _assembled(items: list[_Item], operations: dict[Operation, int], width: int) -> bytes:
    """Raises OverflowError when a branch goes further than `width` bytes can say."""
    code = bytearray()
    places: dict[int, int] = {}
    branches: list[tuple[int, int, int]] = []
    for item in items:
        if isinstance(item, _Step):
            code.append(_number(item.operation, operations))
            if item.local >= 0:
                code.append(item.local)
            if item.operation.size:
                value = item.value
                code += value if isinstance(value, bytes) else _little_endian(value, item.operation.size)
        elif isinstance(item, _Branch):
            code.append(_number(Operation(item.kind, 0, width), operations))
            if item.kind is Kind.BRANCH_TABLE:
                code += struct.pack("<H", len(item.labels))
            start = len(code)
            for label in item.labels:
                branches.append((len(code), start, label))
                code += bytes(width)
        else:
            places[item] = len(code)
    for field, start, label in branches:
        code[field : field + width] = (places[label] - start).to_bytes(width, "little", signed=True)
    return bytes(code)


def _little_endian(value: int, size: int) -> bytes:
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def _number(operation: Operation, operations: dict[Operation, int]) -> int:
    number = operations.setdefault(operation, len(operations))
    if number >= MAX_OPERATIONS:
        raise TranslationError("too many operations")
    return number

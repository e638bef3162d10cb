"""A plugin that is driven by data: what each callback does, logs and returns stands in a program.

It takes the place of the SDK, so that a scenario's operations reach the host as they are. A program comes as JSON: in
the configurations of VM and plugin, for what happens at the start; in the header `x-program` of a request that is
answered at once, or in the first bytes of a TCP connection that is then closed, for what happens from then on. Such a
carrier is not logged.

Each callback is logged, each hostcall with its arguments, its raw status and its results. What depends on the VM's
earlier life is told as if the VM were fresh: numbers of contexts and callouts count from the program's beginning, names
that must be unique lose the program's own prefix.

A program: `operations` by number, `do` and `returns` by the name of the callback, the callbacks that are not logged
(`quiet`), `prefix`, and for TCP the number of `connections` that it is for. An operation is a list whose first element
tells its kind; see `Run.execute`.
"""

from __future__ import annotations

import json
from typing import Any

Operation = list[Any]

HEADER = b"x-program"
CALLBACKS = {
    "proxy_on_context_create": None,
    "proxy_on_vm_start": 1,
    "proxy_on_configure": 1,
    "proxy_on_tick": None,
    "proxy_on_queue_ready": None,
    "proxy_on_foreign_function": None,
    "proxy_on_new_connection": 0,
    "proxy_on_downstream_data": 0,
    "proxy_on_downstream_connection_close": None,
    "proxy_on_upstream_data": 0,
    "proxy_on_upstream_connection_close": None,
    "proxy_on_request_headers": 0,
    "proxy_on_request_body": 0,
    "proxy_on_request_trailers": 0,
    "proxy_on_request_metadata": 0,
    "proxy_on_response_headers": 0,
    "proxy_on_response_body": 0,
    "proxy_on_response_trailers": 0,
    "proxy_on_response_metadata": 0,
    "proxy_on_http_call_response": None,
    "proxy_on_grpc_receive_initial_metadata": None,
    "proxy_on_grpc_receive": None,
    "proxy_on_grpc_receive_trailing_metadata": None,
    "proxy_on_grpc_close": None,
    "proxy_on_done": 1,
    "proxy_on_log": None,
    "proxy_on_delete": None,
}
"""What each callback returns unless a program says otherwise."""

INFO = 2
REQUEST_HEADERS, DOWNSTREAM = 0, 2
CONFIGURATIONS = {"proxy_on_vm_start": 6, "proxy_on_configure": 7}
"""Where the program of a callback at the start is to be read."""
PAUSE = 1
STEP = 4
"""Callouts and metrics of a kind are numbered in steps of four; the low bits tell the kind."""

RESULT_IS_CALL = ("proxy_http_call", "proxy_grpc_call", "proxy_grpc_stream")
RESULT_IS_QUEUE = ("proxy_register_shared_queue", "proxy_resolve_shared_queue")
TAKES_CALL = ("proxy_on_http_call_response", "proxy_on_grpc")
VARIES = (b"x-envoy-upstream-service-time",)
"""Headers whose values are told by nothing but their name."""


class ScenarioTrapError(Exception):
    """Leaves the callback, which traps the VM."""


def text_bytes(text: str) -> bytes:
    """Bytes as they stand in a program: JSON has none."""
    return text.encode("latin-1")


def read_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """The pairs of a serialised map."""
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)] if data else [0]
    at = 4 + 8 * words[0]
    strings = []
    for size in words[1 : 1 + 2 * words[0]]:
        strings.append(data[at : at + size])
        at += size + 1
    return list(zip(strings[::2], strings[1::2], strict=True))


class Numbers:
    """Numbers that the host hands out in steps of four, as they would be in a fresh VM."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._before: dict[int, int] = {}

    def begin(self) -> None:
        self._before = dict(self._last)

    def told(self, number: int) -> int:
        kind = number % STEP
        self._last[kind] = max(number, self._last.get(kind, kind))
        return number - self._before.get(kind, kind) + kind

    def is_earlier(self, number: int) -> bool:
        """Whether it was handed out before this program began."""
        return number <= self._before.get(number % STEP, number % STEP)


class Program:
    """What the callbacks do from now on, and what they remember."""

    def __init__(self, data: dict[str, Any], first_context: int) -> None:
        operations: list[list[Operation]] = data.get("operations", [])
        self.do = {name: operations[number] for name, number in data.get("do", {}).items()}
        self.returns: dict[str, int] = data.get("returns", {})
        self.quiet: list[str] = data.get("quiet", [])
        self.prefix = text_bytes(data.get("prefix", ""))
        self.connections: int = data.get("connections", 0)
        self.first_context = first_context
        self.kept: dict[str, Any] = {}
        self.calls: dict[str, int] = {}
        self.ordinals: dict[tuple[str, int], str] = {}

    def ordinal(self, kind: str, number: int) -> str:
        """Which one of its kind a number is, in the order of appearance."""
        known = sum(name == kind for name, _ in self.ordinals)
        return self.ordinals.setdefault((kind, number), f"{kind}{known + 1}")


class Interpreter:
    """All contexts of a VM. The callbacks of the ABI are methods, see below."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.program: Program | None = None
        self.roots: dict[int, str] = {}
        self.carriers: set[int] = set()
        self.callouts = Numbers()
        self.metrics = Numbers()
        self.latest_context = 0
        self.latest_root = 0  # of the latest stream

    def call(self, callback: str, context_id: int, *args: int) -> int | None:
        """What a callback does and returns."""
        self._notice(callback, context_id, *args)
        program = self.program
        if program is None or self._is_not_for(program, callback, context_id, args):
            return CALLBACKS[callback]
        if context_id in self.carriers:
            return self._carry(callback, context_id, args)
        return Run(self, program, callback, context_id, args).execute_callback()

    def _notice(self, callback: str, context_id: int, *args: int) -> None:
        self.latest_context = max(self.latest_context, context_id)
        if callback == "proxy_on_context_create" and args[0] == 0:
            _, root_id = self.host.proxy_get_property(b"plugin_root_id")
            self.roots[context_id] = f"root {root_id.decode()!r}" if root_id else "root"
            self.program = None
        elif callback in CONFIGURATIONS:
            _, configuration = self.host.proxy_get_buffer_bytes(CONFIGURATIONS[callback], 0, args[0])
            if configuration or callback == "proxy_on_configure":
                self._load(configuration or b"{}", self.latest_context)
        elif callback == "proxy_on_request_headers":
            status, program = self.host.proxy_get_header_map_value(REQUEST_HEADERS, HEADER)
            if status == 0:
                self.carriers.add(context_id)
                self._load(program, context_id)
        elif callback == "proxy_on_context_create":
            self.latest_root = args[0]
            if self._expects_carrier(args[0]):
                self.carriers.add(context_id)

    def _expects_carrier(self, root: int) -> bool:
        """Whether the next TCP connection carries a program."""
        return "tcp" in self.roots.get(root, "") and self.program is not None and self.program.connections == 0

    def _load(self, program: bytes, context_id: int) -> None:
        self.program = Program(json.loads(program), context_id)
        self.callouts.begin()
        self.metrics.begin()

    def _is_not_for(self, program: Program, callback: str, context_id: int, args: tuple[int, ...]) -> bool:
        """Whether a callback belongs to an earlier program."""
        if callback.startswith(TAKES_CALL) and self.callouts.is_earlier(args[0]):
            return True
        return context_id not in self.roots and context_id not in self.carriers and context_id <= program.first_context

    def _carry(self, callback: str, context_id: int, args: tuple[int, ...]) -> int | None:
        """Callbacks of a stream that carries a program: it is answered, or closed."""
        if callback == "proxy_on_request_headers":
            for root in self.roots:
                self.host.proxy_set_effective_context(root)
                self.host.proxy_set_tick_period_milliseconds(0)
            self.host.proxy_set_effective_context(context_id)
            self.host.proxy_send_local_response(200, b"", b"", b"", 0xFFFF_FFFF)
            return PAUSE
        if callback == "proxy_on_downstream_data":
            _, program = self.host.proxy_get_buffer_bytes(DOWNSTREAM, 0, args[0])
            if program.endswith(b"\n"):  # all of it
                self._load(program, context_id)
                self.host.proxy_close_stream(DOWNSTREAM)
            return PAUSE
        if callback == "proxy_on_delete":
            self.carriers.discard(context_id)
        return CALLBACKS[callback]


def _callback(name: str) -> Any:
    def method(self: Interpreter, context_id: int, *args: int) -> int | None:
        return self.call(name, context_id, *args)

    return method


for _name in CALLBACKS:
    setattr(Interpreter, _name, _callback(_name))


class Run:
    """One callback of a program."""

    def __init__(
        self, vm: Interpreter, program: Program, callback: str, context_id: int, args: tuple[int, ...]
    ) -> None:
        self.vm = vm
        self.program = program
        self.callback = callback
        self.context_id = context_id
        self.args = args
        self.returned = program.returns.get(callback, CALLBACKS[callback])
        self.over = False

    def execute_callback(self) -> int | None:
        program = self.program
        if self.callback == "proxy_on_new_connection":
            program.connections -= 1
        program.calls[self.callback] = program.calls.get(self.callback, 0) + 1
        if self.callback not in program.quiet:
            self.log(f"{self.context(self.context_id)}: {self.callback.removeprefix('proxy_')}({self.told_args()})")
        self.execute(program.do.get(self.callback, []))
        return self.returned

    def execute(self, operations: list[Operation]) -> None:
        for kind, *operands in operations:
            if self.over:
                return
            match kind:
                case "call":  # name, arguments, how the results are told, where the first is kept
                    self.hostcall(*operands)
                case "dump":  # type of a header map
                    self.dump(*operands)
                case "if":  # condition, operations
                    if self.holds(*operands[0]):
                        self.execute(operands[1])
                case "keep":  # name, value
                    self.program.kept[operands[0]] = self.value(operands[1])
                case "return":
                    self.returned, self.over = operands[0], True
                case "trap":
                    raise ScenarioTrapError(self.callback)
                case _:
                    raise LookupError(f"no such operation: {kind}")

    def holds(self, kind: str, operand: Any = None) -> bool:
        match kind:
            case "end":
                return self.args[1] != 0
            case "before end":
                return self.args[1] == 0
            case "nth":  # time that this callback comes
                return self.program.calls[self.callback] == int(operand)
            case "at least":  # bytes
                return self.args[0] >= int(operand)
            case "root":  # the root context that is running
                return self.vm.roots.get(self.context_id) == f"root {operand!r}"
        raise LookupError(f"no such condition: {kind}")

    # --- hostcalls ---

    def hostcall(self, name: str, arguments: list[Any], shown: str = "", kept: str = "") -> None:
        values = [self.value(argument) for argument in arguments]
        status, *results = self.made(name, values)
        if kept:
            self.program.kept[kept] = results[-1 if name == "proxy_get_shared_data" else 0]
        if arguments[0:1] == ["expr_create"] and status == 0:
            told = [self.program.ordinal("expression", int.from_bytes(results[0], "little"))]
        else:
            told = [self.told_result(name, index, result, shown) for index, result in enumerate(results)]
        args = [
            self.told(argument, value, at == 0 and "shared_queue" in name)
            for at, (argument, value) in enumerate(zip(arguments, values, strict=True))
        ]
        self.log(" ".join([f"  {name.removeprefix('proxy_')}({', '.join(args)}) = {status}", *told]))

    def made(self, name: str, values: list[Any]) -> tuple[Any, ...]:
        outcome = getattr(self.vm.host, name)(*values)
        return outcome if isinstance(outcome, tuple) else (outcome,)

    def dump(self, map_type: int) -> None:
        """Size and contents of a header map. Where a value varies, so does the size: then it is checked here."""
        status, size = self.made("proxy_get_header_map_size", [map_type])
        got, data = self.made("proxy_get_header_map_pairs", [map_type])
        pairs = [(name, b"*" if name in VARIES else value) for name, value in read_pairs(data)]
        told = "that of the pairs" if pairs and size == len(data) else str(size)
        self.log(f"  get_header_map_size({map_type}) = {status} {told}")
        self.log(f"  get_header_map_pairs({map_type}) = {got} {pairs}")

    # --- values ---

    def value(self, argument: Any) -> Any:
        """What is passed to a hostcall: numbers as they are, text as bytes, and what a pair of words stands for."""
        match argument:
            case int():
                return argument
            case str():
                return text_bytes(argument)
            case ["kept", name]:
                return self.program.kept.get(name, 0)
            case ["kept", name, more]:
                return self.program.kept.get(name, 0) + more
            case ["own", name]:
                return self.program.prefix + text_bytes(name)
            case ["context", "self"]:
                return self.context_id
            case ["context", "root"]:
                return self.vm.latest_root
            case ["context", int(number)]:
                return self.program.first_context + number
            case ["context", str(root)]:
                return next(context for context, name in self.vm.roots.items() if root in name)
        raise LookupError(f"no such value: {argument}")

    def told(self, argument: Any, value: Any, is_queue: bool) -> str:
        match argument:
            case ["context", _]:
                return self.context(value)
            case ["kept", "cas", *more]:
                return self.program.ordinal("cas", value - sum(more)) + "".join(f" + {number}" for number in more)
            case ["kept", *_] if is_queue:
                return self.program.ordinal("queue", value)
            case ["kept", str(name)] if name.startswith("expression") and isinstance(value, bytes):
                return self.program.ordinal("expression", int.from_bytes(value, "little"))
            case ["kept", "stream"]:
                return self.context(value)
            case ["kept", "metric", *_]:
                return f"metric {self.vm.metrics.told(value)}"
            case ["kept", *_] if isinstance(value, int):
                return str(self.vm.callouts.told(value))
        return self.text(value)

    def told_result(self, name: str, index: int, result: Any, shown: str) -> str:
        if shown == "size" and isinstance(result, bytes):
            return f"{len(result)} bytes"
        if shown == "none":
            return "..."
        if name in RESULT_IS_CALL:
            return str(self.vm.callouts.told(result)) if result else "0"
        if name == "proxy_define_metric":
            return str(self.vm.metrics.told(result)) if result else "0"
        if name in RESULT_IS_QUEUE:
            return self.program.ordinal("queue", result) if result else "0"
        if name == "proxy_get_shared_data" and index == 1:
            return self.program.ordinal("cas", result) if result else "0"
        return self.text(result)

    def told_args(self) -> str:
        args: list[str] = [str(arg) for arg in self.args]
        if self.callback.startswith(TAKES_CALL):
            args[0] = str(self.vm.callouts.told(self.args[0]))
        elif self.callback == "proxy_on_queue_ready":
            args[0] = self.program.ordinal("queue", self.args[0])
        elif self.callback == "proxy_on_context_create":
            args[0] = self.context(self.args[0]) if self.args[0] else "0"
        return ", ".join(args)

    def context(self, context_id: int) -> str:
        """A root by its name, a stream by its number since the program's beginning."""
        return self.vm.roots.get(context_id) or str(context_id - self.program.first_context)

    def text(self, value: Any) -> str:
        if isinstance(value, bytes):
            return repr(value.replace(self.program.prefix, b"") if self.program.prefix else value)
        return str(value)

    def log(self, line: str) -> None:
        self.vm.host.proxy_log(INFO, line.encode())


def start(module_name: str, host: Any) -> Interpreter:
    """What the engine's entry module calls."""
    return Interpreter(host)

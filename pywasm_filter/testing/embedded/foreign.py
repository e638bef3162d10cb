"""Foreign functions, as Envoy has them. Expressions and signatures need the extra `foreign`."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.protobuf import bytes_field, decode_fields, number_field
from pywasm_filter.testing.embedded.contexts import Context, StreamContext
from pywasm_filter.testing.embedded.filter_state import UNSUPPORTED_OBJECTS, Declaration, StateType, make_object
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.errors import ForeignFunctionNotInstalled, HostcallNotSupported, HostMisuse

if TYPE_CHECKING:
    from pywasm_filter.testing.embedded.expressions import Expressions

Answer = tuple[Status, bytes]

_REFUSED: Answer = (Status.BAD_ARGUMENT, b"")


class ForeignFunctions:
    """The functions of one VM.

    Calls raise HostcallNotSupported for what only a real Envoy can do, and where a package is missing.
    """

    def __init__(self, vm: VirtualMachine) -> None:
        self._vm = vm
        self._expressions: dict[int, Expressions] = {}
        self._functions: dict[bytes, Callable[[bytes], Answer]] = {
            b"clear_route_cache": self._clear_route_cache,
            b"compress": _compress,
            b"declare_property": self._declare_property,
            b"expr_create": lambda source: self._of_root().create(source),
            b"expr_delete": lambda token: self._of_root().delete(token),
            b"expr_evaluate": lambda token: self._of_root().evaluate(token, self._vm.called_context()),
            b"set_envoy_filter_state": self._set_envoy_filter_state,
            b"sign": _sign,
            b"uncompress": self._uncompress,
            b"verify_signature": _verify_signature,
        }

    def call(self, name: bytes, arguments: bytes) -> Answer:
        """Call a function; NOT_FOUND for one that Envoy does not have."""
        function = self._functions.get(name)
        return (Status.NOT_FOUND, b"") if function is None else function(arguments)

    def _clear_route_cache(self, _arguments: bytes) -> Answer:
        self._vm.context().clear_route_cache()
        return Status.OK, b""

    def _declare_property(self, arguments: bytes) -> Answer:
        message = _message(arguments, text=(1,), data=(4,))
        if message is None:
            return _REFUSED
        texts, numbers = message
        declared = self._vm.called_context().declared_properties
        name, kind = texts.get(1, b""), numbers.get(3, 0)
        if kind == StateType.FLATBUFFERS:
            raise HostcallNotSupported("proxy_call_foreign_function('declare_property') with FLATBUFFERS")
        if name in declared:
            return _REFUSED
        known = StateType(kind) if kind in list(StateType) else StateType.BYTES
        declared[name] = Declaration(bool(numbers.get(2)), known, texts.get(4, b""))
        return Status.OK, b""

    def _set_envoy_filter_state(self, arguments: bytes) -> Answer:
        message = _message(arguments, text=(1, 2))
        if message is None:
            return _REFUSED
        texts, numbers = message
        name, value = texts.get(1, b""), texts.get(2, b"")
        if name in UNSUPPORTED_OBJECTS:
            raise HostcallNotSupported(f"proxy_call_foreign_function('set_envoy_filter_state') for {name.decode()}")
        status, data = make_object(name, value)
        if status is not Status.OK:
            return status, b""
        context = self._vm.context()
        if not isinstance(context, StreamContext):
            return Status.NOT_FOUND, b""
        context.view().info.filter_state.set_object(name, data, numbers.get(3, 0))
        return Status.OK, b""

    def _uncompress(self, data: bytes) -> Answer:
        most = self._vm.settings.memory_limit_bytes
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(data, most)
        except zlib.error:
            return Status.SERIALIZATION_FAILURE, b""
        if stream.eof:
            return Status.OK, plain
        if len(plain) == most:
            raise HostMisuse("uncompress: the result is larger than the memory of the VM, which makes Envoy crash")
        return Status.SERIALIZATION_FAILURE, b""

    def _of_root(self) -> Expressions:
        """The expressions of the root context whose callback runs, or one of whose streams' callbacks."""
        try:
            from pywasm_filter.testing.embedded.expressions import Expressions
        except ImportError as error:
            raise ForeignFunctionNotInstalled("expr_create") from error
        context = self._vm.called_context()
        return self._expressions.setdefault(_root_id(context), Expressions())


def _root_id(context: Context) -> int:
    root = context.root_context()
    return context.context_id if root is None else root.context_id


def _message(
    arguments: bytes, *, text: tuple[int, ...] = (), data: tuple[int, ...] = ()
) -> tuple[dict[int, bytes], dict[int, int]] | None:
    """The fields of a message: those with text or data, and the numbers. None for what is no such message.

    As Envoy's reader does, it refuses text that is not UTF-8, and skips a field of an unexpected type.
    """
    texts: dict[int, bytes] = {}
    numbers: dict[int, int] = {}
    try:
        for field, value in decode_fields(arguments):
            if isinstance(value, int):
                numbers[field] = value
            elif field in text:
                value.decode("utf-8")
                texts[field] = value
            elif field in data:
                texts[field] = value
    except ValueError:
        return None
    return texts, numbers


def _compress(data: bytes) -> Answer:
    return Status.OK, zlib.compress(data)


def _verify_signature(arguments: bytes) -> Answer:
    message = _message(arguments, text=(1, 5), data=(2, 3, 4))
    if message is None or (2 in message[0]) == (5 in message[0]):
        return _REFUSED
    try:
        from pywasm_filter.testing.embedded.signatures import verify
    except ImportError as error:
        raise ForeignFunctionNotInstalled("verify_signature") from error
    texts, _ = message
    reason = verify(texts.get(1, b""), texts.get(2), texts.get(5), texts.get(3, b""), texts.get(4, b""))
    return Status.OK, number_field(1, int(not reason)) + bytes_field(2, reason.encode())


def _sign(arguments: bytes) -> Answer:
    message = _message(arguments, text=(1, 4), data=(2, 3))
    if message is None or (2 in message[0]) == (4 in message[0]):
        return _REFUSED
    try:
        from pywasm_filter.testing.embedded.signatures import sign
    except ImportError as error:
        raise ForeignFunctionNotInstalled("sign") from error
    texts, _ = message
    signature, reason = sign(texts.get(1, b""), texts.get(2), texts.get(4), texts.get(3, b""))
    return Status.OK, number_field(1, int(not reason)) + bytes_field(2, signature) + bytes_field(3, reason.encode())

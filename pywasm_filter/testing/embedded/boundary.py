"""What lies between a guest and its host: each call either way is reported, hostcalls may be answered on the way."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol, cast

from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing.guests import Guest, GuestTrap
from pywasm_filter.testing.guests.tracebacks import in_python
from pywasm_filter.testing.recorder import HOSTCALL, INTERCEPTED, Answer, Argument, Raised, Recorder, clipped

if TYPE_CHECKING:
    from proxy_wasm_abi import Hostcall


class Interceptor(Protocol):
    """Answers hostcalls in the host's place."""

    def hostcall(self, name: str, args: tuple[Argument, ...], /) -> Answer | None:
        """The answer in lifted form, a status or a tuple of it and the results; None lets the call pass.

        Raises GuestTrap to kill the VM here and now.
        """
        ...


class Boundary:
    """The two ways across: `hostcalls` go to the interceptors in order, then to the host; `around` is for callbacks.

    A trap that an interceptor or the host raises is not left to the guest, whose Python code could catch it: no
    hostcall passes any more, and the callback ends in it.
    """

    def __init__(self, host: Hostcalls, vm_name: str, recorder: Recorder, context_id: Callable[[], int]) -> None:
        """`vm_name` tells the VM from others of the same recorder; `context_id` is whom hostcalls act for now."""
        import proxy_wasm_abi  # with the first VM: all pytest runs load this module

        self.interceptors: list[Interceptor] = []
        """Asked in order before each hostcall."""
        self.before_callbacks: list[Callable[[str, tuple[int, ...]], None]] = []
        """Called in order before each callback, with its name and its arguments; GuestTrap from one kills the VM."""
        self.after_hostcalls: list[Callable[[str, tuple[Argument, ...], Answer], Answer | None]] = []
        """Called in order with the name, the arguments and the host's answer, for another answer or None."""
        self._host = host
        self._vm_name = vm_name
        self._recorder = recorder
        self._context_id = context_id
        self._trap: GuestTrap | None = None
        self.hostcalls = cast(
            "Hostcalls",
            SimpleNamespace(**{entry.name: self._crossing(entry) for entry in proxy_wasm_abi.load().hostcalls}),
        )
        """The hostcalls for the guest: all of the ABI's table."""

    def around(self, guest: Guest) -> Guest:
        """The guest for the host: its callbacks are reported."""
        return _ObservedGuest(guest, self)

    def call(self, guest: Guest, name: str, args: tuple[int, ...]) -> int | None:
        """Call a callback, and report it. Raises what the guest raises, and GuestTrap."""
        begun = self._recorder.callback(self._vm_name, name, args)
        try:
            for before in self.before_callbacks:
                before(name, args)
            result = guest.call(name, *args)
            if self._trap is not None:
                raise self._trap
        except BaseException as error:
            left = self._explained(error, begun)
            self._recorder.returned(self._vm_name, name, Raised(left))
            if left is error:
                raise
            raise left from error
        self._recorder.returned(self._vm_name, name, result)
        return result

    def _explained(self, error: BaseException, begun: int) -> BaseException:
        """What a callback was left by: the trap that came out of a hostcall; one of the guest's own in its terms."""
        if self._trap is not None:
            return self._trap
        if not isinstance(error, GuestTrap):
            return error
        logged = [entry.args[1] for entry in self._recorder.entries(begun) if entry.name == "proxy_log"]
        return in_python(
            error, [message.decode("utf-8", "replace") for message in logged if isinstance(message, bytes)]
        )

    def _crossing(self, hostcall: Hostcall) -> Callable[..., Answer]:
        name = hostcall.name
        method: Callable[..., Answer] = getattr(self._host, name)
        report = self._recorder.hostcall
        vm_name, context_id = self._vm_name, self._context_id
        has_buffers = any(value.is_buffer for value in (*hostcall.params, *hostcall.returns))

        def call(*args: Argument) -> Answer:
            kind = HOSTCALL
            try:
                answer = self._intercept(name, args) if self.interceptors or self._trap is not None else None
                if answer is None:
                    answer = method(*args)
                    for after in self.after_hostcalls:
                        changed = after(name, args, answer)
                        if changed is not None:
                            kind, answer = INTERCEPTED, changed
                else:
                    kind = INTERCEPTED
            except BaseException as error:
                if isinstance(error, GuestTrap):
                    self._trap = error
                report(kind, vm_name, context_id(), name, clipped(args), Raised(error))
                raise
            if has_buffers:
                report(kind, vm_name, context_id(), name, clipped(args), clipped(answer))
            else:
                report(kind, vm_name, context_id(), name, args, answer)
            return answer

        return call

    def _intercept(self, name: str, args: tuple[Argument, ...]) -> Answer | None:
        if self._trap is not None:
            raise self._trap
        for interceptor in self.interceptors:
            answer = interceptor.hostcall(name, args)
            if answer is not None:
                return answer
        return None


class _ObservedGuest:
    """A guest whose callbacks go through the boundary."""

    def __init__(self, guest: Guest, boundary: Boundary) -> None:
        self._guest = guest
        self._boundary = boundary

    @property
    def exports(self) -> frozenset[str]:
        """Names of the callbacks that the guest has."""
        return self._guest.exports

    def start(self) -> None:
        """Initialise the VM."""
        self._guest.start()

    def call(self, name: str, *args: int) -> int | None:
        """Call a callback."""
        return self._boundary.call(self._guest, name, args)

    def discard(self) -> None:
        """The VM is over."""
        self._guest.discard()

"""The filter under the tests of gRPC callouts: each request names in `x-scenario` what it is to do."""

from __future__ import annotations

from pywasm_filter import (
    Action,
    CalloutFailed,
    CancelledError,
    GrpcError,
    GrpcStatus,
    HttpContext,
    LogLevel,
    RootContext,
    log,
    register_root_context,
)

SERVICE = "pkg.Svc"


class GrpcFilter(HttpContext["GrpcRoot"]):
    """Tells upstream what has come of it in `x-outcome`."""

    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        scenario = headers.get("x-scenario", "")
        try:
            outcome = await getattr(self, scenario)()
        except GrpcError as error:
            outcome = f"{GrpcStatus(error.status).name} {error.message}"
        except CalloutFailed as error:
            outcome = f"failed: {error}"
        except CancelledError:
            log(LogLevel.INFO, "cancelled")
            raise
        headers["x-outcome"] = outcome
        return Action.CONTINUE

    async def call(self) -> str:
        metadata: dict[str, str | bytes] = {"x-tenant": "blue", "k-bin": b"\x00\xff"}
        timeout = float(self.request.headers.get("x-timeout", "5"))
        answer = await self.grpc_call("authz", SERVICE, "Check", b"who", metadata=metadata, timeout=timeout)
        return answer.decode()

    async def unknown(self) -> str:
        return (await self.grpc_call("nobody", SERVICE, "Check", b"")).decode()

    async def cancelled(self) -> str:
        callout = self.start_grpc_call("authz", SERVICE, "Check", b"", self.unexpected)
        await self.sleep(0.05)
        callout.cancel()
        return "cancelled"

    async def chat(self) -> str:
        stream = self.grpc_stream("authz", SERVICE, "Chat", metadata={"x-tenant": "red"})
        stream.send(b"one")
        answers = []
        async for message in stream:
            answers.append(message.decode())
            if message == b"re:one":
                stream.send(b"two")
            elif message == b"re:two":
                stream.half_close()
        init, trail = stream.initial_metadata["x-init"], stream.trailing_metadata["x-trail"]
        return f"{','.join(answers)} {init} {trail}"

    async def given_up(self) -> str:
        stream = self.grpc_stream("authz", SERVICE, "Chat")
        stream.send(b"one")
        async for message in stream:
            stream.cancel()
            return message.decode()
        return "nothing came"

    def unexpected(self, answer: bytes) -> None:
        log(LogLevel.ERROR, f"an answer to a call that was taken back: {answer!r}")


class GrpcRoot(RootContext):
    http_context = GrpcFilter


register_root_context(GrpcRoot)

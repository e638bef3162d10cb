"""The external processor: python server.py JOB SOCKET CONFIGURATION. It runs in an environment of its own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.ext_proc.v3 import external_processor_pb2 as messages
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as service
from envoy.type.v3.http_status_pb2 import HttpStatus

Reply = Callable[[messages.ProcessingRequest], messages.ProcessingResponse]


def overwritten(**headers: str) -> list[HeaderValueOption]:
    """Headers to set, `_` for `-` in their names."""
    return [
        HeaderValueOption(
            header=HeaderValue(key=name.replace("_", "-"), raw_value=value.encode()),
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        for name, value in headers.items()
    ]


def header(headers: messages.HttpHeaders, name: str) -> str | None:
    """The value of a header, the first of several."""
    for entry in headers.headers.headers:
        if entry.key == name:
            return entry.raw_value.decode()
    return None


def on_headers(mutation: messages.HeaderMutation, *, response: bool = False) -> messages.ProcessingResponse:
    """An answer to headers."""
    answer = messages.HeadersResponse(response=messages.CommonResponse(header_mutation=mutation))
    if response:
        return messages.ProcessingResponse(response_headers=answer)
    return messages.ProcessingResponse(request_headers=answer)


def headers_job(configuration: str) -> Reply:
    """Set a header in both directions."""
    mutation = messages.HeaderMutation(set_headers=overwritten(x_hello=configuration))
    request, response = on_headers(mutation), on_headers(mutation, response=True)
    return lambda asked: request if asked.HasField("request_headers") else response


def json_job(configuration: str) -> Reply:
    """Remove members from the response's document."""
    names = frozenset(json.loads(configuration)["remove_from_response"])

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(member) for key, member in value.items() if key not in names}
        if isinstance(value, list):
            return [without(member) for member in value]
        return value

    passed = messages.ProcessingResponse(response_headers=messages.HeadersResponse())

    def reply(asked: messages.ProcessingRequest) -> messages.ProcessingResponse:
        if not asked.HasField("response_body"):
            return passed
        document = without(json.loads(asked.response_body.body))
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        response = messages.CommonResponse(
            header_mutation=messages.HeaderMutation(set_headers=overwritten(content_length=str(len(body)))),
            body_mutation=messages.BodyMutation(body=body),
        )
        return messages.ProcessingResponse(response_body=messages.BodyResponse(response=response))

    return reply


def jwt_job(configuration: str) -> Reply:
    """Check a token."""
    settings = json.loads(configuration)
    key = decode(settings["keys"][0]["k"])
    claim_headers: dict[str, str] = settings["claim_headers"]
    refused = messages.ProcessingResponse(
        immediate_response=messages.ImmediateResponse(
            status=HttpStatus(code=401), body=b"the token is refused\n", details="jwt_refused"
        )
    )

    def verify(authorization: str | None) -> dict[str, Any] | None:
        scheme, _, token = (authorization or "").partition(" ")
        parts = token.split(".")
        if scheme.lower() != "bearer" or len(parts) != 3:
            return None
        try:
            head, claims = json.loads(decode(parts[0])), json.loads(decode(parts[1]))
            signature = decode(parts[2])
        except ValueError:
            return None
        expected = hmac.digest(key, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256)
        if head.get("alg") != "HS256" or not hmac.compare_digest(expected, signature):
            return None
        now, audience = time.time(), claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if (
            now >= claims.get("exp", 0) + 30
            or now < claims.get("nbf", 0) - 30
            or claims.get("iss") != settings["issuer"]
        ):
            return None
        return claims if any(name in settings["audiences"] for name in audiences) else None

    def reply(asked: messages.ProcessingRequest) -> messages.ProcessingResponse:
        claims = verify(header(asked.request_headers, "authorization"))
        if claims is None:
            return refused
        told = {name: str(claims[claim]) for name, claim in claim_headers.items() if claim in claims}
        return on_headers(messages.HeaderMutation(set_headers=overwritten(**told), remove_headers=["authorization"]))

    return reply


def routing_job(configuration: str) -> Reply:
    """Name the first rule that fits."""
    settings = json.loads(configuration)
    expression = re.compile("|".join(f"({rule['pattern']})" for rule in settings["rules"]))
    routes = [rule["route"] for rule in settings["rules"]]

    def reply(asked: messages.ProcessingRequest) -> messages.ProcessingResponse:
        found = expression.fullmatch(header(asked.request_headers, ":path") or "/")
        route = settings["default"] if found is None or found.lastindex is None else routes[found.lastindex - 1]
        return on_headers(messages.HeaderMutation(set_headers=overwritten(x_route=route)))

    return reply


def decode(text: str) -> bytes:
    """Base64url without padding. Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class Processor(service.ExternalProcessorServicer):
    """One stream for each exchange."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def Process(  # noqa: N802 - the service's name for it
        self, request_iterator: AsyncIterator[messages.ProcessingRequest], context: object
    ) -> AsyncIterator[messages.ProcessingResponse]:
        """Answer each message."""
        async for asked in request_iterator:
            yield self._reply(asked)


async def serve(job: str, socket: str, configuration: Path) -> None:
    """Serve until the process is told to end."""
    jobs = {"headers": headers_job, "json": json_job, "jwt": jwt_job, "routing": routing_job}
    server = grpc.aio.server()
    service.add_ExternalProcessorServicer_to_server(Processor(jobs[job](configuration.read_text())), server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print("ready", flush=True)
    await ended.wait()
    await server.stop(None)  # which removes the socket


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3])))

"""Edit JSON on its way through the proxy: set members of requests, remove members of responses.

Configuration (JSON, every member optional):

    {"set_in_request": {"tenant": "blue"}, "remove_from_response": ["password"], "exact_length": false}

An edited body has another length than its headers say. By default they leave at once without content-length, and the
message is sent chunked. With `exact_length` they wait for the body and get its new length; in Envoy that needs
`allow_on_headers_stop_iteration: true` in the plugin's configuration, or the request hangs.
"""

import json
import logging
from typing import Any

from pywasm_filter import Action, HttpContext, Request, Response, RootContext, register_root_context

logger = logging.getLogger(__name__)


class JsonBodyRewrite(HttpContext["JsonBodyRewriteRoot"]):
    """One exchange."""

    def on_context_create(self) -> None:
        self.edits_request = False
        self.edits_response = False

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.edits_request = bool(self.root.set_in_request) and not end_of_stream and is_json(self.request)
        return self.begin(self.request) if self.edits_request else Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not self.edits_request:
            return Action.CONTINUE
        return self.edit_request() if end_of_stream else Action.PAUSE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.edits_response = bool(self.root.remove_from_response) and not end_of_stream and is_json(self.response)
        return self.begin(self.response) if self.edits_response else Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not self.edits_response:
            return Action.CONTINUE
        return self.edit_response() if end_of_stream else Action.PAUSE

    def begin(self, message: Request | Response) -> Action:
        """Prepare the headers for a body of another length."""
        message.headers.discard("content-length")
        return Action.PAUSE if self.root.exact_length else Action.CONTINUE

    def finish(self, message: Request | Response, body: bytes) -> Action:
        """Put the body in place, and its length where the headers are still here."""
        message.body.replace(body)
        if self.root.exact_length:
            message.headers["content-length"] = str(len(body))
        return Action.CONTINUE

    def edit_request(self) -> Action:
        """Set the configured members; anything but JSON is the client's mistake."""
        body = self.request.body.read()
        try:
            document = json.loads(body)
        except ValueError:
            return self.send_local_response(400, body="the body is not JSON\n", details="json_body_invalid")
        if not isinstance(document, dict):
            return self.finish(self.request, body)
        return self.finish(self.request, encode({**document, **self.root.set_in_request}))

    def edit_response(self) -> Action:
        """Remove the configured members, at any depth; anything but JSON passes as it is."""
        body = self.response.body.read()
        try:
            document = json.loads(body)
        except ValueError:
            logger.warning("a response declared as JSON is not JSON")
            return self.finish(self.response, body)
        return self.finish(self.response, encode(without(document, self.root.remove_from_response)))


class JsonBodyRewriteRoot(RootContext):
    """The plugin: it knows what to edit."""

    http_context = JsonBodyRewrite

    def on_context_create(self) -> None:
        self.set_in_request: dict[str, Any] = {}
        self.remove_from_response: frozenset[str] = frozenset()
        self.exact_length = False

    def on_configure(self, configuration: bytes) -> bool:
        try:
            settings = json.loads(configuration or b"{}")
            self.set_in_request = dict(settings.get("set_in_request", {}))
            self.remove_from_response = frozenset(settings.get("remove_from_response", []))
            self.exact_length = bool(settings.get("exact_length", False))
        except (ValueError, TypeError, AttributeError) as error:
            logger.error("json_body_rewrite: bad configuration: %s: %s", type(error).__name__, error)
            return False
        return True


def is_json(message: Request | Response) -> bool:
    """Whether the message declares a JSON body."""
    media_type = (message.headers.get("content-type") or "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def encode(document: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def without(value: Any, names: frozenset[str]) -> Any:
    """A copy of `value` in which no object has a member of these names."""
    if isinstance(value, dict):
        return {key: without(member, names) for key, member in value.items() if key not in names}
    if isinstance(value, list):
        return [without(member, names) for member in value]
    return value


register_root_context(JsonBodyRewriteRoot, "json_body_rewrite")

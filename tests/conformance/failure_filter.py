"""Does what the header x-do says, and logs the response's flags and details in the callbacks of its end."""

from pywasm_filter import Action, AttributeNotAvailable, HttpContext, LogLevel, log


class Failures(HttpContext):
    """One request."""

    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        self.task = str(headers.pop("x-do", "none"))
        match self.task.split():
            case ["remove", name]:
                headers.discard(name)
            case ["timeout", milliseconds]:
                headers["x-envoy-upstream-rq-timeout-ms"] = milliseconds
            case ["answer", details]:
                return self.send_local_response(429, body=b"slow down", details=details)
            case ["reset"]:
                self.reset()
            case ["call", cluster]:
                answer = await self.http_call(cluster, "GET", "/callout")
                headers["x-answer"] = f"{answer.status} {answer.text}"
            case ["grpc", cluster]:
                await self.grpc_call(cluster, "a.Service", "Method", b"")
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        return Action.PAUSE if self.task == "hold-request" else Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.report("headers")
        self.response.headers["x-seen"] = str(self.response.status)
        match self.task:
            case "reset-response":
                self.reset()
            case "remove-status":
                self.response.headers.discard(":status")
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        return Action.PAUSE if self.task == "hold-response" else Action.CONTINUE

    def on_log(self) -> None:
        self.report("log")

    def report(self, phase: str) -> None:
        """Log the bits and the reason."""
        response = self.properties.response
        try:
            details = response.code_details
        except AttributeNotAvailable:
            details = "-"
        log(LogLevel.INFO, f"{phase} {response.flags:#x} {details}")

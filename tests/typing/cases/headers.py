"""Headers are text or bytes."""

from pywasm_filter import Action, HttpContext, RootContext


class Good(HttpContext[RootContext]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        headers["x-text"] = "text"
        headers["x-bytes"] = b"\xff"
        headers.add("x-text", "more")
        present: str = headers["x-text"]
        perhaps: str | None = headers.get("x-text")
        default: str = headers.get("x-text", "default")
        several: list[str] = headers.getall("x-text")
        self.request.path = "/" + present + default + "".join(several) + (perhaps or "")
        return self.send_local_response(403, headers={"retry-after": "1"}, body="denied")


class Bad(HttpContext[RootContext]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.request.headers["x-count"] = 5  # mypy: assignment pyright: reportArgumentType
        self.request.headers.add("x-count", 5)  # mypy: arg-type pyright: reportArgumentType
        self.request.headers.get("x-absent").lower()  # mypy: union-attr pyright: reportOptionalMemberAccess
        self.request.headers[5]  # mypy: index pyright: reportArgumentType
        self.request.path = 5  # mypy: assignment pyright: reportAttributeAccessIssue
        self.response.status = "200"  # mypy: assignment pyright: reportAttributeAccessIssue
        self.request.headers = {}  # mypy: assignment, misc pyright: reportAttributeAccessIssue
        return self.send_local_response("403")  # mypy: arg-type pyright: reportArgumentType

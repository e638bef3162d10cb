"""A callback has the signature and the results of the ABI."""

from pywasm_filter import Action, HttpContext, RootContext


class Good(HttpContext["GoodRoot"]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        greeting: str = self.root.greeting
        self.request.headers["x-hello"] = greeting
        return Action.CONTINUE

    def on_log(self) -> None:
        size: int = len(self.response.headers)
        print(size)


class GoodRoot(RootContext):
    http_context = Good
    greeting = "world"

    def on_configure(self, configuration: bytes) -> bool:
        self.greeting = configuration.decode()
        return True


class WrongResults(HttpContext[RootContext]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> bool:  # mypy: override pyright: reportIncompatibleMethodOverride
        return True

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return True  # mypy: return-value pyright: reportReturnType

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:  # mypy: return pyright: reportReturnType
        if end_of_stream:
            return Action.CONTINUE


class WrongParameters(HttpContext[RootContext]):
    def on_request_headers(self, num_headers: int) -> Action:  # mypy: override pyright: reportIncompatibleMethodOverride
        return Action.CONTINUE


class WrongRoot(HttpContext[GoodRoot]):
    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        print(self.root.greetings)  # mypy: attr-defined pyright: reportAttributeAccessIssue
        self.root.greeting = 5  # mypy: assignment pyright: reportAttributeAccessIssue
        self.request.body.append("text")  # mypy: arg-type pyright: reportArgumentType
        return Action.CONTINUE


class NoContext(RootContext):
    http_context = GoodRoot  # mypy: assignment pyright: reportAssignmentType

    def on_configure(self, configuration: str) -> bool:  # mypy: override pyright: reportIncompatibleMethodOverride
        return True

"""Add a header to each request and each response. The configuration, if there is one, is the header's value."""

from pywasm_filter import Action, HttpContext, RootContext, register_root_context


class AddHeader(HttpContext["AddHeaderRoot"]):
    """One exchange."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.request.headers["x-hello"] = self.root.greeting
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.response.headers["x-hello"] = self.root.greeting
        return Action.CONTINUE


class AddHeaderRoot(RootContext):
    """The plugin: it keeps the greeting."""

    http_context = AddHeader
    greeting = "world"

    def on_configure(self, configuration: bytes) -> bool:
        if configuration:
            self.greeting = configuration.decode()
        return True


register_root_context(AddHeaderRoot, "add_header")

"""Read all headers of a request, and tell upstream how long they are."""

from pywasm_filter import Action, HttpContext, RootContext, register_root_context


class ReadHeaders(HttpContext["ReadHeadersRoot"]):
    """One exchange."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        """Go through them once."""
        length = sum(len(name) + len(value) for name, value in self.request.headers.items())
        self.request.headers["x-length"] = str(length)
        return Action.CONTINUE


class ReadHeadersRoot(RootContext):
    """The plugin."""

    http_context = ReadHeaders


register_root_context(ReadHeadersRoot, "read_headers")

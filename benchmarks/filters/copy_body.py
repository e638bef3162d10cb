"""Take the whole body of a response and put it back as it was: what a body takes on its way in and out."""

from pywasm_filter import Action, HttpContext, RootContext, register_root_context


class CopyBody(HttpContext["CopyBodyRoot"]):
    """One exchange."""

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        """Wait for the end."""
        if not end_of_stream:
            return Action.PAUSE
        self.response.body.replace(self.response.body.read())
        return Action.CONTINUE


class CopyBodyRoot(RootContext):
    """The plugin."""

    http_context = CopyBody


register_root_context(CopyBodyRoot, "copy_body")

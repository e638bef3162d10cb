"""Looks at everything and lets it pass; to requests with x-spacious it writes values with white space around them."""

from pywasm_filter import Action, HttpContext

SPACIOUS = " \ta b\t "


class Passing(HttpContext):
    """One exchange."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.spacious = "x-spacious" in self.request.headers
        if self.spacious:
            self.request.headers["x-space"] = SPACIOUS
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        assert len(self.request.body.read()) == body_size
        return Action.CONTINUE

    def on_request_trailers(self, num_trailers: int) -> Action:
        if self.spacious:
            self.request.trailers["x-space"] = SPACIOUS
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if self.spacious:
            self.response.headers["x-space"] = SPACIOUS
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        assert len(self.response.body.read()) == body_size
        return Action.CONTINUE

    def on_response_trailers(self, num_trailers: int) -> Action:
        if self.spacious:
            self.response.trailers["x-space"] = SPACIOUS
        return Action.CONTINUE

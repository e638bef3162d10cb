"""Tells which modules of the standard library are there that it does not import."""

import sys

from pywasm_filter import Action, HttpContext


class ModuleTeller(HttpContext):
    """Answers their names."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        found = {"datetime", "pywasm_filter.sdk.metadata"} & sys.modules.keys()
        return self.send_local_response(200, body=str(sorted(found)))

"""Requests, responses and settings that scenarios have in common."""

from __future__ import annotations

from typing import Any

from pywasm_filter.testing import Response

POST: dict[str, Any] = {"method": "POST", "body": [b"abc", b"defg"]}
POST_ONE: dict[str, Any] = {"method": "POST", "body": b"abc"}
POST_TRAILERS: dict[str, Any] = {**POST, "trailers": {"x-t": "1"}}
CHUNKED = Response(200, body=[b"hello", b"world"])
WITH_TRAILERS = Response(200, body=[b"hello", b"world"], trailers={"x-r": "1"})
LARGE = Response(200, body=[b"x" * 600, b"y" * 600])
ALLOW: dict[str, Any] = {"allow_on_headers_stop_iteration": True}

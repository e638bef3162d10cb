"""Calls foreign functions: each request says which, and the outcome is the response."""

import json

from pywasm_filter import (
    Action,
    BadArgument,
    CelExpression,
    ForeignFunctionFailed,
    HostError,
    HttpContext,
    PropertyType,
    RootContext,
    call_foreign_function,
    clear_route_cache,
    declare_property,
    host_compress,
    host_sign,
    host_uncompress,
    host_verify_signature,
    set_envoy_filter_state,
)


class Caller(HttpContext["CallerRoot"]):
    """Answers what the called function gave, or routes by filter state."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        variant = self.request.headers.get("x-variant")
        if variant is not None:
            set_envoy_filter_state("envoy.string", variant)
            if self.request.path == "/clear":
                clear_route_cache()
            return Action.CONTINUE
        try:
            outcome = self.call(self.request.path.removeprefix("/"))
        except (HostError, ForeignFunctionFailed, ValueError) as error:
            outcome = f"{type(error).__name__}: {error}"
        return self.send_local_response(200, body=outcome)

    def call(self, name: str) -> str:
        """The outcome of one function."""
        root = self.root
        match name:
            case "unknown":
                return repr(call_foreign_function("no.such.function", b"x"))
            case "compression":
                small = host_compress(b"x" * 10_000)
                return f"{len(small) < 100} {host_uncompress(small) == b'x' * 10_000}"
            case "garbage":
                return repr(host_uncompress(b"garbage"))
            case "signature":
                signature = host_sign(b"text", private_key=root.private_key)
                right = host_verify_signature(b"text", signature, public_key=root.public_key)
                wrong = host_verify_signature(b"text!", signature, public_key=root.public_key)
                return f"{len(signature)} {right} {wrong}"
            case "der":
                signature = host_sign(b"text", private_key=root.private_der, hash_function="sha512")
                return str(
                    host_verify_signature(b"text", signature, public_key=root.public_der, hash_function="sha512")
                )
            case "hash":
                return str(host_verify_signature(b"", b"x", public_key=root.public_key, hash_function="md5"))
            case "key":
                return repr(host_sign(b"", private_key="no key"))
            case "no-key":
                return repr(host_sign(b"", private_key=b""))
            case "state":
                set_envoy_filter_state("envoy.string", "shared")
                return repr(self.properties.filter_state["envoy.string"])
            case "no-state":
                set_envoy_filter_state("no.such.object", "x")
                return "set"
            case "declared":
                self.properties.set_raw("text", value=b"mine")
                return f"{root.text.evaluate_text()} {self.properties.filter_state['wasm.text']!r}"
            case "read-only":
                self.properties.set_raw("once", value=b"1")
                self.properties.set_raw("once", value=b"2")
                return "set twice"
            case "expressions":
                return f"{root.is_get.evaluate_bool()} {root.port.evaluate_int() > 0} {root.is_get.evaluate_bytes()!r}"
            case "type":
                return str(root.is_get.evaluate_int())
            case "unavailable":
                return root.missing.evaluate_text()
            case "deleted":
                expression = CelExpression("1")
                expression.delete_expression()
                return repr(expression.evaluate_bytes())
            case "refused":
                return repr(CelExpression("1 +"))
        raise ValueError(f"no such function here: {name}")


class CallerRoot(RootContext):
    """Declares and compiles what the streams use; its configuration has keys."""

    http_context = Caller

    def on_configure(self, configuration: bytes) -> bool:
        keys = json.loads(configuration)
        self.private_key: str = keys["private"]
        self.public_key: str = keys["public"]
        self.private_der = bytes.fromhex(keys["private_der"])
        self.public_der = bytes.fromhex(keys["public_der"])
        declare_property("text", property_type=PropertyType.STRING)
        declare_property("once", read_only=True)
        try:
            declare_property("once")
        except BadArgument:
            self.is_get = CelExpression("request.method == 'GET'")
            self.port = CelExpression("source.port")
            self.text = CelExpression("text + '!'")
            self.missing = CelExpression("request.headers['x-missing']")
        return True

"""A Proxy-Wasm host in plain Python that follows Envoy, for tests of filters."""

from pywasm_filter.testing.embedded.proxy import EmbeddedProxy
from pywasm_filter.testing.embedded.stepwise_stream import EmbeddedStream

__all__ = ["EmbeddedProxy", "EmbeddedStream"]

"""Write Envoy (Proxy-Wasm) filters in Python."""

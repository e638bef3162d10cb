"""Python filter -> Proxy-Wasm core module."""

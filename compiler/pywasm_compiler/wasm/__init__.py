"""The WebAssembly binary format: model, reader, writer, and the component layer around core modules."""

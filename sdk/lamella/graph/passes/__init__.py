"""Rewrites of an ONNX graph, one pass a file; each takes a model and changes it in place."""
